"""Defines how much of what spot trades sell is bound: held, but not free, because open orders would sell it."""

from __future__ import annotations

from basis_actors.messages.exchange import AccountState
from basis_actors.venues.live.terms import AccountTerms

__all__ = ["bound_by"]


def bound_by(terms: AccountTerms, state: AccountState) -> dict[str, float]:
    """By position key, whoever placed the orders; what is wholly free is left out.

    Of base assets only: cash is margin as well, and what may leave a purse is then no measure of what orders bind.
    """
    assets = {pair.partition("/")[0] for pair in terms.pairs if "/" in pair}
    found: dict[str, float] = {}
    for balance in state.balances:
        key = terms.cash_key(balance.wallet, balance.token)
        if balance.token in assets and key == terms.spot_key(balance.token) and balance.free < balance.total:
            found[key] = found.get(key, 0.0) + float(balance.total - balance.free)
    return found
