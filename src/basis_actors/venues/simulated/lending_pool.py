"""Defines a simulated account at a lending pool: supply, withdraw, borrow, repay, health factor, e-mode, liquidation.

The market gives indices and oracle prices, the account holds scaled balances, and the chain books the wallet's side of
every operation. Health uses oracle prices, never market prices. Aave v3 and the markets of Morpho differ in terms only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from basis_actors.finance.lending import health_factor, liquidation_call, loan_to_value
from basis_actors.messages.execution import DeltaSource, PositionDelta
from basis_actors.messages.market import MarketState, ReserveState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.times import utc_text
from basis_actors.venues.simulated.chain_terms import PoolTerms, RiskParameters
from basis_actors.venues.simulated.pool_room import PoolRoom
from basis_actors.venues.simulated.protocol import Booking, ChainProtocol, Outcome, Wallet, token_key
from basis_actors.venues.simulated.refusals import NO_DUST, not_known, refused, take, unconfigured
from basis_actors.venues.simulated.scaled_book import ScaledBook

__all__ = ["LendingAccount"]

_ACCRUAL = DeltaSource.ACCRUAL
"""Members of an enum are slow to look up."""
_WRAPPED = {"ETH": "WETH"}
"""Wrapping is implicit: ETH is supplied and borrowed as WETH."""


class LendingAccount(ChainProtocol):
    """The owner's account at one lending pool. A refused order leaves it as it was."""

    operations = frozenset({OperationType.SUPPLY, OperationType.WITHDRAW, OperationType.BORROW, OperationType.REPAY})

    def __init__(self, terms: PoolTerms) -> None:
        self._terms = terms
        name, prefix = terms.ledger_name, terms.reserve_prefix
        self._supplied = ScaledBook(f"{name}:aToken:a", prefix, attrgetter("supply_index"))
        self._owed = ScaledBook(f"{name}:debtToken:debt", prefix, attrgetter("borrow_index"))
        # Collateral of an isolated market is lent to nobody.
        self._room = PoolRoom({name for name, row in terms.reserves.items() if row.borrowable or not terms.isolated})

    @property
    def venue(self) -> str:
        """Venue name of its orders."""
        return self._terms.venue

    def settle(self, market: MarketState, wallet: Wallet) -> Sequence[Booking]:  # noqa: ARG002 - asked of every protocol alike
        """Interest since the last call, from the index ratio, on both sides; then what liquidators take."""
        if not self._supplied and not self._owed:
            return ()
        bookings = []
        reserves = market.reserves
        accrued = self._supplied.accrue(reserves) + self._owed.accrue(reserves)
        if accrued:
            bookings.append(Booking(_ACCRUAL, market.timestamp, tuple(accrued), ()))
        taken = self._liquidate(market) if self._owed else []
        if taken:
            bookings.append(Booking(DeltaSource.LIQUIDATION, market.timestamp, tuple(taken), ()))
        return bookings

    def _liquidate(self, market: MarketState) -> list[PositionDelta]:
        """One liquidation call when the health factor is below 1: the largest debt against the largest collateral.

        An account that is still unhealthy afterwards is called again at the next tick.
        """
        health = self._health(self._supplied, self._owed, market)
        if health >= 1.0:
            return []
        pledged = self._pledged()
        if not pledged:
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
        seized = _all_or(call.seized / oracle[taken], self._supplied.amount(taken))
        repaid = _all_or(call.repaid / oracle[owed], self._owed.amount(owed))
        if self._terms.isolated and seized == self._supplied.amount(taken):
            repaid = self._owed.amount(owed)
        return [
            self._supplied.change(taken, -seized, self._state_of(taken, market)),
            self._owed.change(owed, -repaid, self._state_of(owed, market)),
        ]

    def carry_out(self, order: Order, market: MarketState, wallet: Wallet) -> Outcome:
        """Supply, withdraw, borrow or repay `order.amount` underlying tokens at the indices of `market`.

        Raises Rejected: VEN-004 for what the pool does not have, EXEC-004 for an overdraft, a broken limit or more than
        is available in the pool (both numbers compared), STRAT-006 for indices or oracle prices that are unknown or too
        old for new risk.
        """
        if order.operation is OperationType.SUPPLY:
            return self._supply(order, market, wallet)
        if order.operation is OperationType.WITHDRAW:
            return self._withdraw(order, market)
        if order.operation is OperationType.BORROW:
            return self._borrow(order, market)
        return self._repay(order, market, wallet)

    def supplied(self, token: str) -> float:
        """Underlying units of `token` in the pool, interest included."""
        return self._supplied.amount(_WRAPPED.get(token, token))

    def report(self, market: MarketState) -> dict[str, float]:
        """What `balanceOf` shows for every aToken and debtToken."""
        return self._supplied.report(market.reserves) | self._owed.report(market.reserves)

    def snapshot(self) -> object:
        """The whole state of the account."""
        return self._supplied.copy(), self._owed.copy(), self._room.copy()

    def restore(self, state: object) -> None:
        """Be exactly as at the `snapshot` that gave `state`."""
        assert isinstance(state, tuple)
        self._supplied, self._owed, self._room = (part.copy() for part in state)

    def health(self, market: MarketState) -> float:
        """Health factor at oracle prices; infinite without debt."""
        return self._health(self._supplied, self._owed, market)

    def _supply(self, order: Order, market: MarketState, wallet: Wallet) -> Outcome:
        token, reserve = self._reserve(order, order.source_token, market)
        _require_fresh(order, token, reserve)
        others = [name for name in self._pledged() if name != token]
        if self._terms.isolated and self._terms.reserves[token].collateral and others:
            text = f"collateral {token} has a market of its own, and the account is in that of {others[0]}"
            raise refused(order, f"{text}; one market at a time is used: withdraw {others[0]} before")
        if self._owed:
            self._require_oracle(order, {token}, market)
        key = token_key(order.source_token)
        amount = take(order, order.amount, wallet.spendable(key), f"{order.source_token} at {key} beside its gas")
        own = self._supplied.change(token, amount, reserve)
        self._room.note(token, amount)
        return self._outcome(own, PositionDelta(key, -amount), market)

    def _withdraw(self, order: Order, market: MarketState) -> Outcome:
        token, reserve = self._reserve(order, order.target_token, market)
        supplied = self._supplied.copy()
        amount = take(order, order.amount, supplied.amount(token), f"a{token} at {self.venue}")
        self._room.require(order, token, amount, reserve, owed=self._owed.amount(token))
        own = supplied.change(token, -amount, reserve)
        if self._owed:
            self._require_health(order, supplied, self._owed, market)
        self._supplied = supplied
        self._room.note(token, -amount)
        return self._outcome(own, PositionDelta(token_key(order.target_token), amount), market)

    def _borrow(self, order: Order, market: MarketState) -> Outcome:
        token, reserve = self._reserve(order, order.target_token, market)
        _require_fresh(order, token, reserve)
        if not self._terms.reserves[token].borrowable:
            raise unconfigured(order, f"{token} cannot be borrowed at {self.venue}")
        self._room.require(order, token, order.amount, reserve, owed=self._owed.amount(token))
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
        name = _WRAPPED.get(token, token)
        if name not in self._terms.reserves:
            raise unconfigured(order, f"{self.venue} has no reserve {name!r}; it has {sorted(self._terms.reserves)}")
        if self._terms.reserve_prefix + name not in market.reserves:
            at = utc_text(market.timestamp)
            raise not_known(order, f"the {name} reserve of {self.venue} has no indices yet at {at}")
        return name, self._state_of(name, market)

    def _state_of(self, token: str, market: MarketState) -> ReserveState:
        return market.reserves[self._terms.reserve_prefix + token]

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
        oracle, reserves = market.oracle_usd, self._terms.reserves
        collateral: list[tuple[float, float]] = []
        for token, line in supplied.items():
            if reserves[token].collateral:
                value = line.told * oracle[token]
                collateral.append((value, self._parameters(token, owed).liquidation_threshold))
        debt = 0.0
        for token, line in owed.items():
            debt += line.told * oracle[token]
        return health_factor(collateral, debt)

    def _require_health(self, order: Order, supplied: ScaledBook, owed: ScaledBook, market: MarketState) -> None:
        self._require_oracle(order, {*supplied, *owed}, market)
        health = self._health(supplied, owed, market)
        if health < 1.0:
            raise refused(order, f"would leave a health factor of {health:.9g}, at least 1 is needed; repay or supply")

    def _require_oracle(self, order: Order, tokens: Iterable[str], market: MarketState) -> None:
        unknown = sorted(token for token in tokens if token not in market.oracle_usd)
        if unknown:
            raise not_known(order, f"no oracle price is known for {unknown}, so health cannot be computed")


def _all_or(amount: float, held: float) -> float:
    """`amount`, or all that is held when the two differ by rounding."""
    return held if amount >= held * (1.0 - NO_DUST) else amount


def _require_fresh(order: Order, token: str, reserve: ReserveState) -> None:
    if not reserve.fresh:
        raise not_known(order, f"the {token} reserve is older than its staleness limit; no new risk on it")
