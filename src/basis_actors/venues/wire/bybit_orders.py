"""Sends, cancels and finds orders on Bybit, and reads the account's trades.

An order is only acknowledged when it is sent; what became of it is asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Final

from basis_actors.errors import AuthFailed, Transient
from basis_actors.messages.exchange import OrderReport, OrderState, OrderTicket, VenueFill
from basis_actors.venues.wire.acknowledged import acknowledged
from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.bybit_endpoints import CANCEL, EXECUTIONS, HISTORY, PLACE, REALTIME
from basis_actors.venues.wire.bybit_markets import QUOTE, Category, Listing, Markets, pair_of
from basis_actors.venues.wire.bybit_pages import pages, spans
from basis_actors.venues.wire.bybit_rows import Acknowledged, ExecutionRow, OrderRow, Page
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.exact import plain_text, require_sense, require_whole
from basis_actors.venues.wire.rows import number

__all__ = ["BybitOrders"]

_NS_PER_MS: Final = 1_000_000
_WEEK_MS: Final = 7 * 86_400_000
"""Longest span of one question for ended orders or trades."""
_WEEKS: Final = 4
"""How far back an order is looked for by its id."""
_ORDERS, _EXECUTIONS = 50, 100
"""Most rows of one answer."""
_GONE: Final = frozenset({"110001", "110008", "110010", "170139", "170142", "170143", "170190", "170213"})
"""Orders that do not exist, are filled or are cancelled."""
_NOT_TRADES: Final = frozenset({"Funding", "Settle"})
_TRADES: Final = frozenset({"Trade", "AdlTrade", "BustTrade", "BlockTrade", "MovePosition", "FutureSpread", "Delivery"})
_ZERO: Final = Decimal(0)
_STATES: Final = {
    "Created": OrderState.OPEN,
    "New": OrderState.OPEN,
    "Untriggered": OrderState.OPEN,
    "Triggered": OrderState.OPEN,
    "PartiallyFilled": OrderState.PARTIALLY_FILLED,
    "Filled": OrderState.FILLED,
    "PartiallyFilledCanceled": OrderState.CANCELLED,
    "Cancelled": OrderState.CANCELLED,
    "Deactivated": OrderState.CANCELLED,
    "Rejected": OrderState.REJECTED,
}


class BybitOrders:
    """Orders and trades of all configured markets."""

    def __init__(self, caller: Caller, markets: Markets) -> None:
        self._caller = caller
        self._markets = markets

    def require_room(self, tickets: Sequence[OrderTicket]) -> None:
        """Whether orders like these would be sent now. Raises Transient as `Caller.require_room`."""
        self._caller.require_room((PLACE, _is_urgent(each, self._markets.listing(each.pair))) for each in tickets)

    async def place(self, ticket: OrderTicket) -> OrderReport:
        """Send an order, once. It is checked against lot and tick first: what does not fit is not sent."""
        listing = self._markets.listing(ticket.pair)
        require_sense(ticket, spot=listing.category is Category.SPOT)
        require_whole(ticket, await self._markets.filters(ticket.pair))
        urgent = _is_urgent(ticket, listing)
        row = await self._caller.ask(PLACE, _parameters(ticket, listing), Acknowledged, urgent=urgent)
        if row.order_link_id != ticket.client_id:
            raise self._caller.unreadable(PLACE, f"it is about order {row.order_link_id!r}, not {ticket.client_id}")
        return await self._now(ticket) or acknowledged(ticket, row.order_id, await self._caller.now_ns())

    async def cancel(self, pair: str, client_id: str) -> None:
        """Ask for the end of an order; one that is gone already is no error."""
        params = {**self._markets.listing(pair).named, "orderLinkId": client_id}
        await self._caller.find(CANCEL, params, Acknowledged, absent=_GONE, urgent=True)

    async def order(self, pair: str, client_id: str) -> OrderReport | None:
        """What the exchange says of an order; None when it knows none of that id.

        Ended orders leave the list of current ones when it likes; the last weeks are in the history.
        """
        return await self._find(self._markets.listing(pair), {"orderLinkId": client_id})

    async def order_by_number(self, pair: str, venue_order_id: str) -> OrderReport | None:
        """The order that a trade belongs to; None when the exchange knows none of that number. Looks as `order`."""
        return await self._find(self._markets.listing(pair), {"orderId": venue_order_id})

    async def open_orders(self) -> tuple[OrderReport, ...]:
        """Every open order in the configured markets; one in an unknown state counts, as it may have to be ended."""
        found: list[OrderReport] = []
        for listing in self._markets.all:
            params = {**listing.named, "openOnly": "0", "limit": str(_ORDERS)}
            rows = pages(self._caller, REALTIME, params, Page[OrderRow], urgent=True)
            found += [self._report(REALTIME, listing.category, row, OrderState.OPEN) async for row in rows]
        return tuple(report for report in found if not report.has_ended)

    async def fills(self, pair: str, since_ns: int) -> tuple[VenueFill, ...]:
        """Every trade of the account in a market from `since_ns` on, oldest first."""
        listing = self._markets.listing(pair)
        since_ms = -(-since_ns // _NS_PER_MS)
        rows = [row async for row in self._executions(listing, since_ms)]
        trades = {row.exec_id: row for row in rows if row.exec_type not in _NOT_TRADES and row.exec_time >= since_ms}
        ordered = sorted(trades.values(), key=lambda row: (row.exec_time, row.exec_id))
        return tuple(self._fill(listing, row) for row in ordered)

    async def _executions(self, listing: Listing, since_ms: int) -> AsyncIterator[ExecutionRow]:
        now_ms = await self._caller.now_ns() // _NS_PER_MS
        for span in spans(since_ms, now_ms, _WEEK_MS):
            params = {**listing.named, **span, "limit": str(_EXECUTIONS)}
            async for row in pages(self._caller, EXECUTIONS, params, Page[ExecutionRow], urgent=True):
                yield row

    async def _now(self, ticket: OrderTicket) -> OrderReport | None:
        """What the exchange says of an order that it has just taken, if it says anything yet."""
        try:
            listing = self._markets.listing(ticket.pair)
            return await self._named(REALTIME, listing, {"orderLinkId": ticket.client_id}, {})
        except (Transient, AuthFailed):
            # The order is there; that it could not be looked at must not look as if it were not.
            return None

    async def _find(self, listing: Listing, name: dict[str, str]) -> OrderReport | None:
        found = await self._named(REALTIME, listing, name, {})
        now_ms = await self._caller.now_ns() // _NS_PER_MS
        for week in range(_WEEKS):
            if found is not None:
                break
            end = now_ms - week * _WEEK_MS
            found = await self._named(
                HISTORY, listing, name, {"startTime": str(end - _WEEK_MS + 1), "endTime": str(end)}
            )
        return found

    async def _named(
        self, endpoint: Endpoint, listing: Listing, name: dict[str, str], span: dict[str, str]
    ) -> OrderReport | None:
        params = {**listing.named, **name, **span}
        page = await self._caller.find(endpoint, params, Page[OrderRow], absent=_GONE, urgent=True)
        for row in page.list if page is not None else ():
            names = {"orderLinkId": row.order_link_id, "orderId": row.order_id}
            if row.symbol == listing.symbol and name.items() <= names.items():
                return self._report(endpoint, listing.category, row)
        return None

    def _fill(self, listing: Listing, row: ExecutionRow) -> VenueFill:
        fee = number(row.exec_fee) or _ZERO
        currency = row.fee_currency or ("" if listing.category is Category.SPOT else QUOTE)
        if row.exec_type not in _TRADES or row.side not in ("Buy", "Sell") or (fee and not currency):
            text = f"trade {row.exec_id}: {row.exec_type}, {row.side}, fee {row.exec_fee} {row.fee_currency!r}"
            raise self._caller.unreadable(EXECUTIONS, text)
        return VenueFill(
            trade_id=row.exec_id,
            pair=listing.pair,
            client_id=row.order_link_id,
            venue_order_id=row.order_id,
            buys=row.side == "Buy",
            amount=row.exec_qty,
            price=row.exec_price,
            fee=fee,
            fee_currency=currency or QUOTE,
            time_ns=row.exec_time * _NS_PER_MS,
        )

    def _report(
        self, endpoint: Endpoint, category: Category, row: OrderRow, unknown: OrderState | None = None
    ) -> OrderReport:
        state = _STATES.get(row.order_status, unknown)
        if state is None or row.side not in ("Buy", "Sell"):
            text = f"order {row.order_link_id or row.order_id}: {row.order_status}, {row.side}"
            raise self._caller.unreadable(endpoint, text)
        return OrderReport(
            client_id=row.order_link_id,
            venue_order_id=row.order_id,
            pair=pair_of(category, row.symbol),
            buys=row.side == "Buy",
            state=state,
            amount=row.qty,
            filled=row.cum_exec_qty,
            average_price=_average(row),
            updated_ns=row.updated_time * _NS_PER_MS,
        )


def _is_urgent(ticket: OrderTicket, listing: Listing) -> bool:
    """Whether an order may use what is reserved: it only reduces.

    Nothing is borrowed to sell on spot, so selling there only ever brings the account nearer to cash.
    """
    return ticket.reduce_only or (listing.category is Category.SPOT and not ticket.buys)


def _average(row: OrderRow) -> Decimal | None:
    """What was paid over what was filled; the exchange's own average is rounded."""
    if not row.cum_exec_qty:
        return None
    paid = number(row.cum_exec_value)
    return paid / row.cum_exec_qty if paid else number(row.avg_price)


def _parameters(ticket: OrderTicket, listing: Listing) -> dict[str, str | int | bool]:
    params: dict[str, str | int | bool] = {
        **listing.named,
        "side": "Buy" if ticket.buys else "Sell",
        "orderType": "Market",
        "qty": plain_text(ticket.amount),
        "orderLinkId": ticket.client_id,
        "timeInForce": "IOC",
    }
    if listing.category is Category.LINEAR:
        params["positionIdx"] = 0
    else:
        params["isLeverage"] = 0
    if ticket.reduce_only:
        params["reduceOnly"] = True
    if ticket.limit is not None:
        waits = "PostOnly" if ticket.post_only else ticket.time_in_force.upper()
        return params | {"orderType": "Limit", "price": plain_text(ticket.limit), "timeInForce": waits}
    if listing.category is Category.SPOT:
        # Without it a purchase is read as so much of the quote currency.
        params["marketUnit"] = "baseCoin"
    return params
