"""Defines the season rewards of a liquid staking protocol: tokens for what was held of its own token over a period.

What is held counts in ETH, wherever it lies on the chain. One cumulative number a day is kept, old days are dropped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from basis_actors.errors import BasisError
from basis_actors.messages.execution import DeltaSource, PositionDelta
from basis_actors.messages.market import MarketState, RewardStamp
from basis_actors.times import NS_PER_SECOND, utc_from_ns, utc_text
from basis_actors.venues.simulated.protocol import Booking, ChainProtocol, Wallet, token_key

__all__ = ["SeasonRewards"]

_DAY: Final = 86_400 * NS_PER_SECOND
_KEPT_DAYS: Final = 400
"""How far back a period may begin. The longest that was ever paid began 64 days before its payment."""


class SeasonRewards(ChainProtocol):
    """Pays `per_eth` x the time-average of LST x eth_per_lst over the period of each reward stamp.

    Exact where periods begin and end at midnight (UTC) and holdings change at ticks only. Nothing counts as held before
    the first tick. Has to settle before the protocols that interest accrues at.
    """

    def __init__(self, venue: str, lst: str) -> None:
        self._venue = venue
        self._lst = lst
        self._times: list[int] = []
        """The first tick, then every midnight since (ns), the last `_KEPT_DAYS` of them."""
        self._sums: list[float] = []
        """ETH x days held up to each of `times`."""
        self._dropped = False
        self._now = 0
        self._sum = 0.0
        """ETH x days held up to `now`."""
        self._rate = 0.0

    @property
    def venue(self) -> str:
        """Venue name of the protocol that pays."""
        return self._venue

    def settle(self, market: MarketState, wallet: Wallet) -> Sequence[Booking]:
        """Count what was held since the last tick, and pay the rewards that are due; each is stamped when it was paid.

        Raises BasisError DATA-002 for a period that is not over when it is paid, or began before the days kept.
        """
        self._hold(market.ns, wallet.total_of(self._lst) * self._rate)
        quote = market.staking.get(self._lst)
        self._rate = 0.0 if quote is None else quote.eth_per_lst
        if not market.rewards:
            return ()
        return [
            booking
            for stamp in market.rewards
            if stamp.lst == self._lst and (booking := self._pay(stamp, market)) is not None
        ]

    def snapshot(self) -> object:
        """The whole state of the account."""
        return self._times.copy(), self._sums.copy(), self._dropped, self._now, self._sum, self._rate

    def restore(self, state: object) -> None:
        """Be exactly as at the `snapshot` that gave `state`."""
        assert isinstance(state, tuple)
        times, sums, self._dropped, self._now, self._sum, self._rate = state
        self._times, self._sums = times.copy(), sums.copy()

    def _hold(self, until_ns: int, eth: float) -> None:
        """Add `eth` held from the last tick to `until_ns`, with the sum at every midnight that passed."""
        if not self._times:
            self._times, self._sums, self._now = [until_ns], [0.0], until_ns
            return
        start, before = self._now, self._sum
        midnight = (start // _DAY + 1) * _DAY
        while midnight <= until_ns:
            self._times.append(midnight)
            self._sums.append(before + eth * (midnight - start) / _DAY)
            midnight += _DAY
        extra = len(self._times) - _KEPT_DAYS
        if extra > 0:
            del self._times[:extra], self._sums[:extra]
            self._dropped = True
        self._now, self._sum = until_ns, before + eth * (until_ns - start) / _DAY

    def _pay(self, stamp: RewardStamp, market: MarketState) -> Booking | None:
        start, end = stamp.period_start_ns, stamp.period_end_ns
        if not start < end <= stamp.ns:
            raise BasisError("DATA-002", f"{_named(stamp)}: a period that is over when it is paid was expected")
        average = (self._sum_at(end, stamp) - self._sum_at(start, stamp)) / ((end - start) / _DAY)
        amount = stamp.per_eth * average
        if amount <= 0.0:
            return None
        received = PositionDelta(token_key(stamp.token), amount, market.prices.get(stamp.token))
        return Booking(DeltaSource.REWARD, utc_from_ns(stamp.ns), (), (received,))

    def _sum_at(self, ns: int, stamp: RewardStamp) -> float:
        """ETH x days held up to `ns`; between midnights as if holdings had not changed on that day."""
        if ns >= self._now:
            return self._sum
        place = bisect_left(self._times, ns)
        if place < len(self._times) and self._times[place] == ns:
            return self._sums[place]
        if place == 0:
            if self._dropped:
                oldest = utc_text(utc_from_ns(self._times[0]))
                raise BasisError("DATA-002", f"{_named(stamp)}: holdings are known from {oldest} on only")
            return 0.0
        start, before = self._times[place - 1], self._sums[place - 1]
        last = place == len(self._times)
        end, after = (self._now, self._sum) if last else (self._times[place], self._sums[place])
        return before + (after - before) * (ns - start) / (end - start)


def _named(stamp: RewardStamp) -> str:
    start, end, paid = (utc_text(utc_from_ns(ns)) for ns in (stamp.period_start_ns, stamp.period_end_ns, stamp.ns))
    return f"reward of {stamp.token} to holders of {stamp.lst} for [{start}, {end}), paid {paid}"
