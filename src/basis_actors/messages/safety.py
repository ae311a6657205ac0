"""Defines what is said about stopping: the latch, the commands that follow from it, and what may bring it about."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

__all__ = [
    "AccountDoubted",
    "AskPulse",
    "AwaitedVenue",
    "BookClosed",
    "BookOneSided",
    "BookStillOpen",
    "CancelOrders",
    "CloseBook",
    "Decided",
    "JournalReport",
    "KeyRefused",
    "Latch",
    "LedgerCompared",
    "LevelBook",
    "LookAgain",
    "NewRiskPutOff",
    "OrdersUndecided",
    "PositionsUnprotected",
    "Pulse",
    "ReduceOnly",
    "RefreshCountdown",
    "ResumeTrading",
    "SilentVenue",
    "StartReport",
    "StartWaits",
    "StateUnwritable",
    "SwitchStatus",
    "TickAtWork",
    "TradingState",
    "TransfersLate",
    "UndecidedOrder",
    "VenueBusy",
    "VenueSeen",
]


class TradingState(StrEnum):
    """What may be sent."""

    RUNNING = "running"
    """Whatever the limits let through."""
    STOPPED = "stopped"
    """The kill switch has acted by itself: the strategy goes on, and only what lowers risk is sent."""
    KILLED = "killed"
    """A person has: the strategy decides nothing any more; with `flatten` it first closes the book."""


class Latch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state that survives a restart, and why it is what it is."""

    state: TradingState
    reason: str
    error_code: str | None = None
    """Of what stopped trading by itself; None when a person did."""
    who: str
    """The person with user id and process, or the part of the engine."""
    since: datetime
    """UTC, by the clock of the engine."""
    flatten: bool = False
    """Whether the book is to be closed."""
    until_closed: bool = False
    """Whether that is all: set by a stop that closes the book, and over once it has. A process that finds it set has
    come after one that could not, and waits for a person."""
    mismatches: tuple[int, ...] = ()
    """When ledger and venues disagreed lately, nanoseconds since the epoch."""
    over: str | None = None
    """Code of what had stopped trading by itself when a person killed it, or of a leg that stands alone since; None
    where there is neither."""

    @property
    def cause(self) -> str | None:
        """Code of what has stopped trading by itself, also where a person has killed it since; None where only a person
        has stopped it, or nobody."""
        return self.error_code or self.over


class ReduceOnly(msgspec.Struct, frozen=True, gc=False):
    """Nothing may be sent but what lowers risk."""

    reason: str
    error_code: str


class CancelOrders(msgspec.Struct, frozen=True, gc=False):
    """What of ours rests at exchanges and was sent before a moment is to be cancelled."""

    before_ns: int


class CloseBook(msgspec.Struct, frozen=True, gc=False):
    """Everything is to be closed, step by step, as the strategy does in an emergency; then trading stops."""

    reason: str
    error_code: str


class Decided(msgspec.Struct, frozen=True, gc=False):
    """What the strategy wants at a tick."""

    what: str
    """Its kind, and why."""


class NewRiskPutOff(msgspec.Struct, frozen=True):
    """Orders have failed, so that none is sent for a while that adds risk."""

    failures: int
    """Decisions whose orders failed since new risk was last taken or a person has resumed."""
    until: datetime
    """UTC, by the clock of the engine."""


class ResumeTrading(msgspec.Struct, frozen=True, gc=False):
    """The stop is called off."""


class BookClosed(msgspec.Struct, frozen=True, gc=False):
    """The strategy has nothing left to close."""

    stays: str | None = None
    """What is not brought home, and why; None where nothing is elsewhere."""


class BookStillOpen(msgspec.Struct, frozen=True, gc=False):
    """The ticks that closing had to itself are used up; from now on it takes a step at each tick of the market."""

    ticks: int
    """How many there were."""


class BookOneSided(msgspec.Struct, frozen=True, gc=False):
    """A group could not be made whole: a leg stands alone."""

    reason: str
    """Which one, and why."""


class LevelBook(msgspec.Struct, frozen=True, gc=False):
    """A leg stands alone: the next tick is not to wait for the market's."""


class AskPulse(msgspec.Struct, frozen=True, gc=False):
    """Asks the engine for a Pulse."""


class Pulse(msgspec.Struct, frozen=True, gc=False):
    """The engine's sign of life."""

    ticks: int
    """How many have begun."""
    at_work: bool
    """Whether one of them is not over."""
    next_ns: int | None = None
    """Time of the next one of the market; None where that is not known."""


class RefreshCountdown(msgspec.Struct, frozen=True, gc=False):
    """The engine is alive: exchanges go on waiting."""


class VenueSeen(msgspec.Struct, frozen=True, gc=False):
    """An account was looked at, or could not be."""

    domain: str
    lost_since_ns: int | None
    """Since when it has not answered; None when it has."""
    left_alone_until_ns: int | None = None
    """Until when it is not asked, as it wants to be left alone; None when it is."""


class KeyRefused(msgspec.Struct, frozen=True, gc=False):
    """An exchange does not take our key any more, or does again."""

    domain: str
    problem: str | None
    """None once it does."""


class UndecidedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was sent, and of which nobody knows what became of it."""

    client_id: str
    """Its id at the exchange."""
    operation_id: str
    venue: str
    symbol: str
    """Pair of a trade, token of a transfer."""
    side: str
    """`buy`, `sell`, `long`, `short`, or `transfer`."""
    amount: float
    """Base asset or token; of an inverse perpetual USD."""
    since: datetime
    """When it was written down, right before it was sent; UTC."""


class OrdersUndecided(msgspec.Struct, frozen=True):
    """Nothing is sent to an account before it has said what became of what was, and agrees with the ledger."""

    domain: str
    orders: tuple[UndecidedOrder, ...]
    problem: str | None
    """What keeps it back; None once nothing does."""


class VenueBusy(msgspec.Struct, frozen=True, gc=False):
    """An account is asked something, or has been."""

    domain: str
    doing: str | None
    """What the exchange is to answer; None when nothing is awaited from it any more."""


class AccountDoubted(msgspec.Struct, frozen=True, gc=False):
    """An exchange shows of an account what nothing explains and is not believed yet, or is believed again."""

    domain: str
    problem: str | None
    """What it shows and what is booked; None once it is believed."""


class TransfersLate(msgspec.Struct, frozen=True, gc=False):
    """Tokens that a venue waits for have not arrived in time, or all have."""

    domain: str
    problem: str | None
    """What is late, and since when; None once nothing is."""


class PositionsUnprotected(msgspec.Struct, frozen=True, gc=False):
    """Positions of an account can neither have their stops nor be closed, or all have them or are."""

    domain: str
    problem: str | None
    """Which, and how much of each; None once there is none."""


class LookAgain(msgspec.Struct, frozen=True, gc=False):
    """Asks for a VenueSeen of an account that could not be looked at."""


class LedgerCompared(msgspec.Struct, frozen=True, gc=False):
    """The ledger was compared with what a venue shows."""

    place: str
    """What it was compared with: a domain, or `venues` for all together."""
    differences: str | None
    """Where they disagree, with the numbers; None when they do not."""


class JournalReport(msgspec.Struct, frozen=True, gc=False):
    """A change could not be written into the order journal, or everything is written again."""

    problem: str | None
    """None once everything is."""


class StateUnwritable(msgspec.Struct, frozen=True, gc=False):
    """What has to be on disk before an order is sent cannot be written or is lost, or is all right again."""

    what: str
    """What it is: `order journal`, `losses`, `latch`, `state directory`, `event log`, `log directory`."""
    problem: str | None
    """None once it can be written."""


class SilentVenue(msgspec.Struct, frozen=True):
    """An account that does not answer, or not us."""

    domain: str
    since: datetime
    """UTC."""
    left_alone_until: datetime | None = None
    """Until when it is not asked, as it wants to be left alone, UTC; None when it is, and does not answer."""


class StartWaits(msgspec.Struct, frozen=True, gc=False):
    """A process that starts waits for an exchange, or has what it asked it for."""

    venue: str
    why: str | None
    """What the exchange says, or that it says nothing; None once it has answered."""


class AwaitedVenue(msgspec.Struct, frozen=True):
    """An exchange that a process waits for before it trades."""

    domain: str
    why: str
    """What it says, or that it says nothing."""
    since: datetime
    """UTC."""


class StartReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the book before a process has read it from the exchanges; nothing is traded until it has."""

    waits_for: tuple[AwaitedVenue, ...] = ()
    answered: tuple[str, ...] = ()
    """Exchanges that have given what they were asked for last."""
    undecided: tuple[UndecidedOrder, ...] = ()
    """Requests of earlier processes of which nobody knows what became of them."""
    cut_groups: tuple[str, ...] = ()
    """Groups that an earlier process has begun and not ended, each with its legs."""
    held: dict[str, float] = {}
    """What was held when the last process that knew was last seen, by position key."""
    held_at: datetime | None = None
    """When that was, UTC; None where nobody knows."""


class TickAtWork(msgspec.Struct, frozen=True, kw_only=True):
    """A tick that has begun and is not over."""

    number: int
    since: datetime
    """When it began, UTC."""
    waits_for: tuple[str, ...]
    """What exchanges have been asked and not answered yet, with how long that is; empty while the engine itself is at
    work."""


class SwitchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand, for whoever operates the process."""

    latch: Latch
    instead: str | None = None
    """What the process does instead of trading: starting, with what it waits for, or stopping; None while it runs."""
    halted: str | None = None
    """Why this process trades no more whatever the latch says; None while it does."""
    unwritable: tuple[str, ...] = ()
    """Why state is not on disk that has to be before an order is sent; it goes on by itself once it is."""
    concerns: tuple[str, ...] = ()
    """What somebody should look at and does not stop trading everywhere: accounts that are not believed,
    transfers that are late, positions without their stops."""
    put_off: NewRiskPutOff | None = None
    """Until when no new risk is taken because orders failed; None where nothing is put off."""
    book_closed: bool = False
    """Whether a flatten has nothing left to do."""
    unclosed: str | None = None
    """Why a flatten cannot begin, with the exchanges it waits for and what a person can do meanwhile; None where it
    can, and where none is wanted."""
    closing_slowly: bool = False
    """Whether it has used up the ticks that it had to itself and goes on with those of the market."""
    causes: tuple[str, ...] = ()
    """What would stop trading now, or keeps it from being resumed."""
    next_tick: datetime | None = None
    """When the strategy is asked next, UTC, by the clock of the engine; None where that is not known."""
    decided: str | None = None
    """What the strategy wanted last, and why; None before the first tick, and from a resume to the next."""
    ticks: int = 0
    """How many have begun."""
    risk_level: str | None = None
    """None before the first tick."""
    equity: float | None = None
    """Share class; None before the first tick and while a price is not known."""
    positions: dict[str, float] = {}
    """What is held, by position key."""
    positions_at: datetime | None = None
    """When risk, equity and positions were as they are shown, UTC; None before the first tick."""
    tick: TickAtWork | None = None
    """The tick that is at work; None between two."""
    silent: tuple[SilentVenue, ...] = ()
    """Accounts that do not answer."""
    halted_venues: dict[str, str] = {}
    """Why nothing is sent to an exchange, by account."""
    undecided: tuple[UndecidedOrder, ...] = ()
    """Requests of which nobody knows what became of them; they are asked for, never sent again."""
    start: StartReport | None = None
    """What is known of the book before this process has read it; None once it trades, and where nothing is known."""
