"""Defines how ether of the wallet becomes staked ether and how it is had back: plainly, through the DEX or the queue.

A leg with a loop on top of it is in `market_neutral_loop.py`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from basis_actors.config import RunConfig
from basis_actors.messages.orders import Order
from basis_actors.strategies.base import Situation
from basis_actors.strategies.chain_terms import gas_cost
from basis_actors.strategies.lst_desk import LstDesk

__all__ = ["PlainStake", "Released", "StakedLeg"]


class Released(NamedTuple):
    """Ether that is taken out of the staked leg."""

    orders: tuple[Order, ...]
    eth: float
    """What is in the wallet once they are done."""
    collateral: float
    """Staked ether that is given up for it, ETH at the protocol's rate."""
    loss: float
    """Delta that is lost on the way: discount, impact and fees, ETH."""


class StakedLeg(Protocol):
    """The staked ether of one tick."""

    @property
    def obstacle(self) -> str | None:
        """Why nothing can be staked now; None when it can."""
        ...

    @property
    def smallest(self) -> float:
        """The least that can be staked, ETH."""
        ...

    def place(self, eth: float) -> tuple[Order, ...]:
        """Stake ether of the wallet."""
        ...

    def placing_loss(self, eth: float) -> float:
        """Delta that `place` loses, such as to the fee of a flash loan, ETH."""
        ...

    def release(self, eth: float, most_loss: float) -> Released | None:
        """Have `eth`, or all there is, back in the wallet now, but lose no more than `most_loss` ETH of delta on it.

        None while it cannot be sold.
        """
        ...

    def ask_back(self, eth: float) -> tuple[Order, ...]:
        """Have `eth` back through the queue."""
        ...

    def placing_gas(self) -> float:
        """Gas of `place`, ETH; 0 while its price is not known."""
        ...

    def releasing_gas(self) -> float:
        """Gas of `release`, ETH."""
        ...


class PlainStake:
    """Staking tokens in the wallet."""

    def __init__(self, run: RunConfig, situation: Situation, lst: LstDesk) -> None:
        self._run = run
        self._situation = situation
        self._lst = lst

    @property
    def obstacle(self) -> str | None:
        """A rate or a gas price that is not known, or too old."""
        lst = self._lst
        if not lst.known:
            return f"the rate of {lst.terms.lst} is too old to stake at"
        if not lst.sellable:
            return f"{lst.sale_needs} is not known, so no way out is"
        return None

    @property
    def smallest(self) -> float:
        """The protocol's minimum."""
        return self._lst.terms.min_stake

    def place(self, eth: float) -> tuple[Order, ...]:
        """One stake."""
        return (self._lst.stake(eth),)

    def placing_loss(self, eth: float) -> float:  # noqa: ARG002 - for a loop
        """Nothing: the protocol takes no fee."""
        return 0.0

    def release(self, eth: float, most_loss: float) -> Released | None:
        """One swap; a part of the amount, where the whole would lose too much."""
        lst = self._lst
        if not lst.sellable or lst.loose <= 0.0:
            return None
        amount = min(lst.amount_for(eth), lst.loose) if eth < lst.loose * lst.eth_per_lst else lst.loose
        loss = amount * lst.eth_per_lst - lst.brings(amount)
        if loss > most_loss:
            if most_loss <= 0.0:
                return None
            amount *= most_loss / loss
        worth, brings = amount * lst.eth_per_lst, lst.brings(amount)
        return Released((lst.sell(amount, "unwind"),), brings, worth, worth - brings)

    def ask_back(self, eth: float) -> tuple[Order, ...]:
        """One request to the queue."""
        return (self._lst.ask_back(eth),) if self._lst.loose > 0.0 else ()

    def placing_gas(self) -> float:
        """Of one stake."""
        quote = self._situation.market.gas
        return 0.0 if quote is None else gas_cost(self._run, quote, "stake")

    def releasing_gas(self) -> float:
        """Of one swap."""
        quote = self._situation.market.gas
        return 0.0 if quote is None else gas_cost(self._run, quote, "swap")
