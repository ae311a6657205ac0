"""Defines how a strategy writes orders for a chain: lending, staking, swaps and flash loans, from and to the wallet."""

from __future__ import annotations

from basis_actors.config import DexVenue
from basis_actors.errors import BasisError
from basis_actors.messages.orders import ExpectedDelta, OperationType, Order
from basis_actors.strategies.chain_terms import ledger_name, reserve_name, swap_quote, token_key
from basis_actors.strategies.expected import (
    borrow_deltas,
    flash_borrow_deltas,
    flash_repay_deltas,
    repay_deltas,
    stake_deltas,
    supply_deltas,
    swap_deltas,
    unstake_deltas,
    withdraw_deltas,
)
from basis_actors.strategies.order_draft import OrderDraft
from basis_actors.times import utc_text

__all__ = ["ChainWriter"]


class ChainWriter(OrderDraft):
    """Writes operations of protocols on the chain of the wallet."""

    def supply(self, token: str, amount: float, venue: str = "aave_v3") -> Order:
        """Lend to a pool from the wallet. The index of the moment is noted, for whoever checks the interest later."""
        deltas = supply_deltas(token, amount, venue=venue, ledger=ledger_name(self._run, venue))
        tokens = (token, f"a{token}")
        return self._pool(venue, OperationType.SUPPLY, amount, tokens, deltas, token, source_venue="wallet")

    def withdraw(self, token: str, amount: float, venue: str = "aave_v3") -> Order:
        """Take back from a pool to the wallet."""
        deltas = withdraw_deltas(token, amount, venue=venue, ledger=ledger_name(self._run, venue))
        tokens = (f"a{token}", token)
        return self._pool(venue, OperationType.WITHDRAW, amount, tokens, deltas, token, target_venue="wallet")

    def borrow(self, token: str, amount: float, venue: str = "aave_v3") -> Order:
        """Borrow from a pool into the wallet."""
        deltas = borrow_deltas(token, amount, venue=venue, ledger=ledger_name(self._run, venue))
        tokens = (f"debt{token}", token)
        return self._pool(venue, OperationType.BORROW, amount, tokens, deltas, token, target_venue="wallet")

    def repay(self, token: str, amount: float, venue: str = "aave_v3") -> Order:
        """Pay back debt from the wallet."""
        deltas = repay_deltas(token, amount, venue=venue, ledger=ledger_name(self._run, venue))
        tokens = (token, f"debt{token}")
        return self._pool(venue, OperationType.REPAY, amount, tokens, deltas, token, source_venue="wallet")

    def _pool(
        self,
        venue: str,
        operation: OperationType,
        amount: float,
        tokens: tuple[str, str],
        deltas: tuple[ExpectedDelta, ...],
        token: str,
        *,
        source_venue: str | None = None,
        target_venue: str | None = None,
    ) -> Order:
        reserve = self._situation.market.reserves[reserve_name(venue, token)]
        owed = operation in (OperationType.BORROW, OperationType.REPAY)
        index = reserve.borrow_index if owed else reserve.supply_index
        return self._order(
            venue,
            operation,
            amount,
            tokens,
            deltas,
            operation.value,
            source_venue=source_venue,
            target_venue=target_venue,
            details={"borrow_index" if owed else "supply_index": index},
        )

    def stake(self, venue: str, lst: str, eth: float) -> Order:
        """ETH of the wallet into a staking token, at the protocol's rate."""
        per_eth = 1.0 / self._situation.market.staking[lst].eth_per_lst
        deltas = stake_deltas(venue, lst, eth, per_eth)
        return self._order(
            venue,
            OperationType.STAKE,
            eth,
            ("ETH", lst),
            deltas,
            "stake",
            source_venue="wallet",
            details={"conversion_rate": per_eth},
        )

    def unstake(self, venue: str, lst: str, amount: float) -> Order:
        """A staking token into a claim on ETH, which the queue pays out later."""
        per_eth = 1.0 / self._situation.market.staking[lst].eth_per_lst
        deltas = unstake_deltas(venue, lst, amount, per_eth)
        return self._order(
            venue,
            OperationType.UNSTAKE,
            amount,
            (lst, "ETH"),
            deltas,
            "unstake",
            details={"conversion_rate": per_eth},
        )

    def swap(self, venue: str, source: str, target: str, amount: float, intent: str) -> Order:
        """Trade one token of the wallet for another; reverts below `min_out`, the slippage that the venue allows.

        Raises BasisError STRAT-006 while its rate or the price of ETH, which says how large it is, is not known.
        """
        market = self._situation.market
        quote = swap_quote(self._run, market, venue, source, target, amount)
        if quote is None:
            unknown = f"the rate of {source} in {target}" if "ETH" in market.prices else "the price of ETH"
            at = utc_text(market.timestamp)
            raise BasisError(
                "STRAT-006",
                f"a swap of {amount:.12g} {source} at {venue} needs {unknown}, which is not known at {at}; wait for it",
            )
        config = self._run.venues[venue]
        assert isinstance(config, DexVenue)
        deltas = swap_deltas(venue, token_key(source), token_key(target), amount, quote.gross / amount)
        min_out = quote.net * (1.0 - config.max_slippage_bps / 1e4)
        return self._order(
            venue,
            OperationType.SWAP,
            amount,
            (source, target),
            deltas,
            intent,
            source_venue="wallet",
            target_venue="wallet",
            details={"min_out": min_out},
        )

    def flash_borrow(self, venue: str, token: str, amount: float) -> Order:
        """Borrow until the end of the transaction; only in an atomic group that repays."""
        deltas = flash_borrow_deltas(venue, ledger_name(self._run, venue), token, amount)
        operation = OperationType.FLASH_BORROW
        return self._order(venue, operation, amount, (token, token), deltas, operation.value, target_venue="wallet")

    def flash_repay(self, venue: str, token: str, amount: float) -> Order:
        """Pay back what was borrowed in this transaction; the lender's fee comes on top."""
        deltas = flash_repay_deltas(venue, ledger_name(self._run, venue), token, amount)
        operation = OperationType.FLASH_REPAY
        return self._order(venue, operation, amount, (token, token), deltas, operation.value, source_venue="wallet")
