"""Defines the actor that says whether anything may be sent. Its answer survives a restart, in a latch.

It acts by itself for the reasons of `stop_causes` and for a leg that stands alone, and for a person who tells it to;
only a person lets it go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from basis_actors.actors.latch_file import read_latch, write_latch
from basis_actors.actors.reporting import error_event
from basis_actors.actors.standstill import Standstill
from basis_actors.actors.stop_causes import StopCauses
from basis_actors.bus import Actor, Cause, on
from basis_actors.config import KillSwitchConfig
from basis_actors.errors import BasisError
from basis_actors.messages.book import PositionsView, RiskView, TickStarted
from basis_actors.messages.commands import GetLatch, GetStatus, Kill, Resume, StopTrading, SwitchAnswer
from basis_actors.messages.operations import TickEnded, TradingPhase, TradingStatus
from basis_actors.messages.safety import (
    AccountDoubted,
    AskPulse,
    BookClosed,
    BookOneSided,
    BookStillOpen,
    CancelOrders,
    CloseBook,
    Decided,
    KeyRefused,
    Latch,
    LedgerCompared,
    LevelBook,
    LookAgain,
    OrdersUndecided,
    Pulse,
    ReduceOnly,
    RefreshCountdown,
    ResumeTrading,
    StateUnwritable,
    SwitchStatus,
    TradingState,
    TransfersLate,
    VenueBusy,
    VenueSeen,
)
from basis_actors.ports import StateStore
from basis_actors.times import NS_PER_SECOND, utc_from_ns, utc_text

__all__ = ["TRADERS", "KillSwitch"]

_CODE: Final = "RISK-008"
TRADERS: Final = ("execution_manager", "strategy_manager", "engine")
"""Who has to know of a stop, who sends first."""
_DECIDERS: Final = ("execution_manager", "strategy_manager")
"""Who has to know that only what reduces may be sent."""


class Beat(msgspec.Struct, frozen=True, gc=False):
    """It is time to ask for a sign of life."""


class KillSwitch(Actor):
    """Owns the latch. It waits for nobody, so that it can always be asked.

    - `stopped`: it has acted by itself. The strategy goes on deciding, and only what lowers risk is sent.
    - `killed`: a person has. Nothing is decided any more; with `flatten` the strategy first closes the book.

    Either way what rests at exchanges is cancelled at once. The gate asks it before every unit, so the latch holds
    whatever anybody else has missed. `domains` gives the account domain of each name that position keys begin with.
    """

    def __init__(
        self,
        config: KillSwitchConfig,
        store: StateStore,
        domains: Mapping[str, str],
        currency: str,
        *,
        enforce: bool,
    ) -> None:
        super().__init__("kill_switch")
        self._config = config
        self._store = store
        self._causes = StopCauses(config, lambda seconds: self.span(seconds), domains, currency, enforce=enforce)
        self._standstill = Standstill()
        self._latch: Latch
        self._before: Latch
        """What it was before somebody killed the process."""
        self._halted: str | None = None
        self._waits_for: str | None = None
        """Why this process has not begun to trade; None where nobody has said so, and once it has."""
        self._unwritable: dict[str, str] = {}
        """Why state cannot be written that has to be before an order is sent, by its name."""
        self._concerns: dict[str, str] = {}
        """What somebody should look at, by its name."""
        self._book_closed = self._closing_slowly = False
        self._begun = False
        self._ticks = 0
        self._decided: str | None = None
        """What the strategy wanted last; None until it has been asked since trading was let go."""
        self._next_ns: int | None = None
        """When it is asked next."""
        self._book_ns = 0
        self._to_level = False
        """Whether it has become known late what became of an order."""

    def pre_start(self) -> None:
        """Begin as the last process ended."""
        self._latch = read_latch(self._store, utc_from_ns(self.now))
        if self._latch.until_closed:
            self._keep(msgspec.structs.replace(self._latch, until_closed=False))
        self._causes.mismatches = self._latch.mismatches
        for actor, command in self._commands():
            # Not through the control lane: these actors start after this one.
            self.tell(actor, command)
        if self._latch.state is not TradingState.RUNNING:
            self._say(f"the process begins {_told(self._latch)}")
            self._show()
        self._set_timer(0.0)

    # Questions

    @on(GetLatch)
    def show_latch(self, _request: GetLatch) -> Latch:
        """What may be sent."""
        return self._latch

    @on(GetStatus)
    def show_status(self, _request: GetStatus) -> SwitchStatus:
        """How things stand."""
        return self._status()

    # Commands

    @on(Kill)
    def kill(self, command: Kill) -> SwitchAnswer:
        """Stop trading; with `flatten` close the book first. A book that is being closed goes on being closed."""
        latch = self._latch
        outlasts = latch.until_closed and not command.until_closed
        if latch.state is TradingState.KILLED and not outlasts and (latch.flatten or not command.flatten):
            return SwitchAnswer(self._status())
        self._before = latch
        killed = Latch(
            state=TradingState.KILLED,
            reason=command.reason,
            who=command.who,
            since=utc_from_ns(self.now),
            flatten=command.flatten or outlasts,
            until_closed=command.until_closed,
            mismatches=self._causes.mismatches,
        )
        return SwitchAnswer(refusal=self._set(killed), status=self._status())

    @on(Resume)
    def resume(self, command: Resume) -> SwitchAnswer:
        """Let trading go on, unless something holds that would stop it."""
        if self._latch.state is TradingState.RUNNING and self._halted is None:
            return SwitchAnswer(self._status())
        causes = self._causes.hold(self.now)
        if causes:
            refusal = "; ".join(f"{cause.code}: {cause.text}" for cause in causes)
            return SwitchAnswer(self._status(), refusal)
        latch = Latch(state=TradingState.RUNNING, reason="resumed", who=command.who, since=utc_from_ns(self.now))
        try:
            write_latch(self._store, latch)
        except BasisError as error:
            return SwitchAnswer(self._status(), str(error))
        self._latch, self._halted, self._book_closed, self._closing_slowly = latch, None, False, False
        self._causes.mismatches, self._decided = (), None
        for actor in TRADERS:
            self.control(actor, ResumeTrading())
        self._show()
        at = "" if self._next_ns is None else f", at {utc_text(utc_from_ns(self._next_ns))} by its schedule"
        self._say(f"trading is resumed by {command.who}; the strategy decides at the next tick{at}")
        return SwitchAnswer(self._status())

    # Evidence

    @on(RiskView)
    def see_risk(self, view: RiskView) -> None:
        """Critical risk stops trading."""
        self._causes.risk = view
        self._look()

    @on(PositionsView)
    def see_book(self, view: PositionsView) -> None:
        """What is open decides whether a lost venue matters."""
        self._causes.book, self._book_ns = view, self.now
        self._ticks = view.tick.number + 1

    @on(Decided)
    def note_decision(self, decided: Decided) -> None:
        """Whoever asks is told what is wanted, and why nothing is."""
        self._decided = decided.what

    @on(VenueSeen)
    def see_venue(self, seen: VenueSeen) -> None:
        """A venue that is lost with something open there stops trading."""
        self._causes.see_venue(seen, self.now)
        self._standstill.venue_seen(seen)
        self._look()

    @on(OrdersUndecided)
    def see_undecided(self, left: OrdersUndecided) -> None:
        """A venue that has yet to say what became of an order is asked with each heartbeat, and stops nothing else.
        Once it has, the book is levelled before the market's next tick."""
        self._standstill.orders_left(left)
        self._to_level = self._to_level or left.problem is None
        self._level()

    @on(VenueBusy)
    def see_busy(self, busy: VenueBusy) -> None:
        """Whoever asks is told what is waited for."""
        self._standstill.venue_busy(busy, self.now)

    @on(TickStarted)
    def see_tick(self, tick: TickStarted) -> None:
        """Whoever asks is told that the book is about to change."""
        self._standstill.tick_began(tick, self.now)

    @on(TickEnded)
    def see_end_of_tick(self, ended: TickEnded) -> None:
        """It is as it is shown."""
        self._standstill.tick_ended(ended)
        self._level()

    @on(KeyRefused)
    def see_key(self, seen: KeyRefused) -> None:
        """A venue that refuses our key stops trading at once: what adds risk anywhere may need it."""
        self._causes.see_key(seen)
        self._standstill.key_refused(seen)
        self._look()

    @on(BookOneSided)
    def see_one_sided(self, seen: BookOneSided) -> None:
        """A leg that stands alone stops what adds risk, and is levelled before the market's next tick."""
        if self._latch.state is TradingState.RUNNING:
            self._set(
                Latch(
                    state=TradingState.STOPPED,
                    reason=seen.reason,
                    error_code="EXEC-006",
                    who=self.envelope.sender,
                    since=utc_from_ns(self.now),
                    mismatches=self._causes.mismatches,
                )
            )
        self.tell("engine", LevelBook())

    @on(LedgerCompared)
    def compare(self, compared: LedgerCompared) -> None:
        """A ledger that disagrees with the venues again and again stops trading, also over several processes."""
        self._causes.compare(compared, self.now)
        if compared.differences is None:
            return
        self._look()
        self._keep(msgspec.structs.replace(self._latch, mismatches=self._causes.mismatches))

    @on(Pulse)
    def see_pulse(self, pulse: Pulse) -> None:
        """The engine lives: exchanges may go on waiting with their countdown."""
        self._causes.see_pulse(pulse, self.now)
        self._next_ns = pulse.next_ns
        if self._causes.is_alive(self.now):
            self.publish(RefreshCountdown())

    @on(Beat)
    def beat(self, _beat: Beat) -> None:
        """Ask for signs of life, and look at what time alone has changed."""
        self.tell("engine", AskPulse())
        for domain in dict.fromkeys((*self._causes.lost, *self._standstill.domains)):
            self.tell(f"venue_{domain}", LookAgain())
        self._look()
        self._set_timer(self._config.heartbeat_seconds)

    @on(TradingStatus)
    def note_stop(self, status: TradingStatus) -> None:
        """Remember whether this process has begun to trade, what it waits for before, and why it trades no more."""
        if self.envelope.sender == self.name:
            return
        starts = status.phase is TradingPhase.STARTING
        self._waits_for = status.reason if starts else None
        self._begun = not starts
        if status.phase is TradingPhase.STOPPED:
            self._halted = status.reason if status.error_code is None else f"{status.error_code}: {status.reason}"

    @on(StateUnwritable)
    def note_unwritable(self, state: StateUnwritable) -> None:
        """Whoever asks is told why nothing is sent."""
        if state.problem is None:
            self._unwritable.pop(state.what, None)
        else:
            self._unwritable[state.what] = state.problem

    @on(AccountDoubted)
    def note_doubt(self, seen: AccountDoubted) -> None:
        """Whoever asks is told which account is not believed."""
        self._note(f"account of {seen.domain}", seen.problem)

    @on(TransfersLate)
    def note_late(self, seen: TransfersLate) -> None:
        """Whoever asks is told what has not arrived."""
        self._note(f"transfers to {seen.domain}", seen.problem)

    def _note(self, what: str, problem: str | None) -> None:
        if problem is None:
            self._concerns.pop(what, None)
        else:
            self._concerns[what] = problem

    @on(BookClosed)
    def note_closed(self, closed: BookClosed) -> None:
        """There is nothing left to close."""
        if self._latch.flatten and not self._book_closed:
            self._say("the book is closed" if closed.stays is None else f"the book is closed; {closed.stays}")
        self._book_closed = True
        if self._latch.until_closed:
            self._keep(self._before)

    @on(BookStillOpen)
    def note_open(self, still: BookStillOpen) -> None:
        """Closing does not come to its end, which a person has to know."""
        self._closing_slowly = True
        text = (
            f"the book is not closed after {still.ticks} ticks of its own; closing goes on at the ticks of the market"
        )
        self._say(f"{text}, and `status` shows what is held; the strategy says: {self._decided}")

    # What is done

    def _level(self) -> None:
        """Have the strategy look at a book that has become known between two ticks."""
        if self._to_level and not self._standstill.is_at_work:
            self._to_level = False
            self.tell("engine", LevelBook())

    def _look(self) -> None:
        cause = self._causes.stops(self.now)
        if cause is None or self._latch.state is not TradingState.RUNNING:
            return
        self._set(
            Latch(
                state=TradingState.STOPPED,
                reason=cause.text,
                error_code=cause.code,
                who=cause.who,
                since=utc_from_ns(self.now),
                mismatches=self._causes.mismatches,
            )
        )

    def _set(self, latch: Latch) -> str | None:
        """Stop first, then write it down. Returns what kept it from being written."""
        self._latch, self._book_closed, self._closing_slowly = latch, False, False
        for actor, command in self._commands():
            self.control(actor, command)
        self.publish(CancelOrders(self.now))
        self._show()
        self._say(f"trading is {_told(latch)}")
        return self._keep(latch)

    def _keep(self, latch: Latch) -> str | None:
        self._latch = latch
        try:
            write_latch(self._store, latch)
        except BasisError as error:
            text = (
                f"the latch is not on disk, a process that comes after this one would not know of it: {error.message}"
            )
            self.log(error_event(utc_from_ns(self.now), self.name, error.code, text))
            return f"{error.code}: {text}"
        return None

    def _commands(self) -> tuple[tuple[str, ReduceOnly | CloseBook | StopTrading], ...]:
        """What follows from the latch, and for whom."""
        latch = self._latch
        if latch.state is TradingState.RUNNING:
            return ()
        reason = f"{latch.reason} ({latch.who})"
        if latch.state is TradingState.STOPPED:
            return tuple((actor, ReduceOnly(reason, _CODE)) for actor in _DECIDERS)
        command = CloseBook(reason, _CODE) if latch.flatten else StopTrading(reason)
        return tuple((actor, command) for actor in TRADERS)

    def _set_timer(self, seconds: float) -> None:
        self.after(self.span(seconds) / NS_PER_SECOND, Beat(), new_cause=Cause("heartbeat"))

    def _show(self) -> None:
        """Tell whoever watches the process."""
        latch = self._latch
        if latch.state is TradingState.RUNNING:
            self.publish(TradingStatus(TradingPhase.TRADING if self._begun else TradingPhase.STARTING))
        else:
            self.publish(TradingStatus(TradingPhase.KILLED, f"{latch.reason} ({latch.who})", latch.error_code or _CODE))

    def _say(self, text: str) -> None:
        self.log(error_event(utc_from_ns(self.now), self.name, _CODE, text))

    def _status(self) -> SwitchStatus:
        book, risk, causes = self._causes.book, self._causes.risk, self._causes.hold(self.now)
        unpriced = book is None or book.valuation.unpriced
        return SwitchStatus(
            latch=self._latch,
            instead=None if self._waits_for is None else f"starting: {self._waits_for}",
            halted=self._halted,
            unwritable=tuple(self._unwritable.values()),
            concerns=tuple(self._concerns.values()),
            book_closed=self._book_closed,
            closing_slowly=self._closing_slowly,
            causes=tuple(f"{cause.code}: {cause.text}" for cause in causes),
            next_tick=None if self._next_ns is None else utc_from_ns(self._next_ns),
            decided=self._decided,
            ticks=self._ticks,
            risk_level=None if risk is None else risk.level.value,
            equity=None if book is None or unpriced else book.valuation.equity,
            positions={} if book is None else {key: amount for key, amount in book.positions.items() if amount},
            positions_at=None if book is None else utc_from_ns(self._book_ns),
            tick=self._standstill.tick_at_work(self.now, self.span(1.0)),
            silent=self._standstill.silent,
            halted_venues=self._standstill.halted,
            undecided=self._standstill.undecided,
        )


def _told(latch: Latch) -> str:
    flatten = ", and the book is to be closed" if latch.flatten else ""
    code = "" if latch.error_code is None else f"{latch.error_code}: "
    return f"{latch.state}{flatten}: {code}{latch.reason} ({latch.who})"
