"""Whatever happens to a request at an exchange other than Binance, it is sent once, and the error says what is known.

Each row of a table is one thing that a connection or an exchange does; what the exchange has done is looked up there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from tests.exchange.server import LocalExchange
from tests.exchange.worlds import HOMES, connected, impatient
from tests.venues.wire.speech import SPEECHES, Speech
from tests.venues.wire.tickets import buy

from basis_actors.errors import AuthFailed, Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import TransferTicket, Wallet
from basis_actors.venues.wire.adapter import Adapter
from basis_actors.venues.wire.answers import ApiCall

DONE = pytest.mark.parametrize("done", [True, False], ids=["carried out", "not carried out"])
PERP = "BTC-PERP"


def each(name: str) -> pytest.MarkDecorator:
    """Every row of a table, of every exchange."""
    rows = [(venue, number) for venue, speech in SPEECHES.items() for number in range(len(getattr(speech, name)))]
    return pytest.mark.parametrize(("speech", "row"), rows, indirect=["speech"])


EVERYWHERE = pytest.mark.parametrize(
    ("speech", "pair"),
    [(venue, pair) for venue, speech in SPEECHES.items() for pair in speech.sizes],
    indirect=["speech"],
)


@pytest.fixture(params=SPEECHES)
def speech(request: pytest.FixtureRequest) -> Speech:
    """Each exchange in turn."""
    return SPEECHES[request.param]


@pytest.fixture
async def exchange(speech: Speech) -> AsyncIterator[LocalExchange]:
    """The exchange."""
    async with speech.funded() as running:
        yield running


@pytest.fixture
async def api(exchange: LocalExchange, calls: list[ApiCall]) -> AsyncIterator[Adapter]:
    """The adapter."""
    async with connected(exchange, record=calls.append) as ready:
        yield ready


def sent(exchange: LocalExchange, speech: Speech) -> dict[str, int]:
    return dict(exchange.journal.orders_sent(speech.id_name))


@each("unknown")
@DONE
async def test_an_answer_that_does_not_say_leaves_the_outcome_unknown(
    exchange: LocalExchange, api: Adapter, speech: Speech, row: int, done: bool
) -> None:
    status, body = speech.unknown[row]
    exchange.faults.answer(speech.place, status, body, carried_out=done)
    with pytest.raises(UnknownOutcome) as caught:
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert caught.value.code == "VEN-002"
    assert sent(exchange, speech) == {"order1": 1}
    assert (await api.order(PERP, "order1") is not None) == done


@DONE
@pytest.mark.parametrize("body", ["<html>firewall</html>", {"message": "Forbidden"}])
async def test_an_order_that_is_forbidden_without_a_word_of_the_exchange_may_have_been_carried_out(
    exchange: LocalExchange, api: Adapter, speech: Speech, body: object, done: bool
) -> None:
    exchange.faults.answer(speech.place, 403, body, carried_out=done)
    with pytest.raises(UnknownOutcome, match=r"403 .*it may have been carried out"):
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert sent(exchange, speech) == {"order1": 1}
    assert (await api.order(PERP, "order1") is not None) == done


@DONE
async def test_brackets_without_end_leave_the_outcome_unknown(
    exchange: LocalExchange, api: Adapter, speech: Speech, done: bool
) -> None:
    exchange.faults.answer(speech.place, 200, '{"x": ' + "[" * 20_000, carried_out=done)
    with pytest.raises(UnknownOutcome, match="it may have been carried out"):
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert sent(exchange, speech) == {"order1": 1}
    assert (await api.order(PERP, "order1") is not None) == done


@EVERYWHERE
@DONE
async def test_a_broken_connection_leaves_the_outcome_unknown(
    exchange: LocalExchange, api: Adapter, speech: Speech, pair: str, done: bool
) -> None:
    (exchange.faults.drop_after if done else exchange.faults.drop_before)(speech.place)
    with pytest.raises(UnknownOutcome, match="it may have been carried out"):
        await api.place(buy(pair, speech.sizes[pair]))
    assert sent(exchange, speech) == {"order1": 1}
    assert (await api.order(pair, "order1") is not None) == done


async def test_silence_leaves_the_outcome_unknown(exchange: LocalExchange, api: Adapter, speech: Speech) -> None:
    await api.prepare({})
    exchange.faults.hang(speech.place, carried_out=True)
    with impatient(api), pytest.raises(UnknownOutcome, match="it may have been carried out"):
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert sent(exchange, speech) == {"order1": 1}
    assert await api.order(PERP, "order1") is not None


@pytest.mark.parametrize("early", [True, False])
async def test_an_order_may_arrive_later_but_not_after_its_window(
    exchange: LocalExchange, api: Adapter, speech: Speech, early: bool
) -> None:
    exchange.faults.arrive_late(speech.place)
    with pytest.raises(UnknownOutcome):
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert await api.order(PERP, "order1") is None
    exchange.clock.advance(speech.window_seconds + (-0.5 if early else 0.5))
    exchange.deliver()
    assert (await api.order(PERP, "order1") is not None) == early


async def test_an_order_may_not_be_found_for_a_while(exchange: LocalExchange, api: Adapter, speech: Speech) -> None:
    await api.place(buy(PERP, speech.sizes[PERP], "50000"))
    exchange.faults.answer(speech.find, *speech.absent, times=2)
    assert [await api.order(PERP, "order1") is None for _ in range(3)] == [True, True, False]


async def test_a_cancelled_wait_is_passed_on_and_recorded(
    exchange: LocalExchange, api: Adapter, speech: Speech, calls: list[ApiCall]
) -> None:
    await api.prepare({})
    exchange.faults.hang(speech.place, carried_out=True)
    async with anyio.create_task_group() as group:
        group.start_soon(api.place, buy(PERP, speech.sizes[PERP]))
        await exchange.faults.hanging.wait()
        group.cancel_scope.cancel()
    assert (calls[-1].status, "cancelled" in calls[-1].text) == (None, True)
    assert await api.order(PERP, "order1") is not None
    assert sent(exchange, speech) == {"order1": 1}


async def test_without_a_connection_nothing_was_sent(exchange: LocalExchange, api: Adapter, speech: Speech) -> None:
    await api.prepare({})
    await exchange.__aexit__()
    with pytest.raises(UnknownOutcome):
        # Over the connection of before, of which nobody knows that it is dead.
        await api.place(buy(PERP, speech.sizes[PERP]))
    said = r": no connection to 127\.0\.0\.1:\d+: Connect call failed .*; it was not sent"
    with pytest.raises(Transient, match=said) as caught:
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert caught.value.code == "VEN-003"


@each("passing")
async def test_what_passes_was_not_carried_out_and_may_be_sent_again(
    exchange: LocalExchange, api: Adapter, speech: Speech, row: int
) -> None:
    exchange.faults.answer(speech.place, *speech.coded(speech.passing[row], "later"))
    with pytest.raises(Transient, match="it was not carried out") as caught:
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert caught.value.code == "VEN-003"
    assert (await api.place(buy(PERP, speech.sizes[PERP]))).has_ended
    assert sent(exchange, speech) == {"order1": 2}


@each("limited")
async def test_a_limit_silences_what_it_is_about_for_a_moment_and_nothing_else(
    exchange: LocalExchange, api: Adapter, speech: Speech, row: int
) -> None:
    await api.prepare({})
    await api.place(buy(PERP, speech.sizes[PERP], "50000", "waiting"))
    exchange.faults.answer(speech.place, *speech.coded(speech.limited[row], "Too many visits!"))
    with pytest.raises(Transient) as caught:
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert caught.value.code == "VEN-006"
    before = len(exchange.journal.requests)
    with pytest.raises(Transient, match=r"wants to be left alone until 2024-05-01T00:00:0\dZ; nothing is sent"):
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert len(exchange.journal.requests) == before
    await api.cancel(PERP, "waiting")
    assert await api.open_orders() == ()
    exchange.clock.advance(5)
    assert (await api.place(buy(PERP, speech.sizes[PERP]))).has_ended


@each("banned")
async def test_a_ban_silences_the_whole_exchange(
    exchange: LocalExchange, api: Adapter, speech: Speech, row: int
) -> None:
    await api.prepare({})
    exchange.faults.answer(speech.positions, *speech.banned[row])
    with pytest.raises(Transient, match="not carried out, and bybit bans this address") as caught:
        await api.account()
    assert caught.value.code == "VEN-003"
    before = len(exchange.journal.requests)
    exchange.clock.advance(599)
    for ask in (api.account(), api.place(buy(PERP, "0.5")), api.cancel(PERP, "order1"), api.filters()):
        with pytest.raises(Transient, match="bans this address and wants to be left alone until 2024-05-01T00:10:00Z"):
            await ask
    assert len(exchange.journal.requests) == before
    exchange.clock.advance(1)
    assert (await api.account()).pairs


async def test_a_burst_of_orders_is_held_back_here_and_a_reduction_still_goes(
    exchange: LocalExchange, api: Adapter, speech: Speech
) -> None:
    await api.prepare({})
    await api.place(buy(PERP, speech.sizes[PERP], client_id="opening"))
    exchange.clock.advance(10)
    refused = ""
    for number in range(100):
        try:
            await api.place(buy(PERP, speech.sizes[PERP], "50000", f"burst{number}"))
        except Transient as error:
            refused = f"{error.code} {error.message}"
            break
    went = len(exchange.account.open_orders())
    assert refused.startswith("VEN-006")
    assert "budget" in refused
    assert (went, len(exchange.journal.of(speech.place))) == (number, number + 1)
    assert number > 3
    closing = buy(PERP, speech.sizes[PERP], client_id="closing", buys=False, reduce_only=True)
    assert (await api.place(closing)).has_ended
    await api.cancel(PERP, "burst0")
    exchange.clock.advance(10)
    await api.place(buy(PERP, speech.sizes[PERP], "50000", "later"))
    assert len(exchange.account.open_orders()) == went


@each("refusals")
async def test_a_definite_refusal_is_final(exchange: LocalExchange, api: Adapter, speech: Speech, row: int) -> None:
    code = speech.refusals[row]
    exchange.faults.answer(speech.place, *speech.coded(code, "no"))
    with pytest.raises(Rejected, match=f"{code} no") as caught:
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert caught.value.code == "EXEC-004"
    assert await api.order(PERP, "order1") is None


@each("unauthorised")
async def test_a_key_that_does_not_serve_halts(exchange: LocalExchange, api: Adapter, speech: Speech, row: int) -> None:
    status, body = speech.unauthorised[row]
    exchange.faults.answer(speech.place, status, body)
    with pytest.raises(AuthFailed) as caught:
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert caught.value.code == "VEN-005"


async def test_a_key_revoked_after_it_has_served_is_no_rate_limit(
    exchange: LocalExchange, api: Adapter, speech: Speech
) -> None:
    await api.prepare({PERP: 5})
    await api.place(buy(PERP, speech.sizes[PERP]))
    exchange.revoked = True
    for ask in (
        api.place(buy(PERP, speech.sizes[PERP], client_id="order2")),
        api.order(PERP, "order1"),
        api.account(),
        api.cancel(PERP, "order1"),
        api.prepare({}),
    ):
        with pytest.raises(AuthFailed):
            await ask


async def test_a_wrong_signature_is_refused(exchange: LocalExchange, api: Adapter) -> None:
    api._caller._client._exchange.secret = "another"
    with pytest.raises(AuthFailed):
        await api.account()
    assert not any(request.carried_out for request in exchange.journal.requests[-1:])


@each("unknown")
async def test_what_only_reads_may_be_asked_again(
    exchange: LocalExchange, api: Adapter, speech: Speech, row: int
) -> None:
    status, body = speech.unknown[row]
    exchange.faults.answer(speech.positions, status, body)
    with pytest.raises(Transient):
        await api.account()
    assert (await api.account()).pairs


@pytest.mark.parametrize("read", ["account", "open_orders", "filters", "fills", "payments"])
@pytest.mark.parametrize("how", ["drops", "garbage", "refuses", "revoked"])
async def test_every_reading_fails_as_one_that_may_be_repeated(
    exchange: LocalExchange, api: Adapter, speech: Speech, read: str, how: str
) -> None:
    def ask():  # type: ignore[no-untyped-def]
        since = {"fills": (PERP, exchange.clock.ns), "payments": (exchange.clock.ns,)}
        return getattr(api, read)(*since.get(read, ()))

    await ask()
    # A connection that is cut while it reads is used anew by the HTTP library itself.
    match how:
        case "drops":
            exchange.faults.drop_before("GET *", 4)
        case "garbage":
            exchange.faults.answer("GET *", 200, "[{]")
        case "refuses":
            # Of a market that is not there, a refusal says as much; it is told by its absence.
            exchange.faults.answer("GET *", *speech.coded(speech.refusals[1], "no"))
        case "revoked":
            exchange.faults.answer("GET *", *speech.unauthorised[1])
    with pytest.raises(AuthFailed if how == "revoked" else Transient):
        await ask()
    exchange.faults.clear()
    await ask()


async def _change(api: Adapter, what: str) -> object:
    hundred = buy("x", "100").amount
    home = HOMES[api.venue]
    inside = TransferTicket(
        client_id="move1", token="USDT", amount=hundred, source=Wallet.UNIFIED, target=Wallet.FUNDING
    )
    outside = TransferTicket(
        client_id="move2",
        token="USDT",
        amount=hundred,
        source=Wallet.FUNDING,
        target=None,
        address=home.address,
        network=home.network,
    )
    match what:
        case "cancel":
            return await api.cancel(PERP, "order1")
        case "transfer":
            return await api.move(inside)
        case "withdraw":
            return await api.move(outside)
        case "leverage":
            return await api.prepare({PERP: 7})
        case _:
            return await api.countdown_cancel(60)


CHANGES = [
    (venue, what)
    for venue, speech in SPEECHES.items()
    for what in ("cancel", "transfer", "withdraw", "leverage", "countdown")
    if getattr(speech, what)
]


@pytest.mark.parametrize(("speech", "what"), CHANGES, indirect=["speech"])
async def test_every_change_is_sent_once_and_unknown_without_an_answer(
    exchange: LocalExchange, api: Adapter, speech: Speech, what: str
) -> None:
    route = getattr(speech, what)
    exchange.faults.drop_after(route, 2)
    with pytest.raises(UnknownOutcome):
        await _change(api, what)
    assert len(exchange.journal.of(route)) == 1


@pytest.mark.parametrize(("speech", "what"), CHANGES, indirect=["speech"])
async def test_every_change_that_is_refused_is_rejected(
    exchange: LocalExchange, api: Adapter, speech: Speech, what: str
) -> None:
    exchange.faults.answer(getattr(speech, what), *speech.coded(speech.refusals[0], "no"))
    with pytest.raises(Rejected) as caught:
        await _change(api, what)
    assert caught.value.code == "VEN-001"


async def test_every_request_is_recorded_with_how_it_ended(
    exchange: LocalExchange, api: Adapter, speech: Speech, calls: list[ApiCall]
) -> None:
    await api.filters()
    exchange.faults.answer(speech.place, *speech.coded(speech.refusals[0], "no"))
    with pytest.raises(Rejected):
        await api.place(buy(PERP, speech.sizes[PERP]))
    refused = calls[-1]
    assert (refused.venue, refused.code, refused.text) == (speech.venue, str(speech.refusals[0]), "no")
    assert refused.params[speech.id_name] == "order1"
    assert len(calls) == len(exchange.journal.requests)


@pytest.mark.parametrize("seconds", [60, -60])
async def test_a_clock_that_is_off_is_read_again_and_the_order_may_be_sent_again(
    exchange: LocalExchange, api: Adapter, speech: Speech, seconds: int
) -> None:
    await api.prepare({})
    exchange.clock.drift(seconds)
    readings = len(exchange.journal.of(speech.clock))
    with pytest.raises(Transient, match="it was not carried out, the clock has been read again"):
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert len(exchange.journal.of(speech.clock)) == readings + 1
    assert (await api.place(buy(PERP, speech.sizes[PERP]))).has_ended
    assert len(exchange.account.orders) == 1


@pytest.mark.parametrize(
    "body", ["{}", "garbage", '{"x": ' + "[" * 20_000, '{"retCode": 0, "code": "0", "data": [], "result": {}}']
)
async def test_an_exchange_that_tells_no_time_is_not_traded(
    exchange: LocalExchange, api: Adapter, speech: Speech, body: str
) -> None:
    await api.filters()
    exchange.faults.answer(speech.clock, 200, body)
    with pytest.raises(Transient, match="the answer cannot be read"):
        await api.place(buy(PERP, speech.sizes[PERP]))
    assert not sent(exchange, speech)


async def test_requests_carry_the_exchanges_time_and_not_the_computers(exchange: LocalExchange, api: Adapter) -> None:
    await api.account()
    exchange.clock.advance(700)
    # A stamp of twelve minutes ago, or of the machine's calendar, is refused.
    assert await api.order(PERP, "nobody") is None
