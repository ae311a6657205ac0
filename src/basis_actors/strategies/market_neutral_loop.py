"""Defines the staked leg of a market-neutral strategy with leverage: ether goes into a loop, and comes out of it."""

from __future__ import annotations

from basis_actors.config import LoopConfig, RunConfig
from basis_actors.errors import BasisError
from basis_actors.finance.loops import one_shot_loop
from basis_actors.messages.orders import OperationType, Order
from basis_actors.strategies.base import Situation
from basis_actors.strategies.loop_desk import LoopDesk, Unwinding
from basis_actors.strategies.lst_desk import LstDesk
from basis_actors.strategies.market_neutral_stake import PlainStake, Released

__all__ = ["LoopStake"]

_KEPT = 1e-6
"""Fraction of the ether that stays in the wallet, so that rounding cannot leave the fee of a flash loan short."""


class LoopStake(PlainStake):
    """Staking tokens as collateral of a loan that bought most of them."""

    def __init__(
        self, run: RunConfig, situation: Situation, lst: LstDesk, config: LoopConfig, loop: LoopDesk, flash_fee: float
    ) -> None:
        super().__init__(run, situation, lst)
        self._config = config
        self._loop = loop
        self._flash_fee = flash_fee

    @property
    def obstacle(self) -> str | None:
        """As without leverage, or a rate or an oracle price of the pool that is not known, or too old."""
        plain = super().obstacle
        if plain is not None or self._loop.known:
            return plain
        return "a rate or an oracle price of the lending pool is not known, or too old"

    def place(self, eth: float) -> tuple[Order, ...]:
        """A loop at the target loan to value, beside what there is."""
        kept = _KEPT * eth if self._flash_fee > 0.0 else 0.0
        return self._loop.enter(eth - kept, self._config.target_ltv)

    def placing_loss(self, eth: float) -> float:
        """The fee of the flash loan."""
        return self._flash_fee * one_shot_loop(eth, self._config.target_ltv, self._flash_fee).flash

    def release(self, eth: float, most_loss: float) -> Released | None:
        """Leave a part of the loop: to free x, x / (1 - LTV) of collateral is unwound, and the costs of that."""
        if not self._lst.sellable or self._loop.collateral <= 0.0:
            return None
        while True:
            unwinding = self._loop.free(eth)
            if unwinding is None:
                return None
            released = self._released(unwinding)
            if released.loss <= most_loss:
                return released
            if most_loss <= 0.0:
                return None
            eth = 0.99 * released.eth * most_loss / released.loss

    def deleverage(self, most_loss: float) -> Released | None:
        """Repay debt with collateral: to the target loan to value, or as far as `most_loss` ETH of delta allows."""
        ltv, target = self._loop.ltv, self._config.target_ltv
        if not self._lst.sellable or ltv is None or ltv <= target:
            return None
        while True:
            unwinding = self._loop.reduce(target)
            if unwinding is None:
                return None
            released = self._released(unwinding)
            if released.loss <= most_loss:
                return released
            if most_loss <= 0.0:
                return None
            target = ltv - 0.99 * (ltv - target) * most_loss / released.loss

    def releverage(self, daily_growth: float) -> tuple[Order, ...]:
        """Add leverage up to the target, if what it earns over the least holding time is more than the round trip."""
        config, loop = self._config, self._loop
        if self.obstacle is not None:
            return ()
        orders, added = loop.lever_up(config.target_ltv)
        pays = orders and added * loop.carry(daily_growth, config.min_hold_days) > loop.round_trip(added)
        return orders if pays else ()

    def ask_back(self, eth: float) -> tuple[Order, ...]:
        """Refused: the queue pays later, a flash loan is repaid at once. Raises BasisError STRAT-004."""
        raise BasisError("STRAT-004", f"{eth:.6g} ETH of a loop cannot leave through the queue; unwind_route is dex")

    def placing_gas(self) -> float:
        """Of the transaction that builds it."""
        return self._loop.gas(entry=True)

    def releasing_gas(self) -> float:
        """Of the transaction that unwinds it."""
        return self._loop.gas(entry=False)

    def _released(self, unwinding: Unwinding) -> Released:
        withdrawn = sum(order.amount for order in unwinding.orders if order.operation is OperationType.WITHDRAW)
        loss = unwinding.cost - self._loop.gas(entry=False)
        return Released(unwinding.orders, unwinding.freed, withdrawn * self._lst.eth_per_lst, loss)
