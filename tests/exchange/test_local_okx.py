"""The local exchange speaks as OKX does: ccxt, which knows nothing of us, trades there by its own methods."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from ccxt.base import errors
from tests.exchange.customers import ccxt_customer
from tests.exchange.okx import LocalOkx
from tests.exchange.worlds import funded_okx

SYMBOL = "BTC/USDT:USDT"
PLACE = "POST /api/v5/trade/order"


@pytest.fixture
async def exchange() -> AsyncIterator[LocalOkx]:
    async with funded_okx() as running:
        yield running


@pytest.fixture
async def customer(exchange: LocalOkx) -> AsyncIterator[Any]:
    options = {
        "fetchMarkets": {"types": ["swap"]},
        "createOrder": "privatePostTradeOrder",
        "cancelOrder": "privatePostTradeCancelOrder",
    }
    async with ccxt_customer(exchange, **options) as ready:
        yield ready


async def test_orders_are_placed_found_and_cancelled(exchange: LocalOkx, customer: Any) -> None:
    ours = {"clOrdId": "one", "tdMode": "cross"}
    sold = await customer.create_order(SYMBOL, "market", "sell", 50, None, ours)
    waiting = await customer.create_order(SYMBOL, "limit", "buy", 50, 59_000, ours | {"clOrdId": "two"})
    found = await customer.fetch_order(sold["id"], SYMBOL)
    assert (found["filled"], found["average"], found["status"]) == (50, 60_000, "closed")
    assert found["fee"] == {"currency": "USDT", "cost": 15}
    (still,) = await customer.fetch_open_orders(SYMBOL)
    assert (still["id"], still["clientOrderId"], still["status"]) == (waiting["id"], "two", "open")
    await customer.cancel_order(waiting["id"], SYMBOL)
    assert await customer.fetch_open_orders(SYMBOL) == []
    (trade,) = await customer.fetch_my_trades(SYMBOL, since=exchange.clock.ms - 1)
    assert (trade["amount"], trade["side"], trade["price"], trade["fee"]["cost"]) == (50, "sell", 60_000, 15)
    assert exchange.journal.orders_sent("clOrdId") == {"one": 1, "two": 1}


async def test_balances_positions_leverage_and_transfers(exchange: LocalOkx, customer: Any) -> None:
    await customer.set_leverage(7, SYMBOL, {"marginMode": "cross"})
    assert exchange.account.market("BTC-PERP").leverage == 7
    await customer.create_order(SYMBOL, "market", "sell", 50, None, {"tdMode": "cross"})
    (position,) = await customer.fetch_positions([SYMBOL])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("short", 50, 60_000)
    assert position["contractSize"] == 0.01
    assert position["notional"] == 30_000
    balance = await customer.fetch_balance()
    assert balance["USDT"]["total"] == pytest.approx(200_000 - 15)
    sent = await customer.transfer("USDT", 100, "trading", "funding")
    assert exchange.account.purses["funding"]["USDT"] == 1100
    assert (await customer.fetch_transfer(sent["id"]))["status"] == "ok"


async def test_funding_and_what_came_and_went(exchange: LocalOkx, customer: Any) -> None:
    await customer.create_order(SYMBOL, "market", "sell", 50, None, {"tdMode": "cross"})
    exchange.account.pay_funding("BTC-PERP", "0.0001")
    (paid,) = await customer.fetch_funding_history(SYMBOL, params={"type": "swap"})
    assert paid["amount"] == 3
    exchange.account.deposit("USDT", "500")
    address = "0x00000000000000000000000000000000000000aa"
    await customer.withdraw("USDT", 100, address, {"network": "ERC20", "fee": "1", "clientId": "out1"})
    assert exchange.account.purses["funding"]["USDT"] == 1000 + 500 - 101
    (gone,) = await customer.fetch_withdrawals("USDT")
    assert (gone["amount"], gone["fee"]["cost"], gone["address"]) == (100, 1, address)


async def test_a_wrong_signature_key_passphrase_or_clock_is_refused(exchange: LocalOkx, customer: Any) -> None:
    ask = customer.privateGetAccountConfig
    for stamp in (exchange.clock.ms + 30_001, exchange.clock.ms - 30_001):
        customer.milliseconds = lambda stamp=stamp: stamp
        with pytest.raises(errors.BaseError, match="50102"):
            await ask()
    customer.milliseconds = lambda: exchange.clock.ms
    await ask()
    customer.secret = "another"
    with pytest.raises(errors.BaseError, match="50113"):
        await ask()
    customer.password = "another"
    with pytest.raises(errors.BaseError, match="50105"):
        await ask()
    customer.apiKey = "another"
    with pytest.raises(errors.BaseError, match="50111"):
        await ask()
    assert not any(request.carried_out for request in exchange.journal.requests[-3:])


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"instId": "DOGE-USDT-SWAP"}, "51001"),
        ({"ordType": "stop"}, "Parameter ordType error"),
        ({"px": "1"}, "Parameter px error"),
        ({"ordType": "limit"}, "Parameter px error"),
        ({"side": "hold"}, "Parameter side error"),
        ({"tdMode": "isolated"}, "Parameter tdMode error"),
        ({"sz": "1e-1"}, "Parameter sz error"),
        ({"sz": ""}, "Parameter sz error"),
        ({"sz": 0.1}, "Parameter sz error"),
        ({"reduceOnly": "true"}, "Parameter reduceOnly error"),
        ({"reduceOnly": True}, "51169"),
        ({"posSide": "long"}, "Parameter posSide error"),
        ({"clOrdId": "with_underscore"}, "Parameter clOrdId error"),
        ({"clOrdId": "a" * 33}, "Parameter clOrdId error"),
        ({"sz": "0.001"}, "51121"),
        ({"sz": "10000"}, "51008"),
    ],
)
async def test_a_bad_order_is_refused_and_told_why(
    exchange: LocalOkx, customer: Any, params: dict[str, Any], told: str
) -> None:
    good = {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "side": "buy", "ordType": "market", "sz": "10"}
    with pytest.raises(errors.BaseError, match=told):
        await customer.privatePostTradeOrder(good | {"clOrdId": "one"} | params)
    assert not exchange.account.orders


async def test_an_id_is_taken_again_once_its_order_has_ended(exchange: LocalOkx, customer: Any) -> None:
    order = {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "side": "buy", "ordType": "limit", "sz": "1", "px": "50000"}
    await customer.privatePostTradeOrder(order | {"clOrdId": "one"})
    with pytest.raises(errors.BaseError, match="51016"):
        await customer.privatePostTradeOrder(order | {"clOrdId": "one"})
    await customer.privatePostTradeCancelOrder({"instId": "BTC-USDT-SWAP", "clOrdId": "one"})
    await customer.privatePostTradeOrder(order | {"clOrdId": "one"})
    assert len(exchange.account.orders) == 2


async def test_an_order_that_would_take_although_it_is_to_make_is_ended(exchange: LocalOkx, customer: Any) -> None:
    await customer.create_order(SYMBOL, "limit", "buy", 1, 61_000, {"tdMode": "cross", "postOnly": True})
    assert not exchange.account.open_orders()
    assert not exchange.account.trades


async def test_requests_are_counted_over_two_seconds(exchange: LocalOkx, customer: Any) -> None:
    for _ in range(5):
        await customer.privateGetAccountConfig()
    with pytest.raises(errors.RateLimitExceeded, match="50011"):
        await customer.privateGetAccountConfig()
    exchange.clock.advance(2)
    await customer.privateGetAccountConfig()


async def test_markets_are_published(exchange: LocalOkx, customer: Any) -> None:
    account, since = exchange.account, exchange.clock.ms
    exchange.clock.advance(30)
    account.set_price("BTC-PERP", "61000")
    account.set_mark("BTC-PERP", "60500")
    account.pay_funding("BTC-PERP", "0.0002")
    ticker = (await customer.fetch_tickers([SYMBOL]))[SYMBOL]
    assert (ticker["last"], ticker["timestamp"]) == (61_000, exchange.clock.ms)
    mark = (await customer.fetch_mark_prices([SYMBOL]))[SYMBOL]
    assert (mark["markPrice"], mark["timestamp"]) == (60_500, exchange.clock.ms)
    (settled,) = await customer.fetch_funding_rate_history(SYMBOL, since)
    assert (settled["fundingRate"], settled["timestamp"]) == (0.0002, exchange.clock.ms)
    (candle,) = await customer.fetch_ohlcv(SYMBOL, "1m", since, 10, {"price": "mark"})
    assert candle[:5] == [since, 60_000, 61_000, 60_000, 60_500]


async def test_streams_tell_of_prices_and_marks(exchange: LocalOkx) -> None:
    async with ccxt_customer(exchange, streams=True, fetchMarkets={"types": ["swap"]}) as customer:
        assert (await customer.watch_tickers([SYMBOL]))[SYMBOL]["last"] == 60_000
        assert (await customer.watch_mark_prices([SYMBOL]))[SYMBOL]["markPrice"] == 60_000
        ticker = customer.spawn(customer.watch_tickers, [SYMBOL])
        mark = customer.spawn(customer.watch_mark_prices, [SYMBOL])
        exchange.account.set_mark("BTC-PERP", "60500")
        exchange.account.set_price("BTC-PERP", "61000")
        await exchange.streams.flush()
        assert (await ticker)[SYMBOL]["last"] == 61_000
        assert (await mark)[SYMBOL]["markPrice"] == 60_500
