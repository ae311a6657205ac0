"""Defines the rules of the market-neutral strategy that reduce: delta, margin, the owner, the way out.

Ether that has to be sold lies staked, so a reduction takes several ticks: release it, send it to the exchange, sell it
there while as much of the short is bought back, send the proceeds. Each tick works out anew what is still missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import msgspec

from basis_actors.config import MarketNeutralConfig, RiskLimits
from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.strategies.found import Found
from basis_actors.strategies.hedge_book import Leg
from basis_actors.strategies.hedge_growth import CASH_KEPT, HedgeGrowth
from basis_actors.strategies.hedge_moves import Tick
from basis_actors.strategies.market_neutral_book import NeutralBook, NeutralTerms
from basis_actors.strategies.market_neutral_desk import LEVEL_AT, Fetched, NeutralDesk
from basis_actors.strategies.market_neutral_tools import NeutralTools

__all__ = ["Reductions"]

_GAS_SHARE = 0.01
"""Share of an amount that the gas of staking it and of having it back may cost."""
_RELEASE_SHARE = 0.05
"""Share of an amount that the gas of having it back may cost."""
_SMALLEST_DUST = 1.25
"""Dust limit from which delta can be kept within it, in smallest orders: one of those and a lot have to fit."""
_RELEASED_FROM = 2.0
"""Ether above what equity carries from which some is released for a rebalance, in thresholds of the position."""
_COST_OF_FREEING = 1.005
"""Selling and buying back costs less than this."""


class Reductions(HedgeGrowth):
    """The rules that reduce, on the book of one tick."""

    def __init__(
        self,
        config: MarketNeutralConfig,
        limits: RiskLimits,
        terms: NeutralTerms,
        book: NeutralBook,
        tick: Tick,
        tools: NeutralTools,
    ) -> None:
        super().__init__(config, limits, terms.hedge, book.hedge, tick)
        self._neutral_config = config
        self._neutral_terms = terms
        self._neutral = book
        self._tools = tools
        if 0.0 < self._wanted <= book.hedge.wallet_cash:
            # What is about to be paid out leaves net delta as it is, so delta is levelled before for what stays.
            self._dust = config.dust_delta * max(0.0, book.hedge.equity - self._wanted)
        # Ether that is not worth an order is no position.
        self.at_rest = book.hedge.flat and book.long * book.price < terms.hedge.minimum_notional
        self._is_level = self.at_rest or abs(book.gap) * book.price <= LEVEL_AT * self._dust

    @cached_property
    def _desk(self) -> NeutralDesk:
        """Most ticks need none."""
        stake = self._tools.stake(self._situation, self._write)
        terms, cost = self._neutral_terms, self._tools.sending_cost(self._situation.market)
        return NeutralDesk(terms, self._neutral, self._write, stake, self._dust_eth, cost)

    # Risk

    def level_delta(self) -> Found | None:
        """Bring the shorts to the ether they hedge, with some room below the dust limit."""
        gap = self._neutral.gap
        if self._is_level:
            return None
        if gap > 0.0:
            orders = self._desk.add_short(gap, self._terms.margin_floor)
            if orders or gap * self._neutral.price <= self._dust:
                return self._levelled("the shorts are", gap, orders, "level_delta")
        # Where no margin is left for more short, there is too much ether.
        return self.reduce_delta()

    def reduce_delta(self) -> Found | None:
        """Cut back what is too large, shorts or ether."""
        book, gap = self._neutral, self._neutral.gap
        if self._is_level:
            return None
        desk = self._desk
        if gap < 0.0:
            orders = desk.cut_short(-gap, "level_delta")
            return self._levelled("the shorts are", gap, orders, "exit_partial")
        spot = desk.spot_lots(min(gap, book.hedge.spot))
        if spot * book.price >= self._terms.minimum_notional and book.hedge.spot_tradable:
            return self._levelled("ether is", gap, (desk.sell_spot(spot, "level_delta"),), "exit_partial")
        fetched = desk.fetch(gap - book.in_transit - book.claimed, self._band, queue=False)
        return self._levelled("ether is", gap, fetched.orders, "exit_partial")

    def _levelled(self, what: str, gap: float, orders: tuple[Order, ...], action: str) -> Found | None:
        if not orders:
            return None
        size = "too small" if what == "the shorts are" and gap > 0.0 else "too large"
        reason = f"{what} {abs(gap):.6g} ETH {size}: net delta is not zero"
        return Found("rebalance", action, reason, orders)

    @property
    def _band(self) -> float:
        """Net delta that is never left, ETH."""
        return self._neutral_config.delta_drift_threshold * self._book.equity / self._book.price

    @property
    def _dust_eth(self) -> float:
        return self._dust / self._book.price

    def obey_margin_limits(self) -> Found | None:
        """Absolute limits of the margin ratio: emergency exit, exit half, reduce."""
        low = self._endangered()
        if not low:
            return None
        names = ", ".join(f"{leg.venue} {leg.ratio:.4f}" for leg in low)
        limits = self._limits
        if any((leg.ratio or 0.0) <= self._emergency(leg.venue) for leg in low):
            reason = f"margin ratio close to maintenance: {names}"
            return self._reduce(self._neutral.long, "emergency_exit", "exit_full", reason, urgent=True)
        if any((leg.ratio or 0.0) <= limits.margin_ratio_exit_half for leg in low):
            reason = f"margin ratio at or below {limits.margin_ratio_exit_half}: {names}"
            return self._reduce(0.5 * self._neutral.long, "exit", "exit_partial", reason, urgent=True)
        return self._restore(low, f"margin ratio at or below {limits.margin_ratio_reduce}: {names}", urgent=True)

    def top_up_margin(self) -> Found | None:
        """A venue below its band gets its target ratio back: from other venues first, then by a partial unwind."""
        floor = self._terms.margin_floor
        if self._book.lowest_ratio >= floor or not self._config.margin_rebalance:
            return None
        # Ether that was released for this has come: each venue below its target gets its part of it.
        below = self._config.margin_target if self._book.spot > self._dust_eth else floor
        low = [leg for leg in self._book.legs.values() if leg.ratio is not None and leg.ratio < below]
        names = ", ".join(f"{leg.venue} {leg.ratio:.4f}" for leg in low)
        return self._restore(low, f"margin ratio below {floor:.4f}: {names}", urgent=False)

    def _restore(self, low: list[Leg], reason: str, *, urgent: bool) -> Found | None:
        """Idle cash and what other venues have too much; for the rest ether is sold, fetched before if need be."""
        desk = self._desk
        lacking = self._lacking(low)
        moved = desk.collect(desk.spare(low), lacking)
        for order in moved:
            lacking[str(order.operation_details["target_key"])] -= order.amount
        wanted = desk.to_be_sold(low, lacking)
        total = sum(wanted.values())
        sizes = desk.split(max(0.0, min(total, self._book.spot)), wanted)
        trades = desk.shrink(sizes, "margin")
        sent = desk.proceeds(sizes, lacking) if trades else ()
        least = self._dust if urgent else self._worth_releasing
        fetched = self._fetch(total - sum(sizes.values()), least, urgent=urgent, queue=False)
        orders = (*moved, *trades, *sent, *fetched.orders)
        action = "transfer" if not trades and fetched.released is None else "exit_partial"
        return self._found("rebalance", action, reason, orders, fetched)

    def _reduce(self, amount: float, decision: str, action: str, reason: str, *, urgent: bool) -> Found | None:
        """Sell `amount` of ether and buy back as much of the shorts: now what is on the exchange, the rest later."""
        desk = self._desk
        shorts = {venue: leg.short for venue, leg in self._book.legs.items()}
        sizes = desk.split(max(0.0, min(amount, self._book.spot)), shorts)
        trades = desk.shrink(sizes, action)
        stays = self._wanted <= 0.0 and action != "exit_full"
        sent = desk.proceeds(sizes, self._lacking(self._book.legs.values())) if trades and stays else ()
        least = self._worth_releasing if decision == "rebalance" else self._dust
        if action == "exit_full":
            least = self._terms.minimum_notional
        queue = not urgent and self._neutral_config.unwind_route == "queue"
        fetched = self._fetch(amount - sum(sizes.values()), least, urgent=urgent, queue=queue)
        return self._found(decision, action, reason, (*trades, *sent, *fetched.orders), fetched)

    def _lacking(self, legs: Iterable[Leg]) -> dict[str, float]:
        """USDT by margin account that legs lack of their target ratio; negative where there is too much."""
        return {leg.terms.margin_key: leg.notional * self._config.margin_target - leg.margin for leg in legs}

    def _fetch(self, eth: float, least: float, *, urgent: bool, queue: bool) -> Fetched:
        """Ether that is neither on the exchange nor on its way already, where it is worth `least` USDT.

        Margin cannot wait for the queue, whatever the route is.
        """
        book = self._neutral
        missing = eth - book.in_transit - (book.claimed if queue else 0.0)
        if missing * book.price < least:
            return Fetched()
        return self._desk.fetch(missing, self._band if urgent else self._dust_eth, queue=queue)

    def _found(
        self, decision: str, action: str, reason: str, orders: tuple[Order, ...], fetched: Fetched
    ) -> Found | None:
        if not orders:
            return None
        figures: Mapping[str, float] = {}
        if fetched.released is not None:
            released, price = fetched.released, self._book.price
            cost = (released.loss + self._desk.stake.releasing_gas()) * price
            figures = {"unwound_collateral": released.collateral, "freed": released.eth, "unwind_cost": cost}
            reason = (
                f"{reason}; unwinding {released.collateral:.6g} ETH of collateral frees {released.eth:.6g} and costs"
                f" {cost:.2f} USDT"
            )
        return Found(decision, action, reason, orders, resets=action == "exit_full", figures=figures)

    # The owner and the way out

    def pay_out(self) -> Found | None:
        """As for every hedge; but everything is closed first where what stays would be too little to keep hedged."""
        if self._wanted <= 0.0:
            return None
        if self._too_small and not self.at_rest and not self.unpayable():
            reason = f"what stays after a withdrawal, {self._staying:.2f} USDT, is too little to keep hedged"
            found = self._reduce(self._neutral.long, "exit", "exit_full", reason, urgent=False)
            found = found or self._close_rest(reason)
            if found is not None:
                return found
        return super().pay_out()

    def _free_cash(self, lacking: float) -> Found | None:
        """Scale every leg down: q ETH sold and bought back frees q x P and the margin of the short it closes."""
        book, desk = self._book, self._desk
        amount = _COST_OF_FREEING * lacking / (book.price * (1.0 - desk.spot_cost + self._config.margin_target))
        amount = min(max(amount, 1.01 * self._dust_eth), self._neutral.long)
        reason = f"freeing {lacking:.2f} USDT for a withdrawal"
        return self._reduce(amount, "exit", "exit_partial", reason, urgent=False)

    def leave(self) -> Found | None:
        """Close everything when funding no longer pays."""
        funding, exit_funding = self._funding, self._terms.exit_funding
        if self.at_rest or funding is None or funding >= exit_funding:
            return None
        reason = f"mean funding {funding:.6f} is below {exit_funding:g}"
        return self._reduce(self._neutral.long, "exit", "exit_full", reason, urgent=False) or self._close_rest(reason)

    def resize(self) -> Found | None:
        """Set every leg anew once equity has moved by more than the threshold since the last time."""
        book = self._book
        if book.flat or self._drift is None or abs(self._drift) <= self._config.position_deviation_threshold:
            return None
        reason = f"flow-adjusted equity moved by {self._drift:.2%} since the position was last set"
        found = self._reduce(self._excess(_RELEASED_FROM), "rebalance", "exit_partial", reason, urgent=False)
        # Where a venue has joined, its share of the margin goes along; shorts follow when it has arrived.
        stays = {venue: leg.short for venue, leg in book.legs.items() if venue not in book.weights}
        target = {**self._desk.target(book.equity), **stays} if book.weights else {}
        spread = self._desk.spread_margin(target, CASH_KEPT) if target else ()
        if found is not None:
            return msgspec.structs.replace(found, orders=(*found.orders, *spread), resets=True)
        return Found("rebalance", "transfer" if spread else "none", reason, spread, resets=True)

    def _excess(self, thresholds: float) -> float:
        """Ether above what equity carries; 0 while it is less than so many thresholds, or no venue could carry any."""
        if not self._book.weights or self._book.flat:
            return 0.0
        long = self._neutral.long
        excess, least = long - self._carried, thresholds * self._config.position_deviation_threshold * long
        return excess if excess > max(least, self._dust_eth) else 0.0

    @cached_property
    def _carried(self) -> float:
        """Ether that equity carries, ETH."""
        return sum(self._desk.target(self._staying).values())

    @cached_property
    def _staying(self) -> float:
        """Equity without what the owner waits for and can be paid, USDT."""
        return self._book.equity - (0.0 if self._wanted <= 0.0 or self.unpayable() else self._wanted)

    @property
    def _too_small(self) -> bool:
        """Whether what stays has a dust limit that smallest orders are too large to keep."""
        return self._config.dust_delta * self._staying < _SMALLEST_DUST * self._terms.minimum_notional

    @cached_property
    def _worth_moving(self) -> float:
        """USDT from which ether is worth being staked: the gas of it and of the way out is little beside it."""
        return self._tools.round_trip_gas(self._situation.market) * self._book.price / _GAS_SHARE

    @property
    def _worth_releasing(self) -> float:
        """USDT from which ether is worth being had back when there is no hurry."""
        return max(self._dust, self._desk.stake.releasing_gas() * self._book.price / _RELEASE_SHARE)

    def close(self) -> Found | None:
        """Everything back to cash, as fast as the delta band allows."""
        if self.at_rest:
            return None
        reason = "closing everything"
        found = self._reduce(self._neutral.long, "emergency_exit", "exit_full", reason, urgent=True)
        found = found or self._close_rest(reason)
        what = "a long perpetual that cannot be sold now" if self._book.holds_long else "ether that will be sold"
        return found or Found("hold", "none", f"waiting for {what}")

    def _close_rest(self, reason: str) -> Found | None:
        """Where no ether is left elsewhere: the last of the shorts, and of the ether on the exchange.

        While a long perpetual cannot be sold, what stands against it stays.
        """
        book, desk = self._neutral, self._desk
        if (book.long - book.hedge.spot) * book.price >= self._terms.minimum_notional or self._book.holds_long:
            return None
        legs = [leg for leg in self._book.legs.values() if leg.tradable and leg.short > 0.0]
        orders = [desk.buy_back(leg.venue, leg.short, "exit") for leg in legs]
        spot = desk.spot_lots(max(0.0, book.hedge.spot))
        if spot * book.price >= self._terms.minimum_notional and book.hedge.spot_tradable:
            orders.append(desk.sell_spot(spot, "exit"))
        if not orders:
            return None
        grouped = self._write.group(orders, ExecutionMode.COMPENSATED) if len(orders) > 1 else tuple(orders)
        return Found("exit", "exit_full", reason, grouped, resets=True)
