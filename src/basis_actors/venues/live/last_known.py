"""Defines what is remembered of an account from one process to the next, and what it should hold by that.

It only says what should be there. What becomes of a difference is for the comparison, as while a process runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from basis_actors.messages.exchange import Payment, PaymentKind, TransferTicket, VenueFill
from basis_actors.messages.execution import DeltaSource, PositionDelta
from basis_actors.messages.journal import LastHeld, Remembered
from basis_actors.ports import OrderJournal
from basis_actors.times import NS_PER_SECOND, utc_from_ns
from basis_actors.venues.live.intake import purse_of
from basis_actors.venues.live.mirror import Mirror
from basis_actors.venues.live.terms import AccountTerms, LiveClock
from basis_actors.venues.live.transfer_desk import TransferDesk

__all__ = ["LastKnown"]


class LastKnown:
    """The memory of one account, kept in the order journal, which also knows what it has learned since."""

    def __init__(
        self, terms: AccountTerms, journal: OrderJournal, mirror: Mirror, transfers: TransferDesk, clock: LiveClock
    ) -> None:
        self._terms = terms
        self._journal = journal
        self._mirror = mirror
        self._transfers = transfers
        self._clock = clock
        self._kept: LastHeld | None = None
        """By this process."""
        self.account = ""
        """Tells this account from others at its exchange: what is remembered of another one is no use."""

    async def keep(self) -> None:
        """Remember what is booked, where that has changed; while a transfer of ours has not ended, what was remembered
        before stands, as the end of it would be forgotten."""
        terms, kept, now = self._terms, self._kept, self._clock.now()
        # The next process reads the history from then on, so it is not to be long ago.
        old_ns = round(terms.patience.lookback_seconds * NS_PER_SECOND)
        if kept is not None and now - kept.time_ns < old_ns and self._is_booked(kept):
            return
        open_entries = await self._journal.unresolved(terms.venue)
        if any(isinstance(entry.intent.ticket, TransferTicket) for entry in open_entries):
            return
        held = self._as_booked(now)
        await self._journal.keep(terms.venue, held)
        self._kept = held

    async def unless_shown(self, shown: Mapping[str, float], meanwhile: Sequence[Payment]) -> Mirror | None:
        """What the account should hold, by what it held when it was last known and what happened since, of which
        `meanwhile` is not written down yet; None when that is what is `shown`, and for an account that nobody
        remembers.

        Raises what the exchange raises when it is asked about transfers.
        """
        remembered = await self._journal.remembered(self._terms.venue)
        if remembered is None or not self._is_this(remembered.held):
            return None
        expected = await self._since(remembered, meanwhile)
        return expected if expected.differences(dict(shown)) else None

    def _is_booked(self, held: LastHeld) -> bool:
        return (held.positions, held.entries) == (self._mirror.positions, self._mirror.entries)

    def _as_booked(self, now_ns: int) -> LastHeld:
        return LastHeld(
            account=self.account,
            pairs=self._terms.pairs,
            tokens=tuple(sorted(self._terms.tokens)),
            time_ns=now_ns,
            positions=self._mirror.positions,
            entries=self._mirror.entries,
        )

    def _is_this(self, held: LastHeld) -> bool:
        """Whether it is this account, of which the same markets and tokens were booked."""
        now = self._as_booked(held.time_ns)
        return (held.account, held.pairs, held.tokens) == (now.account, now.pairs, now.tokens)

    async def _since(self, remembered: Remembered, meanwhile: Sequence[Payment]) -> Mirror:
        """Add to what was held what happened since, in order of time."""
        expected = Mirror(self._terms)
        expected.positions, expected.entries = dict(remembered.held.positions), dict(remembered.held.entries)
        happened: list[tuple[int, VenueFill | Payment | tuple[PositionDelta, ...]]] = []
        happened += [(fill.time_ns, fill) for fill in remembered.fills]
        payments = (*remembered.payments, *meanwhile)
        happened += [(payment.time_ns, payment) for payment in payments if await self._counts(payment)]
        effects = [await self._transfers.effect(entry) for entry in remembered.transfers]
        happened += [effect for effect in effects if effect is not None]
        for at_ns, item in sorted(happened, key=lambda each: each[0]):
            if isinstance(item, VenueFill):
                expected.fill(item, None)
                continue
            if isinstance(item, Payment):
                item = (PositionDelta(purse_of(self._terms, item, expected.positions), float(item.amount)),)
            expected.book(DeltaSource.ADJUSTMENT, utc_from_ns(at_ns), item)
        return expected

    async def _counts(self, payment: Payment) -> bool:
        """Whether an entry of the statement is not told by a transfer of ours already."""
        if payment.token not in self._terms.tokens:
            return False
        ours = payment.kind is PaymentKind.WITHDRAWAL and await self._journal.named(
            self._terms.venue, None, payment.payment_id
        )
        return not ours
