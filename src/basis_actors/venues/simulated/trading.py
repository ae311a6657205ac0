"""Defines how a simulated exchange prices a trade: reference price, impact, lots, minimum sizes, limits."""

from __future__ import annotations

from typing import NamedTuple

from basis_actors.finance.contracts import LINEAR, Contract
from basis_actors.finance.costs import fill_price, from_lots, impact_bps, round_down_to_lot, trade_fee, whole_lots
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import Order, OrderType, Side
from basis_actors.times import utc_text
from basis_actors.venues.simulated.refusals import not_known, refused
from basis_actors.venues.simulated.terms import PerpMarket, SpotMarket

__all__ = ["Fill", "on_lots", "perp_reference", "price_trade", "require_minimum", "spot_reference"]


class Fill(NamedTuple):
    """A trade as it would be filled now."""

    quantity: float
    """In the unit of the lot (base units, for an inverse perpetual USD), greater than 0, a multiple of the lot."""
    price: float
    """USDT per base unit, impact included."""
    contract: Contract = LINEAR
    """What is traded; a spot trade is paid like a linear contract."""

    @property
    def notional(self) -> float:
        """USDT, for an inverse perpetual USD."""
        return self.contract.notional(self.quantity, self.price)

    @property
    def value(self) -> float:
        """USDT, for an inverse perpetual its base asset."""
        return self.notional * self.contract.per_quote(self.price)

    def fee(self, rate: float) -> float:
        """Fee in the unit of `value`."""
        return trade_fee(self.value, rate)


def on_lots(amount: float, lot: float) -> float:
    """`amount` (signed) without the rounding noise of sums, where it is a multiple of the lot; else as it is."""
    count = whole_lots(abs(amount), lot)
    if count is None:
        return amount
    return from_lots(count, lot) if amount >= 0.0 else -from_lots(count, lot)


def spot_reference(order: Order, venue: str, market: MarketState, asset: str) -> float:
    """The venue's own spot price, or the reference price where the feed has no spot series of the venue.

    Raises Rejected STRAT-006 when it is stale or not known yet.
    """
    quote = market.spot.get(f"{venue}:{asset}")
    if quote is not None:
        if not quote.fresh:
            raise not_known(order, f"the {asset} spot price of {venue} is older than its staleness limit; wait for it")
        return quote.price
    price = market.prices.get(asset)
    if price is None:
        raise not_known(order, f"{asset} has no price yet at {utc_text(market.timestamp)}; wait for the first bar")
    if asset in market.stale_prices:
        raise not_known(order, f"the reference price of {asset} is older than its staleness limit; wait for it")
    return price


def perp_reference(order: Order, quote_name: str, market: MarketState) -> float:
    """Last price of a perpetual. Raises Rejected STRAT-006 when it is stale, or it or the mark is not known yet."""
    quote = market.perps.get(quote_name)
    if quote is None or quote.last is None or quote.mark is None:
        raise not_known(order, f"{quote_name} has no last and mark price yet at {utc_text(market.timestamp)}")
    if not quote.last_fresh:
        raise not_known(order, f"the last price of {quote_name} is older than its staleness limit; wait for it")
    return quote.last


def price_trade(order: Order, line: SpotMarket | PerpMarket, reference: float, contract: Contract = LINEAR) -> Fill:
    """What a taker order fills at: the reference price, worse by the impact of its size.

    A limit order fills like a market order when that price is at its limit or better; orders do not rest here, because
    bars do not tell whose order at a price was filled. Raises Rejected EXEC-004 for an amount off the lot and for a
    limit that is not met.
    """
    count = whole_lots(order.amount, line.lot)
    if count is None or count == 0:
        below = round_down_to_lot(order.amount, line.lot)
        raise refused(order, f"amount {order.amount!r} is not a multiple of the lot {line.lot!r}; use {below!r}")
    quantity = from_lots(count, line.lot)
    buying = order.side in (Side.BUY, Side.LONG)
    price = fill_price(reference, impact_bps(contract.notional(quantity, reference), line.impact_bps), buying=buying)
    if order.order_type is OrderType.LIMIT:
        limit = order.price
        assert limit is not None
        if price > limit if buying else price < limit:
            raise refused(
                order, f"the limit {limit:.12g} is not met, a fill costs {price:.12g}; resting orders are not simulated"
            )
    return Fill(quantity, price, contract)


def require_minimum(order: Order, line: SpotMarket | PerpMarket, fill: Fill, minimum_notional: float) -> None:
    """Raises Rejected EXEC-004 when a trade is smaller than the market accepts; the text compares both numbers."""
    if fill.quantity < line.min_amount:
        raise refused(order, f"amount {fill.quantity!r} is below the minimum {line.min_amount!r} of {line.pair}")
    if fill.notional < minimum_notional:
        raise refused(order, f"{fill.notional:.12g} USD is below the minimum order of {minimum_notional:g} USD")
