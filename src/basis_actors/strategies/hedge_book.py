"""Defines how a hedged strategy sees its book: the spot leg, one short leg a venue, cash in each account."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from basis_actors.config import RunConfig
from basis_actors.messages.market import MarketState
from basis_actors.strategies.base import Situation
from basis_actors.strategies.order_writer import exchange, margin_key, spot_cash_key

__all__ = ["HedgeBook", "Leg", "eligible_weights", "read_hedge_book"]


class Leg(msgspec.Struct, frozen=True):
    """The short of one venue. Sizes are given as positive base quantities of the short; a long counts negative."""

    venue: str
    perp: str
    short: float
    mark: float | None
    tradable: bool
    """Whether last price and mark are fresh, so that an order can be sent."""
    cash: float
    """USDT in the margin account."""
    margin: float
    """Cash plus unrealised PnL."""
    lot: float

    @property
    def notional(self) -> float:
        """Value of the short at mark, USDT."""
        return 0.0 if self.mark is None else self.short * self.mark

    @property
    def ratio(self) -> float | None:
        """Margin / notional; None without a position."""
        return self.margin / self.notional if self.notional > 0.0 else None


class HedgeBook(msgspec.Struct, frozen=True):
    """Everything the decisions of a basis position need, read off the ledger at one tick."""

    price: float
    """Last spot price, USDT."""
    spot_tradable: bool
    spot: float
    """Base asset held."""
    spot_cash: float
    wallet_cash: float
    legs: dict[str, Leg]
    weights: dict[str, float]
    """Share of the short by venue that may take new risk now; sums to 1, empty when none may."""
    left_out: tuple[str, ...]
    """Venues of the allocation that may not."""
    equity: float
    in_transit: bool

    @property
    def short(self) -> float:
        """Sum of all shorts."""
        return sum(leg.short for leg in self.legs.values())

    @property
    def flat(self) -> bool:
        """Whether there is no perp position."""
        return all(leg.short == 0.0 for leg in self.legs.values())


def eligible_weights(
    allocation: Mapping[str, float], symbol: str, market: MarketState, missed_limit: int
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Shares renormalised over the venues whose price, mark and last due funding are fresh now; and those left out.

    `symbol` is the perp's, `BTC-PERP`. A venue that has missed `missed_limit` due rates in a row is left out.
    """
    shares: dict[str, float] = {}
    left_out = []
    for venue, share in allocation.items():
        perp = f"{venue}:{symbol}"
        quote = market.perps.get(perp)
        missed = market.funding_missed.get(perp)
        fresh = quote is not None and quote.last_fresh and quote.mark_fresh
        if share > 0.0 and fresh and missed is not None and missed < missed_limit:
            shares[venue] = share
        else:
            left_out.append(venue)
    total = sum(shares.values())
    return {venue: share / total for venue, share in shares.items()}, tuple(left_out)


def read_hedge_book(
    run: RunConfig,
    situation: Situation,
    asset: str,
    spot_venue: str,
    allocation: Mapping[str, float],
) -> HedgeBook | None:
    """The book as it is; None while the spot price is not known."""
    market = situation.market
    quote = market.spot.get(f"{spot_venue}:{asset}")
    if quote is None:
        return None
    symbol = f"{asset}-PERP"
    legs: dict[str, Leg] = {}
    for venue in allocation:
        perp = f"{venue}:{symbol}"
        perp_quote = market.perps.get(perp)
        key = f"{venue}:PerpPosition:{symbol}"
        cash = situation.held(margin_key(run, venue))
        size = situation.held(key)
        mark = perp_quote.mark if perp_quote is not None else None
        profit = size * (mark - situation.entries[key]) if size != 0.0 and mark is not None else 0.0
        section = exchange(run, venue).perp
        tradable = perp_quote is not None and perp_quote.last_fresh and perp_quote.mark_fresh
        if section is None or asset not in section.markets:
            continue
        legs[venue] = Leg(venue, perp, -size, mark, tradable, cash, cash + profit, section.markets[asset].lot)
    weights, left_out = eligible_weights(allocation, symbol, market, run.mode.data.funding_missed_limit)
    return HedgeBook(
        price=quote.price,
        spot_tradable=quote.fresh,
        spot=situation.held(f"{spot_venue}:BaseToken:{asset}"),
        spot_cash=situation.held(spot_cash_key(spot_venue)),
        wallet_cash=situation.held("wallet:BaseToken:USDT"),
        legs=legs,
        weights=weights,
        left_out=left_out,
        equity=situation.book.equity,
        in_transit=situation.in_transit(),
    )
