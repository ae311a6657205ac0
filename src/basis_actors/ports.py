"""Defines what the actors need from outside: a market feed and venues. Clock and timers come from the bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.execution import ExecutionHandshake, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import Order

__all__ = ["MarketFeed", "SignalEndpoint", "VenueClient"]


class MarketFeed(Protocol):
    """Gives the market as it is known at a tick."""

    def next_tick(self, after_ns: int | None) -> int | None:
        """Time of the first tick after `after_ns` (of the first tick of all for None); None when there is no more."""
        ...

    async def take(self, ns: int) -> MarketState:
        """The market as it is known at `ns`; called once for each tick, in order."""
        ...


class SignalEndpoint(Protocol):
    """Something outside that is asked for signals while trading."""

    async def fetch(self, sleep: Callable[[float], Awaitable[None]]) -> bytes:
        """Its answer, after as many tries as it takes; `sleep` waits between them, seconds.

        Raises DataError DATA-003 when none came.
        """
        ...


class VenueClient(Protocol):
    """One account domain: an exchange account or a wallet on a chain with the protocols it uses."""

    @property
    def domain(self) -> str:
        """Name of the domain: `binance`, `ethereum`."""
        ...

    @property
    def venues(self) -> tuple[str, ...]:
        """Venue names of orders that this domain carries out: `aave_v3`, `wallet`."""
        ...

    async def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        """Everything that changed the account up to the tick and was not an order: interest, funding, arrivals,
        liquidations, deposits; by time."""
        ...

    async def execute(self, order: Order) -> ExecutionHandshake:
        """Carry out one order. Raises a VenueError whose class says whether it may be sent again."""
        ...

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        """Carry out orders in one transaction. Raises Rejected where the domain has no transactions."""
        ...

    async def resolve(self, order: Order) -> ExecutionHandshake:
        """What became of an order that was sent; status `unknown` while the venue cannot tell."""
        ...

    async def report(self) -> dict[str, float]:
        """Every position of the account as the venue shows it, by position key, zero ones left out."""
        ...

    async def expect(self, transfer: IncomingTransfer) -> None:
        """Take note of tokens that are on their way to this account."""
        ...
