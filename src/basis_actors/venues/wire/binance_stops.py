"""Places, cancels and finds what Binance calls conditional orders: kept apart from orders, and each to become one.

A stop closes the whole position (`closePosition`) and watches the mark price, whatever is added to the position or
taken off it meanwhile. Binance keeps one such stop-loss and one such take-profit for a direction.
"""

from __future__ import annotations

from typing import Final

from basis_actors.errors import LevelPassed, Rejected
from basis_actors.messages.stops import StopKind, StopReport, StopState, StopTicket
from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.binance_endpoints import Stops
from basis_actors.venues.wire.binance_markets import Listing, Markets
from basis_actors.venues.wire.binance_rows import Confirmation, StopRow
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.exact import plain_text

__all__ = ["BinanceStops"]

_NO_SUCH_STOP: Final = frozenset({"-2013"})
_NOTHING_TO_CANCEL: Final = frozenset({"-2011", "-2013"})
_BEYOND_LEVEL: Final = frozenset({"-2021"})
_TYPES: Final = {StopKind.STOP_LOSS: "STOP_MARKET", StopKind.TAKE_PROFIT: "TAKE_PROFIT_MARKET"}
_STATES: Final = {
    "NEW": StopState.WAITING,
    "TRIGGERING": StopState.FIRED,
    "TRIGGERED": StopState.FIRED,
    "FINISHED": StopState.FIRED,
    "CANCELED": StopState.GONE,
    "EXPIRED": StopState.GONE,
    "REJECTED": StopState.GONE,
}
"""One that was rejected had met its trigger and was refused as an order."""


class BinanceStops:
    """Stops of the configured perpetuals that are margined in USDT."""

    def __init__(self, caller: Caller, markets: Markets) -> None:
        self._caller = caller
        self._markets = markets

    async def place(self, ticket: StopTicket) -> StopReport:
        """Have a stop kept, sent once. What is no price of the market is not sent: Rejected EXEC-004.

        Raises LevelPassed EXEC-004 for one that would fire at once."""
        listing, stops = self._kept_for(ticket.pair)
        tick = (await self._markets.filters(ticket.pair)).tick
        if not ticket.trigger.is_finite() or ticket.trigger <= 0 or ticket.trigger % tick:
            text = f"trigger {ticket.trigger} is no whole number of ticks of {tick}"
            raise Rejected("EXEC-004", f"stop {ticket.client_id} on {ticket.pair} was not sent: {text}")
        params = {
            "algoType": "CONDITIONAL",
            "symbol": listing.symbol,
            "side": "BUY" if ticket.buys else "SELL",
            "type": _TYPES[ticket.kind],
            "triggerPrice": plain_text(ticket.trigger),
            "workingType": "MARK_PRICE",
            "closePosition": "true",
            "clientAlgoId": ticket.client_id,
        }
        row = await self._caller.find(stops.place, params, StopRow, absent=_BEYOND_LEVEL, urgent=True)
        if row is None:
            text = f"stop {ticket.client_id} on {ticket.pair}: -2021 Order would immediately trigger"
            raise LevelPassed("EXEC-004", f"binance: {text}, as the mark is beyond {ticket.trigger}")
        if row.client_algo_id != ticket.client_id:
            text = f"it is about stop {row.client_algo_id!r}, not {ticket.client_id}"
            raise self._caller.unreadable(stops.place, text)
        return self._report(stops.place, listing, row)

    async def cancel(self, pair: str, client_id: str) -> None:
        """Ask for the end of a stop; one that is gone already is no error."""
        _, stops = self._kept_for(pair)
        params = {"clientAlgoId": client_id}
        await self._caller.find(stops.cancel, params, Confirmation, absent=_NOTHING_TO_CANCEL, urgent=True)

    async def stop(self, pair: str, client_id: str) -> StopReport | None:
        """What the exchange says of a stop; None when it knows none of that id."""
        listing, stops = self._kept_for(pair)
        params = {"clientAlgoId": client_id}
        row = await self._caller.find(stops.find, params, StopRow, absent=_NO_SUCH_STOP, urgent=True)
        return None if row is None else self._report(stops.find, listing, row)

    async def open(self) -> tuple[StopReport, ...]:
        """Everything that waits for a price in the configured perpetuals margined in USDT."""
        found: list[StopReport] = []
        for family in self._markets.families:
            stops = None if family.futures is None else family.futures.stops
            if stops is None:
                continue
            for listing in self._markets.of(family):
                rows = await self._caller.ask(stops.open, {"symbol": listing.symbol}, tuple[StopRow, ...], urgent=True)
                found += [self._report(stops.open, listing, row) for row in rows]
        return tuple(found)

    def _kept_for(self, pair: str) -> tuple[Listing, Stops]:
        """Raises Rejected VEN-004 for spot, which knows no position, and for COIN-M."""
        listing = self._markets.listing(pair)
        stops = None if listing.family.futures is None else listing.family.futures.stops
        if stops is None:
            raise Rejected("VEN-004", f"binance: no stops are kept in {pair}, only in perpetuals margined in USDT")
        return listing, stops

    def _report(self, endpoint: Endpoint, listing: Listing, row: StopRow) -> StopReport:
        state = _STATES.get(row.algo_status)
        if state is None or row.side not in ("BUY", "SELL"):
            raise self._caller.unreadable(endpoint, f"stop {row.client_algo_id}: {row.algo_status}, {row.side}")
        return StopReport(
            client_id=row.client_algo_id,
            venue_stop_id=str(row.algo_id),
            pair=listing.pair,
            buys=row.side == "BUY",
            trigger=row.trigger_price,
            state=state,
            venue_order_id=row.actual_order_id or None,
        )
