"""Costs and lots, against decimal arithmetic."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.finance.costs import (
    fill_price,
    from_lots,
    gas_cost_eth,
    impact_bps,
    lots_in,
    round_down_to_lot,
    trade_fee,
    whole_lots,
)

lots = st.sampled_from([1e-05, 0.0001, 0.001, 0.01, 0.1, 1.0, 100.0])
STEPS = (4.0, 6.0, 12.0)


def test_float_noise_is_not_an_amount() -> None:
    assert 0.1 + 0.2 != 0.3
    assert round_down_to_lot(0.1 + 0.2, 0.1) == 0.3
    assert round_down_to_lot(0.3 - 0.1, 0.1) == 0.2
    assert lots_in(0.3 - 0.1, 0.1) == 2
    assert lots_in(0.3 - 0.1 - 0.1 - 0.1, 0.001) == 0, "what sums leave below nothing is no amount either"
    assert whole_lots(0.1 + 0.2, 0.1) == 3
    assert from_lots(3, 0.1) == 0.3


@given(st.integers(0, 10**7), lots)
def test_a_multiple_of_the_lot_survives_rounding_unchanged(count: int, lot: float) -> None:
    amount = float(count * Decimal(repr(lot)))
    assert from_lots(count, lot) == amount
    assert round_down_to_lot(amount, lot) == amount
    assert whole_lots(amount, lot) == count


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), lots)
def test_sums_of_lots_stay_lots(counts: list[int], lot: float) -> None:
    total = 0.0
    for count in counts:
        total += from_lots(count, lot)
    assert whole_lots(total, lot) == sum(counts)


@given(st.floats(0.0, 1e6), lots)
def test_rounding_down_never_gains_more_than_noise_and_never_loses_a_lot(amount: float, lot: float) -> None:
    rounded = round_down_to_lot(amount, lot)
    assert rounded <= amount + 2e-6 * lot
    assert amount - rounded < lot * (1.0 + 1e-9)
    assert (Fraction(Decimal(repr(rounded))) / Fraction(Decimal(repr(lot)))).denominator == 1 or rounded > 1e4


def test_half_a_lot_is_no_whole_lot() -> None:
    assert whole_lots(0.0015, 0.001) is None
    assert lots_in(0.0015, 0.001) == 1


@pytest.mark.parametrize(("amount", "lot"), [(-1.0, 0.1), (1.0, 0.0), (1.0, -0.1)])
def test_lots_of_nonsense_are_refused(amount: float, lot: float) -> None:
    with pytest.raises(ValueError, match="0"):
        lots_in(amount, lot)


@pytest.mark.parametrize(
    ("size", "bps"), [(1.0, 4.0), (10_000.0, 4.0), (10_000.01, 6.0), (100_000.0, 6.0), (100_000.01, 12.0), (1e9, 12.0)]
)
def test_impact_grows_in_three_steps(size: float, bps: float) -> None:
    assert impact_bps(size, STEPS) == bps


@given(st.floats(1.0, 1e6), st.floats(0.0, 100.0))
def test_whoever_trades_gets_the_worse_price(reference: float, bps: float) -> None:
    bought, sold = fill_price(reference, bps, buying=True), fill_price(reference, bps, buying=False)
    assert sold <= reference <= bought
    assert bought + sold == pytest.approx(2.0 * reference, rel=1e-15)


def test_fee_is_a_fraction_of_notional() -> None:
    assert trade_fee(10_000.0, 0.001) == 10.0
    with pytest.raises(ValueError, match="0 or more"):
        trade_fee(-1.0, 0.001)


def test_a_tip_beyond_the_cap_costs_no_more() -> None:
    modest, greedy = gas_cost_eth(250_000, 20.0, 2.0, 2.0), gas_cost_eth(250_000, 20.0, 815.0, 2.0)
    assert modest == greedy == pytest.approx(0.0055)
    assert gas_cost_eth(250_000, 20.0, 0.5, 2.0) == pytest.approx(250_000 * 20.5e-9)
