"""Defines leveraged staking: a staking token as collateral, WETH as debt, entered and left in one transaction.

Withdrawals are paid out of the loop by the configured route; risk is always reduced through the DEX, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from basis_actors.config import LeveragedConfig, RunConfig
from basis_actors.messages.execution import Settlement
from basis_actors.messages.market import MarketSpec
from basis_actors.strategies.base import Decision, Situation
from basis_actors.strategies.found import Found
from basis_actors.strategies.growth_window import GrowthWindow
from basis_actors.strategies.loop_desk import loop_terms
from basis_actors.strategies.loop_owner import LoopOwnerMoves
from basis_actors.strategies.lst_family import LstStrategy
from basis_actors.strategies.pool_limits import PoolLimits

__all__ = ["LeveragedStaking"]


class LeveragedMoves(LoopOwnerMoves):
    """The rules that put capital to work in the loop, on the book of one tick."""

    def supply_loose(self) -> Found | None:
        """Tokens that are neither collateral nor asked back become collateral."""
        lst = self._lst
        if lst.loose * lst.eth_per_lst <= self._dust or self._wallet.idle < self._wallet.gas("supply"):
            return None
        return Found(
            "rebalance", "entry_partial", f"{lst.loose:.6f} {lst.terms.lst} lie idle", (self._loop.supply_loose(),)
        )

    def enter(self) -> Found | None:
        """Lever what lies idle: at the target first, later at the loan to value that the loop has, one for one."""
        loop, rules = self._loop, self._loop_config
        spare = self._spare(lambda: loop.gas(entry=True))
        if spare <= 0.0:
            return None
        first = loop.collateral <= 0.0
        ltv = rules.target_ltv if first or loop.ltv is None else min(loop.ltv, rules.target_ltv + rules.ltv_band)
        figures = {"entry_ltv": ltv}
        if first and self._wary:
            pays, weighed = self._pays(spare / (1.0 - ltv))
            if not pays:
                return Found(
                    "hold", "none", "risk made the position leave, and coming back does not pay", figures=weighed
                )
            figures |= weighed
        return Found(
            "entry" if first else "rebalance",
            "entry_full" if first else "entry_partial",
            f"{spare:.6f} ETH lies idle and is levered at a loan to value of {ltv:.4f}",
            loop.enter(spare, ltv),
            resets=True,
            figures=figures,
        )

    def re_lever(self) -> Found | None:
        """Below the band, or once equity has drifted, return to the target where that pays."""
        loop, rules = self._loop, self._loop_config
        if rules.rebalance == "off" or loop.collateral <= 0.0 or loop.ltv is None or self._owed_to_owner > 0.0:
            return None
        drifted = self._drift is not None and abs(self._drift) > self._config.position_deviation_threshold
        floor = self._loop_terms.ltv_floor
        if loop.ltv >= floor and not drifted:
            return None
        if loop.ltv >= rules.target_ltv:
            # Inside the band and above the target nothing is sold: only the drift is counted from here.
            return Found("hold", "none", "equity has drifted, the loan to value is inside its band", resets=True)
        gas, wallet = loop.gas(entry=True), self._wallet
        if wallet.idle < gas:
            return self._waits(f"adding leverage costs {gas:.6f} ETH of gas, {wallet.idle:.6f} is there", "EXEC-004")
        # What is short of the reserve is borrowed with the rest.
        orders, added = loop.lever_up(rules.target_ltv, and_borrow=max(0.0, wallet.kept + gas - wallet.idle))
        pays, figures = self._pays(added) if added >= self._lst.terms.min_stake else (False, {})
        if not pays:
            reason = f"loan to value {loop.ltv:.4f}: adding {added:.6f} ETH of leverage does not pay its round trip"
            return Found("hold", "none", reason, resets=drifted, figures=figures)
        why = (
            f"loan to value {loop.ltv:.4f} is below the band {floor:.4f}" if loop.ltv < floor else "equity has drifted"
        )
        return Found(
            "rebalance",
            "entry_partial",
            f"{why}, and more leverage pays its round trip",
            orders,
            resets=True,
            figures=figures,
        )


class LeveragedStaking(LstStrategy[LeveragedMoves]):
    """Holds a loop of a liquid staking token.

    Its memory is the growth of the rate, what drift is measured from, and what it has withdrawn of the pool.
    """

    def __init__(self, run: RunConfig) -> None:
        assert isinstance(run.mode.strategy_config, LeveragedConfig)
        self._config = run.mode.strategy_config
        super().__init__(run, self._config, _RULES)
        self._loop_terms = loop_terms(run, self._config, self._config.loop)
        self._growth = GrowthWindow(self._config.loop.min_hold_days)
        self._wary = False
        self._pools = PoolLimits(run)

    @property
    def market_spec(self) -> MarketSpec:
        """The token with its oracle and rewards, both reserves, and gas."""
        lst, rewards = self._terms.lst, self._terms.rewards
        return MarketSpec(
            assets=("ETH", *rewards),
            reserves=self._loop_terms.reserves,
            staking=(lst,),
            oracle=(lst, "WETH"),
            rewards=(lst,) if rewards else (),
            gas=True,
        )

    def see(self, settlements: Sequence[Settlement]) -> None:
        """Count what is withdrawn."""
        self._pools.see(settlements)

    def decide(self, situation: Situation) -> Decision:
        """Take note of the token's rate, then let the first rule that wants something decide."""
        market = situation.market
        quote = market.staking.get(self._terms.lst)
        if quote is not None:
            self._growth.add(market.ns, quote.eth_per_lst)
        return super().decide(situation)

    def de_risk(self, situation: Situation) -> Decision | None:
        """Leave or reduce the loop by its health and loan to value; None when neither is beyond its limit."""
        moves = self._moves(situation, self._reference.drift(situation))
        found = moves.guard_health() or moves.de_lever()
        return None if found is None else self._decision(situation, moves, found)

    def _moves(self, situation: Situation, drift: float | None) -> LeveragedMoves:
        return LeveragedMoves(
            self.run,
            self._config,
            self._terms,
            self._loop_terms,
            situation,
            drift=drift,
            growth=self._growth,
            wary=self._wary,
        )

    def _closing(self, moves: LeveragedMoves) -> Found:
        return moves.close()

    def _decision(self, situation: Situation, moves: LeveragedMoves, found: Found) -> Decision:
        found = self._pools.withheld(situation, found)
        self._wary = (self._wary or found.decision_type == "emergency_exit") and found.action != "entry_full"
        return super()._decision(situation, moves, found)


_RULES: Final[tuple[Callable[[LeveragedMoves], Found | None], ...]] = (
    LeveragedMoves.guard_health,
    LeveragedMoves.wait_for_gas_price,
    LeveragedMoves.pay_out,
    LeveragedMoves.wait_for_rates,
    LeveragedMoves.wait_for_loop,
    LeveragedMoves.de_lever,
    LeveragedMoves.repay_arrived,
    LeveragedMoves.free_for_owner,
    LeveragedMoves.sell_dust,
    LeveragedMoves.supply_loose,
    LeveragedMoves.mind_peg,
    LeveragedMoves.enter,
    LeveragedMoves.re_lever,
    LeveragedMoves.await_claim,
    LeveragedMoves.stays_idle,
)
"""By priority: risk first, then the owner, then the position."""
