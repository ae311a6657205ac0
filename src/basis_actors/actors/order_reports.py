"""Defines how what goes wrong with orders is logged: each by itself, but for what passes and meets many of them."""

from __future__ import annotations

from basis_actors.actors.recurring import Recurring
from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor
from basis_actors.messages.orders import Order
from basis_actors.times import utc_from_ns

__all__ = ["OrderReports"]


class OrderReports:
    """Logs on behalf of `actor`."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._kept_back = Recurring()
        """What passes and keeps orders from their venues: a ban meets every order of every tick that it lasts."""

    def say(self, order: Order, code: str, text: str, *, passes: bool = False) -> None:
        """Log what is wrong; what passes is said once, and then from time to time with how often it was."""
        if passes:
            count = self._kept_back.note(order.venue, code)
            if count is None:
                return
            text = text if count == 1 else f"{text}; the {count}th order there that this happens to"
        self._log(order, code, f"{order.operation} {order.operation_id} on {order.venue}: {text}", passes=passes)

    def goes_on(self, order: Order) -> None:
        """An order is done: how many were kept from its venue before it, where it was more than was said."""
        for code, count in self._kept_back.is_over(order.venue).items():
            if count > 1:
                text = f"{order.venue} takes orders again; {count} were kept back before {order.operation_id}"
                self._log(order, code, text, passes=True)

    def _log(self, order: Order, code: str, text: str, *, passes: bool) -> None:
        actor = self._actor
        actor.log(error_event(utc_from_ns(actor.now), actor.name, code, text, order.operation_id, passes=passes))
