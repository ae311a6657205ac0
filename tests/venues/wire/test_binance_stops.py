"""Stops at the local Binance: what is sent, when they fire, what they become, what is refused and what nobody knows."""

from decimal import Decimal

import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.worlds import impatient
from tests.venues.wire.tickets import buy

from basis_actors.errors import AuthFailed, LevelPassed, Rejected, Transient, UnknownOutcome
from basis_actors.messages.stops import StopKind, StopState, StopTicket
from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.binance import BinanceApi

POST = "POST /fapi/v1/algoOrder"
SIZE = "0.5"
TAKEN = {"algoId": 1, "clientAlgoId": "stop1", "side": "SELL", "algoStatus": "NEW", "triggerPrice": "59000"}


def stop(pair: str, trigger: str, client_id: str = "stop1", *, buys: bool = False, profit: bool = False) -> StopTicket:
    kind = StopKind.TAKE_PROFIT if profit else StopKind.STOP_LOSS
    return StopTicket(client_id=client_id, pair=pair, buys=buys, kind=kind, trigger=Decimal(trigger))


async def test_a_stop_waits_apart_from_orders_and_is_found_by_its_id(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(buy("BTC-PERP", SIZE))
    report = await api.place_stop(stop("BTC-PERP", "59000"))
    assert (report.state, report.trigger, report.buys, report.venue_order_id) == (StopState.WAITING, 59000, False, None)
    assert await api.stop("BTC-PERP", "stop1") == report
    assert await api.open_stops() == (report,)
    assert await api.open_orders() == ()
    (sent,) = exchange.journal.of(POST)
    asked = {name: value for name, value in sent.params.items() if name not in ("timestamp", "signature", "recvWindow")}
    assert asked == {
        "algoType": "CONDITIONAL",
        "symbol": exchange.account.market("BTC-PERP").symbol,
        "side": "SELL",
        "type": "STOP_MARKET",
        "triggerPrice": "59000",
        "workingType": "MARK_PRICE",
        "closePosition": "true",
        "clientAlgoId": "stop1",
    }


async def test_a_stop_fires_on_the_mark_and_its_trades_are_found_by_the_order_it_becomes(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    await api.place(buy("BTC-PERP", SIZE))
    await api.place_stop(stop("BTC-PERP", "59000"))
    exchange.account.set_mark("BTC-PERP", "60000")
    exchange.account.set_price("BTC-PERP", "58900")
    assert (await api.stop("BTC-PERP", "stop1")).state is StopState.WAITING  # type: ignore[union-attr]
    since = exchange.clock.ns
    exchange.account.set_mark("BTC-PERP", "59000")
    fired = await api.stop("BTC-PERP", "stop1")
    assert fired is not None
    assert fired.state is StopState.FIRED
    assert fired.venue_order_id is not None
    (trade,) = [each for each in await api.fills("BTC-PERP", since) if each.venue_order_id == fired.venue_order_id]
    assert (trade.amount, trade.price, trade.buys) == (Decimal(SIZE), 58900, False)
    order = await api.order_by_number("BTC-PERP", fired.venue_order_id)
    assert order is not None
    assert (order.filled, order.has_ended) == (Decimal(SIZE), True)
    assert exchange.account.positions["BTC-PERP"].size == 0
    assert await api.open_stops() == ()


@pytest.mark.parametrize(
    ("buys", "profit", "mark"), [(False, True, "61000"), (True, False, "61000"), (True, True, "59000")]
)
async def test_each_kind_fires_on_its_own_side(
    exchange: LocalBinance, api: BinanceApi, buys: bool, profit: bool, mark: str
) -> None:
    await api.place(buy("BTC-PERP", SIZE, buys=not buys))
    other = {"61000": "59500", "59000": "60500"}[mark]
    await api.place_stop(stop("BTC-PERP", mark, buys=buys, profit=profit))
    exchange.account.set_mark("BTC-PERP", other)
    assert exchange.account.positions["BTC-PERP"].size != 0
    exchange.account.set_mark("BTC-PERP", mark)
    assert exchange.account.positions["BTC-PERP"].size == 0


async def test_a_cancelled_stop_is_gone_and_cancelling_it_again_is_no_error(api: BinanceApi) -> None:
    await api.place_stop(stop("BTC-PERP", "59000"))
    await api.cancel_stop("BTC-PERP", "stop1")
    await api.cancel_stop("BTC-PERP", "stop1")
    await api.cancel_stop("BTC-PERP", "nobody")
    report = await api.stop("BTC-PERP", "stop1")
    assert report is not None
    assert report.state is StopState.GONE
    assert await api.stop("BTC-PERP", "nobody") is None
    assert await api.open_stops() == ()


@pytest.mark.parametrize(
    ("pair", "trigger", "code", "said"),
    [
        ("BTC-PERP", "60000", "EXEC-004", "-2021 Order would immediately trigger"),
        ("BTC-PERP", "59000.05", "EXEC-004", "no whole number of ticks of 0.1"),
        ("BTC-PERP", "-1", "EXEC-004", "no whole number of ticks"),
        ("BTC-PERP", "NaN", "EXEC-004", "trigger NaN"),
        ("BTC/USDT", "59000", "VEN-004", "no stops are kept in BTC/USDT"),
        ("BTCUSD-PERP", "59000", "VEN-004", "no stops are kept in BTCUSD-PERP"),
    ],
)
async def test_what_cannot_be_kept_is_refused(
    exchange: LocalBinance, api: BinanceApi, pair: str, trigger: str, code: str, said: str
) -> None:
    with pytest.raises(Rejected, match=said) as refused:
        await api.place_stop(stop(pair, trigger))
    assert refused.value.code == code
    assert isinstance(refused.value, LevelPassed) is ("-2021" in said)
    assert exchange.account.stops == []


async def test_a_second_stop_of_a_kind_and_direction_is_refused(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place_stop(stop("BTC-PERP", "59000"))
    await api.place_stop(stop("BTC-PERP", "62000", "stop2", profit=True))
    with pytest.raises(Rejected, match="-4130"):
        await api.place_stop(stop("BTC-PERP", "58000", "stop3"))
    assert [each.client_id for each in await api.open_stops()] == ["stop1", "stop2"]


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_stop_without_an_answer_is_unknown_and_sent_once(
    exchange: LocalBinance, api: BinanceApi, carried_out: bool
) -> None:
    await api.prepare({})
    exchange.faults.hang("POST /fapi/v1/algoOrder", carried_out=carried_out)
    with impatient(api), pytest.raises(UnknownOutcome):
        await api.place_stop(stop("BTC-PERP", "59000"))
    assert (await api.stop("BTC-PERP", "stop1") is not None) is carried_out
    assert exchange.journal.orders_sent("clientAlgoId") == {"stop1": 1}


async def test_an_id_that_is_there_already_is_asked_for(api: BinanceApi) -> None:
    await api.place_stop(stop("BTC-PERP", "59000"))
    with pytest.raises(UnknownOutcome, match="-4116"):
        await api.place_stop(stop("BTC-PERP", "62000", profit=True))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((429, {"code": -1003, "msg": "Too many requests."}), Transient),
        ((400, {"code": -4120, "msg": "Order type not supported for this endpoint."}), Rejected),
        ((401, {"code": -2015, "msg": "Invalid API-key."}), AuthFailed),
        ((503, {"code": -1000, "msg": "Unknown error, please check your request."}), UnknownOutcome),
        ((200, TAKEN | {"clientAlgoId": "another"}), UnknownOutcome),
        ((200, TAKEN | {"algoStatus": "SOLD"}), UnknownOutcome),
        ((200, TAKEN | {"triggerPrice": "NaN"}), UnknownOutcome),
        ((200, {"algoId": 1, "clientAlgoId": "stop1"}), UnknownOutcome),
    ],
)
async def test_each_answer_has_its_class(
    exchange: LocalBinance, api: BinanceApi, answer: tuple[int, object], error: type[Exception]
) -> None:
    exchange.faults.answer("POST /fapi/v1/algoOrder", *answer)
    with pytest.raises(error):
        await api.place_stop(stop("BTC-PERP", "59000"))


async def test_stops_of_others_are_shown_with_ours(
    exchange: LocalBinance, api: BinanceApi, calls: list[ApiCall]
) -> None:
    await api.place_stop(stop("BTC-PERP", "59000"))
    row = {"algoId": 7, "clientAlgoId": "web_1", "side": "BUY", "algoStatus": "NEW", "triggerPrice": "61000.0"}
    trailing = row | {"orderType": "TRAILING_STOP_MARKET", "symbol": "BTCUSDT", "quantity": "0.1"}
    exchange.faults.answer("GET /fapi/v1/openAlgoOrders", 200, [trailing])
    shown = await api.open_stops()
    assert [(each.client_id, each.pair) for each in shown] == [("web_1", "BTC-PERP")]
    assert [call.weight for call in calls if call.call.endswith("GetOpenAlgoOrders")] == [1, 1]


async def test_questions_without_an_answer_may_be_asked_again(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place_stop(stop("BTC-PERP", "59000"))
    for route in ("GET /fapi/v1/algoOrder", "GET /fapi/v1/openAlgoOrders"):
        exchange.faults.answer(route, 502, "<html>bad gateway</html>")
    with pytest.raises(Transient):
        await api.stop("BTC-PERP", "stop1")
    with pytest.raises(Transient):
        await api.open_stops()
    exchange.faults.answer("DELETE /fapi/v1/algoOrder", 502, "", carried_out=True)
    with pytest.raises(UnknownOutcome):
        await api.cancel_stop("BTC-PERP", "stop1")
    assert (await api.stop("BTC-PERP", "stop1")).state is StopState.GONE  # type: ignore[union-attr]
