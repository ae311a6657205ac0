"""Defines how the basis trade turns intentions into sizes and orders: both legs at once, spot beside the short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from basis_actors.finance.costs import round_down_to_lot
from basis_actors.messages.orders import ExecutionMode, Order, Side
from basis_actors.strategies.hedge_book import Leg
from basis_actors.strategies.hedge_desk import HedgeDesk, lots_up

__all__ = ["BasisDesk"]

_COST_OF_FREEING = 1.005
"""Freeing money costs fees and impact on both legs, less than this."""


class BasisDesk(HedgeDesk):
    """The desk of a strategy whose long leg is spot on an exchange, sold in the order that buys the short back."""

    def open(self, sizes: Mapping[str, float], intent: str) -> tuple[Order, ...]:
        """Both legs: for each venue one compensated group of its short and the spot that it hedges.

        The short comes first, so that a venue that refuses costs nothing and keeps no other from opening.
        """
        asset, home = self._terms.asset, self._terms.spot_venue
        orders: list[Order] = []
        for venue, size in sizes.items():
            spot = self.spot_lots(size)
            if spot * self._book.price < self._terms.minimum_notional:
                continue
            short = self._write.perp(venue, asset, Side.SHORT, size, intent, reduce_only=False)
            bought = self._write.spot(home, asset, Side.BUY, spot, intent)
            orders += self._write.group((short, bought), ExecutionMode.COMPENSATED)
        return tuple(orders)

    def close(self, share: float, intent: str) -> tuple[Order, ...]:
        """A share of every leg that can be traded now; a leg without a price keeps its spot."""
        if not self._book.spot_tradable:
            return ()
        sizes = {}
        for venue, leg in self._book.legs.items():
            if leg.tradable and leg.short > 0.0:
                sizes[venue] = leg.short if share >= 1.0 else round_down_to_lot(leg.short * share, leg.terms.lot)
        return self.shrink(sizes, intent)

    def free(self, amount: float, intent: str) -> tuple[Order, ...]:
        """Shrink both legs by as much as frees `amount` USDT, the same share of every leg that can be traded now.

        Each cut is rounded up to a lot, so that also a small amount comes free.
        """
        book = self._book
        legs = [leg for leg in book.legs.values() if leg.tradable and leg.short > 0.0]
        worth = sum(leg.short * book.price + min(leg.margin, leg.notional * self._margin_target) for leg in legs)
        if not book.spot_tradable or worth <= 0.0:
            return ()
        share = min(1.0, _COST_OF_FREEING * amount / worth)
        sizes = {}
        for leg in legs:
            sizes[leg.venue] = leg.short if share == 1.0 else lots_up(share * leg.short, leg.terms.lot)
        return self.shrink(sizes, intent)

    def restore(self, low: Iterable[Leg]) -> tuple[Order, ...]:
        """Bring the margin ratio of these venues back to the target: with idle cash, else by shrinking both legs.

        With q sold on spot and bought back on the perp and the proceeds moved over, M + qP = (Q - q) P / L, so
        q = (QP / L - M) / ((1 + 1/L) P). A venue that cannot be traded now gets the cash that another leg frees. Where
        no cash can be sent the legs shrink until the margin that is there does: q = (QP / L - M) / (P / L).
        """
        book, target = self._book, self._margin_target
        low = list(low)
        spare = book.spot_cash
        cuts: dict[str, float] = {}
        sums: list[tuple[str, float, float]] = []
        proceeds = book.price * (1.0 - self.spot_cost)
        for leg in low:
            lacking = leg.notional * target - leg.margin
            used, routed = min(spare, lacking), self._terms.may_move(self._terms.spot_cash_key, leg.terms.margin_key)
            if not routed or not self.worth_moving(self._terms.spot_cash_key, used):
                used = 0.0
            spare -= used
            lacking -= used
            source = leg if leg.tradable else self._strongest(low)
            cut = 0.0
            if lacking > 0.0 and source is not None and book.spot_tradable and (routed or source is leg):
                assert leg.mark is not None
                unit = (proceeds if routed else 0.0) + (target * leg.mark if source is leg else 0.0)
                cut = min(lots_up(lacking / unit, source.terms.lot), source.short - cuts.get(source.venue, 0.0))
                cuts[source.venue] = cuts.get(source.venue, 0.0) + cut
            sums.append((leg.terms.margin_key, used, cut * proceeds))
        trades = self.shrink(cuts, "margin")
        moved: list[Order] = []
        for key, idle, freed in sums:
            moved += self.move(self._terms.spot_cash_key, key, idle + freed if trades else idle)
        return (*trades, *moved)

    def _strongest(self, low: list[Leg]) -> Leg | None:
        """The tradable leg with the highest margin ratio among those that are not low themselves."""
        able = [leg for leg in self._book.legs.values() if leg.tradable and leg.ratio is not None and leg not in low]
        return max(able, key=lambda leg: leg.ratio or 0.0, default=None)
