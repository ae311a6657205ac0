"""Defines a simulated Aave v3 account: supply, withdraw, borrow, repay, health factor, e-mode, liquidation.

The market gives indices and oracle prices, the account holds scaled balances, and the chain books the wallet's side of
every operation. Health uses oracle prices, never market prices.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from basis_actors.finance.lending import health_factor, liquidation_call, loan_to_value
from basis_actors.messages.execution import PositionDelta
from basis_actors.messages.market import MarketState, ReserveState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.venues.simulated.protocol import Outcome, Wallet, token_key
from basis_actors.venues.simulated.refusals import not_known, refused, take, unconfigured
from basis_actors.venues.simulated.scaled_book import ScaledBook
from basis_actors.venues.simulated.terms import PoolTerms, RiskParameters

__all__ = ["AaveAccount"]

_RESERVE_OF = {"ETH": "WETH"}
"""Wrapping is implicit: ETH is supplied and borrowed as WETH."""


class AaveAccount:
    """The owner's account at one Aave pool. A refused order leaves it as it was."""

    def __init__(self, terms: PoolTerms) -> None:
        self._terms = terms
        self._supplied = ScaledBook(f"{terms.ledger_name}:aToken:a", attrgetter("supply_index"))
        self._owed = ScaledBook(f"{terms.ledger_name}:debtToken:debt", attrgetter("borrow_index"))

    @property
    def venue(self) -> str:
        """Venue name of its orders."""
        return self._terms.venue

    def accrue(self, market: MarketState) -> list[PositionDelta]:
        """Interest since the last call, from the index ratio; both sides of the account."""
        deltas = self._supplied.accrue(market.reserves)
        if self._owed:
            deltas += self._owed.accrue(market.reserves)
        return deltas

    def liquidate(self, market: MarketState) -> list[PositionDelta]:
        """One liquidation call when the health factor is below 1: the largest debt against the largest collateral.

        An account that is still unhealthy afterwards is called again at the next tick.
        """
        if not self._owed:
            return []
        health = self.health(market)
        pledged = self._pledged()
        if health >= 1.0 or not pledged:
            return []
        oracle = market.oracle_usd
        owed = max(self._owed, key=lambda token: self._owed.amount(token) * oracle[token])
        taken = max(pledged, key=lambda token: self._supplied.amount(token) * oracle[token])
        call = liquidation_call(
            self._owed.amount(owed) * oracle[owed],
            self._supplied.amount(taken) * oracle[taken],
            health=health,
            bonus=self._parameters(taken, self._owed).liquidation_bonus,
            close_factor=self._terms.close_factor,
            full_below=self._terms.full_liquidation_below,
        )
        seized = min(call.seized / oracle[taken], self._supplied.amount(taken))
        repaid = min(call.repaid / oracle[owed], self._owed.amount(owed))
        return [
            self._supplied.change(taken, -seized, market.reserves[taken]),
            self._owed.change(owed, -repaid, market.reserves[owed]),
        ]

    def carry_out(self, order: Order, market: MarketState, wallet: Wallet) -> Outcome:
        """Supply, withdraw, borrow or repay `order.amount` underlying tokens at the indices of `market`.

        Raises Rejected: VEN-004 for what the pool does not have, EXEC-004 for an overdraft or a broken limit (both
        numbers compared), STRAT-006 for indices or oracle prices that are unknown or too old for new risk.
        """
        if order.operation is OperationType.SUPPLY:
            return self._supply(order, market, wallet)
        if order.operation is OperationType.WITHDRAW:
            return self._withdraw(order, market)
        if order.operation is OperationType.BORROW:
            return self._borrow(order, market)
        if order.operation is OperationType.REPAY:
            return self._repay(order, market, wallet)
        raise unconfigured(order, f"{self.venue} does supply, withdraw, borrow and repay, not {order.operation}")

    def report(self, market: MarketState) -> dict[str, float]:
        """What `balanceOf` shows for every aToken and debtToken."""
        return self._supplied.report(market.reserves) | self._owed.report(market.reserves)

    def snapshot(self) -> object:
        """The whole state of the account."""
        return self._supplied.copy(), self._owed.copy()

    def restore(self, state: object) -> None:
        """Be exactly as at the `snapshot` that gave `state`."""
        assert isinstance(state, tuple)
        self._supplied, self._owed = state[0].copy(), state[1].copy()

    def health(self, market: MarketState) -> float:
        """Health factor at oracle prices; infinite without debt."""
        return self._health(self._supplied, self._owed, market)

    def _supply(self, order: Order, market: MarketState, wallet: Wallet) -> Outcome:
        token, reserve = self._reserve(order, order.source_token, market)
        _require_fresh(order, token, reserve)
        key = token_key(order.source_token)
        amount = take(order, order.amount, wallet.spendable(key), f"{order.source_token} at {key} beside its gas")
        own = self._supplied.change(token, amount, reserve)
        return self._outcome(own, PositionDelta(key, -amount), market)

    def _withdraw(self, order: Order, market: MarketState) -> Outcome:
        token, reserve = self._reserve(order, order.target_token, market)
        supplied = self._supplied.copy()
        amount = take(order, order.amount, supplied.amount(token), f"a{token} at {self.venue}")
        own = supplied.change(token, -amount, reserve)
        if self._owed:
            self._require_health(order, supplied, self._owed, market)
        self._supplied = supplied
        return self._outcome(own, PositionDelta(token_key(order.target_token), amount), market)

    def _borrow(self, order: Order, market: MarketState) -> Outcome:
        token, reserve = self._reserve(order, order.target_token, market)
        _require_fresh(order, token, reserve)
        if not self._terms.reserves[token].borrowable:
            raise unconfigured(order, f"{token} cannot be borrowed at {self.venue}")
        owed = self._owed.copy()
        own = owed.change(token, order.amount, reserve)
        self._require_health(order, self._supplied, owed, market)
        oracle = market.oracle_usd
        debt = sum(owed.amount(name) * oracle[name] for name in owed)
        worth = {name: self._supplied.amount(name) * oracle[name] for name in self._pledged()}
        limit = sum(value * self._parameters(name, owed).ltv for name, value in worth.items())
        if debt > limit:
            ltv, highest = loan_to_value(sum(worth.values()), debt), loan_to_value(sum(worth.values()), limit)
            raise refused(
                order, f"would make the LTV {ltv:.9g}, the collateral allows {highest:.9g}; borrow less or supply more"
            )
        self._owed = owed
        return self._outcome(own, PositionDelta(token_key(order.target_token), order.amount), market)

    def _repay(self, order: Order, market: MarketState, wallet: Wallet) -> Outcome:
        token, reserve = self._reserve(order, order.source_token, market)
        amount = take(order, order.amount, self._owed.amount(token), f"of debt in {token} at {self.venue}")
        key = token_key(order.source_token)
        there = wallet.spendable(key)
        if amount > there:
            raise refused(order, f"needs {amount:.12g} {order.source_token} at {key}, {there:.12g} is there beside gas")
        own = self._owed.change(token, -amount, reserve)
        return self._outcome(own, PositionDelta(key, -amount), market)

    def _outcome(self, own: PositionDelta, wallet: PositionDelta, market: MarketState) -> Outcome:
        details: dict[str, Any] = {"index": own.index}
        if self._owed:
            details["health_factor"] = self.health(market)
        return Outcome((own,), (wallet,), details)

    def _reserve(self, order: Order, token: str, market: MarketState) -> tuple[str, ReserveState]:
        """Reserve that `token` belongs to, and its state."""
        name = _RESERVE_OF.get(token, token)
        if name not in self._terms.reserves:
            raise unconfigured(order, f"{self.venue} has no reserve {name!r}; it has {sorted(self._terms.reserves)}")
        reserve = market.reserves.get(name)
        if reserve is None:
            raise not_known(order, f"the {name} reserve has no indices yet at {market.timestamp.isoformat()}")
        return name, reserve

    def _pledged(self) -> list[str]:
        """Supplied reserves that count as collateral."""
        return [token for token in self._supplied if self._terms.reserves[token].collateral]

    def _parameters(self, token: str, owed: Iterable[str]) -> RiskParameters:
        """What collateral in `token` counts for, given what is owed: e-mode where a category covers all of the debt."""
        for category in self._terms.emode:
            if token in category.collateral and category.debt.issuperset(owed):
                return category.parameters
        return self._terms.reserves[token].parameters

    def _health(self, supplied: ScaledBook, owed: ScaledBook, market: MarketState) -> float:
        oracle = market.oracle_usd
        collateral = (
            (supplied.amount(token) * oracle[token], self._parameters(token, owed).liquidation_threshold)
            for token in supplied
            if self._terms.reserves[token].collateral
        )
        return health_factor(collateral, sum(owed.amount(token) * oracle[token] for token in owed))

    def _require_health(self, order: Order, supplied: ScaledBook, owed: ScaledBook, market: MarketState) -> None:
        unknown = sorted(token for token in {*supplied, *owed} if token not in market.oracle_usd)
        if unknown:
            raise not_known(order, f"no oracle price is known for {unknown}, so health cannot be computed")
        health = self._health(supplied, owed, market)
        if health < 1.0:
            raise refused(order, f"would leave a health factor of {health:.9g}, at least 1 is needed; repay or supply")


def _require_fresh(order: Order, token: str, reserve: ReserveState) -> None:
    if not reserve.fresh:
        raise not_known(order, f"the {token} reserve is older than its staleness limit; no new risk on it")
