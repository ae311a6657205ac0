"""Defines what whoever asks is told of a process beside its latch: what it waits for, why it trades no more, what it
holds and what somebody should look at. Nothing here stops trading.
"""

from __future__ import annotations

from datetime import datetime

from basis_actors.actors.latch_effects import unclosed
from basis_actors.actors.standstill import Standstill
from basis_actors.actors.stop_causes import StopCauses
from basis_actors.messages.book import PositionsView
from basis_actors.messages.operations import TradingPhase, TradingStatus
from basis_actors.messages.safety import Latch, NewRiskPutOff, SwitchStatus
from basis_actors.times import utc_from_ns

__all__ = ["StatusBoard"]


class StatusBoard:
    """Evidence of one process; whoever shows it hands on the messages that its methods take.

    What stops trading is kept by `causes`, what a tick waits for by `standstill`: both are only read.
    """

    def __init__(self, causes: StopCauses, standstill: Standstill) -> None:
        self._causes = causes
        self._standstill = standstill
        self.halted: str | None = None
        """Why this process trades no more whatever the latch says; None while it does."""
        self.begun = False
        """Whether this process has begun to trade."""
        self._waits_for: str | None = None
        """Why this process has not begun to trade; None where nobody has said so, and once it has."""
        self._concerns: dict[str, str] = {}
        """What somebody should look at, by its name."""
        self._put_off: NewRiskPutOff | None = None
        """What the strategy has said last of orders that failed."""
        self.book_closed = False
        """Whether a flatten has nothing left to do."""
        self.closing_slowly = False
        """Whether it has used up the ticks that it had to itself."""
        self._ticks = 0
        self._book_ns = 0
        self.decided: str | None = None
        """What the strategy wanted last; None until it has been asked since trading was let go."""
        self.next_ns: int | None = None
        """When it is asked next, as was said last."""

    def see_book(self, view: PositionsView, now: int) -> None:
        """The ledger of a tick that has begun."""
        self._ticks, self._book_ns = view.tick.number + 1, now

    def see_phase(self, status: TradingStatus) -> None:
        """Whether this process has begun to trade, what it waits for before, and why it trades no more."""
        starts = status.phase is TradingPhase.STARTING
        self._waits_for = status.reason if starts else None
        self.begun = not starts
        if status.phase is TradingPhase.STOPPED:
            self.halted = status.reason if status.error_code is None else f"{status.error_code}: {status.reason}"

    def see_concern(self, what: str, problem: str | None) -> None:
        """Something is worth a look; nothing is wrong with it where the problem is None."""
        _note(self._concerns, what, problem)

    def see_put_off(self, seen: NewRiskPutOff) -> None:
        """Orders have failed, or do no more."""
        self._put_off = seen

    def put_off(self, now: int) -> NewRiskPutOff | None:
        """What keeps new risk from being taken at the moment, after orders that failed."""
        seen = self._put_off
        return seen if seen is not None and utc_from_ns(now) < seen.until else None

    def see_latch_change(self) -> None:
        """What had become of the book under the latch before says nothing any more."""
        self.book_closed = self.closing_slowly = False

    def see_resumption(self) -> None:
        """Trading is let go, and the strategy has yet to be asked."""
        self.see_latch_change()
        self.halted = self.decided = self._put_off = None

    def takes_back(self, latch: Latch) -> bool:
        """Whether a resume needs no look at what holds: no tick has assessed anything, and only a person has stopped
        what is to begin, or nobody."""
        return self._causes.risk is None and latch.cause is None and self.halted is None

    def next_tick(self, now: int) -> datetime | None:
        """When the strategy is asked next; None while that is not known, and where it is about to be."""
        return None if self.next_ns is None or self.next_ns <= now else utc_from_ns(self.next_ns)

    def status(self, latch: Latch, now: int, second_ns: int) -> SwitchStatus:
        """How things stand; a second of the world has so many nanoseconds of the clock of the bus."""
        book, risk = self._causes.book, self._causes.risk
        causes = () if self.takes_back(latch) else self._causes.hold(now)
        unpriced = book is None or book.valuation.unpriced
        return SwitchStatus(
            latch=latch,
            instead=None if self._waits_for is None else f"starting: {self._waits_for}",
            halted=self.halted,
            unwritable=tuple(self._standstill.unwritable.values()),
            concerns=tuple(self._concerns.values()),
            put_off=self.put_off(now),
            book_closed=self.book_closed,
            unclosed=unclosed(latch, self._standstill.start),
            closing_slowly=self.closing_slowly,
            causes=tuple(f"{cause.code}: {cause.text}" for cause in causes),
            next_tick=self.next_tick(now),
            decided=self.decided,
            ticks=self._ticks,
            risk_level=None if risk is None else risk.level.value,
            equity=None if book is None or unpriced else book.valuation.equity,
            positions={} if book is None else {key: amount for key, amount in book.positions.items() if amount},
            positions_at=None if book is None else utc_from_ns(self._book_ns),
            tick=self._standstill.tick_at_work(now, second_ns),
            silent=self._standstill.silent,
            halted_venues=self._standstill.halted,
            undecided=self._standstill.undecided,
            start=self._standstill.start,
        )


def _note(problems: dict[str, str], what: str, problem: str | None) -> None:
    if problem is None:
        problems.pop(what, None)
    else:
        problems[what] = problem
