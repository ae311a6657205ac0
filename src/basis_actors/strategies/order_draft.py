"""Defines what every writer of orders shares: ids that derive from mode and tick, and groups."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from basis_actors.config import RunConfig
from basis_actors.errors import BasisError
from basis_actors.messages.orders import ExecutionMode, ExpectedDelta, OperationType, Order, Side
from basis_actors.strategies.base import Situation

__all__ = ["OrderDraft"]


class OrderDraft:
    """Numbers the orders of one decision. Ids derive from the mode, the tick and a counter, nothing else."""

    def __init__(self, run: RunConfig, situation: Situation, slippage_tolerance: float) -> None:
        self._run = run
        self._situation = situation
        self._tolerance = slippage_tolerance
        self._count = 0
        self._groups = 0

    def group(self, orders: Sequence[Order], mode: ExecutionMode) -> tuple[Order, ...]:
        """The same orders as one group, in this order.

        Raises BasisError STRAT-004 for a flash loan beside an unstake: the queue pays days later, and a flash loan is
        paid back in the transaction that takes it.
        """
        operations = {order.operation for order in orders}
        if operations >= {OperationType.FLASH_BORROW, OperationType.UNSTAKE}:
            raise BasisError(
                "STRAT-004",
                f"a group of {len(orders)} orders takes a flash loan and unstakes; what a queue pays days later cannot"
                " repay a loan of one transaction: unwind through a DEX, or with equity from outside the group",
            )
        group_id = f"{self._stem}-g{self._groups}"
        self._groups += 1
        return tuple(
            msgspec.structs.replace(order, execution_mode=mode, atomic_group_id=group_id, sequence_in_group=number)
            for number, order in enumerate(orders)
        )

    @property
    def _stem(self) -> str:
        return f"{self._run.mode.mode}-{self._situation.book.risk.exposure.book.tick.number:06d}"

    def _order(
        self,
        venue: str,
        operation: OperationType,
        amount: float,
        tokens: tuple[str, str],
        deltas: tuple[ExpectedDelta, ...],
        intent: str,
        *,
        source_venue: str | None = None,
        target_venue: str | None = None,
        details: dict[str, object] | None = None,
        pair: str | None = None,
        side: Side | None = None,
        price: float | None = None,
        reduce_only: bool = False,
    ) -> Order:
        number, self._count = self._count, self._count + 1
        return Order(
            operation_id=f"{self._stem}-{number:02d}",
            venue=venue,
            operation=operation,
            amount=amount,
            source_venue=source_venue or venue,
            target_venue=target_venue or venue,
            source_token=tokens[0],
            target_token=tokens[1],
            expected_deltas=deltas,
            operation_details=details or {},
            pair=pair,
            side=side,
            price=price,
            strategy_intent=intent,
            strategy_id=self._run.mode.mode,
            slippage_tolerance=self._tolerance,
            reduce_only=reduce_only,
        )
