"""Defines what strategies share that keep the owner's ETH in a staking token: the wallet, the owner, rewards, drift.

What to do is read off the ledger at every tick, so whatever takes several ticks (a claim in the queue) needs no memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from basis_actors.config import DexVenue, LeveragedConfig, RunConfig, StakingConfig
from basis_actors.errors import BasisError
from basis_actors.finance.swaps import pool_pair
from basis_actors.messages.orders import Order
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.equity_reference import EquityReference
from basis_actors.strategies.found import Found
from basis_actors.strategies.lst_desk import TIMES_GAS, LstDesk, LstTerms, lst_terms
from basis_actors.strategies.order_writer import OrderWriter, gas_units
from basis_actors.strategies.wallet_desk import WalletDesk

__all__ = ["LstMoves", "LstStrategy"]


class LstMoves(ABC):
    """The rules that staking shares with and without leverage, on the book of one tick.

    `drift` is the change of flow-adjusted equity since the position was last set, as a fraction.
    """

    def __init__(
        self,
        run: RunConfig,
        config: StakingConfig | LeveragedConfig,
        terms: LstTerms,
        situation: Situation,
        *,
        drift: float | None,
    ) -> None:
        self._run = run
        self._config = config
        self._situation = situation
        self._drift = drift
        self._write = OrderWriter(run, situation, config.slippage_tolerance)
        self._wallet = WalletDesk(run, situation, "ETH", config.gas_reserve_eth)
        self._lst = LstDesk(run, terms, situation, self._write)
        self._dust = config.dust_delta * max(0.0, situation.book.equity)
        self._gas_known = situation.market.gas is not None or gas_units(run, "transfer_eth") == 0

    @property
    @abstractmethod
    def invested(self) -> bool:
        """Whether capital is in the token, or in its queue."""

    @property
    @abstractmethod
    def payable(self) -> float:
        """ETH that the owner could be paid once everything is closed."""

    @property
    @abstractmethod
    def figures(self) -> Mapping[str, float | None]:
        """What the position is, for the log."""

    @property
    def unpayable(self) -> tuple[str, ...]:
        """What the owner waits for in vain."""
        return self._wallet.unpayable(self.payable) if self._wallet.wanted > 0.0 else ()

    @property
    def conditions(self) -> dict[str, float | None]:
        """The market that the decision was made in, for the log."""
        lst, quote = self._lst, self._situation.market.staking.get(self._lst.terms.lst)
        return {
            "eth_per_lst": None if quote is None else lst.eth_per_lst,
            "market_rate": None if quote is None else quote.market_rate,
        }

    def wait_for_gas_price(self) -> Found | None:
        """Nothing can be sent before the price of gas is known."""
        return None if self._gas_known else self._waits("the price of gas is not known yet")

    def pay_out(self) -> Found | None:
        """Pay what the owner waits for as soon as the wallet has it."""
        wallet = self._wallet
        if wallet.wanted <= 0.0 or not wallet.can_pay(wallet.wanted):
            return None
        order = wallet.pay_out(self._write, wallet.wanted)
        return Found("rebalance", "exit_partial", f"the owner withdraws {wallet.wanted:.6f} ETH", (order,))

    def wait_for_rates(self) -> Found | None:
        """Nothing is staked or sold while the rate of the token is not known."""
        return None if self._lst.known else self._waits(f"the rate of {self._lst.terms.lst} is not known, or too old")

    def sell_dust(self) -> Found | None:
        """Sell reward tokens that bring enough to be staked; that is done at the next tick."""
        orders = self._payable(self._lst.sell_rewards(max(self._dust, self._lst.terms.min_stake)))
        if not orders:
            return None
        tokens = " and ".join(order.source_token for order in orders)
        return Found("rebalance", "sell_dust", f"{tokens} received as rewards are worth their gas", orders)

    def _payable(self, sales: tuple[Order, ...]) -> tuple[Order, ...]:
        """The sales, while the wallet can pay the gas of the first; what that one brings pays for the next."""
        return sales if self._wallet.idle >= self._wallet.gas("swap") else ()

    def _spare(self, gas: Callable[[], float]) -> float:
        """What lies idle beside the reserve, the owner's money and the `gas` of staking it; 0 when not worth that.

        Worth it is what can be staked, is no dust, and is far more than its gas, which is only asked for if needed.
        """
        least = self._least
        beside = self._wallet.beside_reserve() - self._owed_to_owner
        if beside <= least:
            return 0.0
        cost = gas()
        spare = beside - cost
        return spare if spare > least and spare > TIMES_GAS * cost else 0.0

    @property
    def _least(self) -> float:
        """What has to be exceeded to be put to work, ETH."""
        return max(self._lst.terms.min_stake, self._dust)

    def stays_idle(self) -> Found | None:
        """Say why nothing is staked, when nothing is; the last rule."""
        if self.invested:
            return None
        wallet = self._wallet
        text = (
            f"{wallet.idle:.6f} ETH stays in the wallet: {wallet.kept:g} is kept for gas, and what is beside it must be"
            f" more than {self._least:.6f} and {TIMES_GAS:g} times the gas of staking it"
        )
        return Found("hold", "none", text)

    def _sell_last_rewards(self) -> Found:
        """The last step of an exit: rewards that are worth their gas, however small a part of equity they are."""
        orders = self._payable(self._lst.sell_rewards(0.0)) if self._gas_known else ()
        if not orders:
            return Found("hold", "none", "nothing is staked")
        return Found("exit", "sell_dust", "nothing is staked, rewards are sold", orders)

    @property
    def _owed_to_owner(self) -> float:
        """What must not be put to work, because the owner waits for it and can be paid."""
        return 0.0 if self.unpayable else self._wallet.wanted

    def mind_peg(self) -> Found | None:
        """Nothing is staked while the market sells the token cheaper than the limit allows: it may know why."""
        discount, limit = self._lst.discount, self._run.mode.risk_limits.max_peg_deviation
        if discount is None or limit is None or discount <= limit or not self._run.mode.risk_limits.enforce:
            return None
        reason = f"{self._lst.terms.lst} trades {discount:.4f} below its rate, the limit is {limit}: nothing is added"
        return self._waits(reason, "RISK-001")

    def await_claim(self) -> Found | None:
        """Say what is waited for, when there is nothing else to do."""
        if self._lst.claim <= 0.0:
            return None
        return Found("hold", "none", f"{self._lst.claim:.6f} ETH are in the queue for a withdrawal")

    def _waits(self, reason: str, code: str = "STRAT-006") -> Found:
        return Found("hold", "none", reason, constraints=(code,))


M = TypeVar("M", bound=LstMoves)


class LstStrategy(Strategy, Generic[M]):
    """Tries the rules of its family in order; the first that wants something decides."""

    hedged: ClassVar[bool] = False

    def __init__(
        self,
        run: RunConfig,
        config: StakingConfig | LeveragedConfig,
        rules: tuple[Callable[[M], Found | None], ...],
    ) -> None:
        super().__init__(run)
        self._rules = rules
        self._terms = lst_terms(run, config)
        self._reference = EquityReference()
        _refuse_unsellable_rewards(run, self._terms)

    @abstractmethod
    def _moves(self, situation: Situation, drift: float | None) -> M:
        """The rules on the book of one tick."""

    @abstractmethod
    def _closing(self, moves: M) -> Found:
        """The next step towards nothing but ETH."""

    def decide(self, situation: Situation) -> Decision:
        """The first rule that wants something decides, otherwise hold."""
        moves = self._moves(situation, self._reference.drift(situation))
        found = _NOTHING
        for rule in self._rules:
            wanted = rule(moves)
            if wanted is not None:
                found = wanted
                break
        return self._decision(situation, moves, found)

    def close_all(self, situation: Situation) -> Decision:
        """Sell or ask back everything; what the queue owes is waited for."""
        moves = self._moves(situation, self._reference.drift(situation))
        return self._decision(situation, moves, self._closing(moves))

    def _decision(self, situation: Situation, moves: M, found: Found) -> Decision:
        if found.resets:
            self._reference.reset(situation, leaves=found.action == "exit_full")
        conditions: dict[str, Any] = {**moves.conditions, **found.figures}
        return Decision(
            decision_type=found.decision_type,
            action=found.action,
            reasoning=found.reasoning,
            invested=moves.invested or found.action == "entry_full",
            orders=found.orders,
            market_conditions=conditions,
            portfolio_state=moves.figures,
            constraints=(*found.constraints, *moves.unpayable),
        )


_NOTHING = Found("hold", "none", "everything is where it should be")


def _refuse_unsellable_rewards(run: RunConfig, terms: LstTerms) -> None:
    venue = run.venues[terms.reward_venue]
    for token in terms.rewards:
        if not isinstance(venue, DexVenue) or pool_pair(token, "ETH", venue.fee_bps) is None:
            raise BasisError(
                "STRAT-003",
                f"reward_venue {terms.reward_venue} is a {venue.kind} without a pool {token}/ETH; holders of"
                f" {terms.lst} are paid in {token}, which this mode sells for ETH on a DEX: name one that has the pool",
            )
