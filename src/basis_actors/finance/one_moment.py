"""Defines what a book is worth at prices of one moment, where some of those it is valued at are older than others.

A hedge whose legs are marked at different times shows gains and losses that nobody has.
"""

from __future__ import annotations

from msgspec.structs import replace

from basis_actors.finance.keys import REWARD_TOKENS, parse_key, perp_key
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.book import PositionsView
from basis_actors.messages.market import MarketState

__all__ = ["equity_of_one_moment"]


def equity_of_one_moment(book: PositionsView, currency: str) -> float:
    """Equity in the share class `currency` of a book of which not every price is fresh.

    A perpetual whose mark is old counts at the reference price of its asset, and an asset whose price is old at the
    mark of a perpetual; where there is nothing fresh, at its last price. Staking rates stand still while they are old
    and only ever grow, so they make no peak. Reward tokens are waited for by no limit.
    """
    market = book.tick.market
    assets = [asset for asset in market.stale_prices if asset in book.valuation.deltas and asset not in REWARD_TOKENS]
    perps = dict(market.perps)
    for info in map(parse_key, book.entries):
        assert info.perp is not None
        quote, price = perps.get(info.perp), _price(market, info.asset)
        if quote is not None and not quote.mark_fresh and price is not None:
            perps[info.perp] = replace(quote, mark=price)
    now = {asset: price for asset in assets if (price := _price(market, asset)) is not None}
    then = replace(market, perps=perps, prices={**market.prices, **now})
    return value_book(book.positions, book.entries, then, share_class_prices(then, currency)).equity


def _price(market: MarketState, asset: str) -> float | None:
    """A fresh price of an asset in USDT: the reference, else the first mark; None where neither is fresh."""
    if asset in market.prices and asset not in market.stale_prices:
        return market.prices[asset]
    for name, quote in market.perps.items():
        venue, _, pair = name.partition(":")
        if quote.mark is not None and quote.mark_fresh and parse_key(perp_key(venue, pair)).asset == asset:
            return quote.mark
    return None
