"""Cross margin: the price of liquidation against a search that knows no formula."""

import json
from math import inf
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from basis_actors.finance.contracts import INVERSE, LINEAR, Contract
from basis_actors.finance.margin import (
    Bracket,
    PathLeg,
    first_breach,
    initial_margin,
    inverse_liquidation_price,
    liquidate,
    liquidation_price,
    maintenance_margin,
)

BRACKETS = (
    Bracket(0.0, 300_000.0, 0.004, 0.0, 150.0),
    Bracket(300_000.0, 800_000.0, 0.005, 300.0, 100.0),
    Bracket(800_000.0, 3_000_000.0, 0.0065, 1_500.0, 75.0),
    Bracket(3_000_000.0, 12_000_000.0, 0.01, 12_000.0, 50.0),
)
sizes = st.floats(0.001, 150.0).flatmap(lambda size: st.sampled_from([size, -size]))
entries = st.floats(10_000.0, 70_000.0)


def surplus(cash: float, size: float, entry: float, price: float) -> float:
    return cash + size * (price - entry) - maintenance_margin(abs(size) * price, BRACKETS)


@given(st.floats(0.0, 2e7))
def test_maintenance_is_what_the_slices_of_the_brackets_add_up_to(notional: float) -> None:
    added = 0.0
    for row in BRACKETS:
        cap = inf if row is BRACKETS[-1] else row.cap
        added += max(0.0, min(notional, cap) - row.floor) * row.rate
    assert maintenance_margin(notional, BRACKETS) == pytest.approx(added, rel=1e-12, abs=1e-9)


def test_initial_margin_follows_the_leverage_of_the_bracket_and_ends_at_the_last_cap() -> None:
    assert initial_margin(150_000.0, BRACKETS) == 1_000.0
    assert initial_margin(500_000.0, BRACKETS) == 5_000.0
    assert initial_margin(12_000_001.0, BRACKETS) == inf


@given(st.floats(10.0, 1e6), sizes, entries)
def test_at_the_liquidation_price_balance_equals_maintenance(cash: float, size: float, entry: float) -> None:
    price = liquidation_price(cash, size, entry, BRACKETS)
    if price is None:
        assert size > 0.0
        assert all(surplus(cash, size, entry, mark) > 0.0 for mark in (1e-6, 1.0, entry))
        return
    scale = abs(size) * max(price, entry) + cash
    assert surplus(cash, size, entry, price) == pytest.approx(0.0, abs=1e-11 * scale)
    worse = price * (1.001 if size < 0.0 else 0.999)
    assert surplus(cash, size, entry, worse) < 0.0


@given(st.floats(1.0, 5.0), entries, st.floats(0.001, 5.0))
def test_a_short_in_the_first_bracket_has_the_textbook_price(leverage: float, entry: float, size: float) -> None:
    assume(size * entry * (1.0 + 1.0 / leverage) < 290_000.0)
    cash = size * entry / leverage
    expected = entry * (1.0 + 1.0 / leverage) / 1.004
    assert liquidation_price(cash, -size, entry, BRACKETS) == pytest.approx(expected, rel=1e-12)


def bisected(cash: float, legs: list[PathLeg]) -> float | None:
    def left(way: float) -> float:
        total = cash
        for leg in legs:
            price = leg.start + (leg.end - leg.start) * way
            total += leg.size * (price - leg.entry) - maintenance_margin(abs(leg.size) * price, BRACKETS)
        return total

    steps = 4000
    for step in range(steps + 1):
        if left(step / steps) <= 0.0:
            if step == 0:
                return 0.0
            low, high = (step - 1) / steps, step / steps
            for _ in range(60):
                middle = (low + high) / 2.0
                low, high = (low, middle) if left(middle) <= 0.0 else (middle, high)
            return high
    return None


legs = st.builds(PathLeg, sizes, entries, entries, entries, st.just(BRACKETS), st.just(LINEAR))


@given(st.floats(-1e4, 1e6), st.lists(legs, min_size=1, max_size=3))
def test_the_first_breach_on_the_way_is_found(cash: float, path: list[PathLeg]) -> None:
    found, searched = first_breach(cash, path), bisected(cash, path)
    if searched is None:
        assert found is None or found >= 0.0
        return
    assert found is not None
    assert found <= searched + 1e-6


@given(st.floats(10.0, 1e5), sizes, entries, st.floats(1.0, 3.0))
def test_one_leg_breaches_at_its_liquidation_price(cash: float, size: float, entry: float, reach: float) -> None:
    end = entry * reach if size < 0.0 else entry / reach
    way = first_breach(cash, [PathLeg(size, entry, entry, end, BRACKETS)])
    price = liquidation_price(cash, size, entry, BRACKETS)
    if way is None:
        assert price is None or (price > end if size < 0.0 else price < end)
    elif way > 0.0:
        assert entry + (end - entry) * way == pytest.approx(price, rel=1e-9)


@given(st.floats(0.0, 1e5), st.lists(st.tuples(sizes, entries, entries), min_size=1, max_size=3), st.floats(0.0, 0.05))
def test_a_liquidated_account_ends_at_zero_or_above_and_every_close_explains_its_loss(
    cash: float, positions: list[tuple[float, float, float]], fee_rate: float
) -> None:
    outcome = liquidate(cash, positions, fee_rate)
    scale = cash + sum(abs(size) * (entry + price) for size, entry, price in positions)
    left = cash + sum(close.realised for close in outcome.closes) - outcome.fee
    assert left >= -1e-12 * scale
    for (size, entry, price), close in zip(positions, outcome.closes, strict=True):
        assert size * (close.price - entry) == pytest.approx(close.realised, abs=1e-11 * scale)
        assert size * (close.price - price) >= -1e-12 * scale, "an effective price is never worse than the mark"
    notional = sum(abs(size) * price for size, _, price in positions)
    assert 0.0 <= outcome.fee <= notional * fee_rate * (1.0 + 1e-12)


def test_the_fee_takes_no_more_than_the_close_leaves() -> None:
    outcome = liquidate(1_000.0, [(-1.0, 40_000.0, 40_900.0)], 0.0125)
    assert outcome.closes[0] == (40_900.0, -900.0)
    assert outcome.fee == 100.0


def test_a_loss_beyond_the_cash_closes_at_the_bankruptcy_price_without_fee() -> None:
    outcome = liquidate(1_000.0, [(-1.0, 40_000.0, 42_000.0)], 0.0125)
    assert outcome.closes[0] == (41_000.0, -1_000.0)
    assert outcome.fee == 0.0


notionals = st.floats(100.0, 9e6).flatmap(lambda notional: st.sampled_from([notional, -notional]))


def coin_surplus(cash: float, notional: float, entry: float, price: float) -> float:
    """Margin balance less maintenance in coins, written out."""
    return cash + notional / entry - notional / price - maintenance_margin(abs(notional), BRACKETS) / price


@given(st.floats(0.01, 3.0), notionals, entries)
def test_an_inverse_position_is_liquidated_where_a_search_finds_it(share: float, notional: float, entry: float) -> None:
    cash = share * abs(notional) / entry
    price = inverse_liquidation_price(cash, notional, entry, BRACKETS)
    good, bad = (1e9, 1e-3) if notional > 0.0 else (1e-3, 1e9)
    if coin_surplus(cash, notional, entry, bad) > 0.0:
        assert notional < 0.0, "only a short can be covered by its coins"
        assert price is None or price >= 1e9
        return
    for _ in range(200):
        middle = (good * bad) ** 0.5
        good, bad = (good, middle) if coin_surplus(cash, notional, entry, middle) <= 0.0 else (middle, bad)
    assert price == pytest.approx(good, rel=1e-9)


def test_a_short_covered_by_its_coins_is_never_liquidated_and_a_long_always_may_be() -> None:
    assert inverse_liquidation_price(1.01, -40_000.0, 40_000.0, BRACKETS) is None
    assert inverse_liquidation_price(0.99, -40_000.0, 40_000.0, BRACKETS) == pytest.approx(40_000.0 * 0.996 / 0.01)
    # A long of 1 coin on 1 coin of margin halves its price: (N + M) / (2 coins).
    assert inverse_liquidation_price(1.0, 40_000.0, 40_000.0, BRACKETS) == pytest.approx(20_080.0)
    assert inverse_liquidation_price(-1.0, 40_000.0, 40_000.0, BRACKETS) is None


@given(st.floats(0.01, 3.0), notionals, entries, st.floats(1.0, 4.0))
def test_an_inverse_position_breaches_on_its_way_at_its_liquidation_price(
    share: float, notional: float, entry: float, reach: float
) -> None:
    cash = share * abs(notional) / entry
    end = entry / reach if notional > 0.0 else entry * reach
    way = first_breach(cash, [PathLeg(notional, entry, entry, end, BRACKETS, INVERSE)])
    price = inverse_liquidation_price(cash, notional, entry, BRACKETS)
    if way is None:
        assert price is None or (price < end if notional > 0.0 else price > end)
    elif way > 0.0:
        found = INVERSE.between(entry, end, way)
        assert found == pytest.approx(price, rel=1e-9)
        assert INVERSE.way_to(found, entry, end) == pytest.approx(way, rel=1e-6)


@given(st.floats(0.0, 1.5), notionals, entries, entries, st.floats(0.0, 0.05))
def test_a_liquidated_inverse_account_ends_at_zero_or_above(
    share: float, notional: float, entry: float, price: float, fee_rate: float
) -> None:
    cash = share * abs(notional) / max(entry, price)
    outcome = liquidate(cash, [(notional, entry, price)], fee_rate, INVERSE)
    (close,) = outcome.closes
    scale = abs(notional) / min(entry, price)
    assert cash + close.realised - outcome.fee >= -1e-12 * scale
    assert notional * (1.0 / entry - 1.0 / close.price) == pytest.approx(close.realised, abs=1e-11 * scale)
    assert 0.0 <= outcome.fee <= abs(notional) / price * fee_rate * (1.0 + 1e-12)


@pytest.mark.parametrize("contract", [LINEAR, INVERSE])
@given(size=sizes, entry=entries, mark=entries)
def test_closing_at_the_price_of_a_profit_brings_that_profit(
    contract: Contract, size: float, entry: float, mark: float
) -> None:
    profit = contract.upnl(size, entry, mark)
    assert contract.exit_price(size, entry, profit) == pytest.approx(mark, rel=1e-9)
    assert contract.notional(size, mark) * contract.per_quote(mark) == pytest.approx(
        abs(contract.exposure(size, mark)) * (mark if contract is LINEAR else 1.0)
    )


def test_the_published_table_is_continuous() -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / "risk" / "binance_margin.json"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    for rows in json.loads(path.read_text())["symbols"].values():
        table = [
            Bracket(
                row["notional_floor_usdt"],
                row["notional_cap_usdt"],
                row["maintenance_margin_rate"],
                row["maintenance_amount_usdt"],
                row["max_leverage"],
            )
            for row in rows
        ]
        for row in table[1:]:
            below = maintenance_margin(row.floor * (1.0 - 1e-12), table)
            assert maintenance_margin(row.floor, table) == pytest.approx(below, rel=1e-9)
