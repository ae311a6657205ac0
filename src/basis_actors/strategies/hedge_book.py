"""Defines how a hedged strategy sees its book: the spot leg, one short leg a venue, cash in each account."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import msgspec

from basis_actors.strategies.base import Situation
from basis_actors.strategies.hedge_terms import HedgeTerms, LegTerms, Weights
from basis_actors.strategies.order_writer import gas_payable_key

__all__ = ["WALLET", "HedgeBook", "Leg", "read_hedge_book"]

WALLET = "wallet:BaseToken:USDT"
_GAS_OWED = gas_payable_key("USDT")
_CASH_IN_TRANSIT = "transit:BaseToken:USDT"


class Leg(msgspec.Struct, frozen=True, gc=False):
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
    """USDT that spot can be bought with; what a short on the same account needs for its target ratio is no part of it.
    """
    wallet_cash: float
    gas_owed: float
    """USDT that is owed for gas, 0 or more."""
    legs: dict[str, Leg]
    short: float
    """Sum of all shorts."""
    ratios: dict[str, float | None]
    """Margin ratio by venue with a position; None while its mark is not known."""
    flat: bool
    """Whether there is no perp position."""
    holds_long: bool
    """Whether a perpetual is held long."""
    lowest_ratio: float
    """Lowest margin ratio of all legs; infinite without any."""
    highest_ratio: float
    """Highest margin ratio of all legs; 0 without any."""
    shares: Weights
    """Of the venues that may take new risk now: price, mark and last due funding are fresh there, with few due rates
    missing in a row."""
    equity: float
    in_transit: bool
    purses: Mapping[str, float]
    """USDT in the funding purses of exchanges, where it margins nothing."""
    spot_bound: float = 0.0
    """Of the base asset: held, but not to be sold now, because open orders bind it."""

    @property
    def spot_free(self) -> float:
        """Base asset that can be sold now."""
        return max(0.0, self.spot - self.spot_bound)

    @property
    def weights(self) -> dict[str, float]:
        """Share of the short by venue that may take new risk now; sums to 1, empty when none may."""
        return self.shares.by_venue


def read_hedge_book(terms: HedgeTerms, situation: Situation) -> HedgeBook | None:
    """The book as it is; None while the spot price is not known."""
    book = situation.book.risk.exposure.book
    market = book.tick.market
    quote = market.spot.get(terms.spot_market)
    if quote is None:
        return None
    positions, entries, quoted = book.positions, book.entries, market.perps.get
    held = positions.get
    missed, missed_limit = market.funding_missed.get, terms.missed_limit
    legs: dict[str, Leg] = {}
    purses: dict[str, float] = {}
    ratios: dict[str, float | None] = {}
    able: list[str] = []
    short = 0.0
    holds_long = False
    lowest, highest = inf, 0.0
    for venue, leg_terms in terms.legs.items():
        perp = quoted(leg_terms.perp)
        mark = None if perp is None else perp.mark
        tradable = perp is not None and perp.last_fresh and perp.mark_fresh
        size = held(leg_terms.position_key, 0.0)
        if leg_terms.purse_key in positions:
            purses[venue] = positions[leg_terms.purse_key]
        margin = cash = held(leg_terms.margin_key, 0.0)
        notional, ratio = 0.0, None
        if size != 0.0:
            short -= size
            if size > 0.0:
                holds_long = True
            if mark is None:
                tradable = False
            else:
                margin += size * (mark - entries[leg_terms.position_key])
                notional = abs(size) * mark
                ratio = margin / notional
                if ratio < lowest:
                    lowest = ratio
                if ratio > highest:
                    highest = ratio
            ratios[venue] = ratio
        if tradable and missed(leg_terms.perp, missed_limit) < missed_limit:
            able.append(venue)
        # No short is 0.0 and not -0.0, which would be written as such.
        legs[venue] = Leg(leg_terms, -size or 0.0, mark, tradable, cash, margin, notional, ratio)
    spot_cash = held(terms.spot_cash_key, 0.0)
    if terms.shared_margin is not None:
        spot_cash = _beside_margin(legs[terms.shared_margin], terms.margin_target)
    return HedgeBook(
        quote.price,
        quote.fresh,
        held(terms.spot_key, 0.0),
        spot_cash,
        held(WALLET, 0.0),
        -held(_GAS_OWED, 0.0),
        legs,
        short,
        ratios,
        not ratios,
        holds_long,
        lowest,
        highest,
        terms.allocation.over(tuple(able)),
        situation.book.equity,
        bool(held(_CASH_IN_TRANSIT) or held(terms.transit_key)),
        purses,
        book.bound.get(terms.spot_key, 0.0),
    )


def _beside_margin(leg: Leg, target: float) -> float:
    """Cash of a margin account that its short does not need, USDT; nothing while that cannot be computed."""
    if leg.short and leg.mark is None:
        return 0.0
    return max(0.0, min(leg.cash, leg.margin - leg.notional * target))
