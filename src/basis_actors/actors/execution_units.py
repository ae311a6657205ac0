"""Defines how the orders of a decision fall into units, single orders and groups, and how each order ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import Final

import msgspec

from basis_actors.finance.keys import perp_key
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.orders import ExecutionMode, ExpectedDelta, OperationType, Order, OrderType, Side

__all__ = [
    "MOST_TRADES",
    "TOO_SMALL",
    "UNDECIDED_CODE",
    "Outcome",
    "Unit",
    "only_reduces",
    "opposite",
    "part_of",
    "rest_id",
    "split_into_units",
    "undoing",
    "unwind_id",
]

MOST_TRADES: Final = 5
"""Trades that undo one leg, or bring it to its end: a book so thin that more are needed is a matter for a person."""
TOO_SMALL: Final = "EXEC-009"
"""Code of a trade that no exchange takes because it is too small; that is too small to matter."""
UNDECIDED_CODE: Final = "VEN-002"
"""Code of an order of which nobody knows what became of it."""
_FLASH: Final = (OperationType.FLASH_BORROW, OperationType.FLASH_REPAY)
_TRADES: Final = (OperationType.SPOT_TRADE, OperationType.PERP_TRADE)
_ROUNDING: Final = 1e-9
"""Relative."""


class Unit(msgspec.Struct, frozen=True):
    """Orders that are checked together."""

    orders: tuple[Order, ...]
    mode: ExecutionMode
    group_id: str | None
    flaw: str | None = None
    """What is wrong with how the orders are put together, so that none of them may be sent; None when nothing is."""


class Outcome(msgspec.Struct, frozen=True):
    """How an order ended."""

    order: Order
    handshake: ExecutionHandshake
    fatal: tuple[str, str] | None = None
    """Code and text of what makes it unsafe to go on trading: an outcome nobody knows, a ledger that disagrees."""
    undecided: bool = False
    """Whether nobody knows yet whether it was done, and its account goes on asking."""

    @property
    def succeeded(self) -> bool:
        """Whether it was done, and the ledger agrees."""
        return self.handshake.was_successful() and self.fatal is None

    @property
    def filled(self) -> float:
        """How much of a trade was done, in the unit of its amount."""
        return abs(self.handshake.actual_deltas.get(_traded_key(self.order), 0.0))

    @property
    def fell_short(self) -> bool:
        """Whether a trade was done, but not all of it."""
        return self.handshake.was_successful() and self.filled < self.order.amount * (1.0 - _ROUNDING)

    @property
    def error_code(self) -> str | None:
        """Code of what went wrong, None when nothing did."""
        if self.fatal is not None:
            return self.fatal[0]
        return UNDECIDED_CODE if self.undecided else self.handshake.error_code


def split_into_units(orders: Iterable[Order]) -> tuple[Unit, ...]:
    """Single orders and groups, in order.

    What is put together wrongly is a unit with a flaw: a group that is torn apart or stands around something else,
    mixes modes, does not count its orders from 0 without gaps, or holds what its mode cannot do; and a flash loan
    outside an atomic group; and orders that share their operation_id, by which a venue and the log tell them apart.
    """
    runs: list[list[Order]] = []
    for order in orders:
        if runs and order.atomic_group_id is not None and order.atomic_group_id == runs[-1][0].atomic_group_id:
            runs[-1].append(order)
        else:
            runs.append([order])
    nested = _nested(runs)
    repeated = _repeated(runs)
    return tuple(
        Unit(
            tuple(run),
            run[0].execution_mode if run[0].atomic_group_id is not None else ExecutionMode.SEQUENTIAL,
            run[0].atomic_group_id,
            nested.get(place) or _flaw(run, repeated),
        )
        for place, run in enumerate(runs)
    )


def _nested(runs: Sequence[Sequence[Order]]) -> dict[int, str]:
    """What is wrong with runs of a group that comes again later, and with whatever stands between them, by place."""
    began: dict[str, int] = {}
    flaws: dict[int, str] = {}
    for place, run in enumerate(runs):
        group_id = run[0].atomic_group_id
        if group_id is None:
            continue
        first = began.setdefault(group_id, place)
        if first == place:
            continue
        for inside in range(first, place + 1):
            what = f"{runs[inside][0].operation_id!r} stands inside group {group_id!r}"
            if runs[inside][0].atomic_group_id == group_id:
                what = f"the orders of group {group_id!r} do not stand next to each other"
            flaws.setdefault(inside, f"{what}; groups are not nested, send one after the other")
    return flaws


def _repeated(runs: Iterable[Sequence[Order]]) -> frozenset[str]:
    """Operation ids that more than one order of a decision has."""
    counts = Counter(order.operation_id for run in runs for order in run)
    return frozenset(name for name, count in counts.items() if count > 1)


def _flaw(run: Sequence[Order], repeated: Container[str]) -> str | None:
    """What is wrong with one group, or with a single order."""
    for order in run:
        if order.operation_id in repeated:
            return f"has the operation_id {order.operation_id!r} more than once; each order needs one of its own"
    group_id = run[0].atomic_group_id
    modes = list(dict.fromkeys(order.execution_mode for order in run))
    if group_id is not None:
        sequence = [order.sequence_in_group for order in run]
        if sequence != list(range(len(run))):
            return f"group {group_id!r} counts its orders {sequence}; {list(range(len(run)))} was expected, without gap"
        if len(modes) != 1:
            return f"group {group_id!r} mixes the modes {', '.join(modes)}; one group has one mode"
    for order in run:
        if order.operation in _FLASH and (group_id is None or modes != [ExecutionMode.ATOMIC]):
            return f"{order.operation_id!r} is a {order.operation}, which exists only inside an atomic group"
        if group_id is not None and modes == [ExecutionMode.COMPENSATED] and order.operation not in _TRADES:
            return (
                f"group {group_id!r} is compensated, so each leg must be a trade that a trade can undo;"
                f" {order.operation_id!r} is a {order.operation}"
            )
    return None


def only_reduces(orders: Iterable[Order]) -> bool:
    """Whether each of some legs takes something off the book: it sells spot, or is a perp order that may only reduce.

    What is done of them is less risk than before, so it is never undone.
    """
    return all(
        order.reduce_only if order.operation is OperationType.PERP_TRADE else order.side is Side.SELL
        for order in orders
    )


def part_of(order: Order, amount: float, operation_id: str) -> Order:
    """The same trade of `amount`, or of as many whole lots of it as are there; it brings its share of what was
    expected."""
    share = amount / order.amount
    deltas = tuple(
        msgspec.structs.replace(delta, delta_amount=share * delta.delta_amount) for delta in order.expected_deltas
    )
    return msgspec.structs.replace(
        order,
        operation_id=operation_id,
        amount=amount,
        expected_deltas=deltas,
        reduce_only=order.reduce_only or order.side is Side.SELL,
    )


def rest_id(operation_id: str, number: int) -> str:
    """Id of a further trade of a leg, which does what those before it left."""
    return f"{operation_id}-rest-{number}"


_OPPOSITE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY, Side.LONG: Side.SHORT, Side.SHORT: Side.LONG}


def opposite(order: Order, handshake: ExecutionHandshake) -> Order:
    """The trade that undoes what `order` filled: that amount the other way, outside any group, at whatever it costs."""
    filled = abs(handshake.actual_deltas[_traded_key(order)])
    expected = {delta.position_key: delta for delta in order.expected_deltas}
    deltas = tuple(
        msgspec.structs.replace(expected[key], delta_amount=-amount)
        for key, amount in handshake.actual_deltas.items()
        if key in expected
    )
    return _reversed(order, filled, deltas, unwind_id(order.operation_id, 1))


def unwind_id(operation_id: str, number: int) -> str:
    """Id of the trade that undoes an operation; a further one undoes what the one before it left."""
    return f"{operation_id}-unwind" if number == 1 else f"{operation_id}-unwind-{number}"


def undoing(order: Order, amount: float, operation_id: str) -> Order:
    """The trade that undoes `amount` of `order`, as `opposite`; what it brings is expected as `order` expected it."""
    share = amount / order.amount
    deltas = tuple(
        msgspec.structs.replace(delta, delta_amount=-share * delta.delta_amount) for delta in order.expected_deltas
    )
    return _reversed(order, amount, deltas, operation_id)


def _reversed(order: Order, amount: float, deltas: tuple[ExpectedDelta, ...], operation_id: str) -> Order:
    assert order.side is not None, "only trades are undone by a trade"
    return msgspec.structs.replace(
        order,
        operation_id=operation_id,
        amount=amount,
        side=_OPPOSITE[order.side],
        source_token=order.target_token,
        target_token=order.source_token,
        expected_deltas=deltas,
        execution_mode=ExecutionMode.SEQUENTIAL,
        atomic_group_id=None,
        sequence_in_group=None,
        strategy_intent="unwind",
        # A spot purchase whose fee was taken out of it leaves less to sell than was bought.
        reduce_only=order.side is Side.BUY if order.operation is OperationType.SPOT_TRADE else not order.reduce_only,
        order_type=OrderType.MARKET,
        operation_details={},
        take_profit=None,
        stop_loss=None,
    )


def _traded_key(order: Order) -> str:
    """Position that a trade changes by its amount: the base asset, or the perp."""
    assert order.pair is not None
    if order.operation is OperationType.PERP_TRADE:
        return perp_key(order.venue, order.pair)
    return f"{order.venue}:BaseToken:{order.pair.split('/')[0]}"
