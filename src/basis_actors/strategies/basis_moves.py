"""Defines the rules of the basis trade: each looks at the book of one tick and says what it wants, or nothing."""

from __future__ import annotations

from functools import cached_property

from basis_actors.finance.costs import round_down_to_lot
from basis_actors.strategies.basis_desk import BasisDesk
from basis_actors.strategies.found import Found
from basis_actors.strategies.hedge_growth import CASH_KEPT, HedgeGrowth

__all__ = ["BasisMoves"]


class BasisMoves(HedgeGrowth):
    """The rules of the basis trade, on the book of one tick."""

    @cached_property
    def _desk(self) -> BasisDesk:
        """Most ticks need none."""
        return BasisDesk(self._terms, self._book, self._write)

    # Risk: these act whatever else is going on.

    def level_delta(self) -> Found | None:
        """After a liquidation, or a fill that fell short, the longer side is cut back to the shorter."""
        book = self._book
        gap = book.spot - book.short
        if abs(gap) * book.price <= self._dust or not book.spot_tradable:
            return None
        desk = self._desk
        if gap > 0.0:
            side, amount = "spot", desk.spot_lots(min(gap, book.spot_free))
            orders = (desk.sell_spot(amount, "level_delta"),) if amount > 0.0 else ()
        else:
            side, orders = "the short", ()
            legs = [leg for leg in book.legs.values() if leg.tradable and leg.short > 0.0]
            if legs:
                largest = max(legs, key=lambda leg: leg.short)
                amount = round_down_to_lot(min(-gap, largest.short), largest.terms.lot)
                orders = (desk.buy_back(largest.venue, amount, "level_delta"),) if amount > 0.0 else ()
        if not orders:
            return None
        return Found("rebalance", "exit_partial", f"{side} is {abs(gap):.6g} too large: net delta is not zero", orders)

    def obey_margin_limits(self) -> Found | None:
        """Absolute limits of the margin ratio: emergency exit, exit half, reduce."""
        limits = self._limits
        low = self._endangered()
        if not low:
            return None
        desk = self._desk
        names = ", ".join(f"{leg.venue} {leg.ratio:.4f}" for leg in low)
        if any((leg.ratio or 0.0) <= self._emergency(leg.venue) for leg in low):
            orders = desk.close(1.0, "emergency")
            found = Found(
                "emergency_exit", "exit_full", f"margin ratio close to maintenance: {names}", orders, resets=True
            )
        elif any((leg.ratio or 0.0) <= limits.margin_ratio_exit_half for leg in low):
            reason = f"margin ratio at or below {limits.margin_ratio_exit_half}: {names}"
            found = Found("exit", "exit_partial", reason, desk.close(0.5, "risk_half"))
        else:
            reason = f"margin ratio at or below {limits.margin_ratio_reduce}: {names}"
            found = Found("rebalance", "exit_partial", reason, desk.restore(low))
        return found if found.orders else None

    def _free_cash(self, lacking: float) -> Found | None:
        orders = self._desk.free(lacking, "withdrawal")
        if not orders:
            return None
        return Found("exit", "exit_partial", f"freeing {lacking:.2f} USDT for a withdrawal", orders)

    # The position.

    def leave(self) -> Found | None:
        """Close everything when funding no longer pays."""
        funding, exit_funding = self._funding, self._terms.exit_funding
        if self._book.flat or funding is None or funding >= exit_funding:
            return None
        orders = self._desk.close(1.0, "exit")
        reason = f"mean funding {funding:.6f} is below {exit_funding:g}"
        return Found("exit", "exit_full", reason, orders, resets=True) if orders else None

    def top_up_margin(self) -> Found | None:
        """A venue below its band gets its target ratio back: idle cash first, else both legs shrink a little."""
        floor = self._terms.margin_floor
        if self._book.lowest_ratio >= floor or not self._config.margin_rebalance:
            return None
        low = [leg for leg in self._book.legs.values() if leg.ratio is not None and leg.ratio < floor]
        orders = self._desk.restore(low) if low else ()
        if not orders:
            return None
        names = ", ".join(f"{leg.venue} {leg.ratio:.4f}" for leg in low)
        return Found("rebalance", "exit_partial", f"margin ratio below {floor:.4f}: {names}", orders)

    def resize(self) -> Found | None:
        """Set every leg anew once equity has moved by more than the threshold since the last time."""
        config, book = self._config, self._book
        if book.flat or self._drift is None or abs(self._drift) <= config.position_deviation_threshold:
            return None
        desk = self._desk
        target = desk.target(book.equity)
        cuts = {}
        for venue, leg in book.legs.items():
            excess = round_down_to_lot(max(0.0, leg.short - target.get(venue, 0.0)), leg.terms.lot)
            if leg.tradable and excess * book.price > max(self._dust, leg.terms.minimum_notional):
                cuts[venue] = excess
        # Where a venue has joined, its share of the margin goes along; the legs follow when it has arrived.
        orders = (*(desk.shrink(cuts, "resize") if book.spot_tradable else ()), *desk.spread_margin(target, CASH_KEPT))
        reason = f"flow-adjusted equity moved by {self._drift:.2%} since the position was last set"
        return Found("rebalance", "exit_partial" if orders else "none", reason, orders, resets=True)

    # The end.

    def close(self) -> Found | None:
        """Close every leg that can be traded now, then gather the cash in the wallet."""
        book = self._book
        if not book.flat:
            orders = self._desk.close(1.0, "exit")
            if not orders:
                return self._stays()
            return Found("emergency_exit", "exit_full", "closing every leg", orders, resets=True)
        left = self._desk.spot_lots(book.spot_free)
        if book.spot_tradable and left * book.price >= self._terms.minimum_notional:
            orders = (self._desk.sell_spot(left, "exit"),)
            return Found("emergency_exit", "exit_full", f"selling {left:.6g} that no short stands against", orders)
        return self.gather() if book.spot_bound * book.price < self._terms.minimum_notional else self._stays()

    def _stays(self) -> Found:
        """What cannot be closed now, and why."""
        book, terms = self._book, self._terms
        shorts = ", ".join(f"{leg.venue} {leg.short:.6g}" for leg in book.legs.values() if leg.short > 0.0)
        if not book.spot_bound:
            return Found("hold", "none", f"no leg that is still open can be traded now: {shorts}")
        kept = f"the shorts against it stay, so that it is hedged: {shorts}" if shorts else "no short stands against it"
        bound = f"{book.spot_bound:.6g} {terms.asset} at {terms.spot_venue} are bound by open orders"
        return Found("hold", "none", f"{bound} and cannot be sold before those are cancelled or filled; {kept}")
