"""Defines the actor that keeps the ledger: it applies settlements, logs each as a delta event, and publishes views."""

from __future__ import annotations

from typing import Final

from basis_actors.bus import Actor, on
from basis_actors.errors import BasisError
from basis_actors.finance.ledger import book_settlement
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.book import PositionsView, TickSettled, TickStarted, Trigger, Valuation
from basis_actors.messages.commands import ApplySettlements, CheckLedger, GetPositions
from basis_actors.messages.events import ExecutionDeltaEvent, PositionSnapshot
from basis_actors.messages.execution import Settlement

__all__ = ["PositionMonitor"]

_TICK: Final = Trigger.TICK
"""A member of an enum is slow to look up."""


class PositionMonitor(Actor):
    """Owns the ledger. Every change of a position passes through here exactly once.

    Views have copies of it, so that nobody who is shown one can change it. `currency` is that of the share class;
    `simulated` says which kind of venue the amounts come from.
    """

    def __init__(self, currency: str, *, simulated: bool) -> None:
        super().__init__("position_monitor")
        self._currency = currency
        self._position_type = "simulated" if simulated else "real"
        self._positions: dict[str, float] = {}
        self._entries: dict[str, float] = {}
        self._applied = AppliedSequences()
        self._bound: dict[str, float] = {}
        self._tick: TickStarted | None = None
        self._valued: tuple[dict[str, float], TickStarted, Valuation] | None = None
        """The ledger that was valued last, when, and what it was worth."""
        self._unannounced: list[Settlement] = []

    @on(TickSettled)
    def tick(self, settled: TickSettled) -> None:
        """Apply what the venues settled, then show the book to the monitors."""
        self._apply(settled.settlements)
        self._tick, self._bound = settled.tick, settled.bound
        view = self._announce(_TICK)
        if settled.reports:
            self.tell("position_update_handler", CheckLedger(view, settled.reports))

    @on(ApplySettlements)
    def apply(self, request: ApplySettlements) -> PositionsView:
        """Apply what an execution settled."""
        self._apply(request.settlements)
        return self._view(Trigger.EXECUTION) if request.announce is None else self._announce(request.announce)

    @on(GetPositions)
    def show(self, _request: GetPositions) -> PositionsView:
        """The ledger as it is now."""
        return self._view(Trigger.RESTART)

    def post_stop(self) -> None:
        """What was booked and not shown yet is in the log at least, without a value: that may be what went wrong."""
        if self._unannounced and self._tick is not None:
            time = self._tick.market.timestamp
            self.log(PositionSnapshot(time, self._positions, None, self._position_type, Trigger.EXECUTION))

    def _apply(self, settlements: tuple[Settlement, ...]) -> None:
        for settlement in settlements:
            if not self._applied.is_new(settlement.domain, settlement.sequence):
                continue
            self._positions, self._entries = book_settlement(settlement, self._positions, self._entries)
            self._applied.add(settlement.domain, settlement.sequence)
            self._unannounced.append(settlement)
            self.log(
                ExecutionDeltaEvent(
                    settlement.timestamp,
                    settlement.source,
                    settlement.deltas,
                    settlement.domain,
                    settlement.sequence,
                    settlement.operation_id,
                )
            )

    def _view(self, trigger: Trigger) -> PositionsView:
        tick = self._tick
        if tick is None:
            raise BasisError("EXP-003", "positions were asked for before the first tick, which brings them")
        prices = share_class_prices(tick.market, self._currency)
        valued = self._valued
        # Every change of the ledger is a new dictionary, so views without one in between are worth the same.
        if valued is None or valued[0] is not self._positions or valued[1] is not tick:
            valuation = value_book(self._positions, self._entries, tick.market, prices)
            self._valued = valued = (self._positions, tick, valuation)
        settlements = tuple(self._unannounced)
        positions, entries = dict(self._positions), dict(self._entries)
        return PositionsView(tick, trigger, positions, entries, settlements, prices, valued[2], self._bound)

    def _announce(self, trigger: Trigger) -> PositionsView:
        view = self._view(trigger)
        self._unannounced.clear()
        unit = view.tick.market.prices.get(self._currency)
        value_usd = None if unit is None or view.valuation.unpriced else view.valuation.equity * unit
        # The log is written later, so it is given what nobody else has.
        self.log(PositionSnapshot(view.tick.market.timestamp, self._positions, value_usd, self._position_type, trigger))
        self.publish(view)
        return view


class AppliedSequences:
    """Which settlements of each domain were applied: a gapless front, and the few that ran ahead of it."""

    def __init__(self) -> None:
        self._front: dict[str, int] = {}
        self._ahead: set[tuple[str, int]] = set()

    def is_new(self, domain: str, sequence: int) -> bool:
        """Whether the settlement `sequence` of `domain` was not applied yet."""
        ahead = self._ahead
        return sequence >= self._front.get(domain, 0) and not (ahead and (domain, sequence) in ahead)

    def add(self, domain: str, sequence: int) -> None:
        """Remember a settlement that is new as applied."""
        front, ahead = self._front.get(domain, 0), self._ahead
        if sequence != front:
            ahead.add((domain, sequence))
            return
        front += 1
        while ahead and (domain, front) in ahead:
            ahead.remove((domain, front))
            front += 1
        self._front[domain] = front
