"""Defines the calibration of the synthetic market, the model of `configs/synthetic.yaml`, where numbers have sources.

Time constants are those of Ornstein-Uhlenbeck processes, in days; shares are shares of a variance; quantile
tables are rows of (probability, value).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from basis_actors.config.model import Count, Fraction, Model, NonNegative, Positive

__all__ = ["AaveReserve", "Calibration", "Coin", "Gas", "PriceModel", "Quantiles", "StakedToken"]

Correlation = Annotated[float, Field(ge=-1, le=1)]


def _increasing(rows: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    for (p, value), (next_p, next_value) in pairwise(rows):
        if next_p <= p or next_value < value:
            raise ValueError(f"quantile rows must rise: ({p}, {value}) is followed by ({next_p}, {next_value})")
    if not rows or rows[0][0] <= 0 or rows[-1][0] >= 1:
        raise ValueError("probabilities of a quantile table must lie between 0 and 1")
    return rows


Quantiles = Annotated[tuple[tuple[float, float], ...], AfterValidator(_increasing)]
Coin = Literal["BTC", "ETH"]


class Component(Model):
    """One Ornstein-Uhlenbeck component: its stationary standard deviation and time constant."""

    sd: NonNegative
    days: Positive


class ShareOf(Model):
    """A component given by its share of the variance."""

    share: Fraction
    days: Positive


class Demand(Model):
    """Appetite for leverage: the factor that basis, funding, lending rates, yields and gas have in common."""

    constants_days: tuple[Positive, Positive]
    shares: tuple[Fraction, Fraction]


class PricedAsset(Model):
    """A coin in USDT, or a token in WETH: level at the epoch, mean log return and volatility per year."""

    level: Positive
    drift: float
    volatility: Positive


class SpotAsset(PricedAsset):
    """A coin in USDT with the tick its prices are rounded to, the tails and the skewness of its hourly returns."""

    tick: Positive
    flicker: NonNegative
    asymmetry: NonNegative


class Variance(Model):
    """Log variance of returns as a sum of a slow, a daily and a fast component, and flicker inside an hour."""

    slow: Component
    daily: Component
    fast: Component
    minute_flicker: NonNegative
    shared: Fraction
    demand: Correlation


class VolumeNoise(Model):
    """Log volume apart from volatility: a lasting component and independent flicker."""

    lasting: Component
    flicker: NonNegative


class PriceModel(Model):
    """Spot prices of the coins and the volumes of all exchange bars."""

    assets: dict[Coin, SpotAsset]
    correlation: Correlation
    variance: Variance
    weekday: Annotated[tuple[Positive, ...], Field(min_length=7, max_length=7)]
    hour: Annotated[tuple[Positive, ...], Field(min_length=24, max_length=24)]
    extremes: Positive
    spot_difference: Component
    volume: dict[str, Positive]
    volume_power: NonNegative
    volume_noise: VolumeNoise


class DexStable(Model):
    """The pool against USDT: deviation from the exchange price in bp."""

    volume: Positive
    constant_days: Positive
    deviation: Quantiles


class DexPair(PricedAsset):
    """A token against WETH; volume in WETH per hour."""

    volume: Positive


class Dex(Model):
    """Uniswap pools."""

    WETHUSDT: DexStable
    pairs: dict[str, DexPair]


class BasisShares(Model):
    """Shares of the slow basis that belong to a venue and to one market; the rest is demand."""

    venue: Fraction
    asset: Fraction


class FastShares(Model):
    """Shares of the fast basis by what has them in common; the rest is the market's own."""

    common: Fraction
    venue: Fraction
    asset: Fraction


class Mark(Model):
    """Last price over mark price, bp."""

    mean: float
    sd: dict[Coin, NonNegative]
    days: Positive


class BasisModel(Model):
    """Perpetual over spot, bp."""

    shares: BasisShares
    own_days: Positive
    slow: Quantiles
    okx_demand: Correlation
    okx_own_days: Positive
    okx_slow: Quantiles
    fast_days: Positive
    fast_sd: tuple[tuple[float, float], ...]
    okx_fast_sd: NonNegative
    fast_shares: FastShares
    mark: Mark


class PremiumNoise(Model):
    """Noise of a venue's premium around the slow basis, bp: below and above zero."""

    low: NonNegative
    high: NonNegative


class OkxFunding(Model):
    """Settled OKX rates: shares of their normal score, time constant of their own part, quantiles in bp."""

    demand: Fraction
    own: Fraction
    own_days: Positive
    asset: Fraction
    rates: Quantiles


class FundingModel(Model):
    """Funding in bp per 8 h."""

    interest: float
    band: Positive
    venues: dict[Literal["binance", "bybit"], PremiumNoise]
    okx: OkxFunding


class Curve(Model):
    """Kinked borrow rate: base + slope1 x U / optimal up to the optimum, slope2 over the rest of the way."""

    base: NonNegative
    slope1: NonNegative
    optimal: Annotated[float, Field(gt=0, lt=1)]
    slope2: NonNegative


class Governance(Model):
    """Changes of slope1 by vote, every four weeks: sd of its logarithm, time constant, correlation with demand."""

    sd: NonNegative
    days: Positive
    demand: Correlation


class Supplied(Model):
    """Total supplied in tokens: level, sd of its logarithm, time constant."""

    level: Positive
    sd: NonNegative
    days: Positive


class Spikes(Model):
    """Hours in which a reserve runs short: utilization rises by `size` for each unit of a score above `above`."""

    above: float
    size: NonNegative
    days: Positive


class AaveReserve(Model):
    """One reserve: what utilization is like and what moves it, the rate curve, both indices at the epoch."""

    reserve_factor: Fraction
    curve: Curve
    governance: Governance
    utilization: Quantiles
    demand: Correlation
    own_days: Positive
    smooth_hours: Count
    fast: tuple[ShareOf, ...]
    spikes: Spikes
    supplied: Supplied
    index: tuple[Positive, Positive]


class Morpho(Model):
    """Markets that lend one token against collateral which earns nothing, as on Morpho Blue."""

    reserves: dict[Literal["WETH"], AaveReserve]
    """What is lent."""
    collateral: tuple[Literal["weETH", "wstETH"], ...]


class Lending(Model):
    """Aave v3 and Morpho."""

    reserves: dict[Literal["USDT", "WETH", "wstETH", "weETH"], AaveReserve]
    """Of Aave."""
    morpho: Morpho


class StakedToken(Model):
    """A staked token: ETH per token at the epoch, daily growth (x365, percent), market premium (bp)."""

    rate: Positive
    growth: Quantiles
    echo: Correlation
    premium: Quantiles
    premium_shares: tuple[Fraction, Fraction]
    premium_days: tuple[Positive, Positive]


class Noise(Model):
    """A series that wanders through a quantile table with one time constant."""

    days: Positive
    table: Quantiles


class DemandedYield(Model):
    """A yield that follows demand."""

    demand: Correlation
    days: Positive
    table: Quantiles


class EchoedYield(Model):
    """A yield whose day keeps a share of the shock of the day before."""

    echo: Correlation
    table: Quantiles


class Staking(Model):
    """Staked tokens, oracles and yields."""

    tokens: dict[Literal["wstETH", "weETH"], StakedToken]
    usdt_usd: Noise
    weth_usd: Noise
    susde_apy: DemandedYield
    etherfi_base_apy: EchoedYield
    etherfi_reward_apy: Noise


class TipSpread(Model):
    """Median distance of the quartile tips from the median tip, in logarithms."""

    low: NonNegative
    high: NonNegative


class Gas(Model):
    """Ethereum fees, gwei, every two hours."""

    demand: Correlation
    own_days: Positive
    fast: ShareOf
    log_base_fee: Quantiles
    cycle: Annotated[tuple[float, ...], Field(min_length=12, max_length=12)]
    log_tip: Quantiles
    tip_slow_share: Fraction
    tip_spread: TipSpread


class EigenRewards(Model):
    """Weekly EIGEN: tokens per eETH, totals in ETH, sds of logarithms."""

    per_eeth_weekly: Positive
    sd: NonNegative
    restaked: Positive
    restaked_sd: NonNegative
    idle: Positive
    idle_sd: NonNegative
    days: Positive


class EthfiRewards(Model):
    """ETHFI top-ups: share of weeks that have one, tokens per eETH, total eETH."""

    share_of_weeks: Fraction
    per_eeth: Positive
    sd: NonNegative
    eeth: Positive


class Rewards(Model):
    """ether.fi distributions."""

    eigen: EigenRewards
    ethfi: EthfiRewards


class Calibration(Model):
    """All numbers of the synthetic market."""

    epoch: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T00:00:00Z$")]
    demand: Demand
    prices: PriceModel
    dex: Dex
    basis: BasisModel
    funding: FundingModel
    lending: Lending
    staking: Staking
    gas: Gas
    rewards: Rewards
