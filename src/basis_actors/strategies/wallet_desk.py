"""Defines the owner's side of a wallet at one tick: what lies idle, what gas costs, what the owner waits for."""

from __future__ import annotations

from basis_actors.config import RunConfig
from basis_actors.config.venues import GasOperation
from basis_actors.messages.orders import Order
from basis_actors.strategies.base import Situation
from basis_actors.strategies.chain_terms import gas_cost, gas_payable_key, gas_to_owe
from basis_actors.strategies.order_writer import EXTERNAL, OrderWriter

__all__ = ["WalletDesk"]

_ROUNDING = 1e-10
"""Fraction of what lies idle that always stays, so that rounding cannot leave a flash loan or its gas short: more than
a venue takes for all of a balance, also of one that a loop has multiplied."""


class WalletDesk:
    """The share class's own token in the wallet.

    `currency` is that token, `kept` the ETH that stays for gas. Amounts are in tokens of the share class.
    """

    def __init__(self, run: RunConfig, situation: Situation, currency: str, kept: float) -> None:
        self._run = run
        self._market = situation.market
        self._currency = currency
        self.key = f"wallet:BaseToken:{currency}"
        self.idle = situation.held(self.key)
        self.kept = kept
        self.wanted = situation.pending_withdrawal
        self._gas_owed = -situation.held(gas_payable_key(currency))

    def gas(self, *operations: GasOperation) -> float:
        """Gas that comes out of the wallet itself: in ETH modes; in others it is owed. 0 while its price is unknown."""
        quote = self._market.gas
        if self._currency != "ETH" or quote is None:
            return 0.0
        return gas_cost(self._run, quote, *operations)

    def owes(self, *operations: GasOperation) -> float:
        """Gas that is owed, and what operations add to it; 0 in ETH modes, whose gas comes out of the wallet."""
        if self._currency == "ETH":
            return 0.0
        return self._gas_owed + gas_to_owe(self._run, self._market, self._currency, *operations)

    def beside_reserve(self) -> float:
        """What lies idle beside the gas reserve; 0 or more."""
        return max(0.0, self.idle - max(self.kept, _ROUNDING * self.idle))

    def can_pay(self, amount: float) -> bool:
        """Whether an amount can be paid out of the wallet now and leaves the reserve, out of which gas is paid."""
        return self.idle >= amount + max(self.kept, self.gas("transfer_eth"))

    def pay_out(self, writer: OrderWriter, amount: float) -> Order:
        """The transfer to the owner."""
        return writer.transfer(self.key, f"{EXTERNAL}:BaseToken:{self._currency}", amount, "pay_out")

    def unpayable(self, there: float) -> tuple[str, ...]:
        """The constraint of an owner who waits in vain, for more than the `there` that an exit of everything brings."""
        if self.wanted <= there:
            return ()
        return (f"EXEC-004: a withdrawal of {self.wanted:.6f} is more than there is, {max(0.0, there):.6f}",)
