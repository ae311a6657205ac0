"""Defines the actor that carries out decisions: one order at a time, each booked and reconciled before the next.

The tight loop of an order is: gate, route, handshake, book, reconcile. A definite rejection is never sent again, a
transient failure is, and an unknown outcome is resolved by asking the venue, never by sending.
"""

from __future__ import annotations

from basis_actors.actors.execution_log import gas_paid, group_event, operation_event, tight_loop_event
from basis_actors.actors.execution_units import Unit, opposite, split_into_units
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import Actor, AskTimeout, on
from basis_actors.config import ExecutionManagerConfig
from basis_actors.errors import BasisError, severity_of
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import (
    CheckOrders,
    ExecuteOrders,
    OrderResult,
    OrdersDone,
    Reconcile,
    RouteGroup,
    RouteOrder,
    StopTrading,
)
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.times import utc_from_ns

__all__ = ["ExecutionManager"]

_UNDECIDED = (ExecutionStatus.UNKNOWN, ExecutionStatus.PENDING)


class ExecutionManager(Actor):
    """Works through the orders of each decision, and tells the engine and the strategy when they have ended.

    `stopwatch` measures durations for the log; it never decides anything.
    """

    def __init__(self, config: ExecutionManagerConfig, stopwatch: Stopwatch, *, simulated: bool) -> None:
        super().__init__("execution_manager")
        self._config = config
        self._stopwatch = stopwatch
        self._simulated = simulated
        self._stopped: str | None = None

    def on_control(self, message: object) -> object:
        """A stop takes effect between two orders: what was sent is resolved, what was not is not sent any more."""
        if isinstance(message, StopTrading):
            self._stopped = message.reason
            return None
        return super().on_control(message)

    @on(StopTrading)
    def stop_trading(self, command: StopTrading) -> None:
        """Send nothing from now on."""
        self._stopped = command.reason

    @on(ExecuteOrders)
    async def execute(self, request: ExecuteOrders) -> None:
        """Work through a decision. After a unit that failed, what follows is answered `failed` and not sent."""
        results: list[OrderResult] = []
        blocked: tuple[str, str] | None = None
        for unit in split_into_units(request.orders):
            if self._stopped is not None:
                blocked = ("EXEC-002", f"trading is stopped: {self._stopped}")
            if blocked is not None:
                results += [self._refuse(order, *blocked) for order in unit.orders]
                continue
            outcome = await self._run_unit(unit, request.tick)
            results += outcome
            failed = next((result for result in outcome if not result.succeeded), None)
            if failed is not None:
                blocked = ("EXEC-001", f"not sent, because {failed.operation_id} before it failed")
        self.tell("engine", OrdersDone(request.tick.number, tuple(results)))

    async def _run_unit(self, unit: Unit, tick: TickStarted) -> list[OrderResult]:
        started = self._stopwatch()
        verdict = await self.ask("risk_gate", CheckOrders(unit.orders, tick))
        if not verdict.allowed:
            assert verdict.error_code is not None
            code, reason = verdict.error_code, verdict.reason or "refused by the risk gate"
            results = [self._refuse(order, code, reason) for order in unit.orders]
            status, rolled_back = "failed", None
        elif unit.mode is ExecutionMode.ATOMIC:
            results, status, rolled_back = await self._run_atomic(unit)
        else:
            results, status, rolled_back = await self._run_in_turn(unit)
        if unit.group_id is not None:
            self.log(
                group_event(
                    utc_from_ns(self.now), unit, results, status, rolled_back, self._stopwatch.ms_since(started)
                )
            )
        return results

    async def _run_in_turn(self, unit: Unit) -> tuple[list[OrderResult], str, str | None]:
        """Orders one after the other; a compensated group unwinds what it did when a leg fails."""
        results: list[OrderResult] = []
        done: list[Order] = []
        for number, order in enumerate(unit.orders):
            if self._stopped is not None and not done:
                results.append(self._refuse(order, "EXEC-002", f"trading is stopped: {self._stopped}"))
                continue
            last = number == len(unit.orders) - 1
            result = await self._tight_loop(order, announce=last)
            results.append(result)
            if result.succeeded:
                done.append(order)
                continue
            reason = f"{order.operation_id} failed with {result.error_code}"
            results += [self._refuse(rest, "EXEC-001", f"not sent: {reason}") for rest in unit.orders[number + 1 :]]
            if unit.mode is ExecutionMode.COMPENSATED and done:
                await self._unwind(done)
                return results, "compensated", reason
            return results, "failed", None
        return results, "confirmed" if len(done) == len(unit.orders) else "failed", None

    async def _run_atomic(self, unit: Unit) -> tuple[list[OrderResult], str, str | None]:
        """One transaction: the venue confirms every order or none."""
        watch = self._stopwatch()
        handshakes = await self.ask("venue_interface_manager", RouteGroup(unit.orders), self._config.execution_timeout)
        duration = self._stopwatch.ms_since(watch)
        results = []
        for number, (order, handshake) in enumerate(zip(unit.orders, handshakes, strict=True)):
            last = number == len(unit.orders) - 1
            results.append(await self._book(order, handshake, 0, watch, duration, announce=last))
        failed = next((handshake for handshake in handshakes if not handshake.was_successful()), None)
        if failed is None:
            return results, "confirmed", None
        return results, "rolled_back", f"{failed.error_code}: {failed.error_message}"

    async def _unwind(self, done: list[Order]) -> None:
        """Undo trades, newest first. What cannot be undone is an error that stops trading."""
        for number, order in enumerate(reversed(done)):
            result = await self._tight_loop(opposite(order), announce=number == len(done) - 1)
            if not result.succeeded:
                raise BasisError(
                    "EXEC-006",
                    f"{order.operation_id} could not be unwound ({result.error_code}); the group's other legs are not"
                    " hedged, look at the positions before trading goes on",
                )

    async def _tight_loop(self, order: Order, *, announce: bool) -> OrderResult:
        """One order: send, resolve if need be, retry if allowed, then book and reconcile."""
        config = self._config
        watch = self._stopwatch()
        retries = 0
        while True:
            handshake = await self._send(order)
            if not handshake.retryable or retries >= config.max_retry_attempts or self._stopped is not None:
                break
            retries += 1
            await self.sleep(config.retry_delay_seconds)
        return await self._book(order, handshake, retries, watch, self._stopwatch.ms_since(watch), announce=announce)

    async def _send(self, order: Order) -> ExecutionHandshake:
        """Send an order once. When nobody knows what became of it, ask until somebody does or time is up."""
        config = self._config
        sent = self.now
        try:
            handshake = await self.ask("venue_interface_manager", RouteOrder(order), config.execution_timeout)
        except AskTimeout:
            handshake = self._unknown(order, f"no answer within {config.execution_timeout} s")
        while handshake.status in _UNDECIDED:
            if self.now - sent > config.tight_loop_timeout * 1e9:
                return handshake
            await self.sleep(config.retry_delay_seconds)
            try:
                handshake = await self.ask(
                    "venue_interface_manager", RouteOrder(order, resolve=True), config.execution_timeout
                )
            except AskTimeout:
                handshake = self._unknown(order, f"the venue does not answer within {config.execution_timeout} s")
        return handshake

    async def _book(
        self,
        order: Order,
        handshake: ExecutionHandshake,
        retries: int,
        watch: float,
        execution_ms: float,
        *,
        announce: bool,
    ) -> OrderResult:
        """Log the outcome, book what the venue settled, reconcile, and say how the loop went."""
        self.log(operation_event(utc_from_ns(self.now), order, handshake, execution_ms))
        reconciling = self._stopwatch()
        reconciled = True
        if handshake.settlements or announce:
            reconciled = await self._reconcile(order, handshake, announce=announce)
        succeeded = handshake.was_successful()
        if not succeeded:
            self._report_failure(order, handshake)
        self.log(
            tight_loop_event(
                utc_from_ns(self.now),
                order,
                handshake,
                reconciled=reconciled,
                retries=retries,
                total_ms=self._stopwatch.ms_since(watch),
                execution_ms=execution_ms,
                reconciliation_ms=self._stopwatch.ms_since(reconciling),
            )
        )
        if not reconciled:
            raise BasisError(
                "EXEC-007",
                f"after {order.operation} {order.operation_id} the ledger and {order.venue} disagree; trading stops,"
                " the reconciliation event names the positions",
            )
        if handshake.status in _UNDECIDED:
            raise BasisError(
                "VEN-002",
                f"nobody knows whether {order.operation} {order.operation_id} on {order.venue} happened, after asking"
                f" for {self._config.tight_loop_timeout} s; trading stops, look it up at the venue",
            )
        return OrderResult(order.operation_id, succeeded, reconciled, handshake.error_code, gas_paid(handshake))

    async def _reconcile(self, order: Order, handshake: ExecutionHandshake, *, announce: bool) -> bool:
        """Compare until ledger and venue agree or the time for it is up: a live venue's report may lag."""
        config = self._config
        started = self.now
        while True:
            outcome = await self.ask(
                "position_update_handler", Reconcile(order, handshake, announce), config.reconciliation_timeout
            )
            late = self.now - started >= config.reconciliation_timeout * 1e9
            if outcome.success or late or self._simulated:
                return outcome.success
            announce = False
            await self.sleep(config.retry_delay_seconds)

    def _refuse(self, order: Order, code: str, reason: str) -> OrderResult:
        """Answer an order that is not sent."""
        now = utc_from_ns(self.now)
        handshake = ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.FAILED,
            error_code=code,
            error_message=reason,
            submitted_at=now,
            simulated=self._simulated,
        )
        self.log(operation_event(now, order, handshake, 0.0))
        self._report_failure(order, handshake)
        return OrderResult(order.operation_id, False, True, code)

    def _report_failure(self, order: Order, handshake: ExecutionHandshake) -> None:
        code = handshake.error_code or "EXEC-001"
        self.log(
            SystemErrorEvent(
                timestamp=utc_from_ns(self.now),
                component=self.name,
                error_code=code,
                severity=severity_of(code).value,
                message=f"{order.operation} {order.operation_id} on {order.venue}: {handshake.status}:"
                f" {handshake.error_message}",
                operation_id=order.operation_id,
            )
        )

    def _unknown(self, order: Order, reason: str) -> ExecutionHandshake:
        return ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.UNKNOWN,
            error_code="VEN-002",
            error_message=reason,
            submitted_at=utc_from_ns(self.now),
            simulated=self._simulated,
        )
