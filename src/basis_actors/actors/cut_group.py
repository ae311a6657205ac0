"""Defines what becomes of a compensated group that the end of its process cut in two: undone, or else finished. One
that only reduces is never undone: its legs follow the one that came furthest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from basis_actors.actors.execution_units import (
    MOST_TRADES,
    TOO_SMALL,
    only_reduces,
    part_of,
    rest_id,
    undoing,
    unwind_id,
)
from basis_actors.errors import BasisError, Rejected
from basis_actors.messages.orders import ExecutionMode, Order, OrderType
from basis_actors.ports import OrderJournal

__all__ = ["CutGroup"]

_ROUNDING: Final = Decimal("1e-9")
"""Relative."""


class CutGroup:
    """A group of the process `incarnation`.

    `carry_out` sends an order and follows it to its end, and raises what its exchange raises; `say` tells whoever reads
    the log.
    """

    def __init__(
        self,
        incarnation: int,
        orders: Sequence[Order],
        journal: OrderJournal,
        carry_out: Callable[[Order], Awaitable[object]],
        say: Callable[[str, str], None],
    ) -> None:
        self._incarnation = incarnation
        self._orders = tuple(orders)
        self._journal = journal
        self._carry_out = carry_out
        self._say = say

    async def mend(self) -> None:
        """Undo its legs, newest first, unless all of them are done; where an exchange refuses that, do what is left.

        Undoing needs cash or margin that may be gone. Raises Rejected or BasisError EXEC-006 when neither works, and
        where a group that only reduces cannot be made even.
        """
        if all([await self._rest_of(order) <= 0 for order in self._orders]):
            return
        if only_reduces(self._orders):
            furthest = max([await self._in_force(order) / Decimal(repr(order.amount)) for order in self._orders])
            for order in self._orders:
                await self._bring_to_end(order, self._finishing, lambda leg: self._rest_of(leg, furthest))
            return
        try:
            for order in reversed(self._orders):
                await self._bring_to_end(order, self._undoing, self._in_force)
        except Rejected as refusal:
            self._say(self._orders[0].operation_id, f"cannot be undone, so it is finished: {refusal.message}")
            for order in self._orders:
                await self._bring_to_end(order, self._finishing, self._rest_of)

    async def _in_force(self, order: Order) -> Decimal:
        """What is done of a leg: filled by its process or by a later one, and not undone by either."""
        rests = [rest_id(order.operation_id, number) for number in range(1, MOST_TRADES)]
        legs = [(self._incarnation, name) for name in (order.operation_id, *rests)]
        undone = [(self._incarnation, unwind_id(order.operation_id, number)) for number in range(1, MOST_TRADES + 1)]
        for later in range(self._incarnation + 1, self._journal.incarnation + 1):
            legs += [(later, self._name(order, "finished", number)) for number in range(MOST_TRADES)]
            undone += [(later, self._name(order, "undone", number)) for number in range(MOST_TRADES)]
        return await self._filled(legs) - await self._filled(undone)

    async def _rest_of(self, order: Order, share: Decimal = Decimal(1)) -> Decimal:
        """What is not done of a `share` of a leg. Orders count in floats, exchanges in whole lots: their difference is
        nothing."""
        wanted = share * Decimal(repr(order.amount))
        left = wanted - await self._in_force(order)
        return left if left > _ROUNDING * wanted else Decimal(0)

    async def _filled(self, operations: Sequence[tuple[int, str]]) -> Decimal:
        total = Decimal(0)
        for operation in operations:
            for entry in await self._journal.attempts(*operation):
                total += entry.filled
        return total

    async def _bring_to_end(
        self,
        order: Order,
        trade: Callable[[Order, float, int], Order],
        left_of: Callable[[Order], Awaitable[Decimal]],
    ) -> None:
        """Trade until nothing is left of a leg: each trade may be filled in part only."""
        for number in range(MOST_TRADES):
            left = await left_of(order)
            if left <= 0:
                return
            following = trade(order, float(left), number)
            try:
                await self._carry_out(following)
            except Rejected as error:
                if error.code != TOO_SMALL:
                    raise
                # Too small to be traded is too small to matter; the strategy sees it in the book.
                self._say(following.operation_id, f"{left} {order.pair} stay as they are: {error.message}")
                return
            text = f"group {order.atomic_group_id} was cut in two by the end of an earlier process"
            rest = await left_of(order)
            to_do = f"{rest.normalize():f} of {left.normalize():f}" if rest > 0 else f"nothing of {left.normalize():f}"
            self._say(following.operation_id, f"{text}; {to_do} {order.pair} is left to do")
        left = await left_of(order)
        if left > 0:
            raise BasisError(
                "EXEC-006",
                f"{order.operation_id} of group {order.atomic_group_id}, which an earlier process began, could not be"
                f" brought to its end: {left} of {order.amount!r} {order.pair} are left; trade them by hand",
            )

    def _undoing(self, order: Order, amount: float, number: int) -> Order:
        return undoing(order, amount, self._name(order, "undone", number))

    def _finishing(self, order: Order, amount: float, number: int) -> Order:
        return replace(
            part_of(order, amount, self._name(order, "finished", number)),
            order_type=OrderType.MARKET,
            operation_details={},
            execution_mode=ExecutionMode.SEQUENTIAL,
            atomic_group_id=None,
            sequence_in_group=None,
        )

    def _name(self, order: Order, what: str, number: int) -> str:
        """Differs from every id that the process of the group gave."""
        return f"{order.operation_id}-{what}-{self._incarnation}-{number}"
