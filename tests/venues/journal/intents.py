"""Defines intents, trades and payments for the tests of journals, and everything that can be read of a journal."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeAlias

from msgspec.structs import replace

from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import OrderTicket, Payment, PaymentKind, TransferTicket, VenueFill, Wallet
from basis_actors.messages.journal import Intent, LastHeld
from basis_actors.messages.orders import ExecutionMode, ExpectedDelta, OperationType, Order, Side
from basis_actors.venues.journal.memory import MemoryJournal
from basis_actors.venues.journal.sqlite import SqliteJournal

Journal: TypeAlias = MemoryJournal | SqliteJournal
DOMAINS = ("binance", "bybit")


def order(name: str, venue: str = "binance", **more: Any) -> Order:
    """A trade."""
    return Order(
        operation_id=name,
        venue=venue,
        operation=OperationType.PERP_TRADE,
        amount=0.1,
        source_venue=venue,
        target_venue=venue,
        source_token="USDT",
        target_token="BTC",
        expected_deltas=(
            ExpectedDelta(f"{venue}:PerpPosition:BTC-PERP", -0.1, "BTC", venue, OperationType.PERP_TRADE),
        ),
        pair="BTC-PERP",
        side=Side.SHORT,
        price=40_000.1,
        operation_details={"nested": {"list": [1, 2.5, None, "text"]}},
        **more,
    )


def legs(name: str, count: int = 2) -> tuple[Order, ...]:
    """A compensated group."""
    return tuple(
        order(
            f"{name}-{place}",
            DOMAINS[place % 2],
            execution_mode=ExecutionMode.COMPENSATED,
            atomic_group_id=name,
            sequence_in_group=place,
        )
        for place in range(count)
    )


def intent(client_id: str, operation: str = "op", domain: str = "binance", incarnation: int = 1) -> Intent:
    """A trade that is to be sent."""
    return Intent(
        client_id=client_id,
        order=order(operation, domain),
        ticket=OrderTicket(client_id=client_id, pair="BTC-PERP", buys=False, amount=Decimal("0.10")),
        domain=domain,
        incarnation=incarnation,
        attempt=0,
        created_ns=17,
    )


def fill(trade_id: str, pair: str = "BTC-PERP") -> VenueFill:
    """A trade."""
    return VenueFill(
        trade_id=trade_id,
        pair=pair,
        client_id=None,
        venue_order_id="o1",
        buys=False,
        amount=Decimal("0.1"),
        price=Decimal("40000.10"),
        fee=Decimal("0.00000001"),
        fee_currency="USDT",
        time_ns=18,
    )


def payment(payment_id: str) -> Payment:
    """An entry of the statement."""
    return Payment(
        payment_id=payment_id,
        kind=PaymentKind.FUNDING,
        wallet=Wallet.LINEAR,
        token="USDT",
        amount=Decimal("-1.5"),
        pair="BTC-PERP",
        time_ns=19,
    )


def incoming(operation: str, amount: float = 1_000.1) -> IncomingTransfer:
    """Tokens on their way."""
    return IncomingTransfer(operation, "bybit:BaseToken:USDT", "transit:BaseToken:USDT", amount, 20)


def held(time_ns: int, **positions: float) -> LastHeld:
    """What an account holds of tokens."""
    return LastHeld(
        account="a1",
        pairs=("BTC-PERP",),
        tokens=("USDT",),
        time_ns=time_ns,
        positions={f"binance:BaseToken:{token}": amount for token, amount in positions.items()},
        entries={},
    )


def withdrawal(client_id: str, domain: str = "binance") -> Intent:
    """A transfer that is to be sent."""
    ticket = TransferTicket(
        client_id=client_id, token="USDT", amount=Decimal(5), source=Wallet.SPOT, target=None, address="a", network="n"
    )
    return replace(intent(client_id, domain=domain), ticket=ticket)


async def reading(journal: Journal, operations: Iterable[tuple[int, str]]) -> dict[str, object]:
    """Everything that a journal answers."""
    return {
        "incarnation": journal.incarnation,
        "attempts": {operation: await journal.attempts(*operation) for operation in operations},
        "unresolved": {domain: await journal.unresolved(domain) for domain in DOMAINS},
        "domains": await journal.domains(),
        "expected": {domain: await journal.expected(domain) for domain in DOMAINS},
        "groups": await journal.open_groups(),
        "remembered": {domain: await journal.remembered(domain) for domain in DOMAINS},
    }
