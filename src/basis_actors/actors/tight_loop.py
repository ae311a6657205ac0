"""Defines the tight loop of an order: send, resolve or retry, book, reconcile. It decides nothing beyond one order.

A definite rejection is never sent again, a transient failure is, and an unknown outcome is resolved by asking the
venue, never by sending. Everything that is not confirmed is told to the caller in full; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from basis_actors.actors.execution_log import operation_event, tight_loop_event
from basis_actors.actors.execution_units import UNDECIDED_CODE, Outcome
from basis_actors.actors.order_reports import OrderReports
from basis_actors.actors.reporting import HALTED_CODE, STATE_CODE, STOPPED_CODE, say_mismatches
from basis_actors.actors.timing import Stopwatch
from basis_actors.bus import Actor, AskFailed, AskTimeout
from basis_actors.config import ExecutionManagerConfig
from basis_actors.messages.commands import (
    ApplySettlements,
    AskRoom,
    LeaveOrder,
    Objection,
    Reconcile,
    RouteGroup,
    RouteOrder,
)
from basis_actors.messages.events import Mismatch
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.orders import Order
from basis_actors.messages.safety import LedgerCompared
from basis_actors.times import utc_from_ns

__all__ = ["TightLoop", "always"]

_ROUTER = "venue_interface_manager"
_REPORTED = frozenset({HALTED_CODE, STATE_CODE, STOPPED_CODE})
"""Codes of what keeps orders from being sent or filled, and is reported where it comes about: that is no news."""
_UNDECIDED = (ExecutionStatus.UNKNOWN, ExecutionStatus.PENDING)
_NOT_COMPARED = "EXEC-005"
"""Code of an order that is done, and was not compared with what its venue holds."""


class TightLoop:
    """Runs orders on behalf of `actor`, within the times of its configuration.

    `stopwatch` measures durations for the log; the limits run on the clock of the bus. Once `is_ending` says that the
    run is failing, nothing is waited for any more. `accounts` are the venues that can still be asked later what became
    of an order, because a journal keeps it: what they do not say in time is left to them.
    """

    def __init__(
        self,
        actor: Actor,
        config: ExecutionManagerConfig,
        stopwatch: Stopwatch,
        *,
        is_ending: Callable[[], bool],
        simulated: bool,
        accounts: Collection[str] = (),
    ) -> None:
        self._accounts = accounts
        self._hurries = False
        self._reports = OrderReports(actor)
        self._actor = actor
        self._is_ending = is_ending
        self._config = config
        self._stopwatch = stopwatch
        self._simulated = simulated

    def hurry(self) -> None:
        """Ask an account once what became of an order, and leave what it does not say to the next process."""
        self._hurries = True

    async def room_for(self, orders: tuple[Order, ...]) -> Objection | None:
        """What keeps the venues of these orders from taking them now, once what passes within one try is waited for."""
        actor = self._actor
        end = actor.now + actor.span(self._config.execution_timeout)
        while True:
            try:
                objection = await actor.ask(_ROUTER, AskRoom(orders), self._config.execution_timeout)
            except (AskTimeout, AskFailed) as error:
                return Objection("VEN-003", f"it is not known whether the venues take orders: {error}")
            if objection is None or not 0.0 < objection.wait_seconds <= self._remaining(end) or self._is_ending():
                return objection
            await actor.sleep(objection.wait_seconds)

    async def run(self, order: Order, may_retry: Callable[[], Awaitable[bool]]) -> Outcome:
        """One order. `may_retry` is asked right before a transient failure is sent again.

        A venue that wants to be left alone is waited for as long as one try may take.
        """
        return await self._repeat(order, self._pause, may_retry)

    async def insist(self, order: Order) -> Outcome:
        """One order without which the book stays unhedged: what passes is waited for as long as there is time."""
        return await self._repeat(order, self._pause_of_insisting, always)

    async def _repeat(
        self,
        order: Order,
        pause_before: Callable[[ExecutionHandshake, int, int], float | None],
        may_retry: Callable[[], Awaitable[bool]],
    ) -> Outcome:
        """Send an order until `pause_before`, given handshake, retries and deadline, names no pause any more."""
        deadline = self._deadline()
        watch = self._stopwatch()
        retries = 0
        while True:
            handshake = await self._send(order, deadline)
            pause = pause_before(handshake, retries, deadline)
            if pause is None:
                break
            await self._actor.sleep(pause)
            if not await may_retry():
                break
            retries += 1
        return await self._book(order, handshake, retries, watch, self._stopwatch.ms_since(watch), deadline)

    async def run_atomic(self, orders: tuple[Order, ...], may_retry: Callable[[], Awaitable[bool]]) -> list[Outcome]:
        """A group in one transaction."""
        deadline = self._deadline()
        watch = self._stopwatch()
        retries = 0
        while True:
            handshakes = await self._send_group(orders, deadline)
            failed = [handshake for handshake in handshakes if not handshake.was_successful()]
            if not any(self._goes_on(handshake, retries, deadline) for handshake in failed):
                break
            await self._actor.sleep(max(self._pause_after(handshake) for handshake in failed))
            if not await may_retry():
                break
            retries += 1
        duration = self._stopwatch.ms_since(watch)
        # The venue can only show what the whole transaction left, so all of it is booked before any is compared.
        settlements = tuple(settlement for handshake in handshakes for settlement in handshake.settlements)
        if settlements:
            await self._actor.ask("position_monitor", ApplySettlements(settlements))
        return [
            await self._book(order, handshake, retries, watch, duration, deadline)
            for order, handshake in zip(orders, handshakes, strict=True)
        ]

    def refuse(self, order: Order, code: str, reason: str, *, passes: bool = False) -> Outcome:
        """Answer an order that is not sent; `passes` where what keeps it back does, as a disk that takes nothing."""
        passes = passes or code == STATE_CODE
        now = utc_from_ns(self._actor.now)
        handshake = ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.FAILED,
            error_code=code,
            error_message=reason,
            submitted_at=now,
            simulated=self._simulated,
            retryable=passes,
        )
        self._actor.log(operation_event(now, order, handshake, 0.0))
        self._reports.say(order, code, f"{handshake.status}: {reason}", passes=passes or code in _REPORTED)
        return Outcome(order, handshake)

    def _goes_on(self, handshake: ExecutionHandshake, retries: int, deadline: int) -> bool:
        """Whether a failed order may be sent again: nothing was done, there are attempts, and time for a whole one."""
        config = self._config
        if not handshake.retryable or retries >= config.max_retry_attempts:
            return False
        within_reach = handshake.wait_seconds <= config.execution_timeout
        return within_reach and self._has_time(self._pause_after(handshake), deadline)

    def _has_time(self, pause: float, deadline: int) -> bool:
        """Whether a whole attempt fits in after a pause."""
        config = self._config
        return self._remaining(deadline) >= pause + config.execution_timeout + config.reconciliation_timeout

    def _pause(self, handshake: ExecutionHandshake, retries: int, deadline: int) -> float | None:
        return self._pause_after(handshake) if self._goes_on(handshake, retries, deadline) else None

    def _pause_of_insisting(self, handshake: ExecutionHandshake, retries: int, deadline: int) -> float | None:
        """Longer each time, as between questions; attempts are not counted."""
        delay = self._config.retry_delay_seconds
        if retries:
            delay = min(max(2.0 * delay, 0.1) * 2.0 ** (retries - 1), self._config.longest_question_pause_seconds)
        pause = max(delay, handshake.wait_seconds)
        goes_on = handshake.retryable and self._has_time(pause, deadline) and not self._is_ending()
        return pause if goes_on else None

    def _pause_after(self, handshake: ExecutionHandshake) -> float:
        return max(self._config.retry_delay_seconds, handshake.wait_seconds)

    async def _send(self, order: Order, deadline: int) -> ExecutionHandshake:
        """Send an order once; what nobody knows afterwards is asked for until somebody does or time is up."""
        began = self._actor.now
        handshake = await self._ask_venue(order, deadline, resolve=False)
        return await self._resolve(order, handshake, deadline, began)

    async def _send_group(self, orders: tuple[Order, ...], deadline: int) -> tuple[ExecutionHandshake, ...]:
        began = self._actor.now
        try:
            handshakes = await self._actor.ask(_ROUTER, RouteGroup(orders), self._timeout(deadline))
        except (AskTimeout, AskFailed) as error:
            handshakes = tuple(self._unknown(order, str(error)) for order in orders)
        resolved = []
        for order, handshake in zip(orders, handshakes, strict=True):
            resolved.append(await self._resolve(order, handshake, deadline, began))
        return tuple(resolved)

    async def _resolve(
        self, order: Order, handshake: ExecutionHandshake, deadline: int, began: int
    ) -> ExecutionHandshake:
        """Ask what became of an order, at growing intervals, as long as there is time to reconcile it afterwards.

        They do not grow far: all else waits for the answer, also when the venue has long been back. An account that
        says nothing, as it has since `began`, is given up sooner: it is asked again when it answers.
        """
        actor, known_ns = self._actor, began
        longest = self._config.longest_question_pause_seconds
        pause = min(self._config.retry_delay_seconds, longest)
        end = deadline - self._actor.span(self._config.reconciliation_timeout)
        while handshake.status in _UNDECIDED and not self._is_ending():
            if handshake.status is ExecutionStatus.PENDING:
                known_ns = actor.now
            until = min(end, known_ns + actor.span(self._patience_with(order)))
            if self._remaining(until) <= pause:
                break
            await actor.sleep(pause)
            handshake = await self._ask_venue(order, until, resolve=True)
            pause = min(max(2.0 * pause, 0.1), longest)
            if self._hurries and handshake.status is ExecutionStatus.UNKNOWN and order.venue in self._accounts:
                break
        return handshake

    def _patience_with(self, order: Order) -> float:
        """Seconds that an exchange may say nothing of an order."""
        config = self._config
        return config.unanswered_seconds if order.venue in self._accounts else config.tight_loop_timeout

    async def _ask_venue(self, order: Order, deadline: int, *, resolve: bool) -> ExecutionHandshake:
        try:
            return await self._actor.ask(_ROUTER, RouteOrder(order, resolve), self._timeout(deadline))
        except (AskTimeout, AskFailed) as error:
            return self._unknown(order, str(error))

    async def _book(
        self,
        order: Order,
        handshake: ExecutionHandshake,
        retries: int,
        watch: float,
        execution_ms: float,
        deadline: int,
    ) -> Outcome:
        """Log the outcome, book what the venue settled, reconcile, and say how the loop went."""
        actor = self._actor
        actor.log(operation_event(utc_from_ns(actor.now), order, handshake, execution_ms))
        if not handshake.was_successful():
            text = f"{handshake.status}: {handshake.error_message}"
            code = UNDECIDED_CODE if handshake.status in _UNDECIDED else handshake.error_code or "EXEC-001"
            self._reports.say(order, code, text, passes=handshake.retryable or code in _REPORTED)
        else:
            self._reports.goes_on(order)
        reconciling = self._stopwatch()
        fatal = None
        if handshake.settlements:
            fatal = await self._reconcile(order, handshake, deadline)
        if fatal is None and handshake.status in _UNDECIDED:
            what = f"{order.operation} {order.operation_id} on {order.venue}"
            text = f"nobody knows whether {what} happened, also after asking; look it up at the venue"
            fatal = (UNDECIDED_CODE, text)
        passing = None
        if fatal is not None and fatal[0] in (UNDECIDED_CODE, _NOT_COMPARED) and order.venue in self._accounts:
            passing, fatal = fatal, None
            self._leave(order, *passing)
        actor.log(
            tight_loop_event(
                utc_from_ns(actor.now),
                order,
                handshake,
                reconciled=fatal is None and passing is None,
                retries=retries,
                total_ms=self._stopwatch.ms_since(watch),
                execution_ms=execution_ms,
                reconciliation_ms=self._stopwatch.ms_since(reconciling),
            )
        )
        return Outcome(order, handshake, fatal, passing is not None and passing[0] == UNDECIDED_CODE)

    def _leave(self, order: Order, code: str, why: str) -> None:
        """Let the account find out by itself, as soon as its exchange answers."""
        if code == _NOT_COMPARED:
            self._reports.say(order, code, f"{why}; it is once {order.venue} shows its account again", passes=True)
        self._actor.tell(_ROUTER, LeaveOrder(order, unknown=code == UNDECIDED_CODE))

    async def _reconcile(self, order: Order, handshake: ExecutionHandshake, deadline: int) -> tuple[str, str] | None:
        """Compare until ledger and venue agree or time is up: a venue's report may lag behind its answer.

        Returns what makes trading unsafe, None when all agrees.
        """
        config = self._config
        end = min(deadline, self._actor.now + self._actor.span(config.reconciliation_timeout))
        mismatches: tuple[Mismatch, ...] = ()
        what = f"{order.operation} {order.operation_id}"
        while (left := self._remaining(end)) > 0.0:
            try:
                outcome = await self._actor.ask("position_update_handler", Reconcile(order, handshake), left)
            except (AskTimeout, AskFailed) as error:
                return _NOT_COMPARED, f"{what} could not be reconciled: {error}"
            mismatches = outcome.mismatches
            if outcome.compared and not mismatches:
                if outcome.surprises:
                    self._reports.say(
                        order, "STRAT-004", f"did not do what was expected: {say_mismatches(outcome.surprises)}"
                    )
                return None
            if self._is_ending():
                break
            await self._actor.sleep(min(max(config.retry_delay_seconds, 0.1), self._remaining(end)))
        if not mismatches:
            return _NOT_COMPARED, f"{what} could not be reconciled: {order.venue} does not show its account"
        differences = say_mismatches(mismatches)
        self._reports.say(order, "POS-005", differences)
        self._actor.publish(LedgerCompared(order.venue, differences))
        return "EXEC-007", f"after {what} the ledger and {order.venue} disagree: {differences}"

    def _unknown(self, order: Order, reason: str) -> ExecutionHandshake:
        return ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.UNKNOWN,
            error_code=UNDECIDED_CODE,
            error_message=reason,
            submitted_at=utc_from_ns(self._actor.now),
            simulated=self._simulated,
        )

    def _deadline(self) -> int:
        return self._actor.now + self._actor.span(self._config.tight_loop_timeout)

    def _remaining(self, deadline: int) -> float:
        """Seconds until `deadline`, 0 when it has passed."""
        return max(0.0, self._actor.seconds_until(deadline))

    def _timeout(self, deadline: int) -> float:
        return min(self._config.execution_timeout, self._remaining(deadline))


async def always() -> bool:
    """Nothing can have come up that keeps an order back."""
    return True
