"""Defines a simulated decentralised exchange: swaps of the wallet's tokens at the market's rate.

The price is that of `finance/swaps.py`, which strategies expect as well; the pool has no account of the owner's.
"""

from __future__ import annotations

from math import isfinite

from basis_actors.finance.costs import impact_bps
from basis_actors.finance.keys import LST_TOKENS
from basis_actors.finance.swaps import market_rate, pool_pair, swap, swap_size_usd
from basis_actors.messages.execution import PositionDelta
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.times import utc_text
from basis_actors.venues.simulated.chain_terms import DexTerms
from basis_actors.venues.simulated.protocol import ChainProtocol, Outcome, Wallet, token_key
from basis_actors.venues.simulated.refusals import malformed, not_known, refused, take, unconfigured

__all__ = ["Uniswap"]


class Uniswap(ChainProtocol):
    """Pools with a fee tier and an impact that grows with the size of the swap."""

    operations = frozenset({OperationType.SWAP})

    def __init__(self, terms: DexTerms) -> None:
        self._terms = terms

    @property
    def venue(self) -> str:
        """Venue name of its orders."""
        return self._terms.venue

    def carry_out(self, order: Order, market: MarketState, wallet: Wallet) -> Outcome:
        """Swap `order.amount` of the source token; `operation_details["min_out"]` bounds what arrives, fee taken.

        Raises Rejected: VEN-004 without a pool of the two, STRAT-006 while the rate or the price of ETH is unknown and
        for buying a staking token at an old rate, EXEC-003 without `min_out`, EXEC-004 for an overdraft and for less
        than `min_out`, naming both numbers.
        """
        source, target = order.source_token, order.target_token
        pair = pool_pair(source, target, self._terms.pools)
        if pair is None:
            raise unconfigured(order, f"no pool of {source} and {target}; pools are {sorted(self._terms.pools)}")
        least = order.operation_details.get("min_out")
        if isinstance(least, bool) or not isinstance(least, int | float) or not isfinite(least):
            raise malformed(order, f"a swap names min_out in operation_details, in {target}, got {least!r}")
        rate = market_rate(market, source, target)
        if rate is None:
            raise not_known(order, f"{source} has no market rate in {target} yet at {utc_text(market.timestamp)}")
        if target in LST_TOKENS and not market.staking[target].fresh:
            raise not_known(order, f"the rates of {target} are older than their staleness limit; wait for newer ones")
        pays, gets = token_key(source), token_key(target)
        amount = take(order, order.amount, wallet.spendable(pays), f"{source} at {pays} beside its gas")
        pool = self._terms.pools[pair]
        size = swap_size_usd(market, source, amount)
        if size is None:
            at = utc_text(market.timestamp)
            raise not_known(order, f"no price of ETH is known yet at {at}, so neither is the impact of this size")
        impact = impact_bps(size, pool.impact_bps)
        swapped = swap(amount, rate, impact, pool.fee_bps)
        if swapped.net < least:
            raise refused(order, f"gives {swapped.net:.12g} {target}, below min_out {least:.12g}; swap less or wait")
        price = swapped.gross / amount
        details = {
            "executed_amount": amount,
            "executed_price": price,
            "market_rate": rate,
            "impact_bps": impact,
            "fee_bps": pool.fee_bps,
        }
        wallet_side = (PositionDelta(pays, -amount, price), PositionDelta(gets, swapped.gross))
        return Outcome((), wallet_side, details, PositionDelta(gets, -swapped.fee) if swapped.fee > 0.0 else None)
