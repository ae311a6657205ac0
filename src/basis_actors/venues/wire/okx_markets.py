"""Defines which of OKX's perpetuals a pair is, what a contract of it is, and what the exchange requires of an order."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from basis_actors.errors import ConfigError, Rejected
from basis_actors.messages.exchange import MarketFilters
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.okx_endpoints import RULES
from basis_actors.venues.wire.okx_rows import MarketRow
from basis_actors.venues.wire.rows import is_step, number

__all__ = ["KIND", "QUOTE", "Listing", "Markets", "listing_of", "pair_of"]

KIND: Final = "SWAP"
QUOTE: Final = "USDT"
_SUFFIX: Final = f"-{QUOTE}-{KIND}"
_OPEN: Final = "live"
_UNKNOWN_SYMBOL: Final = frozenset({"51001"})
_ZERO: Final = Decimal(0)


class Listing(msgspec.Struct, frozen=True):
    """A pair and the market that it is."""

    pair: str
    symbol: str
    """As OKX names it."""


def listing_of(pair: str) -> Listing:
    """The market of `BTC-PERP`. Raises ConfigError CONFIG-004 for anything else."""
    asset = pair.removesuffix("-PERP")
    if asset not in (pair, "") and not asset.endswith("USD"):
        return Listing(pair, f"{asset}{_SUFFIX}")
    raise ConfigError("CONFIG-004", f"okx: no market is named {pair!r}; BTC-PERP was expected")


def pair_of(symbol: str) -> str:
    """The pair of a market, configured or not; the exchange's own name of one that no pair can name."""
    base = symbol.removesuffix(_SUFFIX)
    return symbol if base == symbol else f"{base}-PERP"


class Markets:
    """The configured markets. What the exchange requires is asked once, and again when somebody wants it fresh."""

    def __init__(self, caller: Caller, pairs: Iterable[str]) -> None:
        self._caller = caller
        self._by_pair = {pair: listing_of(pair) for pair in pairs}
        self._filters: dict[str, MarketFilters] = {}
        self._contracts: dict[str, Decimal] = {}

    @property
    def all(self) -> tuple[Listing, ...]:
        """Every configured market."""
        return tuple(self._by_pair.values())

    def listing(self, pair: str) -> Listing:
        """The market of a pair. Raises Rejected VEN-004 for one that is not configured."""
        found = self._by_pair.get(pair)
        if found is None:
            known = ", ".join(self._by_pair)
            raise Rejected("VEN-004", f"okx: pair {pair!r} is not configured; there are: {known}")
        return found

    async def contract(self, symbol: str, kind: str = KIND) -> Decimal:
        """What a contract is, base units. Raises Transient where the exchange does not say."""
        if symbol not in self._contracts:
            row = await self._row(symbol, kind)
            if row is None:
                raise self._caller.unreadable(RULES, f"it says nothing of {symbol}, which the account has")
            self._contracts[symbol] = _unit(row)
        return self._contracts[symbol]

    async def filters(self, pair: str) -> MarketFilters:
        """What a market requires. Raises Rejected VEN-001 for one that the exchange does not have."""
        if pair not in self._filters:
            await self.refresh()
        found = self._filters.get(pair)
        if found is None:
            symbol = self.listing(pair).symbol
            raise Rejected("VEN-001", f"okx has no market {symbol} ({pair}); mend the configuration")
        return found

    async def refresh(self) -> dict[str, MarketFilters]:
        """Ask for what each market requires. Markets that are not there are missing."""
        found: dict[str, MarketFilters] = {}
        for listing in self.all:
            row = await self._row(listing.symbol, KIND)
            if row is not None:
                found[listing.pair] = self._filters_of(listing, row)
                self._contracts[listing.symbol] = _unit(row)
        self._filters = found
        return found

    async def _row(self, symbol: str, kind: str) -> MarketRow | None:
        params = {"instType": kind, "instId": symbol}
        rows = await self._caller.find(RULES, params, tuple[MarketRow, ...], absent=_UNKNOWN_SYMBOL)
        for row in rows or ():
            if row.inst_id == symbol:
                has_unit = row.ct_val > 0 and row.ct_mult > 0
                if not (has_unit and is_step(row.lot_sz * _unit(row)) and is_step(row.tick_sz)):
                    raise self._caller.unreadable(RULES, f"{symbol} has no contract, no lot or no tick")
                return row
        return None

    def _filters_of(self, listing: Listing, row: MarketRow) -> MarketFilters:
        """Amounts in base units."""
        if (row.ct_type, row.settle_ccy) != ("linear", QUOTE):
            text = f"{row.inst_id} is {row.ct_type} in {row.settle_ccy}; linear in {QUOTE} was expected"
            raise self._caller.unreadable(RULES, text)
        unit, most = _unit(row), number(row.max_mkt_sz)
        return MarketFilters(
            pair=listing.pair,
            lot=row.lot_sz * unit,
            tick=row.tick_sz,
            min_amount=row.min_sz * unit,
            max_market_amount=most * unit if most else None,
            min_notional=_ZERO,
            trading=row.state == _OPEN,
        )


def _unit(row: MarketRow) -> Decimal:
    return row.ct_val * row.ct_mult
