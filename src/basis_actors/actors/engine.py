"""Defines the actor that gives the beat: it takes the market of each tick, publishes it, and sees the tick through."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from basis_actors.actors.reporting import STOPPED_CODE, error_event
from basis_actors.bus import Actor, Cause, on
from basis_actors.config import KillSwitchConfig
from basis_actors.errors import BasisError, Severity
from basis_actors.messages.book import Flow, TickStarted
from basis_actors.messages.commands import AwaitRecovery, DecisionMade, EndTicks, OrdersDone, StopTrading, TickDue
from basis_actors.messages.market import MarketState
from basis_actors.messages.operations import TickEnded, TradingPhase, TradingStatus
from basis_actors.messages.safety import AskPulse, BookStillOpen, CloseBook, LevelBook, Pulse, ResumeTrading
from basis_actors.ports import MarketFeed
from basis_actors.times import NS_PER_SECOND, ns_from_utc, utc_from_ns, utc_text

__all__ = ["Engine"]

M = TypeVar("M")
_DAY_NS = 86_400 * NS_PER_SECOND
_APART_NS = NS_PER_SECOND
"""No two ticks have the same time."""


class BetweenTicks(msgspec.Struct, frozen=True, gc=False):
    """Tick `number` may begin between those of the market."""

    number: int


class Engine(Actor):
    """Runs one tick at a time.

    `flows` are the owner's deposits and withdrawals by time; the first of them is the capital, which lands at the
    first tick. At the first tick of each day the ledger is compared with the venues. A tick that falls due while
    another is still at work begins when that one is over. With `awaits`, no tick begins before that actor has brought
    the accounts into order.

    In real time (`throttle_seconds` is given) only the newest of the ticks that have fallen due meanwhile begins, the
    others are logged as missed; and a tick begins that many seconds after the one before it, or later.

    While the kill switch has the book closed, which it does as `closing` says, or a leg levelled that stands alone,
    there are ticks between those of the market: the next one begins as soon as one is over in which anything was done,
    else after a pause.
    """

    def __init__(
        self,
        feed: MarketFeed,
        flows: Sequence[Flow],
        awaits: str | None = None,
        throttle_seconds: float | None = None,
        closing: KillSwitchConfig | None = None,
    ) -> None:
        super().__init__("engine")
        self._awaits = awaits
        self._throttle_ns = None if throttle_seconds is None else round(throttle_seconds * NS_PER_SECOND)
        self._began_ns = 0
        self._feed = feed
        self._flows = [(ns_from_utc(flow.timestamp), flow) for flow in flows]
        self._number = 0
        self._ready_ns = 0
        """When the first tick could be taken."""
        self._awaited: int | None = None
        self._due: TickDue | None = None
        self._last_taken = False
        self._reconciled_day = -1
        self._tick_ns: int | None = None
        """Time of the newest tick of the market."""
        self._next_ns: int | None = None
        """Time of the next tick of the market that is known."""
        self._taken_ns = 0
        """Time of the newest market that was taken, between ticks or not."""
        self._closing = closing
        self._extra_ticks: int | None = None
        """How many ticks between those of the market closing may still have; None while nothing is being closed."""
        self._levels = False
        """Whether they are for a leg that stands alone: they are over with the first at which nothing is wanted."""
        self._got_further = False
        """Whether an order of the tick at work was done."""
        self._is_settling = False
        """Whether the tick at work has not come to its decision."""
        self._is_taking = False
        """Whether the market of a tick is being taken, which then begins."""
        self._ends = False
        """Whether no tick begins any more."""
        self.finished = False
        """Whether the last tick is over."""
        self.market: MarketState | None = None
        """That of the newest tick; None before the first."""
        self.stopped: StopTrading | None = None
        """The stop that ended trading; None while it goes on."""

    def pre_start(self) -> Awaitable[None] | None:
        """Set the timer of the first tick, once there is nothing to wait for."""
        if self._awaits is not None:
            return self._begin_after(self._awaits)
        self._begin()
        return None

    async def _begin_after(self, recovery: str) -> None:
        await self.ask(recovery, AwaitRecovery())
        self._begin()

    def _begin(self) -> None:
        first = self._feed.next_tick(None)
        if first is None:
            raise BasisError("ENGINE-001", "the market feed has no tick; choose a window that its data covers")
        self.publish(TradingStatus(TradingPhase.TRADING))
        self._ready_ns = self.now
        self._schedule(first)

    @on(TickDue)
    def tick(self, due: TickDue) -> Coroutine[Any, Any, None] | None:
        """Take the market, publish the tick, and set the timer of the next one."""
        if self._awaited is not None:
            self._due = due
            return None
        return self._start(due)

    @on(DecisionMade)
    def decided(self, decision: DecisionMade) -> Coroutine[Any, Any, None] | None:
        """A tick without orders is over with its decision."""
        self._require_current(decision.tick_number)
        self._is_settling = False
        if decision.orders != 0:
            return None
        if self._levels:
            self._levels, self._extra_ticks = False, None
        return self._finish()

    @on(OrdersDone)
    def executed(self, done: OrdersDone) -> Coroutine[Any, Any, None] | None:
        """A tick with orders is over when they have ended."""
        self._require_current(done.tick_number)
        self._got_further |= any(result.succeeded for result in done.results)
        return self._finish()

    @on(StopTrading)
    def stop_trading(self, command: StopTrading) -> None:
        """Pass the stop on to whoever decides and whoever sends, and say so; ticks go on.

        A person's stop, which has no code, the kill switch has told everybody itself, and perhaps a resumption since:
        at the start of a process this actor looks into its inbox later than they do.
        """
        if self.stopped is not None:
            return
        self.stopped, self._extra_ticks, self._levels = command, None, False
        if command.error_code is None:
            return
        self.control("strategy_manager", command)
        self.control("execution_manager", command)
        self.publish(TradingStatus(TradingPhase.STOPPED, command.reason, command.error_code))
        # What the kill switch does it has logged itself.
        if command.error_code != STOPPED_CODE:
            text = f"trading is stopped: {command.reason}"
            now, grave = utc_from_ns(self.now), Severity.CRITICAL
            self.log(error_event(now, self.name, command.error_code, text, severity=grave))

    @on(EndTicks)
    def end_ticks(self, _command: EndTicks) -> None:
        """The tick at work is the last one."""
        self._ends = True

    @on(CloseBook)
    def close_book(self, _command: CloseBook) -> None:
        """Trading goes on until the book is closed, which begins at once; the stop that ends it is another one."""
        self.stopped, self._levels = None, False
        if self._closing is not None:
            self._extra_ticks, self._got_further = self._closing.flatten_ticks, True
            self._go_on_closing()

    @on(LevelBook)
    def level_book(self, _command: LevelBook) -> None:
        """Have the strategy look at once at a book that is one-sided. Before the first tick there is none to level."""
        nothing_to_do = self.stopped is not None or self._extra_ticks is not None or self._tick_ns is None
        if self._closing is not None and not nothing_to_do:
            self._extra_ticks, self._got_further, self._levels = self._closing.flatten_ticks, True, True
            self._go_on_closing()

    @on(BetweenTicks)
    async def tick_between(self, due: BetweenTicks) -> None:
        """A tick at the market as it is now, unless one has begun since or is about to."""
        if due.number != self._number or self._extra_ticks is None or self._ends:
            return
        following = self._feed.next_tick(self._tick_ns)
        if following is not None and following <= self.now:
            return
        market = await self._taken(self._feed.between(self.now))
        if market is not None:
            self._extra_ticks -= 1
            self._begin_tick(market)

    @on(ResumeTrading)
    def resume_trading(self, _command: ResumeTrading) -> None:
        """Forget the stop."""
        self.stopped = self._extra_ticks = None
        self._levels = False

    @on(AskPulse)
    def show_pulse(self, _asked: AskPulse) -> None:
        """Give a sign of life to whoever asks."""
        self.tell(self.envelope.sender, Pulse(self._number, at_work=self.at_work, next_ns=self._next_ns))

    @property
    def at_work(self) -> bool:
        """Whether a tick has begun and is not over; that begins with its market being taken."""
        return self._is_taking or self._awaited is not None

    @property
    def is_settling(self) -> bool:
        """Whether a tick has begun and has not come to its decision: venues settle it, and nothing of it is sent."""
        return self._is_taking or (self._awaited is not None and self._is_settling)

    @property
    def is_closing(self) -> bool:
        """Whether the book is being closed, and is to be for some more ticks."""
        return self._extra_ticks is not None and not self._levels

    @property
    def ticks_started(self) -> int:
        """How many ticks have begun."""
        return self._number

    def _start(self, due: TickDue) -> Coroutine[Any, Any, None] | None:
        """Begin the tick that is due, at once where its market has not to be waited for."""
        if self._ends:
            return None
        if self._throttle_ns is not None:
            due = self._newest(due, self._throttle_ns)
            if self.now < self._began_ns + self._throttle_ns:
                self._wake(self._began_ns + self._throttle_ns, due)
                return None
            self._began_ns = self.now
        taking = self._feed.take(due.ns)
        if not isinstance(taking, MarketState):
            return self._start_later(due.ns, taking)
        self._start_with(due.ns, taking)
        return None

    async def _start_later(self, ns: int, taking: Awaitable[MarketState]) -> None:
        self._start_with(ns, await self._taken(taking))

    def _start_with(self, ns: int, market: MarketState) -> None:
        self._tick_ns = ns
        self._begin_tick(market)
        following = self._feed.next_tick(ns)
        if following is None:
            self._last_taken = True
        else:
            self._schedule(following)

    async def _taken(self, taking: Awaitable[M]) -> M:
        self._is_taking = True
        try:
            return await taking
        finally:
            self._is_taking = False

    def _begin_tick(self, market: MarketState) -> None:
        flows = self._flows
        now_due: list[Flow] = []
        while flows and flows[0][0] <= market.ns:
            now_due.append(flows.pop(0)[1])
        day = market.ns // _DAY_NS
        tick = TickStarted(self._number, market, tuple(now_due), reconcile=day != self._reconciled_day)
        self._reconciled_day = day
        self.market, self._taken_ns = market, market.ns
        self._awaited, self._is_settling, self._got_further = tick.number, True, False
        self.finished = False
        self._number += 1
        self.publish(tick)

    def _newest(self, due: TickDue, throttle_ns: int) -> TickDue:
        """The newest tick that is due, and word of those that it stands for as well."""
        newest, missed = due.ns, 0
        while (following := self._feed.next_tick(newest)) is not None and following <= self.now:
            newest, missed = following, missed + (following > self._ready_ns)
        if missed and throttle_ns < newest - due.ns:
            text = (
                f"ticks missed from {utc_text(utc_from_ns(due.ns))} on: {missed:,}; the tick before took too long,"
                f" or the process came late; the market of {utc_text(utc_from_ns(newest))} is next"
            )
            self.log(error_event(utc_from_ns(self.now), self.name, "ENGINE-005", text))
        return TickDue(newest)

    def _schedule(self, ns: int) -> None:
        self._next_ns = ns
        self._wake(ns, TickDue(ns))

    def _go_on_closing(self) -> None:
        """Have a tick between those of the market, unless one is at work: its end comes back here."""
        left, closing = self._extra_ticks, self._closing
        if self._awaited is not None or left is None or closing is None:
            return
        if left == 0:
            self._extra_ticks = None
            if not self._levels:
                self.publish(BookStillOpen(closing.flatten_ticks))
            self._levels = False
            return
        pause = 0 if self._got_further else self.span(closing.flatten_pause_seconds)
        self._wake(max(self.now + pause, self._taken_ns + _APART_NS), BetweenTicks(self._number))

    def _wake(self, at_ns: int, due: TickDue | BetweenTicks) -> None:
        self.after(max(0.0, (at_ns - self.now) / NS_PER_SECOND), due, new_cause=Cause("tick"))

    def _finish(self) -> Coroutine[Any, Any, None] | None:
        """End the tick at work, and begin the one that fell due meanwhile: only that has to be waited for."""
        self.publish(TickEnded(self._number - 1, self._next_ns))
        self._awaited, self.finished = None, self._last_taken
        due, self._due = self._due, None
        if due is not None:
            return self._start(due)
        if self._extra_ticks is not None:
            self._go_on_closing()
        return None

    def _require_current(self, number: int) -> None:
        if number != self._awaited:
            raise BasisError(
                "ENGINE-003", f"the end of tick {number} was reported while tick {self._awaited} is awaited"
            )

    def post_stop(self) -> None:
        """A tick that began and never came to a decision is an error of the run."""
        if self._awaited is not None:
            text = f"tick {self._awaited} ended without a decision"
            self.log(error_event(utc_from_ns(self.now), self.name, "ENGINE-002", text))
