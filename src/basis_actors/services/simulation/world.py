"""Defines what goes on whether or not a process runs: the market, the accounts at the exchanges, the wallet.

It lives from tick to tick of the market. Tokens that leave one account arrive at the other by its doing alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from msgspec.structs import replace

from basis_actors.bus import VirtualClock
from basis_actors.config import RunConfig
from basis_actors.config.venues import ExchangeVenue
from basis_actors.finance.keys import parse_key
from basis_actors.messages.book import Flow, TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import TransferTicket
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, PositionDelta, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.times import NS_PER_SECOND, utc_from_ns
from basis_actors.venues.simulated.build import build_simulated_venues, exchange_terms
from basis_actors.venues.simulated.chain import SimulatedChain
from basis_actors.venues.simulated.exchange_api import SimulatedExchangeApi

__all__ = ["WalletClient", "World", "WorldClock"]


class WorldClock:
    """Time outside of any process: that of the process that runs, or where the last one left it."""

    def __init__(self, start_ns: int) -> None:
        self._now = start_ns
        self._process: VirtualClock | None = None

    def follow(self, process: VirtualClock | None) -> None:
        """Let a process move time, or none."""
        if self._process is not None:
            self._now = max(self._now, self._process.now())
        self._process = process

    def move_to(self, now_ns: int) -> None:
        """Let time pass while no process runs."""
        self._now = max(self._now, now_ns)

    def now(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return self._now if self._process is None else max(self._now, self._process.now())

    async def sleep(self, seconds: float) -> None:
        """Wait on the clock of the process. Raises RuntimeError when there is none."""
        if self._process is None:
            raise RuntimeError("nobody waits in a world without a process")
        await self._process.sleep(seconds)


class World:
    """One world for one story. `states` is the market, tick by tick; `capital` arrives in the wallet at the first."""

    def __init__(self, run: RunConfig, states: Sequence[MarketState], capital: float) -> None:
        self._states = states
        self._place = 0
        self.clock = WorldClock(states[0].ns)
        self._flows: tuple[Flow, ...] = (Flow(states[0].timestamp, capital),)
        venues = [run.venues[name] for name in run.mode.venues]
        delays = [venue.transfer_delay_seconds for venue in venues if isinstance(venue, ExchangeVenue)]
        self._delay_ns = round(max(delays, default=0.0) * NS_PER_SECOND)
        self.exchanges: dict[str, SimulatedExchangeApi] = {}
        for venue in venues:
            if isinstance(venue, ExchangeVenue):
                self.exchanges[venue.venue] = SimulatedExchangeApi(
                    exchange_terms(venue), self.clock, partial(self._left, venue.venue)
                )
        chain = build_simulated_venues(run, clock=self.clock)[0]
        assert isinstance(chain, SimulatedChain)
        self.chain = chain
        self._chain_settled: list[Settlement] = []
        self._under_way: list[IncomingTransfer] = []
        self._appointments: list[tuple[int, Callable[[], Awaitable[None]]]] = []

    def later(self, ns: int, happen: Callable[[], Awaitable[None]]) -> None:
        """Something happens at a moment, whether or not a process runs."""
        self._appointments.append((ns, happen))

    @property
    def now_ns(self) -> int:
        """Time of the world."""
        return self.clock.now()

    async def live_until(self, ns: int) -> None:
        """Let every account live through the ticks up to `ns`, and happen what is due by then."""
        due = [each for each in self._appointments if each[0] <= ns]
        for appointment in due:
            self._appointments.remove(appointment)
            await appointment[1]()
        while self._place < len(self._states) and self._states[self._place].ns <= ns:
            market = self._states[self._place]
            self._place += 1
            if self.clock.now() < market.ns:
                self.clock.move_to(market.ns)
            await self._hand_over()
            for exchange in self.exchanges.values():
                await exchange.advance(market)
            flows, self._flows = self._flows, ()
            self._chain_settled += self.chain.settle(TickStarted(0, market, flows))

    async def send(self, target: str, transfer: IncomingTransfer) -> None:
        """Put tokens on their way to an exchange."""
        await self.exchanges[target].deliver(transfer)

    def take_chain_settlements(self) -> list[Settlement]:
        """What happened to the wallet since the last time."""
        settled, self._chain_settled = self._chain_settled, []
        return settled

    @property
    def delay_ns(self) -> int:
        """How long tokens are on their way between accounts."""
        return self._delay_ns

    async def holdings(self) -> dict[str, float]:
        """Everything all accounts hold, by position key, tokens on their way included."""
        held = dict(await self.chain.report())
        for exchange in self.exchanges.values():
            for key, amount in (await exchange.everything()).items():
                held[key] = held.get(key, 0.0) + amount
        for transfer in self._under_way:
            held[transfer.transit_key] = held.get(transfer.transit_key, 0.0) + transfer.amount
        return held

    def _left(self, source: str, ticket: TransferTicket) -> None:
        """A withdrawal has left an exchange: its address is a venue and a key."""
        assert ticket.address is not None, "a withdrawal has an address"
        transfer = IncomingTransfer(
            operation_id=f"{source}/{ticket.client_id}",
            position_key=ticket.address,
            transit_key=f"transit:BaseToken:{ticket.token}",
            amount=float(ticket.amount),
            arrives_ns=self.clock.now() + self._delay_ns,
        )
        self._under_way.append(transfer)

    async def _hand_over(self) -> None:
        """Withdrawals become arrivals at their target, which has them before the tick."""
        under_way, self._under_way = self._under_way, []
        for transfer in under_way:
            target = self.exchanges.get(parse_key(transfer.position_key).venue)
            await (self.chain.expect(transfer) if target is None else target.deliver(transfer))


class WalletClient:
    """The wallet of the world as one process sees it: its ledger begins with what is there already."""

    def __init__(self, world: World, *, opens: bool) -> None:
        self._world = world
        self._opens = opens
        self._sequence = 0
        self._numbers: dict[int, int] = {}
        if opens:
            world.take_chain_settlements()

    @property
    def domain(self) -> str:
        """Name of the chain."""
        return self._world.chain.domain

    @property
    def venues(self) -> tuple[str, ...]:
        """Venues on the chain."""
        return self._world.chain.venues

    async def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        """What the world has settled since the last tick; first of all what was there."""
        settled = self._world.take_chain_settlements()
        if self._opens:
            self._opens = False
            held = await self._world.chain.report()
            deltas = tuple(PositionDelta(key, amount) for key, amount in held.items())
            self._sequence = 1 if deltas else 0
            moment = utc_from_ns(tick.market.ns)
            return (Settlement(DeltaSource.OPENING, moment, self.domain, 0, deltas),) if deltas else ()
        return tuple(map(self._numbered, settled))

    async def execute(self, order: Order) -> ExecutionHandshake:
        """Carry out an order on the chain; what it sends to an exchange is on its way from then on."""
        return await self._sent(order, await self._world.chain.execute(order))

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        """Carry out a transaction."""
        handshakes = await self._world.chain.execute_group(orders)
        return tuple([await self._sent(*pair) for pair in zip(orders, handshakes, strict=True)])

    async def resolve(self, order: Order) -> ExecutionHandshake:
        """What became of an order."""
        handshake = await self._world.chain.resolve(order)
        return replace(handshake, settlements=tuple(map(self._numbered, handshake.settlements)))

    async def report(self) -> dict[str, float]:
        """What the wallet holds."""
        return await self._world.chain.report()

    async def expect(self, transfer: IncomingTransfer) -> None:
        """The world knows what is on its way."""

    async def _sent(self, order: Order, handshake: ExecutionHandshake) -> ExecutionHandshake:
        world = self._world
        leaves = order.operation is OperationType.TRANSFER and order.target_venue in world.exchanges
        if leaves and handshake.was_successful():
            token = order.source_token
            transit = f"transit:BaseToken:{token}"
            transfer = IncomingTransfer(
                operation_id=f"wallet/{order.operation_id}/{world.now_ns}",
                position_key=order.operation_details["target_key"],
                transit_key=transit,
                amount=handshake.actual_deltas[transit],
                arrives_ns=world.now_ns + world.delay_ns,
            )
            await world.send(order.target_venue, transfer)
        return replace(handshake, settlements=tuple(map(self._numbered, handshake.settlements)))

    def _numbered(self, settlement: Settlement) -> Settlement:
        """The same under the number that this process gives it, whenever it is asked for."""
        number = self._numbers.setdefault(settlement.sequence, self._sequence)
        self._sequence = max(self._sequence, number + 1)
        return replace(settlement, sequence=number)
