"""Defines how equity has grown by itself: what the owner pays in or takes out is no gain and no loss."""

from __future__ import annotations

from typing import Final

from basis_actors.finance.keys import parse_key
from basis_actors.finance.one_moment import equity_of_one_moment
from basis_actors.messages.book import PositionsView
from basis_actors.messages.execution import OWNERS_FLOWS

__all__ = ["EquityGrowth"]

_ROUNDING: Final = 1e-9
"""Part of the largest equity so far that is what sums leave over when the owner has taken everything."""


class EquityGrowth:
    """Growth of equity without the owner's flows, and its peak.

    It begins at 1 with the first equity that is known, or goes on from what an earlier process knew. Equity is that of
    one moment in the share class `currency`: what an old mark seems to have gained or lost beside a fresh one is
    neither, and while anything is old no peak is set.
    """

    def __init__(
        self, currency: str, equity: float = 0.0, growth: float = 1.0, highest: float = 1.0, flows: float = 0.0
    ) -> None:
        self._currency = currency
        self._equity = equity
        self._largest = equity
        self._flows = flows
        self._growth = growth
        self._highest = highest

    def take(self, book: PositionsView) -> None:
        """Go on to the equity of `book` where it is known: every position that is no reward has a price.

        Money that the owner adds or takes changes equity, but not its growth. Equity that falls to zero or below has
        lost everything, and no later money wins that back.
        """
        for settlement in book.settlements:
            if settlement.source in OWNERS_FLOWS:
                for delta in settlement.deltas:
                    self._flows += delta.delta_amount * book.prices[parse_key(delta.position_key).asset]
        valuation = book.valuation
        if valuation.unpriced:
            return
        fresh = valuation.fresh
        equity = valuation.equity if fresh else equity_of_one_moment(book, self._currency)
        before, largest = self._equity, self._largest
        rounding = _ROUNDING * largest
        growth = self._growth
        if growth > 0.0:
            if before > rounding:
                self._growth = growth = growth * ((equity - self._flows) / before)
            elif largest and equity < -rounding:
                self._growth = growth = 0.0
        self._equity, self._flows = equity, 0.0
        if equity > largest:
            self._largest = equity
        if fresh and growth > self._highest:
            self._highest = growth

    @property
    def equity(self) -> float:
        """The last one that was known, share class."""
        return self._equity

    @property
    def flows(self) -> float:
        """What the owner has paid in since, less what he took out, share class."""
        return self._flows

    @property
    def growth(self) -> float:
        """What 1 at the beginning has become."""
        return self._growth

    @property
    def highest(self) -> float:
        """The most that it was while every price was fresh."""
        return self._highest

    @property
    def lost(self) -> bool:
        """Whether there was equity, and all of it was lost."""
        return self._growth <= 0.0

    @property
    def drawdown(self) -> float:
        """Fall from the peak, as a fraction of it."""
        growth, highest = self._growth, self._highest
        return 0.0 if growth >= highest else 1.0 - growth / highest
