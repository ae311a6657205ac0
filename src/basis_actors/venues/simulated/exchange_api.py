"""Defines a simulated exchange seen through the API of a real one: orders with states, trades with ids, a statement.

The economics are `SimulatedExchange`'s. It knows nothing of who asks: a process may die and another come, the account
stays. What tokens do on their way to another account is for whoever owns both: see `on_withdrawal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from basis_actors.errors import Rejected
from basis_actors.finance.keys import parse_key, perp_key
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import (
    AccountState,
    MarketFilters,
    OrderReport,
    OrderState,
    OrderTicket,
    Payment,
    PaymentKind,
    PerpHolding,
    TransferReport,
    TransferState,
    TransferTicket,
    VenueFill,
    Wallet,
    WalletBalance,
)
from basis_actors.messages.execution import DeltaSource, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import ExpectedDelta, OperationType, Order, Side
from basis_actors.times import ns_from_utc
from basis_actors.venues.no_stops import KeepsNoStops
from basis_actors.venues.simulated.domain import VenueClock
from basis_actors.venues.simulated.exchange import SimulatedExchange
from basis_actors.venues.simulated.terms import ExchangeTerms, PerpMarket, SpotMarket

__all__ = ["Placed", "SimulatedExchangeApi"]

_PAYMENTS = {
    DeltaSource.FUNDING: PaymentKind.FUNDING,
    DeltaSource.TRANSFER: PaymentKind.DEPOSIT,
    DeltaSource.DEPOSIT: PaymentKind.DEPOSIT,
}


class Placed(NamedTuple):
    """An order that was carried out, and what it met."""

    ticket: OrderTicket
    held: float
    """Of what it traded, right before it; signed."""


class SimulatedExchangeApi(KeepsNoStops):
    """One account at one exchange. `on_withdrawal` is called with each withdrawal that has left."""

    def __init__(
        self, terms: ExchangeTerms, clock: VenueClock, on_withdrawal: Callable[[TransferTicket], None]
    ) -> None:
        self._terms = terms
        self._clock = clock
        self._on_withdrawal = on_withdrawal
        self._exchange = SimulatedExchange(terms, clock)
        self._market: MarketState | None = None
        self._number = 0
        self._orders: dict[str, OrderReport] = {}
        self._fills: list[VenueFill] = []
        self._payments: list[Payment] = []
        self._transfers: dict[str, TransferReport] = {}
        self.leverage: dict[str, int] = {}
        self.placed: list[Placed] = []
        """Orders that were carried out, oldest first."""

    @property
    def carried_out(self) -> dict[str, Decimal]:
        """What was done of every order and transfer, by client id, oldest first of each."""
        filled = {name: report.filled for name, report in self._orders.items()}
        return filled | dict.fromkeys(self._transfers, Decimal(0))

    # What time does

    async def advance(self, market: MarketState) -> None:
        """Let the account live up to `market`: stops and liquidations, funding, arrivals."""
        self._market = market
        entries = self._exchange.entries
        for settlement in self._exchange.settle(TickStarted(0, market)):
            if settlement.source in _PAYMENTS:
                self._state_payment(settlement, _PAYMENTS[settlement.source])
            else:
                self._state_closing(settlement, entries)

    async def deliver(self, transfer: IncomingTransfer) -> None:
        """Tokens are on their way here; they arrive with the first `advance` that is not before their time."""
        await self._exchange.expect(transfer)

    async def everything(self) -> dict[str, float]:
        """What the account holds and what is on its way to it, by position key."""
        return await self._exchange.report()

    # The API

    @property
    def venue(self) -> str:
        """Name of the exchange."""
        return self._terms.venue

    async def prepare(self, leverage: dict[str, int]) -> int:
        """Every account is in order here, and there is one clock."""
        self.leverage = dict(leverage)
        return self._clock.now()

    async def filters(self) -> dict[str, MarketFilters]:
        """From the terms; prices have a step that never rounds."""
        return {pair: self._filters_of(pair, line) for pair, line in self._lines().items()}

    async def require_room(self, tickets: Sequence[OrderTicket]) -> None:
        """There always is."""

    async def place(self, ticket: OrderTicket) -> OrderReport:
        """Fill an order at once, or refuse it."""
        if ticket.client_id in self._orders:
            raise Rejected("EXEC-004", f"{self.venue}: order {ticket.client_id} is there already")
        order = self._order(ticket)
        held = (await self._exchange.report()).get(order.expected_deltas[0].position_key, 0.0)
        handshake = await self._exchange.execute(order)
        self.placed.append(Placed(ticket, held))
        price = Decimal(repr(handshake.execution_details["executed_price"]))
        report = OrderReport(
            client_id=ticket.client_id,
            venue_order_id=self._next("o"),
            pair=ticket.pair,
            buys=ticket.buys,
            state=OrderState.FILLED,
            amount=ticket.amount,
            filled=ticket.amount,
            average_price=price,
            updated_ns=self._clock.now(),
        )
        self._orders[ticket.client_id] = report
        fee = sum(-d.delta_amount for s in handshake.settlements if s.source is DeltaSource.FEE for d in s.deltas)
        self._add_fill(report, ticket.amount, price, fee, handshake.fee_currency or "USDT")
        return report

    async def place_partly(self, ticket: OrderTicket, amount: Decimal) -> OrderReport:
        """Fill no more than `amount` of an order and cancel the rest, as happens when a book is thin."""
        report = await self.place(replace(ticket, amount=amount))
        report = replace(report, amount=ticket.amount, filled=amount, state=OrderState.CANCELLED)
        self._orders[ticket.client_id] = report
        return report

    async def cancel(self, pair: str, client_id: str) -> None:
        """Nothing is open."""

    async def order(self, pair: str, client_id: str) -> OrderReport | None:  # noqa: ARG002 (ids are unique here)
        """What became of an order."""
        return self._orders.get(client_id)

    async def order_by_number(self, pair: str, venue_order_id: str) -> OrderReport | None:
        """The order that a trade belongs to."""
        numbered = (report for report in self._orders.values() if report.venue_order_id == venue_order_id)
        return next((report for report in numbered if report.pair == pair), None)

    async def open_orders(self) -> tuple[OrderReport, ...]:
        """Nothing is open."""
        return ()

    async def fills(self, pair: str, since_ns: int) -> tuple[VenueFill, ...]:
        """Trades of a market."""
        return tuple(fill for fill in self._fills if fill.pair == pair and fill.time_ns >= since_ns)

    async def payments(self, since_ns: int) -> tuple[Payment, ...]:
        """The statement."""
        return tuple(payment for payment in self._payments if payment.time_ns >= since_ns)

    async def account(self) -> AccountState:
        """Balances and positions."""
        balances, holdings = [], []
        for key, amount in (await self._exchange.report()).items():
            info = parse_key(key)
            if info.venue != self.venue:
                continue
            exact = Decimal(repr(amount))
            if info.contract is None:
                balances.append(WalletBalance(self._wallet(key), info.symbol, exact, exact))
                continue
            assert self._market is not None, "a position is opened at a market"
            mark = self._market.perps[f"{self.venue}:{info.symbol}"].mark
            assert mark is not None, "a position is opened at a mark"
            holdings.append(
                PerpHolding(
                    pair=info.symbol,
                    size=exact,
                    entry=Decimal(repr(self._exchange.entries[key])),
                    mark=Decimal(repr(mark)),
                    liquidation=None,
                )
            )
        perps = frozenset(pair for pair in self._lines() if pair.endswith("-PERP"))
        return AccountState(tuple(balances), tuple(holdings), perps, self._clock.now())

    async def move(self, ticket: TransferTicket) -> TransferReport:
        """Between purses at once; out of the house as `on_withdrawal` says."""
        report = await self._take(ticket, TransferState.DONE)
        if ticket.target is None:
            self._on_withdrawal(ticket)
        return report

    async def accept(self, ticket: TransferTicket) -> TransferReport:
        """Take a withdrawal, and leave open what becomes of it: `conclude` says that."""
        return await self._take(ticket, TransferState.PENDING)

    async def conclude(self, ticket: TransferTicket, state: TransferState) -> None:
        """A withdrawal that was accepted leaves (`done`), or its tokens come back (`failed`)."""
        self._transfers[ticket.client_id] = replace(self._transfers[ticket.client_id], state=state)
        if state is TransferState.DONE:
            self._on_withdrawal(ticket)
        else:
            await self._exchange.give_back(ticket.client_id)

    async def _take(self, ticket: TransferTicket, state: TransferState) -> TransferReport:
        if ticket.client_id in self._transfers:
            raise Rejected("EXEC-004", f"{self.venue}: transfer {ticket.client_id} is there already")
        source = self._key(ticket.source, ticket.token)
        inside = ticket.target is not None
        target = self._key(ticket.target, ticket.token) if ticket.target else f"outside:BaseToken:{ticket.token}"
        order = Order(
            operation_id=ticket.client_id,
            venue=self.venue,
            operation=OperationType.TRANSFER,
            amount=float(ticket.amount),
            source_venue=self.venue,
            target_venue=self.venue if inside else "outside",
            source_token=ticket.token,
            target_token=ticket.token,
            expected_deltas=_something(source, ticket.token, self.venue, OperationType.TRANSFER),
            operation_details={"source_key": source, "target_key": target},
        )
        handshake = await self._exchange.execute(order)
        report = TransferReport(
            client_id=ticket.client_id,
            venue_transfer_id=self._next("t"),
            state=state,
            fee=Decimal(repr(handshake.fee_amount)),
            time_ns=self._clock.now(),
        )
        self._transfers[ticket.client_id] = report
        return report

    async def moved(self, ticket: TransferTicket, since_ns: int) -> TransferReport | None:  # noqa: ARG002 (ids are unique)
        """What became of a transfer."""
        return self._transfers.get(ticket.client_id)

    async def countdown_cancel(self, seconds: int) -> bool:  # noqa: ARG002 (there is nothing to cancel)
        """There is no such thing here."""
        return False

    def _order(self, ticket: OrderTicket) -> Order:
        perp = ticket.pair.endswith("-PERP")
        operation = OperationType.PERP_TRADE if perp else OperationType.SPOT_TRADE
        sides = (Side.LONG, Side.SHORT) if perp else (Side.BUY, Side.SELL)
        base = ticket.pair.split("/")[0]
        key = perp_key(self.venue, ticket.pair) if perp else f"{self.venue}:BaseToken:{base}"
        return Order(
            operation_id=ticket.client_id,
            venue=self.venue,
            operation=operation,
            amount=float(ticket.amount),
            source_venue=self.venue,
            target_venue=self.venue,
            source_token=base,
            target_token=base,
            expected_deltas=_something(key, base, self.venue, operation),
            pair=ticket.pair,
            side=sides[0] if ticket.buys else sides[1],
            reduce_only=ticket.reduce_only,
        )

    def _add_fill(self, report: OrderReport, amount: Decimal, price: Decimal, fee: float, currency: str) -> None:
        self._fills.append(
            VenueFill(
                trade_id=self._next("f"),
                pair=report.pair,
                client_id=None,
                venue_order_id=report.venue_order_id,
                buys=report.buys,
                amount=amount,
                price=price,
                fee=Decimal(repr(fee)),
                fee_currency=currency,
                time_ns=self._clock.now(),
            )
        )

    def _state_payment(self, settlement: Settlement, kind: PaymentKind) -> None:
        for delta in settlement.deltas:
            info = parse_key(delta.position_key)
            if info.venue != self.venue:
                continue
            self._payments.append(
                Payment(
                    payment_id=self._next("p"),
                    kind=kind,
                    wallet=self._wallet(delta.position_key),
                    token=info.symbol,
                    amount=Decimal(repr(delta.delta_amount)),
                    pair=None,
                    time_ns=ns_from_utc(settlement.timestamp),
                )
            )

    def _state_closing(self, settlement: Settlement, entries: Mapping[str, float]) -> None:
        """A liquidation, as an exchange shows it: trades that nobody ordered, and a fee in the statement."""
        moment = ns_from_utc(settlement.timestamp)
        realised = 0.0
        for delta in settlement.deltas:
            info = parse_key(delta.position_key)
            if info.contract is None:
                realised += delta.delta_amount
                continue
            assert delta.price is not None, "a perp is closed at a price"
            realised -= info.contract.upnl(-delta.delta_amount, entries[delta.position_key], delta.price)
            self._fills.append(
                VenueFill(
                    trade_id=self._next("f"),
                    pair=info.symbol,
                    client_id=None,
                    venue_order_id=self._next("o"),
                    buys=delta.delta_amount > 0.0,
                    amount=abs(Decimal(repr(delta.delta_amount))),
                    price=Decimal(repr(delta.price)),
                    fee=Decimal(0),
                    fee_currency=info.paid_in,
                    time_ns=moment,
                )
            )
        if realised:
            key = next(d.position_key for d in settlement.deltas if parse_key(d.position_key).contract is None)
            self._payments.append(
                Payment(
                    payment_id=self._next("p"),
                    kind=PaymentKind.LIQUIDATION_FEE,
                    wallet=self._wallet(key),
                    token=parse_key(key).symbol,
                    amount=Decimal(repr(realised)),
                    pair=None,
                    time_ns=moment,
                )
            )

    def _lines(self) -> dict[str, SpotMarket | PerpMarket]:
        terms = self._terms
        inverse = {line.pair: line for line in terms.inverse_perps.values()}
        return {**terms.spot, **{line.pair: line for line in terms.perps.values()}, **inverse}

    def _filters_of(self, pair: str, line: SpotMarket | PerpMarket) -> MarketFilters:
        return MarketFilters(
            pair=pair,
            lot=Decimal(repr(line.lot)),
            tick=Decimal("1e-12"),
            min_amount=Decimal(repr(line.min_amount)),
            max_market_amount=None,
            min_notional=Decimal(repr(self._terms.minimum_notional)),
            trading=True,
        )

    def _key(self, wallet: Wallet, token: str) -> str:
        margin = wallet in (Wallet.LINEAR, Wallet.INVERSE)
        return f"{self.venue}:{'Margin' if margin else 'BaseToken'}:{token}"

    def _wallet(self, key: str) -> Wallet:
        info = parse_key(key)
        if info.kind == "Margin":
            return Wallet.LINEAR if info.symbol == "USDT" else Wallet.INVERSE
        split = self._terms.margin_key.split(":")[1] == "Margin"
        return Wallet.SPOT if split else Wallet.UNIFIED

    def _next(self, kind: str) -> str:
        self._number += 1
        return f"{kind}{self._number}"


def _something(key: str, token: str, venue: str, operation: OperationType) -> tuple[ExpectedDelta, ...]:
    """An order states what it expects; an exchange is not told and does not care."""
    return (ExpectedDelta(key, 1.0, token, venue, operation),)
