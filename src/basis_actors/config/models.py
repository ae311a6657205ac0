"""Defines what a run is configured with: a mode, its limits and components, its data rules and its share class.

Nothing here has a default, so that a file says everything that holds; only limits that a mode has no use for may be
left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from basis_actors.config.market_feed import MarketFeedConfig
from basis_actors.config.model import (
    Count,
    CountOfSeconds,
    Fraction,
    Model,
    Positive,
    Problem,
    Problems,
    Seconds,
    SecondsOrZero,
    SmallFraction,
    refuse,
)
from basis_actors.config.monitoring import AlertsConfig, HealthMonitorConfig, MonitoringConfig
from basis_actors.config.plugins import is_reference, strategy_class
from basis_actors.config.safety import KillSwitchConfig, OrderLimits
from basis_actors.config.spelling import hint
from basis_actors.config.strategies import STRATEGY_CONFIGS

__all__ = [
    "ComponentConfig",
    "DataConfig",
    "EventLoggerConfig",
    "ExecutionManagerConfig",
    "ModeConfig",
    "PnLMonitorConfig",
    "PositionUpdateHandlerConfig",
    "RiskLimits",
    "ShareClassConfig",
    "StalenessConfig",
    "StrategyManagerConfig",
    "config_of",
]


class RiskLimits(Model):
    """Where risk starts to act. Ratios are fractions; a limit that a mode has no use for is left out."""

    enforce: bool
    """Whether a breach makes anything happen; when false it is only reported."""
    margin_ratio_reduce: Fraction
    """(cash + uPnL) / notional of a venue at or below which the position there is reduced."""
    margin_ratio_exit_half: Fraction
    """The same, at or below which half of it is closed."""
    margin_emergency_multiple: Annotated[float, Field(ge=1.0)]
    """Multiple of maintenance margin at or below which everything there is closed."""
    max_delta_drift: Fraction
    """Net delta as a fraction of equity."""
    max_drawdown: Fraction
    """Flow-adjusted loss from the highest equity; the share class gives it when the mode does not."""
    health_factor_reduce: Annotated[float, Field(gt=1.0)] | None = None
    """Health factor below which leverage is reduced."""
    health_factor_emergency: Annotated[float, Field(gt=1.0)] | None = None
    """Health factor below which everything is unwound."""
    max_peg_deviation: Fraction | None = None
    """Market discount of the LST above which it is a breach, and nothing is added to the position."""
    max_venue_share: Fraction | None = None
    """What may sit at one exchange or protocol, as a fraction of equity; the wallet itself is no such place."""
    max_asset_exposure: Positive | None = None
    """|net exposure to one asset|, as a multiple of equity."""
    warning_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    """How close to a limit counts as medium risk, as a fraction of the limit."""
    escalation_ticks: Count
    """Critical ticks in a row after which everything is closed and trading stops."""

    @model_validator(mode="after")
    def _check(self) -> RiskLimits:
        refuse(self._order())
        return self

    def _order(self) -> Iterator[Problem]:
        if self.margin_ratio_exit_half >= self.margin_ratio_reduce:
            reduce_at = f"{self.margin_ratio_reduce:g}"
            text = f"is {self.margin_ratio_exit_half:g}; less than margin_ratio_reduce {reduce_at} was expected"
            yield Problem(("margin_ratio_exit_half",), text)
        reduce, emergency = self.health_factor_reduce, self.health_factor_emergency
        if reduce is not None and emergency is not None and emergency >= reduce:
            text = f"is {emergency:g}; less than health_factor_reduce {reduce:g} was expected"
            yield Problem(("health_factor_emergency",), text)


class ExecutionManagerConfig(Model):
    """How an order is carried out and checked."""

    max_retry_attempts: Annotated[int, Field(ge=0)]
    """Further tries after a failure that passes by itself; a refusal or an unknown outcome is never sent again."""
    tight_loop_timeout: Seconds
    """Seconds for one order from validation to reconciliation."""
    retry_delay_seconds: SecondsOrZero
    """Seconds before an order that may be repeated is; a venue that says how long to wait is given that time."""
    longest_question_pause_seconds: Seconds
    """Seconds between two questions about an order of which nobody knows what became of it, and between two tries to
    undo a leg that stands alone; they grow up to this."""
    unanswered_seconds: Seconds
    """Seconds that one order waits for an exchange that does not say what became of it; then the exchange is halted,
    and the tick goes on without it."""
    execution_timeout: Seconds
    """Seconds for one try."""
    reconciliation_timeout: Seconds
    """Seconds."""

    @model_validator(mode="after")
    def _check(self) -> ExecutionManagerConfig:
        refuse(self._fits_in_loop())
        return self

    def _fits_in_loop(self) -> Iterator[Problem]:
        needed = self.execution_timeout + self.reconciliation_timeout
        if self.tight_loop_timeout < needed:
            text = (
                f"is {self.tight_loop_timeout:g} s; at least execution_timeout + reconciliation_timeout"
                f" = {needed:g} s was expected"
            )
            yield Problem(("tight_loop_timeout",), text)


class StrategyManagerConfig(Model):
    """How often a strategy decides in live."""

    time_throttle_interval: SecondsOrZero
    """Seconds between two decisions in live."""
    failure_pause_seconds: SecondsOrZero
    """How long no new risk is taken after a decision whose orders failed; twice as long after each further
    one that adds risk."""
    longest_pause_seconds: SecondsOrZero
    """What that pause grows up to."""


class PnLMonitorConfig(Model):
    """When the explanation of PnL counts as wrong."""

    residual_tolerance: SmallFraction
    """Unexplained change as a fraction of equity."""


class PositionUpdateHandlerConfig(Model):
    """When ledger and venue count as different."""

    reconciliation_tolerance: SmallFraction
    """Relative difference between what was applied and what the venue reports."""


class EventLoggerConfig(Model):
    """When events go to disk."""

    batch_events: Count
    """Over all files."""
    flush_seconds: Seconds
    """Of wall time."""
    unwritten_limit: Count
    """Events that may wait: beyond it a disk that hangs ends the process, and a full one makes it give events up."""

    @model_validator(mode="after")
    def _check(self) -> EventLoggerConfig:
        text = f"is {self.unwritten_limit}; at least batch_events {self.batch_events} was expected"
        refuse(() if self.unwritten_limit >= self.batch_events else (Problem(("unwritten_limit",), text),))
        return self


class LogKeeperConfig(Model):
    """How large event files grow, and how long logs are kept."""

    segment_bytes: Count
    """An event file of this size is packed, and a new one begun."""
    keep_backtests_days: Count
    keep_live_days: Count
    """Days after the last change of a run directory; one that is being written is kept whatever its age."""


class ComponentConfig(Model):
    """The components of the engine."""

    execution_manager: ExecutionManagerConfig
    strategy_manager: StrategyManagerConfig
    pnl_monitor: PnLMonitorConfig
    position_update_handler: PositionUpdateHandlerConfig
    event_logger: EventLoggerConfig
    log_keeper: LogKeeperConfig
    health_monitor: HealthMonitorConfig
    kill_switch: KillSwitchConfig
    market_feed: MarketFeedConfig
    monitoring: MonitoringConfig
    alerts: AlertsConfig


class StalenessConfig(Model):
    """Seconds after the moment a value was known at which it is too old for new risk, by kind of series."""

    spot: Seconds
    perp: Seconds
    mark: Seconds
    reserve: Seconds
    staking: Seconds
    oracle: Seconds
    gas: Seconds


class DataConfig(Model):
    """How old data may be and how much of it may be missing."""

    staleness_seconds: StalenessConfig
    funding_missed_limit: Count
    """Due funding rates missing in a row that make a venue ineligible for new risk."""


class ShareClassConfig(Model):
    """The unit that equity, PnL and flows are counted in."""

    name: str
    currency: Literal["USDT", "ETH", "BTC"]
    decimals: Annotated[int, Field(ge=0, le=18)]
    default_capital: Positive
    """What a backtest starts with when it is not told, in tokens."""
    drawdown_limit: Fraction
    """Default of `risk_limits.max_drawdown`."""
    sources: tuple[str, ...]


class ModeConfig(Model):
    """One mode: a strategy with its parameters, on certain venues, in one share class."""

    mode: str
    description: str
    strategy: str
    """Family, a key of `STRATEGY_CONFIGS`, or a class outside the package: `package.module:Class`."""
    share_class: str
    venues: Annotated[tuple[str, ...], Field(min_length=1)]
    """In the order in which their settlements are told."""
    tick_interval_seconds: CountOfSeconds
    enable_market_impact: bool
    """Whether fills are worse than the reference price by the venue's impact."""
    strategy_config: SerializeAsAny[Model]
    """A `StrategyConfig`, or the `Config` of the class that `strategy` names."""
    risk_limits: RiskLimits
    order_limits: OrderLimits
    component_config: ComponentConfig
    data: DataConfig

    @field_validator("strategy")
    @classmethod
    def _family_exists(cls, family: str) -> str:
        if is_reference(family):
            strategy_class(family)
        elif family not in STRATEGY_CONFIGS:
            families = ", ".join(STRATEGY_CONFIGS)
            expected = f"one of {families} or package.module:Class was expected{hint(family, STRATEGY_CONFIGS)}"
            raise Problems((Problem((), f"is {family!r}; {expected}"),))
        return family

    @field_validator("strategy_config", mode="wrap")
    @classmethod
    def _of_the_family(cls, value: Any, _handler: Any, info: ValidationInfo) -> Any:
        family = info.data.get("strategy")
        if family is None:
            raise PydanticCustomError("unchecked", "cannot be checked while strategy is not valid")
        return config_of(family).model_validate(value)

    @field_validator("venues")
    @classmethod
    def _named_once(cls, venues: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({venue for venue in venues if venues.count(venue) > 1})
        if twice:
            raise Problems((Problem((), f"names {', '.join(twice)} twice; each venue is listed once"),))
        return venues


def config_of(strategy: str) -> type[Model]:
    """What `strategy_config` has to be for a strategy, a family or a class outside the package.

    Raises Problems for a class that cannot be used, KeyError for a family that there is not.
    """
    return strategy_class(strategy).Config if is_reference(strategy) else STRATEGY_CONFIGS[strategy]
