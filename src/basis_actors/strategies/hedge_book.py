"""Defines how a hedged strategy sees its book: the spot leg, one short leg a venue, cash in each account."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import msgspec

from basis_actors.messages.market import MarketState
from basis_actors.strategies.base import Situation
from basis_actors.strategies.hedge_terms import HedgeTerms, LegTerms
from basis_actors.strategies.order_writer import gas_payable_key

__all__ = ["WALLET", "HedgeBook", "Leg", "read_hedge_book"]

WALLET = "wallet:BaseToken:USDT"
_GAS_OWED = gas_payable_key("USDT")
_CASH_IN_TRANSIT = "transit:BaseToken:USDT"


class Leg(msgspec.Struct, frozen=True):
    """The short of one venue."""

    terms: LegTerms
    short: float
    """Base quantity of the short, positive; a long would count negative."""
    mark: float | None
    tradable: bool
    """Whether last price and mark are fresh, so that an order can be sent."""
    cash: float
    """USDT in the margin account."""
    margin: float
    """Cash plus unrealised PnL."""
    notional: float
    """Value of the short at mark, USDT."""
    ratio: float | None
    """Margin / notional; None without a position."""

    @property
    def venue(self) -> str:
        """Where it is."""
        return self.terms.venue


class HedgeBook(msgspec.Struct, frozen=True):
    """Everything the decisions of a basis position need, read off the ledger at one tick."""

    price: float
    """Last spot price, USDT."""
    spot_tradable: bool
    spot: float
    """Base asset held."""
    spot_cash: float
    wallet_cash: float
    gas_owed: float
    """USDT that is owed for gas, 0 or more."""
    legs: dict[str, Leg]
    short: float
    """Sum of all shorts."""
    flat: bool
    """Whether there is no perp position."""
    lowest_ratio: float
    """Lowest margin ratio of all legs; infinite without any."""
    highest_ratio: float
    """Highest margin ratio of all legs; 0 without any."""
    weights: dict[str, float]
    """Share of the short by venue that may take new risk now; sums to 1, empty when none may."""
    left_out: tuple[str, ...]
    """Venues of the allocation that may not."""
    equity: float
    in_transit: bool


def read_hedge_book(
    terms: HedgeTerms, situation: Situation, allocation: Mapping[str, float], missed_limit: int
) -> HedgeBook | None:
    """The book as it is; None while the spot price is not known.

    A venue may take new risk while its price, mark and last due funding are fresh: with fewer than `missed_limit` due
    rates missing in a row. The shares of `allocation` are renormalised over those venues.
    """
    market = situation.market
    quote = market.spot.get(terms.spot_market)
    if quote is None:
        return None
    positions, entries = situation.positions, situation.entries
    legs: dict[str, Leg] = {}
    short = 0.0
    flat = True
    lowest, highest = inf, 0.0
    for venue, leg_terms in terms.legs.items():
        perp = market.perps.get(leg_terms.perp)
        size = positions.get(leg_terms.position_key, 0.0)
        cash = positions.get(leg_terms.margin_key, 0.0)
        mark = None if perp is None else perp.mark
        tradable = perp is not None and perp.last_fresh and perp.mark_fresh
        if size == 0.0:
            legs[venue] = Leg(leg_terms, 0.0, mark, tradable, cash, cash, 0.0, None)
            continue
        flat = False
        short -= size
        if mark is None:
            legs[venue] = Leg(leg_terms, -size, None, False, cash, cash, 0.0, None)
            continue
        margin = cash + size * (mark - entries[leg_terms.position_key])
        notional = abs(size) * mark
        ratio = margin / notional
        lowest, highest = min(lowest, ratio), max(highest, ratio)
        legs[venue] = Leg(leg_terms, -size, mark, tradable, cash, margin, notional, ratio)
    weights, left_out = _weights(allocation, legs, market, missed_limit)
    return HedgeBook(
        quote.price,
        quote.fresh,
        positions.get(terms.spot_key, 0.0),
        positions.get(terms.spot_cash_key, 0.0),
        positions.get(WALLET, 0.0),
        -positions.get(_GAS_OWED, 0.0),
        legs,
        short,
        flat,
        lowest,
        highest,
        weights,
        left_out,
        situation.book.equity,
        any((positions.get(_CASH_IN_TRANSIT), positions.get(terms.transit_key))),
    )


def _weights(
    allocation: Mapping[str, float], legs: Mapping[str, Leg], market: MarketState, missed_limit: int
) -> tuple[dict[str, float], tuple[str, ...]]:
    shares: dict[str, float] = {}
    left_out: list[str] = []
    total = 0.0
    for venue, share in allocation.items():
        leg = legs.get(venue)
        missed = None if leg is None else market.funding_missed.get(leg.terms.perp)
        if share > 0.0 and leg is not None and leg.tradable and missed is not None and missed < missed_limit:
            shares[venue] = share
            total += share
        else:
            left_out.append(venue)
    return {venue: share / total for venue, share in shares.items()}, tuple(left_out)
