"""Defines an exchange that fails: what a seeded fate does to each request on its way there and back.

The account behind it is untouched by faults; what it did stays done, whatever whoever asked is told. Times are those of
a bad day on the internet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from decimal import ROUND_FLOOR, Decimal
from random import Random
from typing import NamedTuple, TypeVar

from basis_actors.errors import Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import (
    AccountState,
    MarketFilters,
    OrderReport,
    OrderTicket,
    Payment,
    TransferReport,
    TransferTicket,
    VenueFill,
)
from basis_actors.services.simulation.world import World
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.simulated.exchange_api import SimulatedExchangeApi

__all__ = ["Fate", "FaultyExchangeApi", "Rates"]

R = TypeVar("R")
_SECOND = NS_PER_SECOND


class Rates(NamedTuple):
    """How often each thing happens, as a share of the requests it can happen to; spans are in seconds."""

    lost_request: float = 0.04
    """An order does not reach the exchange, and nobody says so."""
    lost_reply: float = 0.06
    """An order is carried out, and its answer is lost."""
    late_request: float = 0.03
    """The connection breaks, and the order arrives all the same, within the receive window."""
    slow_reply: float = 0.03
    """An answer takes longer than anybody waits."""
    busy: float = 0.05
    """The exchange did nothing and says that it may be tried again."""
    refused: float = 0.03
    partly: float = 0.08
    """An order is filled in part, and the rest is cancelled."""
    unread: float = 0.04
    """A question is not answered."""
    lag: float = 0.25
    """A question is answered from a copy that is up to `lag_seconds` old."""
    lag_seconds: float = 1.5
    repeated: float = 0.1
    """A list holds something twice, in any order."""
    outage: float = 0.01
    """Per hour: the exchange cannot be reached for up to `outage_seconds`."""
    outage_seconds: float = 5_400.0
    longest_delay: float = 0.08
    """Of a request that goes well, each way."""
    slow_seconds: float = 45.0

    @classmethod
    def calm(cls) -> Rates:
        """Nothing ever fails; what goes well takes its time."""
        spans = {name: span for name, span in cls._field_defaults.items() if name.endswith(("_seconds", "_delay"))}
        return cls(**(dict.fromkeys(cls._fields, 0.0) | spans))


class Fate:
    """What is decided by chance in one story, and when the faults end."""

    def __init__(self, random: Random, rates: Rates, until_ns: int) -> None:
        self.random = random
        self.rates = rates
        self.until_ns = until_ns
        self.told: dict[str, int] = {}
        """How often each fault struck."""

    def strikes(self, fault: str, share: float, now_ns: int) -> bool:
        """Whether a fault strikes now."""
        if now_ns >= self.until_ns or self.random.random() >= share:
            return False
        self.told[fault] = self.told.get(fault, 0) + 1
        return True


class FaultyExchangeApi:
    """The exchange of one world as one process reaches it. `cut` is called when the process is killed."""

    def __init__(self, exchange: SimulatedExchangeApi, world: World, fate: Fate, window_seconds: float) -> None:
        self._exchange = exchange
        self._world = world
        self._clock = world.clock
        self._fate = fate
        self._window = window_seconds
        self._late: list[tuple[int, Callable[[], Awaitable[object]]]] = []
        self._on_the_way: dict[int, Callable[[], Awaitable[object]]] = {}
        self._number = 0
        self._out_until = 0
        self._out_checked = -1

    @property
    def venue(self) -> str:
        """Name of the exchange."""
        return self._exchange.venue

    async def cut(self) -> None:
        """The process is gone: what was on its way arrives, or does not."""
        for arrive in (*self._on_the_way.values(), *(late for _, late in self._late)):
            if self._fate.random.random() < 0.5:
                await _in_vain(arrive)
        self._on_the_way.clear()
        self._late.clear()

    # Changing something

    async def place(self, ticket: OrderTicket) -> OrderReport:
        """Send an order into the weather."""
        return await self._send("order", lambda: self._placed(ticket))

    async def move(self, ticket: TransferTicket) -> TransferReport:
        """Send a transfer into the weather."""
        return await self._send("transfer", lambda: self._exchange.move(ticket))

    async def cancel(self, pair: str, client_id: str) -> None:
        """Nothing rests here."""
        await self._pass_time()
        await self._exchange.cancel(pair, client_id)

    async def prepare(self, leverage: dict[str, int]) -> None:
        """Reach the exchange."""
        await self._ask(lambda: self._exchange.prepare(leverage))

    async def countdown_cancel(self, seconds: int) -> bool:
        """There is no such thing here."""
        return await self._exchange.countdown_cancel(seconds)

    # Asking

    async def filters(self) -> dict[str, MarketFilters]:
        """What markets require."""
        return await self._ask(self._exchange.filters)

    async def order(self, pair: str, client_id: str) -> OrderReport | None:
        """An order; from an old copy it is not there yet."""
        report = await self._ask(lambda: self._exchange.order(pair, client_id))
        if report is not None and self._hides(report.updated_ns):
            return None
        return report

    async def moved(self, ticket: TransferTicket, since_ns: int) -> TransferReport | None:
        """A transfer; from an old copy it is not there yet."""
        report = await self._ask(lambda: self._exchange.moved(ticket, since_ns))
        if report is not None and self._hides(report.time_ns):
            return None
        return report

    async def open_orders(self) -> tuple[OrderReport, ...]:
        """Open orders."""
        return await self._ask(self._exchange.open_orders)

    async def fills(self, pair: str, since_ns: int) -> tuple[VenueFill, ...]:
        """Trades, perhaps not the newest, perhaps some twice and out of order."""
        found = await self._ask(lambda: self._exchange.fills(pair, since_ns))
        return self._shuffled([fill for fill in found if not self._hides(fill.time_ns)])

    async def payments(self, since_ns: int) -> tuple[Payment, ...]:
        """The statement, likewise."""
        found = await self._ask(lambda: self._exchange.payments(since_ns))
        return self._shuffled([payment for payment in found if not self._hides(payment.time_ns)])

    async def account(self) -> AccountState:
        """Balances and positions; now and then without saying anything about the positions."""
        state = await self._ask(self._exchange.account)
        if self._fate.strikes("account without positions", self._fate.rates.unread / 2, self._now()):
            return AccountState(state.balances, (), frozenset(), state.time_ns)
        return state

    # The weather

    async def _placed(self, ticket: OrderTicket) -> OrderReport:
        rates = self._fate.rates
        filters = (await self._exchange.filters())[ticket.pair]
        part = ticket.amount * Decimal(repr(round(self._fate.random.uniform(0.1, 0.9), 3)))
        part = (part / filters.lot).to_integral_value(rounding=ROUND_FLOOR) * filters.lot
        if part >= filters.min_amount and self._fate.strikes("filled in part", rates.partly, self._now()):
            return await self._exchange.place_partly(ticket, part)
        return await self._exchange.place(ticket)

    async def _send(self, what: str, carry_out: Callable[[], Awaitable[R]]) -> R:
        """One request that changes something."""
        fate, rates, venue = self._fate, self._fate.rates, self.venue
        await self._arrive_late()
        self._require_reachable(f"the {what} was not sent")
        if fate.strikes(f"{what}: busy", rates.busy, self._now()):
            await self._pass_time()
            raise Transient("VEN-006", f"{venue} is busy; nothing was done")
        if fate.strikes(f"{what}: refused", rates.refused, self._now()):
            await self._pass_time()
            raise Rejected("EXEC-001", f"{venue} refused it")
        if fate.strikes(f"{what}: request lost", rates.lost_request, self._now()):
            await self._pass_time()
            raise UnknownOutcome("VEN-002", f"{venue} did not answer in time")
        if fate.strikes(f"{what}: request late", rates.late_request, self._now()):
            due = self._now() + round(fate.random.uniform(0.0, self._window * 0.9) * _SECOND)
            self._late.append((due, carry_out))
            raise UnknownOutcome("VEN-002", f"the connection to {venue} broke")
        answer = await self._arrive(carry_out, self._delay())
        if fate.strikes(f"{what}: reply lost", rates.lost_reply, self._now()):
            await self._pass_time()
            raise UnknownOutcome("VEN-002", f"{venue} did not answer in time")
        if fate.strikes(f"{what}: reply slow", rates.slow_reply, self._now()):
            await self._clock.sleep(fate.random.uniform(1.0, rates.slow_seconds))
        await self._pass_time()
        return answer

    async def _arrive(self, carry_out: Callable[[], Awaitable[R]], seconds: float) -> R:
        """Carry a request out once it has been on its way for a while; a kill may come first."""
        self._number += 1
        number = self._number
        self._on_the_way[number] = carry_out
        await self._wait(seconds)
        del self._on_the_way[number]
        return await carry_out()

    async def _ask(self, read: Callable[[], Awaitable[R]]) -> R:
        """One question."""
        await self._arrive_late()
        self._require_reachable("nothing was read")
        await self._pass_time()
        if self._fate.strikes("no answer", self._fate.rates.unread, self._now()):
            raise Transient("VEN-003", f"{self.venue} did not answer")
        answer = await read()
        await self._pass_time()
        return answer

    async def _arrive_late(self) -> None:
        """What was on its way when its connection broke arrives."""
        due = [late for late in self._late if late[0] <= self._now()]
        for late in due:
            self._late.remove(late)
            await _in_vain(late[1])

    async def _pass_time(self) -> None:
        await self._wait(self._delay())

    async def _wait(self, seconds: float) -> None:
        """Let time pass, here and in the world: what falls due meanwhile, like funding, has then happened."""
        await self._clock.sleep(seconds)
        await self._world.live_until(self._now())

    def _delay(self) -> float:
        return self._fate.random.uniform(0.002, self._fate.rates.longest_delay)

    def _hides(self, happened_ns: int) -> bool:
        """Whether something that happened at a moment is too new for the copy that answers."""
        rates, now = self._fate.rates, self._now()
        if now - happened_ns > rates.lag_seconds * _SECOND:
            return False
        return self._fate.strikes("old copy", rates.lag, now)

    def _shuffled(self, items: Sequence[R]) -> tuple[R, ...]:
        if not items or not self._fate.strikes("repeated", self._fate.rates.repeated, self._now()):
            return tuple(items)
        random = self._fate.random
        again = [*items, random.choice(items)]
        random.shuffle(again)
        return tuple(again)

    def _require_reachable(self, consequence: str) -> None:
        """Raises Transient VEN-003 during an outage; whether one begins is decided once an hour."""
        now, rates, fate = self._now(), self._fate.rates, self._fate
        hour = now // (3600 * _SECOND)
        if hour != self._out_checked:
            self._out_checked = hour
            if fate.strikes("outage", rates.outage, now):
                self._out_until = now + round(fate.random.uniform(60.0, rates.outage_seconds) * _SECOND)
        if now < self._out_until:
            raise Transient("VEN-003", f"{self.venue} cannot be reached: {consequence}")

    def _now(self) -> int:
        return self._clock.now()


async def _in_vain(carry_out: Callable[[], Awaitable[object]]) -> None:
    """Carry a request out whose answer nobody gets."""
    with suppress(Rejected):
        await carry_out()
