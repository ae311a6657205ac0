"""The local exchange speaks as Binance does: ccxt, which knows nothing of us, trades there by its own methods."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from ccxt.base import errors
from tests.exchange.binance import LocalBinance
from tests.exchange.customers import ccxt_customer
from tests.exchange.market import Kind
from tests.exchange.streams import Listener
from tests.exchange.worlds import funded

SYMBOLS = {"BTC/USDT": "BTC/USDT", "BTC-PERP": "BTC/USDT:USDT", "BTCUSD-PERP": "BTC/USD:BTC"}
SIZE = {"BTC/USDT": 0.1, "BTC-PERP": 0.5, "BTCUSD-PERP": 10}
EVERYWHERE = pytest.mark.parametrize("pair", sorted(SYMBOLS))


@pytest.fixture
async def exchange() -> AsyncIterator[LocalBinance]:
    async with funded() as running:
        yield running


@pytest.fixture
async def customer(exchange: LocalBinance) -> AsyncIterator[Any]:
    async with ccxt_customer(exchange) as ready:
        yield ready


@EVERYWHERE
async def test_orders_are_placed_found_and_cancelled(exchange: LocalBinance, customer: Any, pair: str) -> None:
    symbol, size = SYMBOLS[pair], SIZE[pair]
    filled = await customer.create_order(symbol, "market", "buy", size, None, {"newClientOrderId": "one"})
    assert (filled["status"], filled["filled"], filled["average"]) == ("closed", size, 60_000)
    waiting = await customer.create_order(symbol, "limit", "buy", size, 59_000, {"newClientOrderId": "two"})
    assert waiting["status"] == "open"
    assert [order["id"] for order in await customer.fetch_open_orders(symbol)] == [waiting["id"]]
    await customer.cancel_order(waiting["id"], symbol)
    found = await customer.fetch_order(None, symbol, {"origClientOrderId": "two"})
    assert (found["status"], found["clientOrderId"]) == ("canceled", "two")
    (trade,) = await customer.fetch_my_trades(symbol, since=exchange.clock.ms)
    assert (trade["order"], trade["amount"], trade["side"]) == (filled["id"], size, "buy")
    assert exchange.journal.orders_sent() == {"one": 1, "two": 1}


async def test_balances_positions_and_funding(exchange: LocalBinance, customer: Any) -> None:
    await customer.create_order("BTC/USDT:USDT", "market", "sell", 0.5)
    exchange.account.pay_funding("BTC-PERP", "0.0001")
    balance = await customer.fetch_balance({"type": "swap"})
    assert balance["USDT"]["total"] == pytest.approx(100_000 - 15 + 3)
    (position,) = await customer.fetch_positions(["BTC/USDT:USDT"])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("short", 0.5, 60_000)
    (paid,) = await customer.fetch_funding_history("BTC/USDT:USDT", since=exchange.clock.ms)
    assert paid["amount"] == 3
    assert (await customer.fetch_funding_rate("BTC/USDT:USDT"))["fundingRate"] == 0.0001
    assert (await customer.fetch_balance())["BTC"]["total"] == 2


async def test_leverage_modes_transfers_and_withdrawals(exchange: LocalBinance, customer: Any) -> None:
    await customer.set_leverage(7, "BTC/USDT:USDT")
    await customer.set_margin_mode("isolated", "BTC/USDT:USDT")
    await customer.set_position_mode(True, "BTC/USDT:USDT")
    assert exchange.account.two_way[Kind.LINEAR]
    market = exchange.account.market("BTC-PERP")
    assert (market.leverage, market.cross) == (7, False)
    await customer.transfer("USDT", 100, "spot", "linear")
    assert exchange.account.purses["linear"]["USDT"] == 100_100
    sent = await customer.withdraw("USDT", 50, "0xabc", {"network": "ETH", "withdrawOrderId": "out1"})
    (found,) = await customer.fetch_withdrawals("USDT", params={"withdrawOrderId": "out1"})
    assert found["id"] == sent["id"]


async def test_a_wrong_signature_key_or_clock_is_refused(exchange: LocalBinance, customer: Any) -> None:
    customer.milliseconds = lambda: exchange.clock.ms + 1001
    with pytest.raises(errors.InvalidNonce):
        await customer.privateGetAccount()
    customer.milliseconds = lambda: exchange.clock.ms - 10_001
    with pytest.raises(errors.InvalidNonce):
        await customer.privateGetAccount()
    customer.milliseconds = lambda: exchange.clock.ms
    await customer.privateGetAccount()
    customer.secret = "another"
    with pytest.raises(errors.ExchangeError, match="-1022"):
        await customer.privateGetAccount()
    customer.apiKey = "another"
    with pytest.raises(errors.BaseError, match="-2015"):
        await customer.privateGetAccount()
    assert not any(request.carried_out for request in exchange.journal.requests[-2:])


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"symbol": "DOGEUSDT"}, "-1121"),
        ({"type": "STOP"}, "-1116"),
        ({"price": "1"}, "-1106"),
        ({"type": "LIMIT", "price": "59000"}, "-1115"),
        ({"side": "HOLD"}, "-1117"),
        ({"quantity": "1e-1"}, "-1100"),
        ({"quantity": ""}, "-1100"),
        ({"reduceOnly": "true"}, "-1104"),
        ({"quantity": "0.0000001"}, "Filter failure: LOT_SIZE"),
        ({"quantity": "1000"}, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.00001"}, "Filter failure: NOTIONAL"),
        ({"quantity": "100"}, "insufficient balance"),
    ],
)
async def test_a_bad_order_is_refused_and_told_why(
    exchange: LocalBinance, customer: Any, params: dict[str, str], told: str
) -> None:
    good = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1", "newClientOrderId": "one"}
    with pytest.raises(errors.BaseError, match=told):
        await customer.privatePostOrder(good | params)
    assert not exchange.account.orders


@EVERYWHERE
async def test_an_id_is_refused_while_its_order_is_open_and_taken_again_after(
    exchange: LocalBinance, customer: Any, pair: str
) -> None:
    symbol, size = SYMBOLS[pair], SIZE[pair]
    ours = {"newClientOrderId": "one"}
    await customer.create_order(symbol, "limit", "buy", size, 59_000, ours)
    with pytest.raises(errors.BaseError, match="-2010" if pair == "BTC/USDT" else "-4116"):
        await customer.create_order(symbol, "limit", "buy", size, 59_000, ours)
    exchange.account.fill("one", str(exchange.account.find_order("one").amount))
    await customer.create_order(symbol, "market", "buy", size, None, ours)
    assert len(exchange.account.orders) == 2


async def test_weight_is_counted_and_limited(exchange: LocalBinance, customer: Any) -> None:
    await customer.publicGetTime()
    assert customer.last_response_headers["X-MBX-USED-WEIGHT-1M"] == "1"
    exchange.limits["api"] = 20
    with pytest.raises(errors.DDoSProtection, match="429"):
        await customer.privateGetAccount()
    assert customer.last_response_headers["Retry-After"] == "60"
    exchange.clock.advance(60)
    await customer.privateGetAccount()


async def test_streams_tell_of_prices_and_of_orders(exchange: LocalBinance) -> None:
    streams = exchange.streams
    async with ccxt_customer(exchange, streams=True) as customer:
        await customer.load_markets()
        ticker = customer.spawn(customer.watch_ticker, "BTC/USDT")
        await streams.until(lambda listener: "spot/btcusdt@miniTicker" in listener.topics)
        exchange.account.set_price("BTC/USDT", "60001")
        await streams.flush()
        assert (await ticker)["last"] == 60_001
        for kind, pair in ((Kind.SPOT, "BTC/USDT"), (Kind.LINEAR, "BTC-PERP")):
            orders = customer.spawn(customer.watch_orders, SYMBOLS[pair])
            await streams.until(lambda listener, kind=kind: listener.account is kind)
            exchange.account.trade_by_hand(pair, "0.01", f"by_hand_{kind}")
            await streams.flush()
            assert (await orders)[-1]["clientOrderId"] == f"by_hand_{kind}"


async def test_markets_are_published(exchange: LocalBinance, customer: Any) -> None:
    account, since = exchange.account, exchange.clock.ms
    exchange.clock.advance(30)
    for pair, symbol in SYMBOLS.items():
        account.set_price(pair, "61000")
        ticker = (await customer.fetch_tickers([symbol]))[symbol]
        assert (ticker["last"], ticker["timestamp"]) == (61_000, exchange.clock.ms)
        if pair == "BTC/USDT":
            continue
        account.set_mark(pair, "60500")
        account.pay_funding(pair, "0.0002")
        mark = (await customer.fetch_mark_prices([symbol]))[symbol]
        assert (mark["markPrice"], mark["timestamp"]) == (60_500, exchange.clock.ms)
        (settled,) = await customer.fetch_funding_rate_history(symbol, since)
        assert (settled["fundingRate"], settled["timestamp"]) == (0.0002, exchange.clock.ms)
        (candle,) = await customer.fetch_ohlcv(symbol, "1m", since, 10, {"price": "mark"})
        assert candle[:5] == [since, 60_000, 61_000, 60_000, 60_500]


@pytest.mark.parametrize("pair", ["BTC-PERP", "BTCUSD-PERP"])
async def test_streams_tell_of_prices_and_marks_of_perpetuals(exchange: LocalBinance, pair: str) -> None:
    symbol, topics = SYMBOLS[pair], set[str]()

    def hears_both(listener: Listener) -> bool:
        topics.update(listener.topics)
        return len(topics) == 2

    async with ccxt_customer(exchange, streams=True) as customer:
        await customer.load_markets()
        tickers = customer.spawn(customer.watch_tickers, [symbol])
        marks = customer.spawn(customer.watch_mark_prices, [symbol])
        await exchange.streams.until(hears_both)
        exchange.account.set_mark(pair, "60500")
        exchange.account.set_price(pair, "61000")
        await exchange.streams.flush()
        assert (await tickers)[symbol]["last"] == 61_000
        assert (await marks)[symbol]["markPrice"] == 60_500
