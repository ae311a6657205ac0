"""Says what a process leaves open: all that is not cash, and tokens of its spot markets that can still be sold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from basis_actors.config import ExchangeVenue, RunConfig
from basis_actors.finance.keys import STABLE
from basis_actors.messages.market import MarketSpec, MarketState
from basis_actors.results.accumulator import RunStatistics

__all__ = ["left_open", "listed"]


def left_open(
    run: RunConfig, spec: MarketSpec, statistics: RunStatistics, market: MarketState | None
) -> dict[str, float]:
    """Amount by position key, as the newest ledger has it, at the newest `market` that was seen.

    Tokens of the share class are cash. What is worth less than its exchange takes in one order cannot be sold; what has
    no known price counts as worth it.
    """
    found = statistics.open_positions
    prices = {} if market is None else market.prices
    for name in spec.spot:
        venue, _, token = name.partition(":")
        key = f"{venue}:BaseToken:{token}"
        amount = statistics.positions.get(key, 0.0)
        if token in (STABLE, run.share_class.currency) or not amount:
            continue
        terms, price = run.venues.get(venue), prices.get(token)
        least = terms.minimum_notional if isinstance(terms, ExchangeVenue) else 0.0
        if price is None or amount * price >= least:
            found[key] = amount
    return found


def listed(positions: Mapping[str, float], missing: Mapping[str, Sequence[str]] | None = None) -> str:
    """Positions in a sentence, with the stops that are `missing` at their exchange, by position key."""
    lacks = {key: f" (without its {' and '.join(stops)})" for key, stops in (missing or {}).items()}
    return ", ".join(f"{key} {amount:.6g}{lacks.get(key, '')}" for key, amount in positions.items())
