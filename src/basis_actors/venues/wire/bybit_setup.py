"""Brings a Bybit account into the state that trading needs, or says why it cannot be brought there.

A unified account with one-way positions, because the ledger knows one position a market, and cross margin, because it
knows one purse behind all of them. Collateral in any token is part of a unified account; the ledger counts USDT only.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from basis_actors.errors import AuthFailed, Rejected
from basis_actors.venues.wire.bybit_endpoints import (
    ACCOUNT,
    KEY,
    POSITIONS,
    SET_LEVERAGE,
    SET_MARGIN_MODE,
    SET_POSITION_MODE,
)
from basis_actors.venues.wire.bybit_markets import Category, Listing, Markets
from basis_actors.venues.wire.bybit_rows import AccountRow, Confirmation, KeyRow, Page, PositionRow
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.rows import number

__all__ = ["BybitSetup"]

_CLASSIC: Final = 1
_CROSS: Final = "REGULAR_MARGIN"
_SAME_MODE: Final = frozenset({"110025"})
_SAME_LEVERAGE: Final = frozenset({"110043"})
"""Modes and leverage that were so already."""


class BybitSetup:
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
        await self._require_cross_margin()
        await self._markets.refresh()
        for listing in self._markets.all:
            await self._markets.filters(listing.pair)
        for listing in self._markets.of(Category.LINEAR):
            await self._require_one_way(listing)
        for pair, times in leverage.items():
            await self._require_leverage(self._markets.listing(pair), times)

    async def _require_rights(self) -> None:
        key = await self._caller.ask(KEY, {}, KeyRow)
        self._identified(str(key.user_id))
        rights = key.permissions
        needs_perps, needs_spot = (bool(self._markets.of(category)) for category in (Category.LINEAR, Category.SPOT))
        may_trade_perps = "Order" in rights.contract_trade or "DerivativesTrade" in rights.derivatives
        missing = [
            name
            for name, granted in (
                ("writing", not key.read_only),
                ("derivatives orders", may_trade_perps or not needs_perps),
                ("spot trading", "SpotTrade" in rights.spot or not needs_spot),
            )
            if not granted
        ]
        if missing:
            text = f"bybit: the key lacks the right to {', '.join(missing)}; grant it where the key was made"
            raise AuthFailed("VEN-005", text)

    async def _require_cross_margin(self) -> None:
        ask = self._caller.ask
        account = await ask(ACCOUNT, {}, AccountRow)
        if account.unified_margin_status <= _CLASSIC:
            raise Rejected("VEN-001", "bybit: the account is a classic one; upgrade it to a unified trading account")
        if account.margin_mode == _CROSS:
            return
        await ask(SET_MARGIN_MODE, {"setMarginMode": _CROSS}, Confirmation)
        mode = (await ask(ACCOUNT, {}, AccountRow)).margin_mode
        if mode != _CROSS:
            raise Rejected("VEN-001", f"bybit: the account keeps {mode} although {_CROSS} was set")

    async def _require_one_way(self, listing: Listing) -> None:
        if await self._is_one_way(listing):
            return
        params: dict[str, str | int | bool] = {**listing.named, "mode": 0}
        await self._caller.find(SET_POSITION_MODE, params, Confirmation, absent=_SAME_MODE)
        if not await self._is_one_way(listing):
            text = f"{listing.pair} keeps two-way positions although one-way ones were set"
            raise Rejected("VEN-001", f"bybit: {text}")

    async def _is_one_way(self, listing: Listing) -> bool:
        return all(row.position_idx == 0 for row in await self._rows(listing))

    async def _require_leverage(self, listing: Listing, times: int) -> None:
        if listing.category is Category.SPOT:
            raise Rejected("VEN-001", f"bybit: {listing.pair} is no perpetual and has no leverage")
        if await self._leverage(listing) == times:
            return
        params = {**listing.named, "buyLeverage": str(times), "sellLeverage": str(times)}
        await self._caller.find(SET_LEVERAGE, params, Confirmation, absent=_SAME_LEVERAGE)
        found = await self._leverage(listing)
        if found != times:
            text = f"is at leverage {found}; {times} was set and expected"
            raise Rejected("VEN-001", f"bybit: {listing.pair} {text}")

    async def _leverage(self, listing: Listing) -> Decimal | None:
        return number((await self._rows(listing))[0].leverage)

    async def _rows(self, listing: Listing) -> tuple[PositionRow, ...]:
        page = await self._caller.ask(POSITIONS, listing.named, Page[PositionRow])
        rows = tuple(row for row in page.list if row.symbol == listing.symbol)
        if not rows:
            raise self._caller.unreadable(POSITIONS, f"it says nothing of {listing.symbol}")
        return rows
