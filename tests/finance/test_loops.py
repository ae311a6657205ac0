"""Sizes of loops and distances to liquidation, each checked by carrying the operation out."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_actors.finance.loops import (
    collateral_to_free,
    delever_sizes,
    held_loop_equity,
    lever_up,
    leverage_at,
    liquidation_distance_inverse,
    liquidation_distance_lending,
    liquidation_distance_perp,
    loop_health,
    one_shot_loop,
    unwind_sizes,
)
from basis_actors.finance.perps import inverse_upnl, linear_upnl

ltvs = st.floats(0.05, 0.93)
fees = st.sampled_from([0.0, 0.0005, 0.003])
exits = st.floats(0.98, 1.005)


def test_a_loop_at_ninety_percent_holds_ten_times_its_equity() -> None:
    assert one_shot_loop(3.0, 0.9) == pytest.approx((30.0, 27.0, 27.0))
    assert leverage_at(0.9) == pytest.approx(10.0)
    assert loop_health(0.95, 0.9) == pytest.approx(0.95 / 0.9)
    assert loop_health(0.95, 0.0) == inf


def test_the_one_shot_loop_is_the_limit_of_borrowing_and_staking_again_and_again() -> None:
    supply, borrow, add = 0.0, 0.0, 5.0
    for _ in range(400):
        supply += add
        add *= 0.65
        borrow += add
    assert one_shot_loop(5.0, 0.65) == pytest.approx((supply, borrow, borrow))


@settings(max_examples=100)
@given(equity=st.floats(0.01, 1e4), ltv=ltvs, fee=fees)
def test_a_loop_pays_its_flash_loan_and_stands_at_its_ltv(equity: float, ltv: float, fee: float) -> None:
    sizes = one_shot_loop(equity, ltv, fee)
    assert sizes.supply == pytest.approx(equity + sizes.flash)
    assert sizes.borrow == pytest.approx(sizes.flash * (1.0 + fee))
    assert sizes.borrow / sizes.supply == pytest.approx(ltv)


@settings(max_examples=100)
@given(equity=st.floats(0.1, 1e3), ltv=ltvs, target=ltvs, fee=fees, rate=exits)
def test_levering_either_way_ends_at_the_target(
    equity: float, ltv: float, target: float, fee: float, rate: float
) -> None:
    held = one_shot_loop(equity, ltv)
    more = lever_up(held.supply, held.borrow, target, fee)
    less = delever_sizes(held.supply, held.borrow, target, exit_rate=rate, flash_fee=fee)
    supply = held.supply + more.supply - less.withdraw
    borrow = held.borrow + more.borrow - less.flash
    assert borrow / supply == pytest.approx(target)
    assert min(more.flash, less.flash) == 0.0
    assert less.swap * rate == pytest.approx(less.flash * (1.0 + fee))


@settings(max_examples=100)
@given(equity=st.floats(0.1, 1e3), ltv=ltvs, share=st.floats(0.01, 1.0), fee=fees, rate=st.floats(0.97, 1.005))
def test_unwinding_a_share_keeps_the_ltv_and_repays_the_flash_loan(
    equity: float, ltv: float, share: float, fee: float, rate: float
) -> None:
    held = one_shot_loop(equity, ltv)
    sizes = unwind_sizes(held.supply, held.borrow, share, exit_rate=rate, flash_fee=fee)
    assert sizes.flash == pytest.approx(share * held.borrow)
    assert sizes.swap * rate == pytest.approx(sizes.flash * (1.0 + fee))
    assert sizes.kept == pytest.approx(sizes.withdraw - sizes.flash * (1.0 + fee) / rate)
    if share < 0.999:  # of less than that rounding is a part
        left = held.supply - sizes.withdraw
        assert (held.borrow - sizes.flash) / left == pytest.approx(ltv, rel=1e-6)
    if rate == 1.0 and fee == 0.0:
        assert sizes.withdraw == pytest.approx(collateral_to_free(sizes.kept, ltv))


def test_freeing_equity_takes_one_over_one_minus_ltv_of_collateral() -> None:
    assert collateral_to_free(2.0, 0.9) == pytest.approx(20.0)
    sizes = unwind_sizes(100.0, 90.0, 0.2)
    assert (sizes.flash, sizes.withdraw, sizes.kept) == pytest.approx((18.0, 20.0, 2.0))


def test_a_loop_under_water_at_its_exit_rate_is_refused_with_both_numbers() -> None:
    with pytest.raises(ValueError, match=r"100 ETH of collateral must be sold at 0\.9 to repay 90, 99 can be"):
        unwind_sizes(99.0, 90.0, 1.0, exit_rate=0.9)
    with pytest.raises(ValueError, match="add equity from outside"):
        delever_sizes(100.0, 93.0, 0.9, exit_rate=0.9)


@pytest.mark.parametrize("ltv", [-0.1, 1.0, 1.2])
def test_an_ltv_outside_its_range_is_refused(ltv: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        one_shot_loop(1.0, ltv)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share is"):
        unwind_sizes(10.0, 5.0, share)


def test_a_rate_of_nothing_and_a_health_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="exit rate is 0"):
        unwind_sizes(10.0, 5.0, 0.5, exit_rate=0.0)
    with pytest.raises(ValueError, match="health factor is 0"):
        liquidation_distance_lending(0.0)


def test_a_held_loop_is_its_collateral_less_its_debt() -> None:
    sizes = one_shot_loop(7.0, 0.9)
    expected = sizes.supply * 1.03 * 1.001 - sizes.borrow * 1.025
    held = held_loop_equity(7.0, 0.9, rate_growth=1.03, supply_growth=1.001, borrow_growth=1.025)
    assert held == pytest.approx(expected)


@settings(max_examples=100)
@given(ratio=st.floats(0.05, 3.0), maintenance=st.floats(0.004, 0.04), short=st.booleans())
def test_after_the_distance_of_a_perp_margin_equals_maintenance(ratio: float, maintenance: float, short: bool) -> None:
    size, mark = (-2.0 if short else 2.0), 40_000.0
    distance = liquidation_distance_perp(size, ratio, maintenance)
    if distance == inf:
        assert not short
        assert ratio * 2.0 * mark - 2.0 * mark >= 0.0
        return
    price = mark * (1.0 + distance if short else 1.0 - distance)
    balance = ratio * 2.0 * mark + linear_upnl(size, mark, price)
    assert balance == pytest.approx(maintenance * 2.0 * price, abs=1e-6)


@settings(max_examples=100)
@given(ratio=st.floats(0.05, 3.0), maintenance=st.floats(0.004, 0.04), short=st.booleans())
def test_after_the_distance_of_an_inverse_perp_margin_equals_maintenance(
    ratio: float, maintenance: float, short: bool
) -> None:
    notional, mark = (-50_000.0 if short else 50_000.0), 40_000.0
    distance = liquidation_distance_inverse(notional, ratio, maintenance)
    if distance == inf:
        assert short
        assert ratio * abs(notional) / mark + inverse_upnl(notional, mark, 1e15) > 0.0 or ratio == 1.0
        return
    price = mark * (1.0 + distance if short else 1.0 - distance)
    balance = ratio * abs(notional) / mark + inverse_upnl(notional, mark, price)
    assert balance == pytest.approx(maintenance * abs(notional) / price, abs=1e-9)


def test_collateral_that_falls_by_the_distance_has_health_one() -> None:
    assert liquidation_distance_lending(1.25) == pytest.approx(0.2)
    assert liquidation_distance_lending(inf) == 1.0
    assert liquidation_distance_lending(0.8) < 0.0
    assert liquidation_distance_perp(0.0, 1.0, 0.01) == liquidation_distance_inverse(0.0, 1.0, 0.01) == inf
