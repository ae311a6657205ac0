"""A strategy outside the package: found, checked with its own configuration, and refused with file, key and remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from basis_actors.config import check_targets, load_mode, without_friction
from basis_actors.errors import ConfigError
from basis_actors.strategies.registry import build_strategy

Edited = Callable[..., Path]

MODE = "funding_rotation/funding_rotation.yaml"
REFERENCE = "examples.funding_rotation.strategy:FundingRotation"

MODULE = """
from basis_actors.config import Model
from basis_actors.strategies.base import Strategy

class Bare(Strategy):
    hedged = False

class WithoutConfig(Strategy):
    hedged = False
    market_spec = None
    def decide(self, situation): ...
    def close_all(self, situation): ...

class Settings(Model):
    window: int

NUMBER = 3
"""


def refusal(file: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_mode(file)
    return caught.value


def test_a_class_of_the_working_directory_is_found_and_built(edited: Edited, here: Path) -> None:
    (here / "mine.py").write_text(f"from {REFERENCE.replace(':', ' import ')}\nclass Mine(FundingRotation): ...\n")
    run = load_mode(edited(MODE, (REFERENCE, "mine:Mine")))
    assert type(build_strategy(run)).__name__ == "Mine"
    assert run.mode.strategy_config.model_dump() == {
        "window": 9, "edge": 0.00002, "allocation": 0.5, "lots": {"BTC": 0.001, "ETH": 0.01},
    }  # fmt: skip


def test_its_configuration_is_part_of_the_effective_one(edited: Edited) -> None:
    run = load_mode(edited(MODE), settings=["strategy_config.edge=0.0003"])
    assert '"edge":0.0003' in run.model_dump_json()
    assert without_friction(run).mode.strategy_config == run.mode.strategy_config


@pytest.mark.parametrize("share_class", ["usdt_stable", "eth_directional"])
def test_it_counts_in_whatever_its_mode_says(edited: Edited, share_class: str) -> None:
    file = edited(MODE, ("share_class: usdt_stable", f"share_class: {share_class}"))
    assert load_mode(file).mode.share_class == share_class


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("nowhere.at_all:Thing", "there is no module 'nowhere' in"),
        ("mine.further:Thing", "there is no module 'mine.further' in"),
        ("mine:Baree", "mine.py has no class Baree; nearest: Bare"),
        ("mine:NUMBER", "mine.py has no class NUMBER"),
        ("mine:Settings", "a subclass of basis_actors.strategies.base.Strategy was expected"),
        ("mine:Bare", "it does not define close_all, decide, market_spec; add them"),
        ("mine:WithoutConfig", "it has no class attribute Config, a basis_actors.config.Model of what strategy_config"),
        ("mine/py:Bare", "package.module:Class was expected"),
        ("broken:Thing", "broken cannot be imported: "),
        ("wanting:Thing", "wanting imports 'nothing_like_it', which is not installed"),
    ],
)
def test_what_cannot_be_used_is_named_with_file_key_and_remedy(
    edited: Edited, here: Path, reference: str, expected: str
) -> None:
    (here / "mine.py").write_text(MODULE)
    (here / "broken.py").write_text("class Thing(:\n")
    (here / "wanting.py").write_text("import nothing_like_it\n")
    file = edited(MODE, (REFERENCE, reference))
    error = refusal(file)
    assert error.code == "CONFIG-003"
    assert f"{file}:4: strategy: is {reference!r}" in error.message
    assert expected in error.message
    (result,) = check_targets([str(file)])
    assert not result.ok


def test_its_configuration_is_as_strict_as_any(edited: Edited) -> None:
    error = refusal(edited(MODE, ("  edge: 0.00002 ", "  egde: 0.00002 ")))
    assert "strategy_config.egde: unknown key; nearest valid key: edge" in error.message
    assert "strategy_config.window: is 'long'; a whole number" in refusal(edited(MODE, (" 9  ", " long  "))).message


def test_a_family_that_there_is_not_is_told_of_classes_too(edited: Edited) -> None:
    assert "or package.module:Class was expected" in refusal(edited(MODE, (REFERENCE, "rotation"))).message
