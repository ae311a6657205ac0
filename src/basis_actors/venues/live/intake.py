"""Defines how trades and statement entries of an exchange reach the ledger: each once, by its id, in order of time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeAlias

from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import Payment, PaymentKind, VenueFill, Wallet
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.journal import IntentState
from basis_actors.messages.stops import StopTicket
from basis_actors.ports import ExchangeApi, OrderJournal
from basis_actors.times import NS_PER_SECOND, utc_from_ns
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.mirror import Mirror
from basis_actors.venues.live.terms import AccountTerms, LiveClock

__all__ = ["Intake", "OrderNumber", "purse_of"]

_SOURCES: Final = {
    PaymentKind.FUNDING: DeltaSource.FUNDING,
    PaymentKind.LIQUIDATION_FEE: DeltaSource.FEE,
    PaymentKind.WITHDRAWAL: DeltaSource.WITHDRAWAL,
    PaymentKind.OTHER: DeltaSource.ADJUSTMENT,
}

_LONGEST_ABSENCE_NS: Final = 30 * 86_400 * NS_PER_SECOND
"""How far back a process reads that begins again; exchanges keep statements for longer. What is older and not known
stays unexplained."""
_ALIKE: Final = 0.1
"""How much less or more than was sent may arrive for it to be the same transfer: networks and banks take a little."""

OrderNumber: TypeAlias = tuple[str, str]
"""Pair, and the id that the exchange gives an order: what every trade names."""


class Intake:
    """Reads what happened on an account since it last looked, with some overlap, and books what is new."""

    def __init__(
        self,
        terms: AccountTerms,
        api: ExchangeApi,
        journal: OrderJournal,
        mirror: Mirror,
        findings: Findings,
        clock: LiveClock,
    ) -> None:
        self._terms = terms
        self._api = api
        self._journal = journal
        self._mirror = mirror
        self._findings = findings
        self._clock = clock
        self._since: dict[str, int] = {}
        self._statement_since = 0
        self._began_ns = 0
        self.explain: Callable[[str], Awaitable[None]] | None = None
        """Asked about a market where a trade belongs to no order that is known: somebody may find out more."""
        self.meanwhile: Sequence[Payment] = ()
        """What the owner has brought and taken since the last process traded; empty for the first one."""
        self._strange_fees: set[str] = set()
        """Tokens that are not booked, of which it is said that fees are paid in them."""
        self._booked: dict[OrderNumber, list[tuple[VenueFill, tuple[Settlement, ...]]]] = {}

    def fills_of(self, number: OrderNumber) -> Sequence[tuple[VenueFill, tuple[Settlement, ...]]]:
        """Trades of an order that were booked, and how, oldest first."""
        return self._booked.get(number, ())

    def filled(self, number: OrderNumber) -> Decimal:
        """Sum of the trades of an order that were booked."""
        return sum((fill.amount for fill, _ in self.fills_of(number)), Decimal(0))

    def begin(self, began_ns: int) -> None:
        """The ledger begins with what the account held at a moment; trades before it are in that."""
        self._began_ns = began_ns

    async def skip(self) -> frozenset[str]:
        """Take what is there for booked, as the account that is read next contains it; but `meanwhile` only once it is
        `handed_over`, as a start may fail before that. Returns the ids, to see whether anything comes in between."""
        venue, now = self._terms.venue, self._clock.now()
        since = await self._first_lookback(now)
        seen: set[str] = set()
        meanwhile: list[Payment] = []
        for pair in self._terms.pairs:
            for fill in await self._api.fills(pair, since):
                await self._journal.book_fill(venue, fill)
                seen.add(f"{pair}/{fill.trade_id}")
            self._since[pair] = now
        for payment in await self._api.payments(since):
            seen.add(payment.payment_id)
            transfer = await self._ended_by(payment)
            if transfer is not None or self._journal.incarnation == 1 or not await self._is_owners(payment):
                await self._journal.book_payment(venue, payment, transfer)
            elif not await self._journal.has_payment(venue, payment.payment_id):
                meanwhile.append(payment)
        self.meanwhile = meanwhile
        self._statement_since = now
        return frozenset(seen)

    async def handed_over(self) -> None:
        """The ledger has what the owner moved `meanwhile`."""
        for payment in self.meanwhile:
            await self._journal.book_payment(self._terms.venue, payment)
        self.meanwhile = ()

    async def read(self) -> None:
        """Book what is new. Raises what the exchange raises; then nothing is booked, and the next time has it all."""
        began, overlap = self._clock.now(), self._overlap
        happened: list[VenueFill | Payment] = []
        for pair in self._terms.pairs:
            happened += await self._api.fills(pair, self._since[pair] - overlap)
        # A deposit carries the time at which it was first seen, and may be credited an hour later.
        happened += await self._api.payments(min(self._statement_since - overlap, await self._lookback(began)))
        for item in sorted(happened, key=lambda item: item.time_ns):
            if isinstance(item, Payment):
                await self._take_payment(item)
            else:
                await self._take_fill(item)
        self._since = {pair: max(began, since) for pair, since in self._since.items()}
        self._statement_since = max(began, self._statement_since)

    async def read_fills(self, pair: str) -> None:
        """Book what is new in one market. Raises what the exchange raises."""
        began = self._clock.now()
        fills = await self._api.fills(pair, self._since[pair] - self._overlap)
        for fill in sorted(fills, key=lambda fill: fill.time_ns):
            await self._take_fill(fill)
        self._since[pair] = max(began, self._since[pair])

    @property
    def _overlap(self) -> int:
        return round(self._terms.patience.overlap_seconds * NS_PER_SECOND)

    async def _lookback(self, now_ns: int) -> int:
        """Since when things are read at the start: far enough for whatever is still expected."""
        lookback = round(self._terms.patience.lookback_seconds * NS_PER_SECOND)
        expected = await self._journal.expected(self._terms.venue)
        return min((now_ns, *(transfer.arrives_ns for transfer in expected))) - lookback

    async def _first_lookback(self, now_ns: int) -> int:
        """The same of a process that has not looked yet: far enough for whatever explains how the account has changed
        since it was last known."""
        kept = await self._journal.remembered(self._terms.venue)
        since = await self._lookback(now_ns)
        if kept is None:
            return since
        lookback = round(self._terms.patience.lookback_seconds * NS_PER_SECOND)
        return min(since, max(kept.held.time_ns - lookback, now_ns - _LONGEST_ABSENCE_NS))

    async def _take_fill(self, fill: VenueFill) -> None:
        venue, number = self._terms.venue, (fill.pair, fill.venue_order_id)
        entry = await self._journal.named(venue, *number)
        if entry is None and self.explain is not None:
            await self.explain(fill.pair)
            entry = await self._journal.named(venue, *number)
        if not await self._journal.book_fill(venue, fill):
            return
        ours = entry is not None and entry.intent.incarnation == self._journal.incarnation
        if not ours and fill.time_ns <= self._began_ns:
            return
        # A stop outlives the process that placed it.
        ours = ours or (entry is not None and isinstance(entry.intent.ticket, StopTicket))
        settlements = self._mirror.fill(fill, entry.intent.order.operation_id if entry is not None and ours else None)
        self._findings.settlements += settlements
        self._booked.setdefault(number, []).append((fill, settlements))
        self._look_at_fee(fill)
        if ours and entry is not None and entry.state is IntentState.REJECTED:
            whose = "said to have been refused"
        elif ours:
            return
        else:
            whose = "of an earlier process" if entry is not None else "not ours: a liquidation, or somebody else"
        side = "bought" if fill.buys else "sold"
        self._findings.error(
            fill.time_ns,
            "VEN-007",
            f"{venue} {side} {fill.amount} {fill.pair} at {fill.price} for order {fill.venue_order_id}, which is"
            f" {whose}; the trade is booked",
        )

    def _look_at_fee(self, fill: VenueFill) -> None:
        """Say once of each token that is not booked that fees are paid in it: profit seems higher by them."""
        token = fill.fee_currency
        if not fill.fee or token in self._terms.tokens or token in self._strange_fees:
            return
        self._strange_fees.add(token)
        text = (
            f"{self._terms.venue} takes fees in {token}, {fill.fee} of it for trade {fill.trade_id} in {fill.pair};"
            f" {token} is not booked here, so these fees are in no result. Have fees taken in what is traded"
        )
        self._findings.error(fill.time_ns, "VEN-004", text, passes=True)

    async def _take_payment(self, payment: Payment) -> None:
        venue = self._terms.venue
        if payment.token not in self._terms.tokens:
            return
        transfer = await self._ended_by(payment)
        if not await self._journal.book_payment(venue, payment, transfer):
            return
        if payment.kind is PaymentKind.WITHDRAWAL and not await self._is_owners(payment):
            return  # that it leaves is booked already
        if payment.kind is PaymentKind.DEPOSIT:
            self._take_deposit(payment, transfer)
            return
        key = purse_of(self._terms, payment, self._mirror.positions)
        self._book(_SOURCES[payment.kind], payment.time_ns, PositionDelta(key, float(payment.amount)))
        if payment.kind is not PaymentKind.FUNDING:
            self._findings.error(
                payment.time_ns,
                "VEN-007",
                f"{venue} changed {key} by {payment.amount} ({payment.kind}, {payment.payment_id}) without an order of"
                " this process; it is booked",
            )

    async def _is_owners(self, payment: Payment) -> bool:
        """Whether the owner moved it: a deposit that ends no transfer of ours, a withdrawal that is none."""
        if payment.kind is PaymentKind.WITHDRAWAL:
            return await self._journal.named(self._terms.venue, None, payment.payment_id) is None
        return payment.kind is PaymentKind.DEPOSIT

    def _take_deposit(self, payment: Payment, transfer: IncomingTransfer | None) -> None:
        """Tokens that were on their way here, or the owner's."""
        key = self._terms.cash_key(payment.wallet, payment.token)
        if transfer is None:
            self._book(DeltaSource.DEPOSIT, payment.time_ns, PositionDelta(key, float(payment.amount)))
            return
        arrived = (PositionDelta(transfer.transit_key, -transfer.amount), PositionDelta(key, transfer.amount))
        self._book(DeltaSource.TRANSFER, payment.time_ns, *arrived, operation_id=transfer.operation_id)
        short = PositionDelta(key, float(payment.amount) - transfer.amount)
        if abs(short.delta_amount) > self._terms.patience.tolerance * transfer.amount:
            self._book(DeltaSource.FEE, payment.time_ns, short, operation_id=transfer.operation_id)

    async def _ended_by(self, payment: Payment) -> IncomingTransfer | None:
        """The transfer that a deposit ends; None for one of the owner's, and for other entries."""
        if payment.kind is not PaymentKind.DEPOSIT:
            return None
        return _meant(await self._journal.expected(self._terms.venue), payment)

    def _book(self, source: DeltaSource, time_ns: int, *deltas: PositionDelta, operation_id: str | None = None) -> None:
        self._findings.settlements += self._mirror.book_covered(source, utc_from_ns(time_ns), deltas, operation_id)


def purse_of(terms: AccountTerms, payment: Payment, positions: Mapping[str, float]) -> str:
    """Key that a payment changes. What the funding purse did not have has left from where trades are paid: a statement
    does not always say from which purse the owner withdraws."""
    key = terms.cash_key(payment.wallet, payment.token)
    if payment.wallet is Wallet.FUNDING and positions.get(key, 0.0) + float(payment.amount) < 0.0:
        return terms.spot_key(payment.token)
    return key


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
