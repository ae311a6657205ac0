"""Brings an OKX account into the state that trading needs, or says why it cannot be brought there.

Net positions, because the ledger knows one position a market; the futures account mode, where the currency of the
contract alone is collateral, because the ledger counts no other. Cross margin is said with each order.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from basis_actors.errors import AuthFailed, Rejected
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.okx_endpoints import CONFIG, LEVERAGE, SET_LEVERAGE, SET_POSITION_MODE
from basis_actors.venues.wire.okx_markets import Listing, Markets
from basis_actors.venues.wire.okx_rows import ConfigRow, Confirmation, LeverageRow

__all__ = ["OkxSetup"]

_FUTURES: Final = "2"
_MODES: Final = {"1": "spot mode", _FUTURES: "futures mode", "3": "multi-currency margin", "4": "portfolio margin"}
_NET: Final = "net_mode"
_CROSS: Final = "cross"


class OkxSetup:
    """Checks key and account, and sets what may be set."""

    def __init__(self, caller: Caller, markets: Markets, identified: Callable[[str], object]) -> None:
        """`identified` is told what the exchange calls the account."""
        self._caller = caller
        self._markets = markets
        self._identified = identified

    async def prepare(self, leverage: dict[str, int]) -> None:
        """Raises AuthFailed VEN-005 for a key that may not trade, Rejected VEN-001 for an account that stays unfit."""
        await self._caller.read_clock()
        config = await self._config()
        self._identified(config.uid)
        if "trade" not in config.perm.split(","):
            text = f"okx: the key may {config.perm or 'do nothing'}; grant it trade where it was made"
            raise AuthFailed("VEN-005", text)
        if config.acct_lv != _FUTURES:
            mode = _MODES.get(config.acct_lv, config.acct_lv)
            text = f"okx: the account is in {mode}; set {_MODES[_FUTURES]}, where {_CROSS} margin is in one currency"
            raise Rejected("VEN-001", text)
        await self._markets.refresh()
        for listing in self._markets.all:
            await self._markets.filters(listing.pair)
        if config.pos_mode != _NET:
            await self._caller.ask(SET_POSITION_MODE, {"posMode": _NET}, tuple[Confirmation, ...])
            mode = (await self._config()).pos_mode
            if mode != _NET:
                raise Rejected("VEN-001", f"okx: the account keeps {mode} although {_NET} was set")
        for pair, times in leverage.items():
            await self._require_leverage(self._markets.listing(pair), times)

    async def _config(self) -> ConfigRow:
        rows = await self._caller.ask(CONFIG, {}, tuple[ConfigRow, ...])
        if len(rows) != 1:
            raise self._caller.unreadable(CONFIG, f"it has {len(rows)} rows, one was expected")
        return rows[0]

    async def _require_leverage(self, listing: Listing, times: int) -> None:
        if await self._leverage(listing) == times:
            return
        params = {"instId": listing.symbol, "lever": str(times), "mgnMode": _CROSS}
        await self._caller.ask(SET_LEVERAGE, params, tuple[Confirmation, ...])
        found = await self._leverage(listing)
        if found != times:
            text = f"is at leverage {found}; {times} was set and expected"
            raise Rejected("VEN-001", f"okx: {listing.pair} {text}")

    async def _leverage(self, listing: Listing) -> Decimal:
        params = {"instId": listing.symbol, "mgnMode": _CROSS}
        rows = await self._caller.ask(LEVERAGE, params, tuple[LeverageRow, ...])
        for row in rows:
            if (row.inst_id, row.mgn_mode) == (listing.symbol, _CROSS):
                return row.lever
        raise self._caller.unreadable(LEVERAGE, f"it says nothing of {listing.symbol}")
