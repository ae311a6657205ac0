"""Defines how trades and statement entries of an exchange reach the ledger: each once, by its id, in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import Payment, PaymentKind, VenueFill
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.ports import ExchangeApi, OrderJournal
from basis_actors.times import NS_PER_SECOND, utc_from_ns
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.mirror import Mirror
from basis_actors.venues.live.terms import AccountTerms

__all__ = ["Intake"]

_SOURCES: Final = {
    PaymentKind.FUNDING: DeltaSource.FUNDING,
    PaymentKind.LIQUIDATION_FEE: DeltaSource.FEE,
    PaymentKind.WITHDRAWAL: DeltaSource.WITHDRAWAL,
    PaymentKind.OTHER: DeltaSource.ADJUSTMENT,
}

_ALIKE: Final = 0.1
"""How much less or more than was sent may arrive for it to be the same transfer: networks and banks take a little."""


class Intake:
    """Reads what happened on an account since it last looked, with some overlap, and books what is new."""

    def __init__(
        self, terms: AccountTerms, api: ExchangeApi, journal: OrderJournal, mirror: Mirror, findings: Findings
    ) -> None:
        self._terms = terms
        self._api = api
        self._journal = journal
        self._mirror = mirror
        self._findings = findings
        self._since: dict[str, int] = {}
        self._statement_since = 0
        self._operations: dict[tuple[str, str], tuple[str, str]] = {}
        self._withdrawals: set[str] = set()
        self._booked: dict[str, list[tuple[VenueFill, tuple[Settlement, ...]]]] = {}

    def know_order(self, pair: str, venue_order_id: str, client_id: str, operation_id: str) -> None:
        """An order of ours, by the id that the exchange names with its trades."""
        self._operations[pair, venue_order_id] = (client_id, operation_id)

    def know_withdrawal(self, venue_transfer_id: str) -> None:
        """A withdrawal of ours: that it leaves is booked already."""
        self._withdrawals.add(venue_transfer_id)

    def fills_of(self, client_id: str) -> Sequence[tuple[VenueFill, tuple[Settlement, ...]]]:
        """Trades of an order that were booked, and how, oldest first."""
        return self._booked.get(client_id, ())

    def filled(self, client_id: str) -> Decimal:
        """Sum of the trades of an order that were booked."""
        return sum((fill.amount for fill, _ in self.fills_of(client_id)), Decimal(0))

    async def skip_until(self, now_ns: int) -> tuple[str, ...]:
        """Take what is there for booked, as the account that is read next contains it. Returns the ids, to see
        whether anything comes in between."""
        patience, venue = self._terms.patience, self._terms.venue
        since = now_ns - round(patience.lookback_seconds * NS_PER_SECOND)
        seen: list[str] = []
        for pair in self._terms.pairs:
            for fill in await self._api.fills(pair, since):
                await self._journal.book_fill(venue, fill)
                seen.append(f"{pair}/{fill.trade_id}")
            self._since[pair] = now_ns
        for payment in await self._api.payments(since):
            if await self._journal.book_payment(venue, payment) and payment.kind is PaymentKind.DEPOSIT:
                await self._note_arrival(payment)
            seen.append(payment.payment_id)
        self._statement_since = now_ns
        return tuple(seen)

    async def read(self) -> None:
        """Book what is new. Raises what the exchange raises; what was booked before stays booked."""
        overlap = round(self._terms.patience.overlap_seconds * NS_PER_SECOND)
        fills: list[VenueFill] = []
        for pair in self._terms.pairs:
            fills += await self._api.fills(pair, self._since[pair] - overlap)
        payments = await self._api.payments(self._statement_since - overlap)
        happened: list[VenueFill | Payment] = [*fills, *payments]
        for item in sorted(happened, key=lambda item: item.time_ns):
            if isinstance(item, Payment):
                await self._take_payment(item)
            else:
                await self._take_fill(item)

    async def read_fills(self, pair: str) -> None:
        """Book what is new in one market. Raises what the exchange raises."""
        overlap = round(self._terms.patience.overlap_seconds * NS_PER_SECOND)
        for fill in await self._api.fills(pair, self._since[pair] - overlap):
            await self._take_fill(fill)

    async def _take_fill(self, fill: VenueFill) -> None:
        venue = self._terms.venue
        self._since[fill.pair] = max(self._since[fill.pair], fill.time_ns)
        if not await self._journal.book_fill(venue, fill):
            return
        client_id, operation_id = self._operations.get((fill.pair, fill.venue_order_id), (None, None))
        settlements = self._mirror.fill(fill, operation_id)
        self._findings.settlements += settlements
        if client_id is not None:
            self._booked.setdefault(client_id, []).append((fill, settlements))
            return
        side = "bought" if fill.buys else "sold"
        self._findings.error(
            fill.time_ns,
            "VEN-007",
            f"{venue} {side} {fill.amount} {fill.pair} at {fill.price} for order {fill.venue_order_id}, which is not of"
            " this process: a liquidation, an earlier process or somebody else; the trade is booked",
        )

    async def _take_payment(self, payment: Payment) -> None:
        venue = self._terms.venue
        self._statement_since = max(self._statement_since, payment.time_ns)
        if payment.token not in self._terms.tokens or not await self._journal.book_payment(venue, payment):
            return
        if payment.kind is PaymentKind.WITHDRAWAL and payment.payment_id in self._withdrawals:
            return
        if payment.kind is PaymentKind.DEPOSIT:
            await self._take_deposit(payment)
            return
        key = self._terms.cash_key(payment.wallet, payment.token)
        delta = PositionDelta(key, float(payment.amount))
        self._book(_SOURCES[payment.kind], payment.time_ns, (delta,))
        if payment.kind is not PaymentKind.FUNDING:
            self._findings.error(
                payment.time_ns,
                "VEN-007",
                f"{venue} changed {key} by {payment.amount} ({payment.kind}, {payment.payment_id}) without an order of"
                " this process; it is booked",
            )

    async def _take_deposit(self, payment: Payment) -> None:
        """Tokens that were on their way here, or the owner's."""
        key = self._terms.cash_key(payment.wallet, payment.token)
        transfer = await self._note_arrival(payment)
        if transfer is None:
            self._book(DeltaSource.DEPOSIT, payment.time_ns, (PositionDelta(key, float(payment.amount)),))
            return
        deltas = (PositionDelta(transfer.transit_key, -transfer.amount), PositionDelta(key, transfer.amount))
        self._book(DeltaSource.TRANSFER, payment.time_ns, deltas, transfer.operation_id)
        short = float(payment.amount) - transfer.amount
        if abs(short) > self._terms.patience.tolerance * transfer.amount:
            self._book(DeltaSource.FEE, payment.time_ns, (PositionDelta(key, short),), transfer.operation_id)

    async def _note_arrival(self, payment: Payment) -> IncomingTransfer | None:
        """The transfer that a deposit ends, which is then no longer on its way."""
        transfer = _meant(await self._journal.expected(self._terms.venue), payment)
        if transfer is not None:
            await self._journal.arrived(self._terms.venue, transfer)
        return transfer

    def _book(
        self, source: DeltaSource, time_ns: int, deltas: tuple[PositionDelta, ...], operation_id: str | None = None
    ) -> None:
        self._findings.settlements.append(self._mirror.book(source, utc_from_ns(time_ns), deltas, operation_id))


def _meant(expected: Sequence[IncomingTransfer], payment: Payment) -> IncomingTransfer | None:
    """The transfer that a deposit ends: of its token, the closest in amount."""
    candidates = [
        transfer
        for transfer in expected
        if transfer.position_key.endswith(f":{payment.token}")
        and abs(transfer.amount - float(payment.amount)) <= _ALIKE * transfer.amount
    ]
    if not candidates:
        return None
    return min(candidates, key=lambda transfer: abs(transfer.amount - float(payment.amount)))
