"""Defines the copies of an account that an exchange answers from: some are old, some lack what is new, none has our
time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from basis_actors.messages.exchange import AccountState, OrderReport, Payment, TransferReport, VenueFill
from basis_actors.services.simulation.fate import Fate
from basis_actors.services.simulation.world import WorldClock
from basis_actors.times import NS_PER_SECOND

__all__ = ["Copies"]

T = TypeVar("T")


class Copies:
    """What one process is shown of an account. Times that are shown are those of the exchange's clock."""

    def __init__(self, fate: Fate, clock: WorldClock, *, is_known: bool = False) -> None:
        """`is_known` says whether an earlier process has known the account: one that is shown empty is noticed then."""
        self._fate = fate
        self._clock = clock
        most = fate.rates.clock_difference
        self._ahead_ns = round(fate.random.uniform(-most, most) * NS_PER_SECOND)
        self._before: tuple[int, AccountState] | None = None
        self._blank_until = clock.now()
        if is_known and fate.strikes("blank account", fate.rates.blank, clock.now()):
            self._blank_until += round(fate.random.uniform(0.0, fate.rates.blank_seconds) * NS_PER_SECOND)
        self._ours: set[str] = set()
        self._shown_from: dict[str, int] = {}

    def since(self, ns: int) -> int:
        """A moment that a question names, on our clock."""
        return ns - self._ahead_ns

    def keep(self, state: AccountState) -> None:
        """The account is about to change."""
        self._before = (self._clock.now(), state)

    def know(self, report: OrderReport) -> OrderReport:
        """An order of this process."""
        self._ours.add(report.venue_order_id)
        return self._order(report)

    def order(self, report: OrderReport | None) -> OrderReport | None:
        """An order; in an old copy it is not there yet."""
        return None if report is None or self._lacks(report.updated_ns) else self._order(report)

    def transfer(self, report: TransferReport) -> TransferReport:
        """A transfer that was answered."""
        return replace(report, time_ns=report.time_ns + self._ahead_ns)

    def moved(self, report: TransferReport | None) -> TransferReport | None:
        """A transfer; in an old copy it is not there yet."""
        return None if report is None or self._lacks(report.time_ns) else self.transfer(report)

    def fills(self, fills: Iterable[VenueFill]) -> tuple[VenueFill, ...]:
        """Trades, perhaps not the newest, perhaps some twice and out of order."""
        shown = [fill for fill in fills if not self._lacks(fill.time_ns) and not self._holds_back(fill)]
        return self._stirred([replace(fill, time_ns=fill.time_ns + self._ahead_ns) for fill in shown])

    def payments(self, payments: Iterable[Payment]) -> tuple[Payment, ...]:
        """The statement, likewise."""
        shown = [payment for payment in payments if not self._lacks(payment.time_ns)]
        return self._stirred([replace(payment, time_ns=payment.time_ns + self._ahead_ns) for payment in shown])

    def account(self, state: AccountState) -> AccountState:
        """Balances and positions; sometimes as they were, now and then without saying anything about positions, and
        after some starts as if there were nothing."""
        fate, rates, now = self._fate, self._fate.rates, self._clock.now()
        if self._before is not None:
            kept_ns, before = self._before
            is_young = now - kept_ns <= rates.old_account_seconds * NS_PER_SECOND
            if is_young and fate.strikes("old account", rates.old_account, now):
                state = before
        if now < self._blank_until:
            state = AccountState((), (), state.pairs, state.time_ns)
        if fate.strikes("account without positions", rates.unread / 2, now):
            state = AccountState(state.balances, (), frozenset(), state.time_ns)
        return replace(state, time_ns=state.time_ns + self._ahead_ns)

    def _order(self, report: OrderReport) -> OrderReport:
        return replace(report, updated_ns=report.updated_ns + self._ahead_ns)

    def _lacks(self, happened_ns: int) -> bool:
        """Whether something that happened at a moment is too new for the copy that answers."""
        rates, now = self._fate.rates, self._clock.now()
        if now - happened_ns > rates.lag_seconds * NS_PER_SECOND:
            return False
        return self._fate.strikes("old copy", rates.lag, now)

    def _holds_back(self, fill: VenueFill) -> bool:
        """Whether a trade is not shown yet, which is decided once."""
        rates, now = self._fate.rates, self._clock.now()
        if fill.venue_order_id not in self._ours:
            return False
        if fill.trade_id not in self._shown_from:
            late = self._fate.strikes("late trade", rates.late_trade, now)
            wait = self._fate.random.uniform(2.0, rates.late_trade_seconds) if late else 0.0
            self._shown_from[fill.trade_id] = fill.time_ns + round(wait * NS_PER_SECOND)
        return now < self._shown_from[fill.trade_id]

    def _stirred(self, items: Sequence[T]) -> tuple[T, ...]:
        if not items or not self._fate.strikes("repeated", self._fate.rates.repeated, self._clock.now()):
            return tuple(items)
        random = self._fate.random
        again = [*items, random.choice(items)]
        random.shuffle(again)
        return tuple(again)
