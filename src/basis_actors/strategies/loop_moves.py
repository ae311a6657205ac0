"""Defines the rules of a staking loop that keep its loan to value and health where they belong."""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.config import LeveragedConfig, RunConfig
from basis_actors.strategies.base import Situation
from basis_actors.strategies.found import Found
from basis_actors.strategies.growth_window import GrowthWindow
from basis_actors.strategies.loop_desk import LoopDesk, LoopTerms, Unwinding
from basis_actors.strategies.lst_desk import LstTerms
from basis_actors.strategies.lst_family import LstMoves

__all__ = ["LoopMoves"]


class LoopMoves(LstMoves):
    """The rules on the book of one tick that guard the loop.

    `growth` is what the strategy has seen of the token's rate; `wary` says that risk made it leave, so that it comes
    back only where that pays.
    """

    def __init__(
        self,
        run: RunConfig,
        config: LeveragedConfig,
        terms: LstTerms,
        loop: LoopTerms,
        situation: Situation,
        *,
        drift: float | None,
        growth: GrowthWindow,
        wary: bool,
    ) -> None:
        super().__init__(run, config, terms, situation, drift=drift)
        self._loop_config = config.loop
        self._loop_terms = loop
        self._limits = run.mode.risk_limits
        self._growth = growth
        self._wary = wary
        self._loop = LoopDesk(run, loop, self._lst, situation, self._write)

    @property
    def invested(self) -> bool:
        """Whether there is collateral, a token that is not supplied yet, or a claim in the queue."""
        return self._loop.collateral > 0.0 or self._lst.loose > 0.0 or self._lst.claim > 0.0

    @property
    def payable(self) -> float:
        """Idle beside the reserve, claims, and the loop's equity less what leaving costs."""
        loop, lst, wallet = self._loop, self._lst, self._wallet
        there = wallet.beside_reserve() + lst.claim + lst.loose * lst.eth_per_lst
        if loop.collateral <= 0.0:
            return there - max(0.0, wallet.gas("transfer_eth") - wallet.kept)
        gas = loop.gas(entry=False) + wallet.gas("transfer_eth")
        if lst.terms.route == "queue" or not lst.sellable:
            return there + loop.equity - gas
        return there + max(0.0, loop.frees(1.0)) - gas

    @property
    def figures(self) -> Mapping[str, float | None]:
        """Idle ETH, the loop, its loan to value and health."""
        loop = self._loop
        return {
            "idle": self._wallet.idle,
            "collateral": loop.worth,
            "debt": loop.debt,
            "ltv": loop.ltv,
            "health_factor": loop.health,
            "claim": self._lst.claim,
            "drift": self._drift,
        }

    @property
    def conditions(self) -> dict[str, float | None]:
        """The market, with the rates that a loop earns and pays."""
        reserves = self._situation.market.reserves
        collateral, debt = (reserves.get(name) for name in self._loop.reserves)
        return {
            **super().conditions,
            "supply_apr": None if collateral is None else collateral.supply_apr,
            "borrow_apr": None if debt is None else debt.borrow_apr,
            "daily_growth": self._growth.daily(),
        }

    # Risk: these act whatever else is going on.

    def guard_health(self) -> Found | None:
        """Leave everything below the emergency health factor, return to the target below the one that reduces."""
        loop, limits = self._loop, self._limits
        if loop.debt <= 0.0 or not limits.enforce:
            return None
        health, emergency, reduce = loop.health, limits.health_factor_emergency, limits.health_factor_reduce
        assert emergency is not None, "the configuration of a loop has its limits"
        assert reduce is not None, "the configuration of a loop has its limits"
        if health is None:
            return self._waits("the health factor cannot be computed: an oracle price is not known")
        if health >= reduce:
            return None
        if health < emergency:
            return self._leave_all(f"health factor {health:.4f} is below the emergency limit {emergency}")
        return self._reduce(f"health factor {health:.4f} is below the limit {reduce}")

    def de_lever(self) -> Found | None:
        """Above the band, return to the target."""
        loop, ceiling = self._loop, self._loop_terms.ltv_ceiling
        if loop.ltv is None or loop.ltv <= ceiling:
            return None
        return self._reduce(f"loan to value {loop.ltv:.4f} is above the band {ceiling:.4f}")

    def wait_for_loop(self) -> Found | None:
        """Nothing is entered or left while a rate of the pool or its oracle is not known."""
        return None if self._loop.known else self._waits("a reserve or an oracle price is not known, or too old")

    def close(self) -> Found:
        """Leave the loop, sell what is loose, wait for what the queue owes."""
        lst, loop = self._lst, self._loop
        if loop.collateral > 0.0:
            return self._leave_all("closing the position")
        if lst.loose > 0.0:
            if not lst.sellable or not self._gas_known:
                return self._waits(f"an exit waits: gas or {lst.sale_needs} is not known, or too old")
            cost = lst.loose * lst.eth_per_lst - lst.brings(lst.loose) + self._wallet.gas("swap")
            order = lst.sell(lst.loose, "close")
            return Found("emergency_exit", "exit_full", f"selling {lst.terms.lst}", (order,), figures=_costs(cost))
        return (
            self._sell_last_rewards() if lst.claim <= 0.0 else Found("hold", "none", f"{lst.claim:.6f} ETH are queued")
        )

    # What the rules share.

    def _reduce(self, reason: str) -> Found:
        """Back to the target with collateral, whatever the route of withdrawals: risk cannot wait for a queue."""
        if (obstacle := self._cannot_unwind()) is not None:
            return obstacle
        loop, wallet = self._loop, self._wallet
        # What is short of the reserve is taken back with the rest.
        refill = max(0.0, wallet.kept + loop.gas(entry=False) - wallet.idle)
        out = loop.reduce(self._loop_config.target_ltv, and_free=refill)
        if out is None:
            return self._out_of_reach(reason)
        return self._left("rebalance", "exit_partial", reason, out)

    def _leave_all(self, reason: str) -> Found:
        if (obstacle := self._cannot_unwind()) is not None:
            return obstacle
        out = self._loop.unwind(from_wallet=self._wallet.idle - self._loop.gas(entry=False))
        if out is None:
            return self._out_of_reach(reason)
        return self._left("emergency_exit", "exit_full", reason, out)

    def _left(self, decision_type: str, action: str, reason: str, out: Unwinding) -> Found:
        text = f"{reason}; unwinding costs {out.cost:.6f} ETH"
        return Found(decision_type, action, text, out.orders, resets=True, figures=_costs(out.cost))

    def _cannot_unwind(self) -> Found | None:
        """Why nothing can be unwound now: a price that is not known, or gas that the wallet cannot pay."""
        lst, gas = self._lst, self._loop.gas(entry=False)
        if not self._gas_known or not lst.sellable:
            what = lst.sale_needs if self._gas_known else "the price of gas"
            return self._waits(f"an unwind waits: {what} is not known, or too old")
        if self._wallet.idle < gas:
            return self._waits(
                f"an unwind waits: its gas costs {gas:.6f} ETH, {self._wallet.idle:.6f} is in the wallet", "EXEC-004"
            )
        return None

    def _out_of_reach(self, reason: str) -> Found:
        loop = self._loop
        return self._waits(
            f"{reason}, but the market buys {self._lst.terms.lst} too cheaply: selling {loop.worth:.6f} ETH of"
            f" collateral does not repay what {loop.debt:.6f} ETH of debt needs",
            "RISK-003",
        )

    def _pays(self, eth: float) -> tuple[bool, dict[str, float]]:
        """Whether more leverage of `eth` earns its round trip back over `min_hold_days`, and both figures.

        Not while the growth of the rate, or the market rate, is unknown.
        """
        growth, days = self._growth.daily(), self._loop_config.min_hold_days
        if growth is None or not self._lst.sellable:
            return False, {}
        carry, cost = eth * self._loop.carry(growth, days), self._loop.round_trip(eth)
        return carry > cost, {"expected_carry": carry, "round_trip_cost": cost}


def _costs(cost: float) -> dict[str, float]:
    return {"unwind_cost": cost}
