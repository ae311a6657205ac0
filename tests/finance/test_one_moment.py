"""A book is judged at prices of one moment, however old some of those it is valued at are."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.finance.test_valuation import market as base_market

from basis_actors.finance.one_moment import equity_of_one_moment
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.book import PositionsView, TickStarted, Trigger
from basis_actors.messages.market import MarketState, PerpQuote

SPOT, CASH = "binance:BaseToken:BTC", "binance:BaseToken:USDT"
NEAR, FAR = "binance:PerpPosition:BTC-PERP", "bybit:PerpPosition:BTC-PERP"
HEDGED = {SPOT: 1.0, CASH: 50_000.0, NEAR: -0.5, FAR: -0.5}


def market(spot: float, near: float, far: float, *, old: tuple[str, ...] = ()) -> MarketState:
    """BTC at three prices; `old` names those that are: spot, near, far."""
    perps = {
        name: PerpQuote(mark, where not in old, mark, where not in old, mark, mark)
        for where, name, mark in (("near", "binance:BTC-PERP", near), ("far", "bybit:BTC-PERP", far))
    }
    stale = ("BTC",) if "spot" in old else ()
    return replace(base_market(btc=spot), perps=perps, stale_prices=stale)


def view(state: MarketState, positions: dict[str, float] = HEDGED, currency: str = "USDT") -> PositionsView:
    """Shorts that were opened at 40,000."""
    prices = share_class_prices(state, currency)
    entries = {key: 40_000.0 for key in positions if "Perp" in key}
    valuation = value_book(positions, entries, state, prices)
    return PositionsView(TickStarted(0, state), Trigger.TICK, positions, entries, (), prices, valuation)


def test_where_everything_is_fresh_it_is_equity() -> None:
    book = view(market(44_000.0, 44_010.0, 43_990.0))
    assert book.valuation.fresh
    assert equity_of_one_moment(book, "USDT") == book.valuation.equity


@pytest.mark.parametrize("price", [36_000.0, 44_000.0])
@pytest.mark.parametrize("old", [("far",), ("near", "far"), ("spot",), ("spot", "near")])
def test_a_hedge_gains_and_loses_nothing_by_an_old_price(price: float, old: tuple[str, ...]) -> None:
    """All of it was worth 90,000 at 40,000, and is still whatever BTC has done meanwhile."""
    there = {where: 40_000.0 if where in old else price for where in ("spot", "near", "far")}
    book = view(market(**there, old=old))
    assert abs(book.valuation.equity - 90_000.0) >= 2_000.0
    assert not book.valuation.fresh
    assert equity_of_one_moment(book, "USDT") == pytest.approx(90_000.0)


def test_where_nothing_is_fresh_the_last_prices_count() -> None:
    book = view(market(44_000.0, 43_000.0, 42_000.0, old=("spot", "near", "far")))
    assert not book.valuation.fresh
    assert equity_of_one_moment(book, "USDT") == book.valuation.equity


def test_it_is_counted_in_the_share_class() -> None:
    book = view(market(44_000.0, 44_000.0, 40_000.0, old=("far",)), currency="BTC")
    assert equity_of_one_moment(book, "BTC") == pytest.approx(90_000.0 / 44_000.0)


def test_old_prices_of_what_is_not_held_and_of_rewards_do_not_matter() -> None:
    state = market(44_000.0, 44_000.0, 44_000.0)
    state = replace(state, stale_prices=("ETH", "EIGEN", "oracle:WETH"))
    assert view(state, {SPOT: 1.0, "wallet:BaseToken:EIGEN": 5.0}).valuation.fresh


def test_a_perpetual_that_nobody_quotes_is_not_fresh() -> None:
    state = replace(market(44_000.0, 44_000.0, 44_000.0), perps={})
    book = view(state)
    assert not book.valuation.fresh
    assert equity_of_one_moment(book, "USDT") == pytest.approx(94_000.0)
