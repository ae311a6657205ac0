"""Defines what of an order is checked before it is sent, and how its numbers are written on the wire."""

from __future__ import annotations

from decimal import Decimal

from basis_actors.errors import Rejected
from basis_actors.messages.exchange import MarketFilters, OrderTicket, TimeInForce

__all__ = ["plain_text", "require_sense", "require_whole"]


def plain_text(value: Decimal) -> str:
    """Digits without an exponent and without zeros at the end, as exchanges read them."""
    if not value.is_finite():
        raise ValueError(f"{value} cannot be sent; a finite number was expected")
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def require_sense(ticket: OrderTicket, *, spot: bool) -> None:
    """Raise Rejected EXEC-003 for an order that contradicts itself or its market; nothing was sent."""
    problem = ""
    if ticket.reduce_only and spot:
        problem = "reduce-only is for perpetuals"
    elif ticket.post_only and ticket.limit is None:
        problem = "post-only is for limit orders"
    elif ticket.post_only and ticket.time_in_force is TimeInForce.IOC:
        problem = "post-only waits, immediate-or-cancel does not"
    if problem:
        raise Rejected("EXEC-003", f"order {ticket.client_id} on {ticket.pair} was not sent: {problem}")


def require_whole(ticket: OrderTicket, filters: MarketFilters) -> None:
    """Raise Rejected EXEC-004 for an order that the exchange would refuse for its size or price; nothing was sent."""
    problems = "; ".join(_problems(ticket, filters))
    if problems:
        raise Rejected("EXEC-004", f"order {ticket.client_id} on {ticket.pair} was not sent: {problems}")


def _problems(ticket: OrderTicket, filters: MarketFilters) -> list[str]:
    found = []
    amount, limit = ticket.amount, ticket.limit
    if not amount.is_finite() or amount <= 0 or amount % filters.lot:
        found.append(f"amount {amount} is no whole number of lots of {filters.lot}")
    elif amount < filters.min_amount and not ticket.reduce_only:
        found.append(f"amount {amount} is less than the least amount {filters.min_amount}")
    elif limit is None and filters.max_market_amount is not None and amount > filters.max_market_amount:
        found.append(f"amount {amount} is more than the largest market order {filters.max_market_amount}")
    if limit is not None and (not limit.is_finite() or limit <= 0 or limit % filters.tick):
        found.append(f"price {limit} is no whole number of ticks of {filters.tick}")
    return found
