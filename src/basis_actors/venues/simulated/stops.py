"""Defines the take-profit and stop-loss that a simulated exchange keeps for an open position.

Both trigger on the mark. An order that opens a position or adds to one may bring them; those it brings replace those
that were there. They are gone when the position is closed or turned around, by whatever it was.
"""

from __future__ import annotations

from typing import NamedTuple

from basis_actors.messages.orders import Order
from basis_actors.venues.simulated.refusals import malformed, refused

__all__ = ["Stops", "stops_of"]


class Stops(NamedTuple):
    """What protects one position, as marks in USD per base unit."""

    entry_id: str
    """Operation id of the order that brought them."""
    stop_loss: float | None
    take_profit: float | None

    def stop_id(self) -> str:
        """Operation id of the fill of the stop-loss."""
        return f"{self.entry_id}-stop_loss"

    def target_id(self) -> str:
        """Operation id of the fill of the take-profit."""
        return f"{self.entry_id}-take_profit"


def stops_of(order: Order, size: float, mark: float, *, adds_risk: bool) -> Stops | None:
    """What an order that leaves a position of `size` brings to protect it; None when it brings nothing.

    Raises Rejected EXEC-003 for an order that only reduces, and EXEC-004 for a level that the mark has passed already.
    """
    if order.stop_loss is None and order.take_profit is None:
        return None
    if not adds_risk:
        raise malformed(order, "take_profit and stop_loss protect what an order opens; this one only reduces")
    below, above = (order.stop_loss, order.take_profit) if size > 0.0 else (order.take_profit, order.stop_loss)
    side = "long" if size > 0.0 else "short"
    for name, level, passed in (
        ("lower", below, below is not None and below >= mark),
        ("upper", above, above is not None and above <= mark),
    ):
        if passed:
            raise refused(
                order, f"the {name} level {level:.12g} of a {side} is passed already, the mark is {mark:.12g}"
            )
    return Stops(order.operation_id, order.stop_loss, order.take_profit)
