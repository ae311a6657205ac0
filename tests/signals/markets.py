"""Makes markets of one perpetual for tests of signals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from basis_actors.messages.market import FundingStamp, MarketState, PerpQuote
from basis_actors.times import utc_from_ns

HOUR = 3600 * 10**9
DAY = 24 * HOUR
START = 1_704_067_200 * 10**9
"""2024-01-01 00:00 UTC."""
PERP = "binance:BTC-PERP"


def market(
    ns: int, price: float | None = 40_000.0, *, rate: float | None = None, spot: float = 40_000.0
) -> MarketState:
    """One tick; with `rate` funding is settled at it."""
    return MarketState(
        timestamp=utc_from_ns(ns),
        ns=ns,
        prices={"USDT": 1.0, "BTC": spot},
        stale_prices=(),
        spot={},
        perps={PERP: PerpQuote(price, price is not None, price, price is not None, price, price)},
        funding=() if rate is None else (FundingStamp(ns, PERP, rate, price),),
        funding_missed={PERP: 0},
        reserves={},
        staking={},
        oracle_usd={},
        gas=None,
    )


def path(prices: Sequence[float], rates: Sequence[float], spots: Sequence[float]) -> list[MarketState]:
    """Hourly ticks with these prices; funding is settled every eighth of them."""
    return [
        market(START + hour * HOUR, price, rate=rate if hour % 8 == 0 else None, spot=spot)
        for hour, (price, rate, spot) in enumerate(zip(prices, rates, spots, strict=True))
    ]


def random_path(hours: int, seed: int) -> list[MarketState]:
    """A random walk of 1 % an hour."""
    chance = np.random.default_rng(seed)
    prices = 40_000.0 * np.exp(np.cumsum(chance.normal(0.0, 0.01, hours)))
    spots = prices * (1.0 - chance.normal(0.0, 5e-4, hours))
    return path(prices.tolist(), chance.normal(1e-4, 1e-4, hours).tolist(), spots.tolist())
