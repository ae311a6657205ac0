"""Defines the views that travel down the monitors: tick, positions, exposure, risk, book.

Each view carries the one before it, so whoever receives a view holds everything that was known when it was made,
and two views never mix two moments.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from basis_actors.messages.execution import Settlement
from basis_actors.messages.market import MarketState

__all__ = [
    "BookView",
    "ExposureView",
    "Flow",
    "PositionsView",
    "RiskLevel",
    "RiskView",
    "TickSettled",
    "TickStarted",
    "Trigger",
    "Valuation",
    "VenueReport",
]


class Trigger(StrEnum):
    """What made the monitors run."""

    TICK = "tick"
    EXECUTION = "execution_manager"
    RESTART = "restart"


class Flow(msgspec.Struct, frozen=True, gc=False):
    """Money that the owner adds (amount > 0) or asks back (amount < 0), in tokens of the share class."""

    timestamp: datetime
    amount: float


class TickStarted(msgspec.Struct, frozen=True, gc=False):
    """The engine has taken the market of this tick."""

    number: int
    """Counts from 0."""
    market: MarketState
    flows: tuple[Flow, ...] = ()
    """Flows that fall due at this tick; the capital is the first of them."""
    reconcile: bool = False
    """Whether the ledger is compared with every venue once this tick is settled."""


class VenueReport(msgspec.Struct, frozen=True, gc=False):
    """Balances and positions as the venue itself shows them, by position key."""

    domain: str
    balances: dict[str, float]
    settlements: tuple[Settlement, ...] = ()
    """What the venue found on looking that the ledger may not have applied yet; `balances` contains it."""


class TickSettled(msgspec.Struct, frozen=True, gc=False):
    """Every venue has accrued up to the tick."""

    tick: TickStarted
    settlements: tuple[Settlement, ...]
    """By time, then by venue in order of configuration."""
    reports: tuple[VenueReport, ...] = ()
    """Of every domain, right after it has settled; empty unless the tick is to be reconciled and all of them answer."""
    bound: dict[str, float] = {}
    """How much of a position open orders bind, so that it cannot be sold now, by position key."""


class Valuation(msgspec.Struct, frozen=True, gc=False):
    """A valued ledger; every number is in the share class but for `deltas`, which are asset quantities."""

    values: dict[str, float]
    """By key; a perp counts with its unrealised PnL."""
    deltas: dict[str, float]
    """Net quantity by asset: cash, transit, claims, aTokens and staked tokens minus debt plus perp sizes."""
    equity: float
    """Sum of `values`."""
    unrealized: float
    """The part of equity that is unrealised perp PnL."""
    unpriced: tuple[str, ...]
    """Non-zero keys without a known price, reward tokens apart; they count as 0."""
    unpriced_rewards: tuple[str, ...] = ()
    """Non-zero keys of reward tokens without a known price; they count as 0, and no limit waits for them."""
    fresh: bool = True
    """Whether every price in it is within its staleness limit. Reward tokens are waited for by no limit."""


class PositionsView(msgspec.Struct, frozen=True, gc=False):
    """The ledger after an update, and what it is worth."""

    tick: TickStarted
    trigger: Trigger
    positions: dict[str, float]
    entries: dict[str, float]
    """Average entry price of each open perp position."""
    settlements: tuple[Settlement, ...]
    """What was applied since the previous view."""
    prices: dict[str, float]
    """Of the assets, in the share class."""
    valuation: Valuation
    bound: dict[str, float] = {}
    """How much of a position open orders bind, by position key, as the venues showed it at the tick."""


class ExposureView(msgspec.Struct, frozen=True, gc=False):
    """What the positions risk."""

    book: PositionsView
    net_delta: float | None
    """Sum of delta x price over the assets that are risks in this share class, in the share class; None while a
    price is not known."""


class RiskLevel(StrEnum):
    """How close the book is to a limit."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class RiskView(msgspec.Struct, frozen=True, gc=False):
    """The exposure, measured against the limits."""

    exposure: ExposureView
    level: RiskLevel
    margin_ratio: dict[str, float]
    """(cash + unrealised PnL) / notional by venue with an open perp."""
    maintenance_ratio: dict[str, float]
    """Maintenance margin / notional by venue with an open perp."""
    health_factor: float | None
    """Lowest of all loans at oracle prices; None without debt, and where it cannot be computed, which is a breach."""
    ltv: float | None
    """Debt / collateral at oracle prices of the loan with the lowest health factor; None as above."""
    breaches: tuple[str, ...]
    code: str | None = None
    """Registered code of the gravest breach; None without any."""
    liquidation_distance: dict[str, float] = {}
    """Relative move of prices against the position that would liquidate it, by venue; 0.2 is 20 %. Prices that fall
    for a long and a loan, that rise for a short. Absent where no move does it."""
    peg_deviation: dict[str, float] = {}
    """market_rate / eth_per_lst - 1 by liquid staking token that is held; negative is a discount."""
    drawdown: float = 0.0
    """Fall of flow-adjusted equity from its peak, as a fraction."""


class BookView(msgspec.Struct, frozen=True, gc=False):
    """Everything the strategy decides on: positions, exposure, risk, PnL of one moment."""

    risk: RiskView
    equity: float
    external_flows: float
    """Deposits minus withdrawals since the start, without the starting capital."""
    total_pnl: float
