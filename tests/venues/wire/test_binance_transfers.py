"""Tokens move between purses and leave only to addresses that are listed; what became of it is found out by asking."""

from decimal import Decimal

import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.worlds import HOME
from tests.venues.wire.test_outcomes import HUNDRED

from basis_actors.errors import Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import TransferState, TransferTicket, Wallet
from basis_actors.venues.wire.binance import BinanceApi

MOVE, SEND = "POST /sapi/v1/asset/transfer", "POST /sapi/v1/capital/withdraw/apply"


def inside(source: Wallet, target: Wallet, token: str = "USDT", amount: Decimal = HUNDRED) -> TransferTicket:
    return TransferTicket(client_id="move1", token=token, amount=amount, source=source, target=target)


def outside(**changed: object) -> TransferTicket:
    fields = {"token": HOME.token, "network": HOME.network, "address": HOME.address, "source": Wallet.SPOT} | changed
    return TransferTicket(client_id="out1", amount=HUNDRED, target=None, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "target", "token"),
    [
        (Wallet.SPOT, Wallet.LINEAR, "USDT"),
        (Wallet.LINEAR, Wallet.SPOT, "USDT"),
        (Wallet.SPOT, Wallet.INVERSE, "BTC"),
        (Wallet.INVERSE, Wallet.SPOT, "BTC"),
        (Wallet.SPOT, Wallet.FUNDING, "USDT"),
    ],
)
async def test_tokens_move_between_purses(
    exchange: LocalBinance, api: BinanceApi, source: Wallet, target: Wallet, token: str
) -> None:
    sent_ns = exchange.clock.ns
    ticket = inside(source, target, token, Decimal("0.5"))
    before = dict(exchange.account.purses[target])
    report = await api.move(ticket)
    assert (report.state, report.fee) == (TransferState.DONE, 0)
    assert exchange.account.purses[target][token] - before.get(token, 0) == Decimal("0.5")
    assert await api.moved(ticket, sent_ns) == report


async def test_a_transfer_without_an_answer_is_found_by_what_it_moved_and_when(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    ticket = inside(Wallet.SPOT, Wallet.LINEAR)
    await api.move(ticket)
    exchange.clock.advance(60)
    sent_ns = exchange.clock.ns
    for carried_out in (False, True):
        exchange.faults.answer(MOVE, 502, "<html>bad gateway</html>", carried_out=carried_out)
        with pytest.raises(UnknownOutcome):
            await api.move(ticket)
        assert (await api.moved(ticket, sent_ns) is not None) == carried_out
    await api.move(inside(Wallet.SPOT, Wallet.LINEAR, amount=Decimal(101)))
    found = await api.moved(ticket, sent_ns)
    assert found is not None
    assert found.time_ns == sent_ns


async def test_a_transfer_is_looked_for_on_every_page(exchange: LocalBinance, api: BinanceApi) -> None:
    sent_ns = exchange.clock.ns
    ticket = inside(Wallet.SPOT, Wallet.LINEAR)
    report = await api.move(ticket)
    for number in range(230):
        exchange.account.move("spot", "linear", "MAIN_UMFUTURE", "USDT", Decimal(number + 200) / 10)
    found = await api.moved(ticket, sent_ns)
    assert found is not None
    assert found.venue_transfer_id == report.venue_transfer_id


@pytest.mark.parametrize(
    ("said", "state"), [("PENDING", TransferState.PENDING), ("FAILED", TransferState.FAILED), ("LOST", None)]
)
async def test_a_transfer_may_pend_or_fail(
    exchange: LocalBinance, api: BinanceApi, said: str, state: TransferState | None
) -> None:
    ticket = inside(Wallet.SPOT, Wallet.LINEAR)
    await api.move(ticket)
    exchange.account.transfers[0].status = said
    if state is None:
        with pytest.raises(Transient, match="is 'LOST'"):
            await api.moved(ticket, exchange.clock.ns)
        return
    found = await api.moved(ticket, exchange.clock.ns)
    assert found is not None
    assert found.state == state


@pytest.mark.parametrize(
    ("source", "target"), [(Wallet.LINEAR, Wallet.INVERSE), (Wallet.UNIFIED, Wallet.SPOT), (Wallet.SPOT, Wallet.SPOT)]
)
async def test_a_way_that_does_not_exist_is_not_taken(
    exchange: LocalBinance, api: BinanceApi, source: Wallet, target: Wallet
) -> None:
    with pytest.raises(Rejected, match="was not sent: binance moves nothing"):
        await api.move(inside(source, target))
    assert not exchange.journal.of("POST *")


async def test_more_than_there_is_is_rejected(api: BinanceApi) -> None:
    with pytest.raises(Rejected, match="-5013"):
        await api.move(inside(Wallet.SPOT, Wallet.LINEAR, amount=Decimal(1_000_000)))


async def test_a_withdrawal_goes_to_a_listed_address(exchange: LocalBinance, api: BinanceApi) -> None:
    ticket = outside()
    report = await api.move(ticket)
    assert (report.state, report.fee) == (TransferState.PENDING, 1)
    assert exchange.account.withdrawals[0].amount == HUNDRED
    params = exchange.journal.of(SEND)[0].params
    assert (params["coin"], params["network"], params["address"], params["amount"], params["withdrawOrderId"]) == (
        "USDT",
        "ETH",
        HOME.address,
        "101",
        "out1",
    )
    found = await api.moved(ticket, exchange.clock.ns)
    assert found is not None
    assert (found.venue_transfer_id, found.state) == (report.venue_transfer_id, TransferState.PENDING)
    exchange.account.complete_withdrawals()
    found = await api.moved(ticket, exchange.clock.ns)
    assert found is not None
    assert (found.state, found.fee) == (TransferState.DONE, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"address": "0x00000000000000000000000000000000000000ab"},
        {"network": "TRX"},
        {"token": "BTC"},
        {"address": None},
        {"network": None},
        {"address": HOME.address.upper()},
    ],
)
async def test_to_any_other_place_nothing_is_sent(
    exchange: LocalBinance, api: BinanceApi, changed: dict[str, object]
) -> None:
    with pytest.raises(Rejected, match=r"is not among api\.withdrawal_addresses of binance") as caught:
        await api.move(outside(**changed))
    assert caught.value.code == "VEN-001"
    assert not exchange.journal.of("POST *")


async def test_a_withdrawal_waits_while_its_network_takes_none(exchange: LocalBinance, api: BinanceApi) -> None:
    exchange.account.sends_away = False
    with pytest.raises(Transient, match="binance sends no USDT over ETH at present"):
        await api.move(outside())
    assert not exchange.journal.of("POST *")


async def test_a_listed_network_that_the_exchange_does_not_know_is_named(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    exchange.faults.answer("GET /sapi/v1/capital/config/getall", 200, [])
    with pytest.raises(Rejected, match="knows no network 'ETH' for USDT"):
        await api.move(outside())


async def test_a_withdrawal_is_found_weeks_later(exchange: LocalBinance, api: BinanceApi) -> None:
    sent_ns = exchange.clock.ns
    await api.move(outside())
    exchange.clock.advance(30 * 86_400)
    assert await api.moved(outside(), sent_ns) is not None


async def test_nothing_is_withdrawn_from_margin(exchange: LocalBinance, api: BinanceApi) -> None:
    with pytest.raises(Rejected, match="withdraws from spot and funding, not from linear"):
        await api.move(outside(source=Wallet.LINEAR))
    assert not exchange.journal.of("POST *")


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_withdrawal_without_an_answer_is_found_by_its_id(
    exchange: LocalBinance, api: BinanceApi, carried_out: bool
) -> None:
    sent_ns = exchange.clock.ns
    exchange.faults.answer(SEND, 504, "", carried_out=carried_out)
    with pytest.raises(UnknownOutcome):
        await api.move(outside())
    assert (await api.moved(outside(), sent_ns) is not None) == carried_out
    assert len(exchange.journal.of(SEND)) == 1


@pytest.mark.parametrize(("status", "state"), [(1, "failed"), (3, "failed"), (5, "failed"), (0, "pending"), (9, None)])
async def test_a_withdrawal_may_be_turned_down(
    exchange: LocalBinance, api: BinanceApi, status: int, state: str | None
) -> None:
    await api.move(outside())
    exchange.account.withdrawals[0].status = status
    if state is None:
        with pytest.raises(Transient, match="has status 9"):
            await api.moved(outside(), exchange.clock.ns)
        return
    found = await api.moved(outside(), exchange.clock.ns)
    assert found is not None
    assert found.state == state
