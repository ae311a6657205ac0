"""The account logic at the local Binance: what it books is what the exchange shows, without an adjustment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.hand_clock import HandClock
from tests.exchange.worlds import HOME, PAIRS, connected, venue_of

from basis_actors.errors import UnknownOutcome
from basis_actors.messages.execution import DeltaSource, ExecutionStatus
from basis_actors.messages.orders import ExpectedDelta, OperationType, Order, Side
from basis_actors.venues.journal.memory import MemoryJournal
from basis_actors.venues.live.account import ExchangeAccount
from basis_actors.venues.live.terms import AccountTerms

LEVERAGE = {"BTC-PERP": 5, "ETH-PERP": 5, "BTCUSD-PERP": 5}
SPOT, MARGIN = "binance:BaseToken:USDT", "binance:Margin:USDT"


class Time:
    """The hand clock as an account sees time; waiting moves it."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock

    def now(self) -> int:
        return self._clock.ns

    async def sleep(self, seconds: float) -> None:
        self._clock.advance(seconds)


def order(name: str, operation: OperationType, amount: float, **rest: Any) -> Order:
    fields = {"source_venue": "binance", "target_venue": "binance", "source_token": "USDT", "target_token": "USDT"}
    expected = (ExpectedDelta(SPOT, 1.0, "USDT", "binance", operation),)
    return Order(
        operation_id=name,
        venue="binance",
        operation=operation,
        amount=amount,
        expected_deltas=expected,
        **(fields | rest),
    )


def trade(name: str, pair: str, side: Side, amount: float, **rest: Any) -> Order:
    operation = OperationType.PERP_TRADE if pair.endswith("-PERP") else OperationType.SPOT_TRADE
    return order(name, operation, amount, pair=pair, side=side, **rest)


def transfer(name: str, target_key: str, amount: float, target: str = "binance") -> Order:
    keys = {"source_key": SPOT, "target_key": target_key}
    return order(name, OperationType.TRANSFER, amount, target_venue=target, operation_details=keys)


@pytest.fixture
async def account(exchange: LocalBinance) -> AsyncIterator[ExchangeAccount]:
    """The account, ready to trade."""
    async with connected(exchange) as api:
        terms = AccountTerms(
            venue="binance",
            split=True,
            pairs=PAIRS,
            tokens=frozenset({"USDT", "BTC", "ETH"}),
            patience=venue_of(exchange).account_terms,
            addresses={("wallet", "USDT"): (HOME.address, HOME.network)},
        )
        ready = ExchangeAccount(terms, api, MemoryJournal("test"), LEVERAGE, Time(exchange.clock))
        await ready.prepare()
        await ready.conclude_earlier()
        await ready.open()
        yield ready


def shown(exchange: LocalBinance) -> dict[str, float]:
    """What the exchange has, by position key."""
    kinds = {"spot": "BaseToken", "linear": "Margin", "inverse": "Margin"}
    found = {
        f"binance:{kinds[purse]}:{token}": float(amount)
        for purse, tokens in exchange.account.purses.items()
        for token, amount in tokens.items()
        if amount
    }
    for pair, position in exchange.account.positions.items():
        if position.size:
            kind = "InversePerp" if pair.endswith("USD-PERP") else "PerpPosition"
            found[f"binance:{kind}:{pair}"] = float(position.size * exchange.account.market(pair).contract)
    return found


async def explained(account: ExchangeAccount, exchange: LocalBinance) -> set[DeltaSource]:
    """Sources of what was booked; the exchange's own account agrees, and nothing had to be adjusted."""
    assert await account.report() == pytest.approx(shown(exchange), rel=1e-8)
    sources = {settlement.source for settlement in account.findings.settlements}
    assert DeltaSource.ADJUSTMENT not in sources
    return sources


async def test_trades_transfers_and_funding_explain_the_account(
    account: ExchangeAccount, exchange: LocalBinance
) -> None:
    for number, sent in enumerate(
        (
            trade("o1", "BTC/USDT", Side.BUY, 0.5),
            trade("o2", "BTC-PERP", Side.SHORT, 0.5),
            trade("o3", "BTCUSD-PERP", Side.SHORT, 1200),
            transfer("o4", MARGIN, 250.5),
            transfer("o5", "wallet:BaseToken:USDT", 1000, target="wallet"),
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
