"""What an exchange tells of its markets by itself, what goes wrong with that, and how it is ended."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from tests.exchange.market import Kind
from tests.exchange.server import LocalExchange
from tests.exchange.worlds import EXCHANGES, PAIRS_OF, listening
from tests.venues.wire.market_data.listener import Listener, listener_of, subscribed

from basis_actors.errors import Transient
from basis_actors.messages.quotes import Price, PriceKind
from basis_actors.venues.wire import bybit_quotes, okx_quotes
from basis_actors.venues.wire.market_data import ExchangeMarketData
from basis_actors.venues.wire.market_streams import _first

STREAM = {"binance": "linear_stream", "bybit": "public_stream", "okx": "stream"}
HANDSHAKE = {"binance": "GET /market/ws", "bybit": "GET /v5/public/linear", "okx": "GET /ws/v5/public"}
REFUSAL = {
    "binance": '{"error": {"code": 2, "msg": "Invalid request: no such thing"}, "id": 1}',
    "bybit": '{"success": false, "ret_msg": "error:handler not found: no such thing", "op": "subscribe"}',
    "okx": '{"event": "error", "code": "60018", "msg": "no such thing", "connId": "local"}',
}
BY_THE_WAY = {
    "binance": ['{"e": "serverShutdown", "E": 1}', '{"e": "24hrMiniTicker", "E": 1, "s": "DOGEUSDT", "c": "1"}'],
    "bybit": ['{"topic": "tickers.DOGEUSDT", "type": "delta", "ts": 1, "data": {"symbol": "DOGEUSDT"}}'],
    "okx": ['{"event": "notice", "code": "64008", "msg": "The connection will soon be closed."}', "pong"],
}


async def test_every_change_is_shown_with_the_time_of_the_exchange(
    exchange: LocalExchange, market: ExchangeMarketData
) -> None:
    wanted: list[Price] = []
    async with listener_of(exchange, market) as listener:
        exchange.clock.advance(1.234)
        for number, pair in enumerate(PAIRS_OF[exchange.venue], start=1):
            exchange.account.set_price(pair, f"{number}.25")
            wanted.append(Price(pair, PriceKind.LAST, number + 0.25, exchange.clock.ns))
            if exchange.account.market(pair).kind is not Kind.SPOT:
                exchange.account.set_mark(pair, f"{number}.75")
                wanted.append(Price(pair, PriceKind.MARK, number + 0.75, exchange.clock.ns))
        await exchange.streams.flush()
        await listener.until(*(price.price for price in wanted))
    assert all(price in listener.prices for price in wanted)


async def test_no_message_of_many_at_once_is_passed_over(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    async with listener_of(exchange, market) as listener:
        for number in range(1, 101):
            exchange.account.set_mark("BTC-PERP", str(number))
        await exchange.streams.flush()
        await listener.until(100)
    heard = [price for kind, price in listener.of("BTC-PERP") if kind == "mark"]
    assert heard[-100:] == list(range(1, 101))


async def test_what_comes_twice_or_in_disorder_is_shown_as_it_comes(
    exchange: LocalExchange, market: ExchangeMarketData
) -> None:
    exchange.streams.twice = True
    async with listener_of(exchange, market) as listener:
        for mark in ("1", "2", "3"):
            exchange.account.set_mark("BTC-PERP", mark)
        exchange.account.set_mark("ETH-PERP", "4")
        await exchange.streams.flush(reverse=True)
        await listener.until(1, 4)
        exchange.account.set_mark("BTC-PERP", "5")
        exchange.streams.lose = len(exchange.streams.waiting)
        exchange.account.set_mark("BTC-PERP", "6")
        await exchange.streams.flush()
        await listener.until(6)
    heard = [price for kind, price in listener.of("BTC-PERP") if kind == "mark" and price < 10]
    assert heard[:7] == [3, 3, 2, 2, 1, 1, 6]


async def test_a_silent_stream_is_not_the_end_of_it(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    exchange.streams.silent = True
    async with listener_of(exchange, market) as listener:
        exchange.account.set_mark("BTC-PERP", "1")
        await exchange.streams.flush()
        for text in BY_THE_WAY[exchange.venue]:
            await exchange.streams.say(text)
        exchange.streams.silent = False
        exchange.account.set_mark("BTC-PERP", "2")
        await exchange.streams.flush()
        await listener.until(2)
        assert not listener.ended.is_set()
    assert listener.of("BTC-PERP") == [("mark", 2)]


async def test_nonsense_is_passed_on(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    async with listener_of(exchange, market) as listener:
        exchange.account.set_mark("BTC-PERP", "0")
        exchange.account.set_mark("BTC-PERP", "-3")
        exchange.account.set_mark("BTC-PERP", "NaN")
        exchange.account.set_mark("BTC-PERP", "7")
        await exchange.streams.flush()
        await listener.until(7)
    marks = [price for kind, price in listener.of("BTC-PERP") if kind == "mark"]
    assert marks[-4:-2] == [0, -3]
    assert math.isnan(marks[-2])


@pytest.mark.parametrize("politely", [True, False])
async def test_the_end_of_a_stream_is_the_end_of_it(
    exchange: LocalExchange, market: ExchangeMarketData, politely: bool
) -> None:
    streams = exchange.streams
    async with listener_of(exchange, market) as listener:
        # One of the connections; the others are ended by us.
        await (streams.listeners[0].socket.close() if politely else streams.break_off())
        await listener.ended.wait()
        await streams.until_deserted()
    assert isinstance(listener.error, Transient)
    assert listener.error.code == "VEN-003"
    assert f"{exchange.venue} stream 127.0.0.1" in str(listener.error)


async def test_it_can_be_listened_to_again(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    for mark in (1, 2):
        async with listener_of(exchange, market) as listener:
            exchange.account.set_mark("BTC-PERP", str(mark))
            await exchange.streams.flush()
            await listener.until(mark)
            await exchange.streams.disconnect()
            await listener.ended.wait()
        await exchange.streams.until_deserted()


async def test_a_subscription_that_is_refused_ends_it(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    async with listener_of(exchange, market) as listener:
        await exchange.streams.say(REFUSAL[exchange.venue])
        await listener.ended.wait()
    assert isinstance(listener.error, Transient)
    assert "refused: " in str(listener.error)
    assert "no such thing" in str(listener.error)


@pytest.mark.parametrize("venue", ["bybit", "okx"])
async def test_a_market_that_is_gone_is_refused_by_its_stream(venue: str) -> None:
    async with EXCHANGES[venue]() as exchange, listening(exchange, pairs=("BTC-PERP", "DOGE-PERP")) as market:
        with pytest.raises(Transient, match=r"refused: .*DOGE"):
            await market.watch(lambda _price: None)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"x": ' + "[" * 20_000,
        '{"e": 5, "topic": 5, "data": 5}',
        "what",
        '{"s": "BTCUSDT", "data": [{}], "p": "x"}',
    ],
)
async def test_a_message_that_cannot_be_read_ends_it(
    exchange: LocalExchange, market: ExchangeMarketData, text: str
) -> None:
    async with listener_of(exchange, market) as listener:
        await exchange.streams.say(text)
        await listener.ended.wait()
    assert isinstance(listener.error, Transient)
    assert "a message cannot be read" in str(listener.error)


@pytest.mark.parametrize(("status", "code"), [(429, "VEN-006"), (403, "VEN-006"), (418, "VEN-006"), (503, "VEN-003")])
async def test_a_connection_that_is_refused(exchange: LocalExchange, status: int, code: str) -> None:
    name = STREAM[exchange.venue]
    method, path = HANDSHAKE[exchange.venue].split(" ")
    exchange.faults.answer(f"{method} /full{path}", status, "<html>no</html>")
    async with listening(exchange, pairs=("BTC-PERP",), urls={name: f"ws://127.0.0.1:{exchange.port}/full"}) as market:
        with pytest.raises(Transient, match=f"refused with status {status}") as caught:
            await market.watch(lambda _price: None)
    assert caught.value.code == code


async def test_an_address_where_nobody_is(exchange: LocalExchange) -> None:
    async with listening(exchange, pairs=("BTC-PERP",), urls={STREAM[exchange.venue]: "ws://127.0.0.1:1"}) as market:
        with pytest.raises(Transient, match=r"127\.0\.0\.1") as caught:
            await market.watch(lambda _price: None)
    assert caught.value.code == "VEN-003"


async def test_a_mistake_of_the_listener_is_shown_as_such(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    def stumble(_price: Price) -> None:
        raise ZeroDivisionError

    async with anyio.create_task_group() as tasks:

        async def move() -> None:
            await subscribed(exchange)
            exchange.account.set_mark("BTC-PERP", "1")
            await exchange.streams.flush()

        tasks.start_soon(move if exchange.venue == "binance" else anyio.lowlevel.checkpoint)
        with pytest.raises(ZeroDivisionError):
            await market.watch(stumble)
    await exchange.streams.until_deserted()


def test_a_mistake_comes_before_a_stream_that_broke_meanwhile() -> None:
    broken, mistake = Transient("VEN-003", "broken"), ZeroDivisionError()
    assert _first(BaseExceptionGroup("", [broken, BaseExceptionGroup("", [broken, mistake])])) is mistake
    assert _first(BaseExceptionGroup("", [BaseExceptionGroup("", [broken])])) is broken


@pytest.mark.parametrize("venue", ["bybit", "okx"])
async def test_a_connection_is_kept_open(venue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"bybit": bybit_quotes, "okx": okx_quotes}[venue]
    monkeypatch.setattr(words, "_PING_SECONDS", 0.001)
    async with EXCHANGES[venue]() as exchange, listening(exchange) as market, listener_of(exchange, market) as listener:
        await exchange.streams.until(lambda connection: connection.heard.count(words._PING) > 2)
        exchange.account.set_mark("BTC-PERP", "1")
        await exchange.streams.flush()
        await listener.until(1)


async def tasks_of_ours(before: set[asyncio.Task[object]]) -> set[asyncio.Task[object]]:
    """What runs now and did not before, once everything that can go on has done so; those of the server apart."""
    await anyio.wait_all_tasks_blocked()
    new = asyncio.all_tasks() - before
    return {task for task in new if "RequestHandler" not in repr(task)}


@pytest.mark.parametrize("way", ["scope", "task"])
async def test_whoever_is_cancelled_leaves_nothing_behind(
    exchange: LocalExchange, market: ExchangeMarketData, way: str
) -> None:
    await anyio.wait_all_tasks_blocked()
    before = asyncio.all_tasks()
    if way == "scope":
        async with listener_of(exchange, market):
            pass
    else:
        listening_task = asyncio.create_task(market.watch(lambda _price: None))
        await subscribed(exchange)
        listening_task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening_task
    await exchange.streams.until_deserted()
    assert await tasks_of_ours(before) == set()


@asynccontextmanager
async def deaf() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """An address that takes connections and never says a word; when one was opened, and when it was closed."""
    opened, closed = asyncio.Event(), asyncio.Event()

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.set()
        await reader.read()
        closed.set()
        writer.close()

    async with await asyncio.start_server(ignore, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", opened, closed


async def test_whoever_is_cancelled_while_connecting_leaves_nothing_behind(exchange: LocalExchange) -> None:
    async with deaf() as (address, opened, closed):
        async with listening(exchange, urls={STREAM[exchange.venue]: address}) as market:
            before = asyncio.all_tasks()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(Listener().listen, market)
                await opened.wait()
                tasks.cancel_scope.cancel()
            await closed.wait()
        assert {task for task in await tasks_of_ours(before) if "ignore" not in repr(task)} == set()


async def test_a_connection_is_not_waited_for_forever(exchange: LocalExchange) -> None:
    async with deaf() as (address, _opened, closed):
        async with listening(exchange, pairs=("BTC-PERP",), urls={STREAM[exchange.venue]: address}) as market:
            market._timeout_seconds = 0.05
            with pytest.raises(Transient, match="TimeoutError"):
                await market.watch(lambda _price: None)
        await closed.wait()
