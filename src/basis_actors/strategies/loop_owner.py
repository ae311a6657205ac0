"""Defines how the owner of a staking loop is paid: a part of the loop is left through the DEX, or through the queue.

The queue pays days later, so no flash loan can wait for it. Collateral goes into it a piece at a time, as much as the
loan to value allows; what arrives repays debt, which allows the next piece, until the rest is the owner's.
"""

from __future__ import annotations

from basis_actors.strategies.found import Found
from basis_actors.strategies.loop_moves import LoopMoves

__all__ = ["LoopOwnerMoves"]

_ROUND_IN_BAND = 0.5
"""Part of the band above the target that a piece in the queue may use; the rest is for interest meanwhile."""
_ROUNDING = 1e-12


class LoopOwnerMoves(LoopMoves):
    """The rules that free what the owner waits for."""

    def free_for_owner(self) -> Found | None:
        """Leave as much of the loop as the withdrawal needs, one for one from collateral and debt."""
        if self._owed_to_owner <= 0.0 or self._loop.collateral <= 0.0:
            return None
        return self._leave_for_owner() if self._lst.terms.route == "dex" else self._ask_back_for_owner()

    def _leave_for_owner(self) -> Found:
        if (obstacle := self._cannot_unwind()) is not None:
            return obstacle
        loop, wallet = self._loop, self._wallet
        gas = loop.gas(entry=False) + wallet.gas("transfer_eth")
        # What is short of the reserve is taken back with the rest; what remains must still be worth having.
        everything = self.payable - wallet.wanted < self._lst.terms.min_stake
        out = loop.unwind() if everything else loop.free(wallet.wanted + wallet.kept + gas - wallet.idle)
        if out is None:
            return self._out_of_reach(f"a withdrawal of {wallet.wanted:.6f} ETH waits")
        return Found(
            "exit" if everything else "rebalance",
            "exit_full" if everything else "exit_partial",
            f"unwinding for a withdrawal of {wallet.wanted:.6f} ETH costs {out.cost:.6f} ETH",
            out.orders,
            figures={"unwind_cost": out.cost},
        )

    def repay_arrived(self) -> Found | None:
        """What the queue has paid goes into debt first, down to what the position that remains will have."""
        loop, wallet = self._loop, self._wallet
        if self._lst.terms.route == "dex" or self._owed_to_owner <= 0.0 or self._lst.claim > 0.0:
            return None
        gas = wallet.gas("repay")
        amount = min(wallet.idle - wallet.kept - gas, loop.debt - self._debt_after())
        if amount <= max(self._dust, gas):
            return None
        reason = f"repaying {amount:.6f} ETH, so that collateral becomes free for a withdrawal"
        return Found("rebalance", "exit_partial", reason, (loop.repay(amount),), figures={"unwind_cost": gas})

    def _ask_back_for_owner(self) -> Found | None:
        if self._lst.claim > 0.0:
            return None
        loop, wallet, rules = self._loop, self._wallet, self._loop_config
        gas = wallet.gas("withdraw", "unstake")
        if wallet.idle < gas:
            text = f"waiting for cheaper gas: {gas:.6f} ETH is needed, {wallet.idle:.6f} is in the wallet"
            return self._waits(text, "EXEC-004")
        # In the end collateral falls by what is repaid out of it, and by what the owner is short of.
        repaid = max(0.0, loop.debt - self._debt_after())
        short = wallet.wanted + wallet.kept + gas + wallet.gas("repay", "transfer_eth") - wallet.idle
        room = loop.headroom(rules.target_ltv + _ROUND_IN_BAND * rules.ltv_band)
        amount = min((repaid + short) * (1.0 + _ROUNDING), room, loop.worth)
        if amount <= gas:
            ltv = "unknown" if loop.ltv is None else f"{loop.ltv:.4f}"
            return self._waits(f"a withdrawal waits: at a loan to value of {ltv} no collateral is free", "RISK-003")
        reason = f"{amount:.6f} ETH of collateral into the queue, for a withdrawal of {wallet.wanted:.6f} ETH"
        return Found("rebalance", "exit_partial", reason, loop.to_queue(amount), figures={"unwind_cost": gas})

    def _debt_after(self) -> float:
        """Debt at the target of the equity that remains once the owner is paid."""
        loop, wallet, ltv = self._loop, self._wallet, self._loop_config.target_ltv
        remaining = loop.equity + self._lst.claim + wallet.beside_reserve() - wallet.wanted
        return max(0.0, remaining) * ltv / (1.0 - ltv)
