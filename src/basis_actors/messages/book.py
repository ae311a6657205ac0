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


class TickStarted(msgspec.Struct, frozen=True):
    """The engine has taken the market of this tick."""

    number: int
    """Counts from 0."""
    market: MarketState
    flows: tuple[Flow, ...] = ()
    """Flows that fall due at this tick; the capital is the first of them."""


class TickSettled(msgspec.Struct, frozen=True):
    """Every venue has accrued up to the tick."""

    tick: TickStarted
    settlements: tuple[Settlement, ...]
    """By time, then by venue in order of configuration."""


class PositionsView(msgspec.Struct, frozen=True):
    """The ledger after an update."""

    tick: TickStarted
    trigger: Trigger
    positions: dict[str, float]
    entries: dict[str, float]
    """Average entry price of each open perp position."""
    settlements: tuple[Settlement, ...]
    """What was applied since the previous view."""


class ExposureView(msgspec.Struct, frozen=True):
    """What the positions are worth and which risks they carry."""

    book: PositionsView
    values: dict[str, float]
    """Value of each position in the share class; a perp counts with its unrealised PnL."""
    deltas: dict[str, float]
    """Net quantity of each asset over all keys, perps included."""
    equity: float
    """Sum of `values`."""
    unpriced: tuple[str, ...]
    """Keys with a non-zero amount and no known price; they count as 0 in `values`."""
    net_delta_value: float
    """Sum of |delta| x price over the assets that are risks in this share class; share-class units."""


class RiskLevel(StrEnum):
    """How close the book is to a limit."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class RiskView(msgspec.Struct, frozen=True):
    """The exposure, measured against the limits."""

    exposure: ExposureView
    level: RiskLevel
    margin_ratio: dict[str, float]
    """(cash + unrealised PnL) / notional by venue with an open perp."""
    maintenance_ratio: dict[str, float]
    """Maintenance margin / notional by venue with an open perp."""
    health_factor: float | None
    ltv: float | None
    breaches: tuple[str, ...]


class BookView(msgspec.Struct, frozen=True):
    """Everything the strategy decides on: positions, exposure, risk, PnL of one moment."""

    risk: RiskView
    equity: float
    external_flows: float
    """Deposits minus withdrawals since the start, without the starting capital."""
    total_pnl: float
