"""What is asked of an exchange about its markets: prices, funding, the range of the mark."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from tests.exchange.market import Kind
from tests.exchange.server import KEY, SECRET, LocalExchange
from tests.exchange.worlds import PAIRS_OF, funded, listening
from tests.venues.wire.market_data.listener import listener_of

from basis_actors.config import load_venue
from basis_actors.errors import ConfigError, Rejected, Transient
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.quotes import Price, PriceKind
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.build import build_market_data
from basis_actors.venues.wire.market_data import ExchangeMarketData
from basis_actors.venues.wire.pauses import Pauses

MINUTE = 60
TICKERS = {
    "binance": "GET /fapi/v1/ticker/24hr",
    "bybit": "GET /v5/market/tickers",
    "okx": "GET /api/v5/market/ticker",
}
FUNDING = {
    "binance": "GET /fapi/v1/fundingRate",
    "bybit": "GET /v5/market/funding/history",
    "okx": "GET /api/v5/public/funding-rate-history",
}
CREDENTIALS = ("apikey", "api-key", "sign", "passphrase", "access", "timestamp", "recvwindow", "authorization")
"""Parts of every name under which one of the three takes a key, or what proves one."""


def by_name(prices: tuple[Price, ...]) -> dict[tuple[str, PriceKind], tuple[float, int]]:
    return {(price.pair, price.kind): (price.price, price.time_ns) for price in prices}


async def test_prices_are_those_of_the_exchange_and_of_its_time(
    exchange: LocalExchange, market: ExchangeMarketData
) -> None:
    account = exchange.account
    for number, pair in enumerate(PAIRS_OF[exchange.venue], start=1):
        account.set_price(pair, f"{1000 * number}.25")
        if account.market(pair).kind is not Kind.SPOT:
            account.set_mark(pair, f"{1000 * number}.75")
    exchange.clock.advance(12.345)
    await market.open()
    found = await market.prices()
    expected: dict[tuple[str, PriceKind], tuple[float, int]] = {}
    for number, pair in enumerate(PAIRS_OF[exchange.venue], start=1):
        expected[pair, PriceKind.LAST] = (1000 * number + 0.25, exchange.clock.ns)
        if account.market(pair).kind is not Kind.SPOT:
            expected[pair, PriceKind.MARK] = (1000 * number + 0.75, exchange.clock.ns)
    assert by_name(found) == expected
    assert len(found) == len(expected)
    assert market.venue == exchange.venue


async def test_nonsense_is_passed_on(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    exchange.account.set_price("BTC-PERP", "0")
    exchange.account.set_mark("BTC-PERP", "-1.5")
    exchange.account.set_price("ETH-PERP", "NaN")
    exchange.account.set_mark("ETH-PERP", "3000")
    found = by_name(await market.prices())
    assert found["BTC-PERP", PriceKind.LAST][0] == 0
    assert found["BTC-PERP", PriceKind.MARK][0] == -1.5
    assert math.isnan(found["ETH-PERP", PriceKind.LAST][0])


TICKER_WITHOUT: dict[str, Callable[[LocalExchange], Any]] = {
    "binance": lambda exchange: {"symbol": "BTCUSDT", "closeTime": exchange.clock.ms},
    "bybit": lambda exchange: {
        "retCode": 0,
        "retMsg": "OK",
        "result": {"category": "linear", "list": [{"symbol": "BTCUSDT", "lastPrice": "", "markPrice": "61000.5"}]},
        "time": exchange.clock.ms,
    },
    "okx": lambda exchange: {
        "code": "0",
        "msg": "",
        "data": [{"instId": "BTC-USDT-SWAP", "last": "", "ts": str(exchange.clock.ms)}],
    },
}


async def test_a_price_that_is_not_published_is_left_out(exchange: LocalExchange) -> None:
    exchange.account.set_mark("BTC-PERP", "61000.5")
    exchange.faults.answer(TICKERS[exchange.venue], 200, TICKER_WITHOUT[exchange.venue](exchange))
    async with listening(exchange, pairs=("BTC-PERP",)) as market:
        found = by_name(await market.prices())
    assert found == {("BTC-PERP", PriceKind.MARK): (61000.5, exchange.clock.ns)}


async def test_markets_that_are_missing_or_closed_are_named(exchange: LocalExchange) -> None:
    exchange.account.market("ETH-PERP").trading = False
    async with listening(exchange, pairs=("BTC-PERP", "DOGE-PERP", "ETH-PERP", "PEPE-PERP")) as market:
        with pytest.raises(Rejected, match="has no market DOGE-PERP, PEPE-PERP and does not trade at present ETH-PERP"):
            await market.open()
        exchange.account.market("ETH-PERP").trading = True
        with pytest.raises(Rejected) as caught:
            await market.open()
    assert caught.value.code == "VEN-004"


@pytest.mark.parametrize(
    ("pair", "route"),
    [
        ("BTC/USDT", "GET /api/v3/exchangeInfo"),
        ("BTC-PERP", "GET /fapi/v1/exchangeInfo"),
        ("BTCUSD-PERP", "GET /dapi/v1/exchangeInfo"),
    ],
)
async def test_only_markets_of_the_kind_that_is_needed_are_read(pair: str, route: str) -> None:
    async with funded() as exchange, listening(exchange, pairs=(pair,)) as market:
        await market.open()
        assert [request.route for request in exchange.journal.requests] == [route]


async def test_only_a_configured_perpetual_has_funding_and_a_mark(
    exchange: LocalExchange, market: ExchangeMarketData
) -> None:
    for pair in ("SOL-PERP", "BTC/USDT"):
        with pytest.raises(Rejected, match=f"{pair!r} is no configured perpetual; there are: .*BTC-PERP") as caught:
            await market.funding(pair, 0)
        assert caught.value.code == "VEN-004"
        with pytest.raises(Rejected, match="is no configured perpetual"):
            await market.mark_range(pair, 0)
    assert not exchange.journal.requests


async def test_funding_is_what_was_settled_since(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    exchange.account.pay_funding("BTC-PERP", "0.0001")
    exchange.clock.advance(8 * 3600)
    since = exchange.clock.ns
    exchange.account.set_mark("BTC-PERP", "61000")
    exchange.account.pay_funding("BTC-PERP", "-0.0002")
    exchange.account.pay_funding("ETH-PERP", "0.0009")
    exchange.clock.advance(8 * 3600)
    exchange.account.pay_funding("BTC-PERP", "0.0003")
    mark = 61000 if exchange.venue == "binance" else None
    name = f"{exchange.venue}:BTC-PERP"
    expected = (FundingStamp(since, name, -0.0002, mark), FundingStamp(exchange.clock.ns, name, 0.0003, mark))
    assert await market.funding("BTC-PERP", since) == expected
    assert await market.funding("BTC-PERP", since + 1) == expected[1:]
    assert await market.funding("BTC-PERP", exchange.clock.ns + 1) == ()


async def test_funding_that_was_not_asked_for_or_is_told_twice_is_not_shown() -> None:
    async with funded() as exchange, listening(exchange) as market:
        now = exchange.clock.ms
        times = (now, now - 1, now, now + 3_600_000)
        rows = [{"fundingTime": time, "fundingRate": "0.0001", "markPrice": ""} for time in times]
        exchange.faults.answer(FUNDING["binance"], 200, rows)
        stamp = FundingStamp(exchange.clock.ns, "binance:BTC-PERP", 0.0001, None)
        assert await market.funding("BTC-PERP", exchange.clock.ns) == (stamp,)


async def test_funding_whose_page_comes_again_cannot_be_read() -> None:
    async with funded() as exchange, listening(exchange) as market:
        row = {"fundingTime": exchange.clock.ms, "fundingRate": "0.0001", "markPrice": ""}
        exchange.faults.answer(FUNDING["binance"], 200, [row] * 1000, times=2)
        with pytest.raises(Transient, match="the answer cannot be read: settlements from"):
            await market.funding("BTC-PERP", exchange.clock.ns)


async def test_coin_margined_funding_and_mark() -> None:
    async with funded() as exchange, listening(exchange) as market:
        begin = exchange.clock.ns
        exchange.clock.advance(1)
        exchange.account.set_mark("BTCUSD-PERP", "59000")
        exchange.account.pay_funding("BTCUSD-PERP", "0.0001")
        stamp = FundingStamp(exchange.clock.ns, "binance:BTCUSD-PERP", 0.0001, None)
        assert await market.funding("BTCUSD-PERP", exchange.clock.ns) == (stamp,)
        assert await market.mark_range("BTCUSD-PERP", begin) == (59000, 60000)


async def test_months_of_funding_are_whole(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    since = exchange.clock.ns
    for number in range(1205):
        exchange.account.pay_funding("BTC-PERP", f"{number}e-6")
        exchange.clock.advance(3600)
    found = await market.funding("BTC-PERP", since)
    assert [(stamp.ns, stamp.rate) for stamp in found] == [
        (since + number * 3600 * NS_PER_SECOND, pytest.approx(number / 1e6)) for number in range(1205)
    ]


async def test_the_range_of_the_mark_is_of_the_minutes_that_began_since(
    exchange: LocalExchange, market: ExchangeMarketData
) -> None:
    account, clock, begin = exchange.account, exchange.clock, exchange.clock.ns
    for seconds, mark in ((30, "61000"), (100, "59000"), (55, "60500")):
        clock.advance(seconds)
        account.set_mark("BTC-PERP", mark)
    clock.advance(15)

    async def since(seconds: float) -> tuple[float, float] | None:
        return await market.mark_range("BTC-PERP", begin + round(seconds * NS_PER_SECOND))

    assert await since(0) == (59000, 61000)
    assert await since(2 * MINUTE) == (59000, 61000)
    assert await since(3 * MINUTE) == (59000, 60500)
    assert await since(3 * MINUTE + 0.001) is None
    assert await since(10 * MINUTE) is None


async def test_the_range_of_a_day_and_more_is_of_all_of_it(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    begin = exchange.clock.ns
    for mark, seconds in (("10", 61), ("90000", 61), ("60000", 1700 * MINUTE)):
        exchange.account.set_mark("BTC-PERP", mark)
        exchange.clock.advance(seconds)
    exchange.account.set_mark("BTC-PERP", "95000")
    assert await market.mark_range("BTC-PERP", begin) == (10, 95000)
    assert await market.mark_range("BTC-PERP", begin + 2 * MINUTE * NS_PER_SECOND) == (60000, 95000)


MAINTENANCE = {
    "binance": (503, {"code": -1016, "msg": "This service is no longer available."}),
    "bybit": (200, {"retCode": 10016, "retMsg": "Server error.", "result": {}, "retExtInfo": {}, "time": 1}),
    "okx": (503, {"code": "50001", "msg": "Service temporarily unavailable. Try again later", "data": []}),
}
LIMITED = {
    "binance": (429, {"code": -1003, "msg": "Too many requests."}),
    "bybit": (200, {"retCode": 10006, "retMsg": "Too many visits!", "result": {}, "retExtInfo": {}, "time": 1}),
    "okx": (429, {"code": "50011", "msg": "Too Many Requests", "data": []}),
}


@pytest.mark.parametrize("page", [False, True], ids=["code", "page"])
async def test_an_exchange_in_maintenance_is_to_be_asked_later(
    exchange: LocalExchange, market: ExchangeMarketData, page: bool
) -> None:
    route = TICKERS[exchange.venue]
    exchange.faults.answer(route, *((502, "<html>Bad Gateway</html>") if page else MAINTENANCE[exchange.venue]))
    with pytest.raises(Transient) as caught:
        await market.prices()
    assert caught.value.code == "VEN-003"
    assert await market.prices()


async def test_an_exchange_that_is_asked_too_often_says_so(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    exchange.faults.answer(TICKERS[exchange.venue], *LIMITED[exchange.venue])
    with pytest.raises(Transient) as caught:
        await market.prices()
    assert caught.value.code == "VEN-006"


@pytest.mark.parametrize("text", ["[]", "{}", "null", "<html>", '{"code": "0", "retCode": 0, "data": 5, "result": 5}'])
async def test_an_answer_that_cannot_be_read_is_no_price(
    exchange: LocalExchange, market: ExchangeMarketData, text: str
) -> None:
    for ask, route in (
        (market.prices, TICKERS[exchange.venue]),
        (lambda: market.funding("BTC-PERP", exchange.clock.ns), FUNDING[exchange.venue]),
    ):
        if text == "[]" and (exchange.venue, route) == ("binance", FUNDING["binance"]):
            continue  # It is an empty list there.
        exchange.faults.answer(route, 200, text)
        with pytest.raises(Transient):
            await ask()


async def test_a_broken_connection_is_to_be_asked_later(exchange: LocalExchange, market: ExchangeMarketData) -> None:
    exchange.faults.drop_before("GET *", times=5)
    with pytest.raises(Transient) as caught:
        await market.open()
    assert caught.value.code == "VEN-003"


async def test_nothing_is_signed_and_no_key_is_sent(exchange: LocalExchange) -> None:
    calls: list[ApiCall] = []
    async with listening(exchange, record=calls.append) as market:
        await market.open()
        await market.prices()
        await market.funding("BTC-PERP", exchange.clock.ns)
        await market.mark_range("BTC-PERP", exchange.clock.ns)
        async with listener_of(exchange, market):
            said = [text for listener in exchange.streams.listeners for text in listener.heard]
            headers = [listener.headers for listener in exchange.streams.listeners]
    asked = exchange.journal.requests
    assert len(calls) == len(asked)
    assert {request.method for request in asked} == {"GET"}
    headers += [request.headers for request in asked]
    names = [name for sent in headers for name in sent] + [name for request in asked for name in request.params]
    for name in names:
        if not name.lower().startswith("sec-websocket-"):
            assert not any(part in name.lower() for part in CREDENTIALS), name
    everything = f"{headers} {[request.query for request in asked]} {said}"
    assert KEY not in everything
    assert SECRET not in everything
    assert "signature" not in everything.lower()
    assert said
    assert all('"auth"' not in text and '"login"' not in text for text in said)


def test_an_exchange_without_market_data_is_refused() -> None:
    venue = load_venue("binance").model_copy(update={"venue": "kraken"})
    with pytest.raises(ConfigError, match="kraken has no live market data yet; there are: binance, bybit, okx"):
        build_market_data(venue, ("BTC-PERP",), record=lambda _call: None, pauses=Pauses())


async def test_a_name_of_no_market_is_refused_at_once(exchange: LocalExchange) -> None:
    with pytest.raises(ConfigError, match="no market is named 'BTCEUR'"):
        async with listening(exchange, pairs=("BTCEUR",)):
            pass
