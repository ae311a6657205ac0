"""Defines the stops that an order brings: their names, what is sent for each, what closes a position without them."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from msgspec.structs import replace

from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.journal import Intent, JournalEntry
from basis_actors.messages.orders import ExecutionMode, Order, OrderType, Side
from basis_actors.messages.stops import StopKind, StopTicket

__all__ = [
    "Bracket",
    "bracket_of",
    "closing_id",
    "closing_order",
    "kind_of",
    "kinds_of",
    "sibling",
    "stop_order",
    "stop_ticket",
    "unprotected",
]


class Bracket(NamedTuple):
    """The order that brought stops: operation ids repeat from one process to the next."""

    incarnation: int
    entry_id: str


def kinds_of(order: Order) -> tuple[StopKind, ...]:
    """Which stops an order brings; the one that limits the loss first."""
    levels = {StopKind.STOP_LOSS: order.stop_loss, StopKind.TAKE_PROFIT: order.take_profit}
    return tuple(kind for kind, level in levels.items() if level is not None)


def stop_order(order: Order, kind: StopKind, incarnation: int, opened_ns: int) -> Order:
    """An order that brings a stop, under the name of the stop."""
    return replace(
        order,
        operation_id=f"{order.operation_id}-{kind}",
        execution_mode=ExecutionMode.SEQUENTIAL,
        atomic_group_id=None,
        sequence_in_group=None,
        operation_details={"entry_id": order.operation_id, "incarnation": incarnation, "opened_ns": opened_ns},
    )


def sibling(order: Order, kind: StopKind) -> Order:
    """The same of another stop of the same bracket, of which `order` is one."""
    return replace(order, operation_id=f"{order.operation_details['entry_id']}-{kind}")


def bracket_of(intent: Intent) -> Bracket:
    """The bracket of a stop that is in the journal."""
    details = intent.order.operation_details
    return Bracket(details["incarnation"], details["entry_id"])


def kind_of(entry: JournalEntry) -> StopKind:
    """What a stop that is in the journal is for."""
    assert isinstance(entry.intent.ticket, StopTicket), "a stop has a stop ticket"
    return entry.intent.ticket.kind


def stop_ticket(order: Order, kind: StopKind, client_id: str, tick: Decimal) -> StopTicket:
    """What goes to the exchange, at the tick that is nearest to the level."""
    level = order.stop_loss if kind is StopKind.STOP_LOSS else order.take_profit
    assert level is not None, "an order brings the stops that it has levels for"
    assert order.pair is not None, "a trade has a pair"
    ticks = (Decimal(repr(level)) / tick).to_integral_value(rounding=ROUND_HALF_EVEN)
    trigger = Decimal(f"{(ticks * tick).normalize():f}")
    return StopTicket(client_id=client_id, pair=order.pair, buys=order.side is Side.SHORT, kind=kind, trigger=trigger)


def closing_id(bracket: Bracket, number: int, incarnation: int, passed: StopKind | None) -> str:
    """Name of what closes the position of an order, in the process of that incarnation; of the `number`th, where those
    before left something. What an earlier process has ordered is told from an order of the same name of this one.

    Where the market has `passed` the level of a stop it begins as the name of that stop, in whose place it closes."""
    name = f"{bracket.entry_id}-unprotected" if passed is None else f"{bracket.entry_id}-{passed}-passed"
    if incarnation != bracket.incarnation:
        name = f"{name}-of-{bracket.incarnation}"
    return name if number == 1 else f"{name}-{number}"


def closing_order(order: Order, size: float, number: int, incarnation: int, passed: StopKind | None) -> Order:
    """What closes the position of `size` that lost its stops, for the `number`th time, in the process of that
    incarnation; `order` is one of theirs, and `passed` the one that the market is beyond."""
    bracket = Bracket(order.operation_details["incarnation"], order.operation_details["entry_id"])
    closing = Side.SHORT if size > 0.0 else Side.LONG
    (delta, *_) = order.expected_deltas
    return replace(
        order,
        operation_id=closing_id(bracket, number, incarnation, passed),
        amount=abs(size),
        side=closing,
        price=None,
        order_type=OrderType.MARKET,
        expected_deltas=(replace(delta, delta_amount=-size),),
        operation_details={},
        take_profit=None,
        stop_loss=None,
        strategy_intent="unprotected",
        reduce_only=True,
    )


def unprotected(handshake: ExecutionHandshake, why: str) -> ExecutionHandshake:
    """The answer to an order that was filled and whose position is closed again: it did not do what was wanted."""
    return replace(
        handshake,
        status=ExecutionStatus.FAILED,
        actual_deltas={},
        error_code="VEN-010",
        error_message=why,
    )
