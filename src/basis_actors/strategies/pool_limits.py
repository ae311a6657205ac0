"""Defines how a strategy knows what lending pools have for it: it takes all that it wants out of one, or waits.

A venue refuses more than its pool has, so an order for more would only come back as a failure, at every tick anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from basis_actors.config import FlashVenue, LendingVenue, RunConfig
from basis_actors.finance.lending import pool_room, withdrawn_beyond
from basis_actors.messages.execution import DeltaSource, Settlement
from basis_actors.messages.orders import OperationType, Order
from basis_actors.strategies.base import Situation
from basis_actors.strategies.chain_terms import ledger_name, reserve_name
from basis_actors.strategies.found import Found

__all__ = ["PoolLimits"]

_TAKES = (OperationType.BORROW, OperationType.WITHDRAW)
_GIVES = (OperationType.REPAY, OperationType.SUPPLY)


class PoolLimits:
    """What the pools of a run have for it. Its memory is what the run has withdrawn beyond its own supply."""

    def __init__(self, run: RunConfig) -> None:
        self._lent: dict[str, tuple[str, ...]] = {}
        """Reserves that are lent on, by venue; collateral of an isolated market is lent to nobody."""
        for name, venue in run.venues.items():
            if isinstance(venue, LendingVenue):
                self._lent[name] = tuple(venue.reserves)
            elif isinstance(venue, FlashVenue):
                self._lent[name] = tuple(loan for _, loan in venue.pairs)
        self._ledger = {name: ledger_name(run, name) for name in self._lent}
        self._withdrawn = {
            f"{self._ledger[name]}:aToken:a{token}": 0.0 for name, lent in self._lent.items() for token in lent
        }

    def see(self, settlements: Iterable[Settlement]) -> None:
        """Take note of what orders have supplied and withdrawn."""
        for settlement in settlements:
            if settlement.source is not DeltaSource.EXECUTION:
                continue
            for delta in settlement.deltas:
                if (before := self._withdrawn.get(delta.position_key)) is not None:
                    self._withdrawn[delta.position_key] = withdrawn_beyond(before, delta.delta_amount)

    def lacks(self, situation: Situation, venue: str, token: str, amount: float) -> str | None:
        """Why `amount` tokens cannot be taken out of a pool now, naming both numbers; None when they can."""
        available = self._available(situation, venue, token)
        return _short(venue, token, amount, available, *self._taken(situation, venue, token))

    def withheld(self, situation: Situation, found: Found) -> Found:
        """What a rule wants, or to wait where one of its orders takes more out of a pool than there is."""
        short = self.shortage(situation, found.orders)
        if short is None:
            return found
        constraints = (*found.constraints, f"EXEC-004: {short}")
        return Found("hold", "none", f"waiting for a pool: {short}", constraints=constraints)

    def shortage(self, situation: Situation, orders: Sequence[Order]) -> str | None:
        """Why orders, each on what those before it leave, cannot all be carried out; None when they can."""
        taken: dict[tuple[str, str], tuple[float, float]] = {}
        for order in orders:
            if order.venue not in self._lent or order.operation not in (*_TAKES, *_GIVES):
                continue
            takes = order.operation in _TAKES
            place = (order.venue, order.target_token if takes else order.source_token)
            owed, withdrawn = taken.get(place) or self._taken(situation, *place)
            if takes:
                short = _short(*place, order.amount, self._available(situation, *place), owed, withdrawn)
                if short is not None:
                    return short
            change = order.amount if takes else -order.amount
            if order.operation in (OperationType.BORROW, OperationType.REPAY):
                taken[place] = owed + change, withdrawn
            else:
                taken[place] = owed, withdrawn_beyond(withdrawn, -change)
        return None

    def _available(self, situation: Situation, venue: str, token: str) -> float:
        """Tokens that lie free in history; infinite where the data do not say, or nothing is lent on."""
        reserve = situation.market.reserves.get(reserve_name(venue, token))
        if token not in self._lent[venue] or reserve is None or reserve.available is None:
            return inf
        return reserve.available

    def _taken(self, situation: Situation, venue: str, token: str) -> tuple[float, float]:
        """What the run owes to a reserve, and what it has withdrawn beyond its supply."""
        ledger = self._ledger[venue]
        owed = situation.held(f"{ledger}:debtToken:debt{token}")
        return owed, self._withdrawn.get(f"{ledger}:aToken:a{token}", 0.0)


def _short(venue: str, token: str, amount: float, available: float, owed: float, withdrawn: float) -> str | None:
    room = pool_room(available, owed=owed, withdrawn=withdrawn)
    if amount <= room:
        return None
    return f"{amount:,.6f} {token} are wanted of {venue}, {room:,.6f} are available there; all of it is taken or none"
