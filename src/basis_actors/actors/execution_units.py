"""Defines how the orders of a decision fall into units, single orders and groups, and how each order ends."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from basis_actors.errors import BasisError
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.orders import ExecutionMode, OperationType, Order, Side

__all__ = ["Outcome", "Unit", "opposite", "split_into_units"]


class Unit(msgspec.Struct, frozen=True):
    """Orders that are checked together."""

    orders: tuple[Order, ...]
    mode: ExecutionMode
    group_id: str | None


class Outcome(msgspec.Struct, frozen=True):
    """How an order ended."""

    order: Order
    handshake: ExecutionHandshake
    fatal: tuple[str, str] | None = None
    """Code and text of what makes it unsafe to go on trading: an outcome nobody knows, a ledger that disagrees."""

    @property
    def succeeded(self) -> bool:
        """Whether it was done, and the ledger agrees."""
        return self.handshake.was_successful() and self.fatal is None

    @property
    def error_code(self) -> str | None:
        """Code of what went wrong, None when nothing did."""
        return self.fatal[0] if self.fatal is not None else self.handshake.error_code


def split_into_units(orders: Iterable[Order]) -> tuple[Unit, ...]:
    """Single orders and groups, in order.

    Raises BasisError EXEC-003 for a group that is torn apart, mixes modes, or does not count its orders from 0
    without gaps.
    """
    units: list[Unit] = []
    open_group: list[Order] = []
    for order in orders:
        if open_group and order.atomic_group_id != open_group[0].atomic_group_id:
            units.append(_group(open_group))
            open_group = []
        if order.atomic_group_id is None:
            units.append(Unit((order,), ExecutionMode.SEQUENTIAL, None))
        else:
            open_group.append(order)
    if open_group:
        units.append(_group(open_group))
    seen: set[str] = set()
    for unit in units:
        if unit.group_id is not None and unit.group_id in seen:
            raise BasisError("EXEC-003", f"the orders of group {unit.group_id!r} do not stand next to each other")
        if unit.group_id is not None:
            seen.add(unit.group_id)
    return tuple(units)


def _group(orders: list[Order]) -> Unit:
    group_id = orders[0].atomic_group_id
    sequence = [order.sequence_in_group for order in orders]
    if sequence != list(range(len(orders))):
        raise BasisError(
            "EXEC-003", f"group {group_id!r} counts its orders {sequence}; 0, 1, 2 … without gap is needed"
        )
    modes = {order.execution_mode for order in orders}
    if len(modes) != 1:
        raise BasisError("EXEC-003", f"group {group_id!r} mixes the modes {sorted(modes)}; one group has one mode")
    mode = orders[0].execution_mode
    if mode is ExecutionMode.COMPENSATED:
        for order in orders:
            if order.operation not in (OperationType.SPOT_TRADE, OperationType.PERP_TRADE):
                raise BasisError(
                    "EXEC-003",
                    f"group {group_id!r} is compensated, so each leg must be a trade that a trade can undo;"
                    f" {order.operation_id!r} is a {order.operation}",
                )
    return Unit(tuple(orders), mode, group_id)


_OPPOSITE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY, Side.LONG: Side.SHORT, Side.SHORT: Side.LONG}


def opposite(order: Order, handshake: ExecutionHandshake) -> Order:
    """The trade that undoes what `order` filled: that amount the other way, outside any group, at whatever it costs."""
    assert order.side is not None
    filled = abs(handshake.actual_deltas[_traded_key(order)])
    expected = {delta.position_key: delta for delta in order.expected_deltas}
    deltas = tuple(
        msgspec.structs.replace(expected[key], delta_amount=-amount)
        for key, amount in handshake.actual_deltas.items()
        if key in expected
    )
    return msgspec.structs.replace(
        order,
        operation_id=f"{order.operation_id}-unwind",
        amount=filled,
        side=_OPPOSITE[order.side],
        source_token=order.target_token,
        target_token=order.source_token,
        expected_deltas=deltas,
        execution_mode=ExecutionMode.SEQUENTIAL,
        atomic_group_id=None,
        sequence_in_group=None,
        strategy_intent="unwind",
        reduce_only=order.operation is OperationType.PERP_TRADE and not order.reduce_only,
        take_profit=None,
        stop_loss=None,
    )


def _traded_key(order: Order) -> str:
    """Position that a trade changes by its amount: the base asset, or the perp."""
    assert order.pair is not None
    if order.operation is OperationType.PERP_TRADE:
        return f"{order.venue}:PerpPosition:{order.pair}"
    return f"{order.venue}:BaseToken:{order.pair.split('/')[0]}"
