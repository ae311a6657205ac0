"""Defines a simulated liquid staking protocol: ether.fi and Lido differ in their terms only.

Staking and requests to unstake are at the protocol's own rate, `eth_per_lst`. A request makes a claim that is fixed in
ETH, earns nothing and is paid when its wait in the queue is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from basis_actors.messages.execution import DeltaSource, PositionDelta
from basis_actors.messages.market import MarketState, StakingQuote
from basis_actors.messages.orders import OperationType, Order
from basis_actors.times import utc_from_ns, utc_text
from basis_actors.venues.simulated.chain_terms import StakingTerms
from basis_actors.venues.simulated.protocol import Booking, ChainProtocol, Outcome, Wallet, token_key
from basis_actors.venues.simulated.refusals import not_known, refused, take, unconfigured

__all__ = ["LiquidStaking"]

_ETH = token_key("ETH")
_ETH_NAMES = ("ETH", "WETH")


class _Claim(NamedTuple):
    due_ns: int
    eth: float
    operation_id: str


class LiquidStaking(ChainProtocol):
    """One protocol that issues one token. The token itself is the wallet's, the claims are kept here."""

    operations = frozenset({OperationType.STAKE, OperationType.UNSTAKE})

    def __init__(self, terms: StakingTerms) -> None:
        self._terms = terms
        self._claim_key = f"{terms.venue}:UnstakeClaim:ETH"
        self._claims: tuple[_Claim, ...] = ()
        self._claimed = 0.0
        """Sum of every delta of the claim key, so that a ledger which adds them up ends at exactly zero."""

    @property
    def venue(self) -> str:
        """Venue name of its orders."""
        return self._terms.venue

    def carry_out(self, order: Order, market: MarketState, wallet: Wallet) -> Outcome:
        """Stake `order.amount` ETH, or request ETH for `order.amount` of the token.

        Raises Rejected: VEN-004 for a token that this protocol does not issue, EXEC-004 below the minimum stake and for
        an overdraft (both numbers compared), STRAT-006 while the rate is not known and, for a stake, when it is older
        than its staleness limit; a request is new risk to nobody and takes the last known rate.
        """
        staking = order.operation is OperationType.STAKE
        eth, lst = (order.source_token, order.target_token) if staking else (order.target_token, order.source_token)
        if lst != self._terms.lst or eth not in _ETH_NAMES:
            wanted = f"ETH to {self._terms.lst}" if staking else f"{self._terms.lst} to ETH"
            raise unconfigured(order, f"{self.venue} takes {wanted}, got {order.source_token} to {order.target_token}")
        quote = market.staking.get(lst)
        if quote is None:
            raise not_known(order, f"{lst} has no rate yet at {utc_text(market.timestamp)}")
        return self._stake(order, quote, wallet) if staking else self._request(order, quote, market, wallet)

    def settle(self, market: MarketState, wallet: Wallet) -> Sequence[Booking]:  # noqa: ARG002 - asked of every protocol alike
        """Pay the claims whose wait is over, each stamped when it fell due."""
        if not self._claims or self._claims[0].due_ns > market.ns:
            return ()
        bookings = []
        while self._claims and self._claims[0].due_ns <= market.ns:
            (due_ns, eth, operation_id), *rest = self._claims
            self._claims = tuple(rest)
            paid = eth if rest else self._claimed
            self._claimed -= paid
            own, into = PositionDelta(self._claim_key, -paid), PositionDelta(_ETH, paid)
            bookings.append(Booking(DeltaSource.TRANSFER, utc_from_ns(due_ns), (own,), (into,), operation_id))
        return bookings

    def report(self, market: MarketState) -> dict[str, float]:  # noqa: ARG002 - asked of every protocol alike
        """The sum of the claims, ETH."""
        return {self._claim_key: self._claimed} if self._claims else {}

    def snapshot(self) -> object:
        """The whole state of the account."""
        return self._claims, self._claimed

    def restore(self, state: object) -> None:
        """Be exactly as at the `snapshot` that gave `state`."""
        assert isinstance(state, tuple)
        self._claims, self._claimed = state

    def _stake(self, order: Order, quote: StakingQuote, wallet: Wallet) -> Outcome:
        if not quote.fresh:
            raise not_known(order, f"the rate of {self._terms.lst} is older than its staleness limit; wait for it")
        if order.amount < self._terms.min_stake:
            raise refused(order, f"stakes {order.amount:.12g} ETH, at least {self._terms.min_stake:g} is needed")
        eth = take(order, order.amount, wallet.spendable(_ETH), f"ETH at {_ETH} beside its gas")
        rate = quote.eth_per_lst
        issued = PositionDelta(token_key(self._terms.lst), eth / rate, None, rate)
        return Outcome((), (PositionDelta(_ETH, -eth), issued), {"eth_per_lst": rate})

    def _request(self, order: Order, quote: StakingQuote, market: MarketState, wallet: Wallet) -> Outcome:
        key = token_key(self._terms.lst)
        amount = take(order, order.amount, wallet.spendable(key), f"{self._terms.lst} at {key}")
        rate = quote.eth_per_lst
        due_ns = market.ns + self._terms.unstake_delay_ns
        claim = _Claim(due_ns, amount * rate, order.operation_id)
        self._claims = (*self._claims, claim)
        self._claimed += claim.eth
        own = PositionDelta(self._claim_key, claim.eth, None, rate)
        details = {"eth_per_lst": rate, "due": utc_from_ns(due_ns).isoformat()}
        return Outcome((own,), (PositionDelta(key, -amount, None, rate),), details)
