"""Numbers that no exchange means: an answer with one cannot be read, and nothing else comes of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from tests.exchange.journal import Request
from tests.exchange.server import LocalExchange
from tests.exchange.worlds import EXCHANGES, connected, listening
from tests.venues.wire.tickets import buy

from basis_actors.errors import Transient, UnknownOutcome
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.adapter import Adapter

HUGE = "1e9999999"
BEYOND_DECIMALS = "1e99999999999999999999"
FEW = "0.02"
Ask = Callable[[Adapter, LocalExchange], Awaitable[Any]]


def says(exchange: LocalExchange, route: str, path: tuple[str | int, ...], value: object) -> None:
    """From now on an answer of a route has another value in one of its places."""
    answer = exchange.answer

    def altered(seen: Request, http: web.Request, signed: str, params: dict[str, Any]) -> web.Response:
        given = answer(seen, http, signed, params)
        if seen.route != route:
            return given
        assert given.text is not None
        place = whole = json.loads(given.text)
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return web.Response(status=given.status, text=json.dumps(whole), content_type="application/json")

    exchange.answer = altered  # type: ignore[method-assign]


def filters(api: Adapter, _exchange: LocalExchange) -> Awaitable[Any]:
    return api.filters()


def account(api: Adapter, _exchange: LocalExchange) -> Awaitable[Any]:
    return api.account()


def fills(api: Adapter, exchange: LocalExchange) -> Awaitable[Any]:
    return api.fills("BTC-PERP", exchange.clock.ns - 60 * NS_PER_SECOND)


def order(api: Adapter, _exchange: LocalExchange) -> Awaitable[Any]:
    return api.order("BTC-PERP", "order1")


def payments(api: Adapter, exchange: LocalExchange) -> Awaitable[Any]:
    return api.payments(exchange.clock.ns - 60 * NS_PER_SECOND)


@pytest.mark.parametrize(
    ("venue", "ask", "route", "path", "value"),
    [
        ("binance", filters, "GET /fapi/v1/exchangeInfo", ("symbols", 0, "filters", 1, "minQty"), HUGE),
        ("binance", account, "GET /api/v3/account", ("balances", 0, "locked"), HUGE),
        ("binance", fills, "GET /fapi/v1/userTrades", (0, "qty"), HUGE),
        ("binance", fills, "GET /fapi/v1/userTrades", (0, "qty"), "-1"),
        ("binance", order, "GET /fapi/v1/order", ("executedQty",), "-1"),
        ("binance", fills, "GET /fapi/v1/userTrades", (0, "time"), 10**30),
        ("bybit", fills, "GET /v5/execution/list", ("result", "list", 0, "execPrice"), "-1"),
        ("bybit", order, "GET /v5/order/realtime", ("result", "list", 0, "cumExecQty"), "-1"),
        ("okx", fills, "GET /api/v5/trade/fills", ("data", 0, "fillSz"), "-1"),
        ("okx", order, "GET /api/v5/trade/order", ("data", 0, "accFillSz"), "-1"),
        ("binance", fills, "GET /fapi/v1/userTrades", (0, "price"), "0"),
        ("binance", fills, "GET /fapi/v1/userTrades", (0, "qty"), "-0.02"),
        ("binance", account, "GET /fapi/v3/positionRisk", (0, "entryPrice"), "0"),
        ("binance", account, "GET /fapi/v3/positionRisk", (0, "markPrice"), "-1"),
        ("bybit", account, "GET /v5/position/list", ("result", "list", 0, "avgPrice"), "0"),
        ("bybit", account, "GET /v5/position/list", ("result", "list", 0, "markPrice"), ""),
        ("okx", account, "GET /api/v5/account/positions", ("data", 0, "avgPx"), "0"),
        ("okx", account, "GET /api/v5/account/positions", ("data", 0, "markPx"), "-1"),
        ("bybit", filters, "GET /v5/market/instruments-info", ("result", "list", 0, "priceFilter", "tickSize"), "-1"),
        (
            "bybit",
            account,
            "GET /v5/account/wallet-balance",
            ("result", "list", 0, "coin", 0, "totalOrderIM"),
            BEYOND_DECIMALS,
        ),
        ("bybit", payments, "GET /v5/asset/deposit/query-record", ("result", "rows", 0, "successAt"), "1e999999"),
        ("bybit", fills, "GET /v5/execution/list", ("result", "list", 0, "execPrice"), "0"),
        ("bybit", fills, "GET /v5/execution/list", ("result", "list", 0, "execQty"), "0"),
        ("okx", filters, "GET /api/v5/public/instruments", ("data", 0, "lotSz"), "1e-30"),
        ("okx", filters, "GET /api/v5/public/instruments", ("data", 0, "maxMktSz"), BEYOND_DECIMALS),
        ("okx", fills, "GET /api/v5/trade/fills", ("data", 0, "fillTime"), "1e999999"),
        ("okx", fills, "GET /api/v5/trade/fills", ("data", 0, "fillTime"), "9" * 5_000),
        ("okx", fills, "GET /api/v5/trade/fills", ("data", 0, "fillPx"), "0"),
    ],
)
async def test_what_is_read_cannot_be_read(
    venue: str, ask: Ask, route: str, path: tuple[str | int, ...], value: object
) -> None:
    async with EXCHANGES[venue]() as exchange, connected(exchange) as api:
        await api.prepare({})
        await api.place(buy("BTC-PERP", FEW))
        exchange.account.deposit("USDT", "5")
        says(exchange, route, path, value)
        with pytest.raises(Transient, match="the answer cannot be read"):
            await ask(api, exchange)


@pytest.mark.parametrize(
    ("place", "value"), [(("executedQty",), HUGE), (("executedQty",), "-1"), (("symbol",), "ETHUSDT")]
)
async def test_an_order_of_which_the_answer_cannot_be_read_has_an_unknown_outcome(
    place: tuple[str], value: str
) -> None:
    async with EXCHANGES["binance"]() as exchange, connected(exchange) as api:
        await api.prepare({})
        says(exchange, "POST /fapi/v1/order", place, value)
        with pytest.raises(UnknownOutcome, match="the answer cannot be read"):
            await api.place(buy("BTC-PERP", FEW))
        assert (await api.order("BTC-PERP", "order1")).filled == exchange.account.positions["BTC-PERP"].size  # type: ignore[union-attr]


async def test_a_time_that_is_no_date_sets_no_clock() -> None:
    async with EXCHANGES["okx"]() as exchange, connected(exchange) as api:
        answer = exchange.answer
        says(exchange, "GET /api/v5/public/time", ("data", 0, "ts"), "9" * 29)
        with pytest.raises(Transient, match="the answer cannot be read"):
            await api.account()
        exchange.answer = answer  # type: ignore[method-assign]
        assert (await api.account()).pairs


@pytest.mark.parametrize("limit", [0, -1, 10**400], ids=["none", "negative", "huge"])
async def test_a_limit_that_lets_nothing_be_asked_is_none(limit: int) -> None:
    async with EXCHANGES["binance"]() as exchange, connected(exchange) as api, listening(exchange) as market:
        says(exchange, "GET /fapi/v1/exchangeInfo", ("rateLimits", 0, "limit"), limit)
        says(exchange, "GET /api/v3/exchangeInfo", ("rateLimits", 0, "intervalNum"), limit)
        await api.prepare({})
        await market.open()
        assert (await api.place(buy("BTC-PERP", FEW))).has_ended
        assert await api.filters()
