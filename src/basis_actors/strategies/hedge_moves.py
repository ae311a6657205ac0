"""Defines the rules that hedged strategies share: waiting for money, paying the owner, paying gas, leaving for good."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import msgspec

from basis_actors.config import BasisConfig, MarketNeutralConfig, RiskLimits, RunConfig
from basis_actors.finance.costs import round_down_to_lot
from basis_actors.messages.orders import Order
from basis_actors.strategies.base import Situation
from basis_actors.strategies.chain_terms import gas_to_owe
from basis_actors.strategies.found import Found
from basis_actors.strategies.hedge_book import WALLET, HedgeBook, Leg
from basis_actors.strategies.hedge_desk import HedgeDesk
from basis_actors.strategies.hedge_terms import HedgeTerms
from basis_actors.strategies.order_writer import EXTERNAL, OrderWriter

__all__ = ["HedgeMoves", "Tick"]

_CENT = 0.01


class Tick(msgspec.Struct, frozen=True):
    """What the rules look at besides the book."""

    run: RunConfig
    situation: Situation
    funding: float | None
    """The mean that the entry and exit tests look at; None while too few rates are known."""
    drift: float | None
    """Change of flow-adjusted equity since the position was last set, as a fraction; None before that."""


class HedgeMoves(ABC):
    """The rules, on the book of one tick."""

    def __init__(
        self,
        config: BasisConfig | MarketNeutralConfig,
        limits: RiskLimits,
        terms: HedgeTerms,
        book: HedgeBook,
        tick: Tick,
    ) -> None:
        self._config = config
        self._limits = limits
        self._terms = terms
        self._book = book
        self._run = tick.run
        self._situation = tick.situation
        self._funding = tick.funding
        self._drift = tick.drift
        self._wanted = tick.situation.pending_withdrawal
        """What the owner waits for, USDT."""
        self._maintenance = tick.situation.book.risk.maintenance_ratio
        self.at_rest = book.flat
        """Whether there is no position and nothing that belongs to one."""
        self._dust = config.dust_delta * book.equity
        least = terms.minimum_notional
        self._least_growth = self._dust if self._dust > least else least

    @property
    @abstractmethod
    def _desk(self) -> HedgeDesk:
        """The desk that writes the orders of this tick."""

    @cached_property
    def _write(self) -> OrderWriter:
        """Most ticks need none."""
        return OrderWriter(self._run, self._situation, self._config.slippage_tolerance)

    def _sending_gas(self) -> float:
        """Gas of one transfer out of the wallet, USDT; 0 while its price is not known."""
        return gas_to_owe(self._run, self._situation.market, "USDT", "transfer")

    @abstractmethod
    def _free_cash(self, lacking: float) -> Found | None:
        """Reduce the position by as much as frees `lacking` USDT for the owner."""

    # Risk

    def sell_longs(self) -> Found | None:
        """These strategies never buy a perpetual: a long one is somebody else's doing, and is sold before all else."""
        if not self._book.holds_long:
            return None
        legs = [leg for leg in self._book.legs.values() if leg.tradable and leg.short < 0.0]
        if not legs:
            return None
        names = ", ".join(f"{leg.venue} {-leg.short:.6g}" for leg in legs)
        orders = tuple(self._desk.sell_long(leg.venue, -leg.short, "level_delta") for leg in legs)
        return Found("rebalance", "exit_partial", f"perpetuals are held long: {names}", orders)

    def wait_for_arrivals(self) -> Found | None:
        """A stage is open while money is on its way."""
        return Found("hold", "none", "waiting for a transfer to arrive") if self._book.in_transit else None

    def empty_purses(self) -> Found | None:
        """What has arrived in a funding purse margins nothing until it is moved to where the leg is."""
        if not self._book.purses:
            return None
        orders = self._purse_moves("margin")
        return (
            Found("rebalance", "transfer", "cash in funding purses is moved to the margin", orders) if orders else None
        )

    def _purse_moves(self, intent: str) -> tuple[Order, ...]:
        book, terms = self._book, self._terms
        return tuple(
            self._write.transfer(terms.legs[venue].purse_key, terms.legs[venue].margin_key, cents, intent)
            for venue, amount in book.purses.items()
            if (cents := round_down_to_lot(amount, _CENT)) >= terms.minimum_notional
        )

    def _emergency(self, venue: str) -> float:
        """Margin ratio at which everything is closed: a multiple of maintenance margin."""
        return self._limits.margin_emergency_multiple * self._maintenance.get(venue, 0.0)

    def _endangered(self) -> list[Leg]:
        """Legs at or below an absolute limit of the margin ratio; none while limits are only reported."""
        limits, lowest = self._limits, self._book.lowest_ratio
        # Nowhere is maintenance more than all of it together, and most ticks end here.
        emergency = limits.margin_emergency_multiple * sum(self._maintenance.values())
        if (lowest > limits.margin_ratio_reduce and lowest > emergency) or not limits.enforce:
            return []
        return [
            leg
            for leg in self._book.legs.values()
            if leg.ratio is not None and leg.ratio <= max(limits.margin_ratio_reduce, self._emergency(leg.venue))
        ]

    # The owner

    def pay_out(self) -> Found | None:
        """Pay what the owner waits for; free it first, one for one from every leg.

        What cannot be paid now does not keep the other rules from their work.
        """
        wanted, book = self._wanted, self._book
        if wanted <= 0.0 or self.unpayable():
            return None
        desk = self._desk
        if book.wallet_cash >= wanted:
            order = self._write.transfer(WALLET, f"{EXTERNAL}:BaseToken:USDT", wanted, "pay_out")
            return Found("rebalance", "exit_partial", f"paying out {wanted:.2f} USDT", (order,))
        missing = wanted - book.wallet_cash
        elsewhere = desk.payable_cash()
        lacking = missing - sum(elsewhere.values())
        if lacking > 0.0:
            return self._free_cash(lacking)
        orders = desk.bring(missing, elsewhere)
        if not orders:
            return None
        return Found("rebalance", "transfer", f"moving {missing:.2f} USDT to the wallet", orders)

    def unpayable(self) -> tuple[str, ...]:
        """What the owner waits for in vain: more than there is once everything is closed."""
        if self._wanted <= 0.0 or self._wanted <= self._book.equity - self._desk.exit_cost():
            return ()
        return (f"EXEC-004: a withdrawal of {self._wanted:.2f} USDT is more than equity after the cost of an exit",)

    def settle_gas(self) -> Found | None:
        """Without a position and none to be opened, pay from the wallet what is owed for gas."""
        if not self.at_rest or self._pays():
            return None
        return self._pay_gas(self._terms.minimum_notional)

    def _pay_gas(self, least: float) -> Found | None:
        amount = min(self._book.gas_owed, self._book.wallet_cash)
        if amount < least:
            return None
        order = self._write.settle_gas(amount)
        return Found("rebalance", "transfer", f"{amount:.6f} USDT of gas is owed and there is no position", (order,))

    def _pays(self) -> bool:
        """Whether funding is enough to open a position."""
        config = self._config
        return config.always_in or (self._funding is not None and self._funding > config.funding_threshold)

    # The end

    def gather(self) -> Found | None:
        """Without a position: bring the cash of every account to the wallet, then pay the gas that is owed."""
        if self._book.in_transit:
            return Found("exit", "none", "waiting for the last transfers to the wallet")
        orders = self._purse_moves("gather") or self._desk.gather()
        if orders:
            return Found("exit", "transfer", "everything is closed; the cash goes to the wallet", orders)
        return self._pay_gas(_CENT)
