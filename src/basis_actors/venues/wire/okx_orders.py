"""Sends, cancels and finds orders on OKX, and reads the account's trades. Sizes on the wire are contracts.

An order is only acknowledged when it is sent; what became of it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from basis_actors.errors import AuthFailed, Transient
from basis_actors.messages.exchange import OrderReport, OrderState, OrderTicket, TimeInForce, VenueFill
from basis_actors.venues.wire.acknowledged import acknowledged
from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.exact import plain_text, require_sense, require_whole
from basis_actors.venues.wire.okx_endpoints import CANCEL, FILLS, FILLS_OF_MONTHS, FIND, OPEN_ORDERS, PLACE
from basis_actors.venues.wire.okx_markets import KIND, Listing, Markets, pair_of
from basis_actors.venues.wire.okx_pages import pages
from basis_actors.venues.wire.okx_rows import Acknowledged, FillRow, OrderRow
from basis_actors.venues.wire.rows import number

__all__ = ["OkxOrders"]

_NS_PER_MS: Final = 1_000_000
_RECENT_MS: Final = 71 * 3_600_000
"""How far back recent trades are listed, three days, less an hour."""
_NO_SUCH_ORDER: Final = frozenset({"51603"})
_NOTHING_TO_CANCEL: Final = frozenset({"51400", "51401", "51402", "51410", "51603"})
_STATES: Final = {
    "live": OrderState.OPEN,
    "partially_filled": OrderState.PARTIALLY_FILLED,
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELLED,
    "mmp_canceled": OrderState.CANCELLED,
}


class OkxOrders:
    """Orders and trades of all configured markets."""

    def __init__(self, caller: Caller, markets: Markets) -> None:
        self._caller = caller
        self._markets = markets

    def require_room(self, tickets: Sequence[OrderTicket]) -> None:
        """Whether orders like these would be sent now. Raises Transient as `Caller.require_room`."""
        self._caller.require_room((PLACE, ticket.reduce_only) for ticket in tickets)

    async def place(self, ticket: OrderTicket) -> OrderReport:
        """Send an order, once. It is checked against lot and tick first: what does not fit is not sent."""
        listing = self._markets.listing(ticket.pair)
        require_sense(ticket, spot=False)
        require_whole(ticket, await self._markets.filters(ticket.pair))
        params = _parameters(ticket, listing, await self._markets.contract(listing.symbol))
        rows = await self._caller.ask(PLACE, params, tuple[Acknowledged, ...], urgent=ticket.reduce_only)
        if [row.cl_ord_id for row in rows] != [ticket.client_id]:
            named = [row.cl_ord_id for row in rows]
            raise self._caller.unreadable(PLACE, f"it is about orders {named}, not {ticket.client_id}")
        return await self._now(ticket) or acknowledged(ticket, rows[0].ord_id, await self._caller.now_ns())

    async def cancel(self, pair: str, client_id: str) -> None:
        """Ask for the end of an order; one that is gone already is no error."""
        params = {"instId": self._markets.listing(pair).symbol, "clOrdId": client_id}
        await self._caller.find(CANCEL, params, tuple[Acknowledged, ...], absent=_NOTHING_TO_CANCEL, urgent=True)

    async def order(self, pair: str, client_id: str) -> OrderReport | None:
        """What the exchange says of an order; None when it knows none of that id.

        One that was cancelled before anything was filled is forgotten after two hours.
        """
        return await self._find(pair, {"clOrdId": client_id})

    async def order_by_number(self, pair: str, venue_order_id: str) -> OrderReport | None:
        """The order that a trade belongs to; None when the exchange knows none of that number."""
        return await self._find(pair, {"ordId": venue_order_id})

    async def open_orders(self) -> tuple[OrderReport, ...]:
        """Every open order in the configured markets; one in an unknown state counts, as it may have to be ended."""
        found: list[OrderReport] = []
        for listing in self._markets.all:
            params = {"instType": KIND, "instId": listing.symbol}
            rows = pages(
                self._caller,
                OPEN_ORDERS,
                params,
                OrderRow,
                name=lambda row: row.ord_id,
                after=lambda row: row.ord_id,
                urgent=True,
            )
            found += [await self._report(OPEN_ORDERS, row, OrderState.OPEN) async for row in rows]
        return tuple(report for report in found if not report.has_ended)

    async def fills(self, pair: str, since_ns: int) -> tuple[VenueFill, ...]:
        """Every trade of the account in a market from `since_ns` on, oldest first."""
        listing = self._markets.listing(pair)
        unit = await self._markets.contract(listing.symbol)
        since_ms = -(-since_ns // _NS_PER_MS)
        now_ms = await self._caller.now_ns() // _NS_PER_MS
        endpoint = FILLS if now_ms - since_ms < _RECENT_MS else FILLS_OF_MONTHS
        params = {"instType": KIND, "instId": listing.symbol, "begin": str(since_ms - 1)}
        rows = pages(
            self._caller,
            endpoint,
            params,
            FillRow,
            name=lambda row: row.bill_id,
            after=lambda row: row.bill_id,
            urgent=True,
        )
        trades = [row async for row in rows if row.traded_ms >= since_ms and row.inst_id == listing.symbol]
        trades.sort(key=lambda row: (row.traded_ms, row.bill_id))
        return tuple(self._fill(endpoint, listing, row, unit) for row in trades)

    async def _now(self, ticket: OrderTicket) -> OrderReport | None:
        """What the exchange says of an order that it has just taken, if it says anything yet."""
        try:
            return await self.order(ticket.pair, ticket.client_id)
        except (Transient, AuthFailed):
            # The order is there; that it could not be looked at must not look as if it were not.
            return None

    async def _find(self, pair: str, name: dict[str, str]) -> OrderReport | None:
        listing = self._markets.listing(pair)
        params = {"instId": listing.symbol, **name}
        rows = await self._caller.find(FIND, params, tuple[OrderRow, ...], absent=_NO_SUCH_ORDER, urgent=True)
        for row in rows or ():
            names = {"clOrdId": row.cl_ord_id, "ordId": row.ord_id}
            if row.inst_id == listing.symbol and name.items() <= names.items():
                return await self._report(FIND, row)
        return None

    def _fill(self, endpoint: Endpoint, listing: Listing, row: FillRow, unit: Decimal) -> VenueFill:
        if row.side not in ("buy", "sell") or not row.trade_id:
            raise self._caller.unreadable(endpoint, f"trade {row.bill_id}: {row.side!r}, {row.trade_id!r}")
        return VenueFill(
            trade_id=row.trade_id,
            pair=listing.pair,
            client_id=row.cl_ord_id,
            venue_order_id=row.ord_id,
            buys=row.side == "buy",
            amount=row.fill_sz * unit,
            price=row.fill_px,
            fee=-row.fee,
            fee_currency=row.fee_ccy,
            time_ns=row.traded_ms * _NS_PER_MS,
        )

    async def _report(self, endpoint: Endpoint, row: OrderRow, unknown: OrderState | None = None) -> OrderReport:
        state = _STATES.get(row.state, unknown)
        if state is None or row.side not in ("buy", "sell"):
            text = f"order {row.cl_ord_id or row.ord_id}: {row.state!r}, {row.side!r}"
            raise self._caller.unreadable(endpoint, text)
        unit = await self._markets.contract(row.inst_id)
        return OrderReport(
            client_id=row.cl_ord_id,
            venue_order_id=row.ord_id,
            pair=pair_of(row.inst_id),
            buys=row.side == "buy",
            state=state,
            amount=row.sz * unit,
            filled=row.acc_fill_sz * unit,
            average_price=number(row.avg_px) if row.acc_fill_sz else None,
            updated_ns=row.u_time * _NS_PER_MS,
        )


def _parameters(ticket: OrderTicket, listing: Listing, unit: Decimal) -> dict[str, str | int | bool]:
    params: dict[str, str | int | bool] = {
        "instId": listing.symbol,
        "tdMode": "cross",
        "side": "buy" if ticket.buys else "sell",
        "ordType": "market",
        "sz": plain_text(ticket.amount / unit),
        "clOrdId": ticket.client_id,
    }
    if ticket.reduce_only:
        params["reduceOnly"] = True
    if ticket.limit is None:
        return params
    waits = "ioc" if ticket.time_in_force is TimeInForce.IOC else "limit"
    return params | {"ordType": "post_only" if ticket.post_only else waits, "px": plain_text(ticket.limit)}
