"""Defines what an account keeps of orders that nobody waits for any longer: until it has found out what became of them,
and agrees with the ledger, nothing else is sent to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from basis_actors.errors import BasisError, UnknownOutcome
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.journal import Intent, IntentState, JournalEntry
from basis_actors.messages.orders import Order
from basis_actors.messages.safety import UndecidedOrder
from basis_actors.messages.stops import StopTicket
from basis_actors.ports import OrderJournal
from basis_actors.times import utc_from_ns

__all__ = ["LeftOrders", "left_undecided", "undecided_orders"]

_OPEN = (ExecutionStatus.UNKNOWN, ExecutionStatus.PENDING)


class LeftOrders:
    """The orders of one account that were left to it."""

    def __init__(self) -> None:
        self._undecided: dict[str, tuple[Order, UndecidedOrder]] = {}
        self._compares = False
        """Whether the account has yet to be compared with the ledger."""
        self._decided: list[tuple[Order, ExecutionHandshake]] = []

    def add(self, order: Order, attempts: Sequence[JournalEntry], now_ns: int) -> None:
        """Nobody knows what became of an order."""
        if attempts:
            intent = attempts[-1].intent
            shown = _shown(order, intent.client_id, _amount_of(intent), intent.created_ns)
        else:
            shown = _shown(order, "", order.amount, now_ns)
        self._undecided[order.operation_id] = order, shown
        self._compares = True

    def must_compare(self) -> None:
        """An order is done, and the account could not be compared with the ledger after it."""
        self._compares = True

    @property
    def waiting(self) -> tuple[Order, ...]:
        """Orders that are to be asked for."""
        return tuple(order for order, _ in self._undecided.values())

    @property
    def undecided(self) -> tuple[UndecidedOrder, ...]:
        """The same, for whoever operates the process."""
        return tuple(shown for _, shown in self._undecided.values())

    @property
    def problem(self) -> str | None:
        """Why nothing is sent; None where nothing speaks against it."""
        if self._undecided:
            return f"it has not said what became of {', '.join(self._undecided)}; that is asked, and not sent again"
        return "it was not compared with the ledger since its last order" if self._compares else None

    def answer(self, order: Order, handshake: ExecutionHandshake) -> None:
        """What the exchange says of an order. Raises UnknownOutcome VEN-002 while that is nothing for good."""
        if handshake.status in _OPEN:
            raise UnknownOutcome("VEN-002", f"{order.operation_id} is not decided: {handshake.error_message}")
        del self._undecided[order.operation_id]
        self._decided.append((order, handshake))

    def compared(self) -> None:
        """The account was looked at in full, with nothing undecided."""
        self._compares = False

    def take_decided(self) -> tuple[tuple[Order, ExecutionHandshake], ...]:
        """What was found out since the last time, once the account agrees with the ledger."""
        if self._compares:
            return ()
        decided, self._decided = tuple(self._decided), []
        return decided


async def undecided_orders(journal: OrderJournal) -> tuple[UndecidedOrder, ...]:
    """Everything that was sent, and of which a journal does not know whether it arrived."""
    entries = [entry for domain in sorted(await journal.domains()) for entry in await journal.unresolved(domain)]
    return tuple(
        _shown(entry.intent.order, entry.intent.client_id, _amount_of(entry.intent), entry.intent.created_ns)
        for entry in entries
        if entry.state in (IntentState.SENT, IntentState.UNKNOWN)
    )


def _amount_of(intent: Intent) -> float:
    """What was sent for; a stop closes whatever there is of the position that its order made."""
    return intent.order.amount if isinstance(intent.ticket, StopTicket) else float(intent.ticket.amount)


def left_undecided(orders: Sequence[UndecidedOrder]) -> BasisError | None:
    """The failure of a process that ends while nobody knows what became of its `orders`; None where there are none."""
    if not orders:
        return None
    count = "1 order is" if len(orders) == 1 else f"{len(orders):,} orders are"
    names = ", ".join(f"{order.operation_id} on {order.venue}" for order in orders)
    remedy = "start the process again: it asks what became of each before it trades, and sends none again"
    return BasisError("VEN-002", f"{count} left undecided: {names}; {remedy}")


def _shown(order: Order, client_id: str, amount: float, since_ns: int) -> UndecidedOrder:
    return UndecidedOrder(
        client_id=client_id,
        operation_id=order.operation_id,
        venue=order.venue,
        symbol=order.pair or order.source_token,
        side="transfer" if order.side is None else order.side.value.lower(),
        amount=amount,
        since=utc_from_ns(since_ns),
    )
