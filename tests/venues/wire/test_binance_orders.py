"""Orders at the local Binance: what is sent, what comes back, how orders and trades are found again."""

from decimal import Decimal

import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.worlds import connected
from tests.venues.wire.tickets import buy, sell

from basis_actors.errors import Rejected, Transient
from basis_actors.messages.exchange import OrderState, OrderTicket
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.binance import BinanceApi

HOUR = 3600
DAY = 24 * HOUR
POST = {"BTC/USDT": "POST /api/v3/order", "BTC-PERP": "POST /fapi/v1/order", "BTCUSD-PERP": "POST /dapi/v1/order"}
SIZE = {"BTC/USDT": "0.1", "BTC-PERP": "0.5", "BTCUSD-PERP": "1000"}
EVERYWHERE = pytest.mark.parametrize("pair", sorted(POST))


@EVERYWHERE
async def test_a_market_order_is_filled_and_found_again(exchange: LocalBinance, api: BinanceApi, pair: str) -> None:
    report = await api.place(buy(pair, SIZE[pair]))
    assert (report.state, report.filled, report.average_price) == (OrderState.FILLED, Decimal(SIZE[pair]), 60000)
    assert report == await api.order(pair, "order1")
    params = exchange.journal.of(POST[pair])[0].params
    assert (params["type"], "price" in params, "timeInForce" in params) == ("MARKET", False, False)
    assert exchange.journal.orders_sent() == {"order1": 1}


@EVERYWHERE
async def test_a_limit_order_waits_until_its_price_is_reached(
    exchange: LocalBinance, api: BinanceApi, pair: str
) -> None:
    report = await api.place(buy(pair, SIZE[pair], "59000"))
    assert (report.state, report.filled, report.average_price) == (OrderState.OPEN, 0, None)
    assert await api.open_orders() == (report,)
    exchange.clock.advance(5)
    exchange.account.set_price(pair, "58000")
    found = await api.order(pair, "order1")
    assert found is not None
    assert (found.state, found.average_price, found.has_ended) == (OrderState.FILLED, 59000, True)
    assert found.updated_ns == exchange.clock.ns
    assert await api.open_orders() == ()


@EVERYWHERE
async def test_an_order_is_partly_filled_and_then_cancelled(exchange: LocalBinance, api: BinanceApi, pair: str) -> None:
    await api.place(buy(pair, SIZE[pair], "59000"))
    part = "300" if pair == "BTCUSD-PERP" else "0.04"
    exchange.account.fill("order1", "3" if pair == "BTCUSD-PERP" else part)
    found = await api.order(pair, "order1")
    assert found is not None
    assert (found.state, found.filled) == (OrderState.PARTIALLY_FILLED, Decimal(part))
    await api.cancel(pair, "order1")
    ended = await api.order(pair, "order1")
    assert ended is not None
    assert (ended.state, ended.filled, ended.average_price) == (OrderState.CANCELLED, Decimal(part), 59000)


@EVERYWHERE
async def test_the_rest_of_an_immediate_order_is_cancelled(exchange: LocalBinance, api: BinanceApi, pair: str) -> None:
    inverse = pair == "BTCUSD-PERP"
    exchange.account.fill_only("3" if inverse else "0.04")
    report = await api.place(buy(pair, SIZE[pair], "60100", ioc=True))
    assert (report.state, report.filled) == (OrderState.CANCELLED, Decimal("300" if inverse else "0.04"))
    assert exchange.journal.of(POST[pair])[0].params["timeInForce"] == "IOC"


async def test_post_only_is_a_type_on_spot_and_a_time_in_force_on_perpetuals(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    await api.place(buy("BTC/USDT", "0.1", "59000", "spot1", post_only=True))
    await api.place(buy("BTC-PERP", "0.1", "59000", "perp1", post_only=True))
    spot, perp = (exchange.journal.of(POST[pair])[0].params for pair in ("BTC/USDT", "BTC-PERP"))
    assert (spot["type"], spot.get("timeInForce")) == ("LIMIT_MAKER", None)
    assert (perp["type"], perp["timeInForce"]) == ("LIMIT", "GTX")


async def test_post_only_that_would_take_is_never_in_force(exchange: LocalBinance, api: BinanceApi) -> None:
    with pytest.raises(Rejected, match="-2010 Order would immediately match and take"):
        await api.place(buy("BTC/USDT", "0.1", "61000", post_only=True))
    report = await api.place(buy("BTC-PERP", "0.1", "61000", post_only=True))
    assert (report.state, report.filled) == (OrderState.CANCELLED, 0)


async def test_reduce_only_shrinks_and_never_turns(exchange: LocalBinance, api: BinanceApi) -> None:
    with pytest.raises(Rejected, match="-2022"):
        await api.place(sell("BTC-PERP", "0.1", reduce_only=True))
    await api.place(buy("BTC-PERP", "0.1"))
    report = await api.place(sell("BTC-PERP", "0.3", client_id="order2", reduce_only=True))
    assert report.filled == Decimal("0.1")
    assert exchange.account.positions["BTC-PERP"].size == 0


@pytest.mark.parametrize(
    ("ticket", "code", "told"),
    [
        (sell("BTC/USDT", "0.1", reduce_only=True), "EXEC-003", "reduce-only is for perpetuals"),
        (buy("BTC-PERP", "0.1", post_only=True), "EXEC-003", "post-only is for limit orders"),
        (buy("BTC-PERP", "0.1", "59000", post_only=True, ioc=True), "EXEC-003", "post-only waits"),
        (buy("BTC-PERP", "0.0005"), "EXEC-004", "no whole number of lots of 0.00100000"),
        (buy("BTCUSD-PERP", "150"), "EXEC-004", "no whole number of lots of 100"),
        (buy("DOGE-PERP", "1"), "VEN-004", "pair 'DOGE-PERP' is not configured"),
    ],
)
async def test_an_order_that_makes_no_sense_is_not_sent(
    exchange: LocalBinance, api: BinanceApi, ticket: OrderTicket, code: str, told: str
) -> None:
    with pytest.raises(Rejected) as caught:
        await api.place(ticket)
    assert (caught.value.code, told in caught.value.message) == (code, True)
    assert not exchange.journal.orders_sent()


@pytest.mark.parametrize(
    ("ticket", "told"),
    [
        (buy("BTC/USDT", "100"), "-2010 Account has insufficient balance"),
        (buy("BTC/USDT", "0.00001"), "-1013 Filter failure: NOTIONAL"),
        (buy("BTC-PERP", "100"), "-2019 Margin is insufficient"),
    ],
)
async def test_a_definite_refusal_is_rejected(
    exchange: LocalBinance, api: BinanceApi, ticket: OrderTicket, told: str
) -> None:
    with pytest.raises(Rejected) as caught:
        await api.place(ticket)
    assert (caught.value.code, told in caught.value.message) == ("EXEC-004", True)
    assert await api.order(ticket.pair, ticket.client_id) is None
    assert exchange.journal.orders_sent() == {"order1": 1}


@EVERYWHERE
async def test_an_order_nobody_placed_is_not_known(api: BinanceApi, pair: str) -> None:
    assert await api.order(pair, "nobody") is None
    assert await api.order_by_number(pair, "999999") is None


@EVERYWHERE
async def test_a_trade_leads_to_its_order_whoever_placed_it(exchange: LocalBinance, api: BinanceApi, pair: str) -> None:
    """Trades name the number of their order and not the id that it was sent with."""
    report = await api.place(buy(pair, SIZE[pair]))
    exchange.clock.advance(1)
    exchange.account.trade_by_hand(pair, SIZE[pair])
    ours, theirs = await api.fills(pair, exchange.clock.ns - 60 * 10**9)
    assert ours.client_id is None
    assert await api.order_by_number(pair, ours.venue_order_id) == report
    other = await api.order_by_number(pair, theirs.venue_order_id)
    assert other is not None
    assert other.client_id != "order1"


@EVERYWHERE
async def test_cancelling_what_is_gone_is_no_error(exchange: LocalBinance, api: BinanceApi, pair: str) -> None:
    await api.cancel(pair, "nobody")
    await api.place(buy(pair, SIZE[pair]))
    await api.cancel(pair, "order1")
    found = await api.order(pair, "order1")
    assert found is not None
    assert found.state is OrderState.FILLED


async def test_an_order_filled_while_it_is_being_cancelled_is_found_filled(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    await api.place(buy("BTC-PERP", "0.5", "59000"))
    exchange.faults.happen_before("DELETE /fapi/v1/order", lambda: exchange.account.fill("order1", "0.5"))
    await api.cancel("BTC-PERP", "order1")
    found = await api.order("BTC-PERP", "order1")
    assert found is not None
    assert (found.state, found.filled) == (OrderState.FILLED, Decimal("0.5"))


async def test_orders_of_others_are_seen_and_told_apart(exchange: LocalBinance, api: BinanceApi) -> None:
    market = exchange.account.market("ETH-PERP")
    exchange.account.place(market, "web_by_hand", buys=False, amount=Decimal(1), limit=Decimal(3500))
    (found,) = await api.open_orders()
    assert (found.client_id, found.pair, found.buys, found.state) == ("web_by_hand", "ETH-PERP", False, OrderState.OPEN)


@pytest.mark.parametrize("seen", ["LIQUIDATION", ""])
async def test_a_state_that_is_not_known_is_not_guessed(exchange: LocalBinance, api: BinanceApi, seen: str) -> None:
    await api.place(buy("BTC-PERP", "0.5", "59000"))
    exchange.account.find_order("order1").status = seen
    with pytest.raises(Transient, match="the answer cannot be read"):
        await api.order("BTC-PERP", "order1")


@EVERYWHERE
async def test_fills_say_what_was_traded_and_what_it_cost(exchange: LocalBinance, api: BinanceApi, pair: str) -> None:
    since = exchange.clock.ns
    report = await api.place(buy(pair, SIZE[pair]))
    (fill,) = await api.fills(pair, since)
    assert (fill.pair, fill.venue_order_id, fill.buys, fill.price) == (pair, report.venue_order_id, True, 60000)
    assert (fill.amount, fill.client_id, fill.time_ns) == (report.filled, None, exchange.clock.ns)
    # Spot takes its fee from what is bought, a perpetual from its margin.
    fees = {
        "BTC/USDT": (Decimal("0.0001"), "BTC"),
        "BTC-PERP": (Decimal(15), "USDT"),
        "BTCUSD-PERP": (Decimal("0.00000833"), "BTC"),
    }
    assert (fill.fee, fill.fee_currency) == fees[pair]


@EVERYWHERE
@pytest.mark.parametrize("days", [0, 1, 3, 20])
async def test_fills_are_found_through_windows_of_time(
    exchange: LocalBinance, api: BinanceApi, pair: str, days: int
) -> None:
    since = exchange.clock.ns
    placed = []
    for number in range(4):
        exchange.clock.advance(days * DAY + HOUR)
        placed.append(await api.place(buy(pair, SIZE[pair], client_id=f"order{number}")))
    exchange.clock.advance(days * DAY)
    found = await api.fills(pair, since)
    assert [fill.venue_order_id for fill in found] == [report.venue_order_id for report in placed]
    assert await api.fills(pair, placed[1].updated_ns) == found[1:]
    assert await api.fills(pair, placed[1].updated_ns + 1) == found[2:]
    assert await api.fills(pair, exchange.clock.ns + 1) == ()


async def test_fills_are_read_page_by_page(exchange: LocalBinance, api: BinanceApi) -> None:
    since = exchange.clock.ns
    market = exchange.account.market("BTC-PERP")
    for number in range(1250):
        if number % 700 == 0:
            exchange.clock.advance(1)
        side = number % 2 == 0
        exchange.account.place(market, f"many{number}", buys=side, amount=Decimal("0.001"), reduce_only=not side)
    found = await api.fills("BTC-PERP", since)
    assert [fill.trade_id for fill in found] == [str(trade.trade_id) for trade in exchange.account.trades]
    assert len(exchange.journal.of("GET /fapi/v1/userTrades")) == 2


@pytest.mark.parametrize("host", ["api", "fapi", "dapi"])
async def test_only_the_markets_that_are_configured_are_asked_for(exchange: LocalBinance, host: str) -> None:
    pair = {"api": "ETH/USDT", "fapi": "ETH-PERP", "dapi": "ETHUSD-PERP"}[host]
    async with connected(exchange, pairs=(pair,)) as api:
        assert set(await api.filters()) == {pair}
        assert await api.open_orders() == ()
    asked = {request.path.split("/")[1] for request in exchange.journal.requests if "time" not in request.path}
    assert asked == {host}


async def test_a_countdown_cancels_unless_it_is_renewed(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(buy("BTC-PERP", "0.5", "59000", "perp1"))
    await api.place(buy("BTCUSD-PERP", "100", "59000", "inverse1"))
    await api.place(buy("BTC/USDT", "0.1", "59000", "spot1"))
    assert await api.countdown_cancel(60)
    exchange.clock.advance(40)
    assert await api.countdown_cancel(60)
    exchange.clock.advance(40)
    assert len(await api.open_orders()) == 3
    exchange.clock.advance(21)
    assert [report.client_id for report in await api.open_orders()] == ["spot1"]


async def test_a_countdown_is_called_off_with_zero(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(buy("BTC-PERP", "0.5", "59000"))
    await api.countdown_cancel(60)
    await api.countdown_cancel(0)
    exchange.clock.advance(100)
    assert len(await api.open_orders()) == 1


async def test_spot_alone_has_no_countdown(exchange: LocalBinance) -> None:
    async with connected(exchange, pairs=("BTC/USDT",)) as api:
        assert not await api.countdown_cancel(60)


async def test_times_are_the_exchanges(exchange: LocalBinance, api: BinanceApi) -> None:
    exchange.clock.advance(3)
    report = await api.place(buy("BTC-PERP", "0.5"))
    assert report.updated_ns == exchange.clock.ms * 1_000_000
    assert report.updated_ns % NS_PER_SECOND == 0
