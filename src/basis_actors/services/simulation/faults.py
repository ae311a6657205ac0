"""Defines an exchange that fails: what a seeded fate does to each request on its way there and back.

The account behind it is untouched by faults; what it did stays done, whatever whoever asked is told. Times are those of
a bad day on the internet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from decimal import ROUND_FLOOR, Decimal
from typing import TypeVar

from basis_actors.errors import AuthFailed, Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import (
    AccountState,
    MarketFilters,
    OrderReport,
    OrderTicket,
    Payment,
    TransferReport,
    TransferState,
    TransferTicket,
    VenueFill,
)
from basis_actors.services.simulation.copies import Copies
from basis_actors.services.simulation.fate import Fate
from basis_actors.services.simulation.stranger import Stranger
from basis_actors.services.simulation.world import World
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.no_stops import KeepsNoStops
from basis_actors.venues.simulated.exchange_api import SimulatedExchangeApi

__all__ = ["FaultyExchangeApi"]

R = TypeVar("R")
_SECOND = NS_PER_SECOND
_HOUR = 3600 * NS_PER_SECOND


class FaultyExchangeApi(KeepsNoStops):
    """The exchange of one world as one process reaches it. `cut` is called when the process is killed; `is_known` says
    whether an earlier process has known the account."""

    def __init__(
        self,
        exchange: SimulatedExchangeApi,
        world: World,
        fate: Fate,
        window_seconds: float,
        *,
        is_known: bool = False,
    ) -> None:
        self._exchange = exchange
        self._world = world
        self._clock = world.clock
        self._fate = fate
        self._copies = Copies(fate, world.clock, is_known=is_known)
        self._stranger = Stranger(exchange, fate)
        self._window = window_seconds
        self._late: list[tuple[int, Callable[[], Awaitable[object]]]] = []
        self._on_the_way: dict[int, Callable[[], Awaitable[object]]] = {}
        self._number = 0
        self._out_until = 0
        self._hangs_until = 0
        self._limited_until = 0
        self._checked_hour = -1
        self.revoked: list[tuple[int, int]] = []
        """From when on, and until when, the keys of this process were not good; it was told so at the beginning."""

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
        return self._copies.know(await self._send("order", lambda: self._placed(ticket)))

    async def move(self, ticket: TransferTicket) -> TransferReport:
        """Send a transfer into the weather."""
        return self._copies.transfer(await self._send("transfer", lambda: self._moved(ticket)))

    async def require_room(self, tickets: Sequence[OrderTicket]) -> None:
        """What it has said of how long it wants to be left alone is known without asking."""
        self._require_room()
        await self._exchange.require_room(tickets)

    async def cancel(self, pair: str, client_id: str) -> None:
        """Nothing rests here."""
        await self._pass_time()
        await self._exchange.cancel(pair, client_id)

    async def prepare(self, leverage: dict[str, int]) -> int:
        """Reach the exchange."""
        return await self._ask(lambda: self._exchange.prepare(leverage))

    async def countdown_cancel(self, seconds: int) -> bool:
        """There is no such thing here."""
        return await self._exchange.countdown_cancel(seconds)

    # Asking

    async def filters(self) -> dict[str, MarketFilters]:
        """What markets require."""
        return await self._ask(self._exchange.filters)

    async def order(self, pair: str, client_id: str) -> OrderReport | None:
        """An order."""
        return self._copies.order(await self._ask(lambda: self._exchange.order(pair, client_id)))

    async def moved(self, ticket: TransferTicket, since_ns: int) -> TransferReport | None:
        """A transfer."""
        since = self._copies.since(since_ns)
        return self._copies.moved(await self._ask(lambda: self._exchange.moved(ticket, since)))

    async def order_by_number(self, pair: str, venue_order_id: str) -> OrderReport | None:
        """The order of a trade."""
        return self._copies.order(await self._ask(lambda: self._exchange.order_by_number(pair, venue_order_id)))

    async def open_orders(self) -> tuple[OrderReport, ...]:
        """Open orders."""
        return await self._ask(self._exchange.open_orders)

    async def fills(self, pair: str, since_ns: int) -> tuple[VenueFill, ...]:
        """Trades."""
        since = self._copies.since(since_ns)
        return self._copies.fills(await self._ask(lambda: self._exchange.fills(pair, since)))

    async def payments(self, since_ns: int) -> tuple[Payment, ...]:
        """The statement."""
        since = self._copies.since(since_ns)
        return self._copies.payments(await self._ask(lambda: self._exchange.payments(since)))

    async def account(self) -> AccountState:
        """Balances and positions."""
        return self._copies.account(await self._ask(self._exchange.account))

    # What the exchange makes of it

    async def _placed(self, ticket: OrderTicket) -> OrderReport:
        rates = self._fate.rates
        self._copies.keep(await self._exchange.account())
        filters = (await self._exchange.filters())[ticket.pair]
        part = ticket.amount * Decimal(repr(round(self._fate.random.uniform(0.1, 0.9), 3)))
        part = (part / filters.lot).to_integral_value(rounding=ROUND_FLOOR) * filters.lot
        if part >= filters.min_amount and self._fate.strikes("filled in part", rates.partly, self._now()):
            return await self._exchange.place_partly(ticket, part)
        return await self._exchange.place(ticket)

    async def _moved(self, ticket: TransferTicket) -> TransferReport:
        fate, rates = self._fate, self._fate.rates
        self._copies.keep(await self._exchange.account())
        if ticket.target is not None or not fate.strikes("withdrawal pending", rates.pending, self._now()):
            return await self._exchange.move(ticket)
        report = await self._exchange.accept(ticket)
        given_up = fate.strikes("withdrawal given up", rates.given_up, self._now())
        end = TransferState.FAILED if given_up else TransferState.DONE
        due = self._now() + round(fate.random.uniform(1.0, rates.pending_seconds) * _SECOND)
        self._world.later(due, lambda: self._exchange.conclude(ticket, end))
        return report

    # The weather

    async def _send(self, what: str, carry_out: Callable[[], Awaitable[R]]) -> R:
        """One request that changes something."""
        fate, rates, venue = self._fate, self._fate.rates, self.venue
        await self._arrive_late()
        self._require_room()
        if self._now() >= self._hangs_until and fate.strikes(f"{what}: hangs", rates.hangs, self._now()):
            self._hangs_until = self._now() + round(fate.random.uniform(60.0, rates.hangs_seconds) * _SECOND)
        if self._now() < self._hangs_until:
            await self._hang(carry_out)
            raise UnknownOutcome("VEN-002", f"{venue} said nothing for {rates.patience_seconds:g} s")
        self._require_reachable(f"the {what} was not sent")
        if fate.strikes(f"{what}: limited", rates.limited, self._now()):
            await self._pass_time()
            self._limited_until = self._now() + round(fate.random.uniform(1.0, rates.limited_seconds) * _SECOND)
            self._require_room()
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

    async def _hang(self, carry_out: Callable[[], Awaitable[object]]) -> None:
        """Carry out a request or not, and say nothing until nobody waits any longer."""
        if self._fate.random.random() < 0.5:
            self._number += 1
            self._on_the_way[self._number] = carry_out
            await self._wait(self._delay())
            # What was cut off meanwhile has been seen to.
            if self._on_the_way.pop(self._number, None) is not None:
                await _in_vain(carry_out)
        await self._wait(self._fate.rates.patience_seconds)

    def _require_room(self) -> None:
        """Raises Transient VEN-006 with how long the exchange wants to be left alone; nothing is asked meanwhile."""
        left = self._limited_until - self._now()
        if left > 0:
            raise Transient("VEN-006", f"{self.venue} wants to be left alone; nothing was done", left / _SECOND)

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
        self._require_room()
        if self._now() < self._hangs_until:
            await self._wait(self._fate.rates.patience_seconds)
            raise Transient("VEN-003", f"{self.venue} said nothing for {self._fate.rates.patience_seconds:g} s")
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

    def _require_reachable(self, consequence: str) -> None:
        """Raises Transient VEN-003 during an outage, AuthFailed VEN-005 while the keys are revoked. Whether either
        begins, and whether somebody else trades, is decided once an hour."""
        now, rates, fate = self._now(), self._fate.rates, self._fate
        if now // _HOUR != self._checked_hour:
            self._checked_hour = now // _HOUR
            if fate.strikes("outage", rates.outage, now):
                self._out_until = now + round(fate.random.uniform(60.0, rates.outage_seconds) * _SECOND)
            if fate.strikes("trade by hand", rates.by_hand, now):
                due = now + round(fate.random.uniform(0.0, 20.0) * _SECOND)
                self._late.append((due, self._stranger.trade))
            if fate.strikes("keys revoked", rates.revoked, now):
                span = fate.random.uniform(60.0, rates.revoked_seconds)
                self.revoked.append((now, min(now + round(span * _SECOND), fate.until_ns)))
        if any(now < until for _, until in self.revoked):
            raise AuthFailed("VEN-005", f"{self.venue} does not know the key: {consequence}")
        if now < self._out_until:
            raise Transient("VEN-003", f"{self.venue} cannot be reached: {consequence}")

    def _now(self) -> int:
        return self._clock.now()


async def _in_vain(carry_out: Callable[[], Awaitable[object]]) -> None:
    """Carry a request out whose answer nobody gets."""
    with suppress(Rejected):
        await carry_out()
