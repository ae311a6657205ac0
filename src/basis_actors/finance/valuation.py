"""Defines what a ledger is worth in the share class, and which quantity of each asset it carries.

One reference price S per asset for every venue (Binance spot close), perps at their venue's mark, a liquid staking
token at quantity x eth_per_lst x S. Nothing here knows where prices come from.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from basis_actors.finance.keys import parse_key
from basis_actors.messages.market import MarketState

__all__ = ["Valuation", "share_class_prices", "value_book"]

STABLE = "USDT"
"""The currency perps settle in and prices are quoted in."""


class Valuation(msgspec.Struct, frozen=True):
    """A valued ledger; every number is in the share class but for `deltas`, which are asset quantities."""

    values: dict[str, float]
    """By key; a perp counts with its unrealised PnL."""
    deltas: dict[str, float]
    """By asset: cash, transit, claims, aTokens and staked tokens minus debt plus perp sizes."""
    equity: float
    unrealized: float
    """The part of equity that is unrealised perp PnL."""
    unpriced: tuple[str, ...]
    """Non-zero keys without a known price; they count as 0."""


def share_class_prices(market: MarketState, currency: str) -> dict[str, float]:
    """Price of every known asset in units of `currency`; the currency itself is exactly 1."""
    prices = market.prices
    if currency == STABLE:
        return prices
    unit = prices.get(currency)
    if unit is None:
        return {currency: 1.0}
    converted = {asset: price / unit for asset, price in prices.items()}
    converted[currency] = 1.0
    return converted


def value_book(
    positions: Mapping[str, float], entries: Mapping[str, float], market: MarketState, prices: Mapping[str, float]
) -> Valuation:
    """Value `positions` with `prices` of the share class (see `share_class_prices`) and the marks of `market`.

    Linear perps: size x (mark - entry) USDT. Inverse perps: N x (1/entry - 1/mark) of the base asset, delta N/mark.
    """
    values: dict[str, float] = {}
    deltas: dict[str, float] = {}
    unpriced: list[str] = []
    equity = 0.0
    unrealized = 0.0
    for key, amount in positions.items():
        info = parse_key(key)
        asset = info.asset
        if info.perp is not None:
            quote = market.perps.get(info.perp)
            mark = quote.mark if quote is not None else None
            if info.kind == "PerpPosition":
                delta = amount
                unit = prices.get(STABLE)
                worth = None if mark is None or unit is None else amount * (mark - entries[key]) * unit
            else:
                delta = 0.0 if mark is None else amount / mark
                unit = prices.get(asset)
                worth = None if mark is None or unit is None else amount * (1.0 / entries[key] - 1.0 / mark) * unit
            if worth is not None:
                unrealized += worth
        else:
            price = prices.get(asset)
            delta = amount * info.sign
            if info.lst is not None:
                staking = market.staking.get(info.lst)
                delta = 0.0 if staking is None else delta * staking.eth_per_lst
                price = None if staking is None else price
            worth = None if price is None else delta * price
        if worth is None:
            worth = 0.0
            if amount != 0.0:
                unpriced.append(key)
        values[key] = worth
        equity += worth
        deltas[asset] = deltas.get(asset, 0.0) + delta
    return Valuation(values, deltas, equity, unrealized, tuple(unpriced))
