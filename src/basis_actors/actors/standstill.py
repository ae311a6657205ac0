"""Defines what is known of what a process waits for: the tick at work, exchanges that owe an answer or give none, what
cannot be written, and orders of which nobody knows what became of them.
"""

from __future__ import annotations

from basis_actors.messages.book import TickStarted
from basis_actors.messages.operations import TickEnded
from basis_actors.messages.safety import (
    KeyRefused,
    OrdersUndecided,
    SilentVenue,
    StartReport,
    StateUnwritable,
    TickAtWork,
    UndecidedOrder,
    VenueBusy,
    VenueSeen,
)
from basis_actors.times import ns_from_utc, utc_from_ns, utc_text

__all__ = ["Standstill"]


class Standstill:
    """Evidence of one process; whoever shows it hands on the messages that its methods take."""

    def __init__(self) -> None:
        self._tick: tuple[int, int] | None = None
        """Number of the tick at work, and when it began."""
        self._asked: dict[str, tuple[str, int]] = {}
        """What each domain is asked at this moment, and since when."""
        self._silent: dict[str, SilentVenue] = {}
        self._left: dict[str, OrdersUndecided] = {}
        self._refused: dict[str, str] = {}
        self.unwritable: dict[str, str] = {}
        """Why state cannot be written that has to be before an order is sent, by its name."""
        self.start: StartReport | None = None
        """What is known before a process trades; None once it does."""
        self._trades = False

    def start_seen(self, report: StartReport) -> None:
        """A process that starts waits for what it has not waited for before, or has it."""
        self.start = None if self._trades else report

    def trading_begins(self) -> None:
        """From now on the accounts themselves say what they wait for."""
        self._trades, self.start = True, None

    def tick_began(self, tick: TickStarted, now: int) -> None:
        """A tick is at work."""
        self._tick = (tick.number, now)

    def tick_ended(self, ended: TickEnded) -> None:
        """It is over."""
        if self._tick is not None and self._tick[0] == ended.number:
            self._tick = None

    def venue_busy(self, busy: VenueBusy, now: int) -> None:
        """A domain is asked something, or has answered."""
        if busy.doing is None:
            self._asked.pop(busy.domain, None)
        else:
            self._asked[busy.domain] = (busy.doing, now)

    def venue_seen(self, seen: VenueSeen) -> None:
        """A domain answers, or does not."""
        if seen.lost_since_ns is None:
            self._silent.pop(seen.domain, None)
        else:
            until = seen.left_alone_until_ns
            left_alone = None if until is None else utc_from_ns(until)
            self._silent[seen.domain] = SilentVenue(seen.domain, utc_from_ns(seen.lost_since_ns), left_alone)

    def key_refused(self, seen: KeyRefused) -> None:
        """A domain refuses our key, or takes it again."""
        if seen.problem is None:
            self._refused.pop(seen.domain, None)
        else:
            self._refused[seen.domain] = f"it does not take our key: {seen.problem}"

    def state_seen(self, state: StateUnwritable) -> None:
        """State cannot be written, or can be again."""
        if state.problem is None:
            self.unwritable.pop(state.what, None)
        else:
            self.unwritable[state.what] = state.problem

    def orders_left(self, left: OrdersUndecided) -> None:
        """What a domain has yet to say."""
        if left.problem is None:
            self._left.pop(left.domain, None)
        else:
            self._left[left.domain] = left

    @property
    def is_at_work(self) -> bool:
        """Whether a tick has begun and is not over."""
        return self._tick is not None

    def is_asked(self, domain: str) -> bool:
        """Whether a domain owes an answer at this moment."""
        return domain in self._asked

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains that have yet to say something."""
        return tuple(self._left)

    @property
    def silent(self) -> tuple[SilentVenue, ...]:
        """Domains that do not answer."""
        waits = () if self.start is None else self.start.waits_for
        awaited = tuple(SilentVenue(venue.domain, venue.since) for venue in waits)
        return (*awaited, *self._silent.values())

    @property
    def halted(self) -> dict[str, str]:
        """Why nothing is sent to a domain."""
        left = {domain: left.problem for domain, left in self._left.items() if left.problem is not None}
        return {**left, **self._refused}

    @property
    def unwritten(self) -> str | None:
        """Why what adds risk is not sent anywhere; None where everything can be written."""
        return "; ".join(f"{what}: {problem}" for what, problem in self.unwritable.items()) or None

    @property
    def undecided(self) -> tuple[UndecidedOrder, ...]:
        """Requests of which nobody knows what became of them."""
        left = tuple(order for left in self._left.values() for order in left.orders)
        return left if self.start is None else self.start.undecided + left

    def tick_at_work(self, now: int, second_ns: int) -> TickAtWork | None:
        """The tick at work; a second of the world has so many nanoseconds of the clock of the bus."""
        if self._tick is None:
            return None
        number, began = self._tick
        waits = (
            f"{domain}: {doing}, for {max(0.0, (now - since) / second_ns):.0f} s"
            for domain, (doing, since) in self._asked.items()
        )
        return TickAtWork(number=number, since=utc_from_ns(began), waits_for=tuple(waits))

    def problems(self, now: int, second_ns: int) -> tuple[tuple[str, bool, str], ...]:
        """Name, whether it is passed, and what is wrong: as the checks of health are."""
        silent = [
            f"{venue.domain} wants to be left alone until {utc_text(venue.left_alone_until)}"
            if venue.left_alone_until is not None
            else f"{venue.domain} has not answered for {(now - ns_from_utc(venue.since)) / second_ns:.0f} s"
            for venue in self.silent
        ]
        open_orders = (
            f"{order.side} {order.amount:g} {order.symbol} on {order.venue} ({order.client_id})"
            for order in self.undecided
        )
        return (
            ("venues_answer", not silent, "; ".join(silent)),
            ("state_written", not self.unwritable, self.unwritten or ""),
            ("orders_decided", not self.undecided, f"nobody knows what became of {', '.join(open_orders)}"),
        )
