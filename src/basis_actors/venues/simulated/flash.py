"""Defines a simulated lender of flash loans: what is borrowed has to be repaid before the transaction ends.

That it is repaid is for the chain to see to, which asks for `open_loans` at the end of every transaction.
"""

from __future__ import annotations

from typing import NamedTuple

from basis_actors.messages.execution import PositionDelta
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.venues.simulated.chain_terms import FlashTerms
from basis_actors.venues.simulated.gas import FLASH_OPERATIONS
from basis_actors.venues.simulated.protocol import ChainProtocol, Outcome, Wallet, token_key
from basis_actors.venues.simulated.refusals import refused, take, unconfigured

__all__ = ["FlashLender", "FlashLoan"]

_WRAPPED = {"ETH": "WETH"}


class FlashLoan(NamedTuple):
    """What the running transaction has borrowed of one token."""

    borrowed: float
    owed: float
    """What of it is not repaid yet; the fee is not in it."""


class FlashLender(ChainProtocol):
    """One lender of flash loans. Its fee is paid with the repayment, in the token lent."""

    operations = FLASH_OPERATIONS

    def __init__(self, terms: FlashTerms) -> None:
        self._terms = terms
        self._loans: dict[str, FlashLoan] = {}

    @property
    def venue(self) -> str:
        """Venue name of its orders."""
        return self._terms.venue

    @property
    def open_loans(self) -> dict[str, FlashLoan]:
        """Loans of the running transaction that are not fully repaid, by position key."""
        return self._loans.copy()

    def carry_out(self, order: Order, market: MarketState, wallet: Wallet) -> Outcome:  # noqa: ARG002 - asked of every protocol alike
        """Lend `order.amount` tokens, or take back that much of what was lent.

        Raises Rejected: VEN-004 for a token it does not lend, EXEC-004 for repaying more than is owed, or more than
        the wallet has beside the fee; both numbers are compared.
        """
        token = _WRAPPED.get(order.source_token, order.source_token)
        if token not in self._terms.tokens:
            raise unconfigured(order, f"{self.venue} lends {sorted(self._terms.tokens)}, not {token!r}")
        key = f"{self._terms.ledger_name}:flashDebt:{token}"
        if order.operation is OperationType.FLASH_BORROW:
            return self._lend(order, key, token)
        return self._collect(order, key, token, wallet)

    def report(self, market: MarketState) -> dict[str, float]:  # noqa: ARG002 - asked of every protocol alike
        """What is owed in the running transaction; nothing between transactions."""
        return {key: loan.owed for key, loan in self._loans.items()}

    def snapshot(self) -> object:
        """The whole state of the account."""
        return self._loans.copy()

    def restore(self, state: object) -> None:
        """Be exactly as at the `snapshot` that gave `state`."""
        assert isinstance(state, dict)
        self._loans = state.copy()

    def _lend(self, order: Order, key: str, token: str) -> Outcome:
        borrowed, owed = self._loans.get(key, FlashLoan(0.0, 0.0))
        self._loans[key] = FlashLoan(borrowed + order.amount, owed + order.amount)
        own = (PositionDelta(key, order.amount),)
        return Outcome(own, (PositionDelta(token_key(token), order.amount),), {"fee_bps": self._terms.fee_bps})

    def _collect(self, order: Order, key: str, token: str, wallet: Wallet) -> Outcome:
        borrowed, owed = self._loans.get(key, FlashLoan(0.0, 0.0))
        amount = take(order, order.amount, owed, f"of flash debt in {token} at {self.venue}")
        fee = amount * self._terms.fee_bps / 1e4
        paid_from = token_key(token)
        there = wallet.spendable(paid_from)
        if amount + fee > there:
            needs = f"needs {amount + fee:.12g} {token} at {paid_from}, of it {fee:.12g} for the fee"
            raise refused(order, f"{needs}; {there:.12g} is there beside gas")
        if amount == owed:
            del self._loans[key]
        else:
            self._loans[key] = FlashLoan(borrowed, owed - amount)
        return Outcome(
            (PositionDelta(key, -amount),),
            (PositionDelta(paid_from, -amount),),
            {"fee_bps": self._terms.fee_bps},
            PositionDelta(paid_from, -fee) if fee > 0.0 else None,
        )
