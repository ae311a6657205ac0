"""Brings a Binance account into the state that trading needs, or says why it cannot be brought there.

One-way positions, because the ledger knows one position a market; cross margin, because it knows one purse behind all
of them; collateral in the currency of the contract alone, for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from basis_actors.errors import AuthFailed, Rejected
from basis_actors.venues.wire.binance_endpoints import (
    INVERSE,
    KEY_RIGHTS,
    LINEAR,
    LINEAR_CONFIG,
    LINEAR_MARKETS_CONFIG,
    SPOT,
    SPOT_ACCOUNT,
    Family,
    Futures,
)
from basis_actors.venues.wire.binance_markets import Listing, Markets
from basis_actors.venues.wire.binance_rows import (
    AccountConfigRow,
    Confirmation,
    FuturesAccountRow,
    KeyRightsRow,
    MarketConfigRow,
    PositionModeRow,
    PositionRow,
    SpotAccountRow,
)
from basis_actors.venues.wire.caller import Caller

__all__ = ["BinanceSetup"]

_UNCHANGED: Final = frozenset({"-4046", "-4059"})
"""Margin mode and position mode that were so already."""
_CROSS: Final = frozenset({"cross", "crossed"})


class _Terms(msgspec.Struct, frozen=True):
    """How a perpetual is held."""

    cross: bool
    leverage: int


class BinanceSetup:
    """Checks key and account, and sets what may be set."""

    def __init__(self, caller: Caller, markets: Markets, identified: Callable[[str], object]) -> None:
        """`identified` is told what the exchange calls the account."""
        self._caller = caller
        self._markets = markets
        self._identified = identified

    async def prepare(self, leverage: dict[str, int]) -> None:
        """Raises AuthFailed VEN-005 for a key that may not trade, Rejected VEN-001 for an account that stays unfit."""
        await self._caller.read_clock()
        await self._require_rights()
        await self._markets.refresh()
        for family in self._markets.families:
            for listing in self._markets.of(family):
                await self._markets.filters(listing.pair)
            if family.futures is not None:
                await self._require_one_way(family.futures)
        if self._markets.of(LINEAR):
            await self._require_own_collateral()
        for pair, times in leverage.items():
            await self._require_leverage(self._markets.listing(pair), times)

    async def _require_rights(self) -> None:
        rights = await self._caller.ask(KEY_RIGHTS, {}, KeyRightsRow)
        needs_futures = any(family.futures for family in self._markets.families)
        missing = [
            name
            for name, granted in (
                ("reading", rights.enable_reading),
                ("spot trading", rights.enable_spot_and_margin_trading or not self._markets.of(SPOT)),
                ("futures", rights.enable_futures or not needs_futures),
            )
            if not granted
        ]
        if missing:
            text = f"binance: the key lacks the right to {', '.join(missing)}; grant it where the key was made"
            raise AuthFailed("VEN-005", text)
        shut = [str(family.wallet) for family in self._markets.families if not await self._may_trade(family)]
        if shut:
            raise AuthFailed("VEN-005", f"binance: the account may not trade {', '.join(shut)}; ask the exchange why")

    async def _may_trade(self, family: Family) -> bool:
        if family is SPOT:
            account = await self._caller.ask(SPOT_ACCOUNT, {"omitZeroBalances": "true"}, SpotAccountRow)
            self._identified(str(account.uid))
            return account.can_trade
        if family is LINEAR:
            return (await self._caller.ask(LINEAR_CONFIG, {}, AccountConfigRow)).can_trade
        assert family.futures is not None
        return bool((await self._caller.ask(family.futures.account, {}, FuturesAccountRow)).can_trade)

    async def _require_one_way(self, futures: Futures) -> None:
        ask = self._caller.ask
        if not (await ask(futures.position_mode, {}, PositionModeRow)).dual_side_position:
            return
        params = {"dualSidePosition": "false"}
        await self._caller.find(futures.set_position_mode, params, Confirmation, absent=_UNCHANGED)
        if (await ask(futures.position_mode, {}, PositionModeRow)).dual_side_position:
            raise Rejected("VEN-001", "binance: the account keeps two-way positions although one-way ones were set")

    async def _require_own_collateral(self) -> None:
        if (await self._caller.ask(LINEAR_CONFIG, {}, AccountConfigRow)).multi_assets_margin:
            text = "binance: the USD-M account is in multi-assets mode, where any token is collateral; set single-asset"
            raise Rejected("VEN-001", text)

    async def _require_leverage(self, listing: Listing, times: int) -> None:
        futures = listing.family.futures
        if futures is None:
            raise Rejected("VEN-001", f"binance: {listing.pair} is no perpetual and has no leverage")
        terms = await self._terms(listing, futures)
        if not terms.cross:
            params = {"symbol": listing.symbol, "marginType": "CROSSED"}
            await self._caller.find(futures.set_margin_mode, params, Confirmation, absent=_UNCHANGED)
        if terms.leverage != times:
            params = {"symbol": listing.symbol, "leverage": str(times)}
            await self._caller.ask(futures.set_leverage, params, Confirmation)
        if terms == _Terms(cross=True, leverage=times):
            return
        terms = await self._terms(listing, futures)
        if terms != _Terms(cross=True, leverage=times):
            mode = "cross" if terms.cross else "isolated"
            text = f"is at leverage {terms.leverage} with {mode} margin; {times} with cross margin was set and expected"
            raise Rejected("VEN-001", f"binance: {listing.pair} {text}")

    async def _terms(self, listing: Listing, futures: Futures) -> _Terms:
        if listing.family is INVERSE:
            rows = await self._caller.ask(futures.positions, {}, tuple[PositionRow, ...])
            for row in rows:
                if row.symbol == listing.symbol and row.margin_type is not None and row.leverage is not None:
                    return _Terms(row.margin_type.lower() in _CROSS, row.leverage)
            raise self._caller.unreadable(futures.positions, f"it says nothing of {listing.symbol}")
        params = {"symbol": listing.symbol}
        configs = await self._caller.ask(LINEAR_MARKETS_CONFIG, params, tuple[MarketConfigRow, ...])
        for config in configs:
            if config.symbol == listing.symbol:
                return _Terms(config.margin_type.lower() in _CROSS, config.leverage)
        raise self._caller.unreadable(LINEAR_MARKETS_CONFIG, f"it says nothing of {listing.symbol}")
