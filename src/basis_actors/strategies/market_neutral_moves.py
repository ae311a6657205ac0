"""Defines the rules by which the market-neutral strategy builds and keeps its position: ether to where it earns,
leverage in its band, shorts where their venue has margin, rewards to cash.
"""

from __future__ import annotations

from basis_actors.finance.costs import round_down_to_lot
from basis_actors.messages.orders import Order, Side
from basis_actors.strategies.found import Found
from basis_actors.strategies.market_neutral_loop import LoopStake
from basis_actors.strategies.market_neutral_reductions import Reductions

__all__ = ["NeutralMoves"]


_FILLED = 0.5
"""By how many thresholds of the position what is bought stays below what equity carries."""
_SOLD_FROM = 1.5
"""Ether above what equity carries from which what is not staked is sold, in thresholds of the position.

Less than what is released for that, so that it is not staked again; more than a few hours add to what was bought.
"""
_LAGGING = 0.8
"""Share of its share of the shorts below which a venue is taken to have joined later than the others."""
_COST_LIMIT = 0.005
"""Share of an amount of reward tokens that bringing it to the exchange may cost."""
_ABOVE_MINIMUM = 1.01
"""An order a little above the smallest is still one after its impact."""


class NeutralMoves(Reductions):
    """All rules, on the book of one tick."""

    # Leverage

    def keep_loan_healthy(self) -> Found | None:
        """Below the limits of the health factor: leave the loop, or reduce it to its target."""
        health = self._neutral.health_factor
        if health is None or health >= self._neutral_terms.least_health:
            return None
        emergency, reduce = self._limits.health_factor_emergency, self._limits.health_factor_reduce
        if emergency is not None and health < emergency:
            reason = f"health factor {health:.4f} below {emergency}"
            return self._reduce(self._neutral.long, "emergency_exit", "exit_full", reason, urgent=True)
        if reduce is not None and health < reduce:
            return self._deleverage(f"health factor {health:.4f} below {reduce}", self._band)
        return None

    def keep_ltv_band(self) -> Found | None:
        """Above the band the loop is always reduced."""
        ltv, loop = self._neutral.ltv, self._neutral_terms.loop
        if ltv is None or loop is None or ltv <= loop.ltv_ceiling:
            return None
        reason = f"loan to value {ltv:.4f} above {loop.ltv_ceiling:.4f}"
        return self._deleverage(reason, self._dust_eth)

    def _deleverage(self, reason: str, allowance: float) -> Found | None:
        stake = self._desk.stake
        assert isinstance(stake, LoopStake), "there is a loan only where there is a loop"
        orders, released = self._desk.deleverage(stake, allowance)
        if released is None:
            return None
        cost = (released.loss + stake.releasing_gas()) * self._book.price
        figures = {"unwound_collateral": released.collateral, "unwind_cost": cost}
        return Found("rebalance", "exit_partial", f"{reason}; {cost:.2f} USDT", orders, figures=figures)

    def restore_leverage(self) -> Found | None:
        """Below the band leverage is added only where it is expected to pay for the round trip."""
        ltv, loop = self._neutral.ltv, self._neutral_terms.loop
        if ltv is None or loop is None or ltv >= loop.ltv_floor:
            return None
        growth = self._tools.daily_growth
        if growth is None or self._obstacle() is not None:
            return None
        stake = self._desk.stake
        assert isinstance(stake, LoopStake), "there is a loan only where there is a loop"
        orders = stake.releverage(growth)
        if not orders:
            return None
        reason = f"loan to value {ltv:.4f} below {loop.ltv_floor:.4f}, and more leverage pays"
        return Found("rebalance", "entry_partial", reason, orders)

    # Stages

    def place(self) -> Found | None:
        """Ether of the exchange goes to the wallet, ether of the wallet is staked.

        What would be too much is sold instead, such as what was freed for a rebalance. Until all of it is placed
        nothing else grows; what is not worth the gas of staking it waits for more.
        """
        book = self._neutral
        if book.loose * book.price <= self._terms.minimum_notional:
            return None
        excess = min(self._excess(_SOLD_FROM), book.loose) if book.loose > self._dust_eth else 0.0
        if excess > self._dust_eth:
            reason = f"{excess:.6g} ETH that is not staked is more than equity carries"
            found = self._reduce(excess, "rebalance", "exit_partial", reason, urgent=False)
            if found is not None:
                return found
        if book.placed * book.price > self._dust and book.loose * book.price <= self._worth_moving:
            return None
        reason, obstacle = f"{book.loose:.6g} ETH is not staked yet", self._obstacle()
        if obstacle is not None:
            return Found("hold", "none", f"{reason}: {obstacle}")
        desk = self._desk
        orders = desk.to_wallet()
        if orders:
            return Found("rebalance", "transfer", reason, orders)
        if book.in_wallet < desk.stake.smallest:
            return None
        return Found("rebalance", "entry_partial", reason, desk.place(book.in_wallet))

    def shift_shorts(self) -> Found | None:
        """A venue that joined and has margin takes its share from those that are short of more than theirs."""
        book, legs = self._book, self._book.legs
        target_ratio = self._terms.margin_target
        # Its headroom is less than this margin carries, and most ticks end here.
        enough = self._least_growth * target_ratio
        lagging = [
            venue
            for venue, share in book.shares.by_venue.items()
            if (leg := legs[venue]).short < _LAGGING * share * book.short
            and leg.margin - leg.notional * target_ratio > enough
        ]
        if not lagging:
            return None
        desk = self._desk
        target, room = desk.target(book.equity), desk.headroom()
        for venue in lagging:
            share = target.get(venue, 0.0)
            lacking = min(room[venue], share - book.legs[venue].short)
            # Only between venues that may take risk: one that may not for a while keeps what it has.
            for leg in sorted(
                (book.legs[v] for v in book.weights), key=lambda leg: target.get(leg.venue, 0.0) - leg.short
            ):
                excess = leg.short - target.get(leg.venue, 0.0)
                amount = desk.common_lots(leg.venue, venue, min(excess, lacking))
                if amount * book.price > self._least_growth:
                    orders = desk.shift(leg.venue, venue, amount)
                    return Found("rebalance", "entry_partial", f"{venue} takes a share of {leg.venue}", orders)
        return None

    def _obstacle(self) -> str | None:
        """Why no new risk may be taken now; None when it may."""
        plain = super()._obstacle() or self._desk.stake.obstacle
        if plain is not None:
            return plain
        discount, limit = self._neutral.discount, self._limits.max_peg_deviation
        if discount is None or (limit is not None and discount > limit):
            return (
                f"the market pays {discount or 0.0:.2%} less than the protocol's rate for {self._neutral_terms.lst.lst}"
            )
        if self._too_small:
            dust = self._config.dust_delta * self._staying
            return (
                f"equity of {self._staying:.2f} USDT is too little: the dust limit of {dust:.2f} USDT cannot be kept"
                f" with orders of at least {self._terms.minimum_notional:g}"
            )
        return None

    def enter(self) -> Found | None:
        """Open the position: first the money, then all legs at once; not while gas is too dear for what is staked."""
        if not self.at_rest:
            return None
        staked = self._neutral_config.stake_allocation_percentage * self._book.equity
        if self._obstacle() is None and staked <= self._worth_moving:
            reason = f"gas is too dear: {staked:.2f} USDT would be staked, worth it above {self._worth_moving:.2f}"
            return Found("hold", "none", reason)
        if self._obstacle() is None and self._pays():
            short = self._tools.pool_shortage(self._situation, sum(self._desk.target(self._book.equity).values()))
            if short is not None:
                return _awaiting_pool(short)
        return super().enter()

    def deploy(self) -> Found | None:
        """Put idle cash to work where it is worth the gas of staking what it buys, after margin has its share."""
        book = self._book
        idle = book.wallet_cash + book.spot_cash
        if book.flat or self._neutral.claimed > 0.0 or not self._is_worth_placing(idle) or not self._may_grow():
            return None
        desk, reason = self._desk, f"{idle:.2f} USDT lies idle"
        growth = self._growth()
        added = sum(growth.values()) if growth else max(0.0, min(self._room, idle / book.price))
        if (short := self._tools.pool_shortage(self._situation, added)) is not None:
            return _awaiting_pool(short)
        if (refused := self._too_large(growth)) is not None:
            return refused
        if growth and (opened := desk.open(growth, "deploy")):
            return Found("rebalance", "entry_partial", reason, opened)
        target = desk.target(self._staying)
        orders = desk.collect(desk.idle_cash(), desk.missing(target, self._room))
        return Found("rebalance", "transfer", reason, orders) if orders else None

    def _growth(self) -> dict[str, float]:
        """What can be opened now beside the position, where what it buys is worth being staked.

        It stays below what equity carries, so that the next rise of the price does not ask for it back.
        """
        price = self._book.price
        if not self._is_worth_placing(self._book.spot_cash) or not self._is_worth_placing(self._room * price):
            return {}
        growth, room = super()._growth(), self._room
        total = sum(growth.values())
        if total > room:
            growth = self._desk.lots({venue: size * room / total for venue, size in growth.items()})
        return growth if self._is_worth_placing(sum(growth.values()) * price) else {}

    @property
    def _room(self) -> float:
        """Ether that may be added, ETH; negative where there is too much."""
        filled = 1.0 - _FILLED * self._config.position_deviation_threshold
        return filled * self._carried - self._neutral.long

    def _is_worth_placing(self, cash: float) -> bool:
        return cash > self._dust and cash > self._worth_moving

    # Rewards

    def sell_dust(self) -> Found | None:
        """Reward tokens go to where they are sold, and are sold, once they are worth it."""
        orders = self._rewards_to_sell()
        if not orders:
            return None
        names = " and ".join(dict.fromkeys(order.source_token for order in orders))
        reason = f"{names}, received as rewards, are worth selling"
        return Found("rebalance", "sell_dust", reason, self._desk.convert_rewards(orders))

    def _rewards_to_sell(self) -> tuple[Order, ...]:
        """Orders that bring reward tokens closer to being cash; none for what is not worth it or has no price."""
        book, terms, tools = self._situation.book.risk.exposure.book, self._neutral_terms, self._tools
        market, held = book.tick.market, book.positions.get
        if terms.sells_on_dex:
            return tools.lst(self._situation, self._write).sell_rewards(0.0)
        orders: list[Order] = []
        for reward in terms.rewards:
            arrived, there = held(reward.wallet_key, 0.0), held(reward.exchange_key, 0.0)
            price = market.prices.get(reward.token)
            if not (arrived or there) or price is None or reward.token in market.stale_prices:
                continue
            least = _ABOVE_MINIMUM * reward.minimum_notional / price
            # Lots are only counted where there may be enough of them.
            if there + reward.lot > least and (sold := round_down_to_lot(there, reward.lot)) >= least:
                orders.append(self._write.spot(terms.lst.reward_venue, reward.token, Side.SELL, sold, "sell_dust"))
            if arrived >= least and tools.sending_cost(market) <= _COST_LIMIT * arrived * price:
                orders.append(self._write.transfer(reward.wallet_key, reward.exchange_key, arrived, "sell_dust"))
        return tuple(orders)


def _awaiting_pool(short: str) -> Found:
    """Nothing is begun whose loop could not be borrowed at its end."""
    return Found("hold", "none", f"waiting for a pool: {short}", constraints=(f"EXEC-004: {short}",))
