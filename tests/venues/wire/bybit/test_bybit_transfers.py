"""Tokens move between Bybit's purses and leave only to addresses that are listed; what became of it is asked for."""

from decimal import Decimal
from uuid import UUID

import pytest
from tests.exchange.bybit import LocalBybit
from tests.exchange.worlds import HOME

from basis_actors.errors import Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import TransferState, TransferTicket, Wallet
from basis_actors.venues.wire.bybit import BybitApi

MOVE, SEND = "POST /v5/asset/transfer/inter-transfer", "POST /v5/asset/withdraw/create"
HUNDRED = Decimal(100)


def inside(source: Wallet, target: Wallet, amount: Decimal = HUNDRED, client_id: str = "move1") -> TransferTicket:
    return TransferTicket(client_id=client_id, token="USDT", amount=amount, source=source, target=target)


def outside(client_id: str = "out1", amount: Decimal = HUNDRED, **changed: object) -> TransferTicket:
    fields = {"token": HOME.token, "network": HOME.network, "address": HOME.address, "source": Wallet.UNIFIED} | changed
    return TransferTicket(client_id=client_id, amount=amount, target=None, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("source", "target"), [(Wallet.UNIFIED, Wallet.FUNDING), (Wallet.FUNDING, Wallet.UNIFIED)])
async def test_tokens_move_between_purses(exchange: LocalBybit, api: BybitApi, source: Wallet, target: Wallet) -> None:
    sent_ns = exchange.clock.ns
    ticket = inside(source, target)
    before = exchange.account.purses[target]["USDT"]
    report = await api.move(ticket)
    assert (report.state, report.fee) == (TransferState.DONE, 0)
    assert exchange.account.purses[target]["USDT"] - before == HUNDRED
    assert await api.moved(ticket, sent_ns) == report


async def test_the_id_of_a_transfer_is_a_uuid_and_always_the_same(exchange: LocalBybit, api: BybitApi) -> None:
    for number in range(2):
        await api.move(inside(Wallet.UNIFIED, Wallet.FUNDING, client_id=f"move{number}"))
    first, second = (UUID(request.params["transferId"]) for request in exchange.journal.of(MOVE))
    assert first != second
    found = await api.moved(inside(Wallet.UNIFIED, Wallet.FUNDING, client_id="move0"), exchange.clock.ns)
    assert found is not None
    assert found.venue_transfer_id == str(first)


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_transfer_without_an_answer_is_found_by_its_id(
    exchange: LocalBybit, api: BybitApi, carried_out: bool
) -> None:
    # Another one of the same amount the same way is not it.
    await api.move(inside(Wallet.UNIFIED, Wallet.FUNDING, client_id="another"))
    sent_ns, ticket = exchange.clock.ns, inside(Wallet.UNIFIED, Wallet.FUNDING)
    exchange.faults.answer(MOVE, 502, "<html>bad gateway</html>", carried_out=carried_out)
    with pytest.raises(UnknownOutcome):
        await api.move(ticket)
    exchange.clock.advance(60)
    found = await api.moved(ticket, sent_ns)
    assert (found is not None) == carried_out
    assert len(exchange.journal.of(MOVE)) == 2


async def test_a_transfer_that_was_sent_twice_is_not_done_twice(exchange: LocalBybit, api: BybitApi) -> None:
    await api.move(inside(Wallet.UNIFIED, Wallet.FUNDING))
    with pytest.raises(UnknownOutcome, match="131214 TransferId exist"):
        await api.move(inside(Wallet.UNIFIED, Wallet.FUNDING))
    assert exchange.account.purses["funding"]["USDT"] == 1100


@pytest.mark.parametrize(
    ("said", "state"),
    [("PENDING", TransferState.PENDING), ("FAILED", TransferState.FAILED), ("STATUS_UNKNOWN", None)],
)
async def test_a_transfer_may_pend_or_fail(
    exchange: LocalBybit, api: BybitApi, said: str, state: TransferState | None
) -> None:
    ticket = inside(Wallet.UNIFIED, Wallet.FUNDING)
    await api.move(ticket)
    exchange.account.transfers[0].status = said
    if state is None:
        with pytest.raises(Transient, match="is 'STATUS_UNKNOWN'"):
            await api.moved(ticket, exchange.clock.ns)
        return
    found = await api.moved(ticket, exchange.clock.ns)
    assert found is not None
    assert found.state == state


@pytest.mark.parametrize(
    ("source", "target"), [(Wallet.SPOT, Wallet.UNIFIED), (Wallet.UNIFIED, Wallet.LINEAR), (Wallet.FUNDING,) * 2]
)
async def test_a_way_that_does_not_exist_is_not_taken(
    exchange: LocalBybit, api: BybitApi, source: Wallet, target: Wallet
) -> None:
    with pytest.raises(Rejected, match="was not sent: bybit moves tokens between unified and funding only"):
        await api.move(inside(source, target))
    assert not exchange.journal.of("POST *")


async def test_more_than_there_is_is_rejected(api: BybitApi) -> None:
    with pytest.raises(Rejected, match="131212 Insufficient balance"):
        await api.move(inside(Wallet.UNIFIED, Wallet.FUNDING, Decimal(1_000_000)))


@pytest.mark.parametrize(("source", "said"), [(Wallet.UNIFIED, "UTA"), (Wallet.FUNDING, "FUND")])
async def test_a_withdrawal_goes_to_a_listed_address(
    exchange: LocalBybit, api: BybitApi, source: Wallet, said: str
) -> None:
    sent_ns, ticket = exchange.clock.ns, outside(source=source)
    before = sum(purse["USDT"] for purse in exchange.account.purses.values())
    report = await api.move(ticket)
    assert (report.state, report.fee) == (TransferState.PENDING, 1)
    assert exchange.account.withdrawals[0].amount == HUNDRED
    assert before - sum(purse["USDT"] for purse in exchange.account.purses.values()) == HUNDRED + report.fee
    params = exchange.journal.of(SEND)[0].params
    expected = {"coin": "USDT", "chain": "ETH", "address": HOME.address, "amount": "100", "requestId": "out1"}
    assert {name: params[name] for name in expected} == expected
    assert (params["accountType"], params["forceChain"], params["feeType"]) == (said, "1", "0")
    found = await api.moved(ticket, sent_ns)
    assert found is not None
    assert (found.venue_transfer_id, found.state) == (report.venue_transfer_id, TransferState.PENDING)
    exchange.account.complete_withdrawals()
    found = await api.moved(ticket, sent_ns)
    assert found is not None
    assert (found.state, found.fee) == (TransferState.DONE, 1)


async def test_a_fee_may_be_a_share_of_what_leaves(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.wallet.percentage_fee = Decimal("0.2")
    report = await api.move(outside())
    # A fifth of 125 is 25, and 1 comes on top.
    assert report.fee == 26
    assert exchange.account.withdrawals[0].fee == 26


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
    exchange: LocalBybit, api: BybitApi, changed: dict[str, object]
) -> None:
    with pytest.raises(Rejected, match=r"is not among api\.withdrawal_addresses of bybit") as caught:
        await api.move(outside(**changed))  # type: ignore[arg-type]
    assert caught.value.code == "VEN-001"
    assert not exchange.journal.of("POST *")


async def test_a_withdrawal_waits_while_its_network_takes_none(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.account.sends_away = False
    with pytest.raises(Transient, match="bybit sends no USDT over ETH at present"):
        await api.move(outside())
    assert not exchange.journal.of("POST *")


async def test_a_listed_network_that_the_exchange_does_not_know_is_named(exchange: LocalBybit, api: BybitApi) -> None:
    body = {"retCode": 0, "retMsg": "success", "result": {"rows": []}}
    exchange.faults.answer("GET /v5/asset/coin/query-info", 200, body)
    with pytest.raises(Rejected, match="knows no network 'ETH' for USDT"):
        await api.move(outside())


async def test_nothing_is_withdrawn_from_any_other_purse(exchange: LocalBybit, api: BybitApi) -> None:
    with pytest.raises(Rejected, match="withdraws from unified and funding, not from linear"):
        await api.move(outside(source=Wallet.LINEAR))
    assert not exchange.journal.of("POST *")


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_withdrawal_without_an_answer_is_found_by_what_it_moved_where_to_and_when(
    exchange: LocalBybit, api: BybitApi, carried_out: bool
) -> None:
    await api.move(outside())
    exchange.clock.advance(60)
    sent_ns = exchange.clock.ns
    await api.move(outside("out2", Decimal(101)))
    exchange.faults.answer(SEND, 504, "", carried_out=carried_out)
    with pytest.raises(UnknownOutcome):
        await api.move(outside("out3"))
    found = await api.moved(outside("out3"), sent_ns)
    assert (found is not None) == carried_out
    if found is not None:
        assert found.venue_transfer_id == exchange.account.withdrawals[2].name
    exchange.clock.advance(40 * 86_400)
    assert (await api.moved(outside("out3"), sent_ns) is not None) == carried_out


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("CancelByUser", "failed"),
        ("Reject", "failed"),
        ("Fail", "failed"),
        ("SecurityCheck", "pending"),
        ("BlockchainConfirmed", "pending"),
        ("Unknown", None),
    ],
)
async def test_a_withdrawal_may_be_turned_down(
    exchange: LocalBybit, api: BybitApi, status: str, state: str | None
) -> None:
    await api.move(outside())
    exchange.account.withdrawals[0].status = status
    if state is None:
        with pytest.raises(Transient, match="has status 'Unknown'"):
            await api.moved(outside(), exchange.clock.ns)
        return
    found = await api.moved(outside(), exchange.clock.ns)
    assert found is not None
    assert found.state == state
