"""Perps against an account in exact fractions that remembers every fill."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.finance.perps import (
    apply_fill,
    funding_payment,
    inverse_funding_payment,
    inverse_upnl,
    linear_upnl,
)

prices = st.floats(1.0, 1e5)
quantities = st.integers(-1000, 1000).filter(bool).map(lambda lots: lots / 8.0)
fills = st.lists(st.tuples(quantities, prices), min_size=1, max_size=12)


@given(fills, prices)
def test_realised_plus_unrealised_is_what_the_fills_paid_and_got(fills: list[tuple[float, float]], mark: float) -> None:
    size, entry, realised = 0.0, 0.0, 0.0
    for quantity, price in fills:
        size, entry, profit = apply_fill(size, entry, quantity, price)
        realised += profit
    held = sum(Fraction(quantity) for quantity, _ in fills)
    cash = -sum(Fraction(quantity) * Fraction(price) for quantity, price in fills)
    exact = float(cash + held * Fraction(mark))
    turnover = sum(abs(quantity) * max(price, mark) for quantity, price in fills)
    assert size == float(held)
    assert realised + linear_upnl(size, entry, mark) == pytest.approx(exact, abs=1e-12 * turnover)


@given(fills, prices)
def test_inverse_realised_plus_unrealised_is_what_the_fills_paid_and_got(
    fills: list[tuple[float, float]], mark: float
) -> None:
    size, entry, realised = 0.0, 0.0, 0.0
    for quantity, price in fills:
        size, entry, profit = apply_fill(size, entry, quantity, price, inverse=True)
        realised += profit
    exact = sum(Fraction(quantity) * (1 / Fraction(price) - 1 / Fraction(mark)) for quantity, price in fills)
    turnover = sum(abs(quantity) / min(price, mark) for quantity, price in fills)
    open_profit = inverse_upnl(size, entry, mark) if size else 0.0
    assert realised + open_profit == pytest.approx(float(exact), abs=1e-11 * turnover)


def test_adding_averages_reducing_keeps_and_flipping_starts_anew() -> None:
    assert apply_fill(0.0, 0.0, -2.0, 100.0) == (-2.0, 100.0, 0.0)
    assert apply_fill(-2.0, 100.0, -2.0, 110.0) == (-4.0, 105.0, 0.0)
    assert apply_fill(-4.0, 105.0, 1.0, 100.0) == (-3.0, 105.0, 5.0)
    assert apply_fill(-3.0, 105.0, 3.0, 110.0) == (0.0, 0.0, -15.0)
    assert apply_fill(-3.0, 105.0, 5.0, 110.0) == (2.0, 110.0, -15.0)


@pytest.mark.parametrize(("quantity", "price"), [(0.0, 1.0), (1.0, 0.0), (1.0, -5.0), (1.0, float("nan"))])
def test_a_fill_that_is_none_is_refused(quantity: float, price: float) -> None:
    with pytest.raises(ValueError, match="fill of"):
        apply_fill(0.0, 0.0, quantity, price)


def test_a_position_without_entry_cannot_be_averaged() -> None:
    with pytest.raises(ValueError, match="entry price"):
        apply_fill(1.0, 0.0, 1.0, 10.0)


@given(st.floats(0.001, 1e4), prices, st.floats(1e-7, 0.01))
def test_a_short_receives_a_positive_rate_and_pays_a_negative_one(size: float, mark: float, rate: float) -> None:
    assert funding_payment(-size, mark, rate) > 0.0 > funding_payment(-size, mark, -rate)
    assert funding_payment(size, mark, rate) < 0.0 < funding_payment(size, mark, -rate)
    assert funding_payment(-size, mark, rate) + funding_payment(size, mark, rate) == 0.0
    assert inverse_funding_payment(-size, mark, rate) > 0.0 > inverse_funding_payment(size, mark, rate)


def test_funding_of_one_short_btc_by_hand() -> None:
    assert funding_payment(-1.0, 40_000.0, 0.0001) == 4.0
    assert inverse_funding_payment(-40_000.0, 40_000.0, 0.0001) == 0.0001


@given(st.floats(1.0, 1e6), prices, prices)
def test_an_inverse_short_gains_in_base_what_the_dollars_buy(notional: float, entry: float, mark: float) -> None:
    exact = -Fraction(notional) * (1 / Fraction(entry) - 1 / Fraction(mark))
    assert inverse_upnl(-notional, entry, mark) == pytest.approx(
        float(exact), rel=1e-9, abs=1e-12 * notional / min(entry, mark)
    )
