"""The growth that a loop expects is what it has seen, over as many days as it holds at least."""

from __future__ import annotations

import pytest

from basis_actors.strategies.growth_window import GrowthWindow

DAY = 86_400 * 1_000_000_000


def seen(days: int, growth: float, *, span: float = 30.0, rates_a_day: int = 24) -> GrowthWindow:
    """A window that was shown the rate every hour, which grows once a day."""
    window = GrowthWindow(span)
    for tick in range(days * rates_a_day + 1):
        window.add(tick * DAY // rates_a_day, 1.05 * (1.0 + growth) ** (tick // rates_a_day))
    return window


@pytest.mark.parametrize("growth", [1e-4, -5e-5])
def test_growth_a_day_is_that_of_the_rate(growth: float) -> None:
    assert seen(20, growth).daily() == pytest.approx(growth, rel=1e-9)


def test_less_than_a_week_is_not_enough() -> None:
    assert seen(6, 1e-4).daily() is None
    assert seen(7, 1e-4).daily() == pytest.approx(1e-4, rel=1e-9)
    assert GrowthWindow(30.0).daily() is None


def test_what_is_older_than_the_window_is_forgotten() -> None:
    window = GrowthWindow(10.0)
    rate = 1.0
    for day in range(41):
        window.add(day * DAY, rate)
        rate *= 1.0 + (5e-3 if day < 30 else 1e-4)
    assert window.daily() == pytest.approx(1e-4, rel=1e-9)
