"""Defines which of Binance's markets a pair is, and what the exchange requires of an order there."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from basis_actors.errors import ConfigError, Rejected
from basis_actors.messages.exchange import MarketFilters
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.binance_endpoints import INVERSE, LINEAR, SPOT, Family
from basis_actors.venues.wire.binance_rows import FilterRow, LimitRow, MarketRow, RulesRow
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.rows import is_step

__all__ = ["Listing", "Markets", "listing_of"]

_QUOTE: Final = "USDT"
_INTERVALS: Final = {"SECOND": NS_PER_SECOND, "MINUTE": 60 * NS_PER_SECOND, "DAY": 86_400 * NS_PER_SECOND}
_OPEN: Final = "TRADING"
_NOTHING: Final = FilterRow(filter_type="")
_UNKNOWN_SYMBOL: Final = frozenset({"-1121"})
_ZERO, _ONE = Decimal(0), Decimal(1)


class Listing(msgspec.Struct, frozen=True):
    """A pair and the market that it is."""

    pair: str
    symbol: str
    """As Binance names it, within its family."""
    family: Family


def listing_of(pair: str) -> Listing:
    """The market of `BTC/USDT`, `BTC-PERP` or `BTCUSD-PERP`. Raises ConfigError CONFIG-004 for anything else."""
    base, slash, quote = pair.partition("/")
    if slash and base and quote == _QUOTE:
        return Listing(pair, f"{base}{quote}", SPOT)
    asset = pair.removesuffix("-PERP")
    if asset != pair and asset.endswith("USD") and len(asset) > len("USD"):
        return Listing(pair, f"{asset}_PERP", INVERSE)
    if asset not in (pair, "", "USD"):
        return Listing(pair, f"{asset}{_QUOTE}", LINEAR)
    raise ConfigError(
        "CONFIG-004", f"binance: no market is named {pair!r}; BTC/USDT, BTC-PERP or BTCUSD-PERP was expected"
    )


class Markets:
    """The configured markets. What the exchange requires is asked once, and again when somebody wants it fresh."""

    def __init__(self, caller: Caller, pairs: Iterable[str]) -> None:
        self._caller = caller
        self._by_pair = {pair: listing_of(pair) for pair in pairs}
        self._by_symbol = {(listing.family.wallet, listing.symbol): listing for listing in self._by_pair.values()}
        self._filters: dict[str, MarketFilters] = {}
        self._contracts: dict[str, Decimal] = {}

    @property
    def families(self) -> tuple[Family, ...]:
        """Those with a market here."""
        return tuple(family for family in (SPOT, LINEAR, INVERSE) if self.of(family))

    def of(self, family: Family) -> tuple[Listing, ...]:
        """Markets of one family."""
        return tuple(listing for listing in self._by_pair.values() if listing.family is family)

    def listing(self, pair: str) -> Listing:
        """The market of a pair. Raises Rejected VEN-004 for one that is not configured."""
        found = self._by_pair.get(pair)
        if found is None:
            known = ", ".join(self._by_pair)
            raise Rejected("VEN-004", f"binance: pair {pair!r} is not configured; there are: {known}")
        return found

    def pair_of(self, family: Family, symbol: str) -> str:
        """The pair of a market, configured or not; the exchange's own name of one that no pair can name."""
        if family is SPOT:
            base = symbol.removesuffix(_QUOTE)
            return symbol if base == symbol else f"{base}/{_QUOTE}"
        base = symbol.removesuffix("USD_PERP" if family is INVERSE else _QUOTE)
        return symbol if base == symbol else f"{base}{'USD' if family is INVERSE else ''}-PERP"

    async def contract(self, family: Family, symbol: str) -> Decimal:
        """What a unit on the wire is here: 1 base unit, of an inverse perpetual so many USD."""
        if family is not INVERSE:
            return _ONE
        if not self._contracts:
            await self.refresh()
        size = self._contracts.get(symbol)
        if size is None:
            raise self._caller.unreadable(family.rules, f"it says nothing of {symbol}, which the account has")
        return size

    async def filters(self, pair: str) -> MarketFilters:
        """What a market requires. Raises Rejected VEN-001 for one that the exchange does not have."""
        if pair not in self._filters:
            await self.refresh()
        found = self._filters.get(pair)
        if found is None:
            symbol = self.listing(pair).symbol
            raise Rejected("VEN-001", f"binance has no market {symbol} ({pair}); mend the configuration")
        return found

    async def refresh(self) -> dict[str, MarketFilters]:
        """Ask for what each market requires, and for the limits on requests. Markets that are not there are missing."""
        found: dict[str, MarketFilters] = {}
        contracts: dict[str, Decimal] = {}
        for family in self.families:
            for market in await self._rules(family):
                listing = self._by_symbol.get((family.wallet, market.symbol))
                if family is INVERSE:
                    contracts[market.symbol] = market.contract_size
                if listing is not None:
                    found[listing.pair] = self._filters_of(listing, market)
        self._filters, self._contracts = found, contracts
        return found

    async def _rules(self, family: Family) -> tuple[MarketRow, ...]:
        symbols = [listing.symbol for listing in self.of(family)]
        # Spot has thousands of markets and answers for those that are named; all others answer for all they have.
        named = family is SPOT
        rules = await self._ask_for_rules(family, symbols if named else [])
        if rules is not None:
            return rules
        # One of the names is unknown, and the exchange does not say which.
        single = [await self._ask_for_rules(family, [symbol]) for symbol in symbols]
        return tuple(market for markets in single if markets is not None for market in markets)

    async def _ask_for_rules(self, family: Family, symbols: list[str]) -> tuple[MarketRow, ...] | None:
        params = {"symbols": msgspec.json.encode(symbols).decode()} if symbols else {}
        rules = await self._caller.find(family.rules, params, RulesRow, absent=_UNKNOWN_SYMBOL)
        if rules is None:
            return None
        self._take_limits(family, rules.rate_limits)
        return rules.symbols

    def _take_limits(self, family: Family, limits: Iterable[LimitRow]) -> None:
        for limit in limits:
            if limit.rate_limit_type == "REQUEST_WEIGHT" and limit.interval in _INTERVALS and limit.is_one:
                length_ns = _INTERVALS[limit.interval] * limit.interval_num
                self._caller.budget.set_limit(family.host, limit.limit, length_ns)

    def _filters_of(self, listing: Listing, market: MarketRow) -> MarketFilters:
        """Amounts in base units, of an inverse perpetual in USD."""
        rows = {row.filter_type: row for row in market.filters}
        size, price = rows.get("LOT_SIZE", _NOTHING), rows.get("PRICE_FILTER", _NOTHING)
        at_market, value = rows.get("MARKET_LOT_SIZE", _NOTHING), rows.get("NOTIONAL") or rows.get("MIN_NOTIONAL")
        unit = market.contract_size
        if size.min_qty is None or unit <= 0 or not (is_step(size.step_size) and is_step(price.tick_size)):
            raise self._caller.unreadable(listing.family.rules, f"{market.symbol} has no contract, no lot or no tick")
        return MarketFilters(
            pair=listing.pair,
            lot=max(size.step_size, at_market.step_size or _ZERO) * unit,
            tick=price.tick_size,
            min_amount=max(size.min_qty, at_market.min_qty or _ZERO) * unit,
            max_market_amount=at_market.max_qty * unit if at_market.max_qty else None,
            min_notional=(value.min_notional or value.notional or _ZERO) if value else _ZERO,
            trading=(market.status or market.contract_status) == _OPEN,
        )
