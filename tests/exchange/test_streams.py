"""Streams of the local exchange go wrong as asked: silence, gaps, repetition, disorder, ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.worlds import funded

PRICES = ("60001", "60002", "60003")


@pytest.fixture
async def exchange() -> AsyncIterator[LocalBinance]:
    async with funded() as running:
        yield running


@pytest.fixture
async def listener(exchange: LocalBinance) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """One that has subscribed to the price of BTC."""
    address = f"{exchange.urls['spot_stream']}/ws/1"
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@miniTicker"], "id": 1})
        assert (await socket.receive_json())["result"] is None
        yield socket


async def heard(exchange: LocalBinance, listener: aiohttp.ClientWebSocketResponse, **how: Any) -> list[str]:
    """The prices that arrive until the connection is closed."""
    for price in PRICES:
        exchange.account.set_price("BTC/USDT", price)
    await exchange.streams.flush(**how)
    await exchange.streams.disconnect()
    found = []
    async for message in listener:
        assert message.type is aiohttp.WSMsgType.TEXT
        found.append(message.json()["c"].partition(".")[0])
    return found


async def test_what_happens_is_told_in_order(exchange: LocalBinance, listener: aiohttp.ClientWebSocketResponse) -> None:
    assert await heard(exchange, listener) == list(PRICES)
    assert listener.closed


async def test_a_silent_stream_stays_open(exchange: LocalBinance, listener: aiohttp.ClientWebSocketResponse) -> None:
    exchange.streams.silent = True
    assert await heard(exchange, listener) == []


async def test_a_gap_loses_the_next_events(exchange: LocalBinance, listener: aiohttp.ClientWebSocketResponse) -> None:
    exchange.streams.lose = 2
    assert await heard(exchange, listener) == ["60003"]


async def test_events_come_twice(exchange: LocalBinance, listener: aiohttp.ClientWebSocketResponse) -> None:
    exchange.streams.twice = True
    assert await heard(exchange, listener) == [price for price in PRICES for _ in range(2)]


async def test_events_come_in_disorder(exchange: LocalBinance, listener: aiohttp.ClientWebSocketResponse) -> None:
    assert await heard(exchange, listener, reverse=True) == list(reversed(PRICES))


async def test_a_listen_key_ends_and_is_then_unknown(exchange: LocalBinance) -> None:
    key = exchange.streams.new_listen_key(exchange.linear.kind)
    address = f"{exchange.urls['linear_stream']}/private/ws?listenKey={key}"
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(address) as socket:
            exchange.account.trade_by_hand("BTC-PERP", "0.1")
            await exchange.streams.flush()
            events = [(await socket.receive_json())["e"] for _ in range(3)]
            await exchange.streams.expire_listen_keys()
            assert (await socket.receive_json())["e"] == "listenKeyExpired"
        assert events == ["ORDER_TRADE_UPDATE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(address)


async def test_a_customer_that_is_gone_keeps_nothing_from_others(
    exchange: LocalBinance, listener: aiohttp.ClientWebSocketResponse
) -> None:
    address = f"{exchange.urls['spot_stream']}/ws/1"
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as other:
        await other.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@miniTicker"], "id": 1})
        await other.receive_json()
        first = exchange.streams.listeners[0].socket._req
        assert first is not None
        assert first.transport is not None
        first.transport.abort()
        exchange.account.set_price("BTC/USDT", "60001")
        await exchange.streams.flush()
        assert (await other.receive_json())["c"].startswith("60001")
