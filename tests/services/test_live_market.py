"""The market of a live process: asked for at ticks, listened to in between, believed only as far as it may be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import anyio
import pytest
from msgspec.structs import replace
from tests.services.hand_sleep import HandSleep, rest
from tests.services.published import Published

from basis_actors.actors.market_watch import MarketWatch
from basis_actors.bus import Actor, LiveBus, ManualClock, on
from basis_actors.config import load_mode
from basis_actors.data.market_board import MarketBoard
from basis_actors.errors import Rejected, Transient
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.market import FundingStamp, MarketSpec, MarketState
from basis_actors.messages.quotes import FeedTrouble, PriceKind
from basis_actors.services.live_market import LiveMarket
from basis_actors.times import NS_PER_SECOND

pytestmark = pytest.mark.anyio
CONFIG = load_mode("btc_basis").mode.component_config.market_feed
SPEC = MarketSpec(assets=("BTC",), spot=("binance:BTC",), perps=("binance:BTC-PERP", "okx:BTC-PERP"))
HOUR = 3600 * NS_PER_SECOND
START = 1_000_000 * HOUR + 123
GONE = Transient("VEN-003", "maintenance")


class World:
    """Two exchanges, and the market made of them."""

    def __init__(self) -> None:
        self.sleep = HandSleep()
        self.binance = Published("binance", ("BTC/USDT", "BTC-PERP"), self.now)
        self.okx = Published("okx", ("BTC-PERP",), self.now)
        for data in (self.binance, self.okx):
            data.rates["BTC-PERP"] = [
                FundingStamp(START // HOUR * HOUR + hours * HOUR, f"{data.venue}:BTC-PERP", hours * 1e-6, 100.0)
                for hours in range(-80, 81, 8)
            ]
        self.troubles: list[FeedTrouble] = []
        self.board = MarketBoard(SPEC, CONFIG, "binance", None)
        self.market = LiveMarket(
            SPEC,
            self.board,
            {"binance": self.binance, "okx": self.okx},
            CONFIG,
            step_ns=HOUR,
            now=self.now,
            sleep=self.sleep,
            chance=Random(1),
        )
        self.market.tell = self.troubles.append

    def now(self) -> int:
        return START + round(self.sleep.seconds * NS_PER_SECOND)

    async def opened(self) -> World:
        await self.market.open(lambda *_: None)
        return self


async def test_a_mode_begins_with_every_price_and_a_past_of_funding() -> None:
    world = await World().opened()
    assert world.board.unknown() == ()
    past = world.market.settled("okx:BTC-PERP", 3)
    assert [stamp.ns for stamp in past] == [START // HOUR * HOUR + hours * HOUR for hours in (-16, -8, 0)]
    assert world.market.settled("okx:BTC-PERP", 0) == ()


async def test_an_exchange_that_does_not_answer_at_the_start_is_asked_again_ever_less_often() -> None:
    world = World()
    world.okx.broken["prices"] = [GONE, GONE, GONE]
    why: list[tuple[str, str | None]] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.market.open, lambda *said: why.append(said))
        await world.sleep.pass_by(0.9)
        assert world.okx.asked.count("prices") == 1
        await world.sleep.pass_by(1000.0)
    assert [said for venue, said in why if venue == "okx"] == [*["maintenance"] * 3, None]
    assert ("binance", None) in why[:2], "each is asked whatever the others do"
    assert world.okx.asked.count("prices") == 4


async def test_an_exchange_that_leaves_out_a_price_at_the_start_is_asked_again() -> None:
    world = World()
    world.okx.last, world.okx.mark = {}, {}
    why: list[tuple[str, str | None]] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.market.open, lambda *said: why.append(said))
        await rest()
        world.okx.last = world.okx.mark = {"BTC-PERP": 100.0}
        await world.sleep.pass_by(10.0)
    silence = "no price of okx:BTC-PERP (last), okx:BTC-PERP (mark)"
    assert [said for venue, said in why if venue == "okx"] == [silence, None]


async def test_a_market_that_an_exchange_does_not_have_ends_the_start() -> None:
    world = World()
    world.okx.broken["open"] = [Rejected("VEN-004", "okx has no market BTC-PERP")]
    with pytest.raises(Rejected, match="okx has no market BTC-PERP"):
        await world.market.open(lambda *_: None)


async def test_ticks_are_at_once_and_then_a_moment_after_each_full_interval() -> None:
    market = World().market
    delay = round(CONFIG.tick_delay_seconds * NS_PER_SECOND)
    hour = START // HOUR * HOUR
    first = market.next_tick(None)
    assert first == START
    ticks = [hour + delay] if first < hour + delay else []
    ticks += [hour + HOUR + delay, hour + 2 * HOUR + delay]
    at = first
    for expected in ticks:
        at = market.next_tick(at)
        assert at == expected


async def test_a_tick_shows_what_the_exchanges_say_then() -> None:
    world = await World().opened()
    await world.market.take(world.now())
    world.binance.last["BTC/USDT"], world.okx.mark["BTC-PERP"] = 105.0, 104.0
    world.okx.ranges["BTC-PERP"] = (91.0, 108.0)
    await world.sleep.pass_by(8 * 3600.0)
    state = await world.market.take(world.now())
    quote = state.perps["okx:BTC-PERP"]
    assert (state.prices["BTC"], quote.mark, quote.mark_low, quote.mark_high) == (105.0, 104.0, 91.0, 108.0)
    assert {(stamp.perp, stamp.rate) for stamp in state.funding} == {("binance:BTC-PERP", 8e-6), ("okx:BTC-PERP", 8e-6)}
    assert (state.stale_prices, quote.mark_fresh, world.troubles) == ((), True, [])


async def test_between_ticks_there_are_prices_and_nothing_that_belongs_to_ticks() -> None:
    world = await World().opened()
    assert await world.market.between(world.now()) is None
    await world.market.take(world.now())
    world.binance.last["BTC/USDT"] = 105.0
    world.okx.mark["BTC-PERP"], world.okx.ranges["BTC-PERP"] = 104.0, (91.0, 108.0)
    await world.sleep.pass_by(8 * 3600.0)
    between = await world.market.between(world.now())
    assert between is not None
    assert (between.prices["BTC"], between.funding, between.ns) == (105.0, (), world.now())
    quote = between.perps["okx:BTC-PERP"]
    assert (quote.mark, quote.mark_low, quote.mark_high) == (104.0, None, None)
    tick = await world.market.take(world.now())
    assert len(tick.funding) == 2
    assert (tick.perps["okx:BTC-PERP"].mark_low, tick.perps["okx:BTC-PERP"].mark_high) == (91.0, 108.0)


async def test_an_exchange_that_fails_at_a_tick_leaves_its_market_as_it_was_and_stale() -> None:
    world = await World().opened()
    await world.market.take(world.now())
    world.okx.broken["prices"] = [GONE]
    world.okx.mark["BTC-PERP"], world.binance.mark["BTC-PERP"] = 104.0, 104.0
    await world.sleep.pass_by(3600.0)
    state = await world.market.take(world.now())
    theirs, ours = state.perps["okx:BTC-PERP"], state.perps["binance:BTC-PERP"]
    assert (theirs.mark, theirs.mark_fresh, ours.mark, ours.mark_fresh) == (100.0, False, 104.0, True)
    assert world.troubles == [FeedTrouble("okx", "DATA-001", "its market cannot be asked for: maintenance")]


async def test_funding_that_cannot_be_is_told_once_and_is_missing() -> None:
    world = await World().opened()
    await world.market.take(world.now())
    due = START // HOUR * HOUR + 8 * HOUR
    world.okx.rates["BTC-PERP"] = [
        replace(each, rate=0.5) if each.ns == due else each for each in world.okx.rates["BTC-PERP"]
    ]
    await world.sleep.pass_by(8 * 3600.0)
    taken: list[MarketState] = []

    async def take() -> None:
        taken.append(await world.market.take(world.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await world.sleep.pass_by(CONFIG.request_seconds)
    assert {(each.perp, each.rate) for each in taken[0].funding} == {("binance:BTC-PERP", 8e-6), ("okx:BTC-PERP", None)}
    assert taken[0].funding_missed == {"binance:BTC-PERP": 0, "okx:BTC-PERP": 1}
    (trouble,) = world.troubles
    assert (trouble.venue, trouble.code) == ("okx", "DATA-002")


async def test_an_exchange_that_says_nothing_holds_a_tick_up_no_longer_than_agreed() -> None:
    world = await World().opened()
    world.okx.hangs = anyio.Event()
    taken: list[float] = []

    async def take() -> None:
        state = await world.market.take(world.now())
        taken.append(state.prices["BTC"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await world.sleep.pass_by(CONFIG.request_seconds - 0.1)
        assert taken == []
        await world.sleep.pass_by(0.2)
        assert taken == [100.0]
    assert world.sleep.asleep == 0


async def test_funding_that_is_listed_late_is_waited_for() -> None:
    world = await World().opened()
    await world.market.take(world.now())
    await world.sleep.pass_by(8 * 3600.0)
    (late,) = [stamp for stamp in world.okx.rates["BTC-PERP"] if stamp.rate == 8e-6]
    world.okx.rates["BTC-PERP"].remove(late)
    states = []

    async def take() -> None:
        states.append(await world.market.take(world.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await rest()
        assert states == []
        world.okx.rates["BTC-PERP"].append(late)
        await world.sleep.pass_by(CONFIG.poll_seconds)
    assert late in states[0].funding


async def test_funding_that_is_not_listed_is_missed() -> None:
    world = await World().opened()
    await world.market.take(world.now())
    world.okx.rates["BTC-PERP"] = [stamp for stamp in world.okx.rates["BTC-PERP"] if stamp.rate != 8e-6]
    await world.sleep.pass_by(8 * 3600.0)
    states = []

    async def take() -> None:
        states.append(await world.market.take(world.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await world.sleep.pass_by(CONFIG.request_seconds)
    assert {(stamp.perp, stamp.rate) for stamp in states[0].funding} == {
        ("binance:BTC-PERP", 8e-6),
        ("okx:BTC-PERP", None),
    }
    assert states[0].funding_missed == {"binance:BTC-PERP": 0, "okx:BTC-PERP": 1}


class Sink(Actor):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__("sink")
        self.texts: list[str] = []

    @on(object)
    def keep(self, event: object) -> None:
        assert isinstance(event, SystemErrorEvent)
        self.texts.append(f"{event.error_code} {event.severity}: {event.message}")


@asynccontextmanager
async def listening(world: World) -> AsyncIterator[list[str]]:
    """The market watch with its sources; what it logs."""
    sink, watch = Sink(), MarketWatch()
    bus = LiveBus(ManualClock(START), log_sink="sink")
    bus.add(sink)
    bus.add(watch)
    world.market.tell = lambda trouble: bus.post(watch.name, trouble)
    for source in world.market.sources():
        bus.add_source(watch.name, source)
    async with bus:
        await rest()
        yield sink.texts


async def test_a_stream_keeps_prices_young_between_ticks() -> None:
    world = await World().opened()
    async with listening(world) as logged:
        for _ in range(100):
            world.binance.show("BTC-PERP", 101.0, PriceKind.MARK)
            world.okx.show("BTC-PERP", 102.0, PriceKind.MARK)
            await world.sleep.pass_by(CONFIG.silence_seconds / 2)
        asked = len(world.okx.asked)
        state = world.board.state(START, world.now())
    assert (state.perps["okx:BTC-PERP"].mark, state.perps["okx:BTC-PERP"].mark_fresh) == (102.0, True)
    assert world.okx.connections == 1
    assert asked <= 10, "a stream that works is not accompanied by questions"
    assert logged == []


async def test_a_stream_that_breaks_is_connected_anew_and_prices_are_asked_for_before_it_is_relied_on() -> None:
    world = await World().opened()
    async with listening(world) as logged:
        world.okx.show("BTC-PERP", 101.0)
        world.binance.show("BTC-PERP", 101.0)
        await world.sleep.pass_by(CONFIG.poll_seconds)
        world.okx.last["BTC-PERP"] = 103.0
        world.okx.drop(Transient("VEN-003", "closed after 24 hours"))
        await rest()
        before = world.okx.asked.count("prices")
        world.binance.show("BTC-PERP", 101.0)
        await world.sleep.pass_by(CONFIG.poll_seconds)
        assert world.okx.asked.count("prices") > before, "what it did not show was asked for"
        assert world.board.state(START, world.now()).perps["okx:BTC-PERP"].last == 103.0
        assert world.okx.connections == 2
        world.okx.show("BTC-PERP", 104.0)
        await world.sleep.pass_by(CONFIG.poll_seconds)
        assert logged == [
            "DATA-003 HIGH: okx: the stream is lost: closed after 24 hours",
            "DATA-003 MEDIUM: okx: the stream shows the market again, after 0 s",
        ]
        before = world.okx.asked.count("prices")
        world.okx.show("BTC-PERP", 104.0)
        await world.sleep.pass_by(CONFIG.poll_seconds)
        assert world.okx.asked.count("prices") == before
    assert world.okx.open_streams == 0


async def test_a_stream_that_falls_silent_is_connected_anew() -> None:
    world = await World().opened()
    async with listening(world) as logged:
        world.okx.show("BTC-PERP", 101.0)
        for _ in range(4):
            world.binance.show("BTC-PERP", 101.0)
            await world.sleep.pass_by(CONFIG.silence_seconds * 0.75)
        assert world.okx.connections >= 2
        assert world.binance.connections == 1
    assert logged == ["DATA-003 HIGH: okx: the stream is lost: nothing was shown for 20 s"]


async def test_a_stream_that_cannot_be_connected_is_tried_ever_less_often_and_said_once() -> None:
    world = await World().opened()
    world.okx.broken["watch"] = [GONE] * 1000
    async with listening(world) as logged:
        for _ in range(100):
            world.binance.show("BTC-PERP", 101.0)
            await world.sleep.pass_by(10.0)
    doubling = 7  # pauses of 1 to 64 seconds and a quarter more, then of a minute
    assert doubling < world.okx.connections < doubling + 1000.0 / CONFIG.longest_reconnect_seconds + 1
    assert logged == ["DATA-003 HIGH: okx: the stream is lost: maintenance"]


async def test_a_stream_of_nonsense_is_named_and_not_believed() -> None:
    world = await World().opened()
    async with listening(world) as logged:
        world.okx.show("BTC-PERP", 0.0)
        world.okx.show("BTC-PERP", -1.0)
        world.binance.show("BTC/USDT", 1.0)
        await rest()
        state = world.board.state(START, world.now())
    assert (state.prices["BTC"], state.perps["okx:BTC-PERP"].last) == (100.0, 100.0)
    jump = (
        "binance:BTC last price 1 is -99.0% from 100 at okx, and no other exchange is near it; it counts as stale,"
        " however long it lasts, until one is"
    )
    assert logged == [
        "DATA-002 HIGH: okx: okx:BTC-PERP last price 0.0 is none; the last good one is kept",
        f"DATA-002 HIGH: binance: {jump}",
    ]
