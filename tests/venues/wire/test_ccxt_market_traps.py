"""What ccxt's own methods make of market data, next to what is made of the same here.

When a newer ccxt does one of these right, its test fails and says so: the detour is then looked at anew.
"""

import anyio
import pytest
from ccxt import pro
from tests.exchange.customers import ccxt_customer
from tests.exchange.worlds import funded, funded_bybit, funded_okx, listening
from tests.venues.wire.market_data.listener import listener_of

from basis_actors.config import ExchangeVenue, load_venue
from basis_actors.venues.wire.build import build_market_data
from basis_actors.venues.wire.pauses import Pauses

PAIRS = {
    "binance": ("BTC/USDT", "BTC-PERP", "BTCUSD-PERP"),
    "bybit": ("BTC/USDT", "BTC-PERP"),
    "okx": ("BTC-PERP",),
}


def stream_addresses(venue: str) -> list[str]:
    """Where ccxt listens."""
    exchange = getattr(pro, venue)()
    known = exchange.urls["api"]["ws"]
    if venue == "okx":
        return [exchange.get_url("tickers")]
    if venue == "bybit":
        return [exchange.implode_hostname(known["public"][name]) for name in ("spot", "linear")]
    return [exchange.get_ws_url(family, "market") for family in ("spot", "linear", "inverse")]


@pytest.mark.parametrize("venue", PAIRS)
async def test_streams_are_where_ccxt_has_them(venue: str) -> None:
    config = load_venue(venue)
    assert isinstance(config, ExchangeVenue)
    market = build_market_data(config, PAIRS[venue], record=lambda _call: None, pauses=Pauses())
    assert [subscription.url for subscription in market._quotes.subscriptions] == stream_addresses(venue)
    await market.close()


async def test_a_price_of_nothing_becomes_another_one() -> None:
    row = {"symbol": "BTCUSDT", "lastPrice": "0", "openPrice": "60000", "priceChange": "-1", "time": 1}
    assert pro.binance().parse_ticker(row)["last"] == 59_999


async def test_bybits_prices_are_of_no_time() -> None:
    async with funded_bybit() as exchange, ccxt_customer(exchange, fetchMarkets={"types": ["linear"]}) as customer:
        ticker = (await customer.fetch_tickers(["BTC/USDT:USDT"]))["BTC/USDT:USDT"]
        assert ticker["timestamp"] is None
        async with listening(exchange, pairs=("BTC-PERP",)) as market:
            assert {price.time_ns for price in await market.prices()} == {exchange.clock.ns}


async def test_of_messages_that_come_together_only_the_first_is_told() -> None:
    pair = "BTC/USDT"
    async with funded() as exchange:
        streams, told = exchange.streams, list[float]()
        async with ccxt_customer(exchange, streams=True) as customer:
            await customer.load_markets()
            waiting = customer.spawn(customer.watch_ticker, pair)
            await streams.until(lambda listener: bool(listener.topics))
            for price in ("60001", "60002", "60003"):
                exchange.account.set_price(pair, price)
            await streams.flush()
            told.append((await waiting)["last"])
            while customer.tickers[pair]["last"] != 60_003:
                await anyio.lowlevel.checkpoint()
            waiting = customer.spawn(customer.watch_ticker, pair)
            await anyio.wait_all_tasks_blocked()
            exchange.account.set_price(pair, "60004")
            await streams.flush()
            told.append((await waiting)["last"])
        assert told == [60_001, 60_004]
        await streams.until_deserted()
        async with listening(exchange) as market, listener_of(exchange, market) as listener:
            for price in ("60001", "60002", "60003", "60004"):
                exchange.account.set_price(pair, price)
            await streams.flush()
            await listener.until(60_004)
        assert [number for _, number in listener.of(pair)] == [60_001, 60_002, 60_003, 60_004]


async def test_of_a_long_list_of_funding_okx_gives_the_end() -> None:
    async with funded_okx() as exchange, ccxt_customer(exchange, fetchMarkets={"types": ["swap"]}) as customer:
        since = exchange.clock.ns
        for _ in range(105):
            exchange.account.pay_funding("BTC-PERP", "0.0001")
            exchange.clock.advance(3600)
        found = await customer.fetch_funding_rate_history("BTC/USDT:USDT", since // 1_000_000)
        assert len(found) == 100
        async with listening(exchange) as market:
            assert len(await market.funding("BTC-PERP", since)) == 105
