"""Orders at the local Bybit: what is sent, what comes back, how orders and trades are found again."""

from decimal import Decimal

import pytest
from tests.exchange.bybit import LocalBybit
from tests.venues.wire.tickets import buy, sell

from basis_actors.errors import Rejected, Transient
from basis_actors.messages.exchange import OrderState, OrderTicket
from basis_actors.venues.wire.bybit import BybitApi

DAY = 86_400
POST, CANCEL = "POST /v5/order/create", "POST /v5/order/cancel"
REALTIME, HISTORY = "GET /v5/order/realtime", "GET /v5/order/history"
SIZE = {"BTC/USDT": "0.1", "BTC-PERP": "0.5"}
EVERYWHERE = pytest.mark.parametrize("pair", sorted(SIZE))
NOTHING = {"retCode": 0, "retMsg": "OK", "result": {"list": [], "nextPageCursor": ""}, "time": 0}


@EVERYWHERE
async def test_a_market_order_is_acknowledged_and_then_seen_filled(
    exchange: LocalBybit, api: BybitApi, pair: str
) -> None:
    report = await api.place(buy(pair, SIZE[pair]))
    assert (report.state, report.filled, report.average_price) == (OrderState.FILLED, Decimal(SIZE[pair]), 60000)
    assert report == await api.order(pair, "order1")
    assert report == await api.order_by_number(pair, report.venue_order_id)
    params = exchange.journal.of(POST)[0].params
    assert (params["orderType"], params["timeInForce"], "price" in params) == ("Market", "IOC", False)
    assert exchange.journal.orders_sent("orderLinkId") == {"order1": 1}


async def test_a_spot_purchase_at_market_is_of_so_much_of_what_is_bought(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(buy("BTC/USDT", "0.1"))
    params = exchange.journal.of(POST)[0].params
    assert (params["qty"], params["marketUnit"], params["isLeverage"]) == ("0.1", "baseCoin", "0")
    assert exchange.account.find_order("order1").amount == Decimal("0.1")


async def test_a_perpetual_says_its_position_and_whether_it_reduces(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    await api.place(sell("BTC-PERP", "0.5", client_id="order2", reduce_only=True))
    opening, closing = (request.params for request in exchange.journal.of(POST))
    assert (opening["positionIdx"], opening.get("reduceOnly")) == ("0", None)
    assert (closing["reduceOnly"], closing["side"]) == ("true", "Sell")


@EVERYWHERE
async def test_an_order_that_is_not_shown_yet_is_open_as_far_as_anybody_knows(
    exchange: LocalBybit, api: BybitApi, pair: str
) -> None:
    exchange.faults.answer(REALTIME, 200, NOTHING)
    report = await api.place(buy(pair, SIZE[pair]))
    assert (report.state, report.filled, report.client_id) == (OrderState.OPEN, 0, "order1")
    found = await api.order(pair, "order1")
    assert found is not None
    assert (found.state, found.venue_order_id) == (OrderState.FILLED, report.venue_order_id)


@pytest.mark.parametrize("body", ["<html>bad gateway</html>", '{"retCode": 10016, "retMsg": "Server error."}', ""])
async def test_an_order_that_cannot_be_looked_at_is_there_all_the_same(
    exchange: LocalBybit, api: BybitApi, body: str
) -> None:
    exchange.faults.answer(REALTIME, 502 if body.startswith("<") else 200, body)
    assert (await api.place(buy("BTC-PERP", "0.5"))).state is OrderState.OPEN
    assert len(exchange.account.orders) == 1


async def test_an_order_turned_down_after_it_was_acknowledged_is_seen_rejected(
    exchange: LocalBybit, api: BybitApi
) -> None:
    exchange.faults.happen_before(
        REALTIME, lambda: setattr(exchange.account.find_order("order1"), "status", "Rejected")
    )
    report = await api.place(buy("BTC-PERP", "0.5", "59000"))
    assert (report.state, report.filled, report.has_ended) == (OrderState.REJECTED, 0, True)


async def test_an_answer_about_another_order_says_nothing_of_ours(exchange: LocalBybit, api: BybitApi) -> None:
    body = {"retCode": 0, "retMsg": "OK", "result": {"orderId": "1", "orderLinkId": "another"}}
    exchange.faults.answer(POST, 200, body)
    with pytest.raises(Exception, match="it is about order 'another', not order1; it may have been carried out"):
        await api.place(buy("BTC-PERP", "0.5"))


@EVERYWHERE
async def test_a_limit_order_waits_until_its_price_is_reached(exchange: LocalBybit, api: BybitApi, pair: str) -> None:
    report = await api.place(buy(pair, SIZE[pair], "59000"))
    assert (report.state, report.filled, report.average_price) == (OrderState.OPEN, 0, None)
    assert await api.open_orders() == (report,)
    exchange.clock.advance(5)
    exchange.account.set_price(pair, "58000")
    found = await api.order(pair, "order1")
    assert found is not None
    assert (found.state, found.average_price, found.updated_ns) == (OrderState.FILLED, 59000, exchange.clock.ns)
    assert await api.open_orders() == ()


@EVERYWHERE
async def test_an_order_is_partly_filled_and_then_cancelled(exchange: LocalBybit, api: BybitApi, pair: str) -> None:
    await api.place(buy(pair, SIZE[pair], "59000"))
    exchange.account.fill("order1", "0.04")
    found = await api.order(pair, "order1")
    assert found is not None
    assert (found.state, found.filled) == (OrderState.PARTIALLY_FILLED, Decimal("0.04"))
    await api.cancel(pair, "order1")
    ended = await api.order(pair, "order1")
    assert ended is not None
    assert (ended.state, ended.filled, ended.average_price) == (OrderState.CANCELLED, Decimal("0.04"), 59000)


@EVERYWHERE
async def test_the_rest_of_an_immediate_order_is_cancelled(exchange: LocalBybit, api: BybitApi, pair: str) -> None:
    exchange.account.fill_only("0.04")
    report = await api.place(buy(pair, SIZE[pair], "60100", ioc=True))
    assert (report.state, report.filled) == (OrderState.CANCELLED, Decimal("0.04"))
    assert exchange.journal.of(POST)[0].params["timeInForce"] == "IOC"


@EVERYWHERE
async def test_post_only_that_would_take_is_cancelled_at_once(exchange: LocalBybit, api: BybitApi, pair: str) -> None:
    report = await api.place(buy(pair, "0.1", "61000", post_only=True))
    assert (report.state, report.filled) == (OrderState.CANCELLED, 0)
    assert exchange.journal.of(POST)[0].params["timeInForce"] == "PostOnly"


@pytest.mark.parametrize(
    ("ticket", "code", "told"),
    [
        (sell("BTC/USDT", "0.1", reduce_only=True), "EXEC-003", "reduce-only is for perpetuals"),
        (buy("BTC-PERP", "0.1", post_only=True), "EXEC-003", "post-only is for limit orders"),
        (buy("BTC-PERP", "0.1", "59000", post_only=True, ioc=True), "EXEC-003", "post-only waits"),
        (buy("BTC-PERP", "0.0005"), "EXEC-004", "no whole number of lots of 0.001"),
        (buy("BTC/USDT", "121"), "EXEC-004", "more than the largest market order 120"),
        (buy("DOGE-PERP", "1"), "VEN-004", "pair 'DOGE-PERP' is not configured"),
    ],
)
async def test_an_order_that_makes_no_sense_is_not_sent(
    exchange: LocalBybit, api: BybitApi, ticket: OrderTicket, code: str, told: str
) -> None:
    with pytest.raises(Rejected) as caught:
        await api.place(ticket)
    assert (caught.value.code, told in caught.value.message) == (code, True)
    assert not exchange.journal.of(POST)


@pytest.mark.parametrize(
    ("ticket", "told"),
    [
        (buy("BTC/USDT", "100"), "170131 Balance insufficient"),
        (buy("BTC/USDT", "0.00001"), "170140 Transaction amount lower than the minimum"),
        (buy("BTC-PERP", "100"), "110007 Available balance is insufficient"),
        (sell("BTC-PERP", "0.1", reduce_only=True), "110017 Reduce-only rule not satisfied"),
    ],
)
async def test_a_definite_refusal_is_rejected(
    exchange: LocalBybit, api: BybitApi, ticket: OrderTicket, told: str
) -> None:
    with pytest.raises(Rejected) as caught:
        await api.place(ticket)
    assert (caught.value.code, told in caught.value.message) == ("EXEC-004", True)
    assert await api.order(ticket.pair, ticket.client_id) is None
    assert await api.order_by_number(ticket.pair, "999999") is None


@EVERYWHERE
async def test_cancelling_what_is_gone_is_no_error(exchange: LocalBybit, api: BybitApi, pair: str) -> None:
    await api.cancel(pair, "nobody")
    await api.place(buy(pair, SIZE[pair]))
    await api.cancel(pair, "order1")
    found = await api.order(pair, "order1")
    assert found is not None
    assert found.state is OrderState.FILLED


async def test_an_order_filled_while_it_is_being_cancelled_is_found_filled(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(buy("BTC-PERP", "0.5", "59000"))
    exchange.faults.happen_before(CANCEL, lambda: exchange.account.fill("order1", "0.5"))
    await api.cancel("BTC-PERP", "order1")
    found = await api.order("BTC-PERP", "order1")
    assert found is not None
    assert (found.state, found.filled) == (OrderState.FILLED, Decimal("0.5"))


@EVERYWHERE
@pytest.mark.parametrize("days", [0, 6, 8, 20])
async def test_an_ended_order_is_found_in_the_history(
    exchange: LocalBybit, api: BybitApi, pair: str, days: int
) -> None:
    exchange.desk.forgets_ended = True
    report = await api.place(buy(pair, SIZE[pair]))
    exchange.clock.advance(days * DAY)
    found = await api.order(pair, "order1")
    assert found is not None
    assert (found.state, found.venue_order_id) == (OrderState.FILLED, report.venue_order_id)


async def test_an_order_of_that_id_in_another_market_is_not_it(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(buy("ETH-PERP", "1"))
    assert await api.order("BTC-PERP", "order1") is None
    assert await api.order("ETH/USDT", "order1") is None


async def test_orders_of_others_are_seen_and_told_apart(exchange: LocalBybit, api: BybitApi) -> None:
    market = exchange.account.market("ETH-PERP")
    exchange.account.place(market, "web_by_hand", buys=False, amount=Decimal(1), limit=Decimal(3500))
    (found,) = await api.open_orders()
    assert (found.client_id, found.pair, found.buys, found.state) == ("web_by_hand", "ETH-PERP", False, OrderState.OPEN)


async def test_open_orders_are_read_page_by_page(exchange: LocalBybit, api: BybitApi) -> None:
    market = exchange.account.market("BTC-PERP")
    for number in range(120):
        exchange.account.place(market, f"many{number}", buys=True, amount=Decimal("0.001"), limit=Decimal(30_000))
    found = await api.open_orders()
    assert {report.client_id for report in found} == {f"many{number}" for number in range(120)}


@pytest.mark.parametrize("seen", ["Sleeping", ""])
async def test_a_state_that_is_not_known_is_not_guessed(exchange: LocalBybit, api: BybitApi, seen: str) -> None:
    await api.place(buy("BTC-PERP", "0.5", "59000"))
    exchange.account.find_order("order1").status = seen
    with pytest.raises(Transient, match="the answer cannot be read: order order1"):
        await api.order("BTC-PERP", "order1")


@EVERYWHERE
async def test_fills_say_what_was_traded_for_which_order_and_what_it_cost(
    exchange: LocalBybit, api: BybitApi, pair: str
) -> None:
    since = exchange.clock.ns
    report = await api.place(buy(pair, SIZE[pair]))
    (fill,) = await api.fills(pair, since)
    assert (fill.pair, fill.venue_order_id, fill.buys, fill.price) == (pair, report.venue_order_id, True, 60000)
    assert (fill.amount, fill.client_id, fill.time_ns) == (report.filled, "order1", exchange.clock.ns)
    # Spot takes its fee from what is bought; a perpetual does not name the currency, which is that of its margin.
    fees = {"BTC/USDT": (Decimal("0.0001"), "BTC"), "BTC-PERP": (Decimal(15), "USDT")}
    assert (fill.fee, fill.fee_currency) == fees[pair]


async def test_a_rebate_is_a_fee_below_zero(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.account.market("BTC-PERP").maker = Decimal("-0.0001")
    await api.place(buy("BTC-PERP", "0.5", "59000"))
    exchange.account.set_price("BTC-PERP", "59000")
    (fill,) = await api.fills("BTC-PERP", exchange.clock.ns)
    assert fill.fee == Decimal("-2.95")


async def test_funding_among_the_trades_is_no_trade(exchange: LocalBybit, api: BybitApi) -> None:
    since = exchange.clock.ns
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.account.pay_funding("BTC-PERP", "0.0001")
    exchange.clock.advance(1)
    exchange.account.deleverage("BTC-PERP", "0.2")
    exchange.account.liquidate("BTC-PERP", "0")
    found = await api.fills("BTC-PERP", since)
    assert [(fill.amount, fill.buys, fill.client_id) for fill in found] == [
        (Decimal("0.5"), True, "order1"),
        (Decimal("0.2"), False, ""),
        (Decimal("0.3"), False, ""),
    ]


@pytest.mark.parametrize(
    ("pair", "changed"),
    [("BTC-PERP", {"execType": "Gift"}), ("BTC-PERP", {"side": "None"}), ("BTC/USDT", {"feeCurrency": ""})],
)
async def test_a_trade_that_does_not_say_enough_is_not_guessed(
    exchange: LocalBybit, api: BybitApi, pair: str, changed: dict[str, str]
) -> None:
    await api.place(buy(pair, SIZE[pair]))
    category = "spot" if "/" in pair else "linear"
    rows = exchange.desk.executions({"category": category, "symbol": "BTCUSDT"})["list"]
    body = NOTHING | {"result": {"list": [rows[0] | changed], "nextPageCursor": ""}}
    exchange.faults.answer("GET /v5/execution/list", 200, body)
    with pytest.raises(Transient, match="the answer cannot be read: trade"):
        await api.fills(pair, exchange.clock.ns)


@EVERYWHERE
@pytest.mark.parametrize("days", [0, 1, 3, 20])
async def test_fills_are_found_through_windows_of_time(
    exchange: LocalBybit, api: BybitApi, pair: str, days: int
) -> None:
    since = exchange.clock.ns
    placed = []
    for number in range(4):
        exchange.clock.advance(days * DAY + 3600)
        placed.append(await api.place(buy(pair, SIZE[pair], client_id=f"order{number}")))
    exchange.clock.advance(days * DAY)
    found = await api.fills(pair, since)
    assert [fill.venue_order_id for fill in found] == [report.venue_order_id for report in placed]
    assert await api.fills(pair, placed[1].updated_ns) == found[1:]
    assert await api.fills(pair, placed[1].updated_ns + 1) == found[2:]
    assert await api.fills(pair, exchange.clock.ns + 1) == ()


async def test_fills_are_read_page_by_page(exchange: LocalBybit, api: BybitApi) -> None:
    since = exchange.clock.ns
    market = exchange.account.market("BTC-PERP")
    for number in range(450):
        exchange.clock.advance(0.001 * (number % 100 == 0))
        side = number % 2 == 0
        exchange.account.place(market, f"many{number}", buys=side, amount=Decimal("0.001"), reduce_only=not side)
    found = await api.fills("BTC-PERP", since)
    assert [fill.trade_id for fill in found] == [str(trade.trade_id) for trade in exchange.account.trades]


@pytest.mark.parametrize("second", ["7", "8"], ids=["same", "another name"])
async def test_a_list_that_leads_back_to_itself_is_no_answer(exchange: LocalBybit, api: BybitApi, second: str) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    rows = exchange.desk.executions({"category": "linear", "symbol": "BTCUSDT"})["list"]
    for cursor in ("7", second):
        body = NOTHING | {"result": {"list": rows, "nextPageCursor": cursor}}
        exchange.faults.answer("GET /v5/execution/list", 200, body)
    with pytest.raises(Transient, match=f"page '{second}' comes after itself"):
        await api.fills("BTC-PERP", exchange.clock.ns)


async def test_there_is_no_countdown(exchange: LocalBybit, api: BybitApi) -> None:
    assert not await api.countdown_cancel(60)
    assert not exchange.journal.requests
