"""Defines what is known of an order that an exchange has taken and of which it says nothing else yet."""

from __future__ import annotations

from decimal import Decimal

from basis_actors.messages.exchange import OrderReport, OrderState, OrderTicket

__all__ = ["acknowledged"]


def acknowledged(ticket: OrderTicket, venue_order_id: str, now_ns: int) -> OrderReport:
    """An open order of which nothing is filled as far as anybody knows."""
    return OrderReport(
        client_id=ticket.client_id,
        venue_order_id=venue_order_id,
        pair=ticket.pair,
        buys=ticket.buys,
        state=OrderState.OPEN,
        amount=ticket.amount,
        filled=Decimal(0),
        average_price=None,
        updated_ns=now_ns,
    )
