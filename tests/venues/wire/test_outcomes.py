"""Whatever happens to a request that changes something, it is sent once, and the error says what is known of it.

Each row of the table is one thing that a connection or an exchange does; what the exchange has done is looked up there.
"""

from __future__ import annotations

import anyio
import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.worlds import HOME, connected, impatient
from tests.venues.wire.tickets import buy

from basis_actors.errors import AuthFailed, Rejected, Transient, UnknownOutcome, VenueError
from basis_actors.messages.exchange import TransferTicket, Wallet
from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.binance import BinanceApi

POST = {"BTC/USDT": "POST /api/v3/order", "BTC-PERP": "POST /fapi/v1/order", "BTCUSD-PERP": "POST /dapi/v1/order"}
FIND = {pair: route.replace("POST", "GET") for pair, route in POST.items()}
DROP = {pair: route.replace("POST", "DELETE") for pair, route in POST.items()}
SIZE = {"BTC/USDT": "0.1", "BTC-PERP": "0.5", "BTCUSD-PERP": "1000"}
EVERYWHERE = pytest.mark.parametrize("pair", sorted(POST))
DONE = pytest.mark.parametrize("done", [True, False], ids=["carried out", "not carried out"])
UNKNOWN_ERROR = "Unknown error, please check your request or try again later."


def coded(code: int, text: str = "") -> dict[str, object]:
    return {"code": code, "msg": text}


UNKNOWN = [
    (503, coded(-1000, UNKNOWN_ERROR)),
    (400, coded(-1000, "An unknown error occurred while processing the request.")),
    (400, coded(-1006, "An unexpected response was received from the message bus. Execution status unknown.")),
    (408, coded(-1007, "Timeout waiting for response from backend server. Send status unknown.")),
    (504, coded(-1007, "Timeout waiting for response from backend server. Send status unknown.")),
    (500, coded(-9999, "something new")),
    (502, "<html><body>502 Bad Gateway</body></html>"),
    (503, "<html><body>503 Service Unavailable</body></html>"),
    (504, ""),
    (200, "<html>a gateway's idea of success</html>"),
    (200, ""),
    (200, '{"orderId": 1'),
    (200, {"orderId": 1}),
    (200, coded(-1007, "a code in a success")),
    (400, "<html>malformed</html>"),
    (404, "<html>not here</html>"),
    (400, coded(-4116, "ClientOrderId is duplicated.")),
    (400, coded(-2010, "Duplicate order sent.")),
]
FORBIDDEN = [(403, "<html>firewall</html>"), (403, {"message": "Forbidden"}), (403, coded(0, "Forbidden"))]
"""By whatever stands before the exchange, on the way there or back."""


@EVERYWHERE
@DONE
@pytest.mark.parametrize(("status", "body"), [*UNKNOWN, *FORBIDDEN])
async def test_an_answer_that_does_not_say_leaves_the_outcome_unknown(
    exchange: LocalBinance, api: BinanceApi, pair: str, done: bool, status: int, body: object
) -> None:
    exchange.faults.answer(POST[pair], status, body, carried_out=done)
    with pytest.raises(UnknownOutcome) as caught:
        await api.place(buy(pair, SIZE[pair]))
    assert caught.value.code == "VEN-002"
    assert exchange.journal.orders_sent() == {"order1": 1}
    assert (await api.order(pair, "order1") is not None) == done


@EVERYWHERE
@DONE
async def test_a_broken_connection_leaves_the_outcome_unknown(
    exchange: LocalBinance, api: BinanceApi, pair: str, done: bool
) -> None:
    (exchange.faults.drop_after if done else exchange.faults.drop_before)(POST[pair])
    with pytest.raises(UnknownOutcome, match="it may have been carried out") as caught:
        await api.place(buy(pair, SIZE[pair]))
    assert caught.value.code == "VEN-002"
    assert exchange.journal.orders_sent() == {"order1": 1}
    assert (await api.order(pair, "order1") is not None) == done


async def test_silence_leaves_the_outcome_unknown(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.prepare({})
    exchange.faults.hang(POST["BTC-PERP"], carried_out=True)
    with impatient(api), pytest.raises(UnknownOutcome, match="it may have been carried out"):
        await api.place(buy("BTC-PERP", "0.5"))
    assert exchange.journal.orders_sent() == {"order1": 1}
    assert await api.order("BTC-PERP", "order1") is not None


async def test_an_order_may_arrive_after_it_was_not_found(exchange: LocalBinance, api: BinanceApi) -> None:
    exchange.faults.arrive_late(POST["BTC-PERP"])
    with pytest.raises(UnknownOutcome):
        await api.place(buy("BTC-PERP", "0.5"))
    assert await api.order("BTC-PERP", "order1") is None
    exchange.clock.advance(4)
    exchange.deliver()
    found = await api.order("BTC-PERP", "order1")
    assert found is not None
    assert found.has_ended


async def test_an_order_that_arrives_after_its_window_is_not_carried_out(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    exchange.faults.arrive_late(POST["BTC-PERP"])
    with pytest.raises(UnknownOutcome):
        await api.place(buy("BTC-PERP", "0.5"))
    exchange.clock.advance(5.1)
    exchange.deliver()
    assert await api.order("BTC-PERP", "order1") is None


async def test_an_order_may_not_be_found_for_a_while(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.faults.answer(FIND["BTC-PERP"], 400, coded(-2013, "Order does not exist."), times=2)
    assert [await api.order("BTC-PERP", "order1") is None for _ in range(3)] == [True, True, False]


async def test_a_cancelled_wait_is_passed_on_and_recorded(
    exchange: LocalBinance, api: BinanceApi, calls: list[ApiCall]
) -> None:
    await api.filters()
    await api.account()
    exchange.faults.hang(POST["BTC-PERP"], carried_out=True)
    async with anyio.create_task_group() as group:
        group.start_soon(api.place, buy("BTC-PERP", "0.5"))
        await exchange.faults.hanging.wait()
        group.cancel_scope.cancel()
    assert (calls[-1].call, calls[-1].status) == ("fapiPrivatePostOrder", None)
    assert "cancelled" in calls[-1].text
    assert await api.order("BTC-PERP", "order1") is not None
    assert exchange.journal.orders_sent() == {"order1": 1}


async def test_without_a_connection_nothing_was_sent(exchange: LocalBinance) -> None:
    async with connected(exchange) as api:
        await api.filters()
        await api.account()
        await exchange.__aexit__()
        with pytest.raises(UnknownOutcome):
            # Over the connection of before, of which nobody knows that it is dead.
            await api.place(buy("BTC-PERP", "0.5"))
        with pytest.raises(Transient, match="it was not sent") as caught:
            await api.place(buy("BTC-PERP", "0.5"))
        assert caught.value.code == "VEN-003"


PASSING = [
    (503, coded(-1008, "Server is currently overloaded with other requests. Please try again in a few minutes.")),
    (400, coded(-1008, "Request throttled by system-level protection.")),
    (503, coded(-1016, "This service is no longer available.")),
    (400, coded(-1021, "Timestamp for this request is outside of the recvWindow.")),
    (400, coded(-1015, "Too many new orders; current limit is 300 orders per TEN_SECONDS.")),
    (429, coded(-1003, "Too many requests.")),
    (418, coded(-1003, "Way too many requests; IP banned until 1714521720000.")),
]


@EVERYWHERE
@pytest.mark.parametrize(("status", "body"), PASSING)
async def test_what_was_not_carried_out_may_be_sent_again(
    exchange: LocalBinance, api: BinanceApi, pair: str, status: int, body: object
) -> None:
    exchange.faults.answer(POST[pair], status, body)
    with pytest.raises(Transient):
        await api.place(buy(pair, SIZE[pair]))
    assert exchange.journal.orders_sent() == {"order1": 1}
    exchange.clock.advance(180)
    assert (await api.place(buy(pair, SIZE[pair]))).has_ended


@pytest.mark.parametrize("body", [coded(-1001, "Internal error."), coded(-1000, "Service Unavailable.")])
async def test_futures_call_a_failure_what_spot_leaves_open(
    exchange: LocalBinance, api: BinanceApi, body: dict[str, object]
) -> None:
    expected: dict[str, type[VenueError]] = {
        "BTC/USDT": UnknownOutcome,
        "BTC-PERP": Transient,
        "BTCUSD-PERP": Transient,
    }
    for pair, kind in expected.items():
        exchange.faults.answer(POST[pair], 503, body)
        with pytest.raises(kind):
            await api.place(buy(pair, SIZE[pair]))


@EVERYWHERE
@pytest.mark.parametrize(
    ("status", "code"),
    [(400, -1013), (403, -2010), (400, -2010), (400, -2019), (400, -4164), (400, -1111), (400, -9998)],
)
async def test_a_definite_refusal_is_final(
    exchange: LocalBinance, api: BinanceApi, pair: str, status: int, code: int
) -> None:
    exchange.faults.answer(POST[pair], status, coded(code, "no"))
    with pytest.raises(Rejected, match=f"{code} no"):
        await api.place(buy(pair, SIZE[pair]))
    assert await api.order(pair, "order1") is None


@EVERYWHERE
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, coded(-2015, "Invalid API-key, IP, or permissions for action.")),
        (400, coded(-2015, "Invalid API-key, IP, or permissions for action.")),
        (400, coded(-2014, "API-key format invalid.")),
        (400, coded(-1022, "Signature for this request is not valid.")),
        (401, coded(-1002, "You are not authorized to execute this request.")),
        (401, "<html>who are you</html>"),
    ],
)
async def test_a_key_that_does_not_serve_halts(
    exchange: LocalBinance, api: BinanceApi, pair: str, status: int, body: object
) -> None:
    exchange.faults.answer(POST[pair], status, body)
    with pytest.raises(AuthFailed) as caught:
        await api.place(buy(pair, SIZE[pair]))
    assert caught.value.code == "VEN-005"


async def test_a_key_revoked_after_it_has_served_is_no_rate_limit(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.prepare({"BTC-PERP": 5})
    await api.place(buy("BTC/USDT", "0.1"))
    exchange.revoked = True
    for ask in (
        api.place(buy("BTC/USDT", "0.1", client_id="order2")),
        api.order("BTC/USDT", "order1"),
        api.account(),
        api.cancel("BTC-PERP", "order1"),
    ):
        with pytest.raises(AuthFailed):
            await ask


@EVERYWHERE
@pytest.mark.parametrize(("status", "body"), [row for row in UNKNOWN if row[0] != 400])
async def test_what_only_reads_may_be_asked_again(
    exchange: LocalBinance, api: BinanceApi, pair: str, status: int, body: object
) -> None:
    exchange.faults.answer(FIND[pair], status, body)
    with pytest.raises(Transient):
        await api.order(pair, "order1")
    assert await api.order(pair, "order1") is None


READS = ["account", "open_orders", "filters", "fills", "payments"]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("how", ["drops", "garbage", "refuses", "revoked"])
async def test_every_reading_fails_as_one_that_may_be_repeated(
    exchange: LocalBinance, api: BinanceApi, read: str, how: str
) -> None:
    def ask():  # type: ignore[no-untyped-def]
        since = {"fills": ("BTC-PERP", exchange.clock.ns), "payments": (exchange.clock.ns,)}
        return getattr(api, read)(*since.get(read, ()))

    await ask()
    # A connection that is cut while it reads is used anew by the HTTP library itself.
    match how:
        case "drops":
            exchange.faults.drop_before("GET *", 4)
        case "garbage":
            exchange.faults.answer("GET *", 200, "[{]")
        case "refuses":
            exchange.faults.answer("GET *", 400, coded(-1100, "Illegal characters found in a parameter."))
        case "revoked":
            exchange.faults.answer("GET *", 401, coded(-2015, "Invalid API-key, IP, or permissions for action."))
    with pytest.raises(AuthFailed if how == "revoked" else Transient):
        await ask()
    exchange.faults.clear()
    await ask()


async def test_a_reading_that_hangs_may_be_repeated(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.account()
    exchange.faults.hang("GET /fapi/v3/positionRisk", carried_out=False)
    with impatient(api), pytest.raises(Transient, match="no answer came"):
        await api.account()
    assert (await api.account()).pairs == {"BTC-PERP", "ETH-PERP", "BTCUSD-PERP"}


async def _change(api: BinanceApi, what: str) -> object:
    inside = TransferTicket(client_id="move1", token="USDT", amount=HUNDRED, source=Wallet.SPOT, target=Wallet.LINEAR)
    outside = TransferTicket(
        client_id="move2",
        token="USDT",
        amount=HUNDRED,
        source=Wallet.SPOT,
        target=None,
        address=HOME.address,
        network=HOME.network,
    )
    match what:
        case "cancel":
            return await api.cancel("BTC-PERP", "order1")
        case "transfer":
            return await api.move(inside)
        case "withdrawal":
            return await api.move(outside)
        case "leverage":
            return await api.prepare({"BTC-PERP": 7})
        case _:
            return await api.countdown_cancel(60)


HUNDRED = buy("x", "100").amount
CHANGES = {
    "cancel": "DELETE /fapi/v1/order",
    "transfer": "POST /sapi/v1/asset/transfer",
    "withdrawal": "POST /sapi/v1/capital/withdraw/apply",
    "leverage": "POST /fapi/v1/leverage",
    "countdown": "POST /fapi/v1/countdownCancelAll",
}


@pytest.mark.parametrize("what", sorted(CHANGES))
async def test_every_change_is_sent_once_and_unknown_without_an_answer(
    exchange: LocalBinance, api: BinanceApi, what: str
) -> None:
    exchange.faults.drop_after(CHANGES[what], 2)
    with pytest.raises(UnknownOutcome):
        await _change(api, what)
    # The HTTP library repeats a DELETE over a dead connection, which by its id changes nothing the second time.
    assert len(exchange.journal.of(CHANGES[what])) == (2 if what == "cancel" else 1)


@pytest.mark.parametrize("what", sorted(CHANGES))
async def test_every_change_that_is_refused_is_rejected(exchange: LocalBinance, api: BinanceApi, what: str) -> None:
    exchange.faults.answer(CHANGES[what], 400, coded(-1100, "Illegal characters found in a parameter."))
    with pytest.raises(Rejected) as caught:
        await _change(api, what)
    assert caught.value.code == "VEN-001"


async def test_every_request_is_recorded_with_how_it_ended(
    exchange: LocalBinance, api: BinanceApi, calls: list[ApiCall]
) -> None:
    await api.filters()
    exchange.faults.answer(POST["BTC-PERP"], 400, coded(-2019, "Margin is insufficient."))
    with pytest.raises(Rejected):
        await api.place(buy("BTC-PERP", "0.5"))
    refused = calls[-1]
    assert (refused.venue, refused.call, refused.status, refused.code) == (
        "binance",
        "fapiPrivatePostOrder",
        400,
        "-2019",
    )
    assert refused.params["quantity"] == "0.5"
    assert len(calls) == len(exchange.journal.requests)
