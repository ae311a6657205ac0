"""Sends, cancels and finds orders on Binance, and reads the account's trades."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from basis_actors.messages.exchange import OrderReport, OrderState, OrderTicket, VenueFill
from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.binance_endpoints import SPOT, Family
from basis_actors.venues.wire.binance_markets import Listing, Markets
from basis_actors.venues.wire.binance_rows import Confirmation, OrderRow, TradeRow
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.exact import plain_text, require_sense, require_whole

__all__ = ["BinanceOrders"]

_NS_PER_MS: Final = 1_000_000
_PAGE: Final = 1000
"""Most trades of one answer."""
_NO_SUCH_ORDER: Final = frozenset({"-2013"})
_NOTHING_TO_CANCEL: Final = frozenset({"-2011", "-2013"})
_ZERO: Final = Decimal(0)
_STATES: Final = {
    "NEW": OrderState.OPEN,
    "PENDING_NEW": OrderState.OPEN,
    "PARTIALLY_FILLED": OrderState.PARTIALLY_FILLED,
    "PENDING_CANCEL": OrderState.PARTIALLY_FILLED,
    "FILLED": OrderState.FILLED,
    "CANCELED": OrderState.CANCELLED,
    "EXPIRED": OrderState.CANCELLED,
    "EXPIRED_IN_MATCH": OrderState.CANCELLED,
    "REJECTED": OrderState.REJECTED,
    "NEW_INSURANCE": OrderState.OPEN,
    "NEW_ADL": OrderState.OPEN,
}
"""Liquidations and deleveraging are orders of the exchange in the account's name."""


class BinanceOrders:
    """Orders and trades of all configured markets."""

    def __init__(self, caller: Caller, markets: Markets) -> None:
        self._caller = caller
        self._markets = markets

    def require_room(self, tickets: Sequence[OrderTicket]) -> None:
        """Whether orders like these would be sent now. Raises Transient as `Caller.require_room`."""
        listings = [(ticket, self._markets.listing(ticket.pair)) for ticket in tickets]
        self._caller.require_room((listing.family.place, _is_urgent(ticket, listing)) for ticket, listing in listings)

    async def place(self, ticket: OrderTicket) -> OrderReport:
        """Send an order, once. It is checked against lot and tick first: what does not fit is not sent."""
        listing = self._markets.listing(ticket.pair)
        require_sense(ticket, spot=listing.family is SPOT)
        require_whole(ticket, await self._markets.filters(ticket.pair))
        unit = await self._markets.contract(listing.family, listing.symbol)
        endpoint = listing.family.place
        urgent = _is_urgent(ticket, listing)
        row = await self._caller.ask(endpoint, _parameters(ticket, listing, unit), OrderRow, urgent=urgent)
        if (row.client_order_id, row.symbol) != (ticket.client_id, listing.symbol):
            raise self._caller.unreadable(
                endpoint, f"it is about order {row.client_order_id!r} on {row.symbol}, not {ticket.client_id}"
            )
        return await self._report(endpoint, listing.family, row)

    async def cancel(self, pair: str, client_id: str) -> None:
        """Ask for the end of an order; one that is gone already is no error."""
        listing = self._markets.listing(pair)
        params = {"symbol": listing.symbol, "origClientOrderId": client_id}
        endpoint = listing.family.cancel
        await self._caller.find(endpoint, params, Confirmation, absent=_NOTHING_TO_CANCEL, urgent=True)

    async def order(self, pair: str, client_id: str) -> OrderReport | None:
        """What the exchange says of an order; None when it knows none of that id."""
        listing = self._markets.listing(pair)
        params = {"symbol": listing.symbol, "origClientOrderId": client_id}
        endpoint = listing.family.find
        row = await self._caller.find(endpoint, params, OrderRow, absent=_NO_SUCH_ORDER, urgent=True)
        # By the id that was asked for: a cancel may give an order another one.
        return None if row is None else replace(await self._report(endpoint, listing.family, row), client_id=client_id)

    async def order_by_number(self, pair: str, venue_order_id: str) -> OrderReport | None:
        """The order that a trade belongs to; None when the exchange knows none of that number."""
        listing = self._markets.listing(pair)
        params = {"symbol": listing.symbol, "orderId": venue_order_id}
        endpoint = listing.family.find
        row = await self._caller.find(endpoint, params, OrderRow, absent=_NO_SUCH_ORDER, urgent=True)
        return None if row is None else await self._report(endpoint, listing.family, row)

    async def open_orders(self) -> tuple[OrderReport, ...]:
        """Every open order in the configured markets; one in an unknown state counts, as it may have to be ended."""
        found = []
        for family in self._markets.families:
            for listing in self._markets.of(family):
                params = {"symbol": listing.symbol}
                rows = await self._caller.ask(family.open_orders, params, tuple[OrderRow, ...], urgent=True)
                found += [await self._report(family.open_orders, family, row, OrderState.OPEN) for row in rows]
        return tuple(found)

    async def fills(self, pair: str, since_ns: int) -> tuple[VenueFill, ...]:
        """Every trade of the account in a market from `since_ns` on, oldest first."""
        listing = self._markets.listing(pair)
        unit = await self._markets.contract(listing.family, listing.symbol)
        since_ms = -(-since_ns // _NS_PER_MS)
        trades = sorted(await self._trades(listing, since_ms), key=lambda row: (row.time, row.id))
        return tuple(self._fill(listing, row, unit) for row in trades if row.time >= since_ms)

    async def _trades(self, listing: Listing, since_ms: int) -> list[TradeRow]:
        """Look for the first trade through windows of time, which may be short, then go on from its id."""
        family = listing.family
        now_ms = await self._caller.now_ns() // _NS_PER_MS
        begin = since_ms
        while True:
            end = begin + family.trades_window_ms
            params = {"startTime": str(begin)}
            if end <= now_ms:
                params["endTime"] = str(end - 1)
            page = await self._page(listing, params)
            if page or end > now_ms:
                break
            begin = end
        found = list(page)
        while page and (len(page) == _PAGE or end <= now_ms):
            first = max(row.id for row in page) + 1
            page = await self._page(listing, {"fromId": str(first)})
            if any(row.id < first for row in page):
                raise self._caller.unreadable(family.trades, f"trades from {first} on were asked for, not earlier ones")
            found += page
            end = now_ms + 1
        return found

    async def _page(self, listing: Listing, params: dict[str, str]) -> tuple[TradeRow, ...]:
        params = {"symbol": listing.symbol, "limit": str(_PAGE), **params}
        return await self._caller.ask(listing.family.trades, params, tuple[TradeRow, ...], urgent=True)

    def _fill(self, listing: Listing, row: TradeRow, unit: Decimal) -> VenueFill:
        buys = row.is_buyer if row.is_buyer is not None else row.buyer
        if buys is None:
            raise self._caller.unreadable(listing.family.trades, f"trade {row.id} does not say whether it buys")
        return VenueFill(
            trade_id=str(row.id),
            pair=listing.pair,
            client_id=None,
            venue_order_id=str(row.order_id),
            buys=buys,
            amount=row.qty * unit,
            price=row.price,
            fee=row.commission,
            fee_currency=row.commission_asset,
            time_ns=row.time * _NS_PER_MS,
        )

    async def _report(
        self, endpoint: Endpoint, family: Family, row: OrderRow, unknown: OrderState | None = None
    ) -> OrderReport:
        state = _STATES.get(row.status, unknown)
        time_ms = row.update_time or row.transact_time
        if state is None or row.side not in ("BUY", "SELL") or time_ms is None:
            raise self._caller.unreadable(endpoint, f"order {row.client_order_id}: {row.status}, {row.side}, {time_ms}")
        if state is OrderState.PARTIALLY_FILLED and not row.executed_qty:
            state = OrderState.OPEN
        unit = await self._markets.contract(family, row.symbol)
        return OrderReport(
            client_id=row.client_order_id,
            venue_order_id=str(row.order_id),
            pair=self._markets.pair_of(family, row.symbol),
            buys=row.side == "BUY",
            state=state,
            amount=row.orig_qty * unit,
            filled=row.executed_qty * unit,
            average_price=_average(row),
            updated_ns=time_ms * _NS_PER_MS,
        )


def _is_urgent(ticket: OrderTicket, listing: Listing) -> bool:
    """Whether an order may use what is reserved: it only reduces.

    A spot account holds no debt, so selling from it only ever brings it nearer to cash.
    """
    return ticket.reduce_only or (listing.family is SPOT and not ticket.buys)


def _average(row: OrderRow) -> Decimal | None:
    """What was paid over what was filled, where the exchange says what was paid; its own average is rounded."""
    if not row.executed_qty:
        return None
    paid = row.cummulative_quote_qty or row.cum_quote
    if paid:
        return paid / row.executed_qty
    return row.avg_price or None


def _parameters(ticket: OrderTicket, listing: Listing, unit: Decimal) -> dict[str, str]:
    params = {
        "symbol": listing.symbol,
        "side": "BUY" if ticket.buys else "SELL",
        "type": "MARKET",
        "quantity": plain_text(ticket.amount / unit),
        "newClientOrderId": ticket.client_id,
        "newOrderRespType": listing.family.answer,
    }
    if ticket.reduce_only:
        params["reduceOnly"] = "true"
    if ticket.limit is None:
        return params
    params |= {"type": "LIMIT", "price": plain_text(ticket.limit)}
    if ticket.post_only and listing.family is SPOT:
        # A type of its own there, which takes no time in force.
        params["type"] = "LIMIT_MAKER"
    else:
        params["timeInForce"] = "GTX" if ticket.post_only else ticket.time_in_force.upper()
    return params
