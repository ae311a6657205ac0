"""Tokens move between OKX's purses and leave only to addresses that are listed; what became of it is asked for."""

from decimal import Decimal

import pytest
from tests.exchange.okx import LocalOkx
from tests.exchange.worlds import HOMES

from basis_actors.errors import Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import TransferState, TransferTicket, Wallet
from basis_actors.venues.wire.okx import OkxApi

MOVE, SEND = "POST /api/v5/asset/transfer", "POST /api/v5/asset/withdrawal"
HOME = HOMES["okx"]
HUNDRED, MUCH = Decimal(100), Decimal(5000)
DAY = 86_400


def inside(source: Wallet, target: Wallet, amount: Decimal = HUNDRED, client_id: str = "move1") -> TransferTicket:
    return TransferTicket(client_id=client_id, token="USDT", amount=amount, source=source, target=target)


def outside(client_id: str = "out1", amount: Decimal = HUNDRED, **changed: object) -> TransferTicket:
    fields = {"token": HOME.token, "network": HOME.network, "address": HOME.address, "source": Wallet.UNIFIED} | changed
    return TransferTicket(client_id=client_id, amount=amount, target=None, **fields)  # type: ignore[arg-type]


def held(exchange: LocalOkx) -> Decimal:
    return sum((purse["USDT"] for purse in exchange.account.purses.values()), Decimal(0))


@pytest.mark.parametrize(
    ("source", "target", "said"), [(Wallet.UNIFIED, Wallet.FUNDING, "18>6"), (Wallet.FUNDING, Wallet.UNIFIED, "6>18")]
)
async def test_tokens_move_between_purses(
    exchange: LocalOkx, api: OkxApi, source: Wallet, target: Wallet, said: str
) -> None:
    ticket = inside(source, target, Decimal("100.10"))
    before = exchange.account.purses[target]["USDT"]
    report = await api.move(ticket)
    # That it was taken is all that is said at first.
    assert (report.state, report.fee) == (TransferState.PENDING, 0)
    assert exchange.account.purses[target]["USDT"] - before == ticket.amount
    params = exchange.journal.of(MOVE)[0].params
    assert (params["amt"], f"{params['from']}>{params['to']}", params["clientId"]) == ("100.1", said, "move1")
    found = await api.moved(ticket, exchange.clock.ns)
    assert found is not None
    assert (found.state, found.venue_transfer_id, found.client_id) == (
        TransferState.DONE,
        report.venue_transfer_id,
        "move1",
    )
    assert (found.fee, found.time_ns) == (0, exchange.clock.ns)


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_transfer_without_an_answer_is_found_by_its_id(
    exchange: LocalOkx, api: OkxApi, carried_out: bool
) -> None:
    await api.move(inside(Wallet.UNIFIED, Wallet.FUNDING, client_id="another"))
    sent_ns, ticket = exchange.clock.ns, inside(Wallet.UNIFIED, Wallet.FUNDING)
    exchange.faults.answer(MOVE, 502, "<html>bad gateway</html>", carried_out=carried_out)
    with pytest.raises(UnknownOutcome):
        await api.move(ticket)
    exchange.clock.advance(60)
    assert (await api.moved(ticket, sent_ns) is not None) == carried_out
    assert len(exchange.journal.of(MOVE)) == 2


async def test_a_transfer_that_was_sent_twice_is_not_done_twice(exchange: LocalOkx, api: OkxApi) -> None:
    await api.move(inside(Wallet.UNIFIED, Wallet.FUNDING))
    exchange.clock.advance(1)
    with pytest.raises(UnknownOutcome, match="58124 Your transfer is in progress"):
        await api.move(inside(Wallet.UNIFIED, Wallet.FUNDING))
    assert exchange.account.purses["funding"]["USDT"] == 1100


@pytest.mark.parametrize(
    ("said", "state"), [("pending", TransferState.PENDING), ("failed", TransferState.FAILED), ("lost", None)]
)
async def test_a_transfer_may_pend_or_fail(
    exchange: LocalOkx, api: OkxApi, said: str, state: TransferState | None
) -> None:
    ticket = inside(Wallet.UNIFIED, Wallet.FUNDING)
    await api.move(ticket)
    exchange.account.transfers[0].status = said
    if state is None:
        with pytest.raises(Transient, match="is 'lost'"):
            await api.moved(ticket, exchange.clock.ns)
        return
    found = await api.moved(ticket, exchange.clock.ns)
    assert found is not None
    assert found.state == state


async def test_a_transfer_of_another_id_is_not_ours(exchange: LocalOkx, api: OkxApi) -> None:
    row = {"transId": "1", "clientId": "another", "state": "success"}
    exchange.faults.answer("GET /api/v5/asset/transfer-state", 200, {"code": "0", "msg": "", "data": [row]})
    assert await api.moved(inside(Wallet.UNIFIED, Wallet.FUNDING), exchange.clock.ns) is None


@pytest.mark.parametrize("rows", [0, 2])
async def test_a_transfer_that_is_not_named_may_have_been_done(exchange: LocalOkx, api: OkxApi, rows: int) -> None:
    body = {"code": "0", "msg": "", "data": [{"transId": "1"}] * rows}
    exchange.faults.answer(MOVE, 200, body)
    with pytest.raises(UnknownOutcome, match=f"it has {rows} rows, one was expected"):
        await api.move(inside(Wallet.UNIFIED, Wallet.FUNDING))


@pytest.mark.parametrize(
    ("source", "target"), [(Wallet.SPOT, Wallet.UNIFIED), (Wallet.UNIFIED, Wallet.LINEAR), (Wallet.FUNDING,) * 2]
)
async def test_a_way_that_does_not_exist_is_not_taken(
    exchange: LocalOkx, api: OkxApi, source: Wallet, target: Wallet
) -> None:
    with pytest.raises(Rejected, match="was not sent: okx moves tokens between unified and funding only"):
        await api.move(inside(source, target))
    assert not exchange.journal.of("POST *")


async def test_more_than_there_is_is_rejected(api: OkxApi) -> None:
    with pytest.raises(Rejected, match="58350 Insufficient balance"):
        await api.move(inside(Wallet.UNIFIED, Wallet.FUNDING, Decimal(1_000_000)))


@pytest.mark.parametrize("source", [Wallet.UNIFIED, Wallet.FUNDING])
async def test_a_withdrawal_goes_to_a_listed_address(exchange: LocalOkx, api: OkxApi, source: Wallet) -> None:
    ticket, before = outside(source=source), held(exchange)
    report = await api.move(ticket)
    assert (report.state, report.fee, report.client_id) == (TransferState.PENDING, 1, "out1")
    assert exchange.account.withdrawals[0].amount == HUNDRED
    assert before - held(exchange) == HUNDRED + report.fee
    assert exchange.journal.of(SEND)[0].params == {
        "ccy": "USDT",
        "chain": "USDT-ERC20",
        "toAddr": HOME.address,
        "amt": "100",
        "dest": "4",
        "clientId": "out1",
    }
    # The funding purse has enough.
    assert not exchange.journal.of(MOVE)
    sent_ns = exchange.clock.ns
    exchange.clock.advance(DAY)
    found = await api.moved(ticket, sent_ns)
    assert found is not None
    assert (found.venue_transfer_id, found.state) == (report.venue_transfer_id, TransferState.PENDING)
    exchange.account.complete_withdrawals()
    found = await api.moved(ticket, sent_ns)
    assert found is not None
    assert (found.state, found.fee, found.time_ns) == (TransferState.DONE, 1, sent_ns)


async def test_what_the_funding_purse_lacks_is_brought_there_first(exchange: LocalOkx, api: OkxApi) -> None:
    before = held(exchange)
    report = await api.move(outside(amount=MUCH))
    (brought,) = exchange.journal.of(MOVE)
    # The purse has 1,000, and the fee is 1.
    assert (brought.params["amt"], brought.params["from"], brought.params["to"]) == ("4001", "18", "6")
    assert brought.params["clientId"] != "out1"
    assert brought.params["clientId"].isalnum()
    assert exchange.account.withdrawals[0].amount == MUCH
    assert before - held(exchange) == MUCH + report.fee
    assert exchange.account.purses["funding"]["USDT"] == 0


async def test_from_the_funding_purse_only_what_is_there_is_withdrawn(exchange: LocalOkx, api: OkxApi) -> None:
    with pytest.raises(Rejected, match="58350 Insufficient balance"):
        await api.move(outside(amount=MUCH, source=Wallet.FUNDING))
    assert not exchange.journal.of(MOVE)


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_withdrawal_waits_while_nobody_knows_whether_the_purse_has_enough(
    exchange: LocalOkx, api: OkxApi, carried_out: bool
) -> None:
    exchange.faults.answer(MOVE, 504, "", carried_out=carried_out)
    with pytest.raises(Transient, match="withdrawal out1 was not sent: 4001 USDT may or may not have come") as caught:
        await api.move(outside(amount=MUCH))
    assert caught.value.code == "VEN-003"
    assert not exchange.journal.of(SEND)
    assert await api.moved(outside(amount=MUCH), exchange.clock.ns) is None
    exchange.clock.advance(1)
    await api.move(outside(amount=MUCH))
    assert len(exchange.journal.of(MOVE)) == (1 if carried_out else 2)
    assert len(exchange.account.withdrawals) == 1


async def test_a_withdrawal_of_more_than_there_is_is_rejected(exchange: LocalOkx, api: OkxApi) -> None:
    with pytest.raises(Rejected, match="58350 Insufficient balance"):
        await api.move(outside(amount=Decimal(1_000_000)))
    assert not exchange.journal.of(SEND)


async def test_a_token_may_be_burnt_besides_its_fee(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.wallet.burns = Decimal("0.05")
    before = held(exchange)
    report = await api.move(outside())
    assert report.fee == 6
    assert before - held(exchange) == 106


@pytest.mark.parametrize(
    "changed",
    [
        {"address": "0x00000000000000000000000000000000000000ab"},
        {"network": "USDT-TRC20"},
        {"token": "BTC"},
        {"address": None},
        {"network": None},
        {"address": HOME.address.upper()},
    ],
)
async def test_to_any_other_place_nothing_is_sent(exchange: LocalOkx, api: OkxApi, changed: dict[str, object]) -> None:
    with pytest.raises(Rejected, match=r"is not among api\.withdrawal_addresses of okx") as caught:
        await api.move(outside(**changed))  # type: ignore[arg-type]
    assert caught.value.code == "VEN-001"
    assert not exchange.journal.of("POST *")


async def test_a_withdrawal_waits_while_its_network_takes_none(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.account.sends_away = False
    with pytest.raises(Transient, match="okx sends no USDT over USDT-ERC20 at present"):
        await api.move(outside(amount=MUCH))
    assert not exchange.journal.of("POST *")


@pytest.mark.parametrize("changed", [{"fee": ""}, {"chain": "USDT-TRC20"}, {"ccy": "USDC"}])
async def test_a_network_that_is_not_priced_or_not_known_is_not_used(
    exchange: LocalOkx, api: OkxApi, changed: dict[str, str]
) -> None:
    (row,) = exchange.wallet.currencies({"ccy": "USDT"})
    body = {"code": "0", "msg": "", "data": [row | changed]}
    exchange.faults.answer("GET /api/v5/asset/currencies", 200, body)
    with pytest.raises(Transient if "fee" in changed else Rejected, match="USDT-ERC20"):
        await api.move(outside())
    assert not exchange.journal.of("POST *")


async def test_nothing_is_withdrawn_from_any_other_purse(exchange: LocalOkx, api: OkxApi) -> None:
    with pytest.raises(Rejected, match="withdraws from unified and funding, not from linear"):
        await api.move(outside(source=Wallet.LINEAR))
    assert not exchange.journal.of("POST *")


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_withdrawal_without_an_answer_is_found_by_its_id(
    exchange: LocalOkx, api: OkxApi, carried_out: bool
) -> None:
    await api.move(outside())
    exchange.faults.answer(SEND, 504, "", carried_out=carried_out)
    with pytest.raises(UnknownOutcome):
        await api.move(outside("out2"))
    exchange.clock.advance(60)
    found = await api.moved(outside("out2"), exchange.clock.ns)
    assert (found is not None) == carried_out
    if found is not None:
        assert found.venue_transfer_id == exchange.account.withdrawals[1].name


async def test_a_withdrawal_of_another_id_is_not_ours(exchange: LocalOkx, api: OkxApi) -> None:
    await api.move(outside())
    (row,) = exchange.wallet.withdrawals({})
    exchange.faults.answer("GET /api/v5/asset/withdrawal-history", 200, {"code": "0", "msg": "", "data": [row]})
    assert await api.moved(outside("out2"), exchange.clock.ns) is None


@pytest.mark.parametrize("rows", [0, 2])
async def test_a_withdrawal_that_is_not_named_may_have_been_sent(exchange: LocalOkx, api: OkxApi, rows: int) -> None:
    exchange.faults.answer(SEND, 200, {"code": "0", "msg": "", "data": [{"wdId": "1"}] * rows})
    with pytest.raises(UnknownOutcome, match=f"it has {rows} rows, one was expected"):
        await api.move(outside())


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *((status, "failed") for status in ("-1", "-2")),
        *((status, "pending") for status in ("-3", "0", "1", "4", "5", "6", "7", "8", "9", "10", "12", "15")),
        *((status, "pending") for status in ("16", "17", "19")),
        ("99", None),
        ("", None),
    ],
)
async def test_a_withdrawal_may_be_turned_down(exchange: LocalOkx, api: OkxApi, status: str, state: str | None) -> None:
    await api.move(outside())
    exchange.account.withdrawals[0].status = status
    if state is None:
        with pytest.raises(Transient, match=f"has state '{status}'"):
            await api.moved(outside(), exchange.clock.ns)
        return
    found = await api.moved(outside(), exchange.clock.ns)
    assert found is not None
    assert found.state == state


@pytest.mark.parametrize(("changed", "fee"), [({"feeCcy": "OKB"}, 0), ({"feeCcy": ""}, 1), ({"fee": ""}, 0)])
async def test_a_fee_counts_where_it_is_taken_from_what_is_sent(
    exchange: LocalOkx, api: OkxApi, changed: dict[str, str], fee: int
) -> None:
    await api.move(outside())
    (row,) = exchange.wallet.withdrawals({})
    body = {"code": "0", "msg": "", "data": [row | changed]}
    exchange.faults.answer("GET /api/v5/asset/withdrawal-history", 200, body)
    found = await api.moved(outside(), exchange.clock.ns)
    assert found is not None
    assert found.fee == fee
