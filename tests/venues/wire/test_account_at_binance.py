"""The account logic at the local Binance: what it books is what the exchange shows, without an adjustment."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.exchange.binance import LocalBinance
from tests.venues.wire.accounts import account_at, explained, trade, transfer

from basis_actors.errors import UnknownOutcome
from basis_actors.messages.execution import DeltaSource, ExecutionStatus
from basis_actors.messages.orders import Side
from basis_actors.venues.live.account import ExchangeAccount


@pytest.fixture
async def account(exchange: LocalBinance) -> AsyncIterator[ExchangeAccount]:
    """The account, ready to trade."""
    async with account_at(exchange) as ready:
        yield ready


async def test_trades_transfers_and_funding_explain_the_account(
    account: ExchangeAccount, exchange: LocalBinance
) -> None:
    for number, sent in enumerate(
        (
            trade("o1", "BTC/USDT", Side.BUY, 0.5),
            trade("o2", "BTC-PERP", Side.SHORT, 0.5),
            trade("o3", "BTCUSD-PERP", Side.SHORT, 1200),
            transfer("o4", "binance:Margin:USDT", 250.5, "binance"),
            transfer("o5", "wallet:BaseToken:USDT", 1000, "wallet"),
        )
    ):
        exchange.clock.advance(1)
        exchange.account.set_price("BTC-PERP", str(60_000 + 100 * number))
        handshake = await account.execute(sent)
        assert handshake.status is ExecutionStatus.CONFIRMED, handshake.error_message
    exchange.account.pay_funding("BTC-PERP", "0.0001")
    exchange.account.pay_funding("BTCUSD-PERP", "-0.0002")
    closing = trade("o6", "BTC-PERP", Side.LONG, 0.2, reduce_only=True)
    assert (await account.execute(closing)).status is ExecutionStatus.CONFIRMED
    sources = await explained(account, exchange)
    assert sources >= {DeltaSource.EXECUTION, DeltaSource.FEE, DeltaSource.FUNDING, DeltaSource.TRANSFER}
    assert all(count == 1 for count in exchange.journal.orders_sent().values())


@pytest.mark.parametrize("carried_out", [True, False])
async def test_an_order_without_an_answer_is_sent_once_and_booked_once(
    account: ExchangeAccount, exchange: LocalBinance, carried_out: bool
) -> None:
    sent = trade("o1", "BTC-PERP", Side.SHORT, 0.5)
    exchange.faults.answer("POST /fapi/v1/order", 504, "", carried_out=carried_out)
    with pytest.raises(UnknownOutcome):
        await account.execute(sent)
    for _ in range(60):
        handshake = await account.resolve(sent)
        if handshake.status is not ExecutionStatus.UNKNOWN:
            break
        exchange.clock.advance(5)
    expected = ExecutionStatus.CONFIRMED if carried_out else ExecutionStatus.FAILED
    assert handshake.status is expected, handshake.error_message
    assert list(exchange.journal.orders_sent().values()) == [1]
    await explained(account, exchange)


async def test_a_liquidation_and_a_trade_by_hand_are_booked(account: ExchangeAccount, exchange: LocalBinance) -> None:
    await account.execute(trade("o1", "BTC-PERP", Side.SHORT, 0.5))
    exchange.clock.advance(1)
    exchange.account.set_price("BTC-PERP", "66000")
    exchange.account.liquidate("BTC-PERP")
    exchange.account.trade_by_hand("ETH/USDT", "0.4")
    await explained(account, exchange)
