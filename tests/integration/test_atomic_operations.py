"""Random groups with a failure at a random step, on real actors and simulated venues.

An atomic group changes nothing or everything; a compensated one ends flat or hedged, at a cost that is attributed to
the last cent. Gas of a failed transaction is paid all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import partial
from math import fsum
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.actors.desk import market as exchange_market
from tests.integration.floor import CAPITAL, Floor, Plan, carry_out

from basis_actors.bus.testkit import Runtimes
from basis_actors.errors import Rejected, Transient, UnknownOutcome
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    ExecutionDeltaEvent,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    ReconciliationEvent,
)
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake
from basis_actors.messages.market import MarketState, ReserveState, StakingQuote
from basis_actors.messages.orders import ExecutionMode, Order, Side
from basis_actors.ports import Settling, VenueClient
from basis_actors.strategies.order_writer import OrderWriter

RATE, ETH = 1.05, 40.0
GAS = "wallet:BaseToken:ETH"
SPOT = "binance:BaseToken:BTC"
SHORTS = ("binance:PerpPosition:BTC-PERP", "bybit:PerpPosition:BTC-PERP")
TOO_LATE = 35.0
"""Seconds; more than an order may take."""


class Kind(Enum):
    """What goes wrong."""

    REJECTED = "the venue refuses"
    PASSING = "the venue is busy, at every attempt"
    SILENT = "nothing is done and no answer comes in time"
    LOST = "nobody knows, and nothing was done"
    DONE = "nobody knows, and it was done"
    LATE = "it is done, and the answer comes too late"


class Trouble:
    """Fails one operation of a run: number `place` of the orders that are marked, at whichever venue it arrives."""

    def __init__(self, place: int, kind: Kind) -> None:
        self.place = place
        self.kind = kind
        self.ids: list[str] = []
        self.sent: list[str] = []
        self.asked: list[str] = []
        self.shown: list[dict[str, float]] = []
        """What the venue showed right before and right after each transaction."""

    def hits(self, order: Order) -> bool:
        """Whether it is this one."""
        if order.execution_mode is ExecutionMode.SEQUENTIAL:
            return False
        if order.operation_id not in self.ids:
            self.ids.append(order.operation_id)
        return self.ids.index(order.operation_id) == self.place


class Troubled:
    """A venue with trouble ahead."""

    def __init__(self, trouble: Trouble, client: VenueClient) -> None:
        self._client = client
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    @property
    def domain(self) -> str:
        return self._client.domain

    @property
    def venues(self) -> tuple[str, ...]:
        return self._client.venues

    def settle(self, tick: TickStarted) -> Settling:
        return self._client.settle(tick)

    async def report(self) -> dict[str, float]:
        return await self._client.report()

    async def expect(self, transfer: IncomingTransfer) -> None:
        await self._client.expect(transfer)

    async def resolve(self, order: Order) -> ExecutionHandshake:
        self._trouble.asked.append(order.operation_id)
        return await self._client.resolve(order)

    async def execute(self, order: Order) -> ExecutionHandshake:
        trouble = self._trouble
        trouble.sent.append(order.operation_id)
        if not trouble.hits(order):
            return await self._client.execute(order)
        if trouble.kind in (Kind.DONE, Kind.LATE):
            answer = await self._client.execute(order)
            await self._go_wrong()
            return answer
        if trouble.kind is Kind.REJECTED:
            raise Rejected("EXEC-004", "refused by the test")
        return await self._go_wrong()

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        trouble = self._trouble
        trouble.sent.append(orders[0].operation_id)
        trouble.ids = [order.operation_id for order in orders]
        before = await self._client.report()
        if trouble.kind is Kind.REJECTED:
            broken = tuple(
                replace(order, source_token="XYZ", target_token="XYZ") if trouble.hits(order) else order
                for order in orders
            )
            answers = await self._client.execute_group(broken)
        elif trouble.kind in (Kind.DONE, Kind.LATE):
            answers = await self._client.execute_group(orders)
        else:
            trouble.shown += [before, await self._client.report()]
            return await self._go_wrong()
        trouble.shown += [before, await self._client.report()]
        if trouble.kind is not Kind.REJECTED:
            await self._go_wrong()
        return answers

    async def _go_wrong(self) -> Any:
        kind, clock = self._trouble.kind, self._client._clock  # type: ignore[attr-defined]
        if kind in (Kind.SILENT, Kind.LATE):
            await clock.sleep(TOO_LATE)
        if kind is Kind.PASSING:
            raise Transient("VEN-006", "busy, says the test")
        if kind is not Kind.LATE:
            raise UnknownOutcome("VEN-002", "the connection broke, says the test")


def play(runtime: Runtimes, mode: str, trouble: Trouble, *plans: Plan, **options: Any) -> Floor:
    """One engine from start to end, with trouble."""
    run = partial(carry_out, runtime, mode, *plans, wrap_venue=lambda client: Troubled(trouble, client), **options)
    return anyio.run(run)


def explained(floor: Floor) -> None:
    """Each change of equity is explained by components, at every calculation and over the run, and venues agree."""
    calculations = floor.of(PnLCalculation)
    for pnl in calculations:
        assert abs(pnl.residual) <= 1e-9 * max(abs(pnl.equity), 1.0)
    last = calculations[-1]
    assert last.total_pnl == pytest.approx(fsum(last.attribution_total.values()), abs=1e-9 * last.equity)
    assert all(event.success for event in floor.of(ReconciliationEvent))


# --- atomic groups ----------------------------------------------------------------------------------------------


def chain_market() -> MarketState:
    """A pool with WETH and weETH, a staking token at 1.05 and a pool to swap it in."""
    return replace(
        exchange_market(),
        reserves={
            "WETH": ReserveState(1.02, 1.03, 0.02, 0.025, 0.8, True),
            "weETH": ReserveState(1.0, 1.0, 0.0, 0.0, 0.0, True),
        },
        staking={"weETH": StakingQuote(RATE, RATE * 0.999, True, True)},
        oracle_usd={"WETH": 2_000.0, "weETH": 2_000.0 * RATE},
    )


def prepare(writer: OrderWriter) -> Sequence[Order]:
    """A loan, some of the staking token in the wallet and some ETH."""
    orders = [writer.stake("etherfi", "weETH", 20.0), writer.supply("weETH", 10.0), writer.borrow("WETH", 5.0)]
    return writer.group(orders, ExecutionMode.SEQUENTIAL)


class Balances:
    """What a program may use of each token: as much as `prepare` leaves, but for gas."""

    def __init__(self) -> None:
        self.eth = ETH - 20.0 + 5.0 - 1.0
        self.lst = 20.0 / RATE - 10.0
        self.collateral = 10.0
        self.debt = 5.0


STEPS = ("stake", "supply", "borrow", "repay", "withdraw", "swap")
programs = st.lists(st.tuples(st.sampled_from(STEPS), st.floats(min_value=0.1, max_value=0.9)), min_size=1, max_size=6)


def atomic(program: Sequence[tuple[str, float]], flash: float, writer: OrderWriter) -> Sequence[Order]:
    """The orders of a program, inside a flash loan when there is one; each can be done after those before it."""
    held, orders = Balances(), []
    for step, share in program:
        if step == "stake":
            amount = share * held.eth
            orders.append(writer.stake("etherfi", "weETH", amount))
            held.eth, held.lst = held.eth - amount, held.lst + amount / RATE
        elif step == "supply":
            amount = share * held.lst
            orders.append(writer.supply("weETH", amount))
            held.lst, held.collateral = held.lst - amount, held.collateral + amount
        elif step == "borrow":
            amount = share * (0.9 * held.collateral * RATE - held.debt)
            if amount <= 0.0:
                continue
            orders.append(writer.borrow("WETH", amount))
            held.eth, held.debt = held.eth + amount, held.debt + amount
        elif step == "repay":
            amount = share * min(held.debt, held.eth)
            orders.append(writer.repay("WETH", amount))
            held.eth, held.debt = held.eth - amount, held.debt - amount
        elif step == "withdraw":
            amount = share * (held.collateral - held.debt / (0.92 * RATE))
            if amount <= 0.0:
                continue
            orders.append(writer.withdraw("weETH", amount))
            held.lst, held.collateral = held.lst + amount, held.collateral - amount
        else:
            amount = share * held.lst
            orders.append(writer.swap("uniswap", "weETH", "ETH", amount, "sell"))
            held.lst -= amount
    if not orders:
        orders.append(writer.stake("etherfi", "weETH", 1.0))
    if flash:
        orders = [writer.flash_borrow("morpho", "WETH", flash), *orders, writer.flash_repay("morpho", "WETH", flash)]
    return writer.group(orders, ExecutionMode.ATOMIC)


def check_atomic(runtime: Runtimes, program: Sequence[tuple[str, float]], flash: float, kind: Kind, place: int) -> None:
    trouble = Trouble(place, kind)
    plans: tuple[Plan, ...] = (prepare, partial(atomic, program, flash))
    floor = play(runtime, "eth_leveraged", trouble, *plans, state=chain_market(), capital=ETH)
    (_, event) = floor.of(AtomicOperationGroupEvent)
    group = set(event.operation_ids)
    ended = [o for o in floor.of(OperationExecutionEvent) if o.operation_id in group]
    explained(floor)
    snapshots = floor.of(PositionSnapshot)
    tick = sorted({snapshot.timestamp for snapshot in snapshots})[1]
    before = next(s.positions for s in snapshots if s.timestamp == tick)
    gas = [e for e in floor.of(ExecutionDeltaEvent) if e.operation_id in group and e.source is DeltaSource.GAS]
    assert len(gas) <= 1, "one transaction pays gas once"
    assert not [key for key in snapshots[-1].positions if "flashDebt" in key and snapshots[-1].positions[key]]
    if event.all_succeeded:
        assert kind in (Kind.DONE, Kind.LATE) or place >= len(ended)
        assert {o.status for o in ended} == {"confirmed"}
        assert len(trouble.sent) == 4, "three to prepare, and the transaction once, however long nobody knew"
        return
    assert {o.status for o in ended} <= {"failed", "rolled_back"}
    after = dict(snapshots[-1].positions)
    burnt = gas[0].deltas[0].delta_amount if gas else 0.0
    assert after[GAS] == before[GAS] + burnt
    assert {**after, GAS: 0.0} == {**before, GAS: 0.0}, "bit for bit"
    for shown, then in zip(trouble.shown[::2], trouble.shown[1::2], strict=True):
        assert {**then, GAS: 0.0} == {**shown, GAS: 0.0}, "the chain shows what it showed"
    assert event.rollback_occurred is (kind is Kind.REJECTED and any(o.status == "rolled_back" for o in ended))
    assert (event.total_gas_fees > 0.0) is (kind is Kind.REJECTED)


@settings(max_examples=60, deadline=None)
@given(
    program=programs,
    flash=st.sampled_from([0.0, 7.0]),
    kind=st.sampled_from(Kind),
    place=st.integers(min_value=0, max_value=7),
)
def test_an_atomic_group_changes_everything_or_nothing(
    program: Sequence[tuple[str, float]], flash: float, kind: Kind, place: int
) -> None:
    check_atomic(Runtimes("sim"), program, flash, kind, place)


@pytest.mark.parametrize("kind", Kind)
def test_atomic_groups_are_the_same_on_the_live_runtime(kind: Kind) -> None:
    check_atomic(Runtimes("live"), [("stake", 0.5), ("supply", 0.5), ("swap", 0.3)], 7.0, kind, 2)


# --- compensated groups -----------------------------------------------------------------------------------------


def to_venues(writer: OrderWriter) -> Sequence[Order]:
    return [
        writer.transfer("wallet:BaseToken:USDT", "binance:BaseToken:USDT", 70_000.0, "fund"),
        writer.transfer("wallet:BaseToken:USDT", "bybit:BaseToken:USDT", 29_000.0, "fund"),
    ]


def to_margin(writer: OrderWriter) -> Sequence[Order]:
    return [writer.transfer("binance:BaseToken:USDT", "binance:Margin:USDT", 20_000.0, "fund")]


def hedge(lots: int, share: float, order: Sequence[int], writer: OrderWriter) -> Sequence[Order]:
    """Spot on Binance against shorts on two venues, in any order."""
    there = round(share * (lots - 2)) + 1
    legs = [
        writer.spot("binance", "BTC", Side.BUY, lots * 0.01, "open"),
        writer.perp("binance", "BTC", Side.SHORT, (lots - there) * 0.01, "open", reduce_only=False),
        writer.perp("bybit", "BTC", Side.SHORT, there * 0.01, "open", reduce_only=False),
    ]
    return writer.group([legs[place] for place in order], ExecutionMode.COMPENSATED)


def check_compensated(runtime: Runtimes, lots: int, share: float, order: Sequence[int], kind: Kind, place: int) -> None:
    trouble = Trouble(place, kind)
    floor = play(runtime, "btc_basis", trouble, to_venues, to_margin, partial(hedge, lots, share, order))
    explained(floor)
    positions = floor.positions
    spot, shorts = positions.get(SPOT, 0.0), [positions.get(key, 0.0) for key in SHORTS]
    (event,) = floor.of(AtomicOperationGroupEvent)
    for snapshot in floor.of(PositionSnapshot):
        held = snapshot.positions
        assert abs(held.get(SPOT, 0.0) + sum(held.get(key, 0.0) for key in SHORTS)) <= 1e-9
    if event.all_succeeded:
        assert kind in (Kind.DONE, Kind.LATE)
        assert (spot, -sum(shorts)) == (pytest.approx(lots * 0.01), pytest.approx(lots * 0.01))
    else:
        assert (spot, shorts) == (0.0, [0.0, 0.0]), "what was filled was undone"
        assert event.group_status == ("compensated" if place else "failed")
    costs = floor.of(PnLCalculation)[-1].attribution_total
    moved = fsum(costs[name] for name in ("fees", "slippage", "gas"))
    assert floor.of(PnLCalculation)[-1].equity == pytest.approx(CAPITAL + fsum(costs.values()), abs=1e-6)
    assert moved < 0.0, "legs that were filled and undone cost fees and impact"
    doubtful = trouble.ids[place]
    if kind in (Kind.SILENT, Kind.LOST, Kind.DONE, Kind.LATE):
        assert doubtful in trouble.asked
    if kind in (Kind.REJECTED, Kind.DONE, Kind.LATE):
        assert trouble.sent.count(doubtful) == 1, "what was refused or may have happened is never sent again"


@settings(max_examples=60, deadline=None)
@given(
    lots=st.integers(min_value=2, max_value=60),
    share=st.floats(min_value=0.0, max_value=1.0),
    order=st.permutations([0, 1, 2]),
    kind=st.sampled_from(Kind),
    place=st.integers(min_value=0, max_value=2),
)
def test_a_compensated_group_ends_flat_or_hedged(
    lots: int, share: float, order: Sequence[int], kind: Kind, place: int
) -> None:
    check_compensated(Runtimes("sim"), lots, share, order, kind, place)


@pytest.mark.parametrize("kind", Kind)
def test_compensated_groups_are_the_same_on_the_live_runtime(kind: Kind) -> None:
    check_compensated(Runtimes("live"), 50, 0.4, (1, 2, 0), kind, 2)
