"""Defines which of Bybit's markets a pair is, and what the exchange requires of an order there."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from basis_actors.errors import ConfigError, Rejected
from basis_actors.messages.exchange import MarketFilters
from basis_actors.venues.wire.bybit_endpoints import RULES
from basis_actors.venues.wire.bybit_rows import MarketRow, Page
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.rows import is_step, number

__all__ = ["QUOTE", "Category", "Listing", "Markets", "listing_of", "pair_of"]

QUOTE: Final = "USDT"
_OPEN: Final = "Trading"
_UNKNOWN_SYMBOL: Final = frozenset({"10001"})
"""As for any parameter that is wrong; the symbol is the only one here that can be."""
_ZERO: Final = Decimal(0)


class Category(StrEnum):
    """Markets that are served alike."""

    SPOT = "spot"
    LINEAR = "linear"


class Listing(msgspec.Struct, frozen=True):
    """A pair and the market that it is."""

    pair: str
    symbol: str
    """As Bybit names it, within its category."""
    category: Category

    @property
    def named(self) -> dict[str, str]:
        """How it is named in a request."""
        return {"category": self.category.value, "symbol": self.symbol}


def listing_of(pair: str) -> Listing:
    """The market of `BTC/USDT` or `BTC-PERP`. Raises ConfigError CONFIG-004 for anything else."""
    base, slash, quote = pair.partition("/")
    if slash and base and quote == QUOTE:
        return Listing(pair, f"{base}{QUOTE}", Category.SPOT)
    asset = pair.removesuffix("-PERP")
    if asset not in (pair, "") and not asset.endswith("USD"):
        return Listing(pair, f"{asset}{QUOTE}", Category.LINEAR)
    raise ConfigError("CONFIG-004", f"bybit: no market is named {pair!r}; BTC/USDT or BTC-PERP was expected")


def pair_of(category: Category, symbol: str) -> str:
    """The pair of a market, configured or not; the exchange's own name of one that no pair can name."""
    base = symbol.removesuffix(QUOTE)
    if base == symbol:
        return symbol
    return f"{base}/{QUOTE}" if category is Category.SPOT else f"{base}-PERP"


class Markets:
    """The configured markets. What the exchange requires is asked once, and again when somebody wants it fresh."""

    def __init__(self, caller: Caller, pairs: Iterable[str]) -> None:
        self._caller = caller
        self._by_pair = {pair: listing_of(pair) for pair in pairs}
        self._filters: dict[str, MarketFilters] = {}

    @property
    def all(self) -> tuple[Listing, ...]:
        """Every configured market."""
        return tuple(self._by_pair.values())

    def of(self, category: Category) -> tuple[Listing, ...]:
        """Markets of one category."""
        return tuple(listing for listing in self.all if listing.category is category)

    def listing(self, pair: str) -> Listing:
        """The market of a pair. Raises Rejected VEN-004 for one that is not configured."""
        found = self._by_pair.get(pair)
        if found is None:
            known = ", ".join(self._by_pair)
            raise Rejected("VEN-004", f"bybit: pair {pair!r} is not configured; there are: {known}")
        return found

    async def filters(self, pair: str) -> MarketFilters:
        """What a market requires. Raises Rejected VEN-001 for one that the exchange does not have."""
        if pair not in self._filters:
            await self.refresh()
        found = self._filters.get(pair)
        if found is None:
            symbol = self.listing(pair).symbol
            raise Rejected("VEN-001", f"bybit has no market {symbol} ({pair}) at present; mend the configuration")
        return found

    async def refresh(self) -> dict[str, MarketFilters]:
        """Ask for what each market requires. Markets that are not there are missing."""
        found: dict[str, MarketFilters] = {}
        for listing in self.all:
            page = await self._caller.find(RULES, listing.named, Page[MarketRow], absent=_UNKNOWN_SYMBOL)
            for row in page.list if page is not None else ():
                if row.symbol == listing.symbol:
                    found[listing.pair] = self._filters_of(listing, row)
        self._filters = found
        return found

    def _filters_of(self, listing: Listing, row: MarketRow) -> MarketFilters:
        lots = row.lot_size_filter
        spot = listing.category is Category.SPOT
        lot, tick = number(lots.base_precision if spot else lots.qty_step), number(row.price_filter.tick_size)
        if not (is_step(lot) and is_step(tick)):
            raise self._caller.unreadable(RULES, f"{row.symbol} has no lot or no tick")
        return MarketFilters(
            pair=listing.pair,
            lot=lot,
            tick=tick,
            # Spot has given up its own minimum for the value of the order.
            min_amount=lot if spot else max(number(lots.min_order_qty) or _ZERO, lot),
            max_market_amount=number(lots.max_market_order_qty if spot else lots.max_mkt_order_qty) or None,
            min_notional=number(lots.min_order_amt if spot else lots.min_notional_value) or _ZERO,
            trading=row.status == _OPEN,
        )
