"""Defines a live account at a scripted exchange, with a ledger that adds up what it settles, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from tests.venues.live.scripts import RestingExchange, ScriptedApi
from tests.venues.worlds import START, exchange_terms, market

from basis_actors.config import AccountConfig
from basis_actors.errors import UnknownOutcome
from basis_actors.finance.ledger import book_settlement
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.exchange import OrderTicket, TransferTicket
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, Settlement
from basis_actors.messages.orders import ExpectedDelta, OperationType, Order, Side
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.journal.memory import MemoryJournal
from basis_actors.venues.live.account import ExchangeAccount
from basis_actors.venues.live.terms import AccountTerms

HOUR = 3600 * NS_PER_SECOND
PATIENCE = AccountConfig(
    order_seconds=60,
    receive_window_seconds=5,
    absence_seconds=30,
    absence_queries=3,
    steady_reads=3,
    read_pause_seconds=1,
    overlap_seconds=120,
    lookback_seconds=86_400,
    recovery_seconds=900,
    tolerance=1e-8,
    max_unexplained=0.01,
    unexplained_seconds=900,
    market_rules_seconds=21_600,
    late_transfer_seconds=7_200,
)
PAIRS = ("BTC/USDT", "ETH/USDT", "BTC-PERP", "ETH-PERP", "BTCUSD-PERP")
ADDRESSES = {
    (target, token): (f"{target}:BaseToken:{token}", "ERC20")
    for target in ("wallet", "bybit")
    for token in ("USDT", "BTC")
}


def account_terms(venue: str = "binance", *, split: bool = True) -> AccountTerms:
    """An account that trades BTC and ETH, spot, linear and (where purses are apart) inverse."""
    return AccountTerms(
        venue=venue,
        split=split,
        pairs=PAIRS if split else PAIRS[:-1],
        tokens=frozenset({"USDT", "BTC", "ETH"}),
        patience=PATIENCE,
        addresses=ADDRESSES,
    )


class HandClock:
    """Time that moves when somebody waits."""

    def __init__(self, ns: int = START) -> None:
        self.ns = ns

    def now(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * NS_PER_SECOND)


class Book:
    """An exchange that lives on, and the account of the process that runs now."""

    def __init__(self, *, split: bool = True) -> None:
        venue = "binance" if split else "bybit"
        self.clock = HandClock()
        self.withdrawn: list[TransferTicket] = []
        self.exchange = RestingExchange(exchange_terms(venue, unified=not split), self.clock, self.withdrawn.append)
        self.journal = MemoryJournal("test")
        self.terms = account_terms(venue, split=split)
        self.hour = 0
        self._orders = 0
        self._begin()

    def _begin(self) -> None:
        """A process begins: nothing is known, the ledger is empty."""
        self.api = ScriptedApi(self.exchange)
        self.account = ExchangeAccount(self.terms, self.api, self.journal, {}, self.clock)  # type: ignore[arg-type]
        self.positions: dict[str, float] = {}
        self.entries: dict[str, float] = {}
        self.settlements: list[Settlement] = []

    def kill(self) -> None:
        """The process is gone; the next one finds its journal."""
        self.journal = self.journal.reopened()
        self._begin()

    async def open(self, **cash: float) -> Book:
        """Give the account `cash` (by the end of its key, like USDT or Margin_USDT), and have it ready to trade."""
        for name, amount in cash.items():
            kind, _, token = name.rpartition("_")
            await self.deliver(f"{self.terms.venue}:{kind or 'BaseToken'}:{token}", amount)
        await self.advance()
        await self.start()
        await self.settle()
        return self

    async def start(self) -> None:
        """What a process does before it trades."""
        await self.account.prepare()
        await self.account.conclude_earlier()
        await self.account.open()

    async def deliver(self, key: str, amount: float) -> None:
        """Tokens are on their way to the exchange and arrive with the next hour."""
        token = key.rsplit(":", 1)[-1]
        transit = f"transit:BaseToken:{token}"
        gift = IncomingTransfer(f"gift-{key}-{self.clock.ns}", key, transit, amount, self.clock.ns)
        await self.exchange.deliver(gift)

    async def advance(self, hours: int = 1, **at: Any) -> None:
        """Let the exchange live on to a market made of `at`."""
        self.hour += hours
        self.clock.ns = max(self.clock.ns, START + self.hour * HOUR)
        await self.exchange.advance(market(self.hour, **at))

    # What the engine does with it

    def apply(self, settlements: Iterable[Settlement]) -> None:
        """Book what is new, which has to come in turn."""
        for settlement in settlements:
            if settlement.sequence < len(self.settlements):
                assert self.settlements[settlement.sequence] == settlement
                continue
            assert settlement.sequence == len(self.settlements), "sequence has a gap"
            self.settlements.append(settlement)
            self.positions, self.entries = book_settlement(settlement, self.positions, self.entries)

    async def settle(self) -> tuple[Settlement, ...]:
        """One tick."""
        settled = await self.account.settle(TickStarted(self.hour, market(self.hour)))
        self.apply(settled)
        return settled

    async def report(self) -> dict[str, float]:
        """What the exchange shows; the ledger is then up to date."""
        shown = await self.account.report()
        self.apply(self.account.findings.settlements)
        return shown

    async def execute(self, order: Order) -> ExecutionHandshake:
        """Send an order."""
        return self._booked(await self.account.execute(order))

    async def resolve(self, order: Order) -> ExecutionHandshake:
        """Ask what became of one."""
        return self._booked(await self.account.resolve(order))

    async def carry_out(self, order: Order, *, tries: int = 100) -> ExecutionHandshake:
        """Send an order and ask what became of it until that is known, a second apart."""
        try:
            handshake = await self.execute(order)
        except UnknownOutcome:
            handshake = await self.resolve(order)
        while handshake.status.value in ("unknown", "pending"):
            tries -= 1
            assert tries, f"nobody knows what became of it: {handshake.error_message}"
            await self.clock.sleep(1.0)
            handshake = await self.resolve(order)
        return handshake

    def _booked(self, handshake: ExecutionHandshake) -> ExecutionHandshake:
        turns = {each.sequence: each for each in (*self.account.findings.settlements, *handshake.settlements)}
        self.apply(turns[number] for number in sorted(turns))
        return handshake

    async def agrees(self, *, adjusted: bool = False, under_way: Mapping[str, float] = {}) -> None:
        """Ledger, account and exchange agree, and nothing had to be believed unless `adjusted`."""
        shown = await self.report()
        held = {key: amount for key, amount in (await self.exchange.everything()).items() if "transit" not in key}
        assert shown == pytest.approx(held | dict(under_way), rel=1e-9, abs=1e-9)
        assert self.positions == pytest.approx(held | dict(under_way), rel=1e-9, abs=1e-9)
        believed = [each for each in self.settlements if each.source is DeltaSource.ADJUSTMENT]
        assert bool(believed) == adjusted, believed

    def errors(self) -> list[tuple[str, str]]:
        """Codes and texts that the account has to say since it was asked last."""
        events = self.account.findings.take_events()
        return [(event.error_code, event.message) for event in events if isinstance(event, SystemErrorEvent)]

    def sources(self) -> list[str]:
        """Why the ledger changed, in order."""
        return [settlement.source.value for settlement in self.settlements]

    # Orders

    def order(self, operation: OperationType, amount: float, **more: Any) -> Order:
        """An order of the right form."""
        self._orders += 1
        venue = self.terms.venue
        fields = {"source_venue": venue, "target_venue": venue, "source_token": "USDT", "target_token": "USDT"}
        return Order(
            operation_id=more.pop("operation_id", f"op-{self._orders}"),
            venue=venue,
            operation=operation,
            amount=amount,
            expected_deltas=(ExpectedDelta(f"{venue}:BaseToken:USDT", 1.0, "USDT", venue, operation),),
            **(fields | more),
        )

    def trade(self, pair: str, side: Side, amount: float, **more: Any) -> Order:
        """A trade."""
        operation = OperationType.PERP_TRADE if pair.endswith("-PERP") else OperationType.SPOT_TRADE
        return self.order(operation, amount, pair=pair, side=side, **more)

    def transfer(self, source: str, target: str, amount: float, **more: Any) -> Order:
        """A transfer between two position keys."""
        token = source.rsplit(":", 1)[-1]
        return self.order(
            OperationType.TRANSFER,
            amount,
            target_venue=target.split(":")[0],
            source_token=token,
            target_token=token,
            operation_details={"source_key": source, "target_key": target},
            **more,
        )

    async def by_hand(self, pair: str, amount: str, *, buys: bool = True) -> None:
        """Somebody else trades on the account."""
        self._orders += 1
        await self.exchange.place(
            OrderTicket(client_id=f"hand{self._orders}", pair=pair, buys=buys, amount=Decimal(amount))
        )
