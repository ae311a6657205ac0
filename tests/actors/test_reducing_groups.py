"""Groups that only take risk off the book: what is done of them stays done, and the other legs follow that far."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace
from tests.actors.desk import PRICE, Desk, buy, desk, fill, fill_part, group, refuse, short
from tests.actors.store import MemoryStore
from tests.actors.test_kill_switch import latched, switch

from basis_actors.bus.testkit import Runtimes
from basis_actors.errors import Rejected, Transient
from basis_actors.messages.commands import GetPositions
from basis_actors.messages.events import AtomicOperationGroupEvent, SystemErrorEvent
from basis_actors.messages.orders import Order, Side
from basis_actors.messages.safety import LevelBook, TradingState

pytestmark = pytest.mark.anyio
REFUSED = Rejected("EXEC-004", "insufficient balance")
HOME, ELSEWHERE = "binance:PerpPosition:BTC-PERP", "bybit:PerpPosition:BTC-PERP"
SPOT = "binance:BaseToken:BTC"


def cover(name: str, venue: str, amount: float = 0.5) -> Order:
    """Buy back a short at the price at which it was sold."""
    return short(name, amount, venue, Side.LONG, reduce_only=True)


def sell(name: str, amount: float = 0.5) -> Order:
    return buy(name, amount, Side.SELL)


def named(name: str, *orders: Order) -> tuple[Order, ...]:
    return tuple(replace(order, atomic_group_id=name) for order in group(*orders))


CLOSE_HOME = named("home", cover("home", "binance"), sell("home-spot"))
CLOSE_ELSEWHERE = named("elsewhere", cover("elsewhere", "bybit"), sell("elsewhere-spot"))


@asynccontextmanager
async def hedged(runtime: Runtimes, store: MemoryStore | None = None) -> AsyncIterator[Desk]:
    """One bitcoin, against half of it short on each of two exchanges. With a `store` there is a kill switch."""
    guard = None if store is None else switch(store)
    async with desk(runtime, kill_switch=guard) as d:
        await d.execute(*named("one", short("a", 0.5, "binance"), buy("b", 0.5)))
        await d.execute(*named("two", short("c", 0.5), buy("d", 0.5)))
        for venue in (d.binance, d.bybit):
            venue.sent.clear()
        yield d


async def held(d: Desk) -> dict[str, float]:
    """What is left of the book, in bitcoins."""
    positions = (await d.bus.ask("position_monitor", GetPositions())).positions
    return {key: positions[key] for key in (SPOT, HOME, ELSEWHERE) if abs(positions.get(key, 0.0)) > 1e-12}


def codes(d: Desk) -> list[str]:
    return [event.error_code for event in d.logged(SystemErrorEvent)]


async def test_a_short_that_was_bought_back_stays_so_where_the_spot_against_it_is_refused(runtime: Runtimes) -> None:
    store = MemoryStore()
    async with hedged(runtime, store) as d:
        d.binance.script = [fill, refuse(REFUSED)]
        await d.execute(*CLOSE_HOME)
        assert (d.binance.sent, d.bybit.sent) == (["home", "home-spot"], [])
        assert await held(d) == {SPOT: 1.0, ELSEWHERE: -0.5}
        (event,) = [event for event in d.logged(AtomicOperationGroupEvent) if event.atomic_group_id == "home"]
        assert (event.group_status, event.rollback_occurred) == ("failed", False)


async def test_a_book_that_is_left_one_sided_is_said_and_stops_what_adds_risk_while_what_reduces_goes_on(
    runtime: Runtimes,
) -> None:
    store = MemoryStore()
    async with hedged(runtime, store) as d:
        d.binance.script = [fill, refuse(REFUSED)]
        await d.execute(*CLOSE_HOME)
        await d.bus.until(lambda: bool(d.engine.of(LevelBook)), "the engine to be told")
        latch = latched(store)
        assert (latch.state, latch.error_code, latch.who) == (TradingState.STOPPED, "EXEC-006", "execution_manager")
        assert "home-spot: 0.5 of 0.5 BTC/USDT at binance could not be traded" in latch.reason
        assert "insufficient balance" in latch.reason
        assert "EXEC-006" in codes(d)
        opened = await d.execute(*named("more", short("e", 0.1), buy("f", 0.1)))
        assert [result.error_code for result in opened.results] == ["RISK-008", "RISK-008"]
        levelled = await d.execute(sell("level"))
        assert levelled.results[0].succeeded
        assert await held(d) == {SPOT: 0.5, ELSEWHERE: -0.5}


async def test_after_a_sale_that_was_refused_no_other_short_is_bought_back_against_the_same_spot(
    runtime: Runtimes,
) -> None:
    async with hedged(runtime, MemoryStore()) as d:
        d.binance.script = [fill, refuse(REFUSED)]
        done = await d.execute(*CLOSE_HOME, *CLOSE_ELSEWHERE)
        assert d.bybit.sent == []
        assert [result.error_code for result in done.results] == [None, "EXEC-004", "EXEC-001", "EXEC-001"]
        d.binance.script = []
        again = await d.execute(sell("level"), *CLOSE_ELSEWHERE)
        assert all(result.succeeded for result in again.results), "the next decision begins anew"
        assert await held(d) == {}


async def test_an_exchange_that_refuses_to_buy_back_keeps_its_spot_and_the_others_go_on(runtime: Runtimes) -> None:
    store = MemoryStore()
    async with hedged(runtime, store) as d:
        d.binance.script = [refuse(REFUSED)]
        await d.execute(*CLOSE_HOME, *CLOSE_ELSEWHERE)
        assert (d.binance.sent, d.bybit.sent) == (["home", "elsewhere-spot"], ["elsewhere"])
        assert await held(d) == {SPOT: 0.5, HOME: -0.5}
        assert "EXEC-006" not in codes(d)
        assert "latch.json" not in store.files, "the book is hedged, so nothing stops"


async def test_of_the_spot_as_much_is_sold_as_was_bought_back(runtime: Runtimes) -> None:
    async with hedged(runtime, MemoryStore()) as d:
        d.bybit.script = [fill_part(0.4)]
        await d.execute(*CLOSE_ELSEWHERE)
        assert await held(d) == pytest.approx({SPOT: 0.8, HOME: -0.5, ELSEWHERE: -0.3})
        assert "EXEC-006" not in codes(d)


async def test_a_sale_that_is_filled_in_part_is_followed_by_another_of_the_rest(runtime: Runtimes) -> None:
    async with hedged(runtime, MemoryStore()) as d:
        before = (await d.bus.ask("position_monitor", GetPositions())).positions["binance:BaseToken:USDT"]
        d.binance.script = [fill_part(0.4), fill_part(0.5)]
        await d.execute(*CLOSE_ELSEWHERE)
        assert d.binance.sent == ["elsewhere-spot", "elsewhere-spot-rest-1", "elsewhere-spot-rest-2"]
        assert await held(d) == pytest.approx({SPOT: 0.5, HOME: -0.5})
        after = (await d.bus.ask("position_monitor", GetPositions())).positions["binance:BaseToken:USDT"]
        assert after - before == pytest.approx(0.5 * PRICE)
        (event,) = [event for event in d.logged(AtomicOperationGroupEvent) if event.atomic_group_id == "elsewhere"]
        assert (event.group_status, event.rollback_occurred) == ("confirmed", False)


async def test_a_sale_of_which_the_market_takes_ever_less_ends_and_is_said(runtime: Runtimes) -> None:
    async with hedged(runtime, MemoryStore()) as d:
        d.binance.script = [fill_part(0.1)] * 5
        await d.execute(*CLOSE_ELSEWHERE)
        assert len(d.binance.sent) == 5
        assert (await held(d))[SPOT] == pytest.approx(0.5 + 0.5 * 0.9**5)
        assert "EXEC-006" in codes(d)


async def test_what_passes_is_waited_for_before_a_leg_is_left_alone(runtime: Runtimes) -> None:
    async with hedged(runtime, MemoryStore()) as d:
        d.binance.script = [refuse(Transient("VEN-006", "slow down", 70.0))]
        await d.execute(*CLOSE_ELSEWHERE)
        assert d.binance.sent == ["elsewhere-spot"] * 2
        assert await held(d) == {SPOT: 0.5, HOME: -0.5}


async def test_what_is_too_small_to_be_sold_is_no_book_that_stands_one_sided(runtime: Runtimes) -> None:
    async with hedged(runtime, MemoryStore()) as d:
        d.bybit.script = [fill_part(0.01)]
        d.binance.script = [refuse(Rejected("EXEC-009", "less than a lot"))]
        await d.execute(*CLOSE_ELSEWHERE)
        assert "EXEC-006" not in codes(d)


async def test_an_unwinding_that_fails_stops_what_adds_risk_and_ends_nothing(runtime: Runtimes) -> None:
    store = MemoryStore()
    async with hedged(runtime, store) as d:
        d.binance.script = [refuse(REFUSED)]
        d.bybit.script = [fill, refuse(REFUSED)]
        await d.execute(*named("more", short("e", 0.1), buy("f", 0.1)))
        await d.bus.until(lambda: bool(d.engine.of(LevelBook)), "the latch")
        assert latched(store).error_code == "EXEC-006"
        assert "e could not be unwound (EXEC-004)" in latched(store).reason
        assert (await d.execute(cover("level", "bybit", 0.1))).results[0].succeeded
        assert await held(d) == {SPOT: 1.0, HOME: -0.5, ELSEWHERE: -0.5}


async def test_without_a_kill_switch_a_book_that_is_left_one_sided_is_said_and_may_be_levelled(
    runtime: Runtimes,
) -> None:
    async with hedged(runtime) as d:
        d.binance.script = [refuse(REFUSED)]
        assert not (await d.execute(*CLOSE_ELSEWHERE)).results[1].succeeded
        assert codes(d).count("EXEC-006") == 1
        assert (await d.execute(sell("level", 0.5))).results[0].succeeded
        assert await held(d) == {SPOT: 0.5, HOME: -0.5}
