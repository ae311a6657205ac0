"""Defines what a ledger is worth in the share class, and which quantity of each asset it carries.

One reference price S per asset for every venue (Binance spot close), perps at their venue's mark, a liquid staking
token at quantity x eth_per_lst x S. Nothing here knows where prices come from.
"""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.finance.keys import REWARD_TOKENS, STABLE, LedgerKey, parse_key
from basis_actors.messages.book import Valuation
from basis_actors.messages.market import MarketState

__all__ = ["STABLE", "share_class_prices", "token_price", "value_book"]


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


def token_price(info: LedgerKey, market: MarketState, prices: Mapping[str, float]) -> float | None:
    """Price in the share class of one unit of a token key (not of a perpetual); None while it is not known."""
    price = prices.get(info.asset)
    if price is None or info.lst is None:
        return price
    staking = market.staking.get(info.lst)
    return None if staking is None else price * staking.eth_per_lst


def value_book(
    positions: Mapping[str, float], entries: Mapping[str, float], market: MarketState, prices: Mapping[str, float]
) -> Valuation:
    """Value `positions` with `prices` of the share class (see `share_class_prices`) and the marks of `market`.

    A perp is worth its unrealised PnL: size x (mark - entry) USDT, an inverse one N x (1/entry - 1/mark) of its asset.
    What has no known price counts as 0 and is named in `unpriced`, a reward token in `unpriced_rewards`.
    """
    # Every amount but 0 is replaced by what it is worth.
    values = dict(positions)
    deltas: dict[str, float] = {}
    unpriced: list[str] = []
    unpriced_rewards: list[str] = []
    equity = unrealized = 0.0
    fresh = True
    perps, staked = market.perps, market.staking
    asset, held = "", 0.0
    price: float | None = None
    for key, amount in positions.items():
        if amount == 0.0:
            continue
        info = parse_key(key)
        # Positions in one asset stand together, by and large.
        if info.asset is not asset:
            asset = info.asset
            price, held = prices.get(asset), deltas.get(asset, 0.0)
        contract = info.contract
        worth: float | None = None
        if contract is None:
            delta, unit = amount * info.sign, price
            if info.lst is not None:
                staking = staked.get(info.lst)
                delta = 0.0 if staking is None else delta * staking.eth_per_lst
                unit = None if staking is None else price
            worth = None if unit is None else delta * unit
        else:
            assert info.perp is not None
            quote = perps.get(info.perp)
            delta = 0.0
            if quote is None or not quote.mark_fresh:
                fresh = False
            if quote is not None and quote.mark is not None:
                delta = contract.exposure(amount, quote.mark)
                unit = prices.get(info.paid_in)
                if unit is not None:
                    worth = contract.upnl(amount, entries[key], quote.mark) * unit
                    unrealized += worth
        if worth is None:
            worth = 0.0
            (unpriced_rewards if asset in REWARD_TOKENS else unpriced).append(key)
        values[key] = worth
        equity += worth
        deltas[asset] = held = held + delta
    for asset in market.stale_prices:
        if asset in deltas and asset not in REWARD_TOKENS:
            fresh = False
    return Valuation(values, deltas, equity, unrealized, tuple(unpriced), tuple(unpriced_rewards), fresh)
