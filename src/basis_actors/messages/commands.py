"""Defines what actors ask of and tell each other, apart from views and events."""

from __future__ import annotations

import msgspec

from basis_actors.bus import Request
from basis_actors.messages.book import PositionsView, TickStarted, Trigger, VenueReport
from basis_actors.messages.events import Mismatch
from basis_actors.messages.execution import ExecutionHandshake, Settlement
from basis_actors.messages.orders import Order
from basis_actors.messages.safety import Latch, SwitchStatus

__all__ = [
    "ApplySettlements",
    "AskRoom",
    "AwaitRecovery",
    "CheckLedger",
    "CheckOrders",
    "CheckRoom",
    "DecisionMade",
    "EndTicks",
    "ExecuteGroup",
    "ExecuteOrder",
    "ExecuteOrders",
    "GetLatch",
    "GetPositions",
    "GetStatus",
    "IncomingTransfer",
    "Kill",
    "LeaveOrder",
    "Objection",
    "OrderDecided",
    "OrderResult",
    "OrdersDone",
    "Reconcile",
    "Reconciled",
    "ReportVenue",
    "ResolveOrder",
    "Resume",
    "RouteGroup",
    "RouteOrder",
    "RouteReport",
    "StopTrading",
    "StopWaiting",
    "SwitchAnswer",
    "TickDue",
    "VenueSettled",
]


class TickDue(msgspec.Struct, frozen=True, gc=False):
    """The engine tells itself that the next tick is due."""

    ns: int


class StopTrading(msgspec.Struct, frozen=True, gc=False):
    """No order is sent after this, but for those that bring a compensated group to its end."""

    reason: str
    error_code: str | None = None
    """What made it necessary; None when somebody asked for it."""


class EndTicks(msgspec.Struct, frozen=True, gc=False):
    """No tick begins any more: the process ends with the one that is at work."""


class DecisionMade(msgspec.Struct, frozen=True, gc=False):
    """The strategy has decided on a tick."""

    tick_number: int
    orders: int
    """How many orders it wants done; the tick is not over before they have ended."""


class VenueSettled(msgspec.Struct, frozen=True, gc=False):
    """What changed on one venue domain up to a tick."""

    domain: str
    tick: TickStarted
    settlements: tuple[Settlement, ...]
    report: VenueReport | None = None
    """What the domain shows right after it has settled; only when the tick is to be reconciled."""
    bound: dict[str, float] = {}
    """How much of a position open orders bind, so that it cannot be sold now, by position key."""


class ExecuteOrders(msgspec.Struct, frozen=True):
    """The orders of one decision, in order; members of a group stand next to each other."""

    tick: TickStarted
    orders: tuple[Order, ...]


class OrderResult(msgspec.Struct, frozen=True, gc=False):
    """How one order of a decision ended."""

    operation_id: str
    succeeded: bool
    error_code: str | None = None


class OrdersDone(msgspec.Struct, frozen=True):
    """Every order of a decision has ended."""

    tick_number: int
    results: tuple[OrderResult, ...]


class ExecuteOrder(Request[ExecutionHandshake], frozen=True):
    """Asks a venue to carry out one order. The venue answers with what happened, also when that is a refusal."""

    order: Order


class ExecuteGroup(Request[tuple[ExecutionHandshake, ...]], frozen=True):
    """Asks a chain to carry out orders in one transaction: all are confirmed, or all are rolled back or failed."""

    orders: tuple[Order, ...]


class ResolveOrder(Request[ExecutionHandshake], frozen=True):
    """Asks the venue what became of an order whose outcome is unknown; `unknown` when it cannot tell yet."""

    order: Order


class RouteOrder(Request[ExecutionHandshake], frozen=True):
    """Asks the venue interface manager to have the right venue carry out an order."""

    order: Order
    resolve: bool = False
    """Only ask what became of it; nothing is sent."""


class LeaveOrder(msgspec.Struct, frozen=True, gc=False):
    """An order at an account is not waited for any longer: the account finds out by itself what became of it, and
    takes nothing else before."""

    order: Order
    unknown: bool
    """Whether nobody knows what became of it; else it is done, and was not compared with the account."""


class OrderDecided(msgspec.Struct, frozen=True, gc=False):
    """An account has found out what became of an order that was left, and agrees with the ledger."""

    operation_id: str


class StopWaiting(msgspec.Struct, frozen=True, gc=False):
    """The process is to end: an exchange that does not say what became of an order is not asked again and again. The
    order is in the journal, and the next process asks."""


class RouteGroup(Request[tuple[ExecutionHandshake, ...]], frozen=True):
    """Asks the venue interface manager to have one chain carry out an atomic group."""

    orders: tuple[Order, ...]


class ReportVenue(Request[VenueReport | None], frozen=True):
    """Asks a venue for its own account of every position; None while it cannot give one."""


class RouteReport(Request[VenueReport | None], frozen=True):
    """Asks the venue interface manager for the report of the domain that serves `venue`; None while there is none."""

    venue: str


class IncomingTransfer(msgspec.Struct, frozen=True, gc=False):
    """Tells a venue that tokens are on their way to it and count as `transit:` until they arrive."""

    operation_id: str
    position_key: str
    """Where they will be booked."""
    transit_key: str
    amount: float
    arrives_ns: int


class AwaitRecovery(Request[None], frozen=True):
    """Asks the recovery manager to answer when the accounts are in order."""


class GetPositions(Request[PositionsView], frozen=True):
    """Asks the position monitor for the ledger."""


class ApplySettlements(Request[PositionsView], frozen=True):
    """Asks the position monitor to apply settlements; those it has already applied are skipped."""

    settlements: tuple[Settlement, ...]
    announce: Trigger | None = None
    """Publish the view that results, with this trigger."""


class CheckLedger(msgspec.Struct, frozen=True):
    """Compare the whole ledger with what every domain showed at the same moment."""

    view: PositionsView
    reports: tuple[VenueReport, ...]


class Reconciled(msgspec.Struct, frozen=True):
    """Outcome of a reconciliation."""

    compared: bool
    """Whether the venue showed its account; without that there is nothing to compare the ledger with."""
    mismatches: tuple[Mismatch, ...]
    """Positions on which ledger and venue disagree; none means that they agree."""
    surprises: tuple[Mismatch, ...]
    """Deltas that are not what the strategy expected, beyond its tolerances."""


class Reconcile(Request[Reconciled], frozen=True):
    """Asks the position update handler to book a handshake and compare expected, booked and venue-reported amounts."""

    order: Order
    handshake: ExecutionHandshake


class Objection(msgspec.Struct, frozen=True, gc=False):
    """Why orders may not be sent."""

    error_code: str
    reason: str
    wait_seconds: float = 0.0
    """After which it may no longer hold; 0 where that is not known."""


class CheckOrders(Request[Objection | None], frozen=True):
    """Asks the risk gate what speaks against sending these orders, together; None when nothing does."""

    orders: tuple[Order, ...]
    tick: TickStarted


class CheckRoom(Request[Objection | None], frozen=True):
    """Asks a venue what it knows that would keep it from sending orders like these now; None when nothing would."""

    orders: tuple[Order, ...]


class AskRoom(Request[Objection | None], frozen=True):
    """Asks the venue interface manager the same of orders that go to several venues."""

    orders: tuple[Order, ...]


class GetLatch(Request[Latch], frozen=True):
    """Asks the kill switch what may be sent."""


class GetStatus(Request[SwitchStatus], frozen=True):
    """Asks the kill switch how things stand."""


class SwitchAnswer(msgspec.Struct, frozen=True):
    """What came of a command to the kill switch."""

    status: SwitchStatus
    refusal: str | None = None
    """Why it was not done, or not all of it; None when it was."""


class Kill(Request[SwitchAnswer], frozen=True):
    """Asks the kill switch to stop trading, and with `flatten` to have the book closed first."""

    reason: str
    """Empty where none is given: that of an earlier kill stays."""
    who: str
    flatten: bool = False
    until_closed: bool = False
    """Whether it is over once the book is closed: the process ends then, and the next one may trade."""


class Resume(Request[SwitchAnswer], frozen=True):
    """Asks the kill switch to let trading go on; it refuses while what stopped it still holds."""

    who: str
