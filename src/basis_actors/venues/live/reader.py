"""Defines how the balances and positions of an account are read: no answer that leaves something out, and once it does
not change from one to the next. What they mean for the ledger is for others."""

from __future__ import annotations

from basis_actors.errors import Transient
from basis_actors.messages.exchange import AccountState
from basis_actors.ports import ExchangeApi
from basis_actors.venues.live.bound import bound_by
from basis_actors.venues.live.mirror import shown_by
from basis_actors.venues.live.terms import AccountTerms, LiveClock

__all__ = ["AccountReader"]


class AccountReader:
    """Asks one exchange for its account."""

    def __init__(self, terms: AccountTerms, api: ExchangeApi, clock: LiveClock) -> None:
        self._terms = terms
        self._api = api
        self._clock = clock
        self.bound: dict[str, float] = {}
        """How much of what could be sold open orders bind, by position key, as it was shown last."""

    async def state(self) -> AccountState:
        """Balances and positions. Raises Transient VEN-003 for an answer that leaves out a position: that a perpetual
        is not mentioned is not yet that it is flat."""
        state = await self._api.account()
        missing = sorted(self._terms.perps - state.pairs)
        if missing:
            raise Transient(
                "VEN-003", f"{self._terms.venue} does not say what it holds of {', '.join(missing)}; ask again"
            )
        self.bound = bound_by(self._terms, state)
        return state

    async def steady(self) -> AccountState | None:
        """What the account holds, once it has shown the same several times; None when it changes meanwhile."""
        patience = self._terms.patience
        state = await self.state()
        for _ in range(patience.steady_reads - 1):
            await self._clock.sleep(patience.read_pause_seconds)
            before, state = state, await self.state()
            if shown_by(self._terms, state) != shown_by(self._terms, before):
                return None
        return state
