"""The account logic at exchanges other than Binance: what it books is what they show, without an adjustment."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.exchange.server import LocalExchange
from tests.venues.wire.accounts import account_at, explained, trade, transfer
from tests.venues.wire.speech import SPEECHES, Speech

from basis_actors.errors import UnknownOutcome
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, ExecutionStatus
from basis_actors.messages.orders import Order, Side
from basis_actors.venues.live.account import ExchangeAccount


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
async def account(exchange: LocalExchange) -> AsyncIterator[ExchangeAccount]:
    """The account, ready to trade."""
    async with account_at(exchange) as ready:
        yield ready


async def resolved(account: ExchangeAccount, exchange: LocalExchange, sent: Order) -> ExecutionHandshake:
    """What became of an order, asked for until it is known."""
    for _ in range(60):
        handshake = await account.resolve(sent)
        if handshake.status not in (ExecutionStatus.UNKNOWN, ExecutionStatus.PENDING):
            break
        exchange.clock.advance(5)
    return handshake


async def test_trades_withdrawals_and_funding_explain_the_account(
    account: ExchangeAccount, exchange: LocalExchange, speech: Speech
) -> None:
    venue = speech.venue
    orders = [
        trade("o1", "BTC-PERP", Side.SHORT, 0.5, venue=venue),
        trade("o2", "ETH-PERP", Side.SHORT, 2, venue=venue),
        transfer("o3", "wallet:BaseToken:USDT", 500, "wallet", venue=venue),
        # More than the funding purse holds.
        transfer("o4", "wallet:BaseToken:USDT", 5000, "wallet", venue=venue),
    ]
    if "BTC/USDT" in speech.sizes:
        orders.append(trade("o5", "BTC/USDT", Side.BUY, 0.5, venue=venue))
        orders.append(trade("o6", "BTC/USDT", Side.SELL, 0.25, venue=venue))
    for number, sent in enumerate(orders):
        exchange.clock.advance(1)
        exchange.account.set_price("BTC-PERP", str(60_000 + 100 * number))
        handshake = await account.execute(sent)
        assert handshake.status is ExecutionStatus.CONFIRMED, handshake.error_message
    exchange.account.pay_funding("BTC-PERP", "0.0001")
    exchange.account.pay_funding("ETH-PERP", "-0.0002")
    exchange.account.complete_withdrawals()
    closing = trade("o7", "BTC-PERP", Side.LONG, 0.2, reduce_only=True, venue=venue)
    assert (await account.execute(closing)).status is ExecutionStatus.CONFIRMED
    sources = await explained(account, exchange)
    assert sources >= {DeltaSource.EXECUTION, DeltaSource.FEE, DeltaSource.FUNDING, DeltaSource.TRANSFER}
    assert all(count == 1 for count in exchange.journal.orders_sent(speech.id_name).values())


@pytest.mark.parametrize("carried_out", [True, False])
async def test_an_order_without_an_answer_is_sent_once_and_booked_once(
    account: ExchangeAccount, exchange: LocalExchange, speech: Speech, carried_out: bool
) -> None:
    sent = trade("o1", "BTC-PERP", Side.SHORT, 0.5, venue=speech.venue)
    exchange.faults.answer(speech.place, 504, "", carried_out=carried_out)
    with pytest.raises(UnknownOutcome):
        await account.execute(sent)
    handshake = await resolved(account, exchange, sent)
    expected = ExecutionStatus.CONFIRMED if carried_out else ExecutionStatus.FAILED
    assert handshake.status is expected, handshake.error_message
    assert list(exchange.journal.orders_sent(speech.id_name).values()) == [1]
    await explained(account, exchange)


async def test_an_order_that_is_shown_late_is_followed_until_it_is(
    account: ExchangeAccount, exchange: LocalExchange, speech: Speech
) -> None:
    sent = trade("o1", "BTC-PERP", Side.SHORT, 0.5, venue=speech.venue)
    exchange.faults.answer(speech.find, *speech.absent)
    assert (await account.execute(sent)).status is ExecutionStatus.PENDING
    assert (await resolved(account, exchange, sent)).status is ExecutionStatus.CONFIRMED
    assert list(exchange.journal.orders_sent(speech.id_name).values()) == [1]
    await explained(account, exchange)


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_withdrawal_without_an_answer_is_sent_once_and_booked_once(
    account: ExchangeAccount, exchange: LocalExchange, speech: Speech, carried_out: bool
) -> None:
    sent = transfer("o1", "wallet:BaseToken:USDT", 500, "wallet", venue=speech.venue)
    exchange.faults.answer(speech.withdraw, 504, "", carried_out=carried_out)
    with pytest.raises(UnknownOutcome):
        await account.execute(sent)
    # The account is looked at before anybody knows.
    await account.report()
    handshake = await resolved(account, exchange, sent)
    assert handshake.status is (ExecutionStatus.CONFIRMED if carried_out else ExecutionStatus.FAILED)
    assert len(exchange.account.withdrawals) == carried_out
    assert len(exchange.journal.of(speech.withdraw)) == 1
    assert exchange.account.withdrawals == [] or float(exchange.account.withdrawals[0].amount) == 500.0


async def test_a_liquidation_a_deposit_and_a_trade_by_hand_are_booked(
    account: ExchangeAccount, exchange: LocalExchange, speech: Speech
) -> None:
    await account.execute(trade("o1", "BTC-PERP", Side.SHORT, 0.5, venue=speech.venue))
    exchange.clock.advance(1)
    exchange.account.set_price("BTC-PERP", "66000")
    exchange.account.liquidate("BTC-PERP", "0")
    exchange.account.trade_by_hand("ETH-PERP", "0.4")
    exchange.account.deposit("USDT", "250")
    assert DeltaSource.DEPOSIT in await explained(account, exchange)
