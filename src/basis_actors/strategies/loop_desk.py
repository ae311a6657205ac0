"""Defines what can be done with a staking loop at one tick: enter, add, unwind and reduce it, each in one transaction.

The loop is a staking token as collateral and WETH as debt. Sizes are those of `finance/loops.py`; loan to value and
health follow the pool's oracle, exits the market.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import msgspec

from basis_actors.config import FlashVenue, LendingVenue, LoopConfig, LstConfig, RunConfig, pair_limits
from basis_actors.errors import BasisError
from basis_actors.finance.lending import health_factor, loan_to_value
from basis_actors.finance.loops import LoopSizes, delever_sizes, lever_up, one_shot_loop
from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.strategies.base import Situation
from basis_actors.strategies.chain_terms import gas_cost, ledger_name, reserve_name
from basis_actors.strategies.lst_desk import LstDesk
from basis_actors.strategies.order_writer import OrderWriter

__all__ = ["LoopDesk", "LoopTerms", "Unwinding", "loop_terms"]

_DEBT = "WETH"
_ROUNDING = 1e-12
"""Fraction by which more is sold, so that rounding cannot leave a flash loan short."""
_SMALLEST = 1e-6
"""Tokens whose sale has the impact of the smallest size."""
_STEPS = 6
"""Sizes to try until one is enough: impact has three steps, and rounding may ask for one more."""


class LoopTerms(msgspec.Struct, frozen=True):
    """Where a loop is held and what borrowing for a moment costs."""

    lending_venue: str
    flash_venue: str
    collateral_key: str
    """`aave:aToken:aweETH`."""
    debt_key: str
    reserves: tuple[str, str]
    """Collateral and debt as the market names them."""
    threshold: float
    """Liquidation threshold of the pair."""
    flash_fee: float
    """Fraction of a flash loan."""
    ltv_floor: float
    """Loan to value below which leverage is added; 0 without rebalancing."""
    ltv_ceiling: float
    """Loan to value above which the loop is reduced; infinite without rebalancing."""
    spread_move: float
    """Fraction by which the pool may value the token away from the protocol's rate before its oracle is doubted."""


def loop_terms(run: RunConfig, config: LstConfig, loop: LoopConfig) -> LoopTerms:
    """Read the terms off a configuration.

    Raises BasisError STRAT-003 when the pool has no limits for the pair, or the flash venue lends no WETH.
    """
    pool, lender = run.venues[loop.lending_venue], run.venues[loop.flash_venue]
    limits = pair_limits(pool, config.lst_type, _DEBT)
    if limits is None:
        raise BasisError("STRAT-003", f"{loop.lending_venue} has no e-mode or market with collateral {config.lst_type}")
    if isinstance(lender, LendingVenue):
        fee_bps = lender.flash_loan_fee_bps
    elif isinstance(lender, FlashVenue) and _DEBT in lender.tokens:
        fee_bps = lender.fee_bps
    else:
        raise BasisError("STRAT-003", f"flash_venue {loop.flash_venue} is a {lender.kind} that lends no {_DEBT}")
    ledger, rebalances = ledger_name(run, loop.lending_venue), loop.rebalance != "off"
    return LoopTerms(
        lending_venue=loop.lending_venue,
        flash_venue=loop.flash_venue,
        collateral_key=f"{ledger}:aToken:a{config.lst_type}",
        debt_key=f"{ledger}:debtToken:debt{_DEBT}",
        reserves=(reserve_name(loop.lending_venue, config.lst_type), reserve_name(loop.lending_venue, _DEBT)),
        threshold=limits.liquidation_threshold,
        flash_fee=fee_bps / 1e4,
        ltv_floor=loop.target_ltv - loop.ltv_band if rebalances else 0.0,
        ltv_ceiling=loop.target_ltv + loop.ltv_band if rebalances else inf,
        spread_move=loop.max_stake_spread_move,
    )


class Unwinding(msgspec.Struct, frozen=True):
    """A way out of a loop, or of a part of it."""

    orders: tuple[Order, ...]
    """One atomic group."""
    freed: float
    """ETH that stays in the wallet once the flash loan is repaid, before gas."""
    cost: float
    """ETH that leaving costs: what the sale brings less than the protocol's rate, the flash fee, gas."""


class LoopDesk:
    """A loop at one tick. Amounts are ETH unless they say otherwise; loan to values are those of the pool's oracle."""

    def __init__(
        self, run: RunConfig, terms: LoopTerms, lst: LstDesk, situation: Situation, writer: OrderWriter
    ) -> None:
        self._run = run
        self._terms = terms
        self._lst = lst
        self._market = market = situation.market
        self._write = writer
        held = situation.positions.get
        self.collateral = held(terms.collateral_key, 0.0)
        """Tokens."""
        self.debt = held(terms.debt_key, 0.0)
        self.worth = self.collateral * lst.eth_per_lst
        """Collateral at the protocol's rate."""
        self.equity = self.worth - self.debt
        reserves = [market.reserves.get(name) for name in terms.reserves]
        token, unit = market.oracle_usd.get(lst.terms.lst), market.oracle_usd.get(_DEBT)
        self.reserves = terms.reserves
        """Collateral and debt as the market names them."""
        self.known = lst.known and all(state is not None and state.fresh for state in reserves)
        """Whether every rate that sizes depend on is known and not too old."""
        self.ltv: float | None = None
        """Loan to value at oracle prices; None while one is not known."""
        self.health: float | None = None
        """Health factor at oracle prices; None while one is not known."""
        self._parity = 1.0
        if token is None or unit is None or not lst.eth_per_lst:
            self.known = False
            return
        # What one ETH of the token at the protocol's rate is worth to the pool.
        self._parity = token / unit / lst.eth_per_lst
        if abs(self._parity - 1.0) > terms.spread_move:
            # One of the two prices has stopped, or the token is in trouble: neither is a time to borrow more.
            self.known = False
        self.ltv = loan_to_value(self.collateral * token, self.debt * unit)
        self.health = health_factor([(self.collateral * token, terms.threshold)], self.debt * unit)

    def gas(self, *, entry: bool) -> float:
        """ETH that one transaction costs; 0 while the price of gas is not known."""
        quote = self._market.gas
        return 0.0 if quote is None else gas_cost(self._run, quote, "atomic_entry" if entry else "atomic_unwind")

    def enter(self, equity: float, ltv: float) -> tuple[Order, ...]:
        """A loop of `equity` ETH of the wallet at `ltv`, beside what there is: one flash loan, one transaction."""
        return self._add(one_shot_loop(equity, ltv * self._parity, self._terms.flash_fee))

    def lever_up(self, ltv: float, *, and_borrow: float = 0.0) -> tuple[tuple[Order, ...], float]:
        """Collateral and debt added so that the loop stands at `ltv`, and how much; nothing when it is there.

        `and_borrow` is debt that stays in the wallet as ETH, such as for gas; the target holds with it.
        """
        sizes = lever_up(self.worth, self.debt + and_borrow, ltv * self._parity, self._terms.flash_fee)
        if sizes.flash <= 0.0:
            return (), 0.0
        return self._add(sizes._replace(borrow=sizes.borrow + and_borrow)), sizes.flash

    def frees(self, share: float) -> float:
        """ETH that leaving `share` of the loop leaves once the flash loan is repaid, before gas; negative when short.

        Raises BasisError STRAT-006 while the market rate is not known.
        """
        return self._lst.brings(share * self.collateral) - share * self.debt * (1.0 + self._terms.flash_fee)

    def unwind(self, share: float = 1.0, *, from_wallet: float = 0.0) -> Unwinding | None:
        """Leave `share` (0 to 1] of the loop, all collateral withdrawn being sold.

        None when the sale, with `from_wallet` of ETH that lies idle, does not repay the flash loan. Raises BasisError
        STRAT-006 while the market rate is not known.
        """
        if self.debt > 0.0 and self.frees(share) + from_wallet < 0.0:
            return None
        return self._leave(share * self.debt, share * self.collateral)

    def free(self, eth: float) -> Unwinding | None:
        """Leave as much of the loop as frees `eth`, its loan to value unchanged, or all of it when that is less.

        None when leaving frees nothing. Raises BasisError STRAT-006 while the market rate is not known.
        """
        share = min(_SMALLEST / self.collateral, 1.0)
        # What a token brings falls with the size in steps: begin at the best, and grow until it is enough.
        for _ in range(_STEPS):
            freed = self.frees(share)
            if freed <= 0.0:
                return None
            if freed >= eth or share >= 1.0:
                break
            share = min(share * (eth / freed) * (1.0 + _ROUNDING), 1.0)
        return self.unwind(share)

    def reduce(self, ltv: float, *, and_free: float = 0.0) -> Unwinding | None:
        """Repay debt with collateral until the loop stands at `ltv`, and free some ETH beside, such as for gas.

        None when the target is out of reach, because a sale loses more than repaying gains. Raises BasisError
        STRAT-006 while the market rate is not known.
        """
        rate, lower = 0.0, self._lst.exit_rate(_SMALLEST)
        flash = tokens = 0.0
        while lower != rate:
            rate = lower
            beside = and_free / rate
            try:
                sizes = delever_sizes(
                    self.worth - beside, self.debt, ltv * self._parity, exit_rate=rate, flash_fee=self._terms.flash_fee
                )
            except ValueError:
                return None
            flash = sizes.flash
            tokens = (sizes.withdraw + beside) / self._lst.eth_per_lst * (1.0 + _ROUNDING)
            lower = min(rate, self._lst.exit_rate(max(tokens, _SMALLEST)))
        return self._leave(flash, tokens) if 0.0 < tokens < self.collateral else None

    def headroom(self, ltv: float) -> float:
        """Collateral, at the protocol's rate, that can be withdrawn before the loop stands at `ltv`; 0 or more."""
        return max(0.0, self.worth - self.debt / (ltv * self._parity))

    def to_queue(self, eth: float) -> tuple[Order, ...]:
        """Collateral worth `eth` out of the pool and into the protocol's queue, in one transaction without a loan."""
        lst = self._lst.terms
        tokens = min(eth / self._lst.eth_per_lst, self.collateral)
        orders = (
            self._write.withdraw(lst.lst, tokens, self._terms.lending_venue),
            self._write.unstake(lst.staking_venue, lst.lst, tokens),
        )
        return self._write.group(orders, ExecutionMode.ATOMIC)

    def repay(self, eth: float) -> Order:
        """Debt paid back out of the wallet."""
        return self._write.repay(_DEBT, eth, self._terms.lending_venue)

    def supply_loose(self) -> Order:
        """Tokens that the wallet holds, as collateral."""
        return self._write.supply(self._lst.terms.lst, self._lst.loose, self._terms.lending_venue)

    def carry(self, daily_growth: float, days: float) -> float:
        """What one ETH more of collateral and of debt is expected to earn over `days`, ETH.

        Growth of the token's rate and the supply rate, less the borrow rate; rates as they are now.
        """
        token, debt = (self._market.reserves[name] for name in self._terms.reserves)
        growth = pow(1.0 + daily_growth, days)
        earned: float = growth * (1.0 + token.supply_apr * days / 365.0) - 1.0
        return earned - debt.borrow_apr * days / 365.0

    def round_trip(self, eth: float) -> float:
        """What adding `eth` of leverage and leaving it again costs at the prices of now, ETH.

        Raises BasisError STRAT-006 while the market rate is not known.
        """
        sold = 1.0 - self._lst.exit_rate(eth / self._lst.eth_per_lst)
        return eth * (sold + 2.0 * self._terms.flash_fee) + self.gas(entry=True) + self.gas(entry=False)

    def _add(self, sizes: LoopSizes) -> tuple[Order, ...]:
        terms, write, lst = self._terms, self._write, self._lst
        orders: list[Order] = []
        if sizes.flash > 0.0:
            orders.append(write.flash_borrow(terms.flash_venue, _DEBT, sizes.flash))
        orders.append(lst.stake(sizes.supply))
        staked = orders[-1].expected_deltas[0].delta_amount
        orders.append(write.supply(lst.terms.lst, staked, terms.lending_venue))
        if sizes.flash > 0.0:
            orders.append(write.borrow(_DEBT, sizes.borrow, terms.lending_venue))
            orders.append(write.flash_repay(terms.flash_venue, _DEBT, sizes.flash))
        return self._transaction(orders)

    def _leave(self, flash: float, tokens: float) -> Unwinding:
        terms, write, lst = self._terms, self._write, self._lst
        brings = lst.brings(tokens)
        fee = flash * terms.flash_fee
        orders: list[Order] = []
        if flash > 0.0:
            orders.append(write.flash_borrow(terms.flash_venue, _DEBT, flash))
            orders.append(write.repay(_DEBT, flash, terms.lending_venue))
        orders.append(write.withdraw(lst.terms.lst, tokens, terms.lending_venue))
        orders.append(lst.sell(tokens, "unwind"))
        if flash > 0.0:
            orders.append(write.flash_repay(terms.flash_venue, _DEBT, flash))
        cost = tokens * lst.eth_per_lst - brings + fee + self.gas(entry=False)
        return Unwinding(self._transaction(orders), brings - flash - fee, cost)

    def _transaction(self, orders: Sequence[Order]) -> tuple[Order, ...]:
        return self._write.group(orders, ExecutionMode.ATOMIC)
