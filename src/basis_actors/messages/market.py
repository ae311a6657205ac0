"""Defines the market as it is known at one instant. Everything in it was known at or before its timestamp.

Units: prices in USDT per unit unless a field says otherwise, rates as fractions, times as integer nanoseconds
since the epoch (UTC). Dictionaries are shared between states and never changed.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

__all__ = [
    "FundingStamp",
    "GasQuote",
    "MarketSpec",
    "MarketState",
    "PerpQuote",
    "ReserveState",
    "RewardStamp",
    "SpotQuote",
    "StakingQuote",
]


class MarketSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a mode needs to see of the market; a feed is built from it.

    Names: spot `binance:BTC`, perps `binance:BTC-PERP`, coin-margined `binance:BTCUSD-PERP`, reserves of Aave by
    underlying (`USDT`, `WETH`), others with their ledger name (`morpho:WETH`), staking by LST.
    """

    assets: tuple[str, ...]
    """Assets that need a price (`BTC`, `ETH`, `EIGEN`); USDT is always 1."""
    spot: tuple[str, ...] = ()
    perps: tuple[str, ...] = ()
    reserves: tuple[str, ...] = ()
    staking: tuple[str, ...] = ()
    oracle: tuple[str, ...] = ()
    """Tokens whose Aave oracle price in USD is needed."""
    gas: bool = False
    rewards: tuple[str, ...] = ()
    """Liquid staking tokens whose season rewards are needed (`weETH`)."""


class SpotQuote(msgspec.Struct, frozen=True, gc=False):
    """Last price of a spot market of one venue."""

    price: float
    fresh: bool
    """Whether the price is younger than its staleness limit."""


class PerpQuote(msgspec.Struct, frozen=True, gc=False):
    """Last and mark price of one perpetual. `None` means: not known yet at this time."""

    last: float | None
    last_fresh: bool
    mark: float | None
    """The venue's mark price, or the named proxy where the venue publishes none; the last known one when stale."""
    mark_fresh: bool
    mark_high: float | None
    """Highest mark since the previous tick; None when no bar closed since."""
    mark_low: float | None
    mark_open: float | None = None
    """First mark of the bars that closed since the previous tick, which after a gap is not where the last one ended;
    None when none closed, or nobody knows."""


class FundingStamp(msgspec.Struct, frozen=True, gc=False):
    """One funding settlement of one perpetual, or the absence of one that was due."""

    ns: int
    perp: str
    """`binance:BTC-PERP`."""
    rate: float | None
    """Fraction of notional that longs pay to shorts for this interval; None when the due rate is missing."""
    mark: float | None
    """Mark price at the stamp."""


class ReserveState(msgspec.Struct, frozen=True, gc=False):
    """One reserve of a lending pool. Indices are those of this instant; rates and utilisation are of the last stamp."""

    supply_index: float
    borrow_index: float
    supply_apr: float
    borrow_apr: float
    utilization: float
    fresh: bool
    available: float | None = None
    """Underlying tokens that nobody had borrowed at the last stamp: total supplied less total debt; None where the data
    do not have both."""


class StakingQuote(msgspec.Struct, frozen=True, gc=False):
    """One liquid staking token."""

    eth_per_lst: float
    """Protocol exchange rate of the last oracle stamp."""
    market_rate: float | None
    """ETH per LST on the DEX; None while not known."""
    fresh: bool
    """Whether the protocol's rate, and the market's where it is known, are not too old."""
    market_fresh: bool
    """Whether the market rate is known and not too old, whatever the protocol's is: enough to sell."""


class RewardStamp(msgspec.Struct, frozen=True, gc=False):
    """One payment of season rewards to whoever held a liquid staking token over a period."""

    ns: int
    """When it is paid."""
    lst: str
    """`weETH`."""
    token: str
    """`EIGEN`, `ETHFI`."""
    per_eth: float
    """Tokens per ETH (amount x eth_per_lst) held on average over the period."""
    period_start_ns: int
    period_end_ns: int
    """End of the last day of the period; not included."""


class GasQuote(msgspec.Struct, frozen=True, gc=False):
    """Ethereum gas price of the last block read, in gwei per gas unit."""

    base_fee_gwei: float
    priority_fee_gwei: float
    fresh: bool


class MarketState(msgspec.Struct, frozen=True, gc=False):
    """The market at one tick."""

    timestamp: datetime
    ns: int
    prices: dict[str, float]
    """Reference price S of each asset in USDT, the newest closed Binance bar (else Bybit); absent while not known.

    Of EIGEN and ETHFI the newest closed bar of their pool against WETH x the reference price of ETH.
    """
    stale_prices: tuple[str, ...]
    """Assets whose reference price is older than its limit."""
    spot: dict[str, SpotQuote]
    perps: dict[str, PerpQuote]
    funding: tuple[FundingStamp, ...]
    """What fell due in (previous tick, this tick], by time, then in the order of the spec."""
    funding_missed: dict[str, int]
    """Due rates missing in a row up to now, by perp; absent for a perp whose funding series has not begun."""
    reserves: dict[str, ReserveState]
    staking: dict[str, StakingQuote]
    oracle_usd: dict[str, float]
    gas: GasQuote | None
    rewards: tuple[RewardStamp, ...] = ()
    """What is paid in (previous tick, this tick], by time, then by token."""
