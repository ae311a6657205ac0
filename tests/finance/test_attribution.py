"""The change of equity between two views is the sum of the components and the owner's flows, whatever happened.

Books, markets and settlements are drawn at random, and equity is computed from the balance sheet alone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.finance.attribution import PricedBook, attribute
from basis_actors.finance.ledger import book_settlement
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import FundingStamp, MarketState, PerpQuote, ReserveState, StakingQuote

NOW = datetime(2024, 1, 1, tzinfo=UTC)
PERP = "binance:PerpPosition:ETH-PERP"
MARGIN = "binance:Margin:USDT"
TOKENS = ("wallet:BaseToken:USDT", "binance:BaseToken:ETH", "transit:BaseToken:USDT")
LENT = ("aave:aToken:aUSDT", "aave:aToken:aweETH", "aave:debtToken:debtWETH")

prices = st.floats(1500.0, 4500.0)
amounts = st.floats(0.0, 1e5)
growth = st.floats(0.999, 1.01)


def market(spot: float, mark: float, index: float, rate: float, funding: tuple[FundingStamp, ...] = ()) -> MarketState:
    reserve = ReserveState(index, index * 1.01, 0.05, 0.06, 0.8, True)
    return MarketState(
        timestamp=NOW,
        ns=0,
        prices={"USDT": 1.0, "ETH": spot},
        stale_prices=(),
        spot={},
        perps={"binance:ETH-PERP": PerpQuote(mark, True, mark, True, mark, mark)},
        funding=funding,
        funding_missed={},
        reserves={"USDT": reserve, "WETH": reserve, "weETH": reserve},
        staking={"weETH": StakingQuote(rate, None, True, False)},
        oracle_usd={},
        gas=None,
    )


def equity(book: PricedBook) -> float:
    return value_book(book.positions, book.entries, book.market, book.prices).equity


@given(
    currency=st.sampled_from(["USDT", "ETH"]),
    held=st.tuples(amounts, st.floats(0.0, 30.0), amounts, amounts, st.floats(0.0, 30.0), st.floats(0.0, 20.0)),
    size=st.floats(-20.0, 20.0).filter(lambda size: abs(size) > 1e-3),
    spots=st.tuples(prices, prices),
    premium=st.tuples(st.floats(-0.01, 0.01), st.floats(-0.01, 0.01)),
    interest=growth,
    rates=st.tuples(st.floats(1.0, 1.05), st.floats(0.999, 1.002)),
    funding=st.floats(-0.01, 0.01),
    fill=st.tuples(st.floats(-5.0, 5.0).filter(lambda size: abs(size) > 1e-3), st.floats(0.99, 1.01)),
    fee=st.floats(0.0, 50.0),
    flow=st.floats(-9e3, 1e4),
)
def test_components_and_flows_explain_the_change_of_equity(
    currency: str,
    held: tuple[float, ...],
    size: float,
    spots: tuple[float, float],
    premium: tuple[float, float],
    interest: float,
    rates: tuple[float, float],
    funding: float,
    fill: tuple[float, float],
    fee: float,
    flow: float,
) -> None:
    marks = tuple(spot * (1.0 + gap) for spot, gap in zip(spots, premium, strict=True))
    stamp = FundingStamp(0, "binance:ETH-PERP", funding, marks[1])
    first = market(spots[0], marks[0], 1.05, rates[0])
    second = market(spots[1], marks[1], 1.05 * interest, rates[0] * rates[1], (stamp,))
    positions = dict(zip(TOKENS + LENT, held, strict=True)) | {PERP: size, MARGIN: 1e5}
    entries = {PERP: spots[0]}
    before = PricedBook(positions, entries, first, share_class_prices(first, currency))

    settled: list[Settlement] = []

    def settle(source: DeltaSource, *deltas: PositionDelta) -> None:
        nonlocal positions, entries
        settled.append(Settlement(source, NOW, "d", len(settled), deltas))
        positions, entries = book_settlement(settled[-1], positions, entries)

    for key in LENT:
        if positions[key]:
            settle(DeltaSource.ACCRUAL, PositionDelta(key, positions[key] * (interest - 1.0)))
    settle(DeltaSource.FUNDING, PositionDelta(MARGIN, -size * marks[1] * funding, funding))
    quantity, at = fill[0], marks[1] * fill[1]
    closed = min(abs(quantity), abs(size)) * (1.0 if size > 0 else -1.0) if size * quantity < 0 else 0.0
    realised = closed * (at - spots[0])
    settle(DeltaSource.EXECUTION, PositionDelta(PERP, quantity, at), PositionDelta(MARGIN, realised))
    bought, paid = 0.5, spots[1] * fill[1]
    settle(
        DeltaSource.DEPOSIT,
        PositionDelta("wallet:BaseToken:USDT", 1e4 + flow),
    )
    settle(
        DeltaSource.EXECUTION,
        PositionDelta("binance:BaseToken:ETH", bought, paid),
        PositionDelta(MARGIN, -bought * paid),
    )
    settle(DeltaSource.FEE, PositionDelta(MARGIN, -fee))
    settle(DeltaSource.GAS, PositionDelta("gas:Payable:USDT", -fee / 2.0))
    settle(
        DeltaSource.TRANSFER,
        PositionDelta("wallet:BaseToken:USDT", -100.0),
        PositionDelta("transit:BaseToken:USDT", 100.0),
    )

    after = PricedBook(positions, entries, second, share_class_prices(second, currency))
    step = attribute(before, after, settled)
    change = equity(after) - equity(before)
    size_of_book = fsum(abs(worth) for worth in value_book(positions, entries, second, after.prices).values.values())
    assert step.explained() + step.flows == pytest.approx(
        change, abs=1e-11 * (size_of_book + 1e6 * after.prices["USDT"])
    )
    assert fsum(step.by_venue.values()) == pytest.approx(step.explained(), abs=1e-9 * size_of_book)
    assert fsum(step.by_asset.values()) == pytest.approx(step.explained(), abs=1e-9 * size_of_book)


def test_a_short_receives_positive_funding() -> None:
    stamp = FundingStamp(0, "binance:ETH-PERP", 0.0001, 2000.0)
    first, second = market(2000.0, 2000.0, 1.0, 1.0), market(2000.0, 2000.0, 1.0, 1.0, (stamp,))
    book = {PERP: -3.0, MARGIN: 1000.0}
    before = PricedBook(book, {PERP: 2000.0}, first, first.prices)
    after = PricedBook(book, {PERP: 2000.0}, second, second.prices)
    assert attribute(before, after, ()).components["funding"] == pytest.approx(3.0 * 2000.0 * 0.0001)


def test_a_liquidation_books_the_close_and_the_fee_and_nothing_else() -> None:
    """A short of 1 at 2000 is closed at 2900 while the bar then closes at 2800; the fee is 29."""
    first, second = market(2000.0, 2000.0, 1.0, 1.0), market(2800.0, 2800.0, 1.0, 1.0)
    held = {PERP: -1.0, MARGIN: 1000.0}
    closing = Settlement(
        DeltaSource.LIQUIDATION,
        NOW,
        "binance",
        0,
        (PositionDelta(PERP, 1.0, 2900.0), PositionDelta(MARGIN, -900.0), PositionDelta(MARGIN, -29.0)),
    )
    positions, entries = book_settlement(closing, held, {PERP: 2000.0})
    before = PricedBook(held, {PERP: 2000.0}, first, first.prices)
    after = PricedBook(positions, entries, second, second.prices)
    step = attribute(before, after, (closing,))
    assert step.components["liquidation"] == pytest.approx(-(2900.0 - 2800.0) - 29.0)
    assert step.components["price"] == pytest.approx(-800.0)
    assert step.explained() == pytest.approx(equity(after) - equity(before))


def test_a_booking_that_its_formula_does_not_know_stays_unexplained() -> None:
    """Interest booked twice over is in equity, and not in the component."""
    first, second = market(2000.0, 2000.0, 1.0, 1.0), market(2000.0, 2000.0, 1.01, 1.0)
    held = {"aave:aToken:aUSDT": 1000.0}
    booked = {"aave:aToken:aUSDT": 1020.0}
    before = PricedBook(held, {}, first, first.prices)
    after = PricedBook(booked, {}, second, second.prices)
    step = attribute(before, after, ())
    assert step.components["lending"] == pytest.approx(10.0)
    assert equity(after) - equity(before) - step.explained() == pytest.approx(10.0)


def test_an_adjustment_of_a_perp_that_nobody_follows_is_worth_nothing() -> None:
    """As it counts as nothing in the valuation: the owner has traded where the strategy does not."""
    key = "bybit:PerpPosition:SOL-PERP"
    before = PricedBook({}, {}, market(100.0, 100.0, 1.0, 1.0), {"USDT": 1.0})
    after = PricedBook({key: 1.0}, {key: 150.0}, market(100.0, 100.0, 1.0, 1.0), {"USDT": 1.0})
    settlement = Settlement(DeltaSource.ADJUSTMENT, NOW, "bybit", 0, (PositionDelta(key, 1.0, 150.0),), None)
    step = attribute(before, after, (settlement,))
    assert step.explained() == equity(after) - equity(before) == 0.0
