"""Defines the rules by which hedged strategies grow: open, give back spare margin, put idle cash to work."""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.messages.orders import Order
from basis_actors.strategies.found import Found
from basis_actors.strategies.hedge_moves import HedgeMoves

__all__ = ["CASH_KEPT", "HedgeGrowth"]

CASH_KEPT = 0.02
"""Cash that stays on a margin account, as a fraction of its notional, however much unrealised profit there is."""


class HedgeGrowth(HedgeMoves):
    """First the money, then all legs at once."""

    def enter(self) -> Found | None:
        """Open the position when funding pays: first the money, then both legs at once."""
        book, config = self._book, self._config
        if not book.flat:
            return None
        obstacle = self._obstacle()
        if obstacle is not None:
            return Found("hold", "none", obstacle)
        if not self._pays():
            if self._funding is None:
                return Found("hold", "none", f"fewer than {config.funding_minimum} funding rates are known")
            reason = f"mean funding {self._funding:.6f} is not above {config.funding_threshold:g}"
            return Found("hold", "none", reason)
        desk = self._desk
        target = desk.target(book.equity)
        if (refused := self._beyond_limits(target)) is not None:
            return refused
        feasible, shifts = desk.affordable(target, self._dust)
        complete = sum(feasible.values()) >= (1.0 - config.position_deviation_threshold) * sum(target.values()) > 0.0
        orders = () if complete else desk.collect(desk.idle_cash(), desk.needs(target))
        by_hand = () if complete else desk.by_hand(desk.idle_cash(), desk.needs(target))
        if by_hand:
            feasible, shifts = desk.affordable(desk.carried(target), self._dust)
        # Where the rest is not worth moving, the position is opened with what is there.
        opened = () if orders else desk.open(feasible, "entry")
        if opened:
            reason = "always in" if config.always_in else f"mean funding {self._funding:.6f} pays"
            return Found("entry", "entry_full", reason, shifts + opened, resets=True, constraints=by_hand)
        if not orders:
            what = "what lies at each exchange" if by_hand else f"equity of {book.equity:.2f} USDT"
            return Found("hold", "none", f"{what} is too little to open the smallest position", constraints=by_hand)
        reason = "moving cash to where the legs will be opened"
        return Found("entry", "transfer", reason, orders, constraints=by_hand)

    def release_margin(self) -> Found | None:
        """A venue above its band gives back what its short does not need, unless idle cash is about to use it."""
        book, ceiling = self._book, self._terms.margin_ceiling
        if book.highest_ratio <= ceiling or not self._config.margin_rebalance or self._growth():
            return None
        desk, target = self._desk, self._terms.margin_target
        orders: list[Order] = []
        names = []
        for leg in book.legs.values():
            if leg.ratio is None or leg.ratio <= ceiling or leg.mark is None:
                continue
            added = (leg.margin - leg.notional * target) / ((1.0 + target) * leg.mark)
            # Fees and funding are paid in cash, so profit that is not realised cannot stand in for all of it.
            spare = leg.cash - CASH_KEPT * leg.notional
            surplus = min(added * book.price * (1.0 + desk.spot_cost), spare)
            if desk.worth_moving(leg.terms.margin_key, surplus):
                names.append(f"{leg.venue} {leg.ratio:.4f}")
                orders += desk.move(leg.terms.margin_key, self._terms.spot_cash_key, surplus)
        if not orders:
            return None
        reason = f"margin ratio above {ceiling:.4f}: {', '.join(names)}"
        return Found("rebalance", "transfer", reason, tuple(orders))

    def deploy(self) -> Found | None:
        """Put idle cash to work: open both legs where there is margin for them, else spread the cash first."""
        book = self._book
        enough = max(self._dust, 2.0 * self._terms.minimum_notional)
        if book.flat or book.wallet_cash + book.spot_cash <= min(enough, self._least_growth) or not self._may_grow():
            return None
        desk = self._desk
        growth = self._growth()
        if (refused := self._too_large(growth)) is not None:
            return refused
        if growth and (orders := desk.open(growth, "deploy")):
            return Found("rebalance", "entry_partial", f"{book.spot_cash:.2f} USDT lies idle", orders)
        idle = desk.idle_cash()
        pool = sum(idle.values())
        if pool <= enough:
            return None
        needs = desk.needs(desk.target(pool))
        by_hand = desk.by_hand(idle, needs)
        if by_hand:
            # Only one exchange would grow with it, beyond its share.
            return Found("hold", "none", f"{pool:.2f} USDT lies idle", constraints=by_hand)
        orders = desk.collect(idle, needs)
        return Found("rebalance", "transfer", f"{pool:.2f} USDT lies idle", orders) if orders else None

    def _obstacle(self) -> str | None:
        """Why no new risk may be taken now; None when it may."""
        return None if self._book.weights and self._book.spot_tradable else "no venue may take new risk now"

    def _beyond_limits(self, target: Mapping[str, float]) -> Found | None:
        """An entry that is not made: its costs alone would break the limit on drawdown, or no margin table takes it."""
        cost, equity, limits = self._desk.entry_cost(target, self._sending_gas()), self._book.equity, self._limits
        if limits.enforce and cost > limits.max_drawdown * equity:
            text = f"an entry with {equity:,.2f} USDT would cost {cost:,.2f}"
            return _refused("RISK-001", f"{text}, and the limit on drawdown is {limits.max_drawdown:.2%}")
        return self._too_large(target)

    def _too_large(self, added: Mapping[str, float]) -> Found | None:
        """Nothing is opened of what could not be hedged as a whole."""
        text = self._desk.too_large(added)
        return None if text is None else _refused("RISK-004", text)

    def _may_grow(self) -> bool:
        return self._config.margin_rebalance and self._obstacle() is None

    def _growth(self) -> dict[str, float]:
        """What can be opened now beside the position: as much as free margin and spot cash both allow."""
        book = self._book
        if book.spot_cash <= self._least_growth or not self._may_grow():
            return {}
        desk = self._desk
        headroom = desk.headroom()
        room = sum(headroom.values())
        amount = min(room, book.spot_cash / desk.spot_unit(headroom))
        if amount * book.price <= self._least_growth:
            return {}
        return desk.lots({venue: amount * part / room for venue, part in headroom.items()})


def _refused(code: str, text: str) -> Found:
    return Found("hold", "none", text, constraints=(f"{code}: {text}",))
