"""Defines what a swap on a decentralised exchange gives: the market's rate, its impact, the fee of the pool.

Rates are units of the target token per unit of the source token. ETH and WETH are one token.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from basis_actors.finance.keys import LST_TOKENS
from basis_actors.messages.market import MarketState

__all__ = ["Swapped", "market_rate", "pool_pair", "swap", "swap_size_usd"]


class Swapped(NamedTuple):
    """What a swap gives, in the target token."""

    gross: float
    """Before the fee of the pool."""
    fee: float

    @property
    def net(self) -> float:
        """What arrives."""
        return self.gross - self.fee


def pool_pair(source: str, target: str, pairs: Iterable[str]) -> str | None:
    """The pool that trades two tokens, whichever stands first: `ETH/weETH` for weETH and ETH; None without one."""
    wanted = {_plain(source), _plain(target)}
    return next((pair for pair in pairs if {_plain(token) for token in pair.split("/")} == wanted), None)


def market_rate(market: MarketState, source: str, target: str) -> float | None:
    """Units of `target` per unit of `source` before impact and fee; None while it is not known.

    A staking token trades at its market rate, which is not the rate its protocol redeems at; other tokens at the
    ratio of their reference prices.
    """
    worth_in = _in_eth(market, _plain(source))
    worth_out = _in_eth(market, _plain(target))
    if worth_in is None or worth_out is None:
        return None
    return worth_in / worth_out


def swap(amount: float, rate: float, impact_bps: float, fee_bps: float) -> Swapped:
    """`amount` of the source at `rate`, worse by the impact; the fee is taken from what comes out."""
    gross = amount * rate * (1.0 - impact_bps / 1e4)
    return Swapped(gross, gross * fee_bps / 1e4)


def swap_size_usd(market: MarketState, source: str, amount: float) -> float | None:
    """Size of a swap for its impact, USD; None while its rate or the price of ETH is not known."""
    worth, price = _in_eth(market, _plain(source)), market.prices.get("ETH")
    return None if worth is None or price is None else amount * worth * price


def _plain(symbol: str) -> str:
    return "ETH" if symbol == "WETH" else symbol


def _in_eth(market: MarketState, symbol: str) -> float | None:
    """Market price of a token in ETH."""
    if symbol == "ETH":
        return 1.0
    if symbol in LST_TOKENS:
        quote = market.staking.get(symbol)
        return None if quote is None else quote.market_rate
    price, unit = market.prices.get(symbol), market.prices.get("ETH")
    return None if price is None or unit is None else price / unit
