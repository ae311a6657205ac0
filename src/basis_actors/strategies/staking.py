"""Defines staking without leverage: everything beyond the gas reserve is held in one liquid staking token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from basis_actors.config import RunConfig, StakingConfig
from basis_actors.messages.market import MarketSpec
from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.strategies.base import Situation
from basis_actors.strategies.found import Found
from basis_actors.strategies.lst_family import LstMoves, LstStrategy

__all__ = ["Staking"]

_ROUNDING = 1e-12


class StakingMoves(LstMoves):
    """The rules of staking, on the book of one tick."""

    @property
    def invested(self) -> bool:
        """Whether there are staked tokens, or a claim in the queue."""
        return self._lst.loose > 0.0 or self._lst.claim > 0.0

    @property
    def payable(self) -> float:
        """Idle beside the reserve, claims, and what the tokens bring by the configured route, less gas."""
        lst, wallet = self._lst, self._wallet
        there = wallet.beside_reserve() + lst.claim
        if lst.loose <= 0.0:
            return there - max(0.0, wallet.gas("transfer_eth") - wallet.kept)
        if lst.terms.route == "queue" or not lst.sellable:
            return there + lst.loose * lst.eth_per_lst - wallet.gas("unstake", "transfer_eth")
        return there + lst.brings(lst.loose) - wallet.gas("swap", "transfer_eth")

    @property
    def figures(self) -> Mapping[str, float | None]:
        """Idle ETH, staked tokens, and ETH in the queue."""
        return {"idle": self._wallet.idle, "staked": self._lst.loose, "claim": self._lst.claim, "drift": self._drift}

    def free_for_owner(self) -> Found | None:
        """Sell what the owner's withdrawal needs, or ask it back from the queue."""
        if self._owed_to_owner <= 0.0 or self._lst.loose <= 0.0:
            return None
        return self._sell_for_owner() if self._lst.terms.route == "dex" else self._ask_back_for_owner()

    def _sell_for_owner(self) -> Found:
        lst, wallet = self._lst, self._wallet
        if not lst.sellable:
            return self._waits(f"a withdrawal waits: {lst.sale_needs} is not known, or too old")
        gas = wallet.gas("swap", "transfer_eth")
        if wallet.idle < gas:
            return self._short_of_gas(gas)
        # What is short of the reserve is taken back with the rest; what remains must still be worth having.
        everything = self.payable - wallet.wanted < lst.terms.min_stake
        amount = lst.loose if everything else lst.amount_for(wallet.wanted + wallet.kept + gas - wallet.idle)
        brings = lst.brings(amount)
        orders: tuple[Order, ...] = (lst.sell(amount, "withdrawal"),)
        if wallet.idle + brings - gas >= wallet.wanted * (1.0 - _ROUNDING):
            payment = wallet.pay_out(self._write, wallet.wanted)
            orders = self._write.group((*orders, payment), ExecutionMode.SEQUENTIAL)
        return Found(
            "exit" if everything else "rebalance",
            "exit_full" if everything else "exit_partial",
            f"selling {amount:.6f} {lst.terms.lst} for a withdrawal of {wallet.wanted:.6f} ETH",
            orders,
            figures={"unwind_cost": amount * lst.eth_per_lst - brings + gas},
        )

    def _ask_back_for_owner(self) -> Found | None:
        lst, wallet = self._lst, self._wallet
        short = wallet.wanted + max(wallet.kept, wallet.gas("transfer_eth")) - wallet.idle - lst.claim
        if short <= (lst.terms.min_stake if lst.claim > 0.0 else 0.0):
            return None
        gas = wallet.gas("unstake")
        if wallet.idle < gas:
            return self._short_of_gas(gas)
        order = lst.ask_back(short + wallet.kept + gas)
        return Found(
            "rebalance",
            "exit_partial",
            f"asking {order.amount:.6f} {lst.terms.lst} back for a withdrawal of {wallet.wanted:.6f} ETH",
            (order,),
            figures={"unwind_cost": gas},
        )

    def stake_idle(self) -> Found | None:
        """Stake what lies idle beside the reserve and what the owner waits for."""
        spare = self._spare(lambda: self._wallet.gas("stake"))
        if spare <= 0.0:
            if self._drift is None or abs(self._drift) <= self._config.position_deviation_threshold:
                return None
            reason = f"flow-adjusted equity moved by {self._drift:.2%}; all that is worth it is staked"
            return Found("hold", "none", reason, resets=True)
        first = not self.invested
        return Found(
            "entry" if first else "rebalance",
            "entry_full" if first else "entry_partial",
            f"{spare:.6f} ETH lies idle",
            (self._lst.stake(spare),),
            resets=True,
        )

    def close(self) -> Found:
        """Sell everything, or ask it back and wait."""
        lst, wallet = self._lst, self._wallet
        if lst.loose <= 0.0:
            if lst.claim > 0.0:
                return Found("hold", "none", f"{lst.claim:.6f} ETH are queued")
            return self._sell_last_rewards()
        by_queue = lst.terms.route == "queue"
        if not self._gas_known or not (lst.known if by_queue else lst.sellable):
            rate = f"the rate of {lst.terms.lst}" if by_queue else lst.sale_needs
            return self._waits(f"an exit waits: gas or {rate} is not known, or too old")
        gas = wallet.gas("unstake" if by_queue else "swap")
        if wallet.idle < gas:
            return self._short_of_gas(gas)
        if by_queue:
            order, cost = lst.ask_back(lst.loose * lst.eth_per_lst), gas
        else:
            order, cost = lst.sell(lst.loose, "close"), lst.loose * lst.eth_per_lst - lst.brings(lst.loose) + gas
        reason = f"leaving {lst.terms.lst} by the {lst.terms.route}"
        return Found("emergency_exit", "exit_full", reason, (order,), figures={"unwind_cost": cost})

    def _short_of_gas(self, gas: float) -> Found:
        reason = f"waiting for cheaper gas: {gas:.6f} ETH is needed, {self._wallet.idle:.6f} is in the wallet"
        return self._waits(reason, "EXEC-004")


class Staking(LstStrategy[StakingMoves]):
    """Holds one liquid staking token. Withdrawals are paid by selling it, or by the queue when it has delivered."""

    def __init__(self, run: RunConfig) -> None:
        assert isinstance(run.mode.strategy_config, StakingConfig)
        self._config = run.mode.strategy_config
        super().__init__(run, self._config, _RULES)

    @property
    def market_spec(self) -> MarketSpec:
        """The token, its rewards, and gas."""
        lst, rewards = self._terms.lst, self._terms.rewards
        return MarketSpec(assets=("ETH", *rewards), staking=(lst,), rewards=(lst,) if rewards else (), gas=True)

    def _moves(self, situation: Situation, drift: float | None) -> StakingMoves:
        return StakingMoves(self.run, self._config, self._terms, situation, drift=drift)

    def _closing(self, moves: StakingMoves) -> Found:
        return moves.close()


_RULES: Final[tuple[Callable[[StakingMoves], Found | None], ...]] = (
    StakingMoves.wait_for_gas_price,
    StakingMoves.pay_out,
    StakingMoves.wait_for_rates,
    StakingMoves.free_for_owner,
    StakingMoves.sell_dust,
    StakingMoves.mind_peg,
    StakingMoves.stake_idle,
    StakingMoves.await_claim,
    StakingMoves.stays_idle,
)
"""By priority: risk first, then the owner, then the position."""
