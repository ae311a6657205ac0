"""Errors that live trading is known for are found within a few stories, each planted where our code keeps it out."""

from __future__ import annotations

import pytest
from tests.simulation.plants import PLANTS
from tests.simulation.settings import setting

from basis_actors.services.simulation.telling import tell

MOST = 200
SLOW = ("count_a_fill_twice", "forget_one_intent", "close_the_first_step_only", "ignore_a_kill")
"""Found as well, but after many stories, or in one in which processes end themselves again and again."""


def found(plant: str, mode: str, hours: int) -> tuple[int, str] | None:
    """The first seed in whose story a planted error shows, and as what."""
    with pytest.MonkeyPatch.context() as patch:
        PLANTS[plant](patch)
        for report in tell(setting(mode, hours), range(MOST)):
            if report.problems:
                return report.seed, report.problems[0]
    return None


@pytest.mark.parametrize("plant", [name for name in PLANTS if name not in SLOW])
def test_a_planted_error_is_found(plant: str) -> None:
    assert found(plant, "eth_basis", 168) is not None


RARE = {
    ("ignore_a_kill", "btc_basis"),
    ("ignore_a_kill", "usdt_market_neutral"),
    ("do_not_ask_the_switch", "usdt_market_neutral"),
}
"""Not found there within as many stories. A mode that sends little else than groups, whose legs hedge each other, goes
on sending them after a kill; what each of those who keep to it would let through, another stops."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("plant", "mode"),
    [
        (plant, mode)
        for plant in PLANTS
        for mode in ("btc_basis", "eth_basis", "usdt_market_neutral")
        if (plant, mode) not in RARE
    ],
)
def test_a_planted_error_is_found_in_other_modes(plant: str, mode: str) -> None:
    assert found(plant, mode, 168) is not None
