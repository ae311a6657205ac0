"""Defines an exchange with a script: what becomes of each request on its way there and back, in turn."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, TypeAlias

from msgspec.structs import replace

from basis_actors.errors import Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import (
    OrderReport,
    OrderState,
    OrderTicket,
    TransferReport,
    TransferState,
    TransferTicket,
)
from basis_actors.venues.simulated.exchange_api import SimulatedExchangeApi

CarryOut: TypeAlias = Callable[[], Awaitable[Any]]
Step: TypeAlias = Callable[[CarryOut], Awaitable[Any]]


async def go_well(carry_out: CarryOut) -> Any:
    """Carry it out and answer."""
    return await carry_out()


async def lose_the_request(_carry_out: CarryOut) -> Any:
    """Nothing arrives, and nobody says so."""
    raise UnknownOutcome("VEN-002", "no answer in time")


async def lose_the_reply(carry_out: CarryOut) -> Any:
    """It is carried out, and nobody says so."""
    await carry_out()
    raise UnknownOutcome("VEN-002", "the connection broke")


async def be_busy(_carry_out: CarryOut) -> Any:
    """Nothing is done for now."""
    raise Transient("VEN-006", "too many requests")


async def be_away(_carry_out: CarryOut) -> Any:
    """Nothing can be read."""
    raise Transient("VEN-003", "cannot be reached")


async def refuse(_carry_out: CarryOut) -> Any:
    """Nothing is done for good."""
    raise Rejected("EXEC-001", "margin is insufficient")


def fail(error: Exception) -> Step:
    """Raise instead of doing anything."""

    async def step(_carry_out: CarryOut) -> Any:
        raise error

    return step


def answer(value: object) -> Step:
    """Say something, whatever is true."""

    async def step(_carry_out: CarryOut) -> Any:
        return value

    return step


def change(edit: Callable[[Any], Any]) -> Step:
    """Change the answer on its way back."""

    async def step(carry_out: CarryOut) -> Any:
        return edit(await carry_out())

    return step


class RestingExchange(SimulatedExchangeApi):
    """A simulated exchange whose limit orders rest until a test fills them."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.resting: dict[str, OrderTicket] = {}
        self.withdrawal_state = TransferState.DONE

    async def place(self, ticket: OrderTicket) -> OrderReport:
        if ticket.limit is None:
            return await super().place(ticket)
        self.resting[ticket.client_id] = ticket
        self._orders[ticket.client_id] = report = OrderReport(
            client_id=ticket.client_id,
            venue_order_id=self._next("o"),
            pair=ticket.pair,
            buys=ticket.buys,
            state=OrderState.OPEN,
            amount=ticket.amount,
            filled=Decimal(0),
            average_price=None,
            updated_ns=self._clock.now(),
        )
        return report

    async def fill_resting(self, client_id: str, amount: str) -> None:
        """Fill some more of a resting order."""
        ticket, report = self.resting[client_id], self._orders[client_id]
        part = replace(ticket, client_id=self._next("part"), limit=None, amount=Decimal(amount))
        done = await super().place(part)
        del self._orders[part.client_id]
        self._fills[-1] = replace(self._fills[-1], venue_order_id=report.venue_order_id)
        filled = report.filled + done.filled
        state = OrderState.FILLED if filled >= report.amount else OrderState.PARTIALLY_FILLED
        if state is OrderState.FILLED:
            del self.resting[client_id]
        self._orders[client_id] = replace(report, state=state, filled=filled, average_price=done.average_price)

    async def cancel(self, pair: str, client_id: str) -> None:
        if self.resting.pop(client_id, None) is not None:
            self._orders[client_id] = replace(self._orders[client_id], state=OrderState.CANCELLED)

    async def open_orders(self) -> tuple[OrderReport, ...]:
        return tuple(self._orders[client_id] for client_id in self.resting)

    async def move(self, ticket: TransferTicket) -> TransferReport:
        report = await super().move(ticket)
        self._transfers[ticket.client_id] = report = replace(report, state=self.withdrawal_state)
        return report

    def end_withdrawal(self, client_id: str, state: TransferState) -> None:
        """Let a withdrawal that was accepted succeed or fail; one that fails comes back with its fee."""
        report = self._transfers[client_id]
        self._transfers[client_id] = replace(report, state=state)


class ScriptedApi:
    """An exchange as a process reaches it. `script` has the steps of each method, in turn; then all goes well."""

    def __init__(self, exchange: SimulatedExchangeApi) -> None:
        self.exchange = exchange
        self.script: defaultdict[str, deque[Step]] = defaultdict(deque)
        self.always: dict[str, Step] = {}
        """What becomes of every request of a method, once its script is at its end."""
        self.calls: Counter[str] = Counter()
        self.sent: list[OrderTicket | TransferTicket] = []
        """Everything that was handed to the exchange, whatever became of it."""

    def next(self, method: str, *steps: Step) -> None:
        """What becomes of the next requests of a method."""
        self.script[method].extend(steps)

    @property
    def venue(self) -> str:
        return self.exchange.venue

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        async def request(*arguments: Any) -> Any:
            self.calls[method] += 1
            if method in ("place", "move"):
                self.sent.append(arguments[0])
            steps = self.script[method]
            step = steps.popleft() if steps else self.always.get(method, go_well)
            return await step(lambda: getattr(self.exchange, method)(*arguments))

        return request
