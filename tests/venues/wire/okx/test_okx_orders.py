"""Orders at the local OKX: what is sent, what comes back, how orders and trades are found again."""

from decimal import Decimal
from typing import Any

import pytest
from tests.exchange.okx import LocalOkx
from tests.venues.wire.tickets import buy, sell

from basis_actors.errors import Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import OrderState, OrderTicket
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.okx import OkxApi

HOUR, DAY = 3600, 86_400
POST, CANCEL, FIND = "POST /api/v5/trade/order", "POST /api/v5/trade/cancel-order", "GET /api/v5/trade/order"
FILLS, FILLS_OF_MONTHS = "GET /api/v5/trade/fills", "GET /api/v5/trade/fills-history"
COUNTDOWN = "POST /api/v5/trade/cancel-all-after"
BTC, ETH = "BTC-PERP", "ETH-PERP"
ABSENT = {"code": "51603", "msg": "Order does not exist", "data": []}


def enveloped(*rows: Any) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": list(rows)}


@pytest.mark.parametrize(
    ("pair", "amount", "contracts"), [(BTC, "0.5", "50"), (ETH, "2", "20"), (BTC, "0.0001", "0.01")]
)
async def test_a_market_order_is_acknowledged_and_then_seen_filled(
    exchange: LocalOkx, api: OkxApi, pair: str, amount: str, contracts: str
) -> None:
    report = await api.place(buy(pair, amount))
    price = exchange.account.market(pair).price
    assert (report.state, report.amount, report.filled) == (OrderState.FILLED, Decimal(amount), Decimal(amount))
    assert (report.average_price, report.updated_ns) == (price, exchange.clock.ns)
    assert report == await api.order(pair, "order1")
    assert report == await api.order_by_number(pair, report.venue_order_id)
    params = exchange.journal.of(POST)[0].params
    assert (params["ordType"], params["sz"], params["tdMode"], "px" in params) == ("market", contracts, "cross", False)
    assert exchange.journal.orders_sent("clOrdId") == {"order1": 1}
    assert exchange.account.positions[pair].size == Decimal(amount)


async def test_only_what_reduces_says_so(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5"))
    await api.place(sell(BTC, "0.5", client_id="order2", reduce_only=True))
    opening, closing = (request.params for request in exchange.journal.of(POST))
    assert (opening["side"], opening.get("reduceOnly")) == ("buy", None)
    assert (closing["side"], closing["reduceOnly"]) == ("sell", "true")


async def test_an_order_that_is_not_shown_yet_is_open_as_far_as_anybody_knows(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.faults.answer(FIND, 200, ABSENT)
    report = await api.place(buy(BTC, "0.5"))
    assert (report.state, report.amount, report.filled) == (OrderState.OPEN, Decimal("0.5"), 0)
    found = await api.order(BTC, "order1")
    assert found is not None
    assert (found.state, found.venue_order_id) == (OrderState.FILLED, report.venue_order_id)


@pytest.mark.parametrize("body", ["<html>bad gateway</html>", '{"code": "50026", "msg": "System error."}', ""])
async def test_an_order_that_cannot_be_looked_at_is_there_all_the_same(
    exchange: LocalOkx, api: OkxApi, body: str
) -> None:
    exchange.faults.answer(FIND, 502 if body.startswith("<") else 200, body)
    assert (await api.place(buy(BTC, "0.5"))).state is OrderState.OPEN
    assert len(exchange.account.orders) == 1


@pytest.mark.parametrize(
    "rows", [(), ({"ordId": "1", "clOrdId": "another"},), ({"ordId": "1", "clOrdId": "order1"},) * 2]
)
async def test_an_answer_about_another_order_says_nothing_of_ours(
    exchange: LocalOkx, api: OkxApi, rows: tuple[dict[str, str], ...]
) -> None:
    exchange.faults.answer(POST, 200, enveloped(*rows))
    with pytest.raises(UnknownOutcome, match=r"it is about orders \[.*\], not order1; it may have been carried out"):
        await api.place(buy(BTC, "0.5"))


async def test_an_order_says_until_when_it_may_be_taken(exchange: LocalOkx, api: OkxApi) -> None:
    """Without that the exchange would still take it half a minute later."""
    await api.prepare({})
    exchange.clock.drift(-6)
    with pytest.raises(Transient, match=r"50037 .* it was not carried out, the clock has been read again"):
        await api.place(buy(BTC, "0.5"))
    assert (await api.place(buy(BTC, "0.5"))).state is OrderState.FILLED
    # Whatever else is asked has no such limit.
    exchange.clock.drift(-6)
    await api.cancel(BTC, "order1")
    exchange.clock.drift(-30)
    with pytest.raises(Transient, match="50102 Timestamp request expired"):
        await api.cancel(BTC, "order1")


async def test_a_limit_order_waits_until_its_price_is_reached(exchange: LocalOkx, api: OkxApi) -> None:
    report = await api.place(buy(BTC, "0.5", "59000.1"))
    assert (report.state, report.filled, report.average_price) == (OrderState.OPEN, 0, None)
    assert await api.open_orders() == (report,)
    params = exchange.journal.of(POST)[0].params
    assert (params["ordType"], params["px"]) == ("limit", "59000.1")
    exchange.clock.advance(5)
    exchange.account.set_price(BTC, "58000")
    found = await api.order(BTC, "order1")
    assert found is not None
    assert (found.state, found.average_price) == (OrderState.FILLED, Decimal("59000.1"))
    assert found.updated_ns == exchange.clock.ns
    assert await api.open_orders() == ()


async def test_an_order_is_partly_filled_and_then_cancelled(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5", "59000"))
    exchange.account.fill("order1", "0.04")
    found = await api.order(BTC, "order1")
    assert found is not None
    assert (found.state, found.filled) == (OrderState.PARTIALLY_FILLED, Decimal("0.04"))
    await api.cancel(BTC, "order1")
    ended = await api.order(BTC, "order1")
    assert ended is not None
    assert (ended.state, ended.filled, ended.average_price) == (OrderState.CANCELLED, Decimal("0.04"), 59_000)


async def test_the_rest_of_an_immediate_order_is_cancelled(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.account.fill_only("0.04")
    report = await api.place(buy(BTC, "0.5", "60100", ioc=True))
    assert (report.state, report.filled) == (OrderState.CANCELLED, Decimal("0.04"))
    assert exchange.journal.of(POST)[0].params["ordType"] == "ioc"


async def test_post_only_that_would_take_is_cancelled_at_once(exchange: LocalOkx, api: OkxApi) -> None:
    report = await api.place(buy(BTC, "0.1", "61000", post_only=True))
    assert (report.state, report.filled) == (OrderState.CANCELLED, 0)
    assert exchange.journal.of(POST)[0].params["ordType"] == "post_only"


@pytest.mark.parametrize(
    ("ticket", "code", "told"),
    [
        (buy(BTC, "0.1", post_only=True), "EXEC-003", "post-only is for limit orders"),
        (buy(BTC, "0.1", "59000", post_only=True, ioc=True), "EXEC-003", "post-only waits"),
        (buy(BTC, "0.00005"), "EXEC-004", "no whole number of lots of 0.0001"),
        (buy(ETH, "0.001"), "EXEC-004", "no whole number of lots of 0.01"),
        (buy(BTC, "121"), "EXEC-004", "more than the largest market order 120"),
        (buy(BTC, "0.1", "59000.05"), "EXEC-004", "no whole number of ticks of 0.1"),
        (buy("DOGE-PERP", "1"), "VEN-004", "pair 'DOGE-PERP' is not configured"),
    ],
)
async def test_an_order_that_makes_no_sense_is_not_sent(
    exchange: LocalOkx, api: OkxApi, ticket: OrderTicket, code: str, told: str
) -> None:
    with pytest.raises(Rejected) as caught:
        await api.place(ticket)
    assert (caught.value.code, told in caught.value.message) == (code, True)
    assert not exchange.journal.of(POST)


@pytest.mark.parametrize(
    ("ticket", "told"),
    [
        (buy(BTC, "100"), "51008 Order failed. Insufficient USDT margin in account"),
        (sell(BTC, "0.1", reduce_only=True), "51169 Order failed because you don't have any positions"),
    ],
)
async def test_a_refusal_in_the_row_of_an_order_is_rejected(
    exchange: LocalOkx, api: OkxApi, ticket: OrderTicket, told: str
) -> None:
    with pytest.raises(Rejected) as caught:
        await api.place(ticket)
    assert (caught.value.code, told in caught.value.message) == ("EXEC-004", True)
    assert await api.order(ticket.pair, ticket.client_id) is None
    assert await api.order_by_number(ticket.pair, "999999") is None


async def test_an_id_that_waits_already_leaves_the_outcome_unknown(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5", "59000"))
    with pytest.raises(UnknownOutcome, match="51016 Client order ID already exists"):
        await api.place(buy(BTC, "0.5", "59000"))
    assert len(exchange.account.orders) == 1


async def test_cancelling_what_is_gone_is_no_error(exchange: LocalOkx, api: OkxApi) -> None:
    await api.cancel(BTC, "nobody")
    await api.place(buy(BTC, "0.5"))
    await api.cancel(BTC, "order1")
    found = await api.order(BTC, "order1")
    assert found is not None
    assert found.state is OrderState.FILLED


@pytest.mark.parametrize("code", ["51400", "51401", "51402", "51410", "51603"])
async def test_every_way_to_be_gone_is_one(exchange: LocalOkx, api: OkxApi, code: str) -> None:
    row = {"ordId": "", "clOrdId": "order1", "sCode": code, "sMsg": "gone"}
    body = {"code": "1", "msg": "All operations failed", "data": [row]}
    exchange.faults.answer(CANCEL, 200, body)
    await api.cancel(BTC, "order1")


async def test_an_order_filled_while_it_is_being_cancelled_is_found_filled(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5", "59000"))
    exchange.faults.happen_before(CANCEL, lambda: exchange.account.fill("order1", "0.5"))
    await api.cancel(BTC, "order1")
    found = await api.order(BTC, "order1")
    assert found is not None
    assert (found.state, found.filled) == (OrderState.FILLED, Decimal("0.5"))


async def test_an_order_that_ended_with_nothing_filled_is_forgotten(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5", client_id="filled"))
    await api.place(buy(BTC, "0.5", "59000", client_id="cancelled"))
    await api.cancel(BTC, "cancelled")
    exchange.clock.advance(HOUR)
    assert await api.order(BTC, "cancelled") is not None
    exchange.clock.advance(2 * HOUR)
    assert await api.order(BTC, "cancelled") is None
    assert await api.order(BTC, "filled") is not None


async def test_an_order_of_that_id_in_another_market_is_not_it(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(ETH, "1"))
    assert await api.order(BTC, "order1") is None
    row = exchange.desk.find({"instId": "ETH-USDT-SWAP", "clOrdId": "order1"})[0]
    exchange.faults.answer(FIND, 200, enveloped(row))
    assert await api.order(BTC, "order1") is None
    exchange.faults.answer(FIND, 200, enveloped(row | {"clOrdId": "order2"}))
    assert await api.order(ETH, "order1") is None


async def test_orders_of_others_are_seen_and_told_apart(exchange: LocalOkx, api: OkxApi) -> None:
    market = exchange.account.market(ETH)
    exchange.account.place(market, "", buys=False, amount=Decimal(1), limit=Decimal(3500))
    exchange.account.place(exchange.account.market("SOL-PERP"), "x", buys=True, amount=Decimal(1), limit=Decimal(100))
    (found,) = await api.open_orders()
    assert (found.client_id, found.pair, found.buys, found.amount) == ("", ETH, False, 1)


async def test_open_orders_are_read_page_by_page(exchange: LocalOkx, api: OkxApi) -> None:
    market = exchange.account.market(BTC)
    for number in range(250):
        exchange.account.place(market, f"many{number}", buys=True, amount=Decimal("0.001"), limit=Decimal(30_000))
    found = await api.open_orders()
    assert sorted(report.client_id for report in found) == sorted(f"many{number}" for number in range(250))


@pytest.mark.parametrize("changed", [{"state": "sleeping"}, {"state": ""}, {"side": "hold"}])
async def test_a_state_that_is_not_known_is_not_guessed(
    exchange: LocalOkx, api: OkxApi, changed: dict[str, str]
) -> None:
    await api.place(buy(BTC, "0.5", "59000"))
    row = exchange.desk.find({"instId": "BTC-USDT-SWAP", "clOrdId": "order1"})[0]
    exchange.faults.answer(FIND, 200, enveloped(row | changed))
    with pytest.raises(Transient, match="the answer cannot be read: order order1"):
        await api.order(BTC, "order1")


@pytest.mark.parametrize("pair", [BTC, ETH])
async def test_fills_say_what_was_traded_for_which_order_and_what_it_cost(
    exchange: LocalOkx, api: OkxApi, pair: str
) -> None:
    report = await api.place(sell(pair, "2"))
    (fill,) = await api.fills(pair, exchange.clock.ns)
    price = exchange.account.market(pair).price
    assert (fill.pair, fill.venue_order_id, fill.client_id) == (pair, report.venue_order_id, "order1")
    assert (fill.buys, fill.amount, fill.price, fill.time_ns) == (False, 2, price, exchange.clock.ns)
    assert (fill.fee, fill.fee_currency) == (2 * price * Decimal("0.0005"), "USDT")


async def test_a_rebate_is_a_fee_below_zero(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.account.market(BTC).maker = Decimal("-0.0001")
    await api.place(buy(BTC, "0.5", "59000"))
    exchange.account.set_price(BTC, "59000")
    (fill,) = await api.fills(BTC, exchange.clock.ns)
    assert fill.fee == Decimal("-2.95")


async def test_what_the_exchange_does_of_itself_is_a_trade_of_nobody(exchange: LocalOkx, api: OkxApi) -> None:
    since = exchange.clock.ns
    await api.place(buy(BTC, "0.5"))
    exchange.account.pay_funding(BTC, "0.0001")
    exchange.clock.advance(1)
    exchange.account.deleverage(BTC, "0.2")
    exchange.account.liquidate(BTC, "0")
    found = await api.fills(BTC, since)
    assert [(fill.amount, fill.buys, fill.client_id) for fill in found] == [
        (Decimal("0.5"), True, "order1"),
        (Decimal("0.2"), False, ""),
        (Decimal("0.3"), False, ""),
    ]
    assert [int(fill.trade_id) > 0 for fill in found] == [True, False, False]


@pytest.mark.parametrize("changed", [{"side": "hold"}, {"tradeId": ""}])
async def test_a_trade_that_does_not_say_enough_is_not_guessed(
    exchange: LocalOkx, api: OkxApi, changed: dict[str, str]
) -> None:
    await api.place(buy(BTC, "0.5"))
    (row,) = exchange.desk.fills({"instType": "SWAP"})
    exchange.faults.answer(FILLS, 200, enveloped(row | changed))
    with pytest.raises(Transient, match="the answer cannot be read: trade"):
        await api.fills(BTC, exchange.clock.ns)


async def test_a_trade_is_told_by_when_it_was_traded(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5"))
    (row,) = exchange.desk.fills({"instType": "SWAP"})
    written = str(exchange.clock.ms + 40)
    for fill_time, told in (("", exchange.clock.ns + 40_000_000), (row["fillTime"], exchange.clock.ns)):
        exchange.faults.answer(FILLS, 200, enveloped(row | {"ts": written, "fillTime": fill_time}))
        (fill,) = await api.fills(BTC, exchange.clock.ns)
        assert fill.time_ns == told


async def test_a_trade_of_another_market_is_not_told(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(ETH, "1"))
    (row,) = exchange.desk.fills({"instType": "SWAP"})
    exchange.faults.answer(FILLS, 200, enveloped(row))
    assert await api.fills(BTC, exchange.clock.ns) == ()


@pytest.mark.parametrize("days", [0, 1, 3, 20])
async def test_fills_are_found_however_old_they_are(exchange: LocalOkx, api: OkxApi, days: int) -> None:
    since = exchange.clock.ns
    placed = []
    for number in range(4):
        exchange.clock.advance(days * DAY + HOUR)
        placed.append(await api.place(buy(BTC, "0.5", client_id=f"order{number}")))
    exchange.clock.advance(days * DAY)
    found = await api.fills(BTC, since)
    assert [fill.venue_order_id for fill in found] == [report.venue_order_id for report in placed]
    assert await api.fills(BTC, placed[1].updated_ns) == found[1:]
    assert await api.fills(BTC, placed[1].updated_ns + 1) == found[2:]
    assert await api.fills(BTC, exchange.clock.ns + 1) == ()


@pytest.mark.parametrize(("hours", "asked"), [(70, FILLS), (72, FILLS_OF_MONTHS)])
async def test_three_days_back_the_recent_trades_end(exchange: LocalOkx, api: OkxApi, hours: int, asked: str) -> None:
    await api.place(buy(BTC, "0.5"))
    since = exchange.clock.ns
    exchange.clock.advance(hours * HOUR)
    assert len(await api.fills(BTC, since)) == 1
    assert exchange.journal.requests[-1].route == asked


async def test_fills_are_read_page_by_page(exchange: LocalOkx, api: OkxApi) -> None:
    since = exchange.clock.ns
    market = exchange.account.market(BTC)
    for number in range(450):
        exchange.clock.advance(0.001 * (number % 100 == 0))
        side = number % 2 == 0
        exchange.account.place(market, f"many{number}", buys=side, amount=Decimal("0.001"), reduce_only=not side)
    found = await api.fills(BTC, since)
    assert [fill.trade_id for fill in found] == [str(trade.trade_id) for trade in exchange.account.trades]


async def test_a_list_that_does_not_go_on_is_no_answer(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5"))
    (row,) = exchange.desk.fills({"instType": "SWAP"})
    exchange.faults.answer(FILLS, 200, enveloped(*[row | {"billId": str(number)} for number in range(100)]), times=2)
    with pytest.raises(Transient, match=r"more than 100 entries after .* cannot be paged through"):
        await api.fills(BTC, exchange.clock.ns)


async def test_a_countdown_cancels_unless_it_is_renewed(exchange: LocalOkx, api: OkxApi) -> None:
    for pair, limit in ((BTC, "59000"), (ETH, "2900")):
        await api.place(buy(pair, "1", limit, client_id=f"order{pair[:3]}"))
    assert await api.countdown_cancel(60)
    exchange.clock.advance(59)
    assert await api.countdown_cancel(60)
    exchange.clock.advance(59)
    assert len(await api.open_orders()) == 2
    exchange.clock.advance(1)
    assert await api.open_orders() == ()


@pytest.mark.parametrize(("seconds", "sent"), [(0, "0"), (1, "10"), (10, "10"), (120, "120"), (600, "120")])
async def test_a_countdown_takes_as_long_as_the_exchange_lets_it(
    exchange: LocalOkx, api: OkxApi, seconds: int, sent: str
) -> None:
    assert await api.countdown_cancel(seconds)
    assert exchange.journal.of(COUNTDOWN)[0].params == {"timeOut": sent}


async def test_a_countdown_is_called_off_with_zero(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5", "59000"))
    await api.countdown_cancel(10)
    exchange.clock.advance(2)
    await api.countdown_cancel(0)
    exchange.clock.advance(100)
    assert len(await api.open_orders()) == 1


async def test_a_countdown_more_often_than_the_exchange_takes_it_waits_for_its_turn(
    exchange: LocalOkx, api: OkxApi
) -> None:
    """Its heart and an order that has ended may both want it within the second that the exchange grants."""
    began = exchange.clock.ns
    for seconds in (10, 0, 10):
        assert await api.countdown_cancel(seconds)
    assert [seen.params["timeOut"] for seen in exchange.journal.of(COUNTDOWN)] == ["10", "0", "10"]
    assert exchange.clock.ns - began >= 2 * NS_PER_SECOND
