"""A venue outside the package: found beside the mode, checked with its own settings, and run like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import basis_actors
from basis_actors.config import load_mode, load_venue
from basis_actors.errors import ConfigError
from basis_actors.logs.directory import LogDirectoryManager, RunStatus

Edited = Callable[..., Path]

MODE, VENUE = "savings_account/savings.yaml", "savings_account/venues/savings.yaml"
REFERENCE = "examples.savings_account.savings:SavingsAccount"
SAVINGS = "savings:BaseToken:USDT"

MODULE = """
from examples.savings_account.savings import SavingsAccount

class Half:
    def settle(self): ...

class WithoutSettings(SavingsAccount):
    Config = None

class Elsewhere(SavingsAccount):
    @property
    def domain(self):
        return "elsewhere"

class Nobody(SavingsAccount):
    @classmethod
    def from_config(cls, config, clock): return None

class Raising(SavingsAccount):
    @classmethod
    def from_config(cls, config, clock): raise ValueError("nope")

class Wrong(SavingsAccount):
    @classmethod
    def from_config(cls): ...
"""


def refusal(edited: Edited, *changes: tuple[str, str]) -> ConfigError:
    edited(VENUE, *changes)
    with pytest.raises(ConfigError) as caught:
        load_mode(edited(MODE))
    return caught.value


def test_interest_is_paid_by_the_hour_and_explained(edited: Edited) -> None:
    """Against the compound formula over the hours from the arrival of the deposit on."""
    edited(VENUE, ("apr: 0.05", "apr: 0.4"))
    result = basis_actors.backtest(edited(MODE), end="2024-01-08")
    saved = result.positions[SAVINGS]
    arrived = saved.index[saved > 0.0][0]
    hours = round((saved.index[-1] - arrived).total_seconds() / 3600)
    assert 150 < hours < 168
    expected = 100_000.0 * ((1.0 + 0.4 / 8760.0) ** hours - 1.0)
    assert result.summary.attribution["rewards"] == pytest.approx(expected, rel=1e-9)
    assert result.summary.max_residual is not None
    assert result.summary.max_residual <= 1e-9
    assert result.positions[SAVINGS].iloc[-1] == pytest.approx(100_000.0 + expected, rel=1e-12)


def test_money_comes_back_when_everything_is_closed(edited: Edited) -> None:
    """A drawdown limit that gas alone breaks makes the strategy close."""
    edited(VENUE, ("apr: 0.05", "apr: 0.0"))
    changes = [("  max_delta_drift: 0.02\n", "  max_delta_drift: 0.02\n  max_drawdown: 0.0000001\n")]
    result = basis_actors.backtest(edited(MODE, *changes), end="2024-01-03")
    assert result.summary.stopped is not None
    assert result.positions["wallet:BaseToken:USDT"].iloc[-1] == 100_000.0
    assert result.positions[SAVINGS].iloc[-1] == 0.0


def test_a_venue_file_is_found_beside_the_mode_only(edited: Edited) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mode(edited(MODE))
    assert caught.value.code == "CONFIG-004"
    assert "venues.1: is 'savings', for which there is no file" in caught.value.message


def test_settings_can_be_overridden_for_one_run(edited: Edited) -> None:
    edited(VENUE)
    run = load_mode(edited(MODE), settings=["venue_configs.savings.settings.apr=0.01"])
    assert run.venues["savings"].settings.apr == 0.01  # type: ignore[union-attr]
    assert '"settings":{"apr":0.01}' in run.model_dump_json()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((REFERENCE, "mine:Nothing"), "adapter: is 'mine:Nothing'; "),
        ((REFERENCE, "mine:Half"), "it has no domain, venues, execute, execute_group, resolve, report, expect, from_"),
        ((REFERENCE, "mine:WithoutSettings"), "it has no class attribute Config, a basis_actors.config.Model of what"),
        (("  apr:", "  arp:"), "settings.arp: unknown key; nearest valid key: apr"),
        (("apr: 0.05", "apr: -0.05"), "settings.apr: is -0.05; greater than or equal to 0 was expected"),
        (("adapter: " + REFERENCE, ""), "adapter: missing key"),
    ],
)
def test_what_cannot_be_used_is_named_with_file_and_key(
    edited: Edited, here: Path, changes: tuple[str, str], expected: str
) -> None:
    (here / "mine.py").write_text(MODULE)
    error = refusal(edited, changes)
    assert error.code == "CONFIG-004"
    assert f"{here / 'venues' / 'savings.yaml'}:" in error.message
    assert expected in error.message
    with pytest.raises(ConfigError):
        load_venue(here / "venues" / "savings.yaml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Elsewhere", r"CONFIG-004.*serves domain 'elsewhere'.*'savings'.*were expected"),
        ("Nobody", r"CONFIG-004: venue savings: mine:Nobody: .* made None, which has no domain, venues, settle, "),
        ("Raising", r"CONFIG-003: venue savings: mine:Raising: .* raised ValueError: nope \(.*mine.py:\d+\)"),
        ("Wrong", r"CONFIG-003: venue savings: mine:Wrong: .* raised TypeError: .* takes 1 positional argument"),
    ],
)
def test_a_class_that_makes_no_such_client_is_refused_before_anything_runs(
    edited: Edited, here: Path, name: str, expected: str
) -> None:
    (here / "mine.py").write_text(MODULE)
    edited(VENUE, (REFERENCE, f"mine:{name}"))
    with pytest.raises(ConfigError, match=expected):
        basis_actors.backtest(edited(MODE), end="2024-01-02")
    assert not (here / "logs").exists(), "a run that was refused leaves nothing behind"


def test_an_account_of_its_own_has_a_domain_of_its_own(edited: Edited) -> None:
    error = refusal(edited, ("domain: savings", "domain: ethereum"))
    assert error.code == "CONFIG-003"
    assert "venue_configs.savings.domain: is 'ethereum', the account domain of the wallet" in error.message


@pytest.mark.parametrize("code", [0, 3])
def test_a_venue_that_leaves_the_program_fails_the_run(edited: Edited, here: Path, code: int) -> None:
    """The command would end with its code and without a word: 0 is that of a run that is done."""
    body = f"class Leaving(SavingsAccount):\n    async def settle(self, tick):\n        raise SystemExit({code})\n"
    (here / "leaving.py").write_text(f"from {REFERENCE.replace(':', ' import ')}\n{body}")
    edited(VENUE, (REFERENCE, "leaving:Leaving"))
    result = basis_actors.backtest(edited(MODE), end="2024-01-02", check=False)
    assert result.summary.failure == f"SystemExit: {code} (leaving.py:4) left the program instead of answering"
    assert LogDirectoryManager.read_metadata(result.run_dir).status is RunStatus.FAILED
