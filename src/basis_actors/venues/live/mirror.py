"""Defines the account's own copy of what the ledger holds of it, and how trades and payments become settlements.

The copy is what the exchange is compared with. It changes only by settlements, which the ledger applies as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.finance.keys import parse_key
from basis_actors.finance.ledger import book_settlement
from basis_actors.messages.exchange import AccountState, Payment, PaymentKind, PerpHolding, VenueFill
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.times import utc_from_ns
from basis_actors.venues.live.terms import AccountTerms

__all__ = ["Mirror", "shown_by"]

_ENTRY_ROUNDING: Final = 1e-7
"""Relative; exchanges show an average entry with seven digits or more."""


class Mirror:
    """Positions and entries of one account as the ledger has them."""

    def __init__(self, terms: AccountTerms) -> None:
        self._terms = terms
        self.positions: dict[str, float] = {}
        self.entries: dict[str, float] = {}
        self._sequence = 0

    def book(
        self,
        source: DeltaSource,
        moment: datetime,
        deltas: Sequence[PositionDelta],
        operation_id: str | None = None,
    ) -> Settlement:
        """The next settlement of the account. Raises BasisError POS-004 as the ledger would; then nothing changes."""
        venue = self._terms.venue
        settlement = Settlement(source, moment, venue, self._sequence, tuple(deltas), operation_id)
        # Tokens in transit are two accounts' business; only the ledger has both of them.
        own = tuple(delta for delta in deltas if parse_key(delta.position_key).venue == venue)
        if own:
            here = msgspec.structs.replace(settlement, deltas=own)
            self.positions, self.entries = book_settlement(here, self.positions, self.entries)
        self._sequence += 1
        return settlement

    def open(
        self,
        state: AccountState,
        under_way: Mapping[str, float],
        meanwhile: Sequence[Payment] = (),
        instead: Mirror | None = None,
    ) -> tuple[Settlement, ...]:
        """Begin anew with what the account holds, perpetuals at the exchange's own entry prices, and with what is
        `under_way` to it, by transit key; or with what it should hold `instead`, where that is not what is shown.

        What the owner has brought and taken `meanwhile`, since the last process, is in what is there and comes as his
        own, so that whoever goes on from that process takes it for no gain and no loss.
        """
        self.positions, self.entries, self._sequence = {}, {}, 0
        held = shown_by(self._terms, state) if instead is None else instead.positions
        entries = _entries_shown(self._terms, state) if instead is None else instead.entries
        deltas = [PositionDelta(key, held[key], entry) for key, entry in entries.items() if key in held]
        flows = [
            (payment, PositionDelta(self._terms.cash_key(payment.wallet, payment.token), float(payment.amount)))
            # What has come may have been moved on to another purse, so that nothing goes before it.
            for payment in sorted(meanwhile, key=lambda payment: payment.amount < 0)
            if payment.token in self._terms.tokens
        ]
        cash = {key: amount for key, amount in held.items() if parse_key(key).contract is None}
        for _, delta in flows:
            cash[delta.position_key] = cash.get(delta.position_key, 0.0) - delta.delta_amount
        deltas += [PositionDelta(key, amount) for key, amount in cash.items() if amount]
        deltas += [PositionDelta(key, amount) for key, amount in under_way.items()]
        moment = utc_from_ns(state.time_ns)
        opened = [self.book(DeltaSource.OPENING, moment, deltas)] if deltas else []
        for payment, delta in flows:
            source = DeltaSource.DEPOSIT if payment.kind is PaymentKind.DEPOSIT else DeltaSource.WITHDRAWAL
            opened.append(self.book(source, moment, (delta,)))
        return tuple(opened)

    def fill(self, fill: VenueFill, operation_id: str | None) -> tuple[Settlement, ...]:
        """A trade, and its fee where it is paid in a token that is booked."""
        moment = utc_from_ns(fill.time_ns)
        deltas = self._perp_deltas(fill) if fill.pair.endswith("-PERP") else self._spot_deltas(fill)
        settlements = self.book_covered(DeltaSource.EXECUTION, moment, deltas, operation_id)
        if fill.fee and fill.fee_currency in self._terms.tokens:
            fee = PositionDelta(self._fee_key(fill), -float(fill.fee))
            settlements += (self.book(DeltaSource.FEE, moment, (fee,), operation_id),)
        return settlements

    def adjust(self, state: AccountState, found: dict[str, tuple[float, float]]) -> Settlement:
        """Believe the exchange: `found` has what is booked and what is shown, by key."""
        held = {self._terms.position_key(holding.pair): holding for holding in state.holdings}
        deltas = [self._step_to(key, booked, shown, held.get(key)) for key, (booked, shown) in found.items()]
        return self.book(DeltaSource.ADJUSTMENT, utc_from_ns(state.time_ns), deltas)

    def take_over(
        self, state: AccountState, found: Mapping[str, tuple[float, float]], market: MarketState | None
    ) -> tuple[Settlement, ...]:
        """Believe the exchange where it is far from what was booked: what that brings or takes is no return.

        Perpetuals are brought to what is shown first. One that has shrunk was closed at its mark, as far as anybody
        knows, which pays into the cash; the rest of what cash differs by comes from outside, or goes there.
        """
        held = {self._terms.position_key(holding.pair): holding for holding in state.holdings}
        steps: list[PositionDelta] = []
        cash = {key: shown for key, (_, shown) in found.items() if parse_key(key).contract is None}
        for key, (booked, shown) in found.items():
            info = parse_key(key)
            if info.contract is None:
                continue
            step = self._step_to(key, booked, shown, held.get(key))
            quote = None if market is None or key in held else market.perps.get(info.perp or "")
            if quote is not None and quote.mark is not None:
                step = PositionDelta(key, shown - booked, quote.mark)
            steps.append(step)
            if booked and step.price is not None:
                after = info.contract.fill(booked, self.entries[key], step.delta_amount, step.price)
                if after.realised:
                    margin = self._terms.margin_key(info.symbol)
                    cash.setdefault(margin, self.positions.get(margin, 0.0))
                    steps.append(PositionDelta(margin, after.realised))
        moment = utc_from_ns(state.time_ns)
        settlements: tuple[Settlement, ...] = ()
        if steps:
            settlements = (self.book(DeltaSource.ADJUSTMENT, moment, steps),)
        rest = {key: shown - self.positions.get(key, 0.0) for key, shown in cash.items()}
        deltas = [PositionDelta(key, amount) for key, amount in rest.items() if amount]
        if deltas:
            settlements += (self.book(DeltaSource.UNEXPLAINED, moment, deltas),)
        return settlements

    def moved(self, state: AccountState, found: Mapping[str, tuple[float, float]]) -> Settlement | None:
        """Take what went from one purse of the account to another, if that is all of what is `found` of a token.

        Nothing has come or gone by it, whoever moved it; None where no token is like that.
        """
        steps: dict[str, list[PositionDelta]] = {}
        for key, (booked, shown) in found.items():
            info = parse_key(key)
            if info.contract is None:
                steps.setdefault(info.token, []).append(PositionDelta(key, shown - booked))
        moved: list[PositionDelta] = []
        for deltas in steps.values():
            largest = max(abs(delta.delta_amount) for delta in deltas)
            if abs(sum(delta.delta_amount for delta in deltas)) <= self._terms.patience.tolerance * max(largest, 1.0):
                moved += deltas
        return self.book(DeltaSource.TRANSFER, utc_from_ns(state.time_ns), moved) if moved else None

    def turned(self, state: AccountState, found: Mapping[str, tuple[float, float]]) -> Settlement | None:
        """Take the trades of one perpetual in the order in which the exchange counts them, if that is all of what is
        `found`; None when it is not.

        What trades realise and what they leave at work depends on their order, the sum does not: only cash differs, by
        as much as the two average entries are worth. The position is closed and opened again at the exchange's.
        """
        if len(found) != 1:
            return None
        ((cash, (booked, shown)),) = found.items()
        for holding in state.holdings:
            key, size = self._terms.position_key(holding.pair), float(holding.size)
            contract, entry = parse_key(key).contract, self.entries.get(key)
            if contract is None or entry is None or self._terms.margin_key(holding.pair) != cash:
                continue
            apart = contract.upnl(size, entry, float(holding.entry))
            if not apart or abs(apart - (shown - booked)) > _ENTRY_ROUNDING * abs(
                contract.upnl(size, entry, 2 * entry)
            ):
                continue
            price = contract.exit_price(size, entry, shown - booked)
            again = (PositionDelta(key, -size, price), PositionDelta(key, size, price))
            moved = (*again, PositionDelta(cash, shown - booked))
            return self.book(DeltaSource.EXECUTION, utc_from_ns(state.time_ns), moved)
        return None

    def differences(self, shown: dict[str, float]) -> dict[str, tuple[float, float]]:
        """What is booked and what is shown, by key, where the two are further apart than rounding."""
        found = {}
        for key in {**self.positions, **shown}:
            booked, there = self.positions.get(key, 0.0), shown.get(key, 0.0)
            if abs(booked - there) > self._terms.patience.tolerance * max(abs(booked), abs(there), 1.0):
                found[key] = (booked, there)
        return found

    def _spot_deltas(self, fill: VenueFill) -> tuple[PositionDelta, ...]:
        base, quote = fill.pair.split("/")
        amount = fill.amount if fill.buys else -fill.amount
        venue = self._terms.venue
        return (
            PositionDelta(f"{venue}:BaseToken:{base}", float(amount), float(fill.price)),
            PositionDelta(f"{venue}:BaseToken:{quote}", -float(amount * fill.price)),
        )

    def _perp_deltas(self, fill: VenueFill) -> tuple[PositionDelta, ...]:
        key = self._terms.position_key(fill.pair)
        contract = parse_key(key).contract
        assert contract is not None, "a perp has a contract"
        amount, price = float(fill.amount if fill.buys else -fill.amount), float(fill.price)
        after = contract.fill(self.positions.get(key, 0.0), self.entries.get(key, 0.0), amount, price)
        deltas = [PositionDelta(key, amount, price)]
        if after.realised != 0.0:
            deltas.append(PositionDelta(self._terms.margin_key(fill.pair), after.realised))
        return tuple(deltas)

    def _fee_key(self, fill: VenueFill) -> str:
        if fill.pair.endswith("-PERP"):
            margin = self._terms.margin_key(fill.pair)
            if parse_key(margin).symbol == fill.fee_currency:
                return margin
        return f"{self._terms.venue}:BaseToken:{fill.fee_currency}"

    def book_covered(
        self,
        source: DeltaSource,
        moment: datetime,
        deltas: Sequence[PositionDelta],
        operation_id: str | None = None,
    ) -> tuple[Settlement, ...]:
        """Book what has happened, whatever the copy knew before: what was sold or withdrawn, the account had."""
        try:
            return (self.book(source, moment, deltas, operation_id),)
        except BasisError as error:
            if error.code != "POS-004":
                raise
        missing = [
            PositionDelta(delta.position_key, -(self.positions.get(delta.position_key, 0.0) + delta.delta_amount))
            for delta in deltas
            if self.positions.get(delta.position_key, 0.0) + delta.delta_amount < 0.0
        ]
        # What the owner takes out and nobody saw come in is no gain.
        cover = DeltaSource.UNEXPLAINED if source is DeltaSource.WITHDRAWAL else DeltaSource.ADJUSTMENT
        covered = self.book(cover, moment, missing)
        return (covered, self.book(source, moment, deltas, operation_id))

    def _step_to(self, key: str, booked: float, shown: float, held: PerpHolding | None) -> PositionDelta:
        """The change that leads to what is shown; of a perpetual at the price that gives the exchange's own entry."""
        if parse_key(key).contract is None:
            return PositionDelta(key, shown - booked)
        before = self.entries.get(key, 0.0)
        if held is None:
            return PositionDelta(key, shown - booked, before)
        entry, mark = float(held.entry), float(held.mark)
        if booked * shown <= 0.0:
            return PositionDelta(key, shown - booked, entry)
        if abs(shown) <= abs(booked):
            return PositionDelta(key, shown - booked, mark)
        if parse_key(key).inverse:
            coins = shown / entry - booked / before
            price = (shown - booked) / coins if coins else mark
        else:
            price = (shown * entry - booked * before) / (shown - booked)
        return PositionDelta(key, shown - booked, price if price > 0.0 else mark)


def shown_by(terms: AccountTerms, state: AccountState) -> dict[str, float]:
    """What the exchange shows, by position key; zero ones and tokens that are not booked left out."""
    cash: dict[str, Decimal] = {}
    for balance in state.balances:
        if balance.token in terms.tokens:
            key = terms.cash_key(balance.wallet, balance.token)
            cash[key] = cash.get(key, Decimal(0)) + balance.total
    shown = {key: float(amount) for key, amount in cash.items() if amount}
    shown.update((terms.position_key(held.pair), float(held.size)) for held in state.holdings if held.size)
    return shown


def _entries_shown(terms: AccountTerms, state: AccountState) -> dict[str, float]:
    """The exchange's own average entries, by position key."""
    return {terms.position_key(held.pair): float(held.entry) for held in state.holdings}
