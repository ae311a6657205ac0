"""Defines what is in transit and where it goes: the ledger says only how much of each token is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from basis_actors.actors.order_limits import target_of
from basis_actors.finance.keys import parse_key
from basis_actors.messages.book import PositionsView, Trigger
from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.orders import Order

__all__ = ["UnderWay"]


class UnderWay:
    """Follows transfers that were let through from their settlement to their arrival.

    What an earlier process sent is not known here.
    """

    def __init__(self) -> None:
        self._targets: dict[str, str] = {}
        """Of transfers that were let through and not settled yet, by operation id."""
        self._moving: dict[str, tuple[str, str, float]] = {}
        """Venue, token and amount of those that have left, by operation id."""

    def expect(self, orders: Sequence[Order]) -> None:
        """Note where orders go that may be sent now."""
        for order in orders:
            target = target_of(order)
            if target is not None:
                self._targets[order.operation_id] = target

    def take(self, view: PositionsView) -> None:
        """Note what has left and what has arrived."""
        if not self._targets and not self._moving:
            return
        for settlement in view.settlements:
            name = settlement.operation_id
            if name is None or settlement.source is not DeltaSource.TRANSFER:
                continue
            for delta in settlement.deltas:
                info = parse_key(delta.position_key)
                if info.venue != "transit":
                    continue
                if delta.delta_amount > 0.0 and name in self._targets:
                    self._moving[name] = (self._targets.pop(name), info.symbol, delta.delta_amount)
                elif delta.delta_amount < 0.0:
                    self._moving.pop(name, None)
        if self._targets and view.trigger is Trigger.TICK:
            # A tick begins when every order of the one before has ended.
            self._targets.clear()

    def by_venue(self) -> Mapping[str, Mapping[str, float]]:
        """Tokens by the venue that they will arrive at."""
        found: dict[str, dict[str, float]] = {}
        for venue, token, amount in self._moving.values():
            tokens = found.setdefault(venue, {})
            tokens[token] = tokens.get(token, 0.0) + amount
        return found
