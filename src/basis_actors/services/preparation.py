"""Turns what a person asks for into everything a backtest starts from, and refuses what cannot be run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal, get_args

from basis_actors.config import RunConfig, load_mode, without_friction
from basis_actors.config.effective import effective_values, written_values
from basis_actors.config.plugins import is_reference, outside_code
from basis_actors.config.scenarios import Scenario
from basis_actors.data import Dataset, HistoricalFeed, build_feed, load_for
from basis_actors.data.feed_report import FeedReport
from basis_actors.data.shocks import shocked, without_rows
from basis_actors.data.stamps import DAY, iso
from basis_actors.data.synthetic import SyntheticGenerator
from basis_actors.data.window import window_of
from basis_actors.errors import ConfigError, DataError
from basis_actors.logs.component import LOG_LEVELS
from basis_actors.messages.book import Flow
from basis_actors.messages.market import MarketSpec
from basis_actors.services.signals import refuse_live_signals
from basis_actors.strategies.base import Strategy
from basis_actors.strategies.registry import build_strategy, who
from basis_actors.times import NS_PER_SECOND, ns_from_utc, utc_from_ns, utc_text
from basis_actors.venues.simulated.build import try_own_venues

__all__ = [
    "DEFAULT_SEED",
    "DEMO_DAYS",
    "BacktestRequest",
    "Prepared",
    "Runtime",
    "capital_of",
    "configured",
    "generate_market",
    "identity_of",
    "prepare",
]

Runtime = Literal["sim", "live"]

DEFAULT_SEED: Final = 7
"""Of the synthetic market when none is asked for."""
DEMO_DAYS: Final = 90
"""Length of the window on the synthetic market when none is asked for."""
_LARGEST_MARKET: Final = 2_000_000
"""Bars a series that the synthetic market is made for at most, which takes about two gigabytes of memory."""
_WARMUP_DAYS: Final = 30
"""Days before the start that are loaded, so that windows of settled funding can be full at the first tick."""


@dataclass(frozen=True, kw_only=True)
class BacktestRequest:
    """What to run. Only the mode is needed; without `data` it runs on the synthetic market of `seed`."""

    mode: str | Path | RunConfig
    """Name of a mode, a mode file, or a configuration as it holds, on top of which nothing is laid."""
    data: Path | None = None
    """Folder in the data layout; None for the synthetic market."""
    seed: int = DEFAULT_SEED
    """Of the synthetic market."""
    start: datetime | None = None
    """First tick; None for the first that the data cover."""
    end: datetime | None = None
    """Last tick, included; None for the last that the data cover, or 90 days on the synthetic market."""
    capital: float | None = None
    """In tokens of the share class; None for the share class's own."""
    flows: Sequence[Flow] = ()
    """Deposits and withdrawals after the start."""
    frictionless: bool = False
    """No fees, no gas, no impact."""
    always_in: bool = False
    """Whether a mode that waits for funding to be worth it stays invested whatever funding does."""
    overlays: Sequence[Path] = ()
    """Configuration files laid over the mode."""
    settings: Sequence[str] = ()
    """`a.b=c` on top of them."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    """The same as a mapping."""
    out: Path = Path("logs")
    """Where run directories are made."""
    correlation_id: str | None = None
    """Name of the run; None for one made from mode, time and process."""
    write_events: bool = True
    log_level: str = "info"
    runtime: Runtime = "sim"
    fixed_clock: bool = False
    """Whether wall clock, durations and pid are fixed, so that two runs write the same bytes."""
    scenario: Scenario | None = None
    """What happens to market and venues beyond what the data say; None for nothing."""
    scenario_start: datetime | None = None
    """From when the hours of the scenario are counted; None for the first tick."""


@dataclass(frozen=True)
class Prepared:
    """Everything a backtest starts from."""

    request: BacktestRequest
    run: RunConfig
    effective: dict[str, Any]
    """The same as plain values, in the order of its files; secrets in it are not redacted."""
    config_hash: str
    """sha256 of the effective configuration."""
    dataset: Dataset
    """Without a series where nothing was recorded."""
    history: HistoricalFeed | None
    """None where the market is the one that exchanges publish."""
    strategy: Strategy
    capital: float
    flows: tuple[Flow, ...]
    """By time, the capital first."""
    begins_ns: int
    """The first tick; of a live market, when it was prepared."""
    scenario_ns: int
    """From when the hours of a scenario are counted."""

    @property
    def feed(self) -> HistoricalFeed:
        """The recorded market. Raises RuntimeError where there is none."""
        if self.history is None:
            raise RuntimeError("a live market has no recorded feed")
        return self.history

    @property
    def ends_ns(self) -> int | None:
        """The last tick; None where nobody knows it."""
        return None if self.history is None else self.history.ticks[-1]

    def report_until(self, ns: int | None) -> FeedReport:
        """What is known of the data up to a tick, or of all of them for None."""
        if self.history is not None:
            return self.history.report if ns is None else self.history.report_until(ns)
        begin, end = iso(self.begins_ns), iso(self.begins_ns if ns is None else ns)
        return FeedReport(self.dataset.origin, None, begin, end, 0, (), {}, (), (), {})


def prepare(request: BacktestRequest) -> Prepared:
    """Load configuration and data, and check the window and the flows.

    Raises ConfigError or DataError for whatever is wrong with them, BasisError STRAT-003 for a mode that cannot be
    run yet.
    """
    run = configured(request)
    refuse_live_signals(run)
    strategy = build_strategy(run)
    try_own_venues(run)
    capital = capital_of(request, run)
    step = run.mode.tick_interval_seconds * NS_PER_SECOND
    usual, start, end = _market(request, run, strategy.market_spec, step)
    scenario, scenario_ns = request.scenario, start
    if request.scenario_start is not None:
        scenario_ns = ns_from_utc(request.scenario_start)
    dataset = usual if scenario is None else shocked(usual, scenario, scenario_ns)
    try:
        feed = build_feed(
            dataset,
            strategy.market_spec,
            start_ns=start,
            end_ns=end,
            step_ns=step,
            data=run.mode.data,
            venues=run.venues,
        )
    except DataError:
        if scenario is not None:
            scenario.refuse(without_rows(usual, scenario, scenario_ns))
        raise
    for perp in strategy.market_spec.perps:
        stamps = feed.warmup_funding(perp, strategy.funding_history)
        with outside_code(f"{who(run)}: warm_up") if is_reference(run.mode.strategy) else nullcontext():
            strategy.warm_up(stamps)
    flows = (Flow(utc_from_ns(start), capital), *_checked(request.flows, start, end))
    config_hash, effective = identity_of(request, run)
    return Prepared(request, run, effective, config_hash, dataset, feed, strategy, capital, flows, start, scenario_ns)


def configured(request: BacktestRequest) -> RunConfig:
    """The configuration as it holds. Raises ConfigError for whatever is wrong with it."""
    _require_known("runtime", request.runtime, get_args(Runtime))
    _require_known("log level", request.log_level.lower(), LOG_LEVELS)
    run = _configuration(request)
    if request.always_in:
        run = _always_in(run)
    return without_friction(run) if request.frictionless else run


def capital_of(request: BacktestRequest, run: RunConfig) -> float:
    """What the run begins with, tokens of the share class. Raises ConfigError CONFIG-003 for nothing."""
    capital = run.share_class.default_capital if request.capital is None else request.capital
    if not isfinite(capital) or capital <= 0.0:
        raise ConfigError("CONFIG-003", f"capital is {capital}; more than 0 {run.share_class.currency} was expected")
    return capital


def identity_of(request: BacktestRequest, run: RunConfig) -> tuple[str, dict[str, Any]]:
    """Hash and plain values of the effective configuration."""
    written = {} if isinstance(request.mode, RunConfig) else written_values(run, request.mode)
    effective = effective_values(run, written)
    return hashlib.sha256(run.model_dump_json().encode()).hexdigest(), effective


def _configuration(request: BacktestRequest) -> RunConfig:
    if not isinstance(request.mode, RunConfig):
        return load_mode(request.mode, request.overrides, overlays=request.overlays, settings=request.settings)
    if request.overlays or request.settings or request.overrides:
        raise ConfigError("CONFIG-003", "a configuration as it holds takes no overlays, settings or overrides")
    return request.mode


def _market(request: BacktestRequest, run: RunConfig, spec: MarketSpec, step: int) -> tuple[Dataset, int, int]:
    """The data and the window: what was asked for, else what there is."""
    start = None if request.start is None else ns_from_utc(request.start)
    end = None if request.end is None else ns_from_utc(request.end)
    if start is not None and end is not None and start > end:
        raise DataError("DATA-002", f"start {iso(start)} is after end {iso(end)}; expected start at or before end")
    if request.data is not None:
        dataset = load_for(request.data, spec, run.venues)
        first, last = window_of(dataset, spec, run.venues, step)
        if end is None and start is not None and start > last:
            raise DataError("DATA-002", f"start {iso(start)} is after {iso(last)}, where {request.data} ends")
        return dataset, first if start is None else start, last if end is None else end
    step_seconds = min(run.mode.tick_interval_seconds, 86_400)
    generator = SyntheticGenerator(request.seed, step_seconds)
    if start is None:
        start = generator.epoch_ns
    if end is None:
        end = start + DEMO_DAYS * DAY
    first = start if start < generator.epoch_ns else max(generator.epoch_ns, start - _WARMUP_DAYS * DAY)
    return generate_market(generator, first, end), start, end


def generate_market(generator: SyntheticGenerator, start: int, end: int) -> Dataset:
    """The synthetic market from `start` to `end` (ns).

    Raises DataError DATA-002 for a window that memory cannot hold, and as `SyntheticGenerator.generate` does.
    """
    bars = (end - start) // (generator.step_seconds * NS_PER_SECOND)
    if bars > _LARGEST_MARKET:
        raise DataError(
            "DATA-002",
            f"the window {iso(start)} to {iso(end)} has {bars:,} bars of {generator.step_seconds} s; the synthetic"
            f" market is made for {_LARGEST_MARKET:,} at most: choose a shorter window or a longer step",
        )
    return generator.generate(start, end)


def _require_known(what: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise ConfigError("CONFIG-003", f"{what} {given!r} is not known; expected one of {', '.join(known)}")


def _always_in(run: RunConfig) -> RunConfig:
    """The same mode without its tests of funding."""
    config = run.mode.strategy_config
    if "always_in" not in type(config).model_fields:
        raise ConfigError(
            "CONFIG-003", f"mode {run.mode.mode!r} has no entry test that --always-in could switch off; leave it out"
        )
    mode = run.mode.model_copy(update={"strategy_config": config.model_copy(update={"always_in": True})})
    return run.model_copy(update={"mode": mode})


def _checked(flows: Sequence[Flow], start: int, end: int) -> tuple[Flow, ...]:
    """Flows by time. Raises ConfigError for one outside the window, or of nothing."""
    for flow in flows:
        if not isfinite(flow.amount) or flow.amount == 0.0:
            raise ConfigError("CONFIG-003", f"flow at {utc_text(flow.timestamp)} is {flow.amount}; not 0 is needed")
        if not start < ns_from_utc(flow.timestamp) <= end:
            raise ConfigError(
                "CONFIG-003",
                f"flow at {utc_text(flow.timestamp)} is outside the window {iso(start)} to {iso(end)}; the capital"
                " itself lands at the start",
            )
    return tuple(sorted(flows, key=lambda flow: flow.timestamp))
