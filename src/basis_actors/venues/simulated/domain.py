"""Defines what every simulated account domain has in common: balances of its own, settlements without gaps, a memory
of the orders it answered, and tokens on their way to it.

What an order does is left to the exchange and the chain.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from basis_actors.errors import Rejected, VenueError
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, ExecutionStatus, PositionDelta, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import Order
from basis_actors.times import utc_from_ns
from basis_actors.venues.simulated.refusals import NO_DUST, malformed, refused, take

if TYPE_CHECKING:
    from basis_actors.messages.book import TickStarted
    from basis_actors.messages.commands import IncomingTransfer

__all__ = ["EXTERNAL", "Executed", "SimulatedDomain", "VenueClock"]

EXTERNAL: Final = "external"
"""Target venue of a transfer that leaves the house."""

_REMEMBERED: Final = 4096
"""Answers kept for `resolve`."""


class VenueClock(Protocol):
    """What a simulated venue needs to know of time."""

    def now(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock."""
        ...


class Executed(NamedTuple):
    """An order that was carried out."""

    settlements: tuple[Settlement, ...]
    details: dict[str, Any]
    fee_amount: float = 0.0
    fee_currency: str | None = None


class SimulatedDomain:
    """One simulated account domain; base of `SimulatedExchange` and `SimulatedChain`.

    Subclasses say what an order does (`_carry_out`) and how far an account may be drawn (`_spendable`). A refusal
    leaves everything as it was.
    """

    def __init__(self, domain: str, venues: tuple[str, ...], clock: VenueClock, latency_seconds: float) -> None:
        self._domain = domain
        self._venues = venues
        self._clock = clock
        self._latency = latency_seconds
        self._balances: dict[str, float] = {}
        self._sequence = 0
        self._market: MarketState | None = None
        self._arrivals: list[IncomingTransfer] = []
        self._expected: OrderedDict[str, None] = OrderedDict()
        self._answers: OrderedDict[str, ExecutionHandshake] = OrderedDict()
        self._forgotten = False
        self._in_flight: set[str] = set()

    @property
    def domain(self) -> str:
        """Name of the account domain."""
        return self._domain

    @property
    def venues(self) -> tuple[str, ...]:
        """Venue names of the orders that are carried out here."""
        return self._venues

    def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        """Everything up to the tick that was not an order, by time."""
        raise NotImplementedError

    async def execute(self, order: Order) -> ExecutionHandshake:
        """Carry out one order at the market of the last settled tick.

        Suspends only when the domain has a latency. Raises Rejected with EXEC-003 (something is missing), EXEC-004
        (account or venue rules), STRAT-006 (price unknown or stale), VEN-001 or VEN-004 (not served here).
        """
        self._refuse_repeat(order)
        await self._travel(order.operation_id)
        submitted = self._time()
        try:
            executed = self._carry_out(order, self._known_market(order))
        except VenueError as error:
            self._remember(self._failure(order, error, ExecutionStatus.FAILED, submitted))
            raise
        return self._remember(self._confirmation(order, executed, submitted))

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        """Refused: only a chain has transactions. Raises Rejected EXEC-004."""
        raise refused(
            orders[0],
            f"{self._domain} has no transactions, so the {len(orders)} orders of group {orders[0].atomic_group_id!r}"
            " cannot be atomic; use execution mode compensated",
        )

    async def resolve(self, order: Order) -> ExecutionHandshake:
        """The answer that was given to the order; `unknown` while it is under way or when answers were forgotten.

        An order that never arrived is `failed`: it did nothing, and may be sent again.
        """
        answer = self._answers.get(order.operation_id)
        if answer is not None:
            return answer
        now = self._time()
        if order.operation_id in self._in_flight or self._forgotten:
            return ExecutionHandshake(
                operation_id=order.operation_id, status=ExecutionStatus.UNKNOWN, submitted_at=now, simulated=True
            )
        return ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.FAILED,
            error_code="EXEC-001",
            error_message=f"{self._domain} never received order {order.operation_id!r}; nothing happened",
            submitted_at=now,
            simulated=True,
            retryable=True,
        )

    async def report(self) -> dict[str, float]:
        """Every position as the venue shows it, and what is on its way here under `transit:`; zero ones left out."""
        shown = {key: amount for key, amount in self._balances.items() if amount != 0.0}
        for transfer in self._arrivals:
            shown[transfer.transit_key] = shown.get(transfer.transit_key, 0.0) + transfer.amount
        return shown

    async def expect(self, transfer: IncomingTransfer) -> None:
        """Take note of tokens on their way; they arrive with the first tick that is not before `arrives_ns`.

        A transfer that is known already, on its way or here, is the same transfer told again.
        """
        if transfer.operation_id in self._expected:
            return
        self._expected[transfer.operation_id] = None
        if len(self._expected) > _REMEMBERED:
            self._expected.popitem(last=False)
        self._arrivals.append(transfer)
        self._arrivals.sort(key=lambda expected: expected.arrives_ns)

    async def _travel(self, *operation_ids: str) -> None:
        """Let the latency pass, with the orders neither here nor there."""
        if self._latency <= 0.0:
            return
        self._in_flight.update(operation_ids)
        try:
            await self._clock.sleep(self._latency)
        finally:
            self._in_flight.difference_update(operation_ids)

    def _carry_out(self, order: Order, market: MarketState) -> Executed:
        raise NotImplementedError

    def _spendable(self, key: str) -> float:
        """How much of a balance an order may take."""
        raise NotImplementedError

    def _book(
        self, source: DeltaSource, timestamp: datetime, deltas: Sequence[PositionDelta], operation_id: str | None = None
    ) -> Settlement:
        """Change the balances that `deltas` name, and tell it. Transit belongs to whoever it is on its way to."""
        balances = self._balances
        for delta in deltas:
            key = delta.position_key
            if not key.startswith("transit:"):
                balances[key] = balances.get(key, 0.0) + delta.delta_amount
        return self._tell(source, timestamp, deltas, operation_id)

    def _tell(
        self, source: DeltaSource, timestamp: datetime, deltas: Sequence[PositionDelta], operation_id: str | None = None
    ) -> Settlement:
        """The next settlement of this domain."""
        settlement = Settlement(source, timestamp, self._domain, self._sequence, tuple(deltas), operation_id)
        self._sequence += 1
        return settlement

    def _arrive(self, until_ns: int, settled: list[Settlement]) -> None:
        """Book the transfers that arrive up to `until_ns` and append them to `settled`."""
        while self._arrivals and self._arrivals[0].arrives_ns <= until_ns:
            transfer = self._arrivals.pop(0)
            deltas = (
                PositionDelta(transfer.transit_key, -transfer.amount),
                PositionDelta(transfer.position_key, transfer.amount),
            )
            moment = utc_from_ns(transfer.arrives_ns)
            settled.append(self._book(DeltaSource.TRANSFER, moment, deltas, transfer.operation_id))

    def _route_of(self, order: Order) -> tuple[str, str, str]:
        """Source key, target key and token of a transfer. Raises Rejected EXEC-003 when one is not named."""
        keys = []
        for name in ("source_key", "target_key"):
            key = order.operation_details.get(name)
            if not isinstance(key, str):
                raise malformed(order, f"a transfer names its {name} in operation_details, got {key!r}")
            keys.append(key)
        source, target = keys
        tokens = (source.rsplit(":", 1)[-1], target.rsplit(":", 1)[-1])
        if order.target_venue != EXTERNAL and tokens[0] != tokens[1]:
            raise malformed(order, f"a transfer moves one token, got {source} and {target}")
        return source, target, tokens[0]

    def _send_away(self, order: Order, source: str, token: str, fee: float) -> Settlement:
        """Take the amount of a transfer from `source` and put it in transit, leaving room there for `fee`."""
        amount = take(
            order, order.amount, self._spendable(source) - fee, f"{token} at {source} beside a fee of {fee:g}"
        )
        deltas = (PositionDelta(source, -amount), PositionDelta(f"transit:BaseToken:{token}", amount))
        return self._book(DeltaSource.TRANSFER, self._time(), deltas, order.operation_id)

    def _charge(
        self, source: DeltaSource, key: str, cost: float, operation_id: str, timestamp: datetime | None = None
    ) -> Settlement:
        """Book a fee or gas on `key`, now or at `timestamp`; what would be left as rounding goes with it."""
        left = self._balances.get(key, 0.0)
        if abs(left - cost) <= NO_DUST * cost:
            cost = left
        return self._book(source, timestamp or self._time(), (PositionDelta(key, -cost),), operation_id)

    def _time(self) -> datetime:
        return utc_from_ns(self._clock.now())

    def _known_market(self, order: Order) -> MarketState:
        if self._market is None:
            raise Rejected(
                "STRAT-006",
                f"order {order.operation_id!r}: {self._domain} has seen no market yet; orders follow the first tick",
            )
        return self._market

    def _refuse_repeat(self, order: Order) -> None:
        answer = self._answers.get(order.operation_id)
        done = answer is not None and answer.status is ExecutionStatus.CONFIRMED
        if done or order.operation_id in self._in_flight:
            raise refused(order, "an order with this id was already sent; ask what became of it instead of resending")

    def _remember(self, answer: ExecutionHandshake) -> ExecutionHandshake:
        answers = self._answers
        answers[answer.operation_id] = answer
        answers.move_to_end(answer.operation_id)
        if len(answers) > _REMEMBERED:
            answers.popitem(last=False)
            self._forgotten = True
        return answer

    def _confirmation(self, order: Order, executed: Executed, submitted: datetime) -> ExecutionHandshake:
        actual: dict[str, float] = {}
        for settlement in executed.settlements:
            if settlement.source not in (DeltaSource.FEE, DeltaSource.GAS):
                for delta in settlement.deltas:
                    actual[delta.position_key] = actual.get(delta.position_key, 0.0) + delta.delta_amount
        return ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.CONFIRMED,
            actual_deltas=actual,
            execution_details=executed.details,
            fee_amount=executed.fee_amount,
            fee_currency=executed.fee_currency,
            submitted_at=submitted,
            executed_at=self._time(),
            venue_metadata={"domain": self._domain},
            simulated=True,
            settlements=executed.settlements,
        )

    def _failure(
        self,
        order: Order,
        error: VenueError,
        status: ExecutionStatus,
        submitted: datetime,
        settlements: tuple[Settlement, ...] = (),
    ) -> ExecutionHandshake:
        return ExecutionHandshake(
            operation_id=order.operation_id,
            status=status,
            error_code=error.code,
            error_message=error.message,
            submitted_at=submitted,
            simulated=True,
            settlements=settlements,
        )
