"""Defines a stress test: one mode on one synthetic market, first as it is, then once under each scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from basis_actors.config import DirectionalConfig, RunConfig, load_mode
from basis_actors.config.library import scenario_names
from basis_actors.config.model import Problem
from basis_actors.config.scenarios import BASELINE, Scenario, load_scenario
from basis_actors.data.synthetic import SyntheticGenerator
from basis_actors.errors import ConfigError
from basis_actors.results.summary import RunSummary
from basis_actors.services.backtest import Backtest, Progress
from basis_actors.services.preparation import DEFAULT_SEED, DEMO_DAYS, BacktestRequest, Prepared, prepare
from basis_actors.times import utc_from_ns

__all__ = ["BASELINE", "StressReport", "StressRequest", "StressRow", "StressTest"]

_LONGEST_DAYS = 36_500
"""100 years, as for every time in a configuration."""
_EPOCH_STEP_SECONDS = 3600
"""Any step will do to ask a generator when its market begins."""


@dataclass(frozen=True, kw_only=True)
class StressRequest:
    """What to test. Without `scenarios` all of `configs/scenarios` are run."""

    mode: str | Path
    """Name of a mode, or a mode file."""
    scenarios: Sequence[str | Path] = ()
    """Names of scenarios, or scenario files."""
    seed: int = DEFAULT_SEED
    """Of the synthetic market."""
    days: int = DEMO_DAYS
    """Length of each run, from the first moment of the synthetic market on, after the warm-up of a mode that trains."""
    capital: float | None = None
    """In tokens of the share class; None for the share class's own."""
    overlays: Sequence[Path] = ()
    """Configuration files laid over the mode."""
    settings: Sequence[str] = ()
    """`a.b=c` on top of them."""
    out: Path = Path("logs")
    """Where run directories are made."""


def _about(text: str) -> Meta:
    return Meta(description=text)


class StressRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to. Rates and shares are fractions; what has no meaning for the mode is null."""

    scenario: Annotated[str, _about("Name of the scenario, or baseline.")]
    description: Annotated[str, _about("What happens in it.")]
    total_return: Annotated[float | None, _about("Flow-adjusted growth minus 1.")]
    max_drawdown: Annotated[float, _about("Largest fall from a peak of flow-adjusted equity, at any calculation.")]
    lowest_health_factor: Annotated[float | None, _about("Lowest health factor; null without debt.")]
    lowest_margin_ratio: Annotated[float | None, _about("Lowest margin ratio of any venue; null without perpetuals.")]
    liquidations: Annotated[int, _about("Liquidations on any venue.")]
    unhedged_hours: Annotated[float | None, _about("Time with a net delta outside its band; null if not hedged.")]
    stopped: Annotated[str | None, _about("Why trading was stopped; null when it was not.")]
    failure: Annotated[str | None, _about("What made the run fail; null when it did not.")]
    warnings: Annotated[list[str], _about("What the run warned of, missing data apart.")]
    max_residual: Annotated[float | None, _about("Largest unexplained change as a fraction of equity.")]
    run_dir: Annotated[str | None, _about("Folder of the run's logs.")]


class StressReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a stress test came to."""

    mode: str
    share_class: str
    seed: int
    days: int
    warm_up_days: int
    """Days before, in which the mode only learns; the hours of scenarios are counted from their end."""
    rows: tuple[StressRow, ...]
    """The baseline first, then the scenarios in the order in which they were asked for."""
    interrupted: bool = False
    """Whether it was ended before all runs were done."""

    @property
    def failed(self) -> bool:
        """Whether a run failed."""
        return any(row.failure is not None for row in self.rows)


class StressTest:
    """One stress test. Everything is checked when it is made; `run` then carries out one run after the other."""

    def __init__(self, request: StressRequest) -> None:
        """Raises ConfigError or DataError for what cannot be run: nothing has been run then."""
        if not 1 <= request.days <= _LONGEST_DAYS:
            text = f"days is {request.days}; a whole number from 1 to {_LONGEST_DAYS} was expected"
            raise ConfigError("CONFIG-003", text)
        self._request = request
        scenarios = [load_scenario(name) for name in request.scenarios or scenario_names()]
        _require_once(scenarios)
        enough = max((_days_for(scenario) for scenario in scenarios), default=1)
        for scenario in scenarios:
            scenario.refuse(_outside(scenario, request.days, enough))
        run = load_mode(request.mode, overlays=request.overlays, settings=request.settings)
        self._warm_up_days = _warm_up_days(run)
        self._scenarios: tuple[Scenario | None, ...] = (None, *scenarios)
        self._prepared = [self._prepare(scenario) for scenario in self._scenarios]
        self._running: Backtest | None = None
        self._cancelled: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the runs, in their order."""
        return tuple(BASELINE if scenario is None else scenario.name for scenario in self._scenarios)

    def cancel(self, reason: str) -> None:
        """End the run that is going on after the tick it is at, and begin no other. May be called from anywhere."""
        self._cancelled = reason
        if self._running is not None:
            self._running.cancel(reason)

    def run(self, progress: Callable[[str, Progress], None] = lambda _name, _progress: None) -> StressReport:
        """Carry out all runs; `progress` is told the name of the one that is going on, and how far it is."""
        rows: list[StressRow] = []
        for name, scenario, prepared in zip(self.names, self._scenarios, self._prepared, strict=True):
            if self._cancelled is not None:
                break
            backtest = self._running = Backtest(prepared)
            summary = backtest.run(lambda done, name=name: progress(name, done))  # type: ignore[misc]
            if self._cancelled is None:
                rows.append(_row(name, scenario, summary))
        run, request = self._prepared[0].run, self._request
        return StressReport(
            mode=run.mode.mode,
            share_class=run.share_class.name,
            seed=request.seed,
            days=request.days,
            warm_up_days=self._warm_up_days,
            rows=tuple(rows),
            interrupted=self._cancelled is not None,
        )

    def _prepare(self, scenario: Scenario | None) -> Prepared:
        request = self._request
        start = utc_from_ns(SyntheticGenerator(request.seed, _EPOCH_STEP_SECONDS).epoch_ns)
        learned = start + timedelta(days=self._warm_up_days)
        return prepare(
            BacktestRequest(
                mode=request.mode,
                seed=request.seed,
                start=start,
                end=learned + timedelta(days=request.days),
                capital=request.capital,
                overlays=request.overlays,
                settings=request.settings,
                out=request.out,
                write_events=False,
                scenario=scenario,
                scenario_start=learned,
            )
        )


def _require_once(scenarios: Sequence[Scenario]) -> None:
    """Raise ConfigError CONFIG-003 for a name that two scenarios have: their rows could not be told apart."""
    first: dict[str, Scenario] = {}
    for scenario in scenarios:
        other = first.setdefault(scenario.name, scenario)
        if other is not scenario:
            files = other.document.origin(()).source, scenario.document.origin(()).source
            raise ConfigError(
                "CONFIG-003",
                f"scenario {scenario.name!r} is asked for twice, in {' and in '.join(files)}; each was expected once,"
                " under a name of its own",
            )


def _days_for(scenario: Scenario) -> int:
    """Whole days in which every shock at least begins."""
    return max((int(shock.start_hours // 24) + 1 for shock in scenario.config.shocks), default=1)


def _outside(scenario: Scenario, days: int, enough: int) -> Iterator[Problem]:
    """Shocks that begin when the run is over; `enough` days would do for everything that was asked for."""
    for index, shock in enumerate(scenario.config.shocks):
        if shock.start_hours >= days * 24:
            text = (
                f"is {shock.start_hours:g}; less than the {days * 24} hours of {days} days was expected: test"
                f" {enough} days or more (--days)"
            )
            yield Problem(("shocks", str(index), "start_hours"), text)


def _warm_up_days(run: RunConfig) -> int:
    """Days in which a mode does nothing because its model has not seen enough."""
    config = run.mode.strategy_config
    if not isinstance(config, DirectionalConfig) or config.signal.source != "walk_forward_logistic":
        return 0
    walk_forward = config.signal.walk_forward_logistic
    return 0 if walk_forward is None else walk_forward.warm_up_days


def _row(name: str, scenario: Scenario | None, summary: RunSummary) -> StressRow:
    return StressRow(
        scenario=name,
        description="nothing happens" if scenario is None else scenario.config.description,
        total_return=summary.total_return,
        max_drawdown=summary.max_drawdown_intraday,
        lowest_health_factor=summary.lowest_health_factor,
        lowest_margin_ratio=summary.lowest_margin_ratio,
        liquidations=summary.liquidations,
        unhedged_hours=summary.unhedged_hours,
        stopped=summary.stopped,
        failure=summary.failure,
        warnings=[text for text in summary.warnings if text.partition(":")[0] not in summary.data_gaps],
        max_residual=summary.max_residual,
        run_dir=summary.run_dir,
    )
