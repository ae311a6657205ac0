"""Defines the actor that carries out decisions: unit by unit, each order booked and reconciled before the next.

A unit is a single order or a group. What a unit leaves behind when it fails is said by its mode; whatever happens,
every order is answered, every group has its event, and the monitors see the book as it then is.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from basis_actors.actors.execution_log import group_event
from basis_actors.actors.execution_units import Outcome, Unit, only_reduces, split_into_units
from basis_actors.actors.reducing_group import follow
from basis_actors.actors.reporting import HALTED_CODE, STATE_CODE, STOPPED_CODE, error_event
from basis_actors.actors.tight_loop import TightLoop, always
from basis_actors.actors.timing import Stopwatch
from basis_actors.actors.unwinding import is_undone, undo
from basis_actors.bus import Actor, Escalated, on
from basis_actors.config import ExecutionManagerConfig
from basis_actors.errors import BasisError, JournalError, Severity, severity_of
from basis_actors.messages.book import TickStarted, Trigger
from basis_actors.messages.commands import (
    ApplySettlements,
    CheckOrders,
    ExecuteOrders,
    GetLatch,
    OrderDecided,
    OrderResult,
    OrdersDone,
    StopTrading,
    StopWaiting,
)
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.messages.safety import BookOneSided, CloseBook, ReduceOnly, ResumeTrading
from basis_actors.ports import OrderJournal
from basis_actors.times import utc_from_ns

__all__ = ["ExecutionManager"]

_UNAVAILABLE: Final = "EXEC-002"
_REFUSED_KEY: Final = "VEN-005"


class ExecutionManager(Actor):
    """Works through the orders of each decision, then tells the strategy manager and the engine how they ended.

    After a stop nothing is sent but what a compensated group of which a leg was sent still needs: its legs hedge each
    other, so it is brought to its end. Where the kill switch lets through what reduces, the rest of a unit that was
    checked before is checked again.

    A group that only reduces is never undone: its legs follow the first as far as that came.

    An outcome that nobody knows and a ledger that disagrees with a venue stop trading and fail the actor, once the unit
    is at its end; but an outcome at one of the `accounts`, which can be asked later, stops nothing but what would go
    there: the account finds it out, and the strategy levels the book that it then finds. A book that a group leaves
    one-sided is for the `kill_switch`: it stops what adds risk, and what reduces goes on; without one (None) it fails
    the actor as well. With a `journal` a compensated group is written down from before its first leg to its end, so
    that a process that comes after a kill can mend it.
    """

    def __init__(
        self,
        config: ExecutionManagerConfig,
        stopwatch: Stopwatch,
        *,
        simulated: bool,
        journal: OrderJournal | None = None,
        kill_switch: str | None = None,
        accounts: Collection[str] = (),
    ) -> None:
        super().__init__("execution_manager")
        self._journal = journal
        self._kill_switch = kill_switch
        self._ending = False
        self._loop = TightLoop(
            self, config, stopwatch, is_ending=lambda: self._ending, simulated=simulated, accounts=accounts
        )
        self._left_open: dict[str, set[str]] = {}
        """Operations that are not decided yet, by compensated group that is not at its end because of them."""
        self._stopwatch = stopwatch
        self._stopped: str | None = None
        self._refused_as = _UNAVAILABLE
        """Code of what is not sent because of it: a stop that a person asked for is no fault."""
        self._commands = 0
        """How often somebody has said that less may be sent."""
        self._checked = 0
        """The same, when the gate let through what is being sent."""
        self._fatal: tuple[str, str] | None = None
        self._one_sided = False
        """Whether the kill switch was told so of this decision."""
        self._unsold: dict[tuple[str, str | None], str] = {}
        """Legs of this decision that only reduce and were not done, by venue and pair: the book is one-sided for it."""

    def on_control(self, message: object) -> object:
        """A stop takes effect at once, also while an order is on its way."""
        if isinstance(message, StopTrading):
            return self.stop_trading(message)
        if isinstance(message, Escalated):
            return self.run_is_ending(message)
        if isinstance(message, ReduceOnly):
            return self.reduce_only(message)
        if isinstance(message, CloseBook):
            return self.close_book(message)
        if isinstance(message, ResumeTrading):
            return self.resume_trading(message)
        if isinstance(message, StopWaiting):
            return self.stop_waiting(message)
        return super().on_control(message)

    @on(StopTrading)
    def stop_trading(self, command: StopTrading) -> None:
        """Begin no unit from now on."""
        self._commands += 1
        self._stopped, self._refused_as = command.reason, STOPPED_CODE if command.error_code is None else _UNAVAILABLE

    @on(ReduceOnly)
    def reduce_only(self, _command: ReduceOnly) -> None:
        """Ask the gate again about what it has let through."""
        self._commands += 1

    @on(CloseBook)
    def close_book(self, _command: CloseBook) -> None:
        """A book that is to be closed needs orders; the gate lets through those that close it."""
        self._commands += 1
        self._go_on()

    @on(ResumeTrading)
    def resume_trading(self, _command: ResumeTrading) -> None:
        """Begin units again."""
        self._go_on()

    @on(Escalated)
    def run_is_ending(self, end: Escalated) -> None:
        """The run is failing: the same as a stop."""
        self._commands += 1
        self._stopped, self._refused_as = f"{end.actor} has failed", _UNAVAILABLE
        self._ending = True

    @on(StopWaiting)
    def stop_waiting(self, _command: StopWaiting) -> None:
        """Do not insist on knowing now what became of an order."""
        self._loop.hurry()

    @on(OrderDecided)
    async def note_decided(self, decided: OrderDecided) -> None:
        """End the group that was open because of an order. What is left of it the strategy finds in the book."""
        journal = self._journal
        for group_id, waiting in tuple(self._left_open.items()):
            waiting.discard(decided.operation_id)
            if not waiting and journal is not None:
                del self._left_open[group_id]
                await journal.end_group(journal.incarnation, group_id)

    @on(ExecuteOrders)
    async def execute(self, request: ExecuteOrders) -> None:
        """Work through a decision.

        A compensated group that failed leaves the book as it was, so what follows goes on, and so it does past what a
        halted venue would have had to do; after any other unit that failed, what follows is answered `failed` and not
        sent. Of a decision whose orders are put together wrongly nothing is sent at all.
        """
        outcomes: list[Outcome] = []
        self._unsold.clear()
        self._one_sided = False
        units = split_into_units(request.orders)
        flaw = next((unit.flaw for unit in units if unit.flaw), None)
        blocked = None if flaw is None else ("EXEC-001", f"not sent, because of its decision {flaw}")
        for unit in units:
            if blocked is not None and unit.flaw is None:
                outcomes += [self._loop.refuse(order, *blocked) for order in unit.orders]
                continue
            ended = await self._run_unit(unit, request.tick)
            outcomes += ended
            failed = next((outcome for outcome in ended if not outcome.succeeded), None)
            if failed is not None and unit.mode is not ExecutionMode.COMPENSATED and failed.error_code != HALTED_CODE:
                blocked = _not_after(failed)
        self._finish(request.tick, outcomes)

    def _finish(self, tick: TickStarted, outcomes: list[Outcome]) -> None:
        results = tuple(OrderResult(end.order.operation_id, end.succeeded, end.error_code) for end in outcomes)
        done = OrdersDone(tick.number, results)
        self.tell("strategy_manager", done)
        self.tell("engine", done)
        if self._fatal is not None:
            raise BasisError(*self._fatal)

    async def _run_unit(self, unit: Unit, tick: TickStarted) -> list[Outcome]:
        """Check a unit, carry it out, and show the book that it leaves."""
        started = self._stopwatch()
        refusal = await self._refusal(unit, tick)
        full, further = None, list[Outcome]()
        if refusal is None and unit.mode is ExecutionMode.COMPENSATED:
            # What would keep a later leg back is better known before the first is sent.
            full = await self._loop.room_for(unit.orders)
        if refusal is not None:
            outcomes = [self._loop.refuse(order, *refusal) for order in unit.orders]
        elif full is not None:
            outcomes = [self._loop.refuse(each, full.error_code, full.reason, passes=True) for each in unit.orders]
        elif unit.mode is ExecutionMode.ATOMIC:
            outcomes = await self._loop.run_atomic(unit.orders, lambda: self._may_go_on(unit.orders, tick))
        else:
            outcomes, further = await self._run_journaled(unit, tick)
        ended = [*outcomes, *further]
        self._judge(ended)
        if any(outcome.handshake.settlements for outcome in ended):
            await self.ask("position_monitor", ApplySettlements((), Trigger.EXECUTION))
        if unit.group_id is not None:
            now = utc_from_ns(self.now)
            self.log(group_event(now, unit, outcomes, further, self._stopwatch.ms_since(started)))
        return outcomes

    async def _refusal(self, unit: Unit, tick: TickStarted) -> tuple[str, str] | None:
        """Code and reason why nothing of a unit may be sent."""
        if unit.flaw is not None and self._stopped is None:
            return "EXEC-003", unit.flaw
        before = next((why for leg in unit.orders if (why := self._unsold.get((leg.venue, leg.pair)))), None)
        if before is not None and unit.mode is ExecutionMode.COMPENSATED:
            return "EXEC-001", f"not sent, because nothing would stand against it: {before}"
        return await self._objection(unit.orders, tick)

    async def _objection(self, orders: tuple[Order, ...], tick: TickStarted) -> tuple[str, str] | None:
        """Code and reason why orders may not be sent now; what is said while the gate looks at them counts."""
        while self._stopped is None:
            self._checked = self._commands
            objection = await self.ask("risk_gate", CheckOrders(orders, tick))
            if objection is not None:
                return objection.error_code, objection.reason
            if self._checked == self._commands:
                return None
        return self._refused_as, f"trading is stopped: {self._stopped}"

    async def _objection_since(self, orders: tuple[Order, ...], tick: TickStarted) -> tuple[str, str] | None:
        """The same of orders that were checked, where anything was said since."""
        if self._stopped is None and self._checked == self._commands:
            return None
        return await self._objection(orders, tick)

    async def _may_go_on(self, orders: tuple[Order, ...], tick: TickStarted) -> bool:
        return await self._objection_since(orders, tick) is None

    async def _run_journaled(self, unit: Unit, tick: TickStarted) -> tuple[list[Outcome], list[Outcome]]:
        """A unit in turn, in the journal while its legs may be apart."""
        journal, group_id = self._journal, unit.group_id
        if journal is None or group_id is None or unit.mode is not ExecutionMode.COMPENSATED:
            return await self._run_in_turn(unit, tick)
        try:
            await journal.begin_group(group_id, unit.orders)
        except JournalError as error:
            return [self._loop.refuse(order, error.code, error.message) for order in unit.orders], []
        outcomes, further = await self._run_in_turn(unit, tick)
        ended = (*outcomes, *further)
        if self._one_sided and self._kill_switch is not None:
            # Its answer comes once the latch is on disk: only then may the journal forget the group.
            await self.ask(self._kill_switch, GetLatch())
        undecided = {outcome.order.operation_id for outcome in ended if outcome.undecided}
        if undecided:
            self._left_open[group_id] = undecided
        elif self._fatal is None and all(outcome.fatal is None for outcome in ended):
            await journal.end_group(journal.incarnation, group_id)
        return outcomes, further

    async def _run_in_turn(self, unit: Unit, tick: TickStarted) -> tuple[list[Outcome], list[Outcome]]:
        """Orders one after the other, and what a compensated group undid after a leg failed, or did beyond its legs."""
        compensated = unit.mode is ExecutionMode.COMPENSATED
        if compensated and only_reduces(unit.orders):
            return await self._run_reducing(unit, tick)
        outcomes: list[Outcome] = []
        failed: Outcome | None = None
        for place, order in enumerate(unit.orders):
            if failed is not None:
                outcomes.append(self._loop.refuse(order, *_not_after(failed)))
                continue
            outcome = await self._run_one(order, None if compensated and place else unit.orders[place:], tick)
            outcomes.append(outcome)
            # Legs hedge each other: one that is filled in part hedges nothing whole.
            if not outcome.succeeded or (compensated and outcome.fell_short):
                failed = outcome
        if failed is None or not compensated:
            return outcomes, []
        return outcomes, await self._unwind(outcomes)

    async def _run_reducing(self, unit: Unit, tick: TickStarted) -> tuple[list[Outcome], list[Outcome]]:
        """The first order, and of the others the share that was done of it. Further trades that this took come second.

        The gate has seen the first before; from then on the others are needed, whatever is said meanwhile.
        """
        first, *others = unit.orders
        begun = await self._run_one(first, unit.orders, tick)
        if not begun.handshake.was_successful():
            return [begun, *(self._loop.refuse(order, *_not_after(begun)) for order in others)], []
        outcomes, further = [begun], list[Outcome]()
        for order in others:
            ended = await follow(self._loop, order, min(1.0, begun.filled / first.amount))
            outcomes.append(ended.trades[0])
            further += ended.trades[1:]
            last = ended.trades[-1]
            if ended.left and last.fatal is None:
                why = last.handshake.error_message or "the market took no more"
                what = f"{ended.left:.6g} of {order.amount:.6g} {order.pair} at {order.venue} could not be traded"
                self._unsold[order.venue, order.pair] = f"{what}: {why}"
                text = f"{order.operation_id}: {what}, so the book is not hedged: {why}"
                self._leave_one_sided(order, text, last, reduces=True)
        return outcomes, further

    async def _run_one(self, order: Order, rest: tuple[Order, ...] | None, tick: TickStarted) -> Outcome:
        """One order of a unit, if the `rest` of it, this one included, may still be sent; None stands for what has to
        be."""
        if rest is None:
            return await self._loop.run(order, always)
        refusal = await self._objection_since(rest, tick)
        if refusal is not None:
            return self._loop.refuse(order, *refusal)
        return await self._loop.run(order, lambda: self._may_go_on(rest, tick))

    async def _unwind(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Undo what was filled, newest first, every leg whatever becomes of the others."""
        undone = []
        for outcome in reversed(outcomes):
            if outcome.handshake.status is not ExecutionStatus.CONFIRMED:
                continue
            undone += await undo(self._loop, outcome)
            last, leg = undone[-1], outcome.order
            if not is_undone(last):
                why = last.handshake.error_message or "the market took no more"
                text = f"{leg.operation_id} could not be unwound ({last.error_code}), so the book is not hedged: {why}"
                self._leave_one_sided(leg, text, last)
        return undone

    def _leave_one_sided(self, leg: Order, text: str, last: Outcome, *, reduces: bool = False) -> None:
        """Say that a group could not be made whole. Where nobody else stops what adds risk, nothing may follow it,
        unless it is so for a reason that passes, or the group only `reduces`: what is left of it the strategy levels.

        Of a `last` trade of which nobody knows it is not known either whether the book is one-sided: its exchange is
        halted, and the book is levelled once it has said it.
        """
        if last.undecided:
            self.log(error_event(utc_from_ns(self.now), self.name, "EXEC-006", text, leg.operation_id))
            return
        # The end of the process would not mend what keeps everything from being sent.
        passes = last.error_code in (STATE_CODE, _REFUSED_KEY, HALTED_CODE)
        if self._kill_switch is None and not passes and not reduces:
            self._fatal = ("EXEC-006", f"{text}; look at the positions before trading goes on")
            return
        self.log(error_event(utc_from_ns(self.now), self.name, "EXEC-006", text, leg.operation_id))
        if self._kill_switch is not None:
            self._one_sided = True
            self.tell(self._kill_switch, BookOneSided(text))

    def _judge(self, outcomes: list[Outcome]) -> None:
        """Stop trading where it is not safe to go on, and where a code says that it must not."""
        for outcome in outcomes:
            if outcome.fatal is not None and self._fatal is None:
                self._fatal = outcome.fatal
            code = outcome.error_code
            if outcome.handshake.retryable or code == _REFUSED_KEY:
                continue  # it passes, and the strategy manager waits for that; or the kill switch knows of it
            if (
                self._fatal is None
                and code is not None
                and severity_of(code) is Severity.CRITICAL
                and not self._stopped
            ):
                self._stop(f"{outcome.order.operation_id} ended with {code}", code)
        if self._fatal is not None:
            self._stop(self._fatal[1], self._fatal[0])

    def _stop(self, reason: str, code: str) -> None:
        self._stopped, self._refused_as = reason, _UNAVAILABLE
        self.tell("engine", StopTrading(reason, code))

    def _go_on(self) -> None:
        """Forget the stop, unless something has happened that nothing may follow."""
        if self._fatal is None and not self._ending:
            self._stopped = None


def _not_after(failed: Outcome) -> tuple[str, str]:
    """Code and reason of an order that is not sent as one before it was not done; what a stop did is no failure."""
    code = STOPPED_CODE if failed.error_code == STOPPED_CODE else "EXEC-001"
    return code, f"not sent, because {failed.order.operation_id} before it failed"
