"""Defines the actor that says whether anything may be sent. Its answer survives a restart, in a latch.

It acts by itself for the reasons of `stop_causes` and for a leg that stands alone, and for a person who tells it to;
only a person lets it go.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from basis_actors.actors.latch_effects import TRADERS, commands_of, phase_of, severity_of_latch, unclosed, wording
from basis_actors.actors.latch_file import killed_for, read_latch, write_latch
from basis_actors.actors.reporting import STATE_CODE, STOPPED_CODE, error_event
from basis_actors.actors.standstill import Standstill
from basis_actors.actors.status_board import StatusBoard
from basis_actors.actors.stop_causes import StopCause, StopCauses
from basis_actors.bus import Actor, Cause, on
from basis_actors.config import KillSwitchConfig
from basis_actors.errors import BasisError, Severity
from basis_actors.messages.book import PositionsView, RiskView, TickStarted
from basis_actors.messages.commands import GetLatch, GetStatus, Kill, Resume, StopTrading, SwitchAnswer
from basis_actors.messages.operations import TickEnded, TradingStatus
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
    NewRiskPutOff,
    OrdersUndecided,
    PositionsUnprotected,
    Pulse,
    ReduceOnly,
    RefreshCountdown,
    ResumeTrading,
    StartReport,
    StateUnwritable,
    SwitchStatus,
    TradingState,
    TransfersLate,
    VenueBusy,
    VenueSeen,
)
from basis_actors.ports import StateStore
from basis_actors.times import NS_PER_SECOND, utc_from_ns, utc_text

__all__ = ["KillSwitch"]


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
        self._board = StatusBoard(self._causes, self._standstill)
        self._latch: Latch
        self._before: Latch
        """What it was before somebody killed the process."""
        self._to_level = False
        """Whether it has become known late what became of an order."""
        self._unkept: str | None = None
        """Why the latch is not on disk as it is; None where it is."""
        self._why_open: str | None = None
        """Why nothing is closed that is to be, as was said last."""

    def pre_start(self) -> None:
        """Begin as the last process ended."""
        self._latch = read_latch(self._store, utc_from_ns(self.now))
        if self._latch.until_closed:
            self._keep(msgspec.structs.replace(self._latch, until_closed=False))
        self._causes.mismatches = self._latch.mismatches
        for actor, command in commands_of(self._latch):
            # Not through the control lane: these actors start after this one.
            self.tell(actor, command)
        if self._latch.state is not TradingState.RUNNING:
            self._say(f"the process begins {wording(self._latch)}", severity_of_latch(self._latch))
            self._show()
        self._set_timer(0.0)

    def post_stop(self) -> None:
        """What is not on disk is lost from now on. A kill that was written past this actor, at its end, stays."""
        if self._unkept is None:
            return
        there = read_latch(self._store, utc_from_ns(self.now))
        if there.state is not TradingState.KILLED or there.since <= self._latch.since:
            self._write()

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
            return SwitchAnswer(self._status(), None if self._unkept is None else self._write())
        self._before = latch
        killed = Latch(
            state=TradingState.KILLED,
            reason=killed_for(command.reason, latch),
            who=command.who,
            since=utc_from_ns(self.now),
            flatten=command.flatten or outlasts,
            until_closed=command.until_closed,
            mismatches=self._causes.mismatches,
            over=latch.cause,
        )
        return SwitchAnswer(refusal=self._set(killed), status=self._status())

    @on(Resume)
    def resume(self, command: Resume) -> SwitchAnswer:
        """Let trading go on, unless something holds that would stop it; new risk does not wait any more either.

        Before the first tick has assessed anything, what only a person has stopped is taken back at once: the process
        then begins as it would have, and what would stop it still does.
        """
        nothing_stops = self._latch.state is TradingState.RUNNING and self._board.halted is None
        if nothing_stops and self._board.put_off(self.now) is None:
            return SwitchAnswer(self._status())
        takes_back = self._board.takes_back(self._latch)
        causes = () if takes_back else self._causes.hold(self.now)
        if causes:
            refusal = "; ".join(f"{cause.code}: {cause.text}" for cause in causes)
            return SwitchAnswer(self._status(), refusal)
        latch = Latch(
            state=TradingState.RUNNING,
            reason="resumed",
            who=command.who,
            since=utc_from_ns(self.now),
            mismatches=self._causes.mismatches if takes_back else (),
        )
        try:
            write_latch(self._store, latch)
        except BasisError as error:
            return SwitchAnswer(self._status(), str(error))
        self._note_kept(None)
        self._latch, self._causes.mismatches = latch, latch.mismatches
        self._board.see_resumption()
        for actor in TRADERS:
            self._command(actor, ResumeTrading())
        self._show()
        following = self._board.next_tick(self.now)
        at = "" if following is None else f", at {utc_text(following)} by its schedule"
        text = f"trading is resumed by {command.who}; the strategy decides at the next tick{at}"
        self._say(text, severity_of_latch(latch))
        self._look()
        again = None if self._latch.state is TradingState.RUNNING else f"it has stopped again: {wording(self._latch)}"
        return SwitchAnswer(self._status(), again)

    # Evidence

    @on(RiskView)
    def see_risk(self, view: RiskView) -> None:
        """Critical risk stops trading."""
        self._causes.risk = view
        self._look()

    @on(PositionsView)
    def see_book(self, view: PositionsView) -> None:
        """What is open decides whether a lost venue matters."""
        self._causes.book = view
        self._board.see_book(view, self.now)

    @on(Decided)
    def note_decision(self, decided: Decided) -> None:
        """Whoever asks is told what is wanted, and why nothing is."""
        self._board.decided = decided.what

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
        self._board.next_ns = ended.next_ns
        self._level()

    @on(KeyRefused)
    def see_key(self, seen: KeyRefused) -> None:
        """A venue that refuses our key stops trading at once: what adds risk anywhere may need it."""
        self._causes.see_key(seen)
        self._standstill.key_refused(seen)
        self._look()

    @on(BookOneSided)
    def see_one_sided(self, seen: BookOneSided) -> None:
        """A leg that stands alone stops what adds risk, and is levelled before the market's next tick. It is told once,
        so that a latch which a person has set remembers it: no other evidence of it is left."""
        cause = StopCause("EXEC-006", seen.reason, self.envelope.sender)
        self._stop(cause)
        if self._latch.cause is None:
            self._keep(msgspec.structs.replace(self._latch, over=cause.code))
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
        self._board.next_ns = pulse.next_ns
        if self._causes.is_alive(self.now):
            self.publish(RefreshCountdown())

    @on(Beat)
    def beat(self, _beat: Beat) -> None:
        """Ask for signs of life, and look at what time alone has changed. An engine that waits for its start could not
        answer, and owes none."""
        if self._board.begun:
            self.tell("engine", AskPulse())
        for domain in dict.fromkeys((*self._causes.lost, *self._standstill.domains)):
            # What is asked already would only find the question behind its own, and each tick behind all of them.
            if not self._standstill.is_asked(domain):
                self.tell(f"venue_{domain}", LookAgain())
        self._look()
        if self._unkept is not None:
            self._write()
        self._set_timer(self._config.heartbeat_seconds)

    @on(TradingStatus)
    def note_stop(self, status: TradingStatus) -> None:
        """Remember whether this process has begun to trade, what it waits for before, and why it trades no more."""
        if self.envelope.sender == self.name:
            return
        began = self._board.begun
        self._board.see_phase(status)
        if self._board.begun and not began:
            self._standstill.trading_begins()
            self._show_why_open()
            self.tell("engine", AskPulse())

    @on(StartReport)
    def note_start(self, report: StartReport) -> None:
        """Whoever asks is told what the process waits for, and what is open meanwhile; where the book is to be closed,
        everybody is told that nothing is."""
        self._standstill.start_seen(report)
        self._show_why_open()

    @on(StateUnwritable)
    def note_unwritable(self, state: StateUnwritable) -> None:
        """Whoever asks is told why nothing is sent."""
        self._standstill.state_seen(state)

    @on(NewRiskPutOff)
    def note_put_off(self, seen: NewRiskPutOff) -> None:
        """Whoever asks is told until when nothing new is begun."""
        self._board.see_put_off(seen)

    @on(AccountDoubted)
    def note_doubt(self, seen: AccountDoubted) -> None:
        """Whoever asks is told which account is not believed."""
        self._board.see_concern(f"account of {seen.domain}", seen.problem)

    @on(TransfersLate)
    def note_late(self, seen: TransfersLate) -> None:
        """Whoever asks is told what has not arrived."""
        self._board.see_concern(f"transfers to {seen.domain}", seen.problem)

    @on(PositionsUnprotected)
    def note_unprotected(self, seen: PositionsUnprotected) -> None:
        """Whoever asks is told what is open without its stops."""
        self._board.see_concern(f"stops at {seen.domain}", seen.problem)

    @on(BookClosed)
    def note_closed(self, closed: BookClosed) -> None:
        """There is nothing left to close."""
        if self._latch.flatten and not self._board.book_closed:
            text = "the book is closed" if closed.stays is None else f"the book is closed; {closed.stays}"
            self._say(text, Severity.MEDIUM)
        self._board.book_closed = True
        if self._latch.until_closed:
            self._keep(self._before)

    @on(BookStillOpen)
    def note_open(self, still: BookStillOpen) -> None:
        """Closing does not come to its end, which a person has to know."""
        self._board.closing_slowly = True
        text = (
            f"the book is not closed after {still.ticks} ticks of its own; closing goes on at the ticks of the market"
        )
        text = f"{text}, and `status` shows what is held; the strategy says: {self._board.decided}"
        self._say(text, Severity.HIGH)

    # What is done

    def _level(self) -> None:
        """Have the strategy look at a book that has become known between two ticks."""
        if self._to_level and not self._standstill.is_at_work:
            self._to_level = False
            self.tell("engine", LevelBook())

    def _look(self) -> None:
        cause = self._causes.stops(self.now)
        if cause is not None:
            self._stop(cause)

    def _stop(self, cause: StopCause) -> None:
        """Stop by itself, unless trading is stopped already."""
        if self._latch.state is not TradingState.RUNNING:
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
        self._latch = latch
        self._board.see_latch_change()
        for actor, command in commands_of(self._latch):
            self._command(actor, command)
        self.publish(CancelOrders(self.now))
        self._say(f"trading is {wording(latch)}", severity_of_latch(latch))
        self._show()
        return self._keep(latch)

    def _command(self, actor: str, command: ReduceOnly | CloseBook | StopTrading | ResumeTrading) -> None:
        """Past whatever waits; but before the first tick behind the commands that this process began with, which those
        who have yet to start find in their inbox."""
        if self._causes.risk is None:
            self.tell(actor, command)
        else:
            self.control(actor, command)

    def _keep(self, latch: Latch) -> str | None:
        self._latch = latch
        return self._write()

    def _write(self) -> str | None:
        """Write the latch down; one that cannot be is tried again with each heartbeat. Returns what kept it from it."""
        try:
            write_latch(self._store, self._latch)
        except BasisError as error:
            text = "the latch is not on disk, a process that comes after this one would not know of it"
            self._note_kept(f"{text}: {error.message}", error.code)
            return f"{error.code}: {self._unkept}"
        self._note_kept(None)
        return None

    def _note_kept(self, problem: str | None, code: str = STATE_CODE) -> None:
        """Say once that the latch is not on disk, and once that it is."""
        if problem == self._unkept:
            return
        self._unkept = problem
        self.publish(StateUnwritable("latch", problem))
        text = problem or "the latch is on disk again"
        self.log(error_event(utc_from_ns(self.now), self.name, code, text, passes=problem is None))

    def _set_timer(self, seconds: float) -> None:
        self.after(self.span(seconds) / NS_PER_SECOND, Beat(), new_cause=Cause("heartbeat"))

    def _show(self) -> None:
        """Tell whoever watches the process."""
        why_open = unclosed(self._latch, self._standstill.start)
        self.publish(phase_of(self._latch, why_open, begun=self._board.begun))
        if why_open is not None:
            self._say(f"the book is to be closed, and {why_open}", Severity.HIGH)
        self._why_open = why_open

    def _show_why_open(self) -> None:
        if unclosed(self._latch, self._standstill.start) != self._why_open:
            self._show()

    def _say(self, text: str, severity: Severity) -> None:
        self.log(error_event(utc_from_ns(self.now), self.name, STOPPED_CODE, text, severity=severity))

    def _status(self) -> SwitchStatus:
        return self._board.status(self._latch, self.now, self.span(1.0))
