"""A strategy outside the package: found, checked with its own configuration, and refused with file, key and remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_actors.config import check_targets, load_mode, without_friction
from basis_actors.errors import ConfigError
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
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

class Silent(Strategy):
    Config = Settings
    market_spec = None
    def decide(self, situation): ...
    def close_all(self, situation): ...

class Refusing(type(Strategy)):
    def __subclasscheck__(cls, other):
        raise RuntimeError("no")
    def __getattribute__(cls, name):
        if name == "Config":
            raise RuntimeError("not today")
        return super().__getattribute__(name)

class Reluctant(Silent, metaclass=Refusing):
    hedged = False

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
        ("mine:Silent", "it does not say whether it means to be delta neutral; add hedged = True or False"),
        ("mine:Reluctant", "reading the class raised RuntimeError: not today ("),
        ("broken:Thing", "broken cannot be imported: "),
        ("leaving:Thing", "leaving cannot be imported: SystemExit: 0 ("),
        ("raising:Thing", "raising.py:1); mend it there"),
        ("wanting:Thing", "wanting imports 'nothing_like_it', which is not installed"),
    ],
)
def test_what_cannot_be_used_is_named_with_file_key_and_remedy(
    edited: Edited, here: Path, reference: str, expected: str
) -> None:
    (here / "mine.py").write_text(MODULE)
    (here / "broken.py").write_text("class Thing(:\n")
    (here / "leaving.py").write_text("raise SystemExit(0)\n")
    (here / "raising.py").write_text("raise RuntimeError('boom')\n")
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


WRONG = """
from examples.funding_rotation.strategy import FundingRotation

class Mine(FundingRotation):
    {}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("hedged = 'yes'", "hedged is 'yes'; true or false was expected"),
        ("def __init__(self): ...", "making it from the run's configuration, Mine(run), raised TypeError: "),
        ("def __init__(self, run): raise SystemExit(3)", "Mine(run), raised SystemExit: 3 ("),
        ("market_spec = None", "market_spec is None; a basis_actors.messages.market.MarketSpec"),
        ("market_spec = property(lambda self: 1 / 0)", "market_spec raised ZeroDivisionError: division by zero ("),
        (
            "market_spec = property(lambda self: type(super(Mine, self).market_spec)(assets='BTC'))",
            "market_spec is MarketSpec(assets='BTC'",
        ),
        ("funding_history = 'many'", "funding_history is 'many'; a whole number, 0 or more, was expected"),
        ("funding_history = -1", "funding_history is -1; a whole number, 0 or more, was expected"),
        ("input_hashes = 5", "input_hashes is 5; a mapping from paths to sha256 texts was expected"),
        ("input_hashes = {'a': 5}", "input_hashes is {'a': 5}; a mapping from paths to sha256 texts was expected"),
        ("def warm_up(self, stamps): raise RuntimeError('cold')", "warm_up raised RuntimeError: cold ("),
    ],
)
def test_a_class_that_cannot_be_used_is_refused_before_anything_runs(
    edited: Edited, here: Path, body: str, expected: str
) -> None:
    (here / "mine.py").write_text(WRONG.format(body))
    with pytest.raises(ConfigError) as caught:
        prepare(BacktestRequest(mode=edited(MODE, (REFERENCE, "mine:Mine"))))
    assert caught.value.code == "CONFIG-003"
    assert "mode 'funding_rotation': strategy mine:Mine: " in caught.value.message
    assert expected in caught.value.message


def failure_of_mine(edited: Edited, here: Path) -> str:
    """How a day's run of the class Mine in mine.py fails."""
    request = BacktestRequest(
        mode=edited(MODE, (REFERENCE, "mine:Mine")), end=datetime(2024, 1, 2, tzinfo=UTC), out=here / "logs"
    )
    failure = Backtest(prepare(request)).run().failure
    assert failure is not None
    return failure


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def decide(self, situation): return None", "STRAT-001: Mine returned None; a Decision was expected"),
        ("def decide(self, situation): return 'buy'", "STRAT-001: Mine returned 'buy'; a Decision was expected"),
        ("async def decide(self, situation): ...", "STRAT-001: Mine returned a coroutine; write def"),
        ("def decide(self, situation): raise SystemExit(0)", "STRAT-001: Mine left the program (SystemExit(0))"),
        (
            "def decide(self, situation): return replace(super().decide(situation), orders=('buy',))",
            "STRAT-004: Mine returned 'buy' as order 1; an Order was expected",
        ),
        (
            "def decide(self, situation): return replace(super().decide(situation), orders=None)",
            "STRAT-004: Mine returned orders in a NoneType; a tuple was expected",
        ),
        (
            "def decide(self, situation): return replace(super().decide(situation), action=5)",
            "TypeError: Decision.action is 5; a str was expected (mine.py:",
        ),
        (
            "def decide(self, situation): return replace(super().decide(situation), invested=None)",
            "TypeError: Decision.invested is None; a bool was expected (mine.py:",
        ),
        (
            "def decide(self, situation): return replace(super().decide(situation), constraints=(None,))",
            "TypeError: Decision.constraints has None; texts were expected (mine.py:",
        ),
    ],
)
def test_what_is_no_decision_ends_the_run_as_a_failed_one(edited: Edited, here: Path, body: str, expected: str) -> None:
    (here / "mine.py").write_text("from msgspec.structs import replace\n" + WRONG.format(body))
    assert expected in failure_of_mine(edited, here)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("spot('nowhere', 'BTC', Side.BUY, 1.0, 'w')", "STRAT-003: 'nowhere' is no venue of this mode; it names "),
        ("spot('bybit', 'DOGE', Side.BUY, 1.0, 'w')", "STRAT-006: an order for it cannot be written: bybit:DOGE"),
        (
            "perp('bybit', 'DOGE', Side.LONG, 1.0, 'w', reduce_only=False)",
            "bybit:DOGE-PERP has no price at 2024-01-01T00:00:00Z; name it in market_spec.perps, and wait for",
        ),
        ("transfer('nowhere:BaseToken:USDT', CASH, 1.0, 'w')", "STRAT-003: 'nowhere' is no venue of this mode"),
        ("supply('USDT', 1.0, 'nowhere')", "STRAT-003: 'nowhere' is no venue of this mode"),
        ("swap('nowhere', 'USDT', 'ETH', 1.0, 'w')", "STRAT-003: 'nowhere' is no venue of this mode"),
    ],
)
def test_an_order_that_cannot_be_written_says_what_is_missing(
    edited: Edited, here: Path, order: str, expected: str
) -> None:
    body = f"def decide(self, situation): OrderWriter(self.run, situation, 0.0).{order}"
    (here / "mine.py").write_text("from examples.funding_rotation.strategy import *\n" + WRONG.format(body))
    assert expected in failure_of_mine(edited, here)


def test_a_family_that_there_is_not_is_told_of_classes_too(edited: Edited) -> None:
    assert "or package.module:Class was expected" in refusal(edited(MODE, (REFERENCE, "rotation"))).message
