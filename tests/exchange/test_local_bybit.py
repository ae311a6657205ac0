"""The local exchange speaks as Bybit does: ccxt, which knows nothing of us, trades there by its own methods."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from ccxt.base import errors
from tests.exchange.bybit import LocalBybit
from tests.exchange.customers import ccxt_customer
from tests.exchange.worlds import funded_bybit

SYMBOLS = {"BTC/USDT": "BTC/USDT", "BTC-PERP": "BTC/USDT:USDT"}
SIZE = {"BTC/USDT": 0.1, "BTC-PERP": 0.5}
EVERYWHERE = pytest.mark.parametrize("pair", sorted(SYMBOLS))


@pytest.fixture
async def exchange() -> AsyncIterator[LocalBybit]:
    async with funded_bybit() as running:
        yield running


@pytest.fixture
async def customer(exchange: LocalBybit) -> AsyncIterator[Any]:
    markets = {"types": ["spot", "linear"]}
    async with ccxt_customer(exchange, fetchMarkets=markets, loadAllOptions=False) as ready:
        yield ready


@EVERYWHERE
async def test_orders_are_placed_found_and_cancelled(exchange: LocalBybit, customer: Any, pair: str) -> None:
    symbol, size = SYMBOLS[pair], SIZE[pair]
    ours = {"orderLinkId": "one", "marketUnit": "baseCoin"}
    await customer.create_order(symbol, "market", "sell", size, None, ours)
    waiting = await customer.create_order(symbol, "limit", "buy", size, 59_000, {"orderLinkId": "two"})
    (found,) = await customer.fetch_open_orders(symbol)
    assert (found["id"], found["clientOrderId"], found["status"]) == (waiting["id"], "two", "open")
    await customer.cancel_order(waiting["id"], symbol)
    assert await customer.fetch_open_orders(symbol) == []
    (trade,) = await customer.fetch_my_trades(symbol, since=exchange.clock.ms)
    assert (trade["amount"], trade["side"], trade["price"]) == (size, "sell", 60_000)
    assert exchange.journal.orders_sent("orderLinkId") == {"one": 1, "two": 1}


async def test_balances_positions_leverage_and_transfers(exchange: LocalBybit, customer: Any) -> None:
    await customer.set_leverage(7, "BTC/USDT:USDT")
    assert exchange.account.market("BTC-PERP").leverage == 7
    await customer.create_order("BTC/USDT:USDT", "market", "sell", 0.5, None, {"orderLinkId": "one"})
    (position,) = await customer.fetch_positions(["BTC/USDT:USDT"])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("short", 0.5, 60_000)
    balance = await customer.fetch_balance()
    assert balance["USDT"]["total"] == pytest.approx(200_000 - 15)
    await customer.transfer("USDT", 100, "unified", "fund")
    assert exchange.account.purses["funding"]["USDT"] == 1100


async def test_a_spot_purchase_with_a_price_is_of_so_much_money(exchange: LocalBybit, customer: Any) -> None:
    await customer.create_order("BTC/USDT", "market", "buy", 0.01, 60_000, {"orderLinkId": "one"})
    assert exchange.journal.of("POST /v5/order/create")[0].params["qty"] == "600"
    assert float(exchange.account.orders[0].amount) == 0.01


async def test_an_order_without_a_number_is_asked_for_as_none(exchange: LocalBybit, customer: Any) -> None:
    await customer.create_order("BTC/USDT:USDT", "limit", "buy", 0.5, 59_000, {"orderLinkId": "one"})
    with pytest.raises(errors.BaseError):
        await customer.fetch_order(None, "BTC/USDT:USDT", {"acknowledged": True, "orderLinkId": "one"})
    assert exchange.journal.requests[-1].params["orderId"] == "None"


async def test_a_wrong_signature_key_or_clock_is_refused(exchange: LocalBybit, customer: Any) -> None:
    ask = customer.privateGetV5AccountInfo
    for stamp in (exchange.clock.ms + 1000, exchange.clock.ms - 5001):
        customer.milliseconds = lambda stamp=stamp: stamp
        with pytest.raises(errors.BaseError, match="10002"):
            await ask()
    customer.milliseconds = lambda: exchange.clock.ms
    await ask()
    customer.secret = "another"
    with pytest.raises(errors.BaseError, match="10004"):
        await ask()
    customer.apiKey = "another"
    with pytest.raises(errors.BaseError, match="10003"):
        await ask()
    assert not any(request.carried_out for request in exchange.journal.requests[-2:])


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"symbol": "DOGEUSDT"}, "symbol invalid"),
        ({"category": "option"}, "category"),
        ({"orderType": "Stop"}, "orderType"),
        ({"price": "1"}, "price"),
        ({"orderType": "Limit", "price": "59000", "timeInForce": "Never"}, "timeInForce"),
        ({"side": "Hold"}, "side"),
        ({"qty": "1e-1"}, "1e-1"),
        ({"qty": ""}, "params error"),
        ({"qty": 0.1}, "params error: 0.1"),
        ({"reduceOnly": "true"}, "reduceOnly"),
        ({"positionIdx": 1}, "position idx not match"),
        ({"orderLinkId": ""}, "orderLinkId"),
        ({"qty": "0.0000001"}, "Qty invalid"),
        ({"qty": "0.00001"}, "Qty invalid"),
        ({"qty": "100"}, "110007"),
    ],
)
async def test_a_bad_order_is_refused_and_told_why(
    exchange: LocalBybit, customer: Any, params: dict[str, Any], told: str
) -> None:
    good = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1"}
    with pytest.raises(errors.BaseError, match=told):
        await customer.privatePostV5OrderCreate(good | {"orderLinkId": "one"} | params)
    assert not exchange.account.orders


async def test_an_id_serves_once(exchange: LocalBybit, customer: Any) -> None:
    order = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1"}
    await customer.privatePostV5OrderCreate(order | {"orderLinkId": "one"})
    with pytest.raises(errors.BaseError, match="110072"):
        await customer.privatePostV5OrderCreate(order | {"orderLinkId": "one"})
    assert len(exchange.account.orders) == 1


async def test_requests_are_counted_by_the_second(exchange: LocalBybit, customer: Any) -> None:
    async def ask() -> None:
        await customer.privateGetV5UserQueryApi()

    for _ in range(10):
        await ask()
    with pytest.raises(errors.RateLimitExceeded, match="10006"):
        await ask()
    exchange.clock.advance(1)
    await ask()
    assert customer.last_response_headers["X-Bapi-Limit-Status"] == "9"


async def test_markets_are_published(exchange: LocalBybit, customer: Any) -> None:
    account, since, symbol = exchange.account, exchange.clock.ms, SYMBOLS["BTC-PERP"]
    exchange.clock.advance(30)
    account.set_price("BTC/USDT", "61000.5")
    account.set_price("BTC-PERP", "61000")
    account.set_mark("BTC-PERP", "60500")
    account.pay_funding("BTC-PERP", "0.0002")
    assert (await customer.fetch_tickers(["BTC/USDT"]))["BTC/USDT"]["last"] == 61_000.5
    ticker = (await customer.fetch_tickers([symbol]))[symbol]
    assert (ticker["last"], ticker["markPrice"]) == (61_000, 60_500)
    (settled,) = await customer.fetch_funding_rate_history(symbol, since)
    assert (settled["fundingRate"], settled["timestamp"]) == (0.0002, exchange.clock.ms)
    (candle,) = await customer.fetch_ohlcv(symbol, "1m", since, 10, {"price": "mark"})
    assert candle[:5] == [since, 60_000, 61_000, 60_000, 60_500]


@EVERYWHERE
async def test_streams_tell_of_prices(exchange: LocalBybit, pair: str) -> None:
    symbol = SYMBOLS[pair]
    markets = {"types": ["spot", "linear"]}
    async with ccxt_customer(exchange, streams=True, fetchMarkets=markets, loadAllOptions=False) as customer:
        first = (await customer.watch_tickers([symbol]))[symbol]
        assert (first["last"], first["timestamp"]) == (60_000, exchange.clock.ms)
        exchange.clock.advance(1)
        waiting = customer.spawn(customer.watch_tickers, [symbol])
        exchange.account.set_price(pair, "61000")
        await exchange.streams.flush()
        ticker = (await waiting)[symbol]
        assert (ticker["last"], ticker["timestamp"]) == (61_000, exchange.clock.ms)
        assert ticker["markPrice"] == (None if pair == "BTC/USDT" else 60_000)
