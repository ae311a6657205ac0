"""Reads what a report shows out of a run directory: how the run ended, its summary, and series by engine time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from basis_actors.finance.keys import STABLE, parse_key
from basis_actors.logs.directory import EVENTS_FOLDER, RunStatus
from basis_actors.logs.queries.completeness import notices
from basis_actors.logs.reader import EventLog
from basis_actors.logs.run_lock import is_running
from basis_actors.logs.segments import segments
from basis_actors.messages.events import (
    EVENT_TYPES,
    DomainEvent,
    ExecutionDeltaEvent,
    ExposureSnapshot,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    RiskAssessment,
)
from basis_actors.messages.execution import DeltaSource
from basis_actors.results.accumulator import RunStatistics
from basis_actors.results.data_report import RunDataReport
from basis_actors.results.report.effective import Effective, Limits, read_effective
from basis_actors.results.run_files import DATA_REPORT_FILE, SUMMARY_FILE, read_data_report, read_summary
from basis_actors.results.summary import RunContext, RunSummary, summarise

__all__ = ["FundingPayment", "RunRecord"]


class FundingPayment(msgspec.Struct, frozen=True):
    """One settlement of funding."""

    moment: Any
    venue: str
    asset: str
    """In which it was paid."""
    amount: float
    """Received (> 0) or paid."""
    rate: float | None


class RunRecord:
    """One run as its directory tells it. What is large is read when it is asked for, a few fields at a time.

    Amounts are in the share class, times are UTC. Raises BasisError LOG-003 and LOG-004 as `EventLog` does.
    """

    def __init__(self, run_dir: Path) -> None:
        self.log = EventLog(run_dir)
        self.metadata = self.log.metadata
        self.goes_on = self.metadata.status is RunStatus.RUNNING and is_running(run_dir)
        """Whether the log is still being written."""
        self.damage = _damage(run_dir / EVENTS_FOLDER, running=self.goes_on)
        """What is missing from the log or cannot be told of it, a sentence each."""
        self.effective: Effective | None = read_effective(run_dir)
        """None when the run was killed before it wrote it down."""
        self.data: RunDataReport | None = read_data_report(run_dir) if (run_dir / DATA_REPORT_FILE).is_file() else None
        """None of runs of versions that wrote none."""
        self.has_summary = (run_dir / SUMMARY_FILE).is_file()
        """Whether the run came to write one; otherwise `summary` is worked out from the log."""
        self.summary: RunSummary = read_summary(run_dir) if self.has_summary else self._summed_up()

    @property
    def limits(self) -> Limits:
        """Limits of the mode; none are known without a configuration."""
        return Limits() if self.effective is None else self.effective.mode.risk_limits

    @property
    def dust(self) -> float | None:
        """|net delta| as a fraction of equity that a hedged mode leaves alone; None for a mode that hedges nothing."""
        if self.effective is None or not self.has_perps:
            return None
        return self.effective.mode.strategy_config.dust_delta

    @cached_property
    def has_perps(self) -> bool:
        """Whether a perpetual was ever held."""
        return any(parse_key(str(key)).contract is not None for key in self.positions.columns)

    @cached_property
    def pnl(self) -> pd.DataFrame:
        """Every calculation from the first with any equity on: its number and its amounts."""
        return self._calculations[(self._calculations["equity"] != 0.0).cummax()]

    @cached_property
    def _calculations(self) -> pd.DataFrame:
        fields = ("sequence", "equity", "total_pnl", "unrealized_pnl", "external_flows")
        return _columns(self.log, PnLCalculation, fields)

    @cached_property
    def last_calculation(self) -> PnLCalculation | None:
        """What the log ends with; None where no calculation was written."""
        last = None
        for calculation in self.log.events(PnLCalculation):
            last = calculation
        return last

    @property
    def has_course(self) -> bool:
        """Whether there are two moments, between which something can be drawn."""
        return len(self.pnl) > 0 and bool(self.pnl.index[0] < self.pnl.index[-1])

    @cached_property
    def growth(self) -> pd.Series[Any]:
        """Flow-adjusted equity over that at the start, at every calculation (time-weighted)."""
        equity, flows = self.pnl["equity"], self.pnl["external_flows"]
        before = equity.shift()
        factor = ((equity - flows.diff()) / before).where(before > 0.0, 0.0).clip(lower=0.0)
        if len(factor):
            factor.iloc[0] = equity.iloc[0] / self._start
        return factor.cumprod()

    @property
    def _start(self) -> float:
        first = self.pnl.iloc[0]
        return float(first["equity"] - first["total_pnl"] - first["external_flows"])

    @cached_property
    def components(self) -> pd.DataFrame:
        """PnL by component since the start, at the end of each tick."""
        frame: pd.DataFrame = _last_of_tick(self.log_components)
        return frame

    @cached_property
    def log_components(self) -> pd.DataFrame:
        """The same at every row of `pnl`."""
        rows = _table(self.log, PnLCalculation, "attribution_total").fillna(0.0)
        return rows.iloc[len(self._calculations) - len(self.pnl) : len(self._calculations)]

    @cached_property
    def marks(self) -> pd.DataFrame:
        """Prices that valued the book at the end of each tick, as `PnLCalculation.marks` names them."""
        frame: pd.DataFrame = _last_of_tick(_table(self.log, PnLCalculation, "marks"))
        return frame

    @cached_property
    def positions(self) -> pd.DataFrame:
        """The ledger at the end of each tick, a column a position key."""
        frame: pd.DataFrame = _last_of_tick(_table(self.log, PositionSnapshot, "positions").fillna(0.0))
        return frame

    @cached_property
    def risk(self) -> pd.DataFrame:
        """Health factor, loan to value, its liquidation threshold and the peg, at every assessment."""
        fields = ("health_factor", "ltv_ratio", "liquidation_threshold", "peg_deviation")
        return _columns(self.log, RiskAssessment, fields)

    @cached_property
    def margin(self) -> pd.DataFrame:
        """Margin ratio by venue, at every assessment; missing where nothing is open."""
        return _table(self.log, RiskAssessment, "margin_ratio")

    @cached_property
    def exposure(self) -> pd.DataFrame:
        """Net exposure by asset as a fraction of equity at every snapshot, and `net delta` over all that are risks."""
        by_asset = self.log.series(ExposureSnapshot, "asset_exposures")
        frame = pd.DataFrame.from_records(
            [{name: asset["percentage"] for name, asset in assets.items()} for assets in map(_builtins, by_asset)],
            index=by_asset.index,
        ).fillna(0.0)
        usd = _columns(self.log, ExposureSnapshot, ("net_delta_usd", "total_value_usd")).iloc[: len(frame)]
        equity = usd["total_value_usd"]
        frame.insert(0, "net delta", (usd["net_delta_usd"] / equity.where(equity != 0.0)).to_numpy(float))
        return frame

    @cached_property
    def operations(self) -> list[OperationExecutionEvent]:
        """Every order as it ended."""
        return list(self.log.events(OperationExecutionEvent))

    @cached_property
    def funding(self) -> list[FundingPayment]:
        """Every settlement of funding."""
        return self._settled[0]

    @cached_property
    def indices(self) -> dict[str, pd.Series[Any]]:
        """Index by key of what was lent or borrowed, at each accrual."""
        return self._settled[1]

    @property
    def liquidations(self) -> list[ExecutionDeltaEvent]:
        """Every settlement of a liquidation."""
        return self._settled[2]

    @cached_property
    def _settled(self) -> tuple[list[FundingPayment], dict[str, pd.Series[Any]], list[ExecutionDeltaEvent]]:
        funding: list[FundingPayment] = []
        liquidations: list[ExecutionDeltaEvent] = []
        indices: dict[str, dict[Any, float]] = {}
        for event in self.log.events(ExecutionDeltaEvent):
            if event.source is DeltaSource.FUNDING:
                for delta in event.deltas:
                    info = parse_key(delta.position_key)
                    funding.append(
                        FundingPayment(event.timestamp, info.venue, info.asset, delta.delta_amount, delta.price)
                    )
            elif event.source is DeltaSource.ACCRUAL:
                for delta in event.deltas:
                    if delta.index is not None:
                        indices.setdefault(delta.position_key, {})[event.timestamp] = delta.index
            elif event.source is DeltaSource.LIQUIDATION:
                liquidations.append(event)
        return funding, {key: pd.Series(stamps) for key, stamps in indices.items()}, liquidations

    @cached_property
    def unit(self) -> pd.Series[Any]:
        """Price of the share class in USDT at the end of each tick; missing while it is not known."""
        currency = self.summary.currency
        if currency == STABLE:
            return pd.Series(1.0, index=self.marks.index)
        name = f"S:{currency}"
        return self.marks[name] if name in self.marks else pd.Series(float("nan"), index=self.marks.index)

    @cached_property
    def values(self) -> pd.DataFrame:
        """What each position is worth at the end of each tick; open perpetuals together, at unrealised PnL.

        A row sums to the equity of that tick. What has no price counts as 0, as in the balance sheet.
        """
        marks, amounts = self.marks, self.positions
        rows = amounts.index.intersection(marks.index)
        marks, amounts, unit = marks.loc[rows], amounts.loc[rows], self.unit.loc[rows]
        worth: dict[str, pd.Series[Any]] = {}
        for name in map(str, amounts.columns):
            key = parse_key(name)
            if key.contract is not None:
                continue
            price: pd.Series[Any] | float = 1.0
            if key.asset != self.summary.currency:
                mark = f"S:{key.asset}"
                price = marks[mark] / unit if mark in marks else float("nan")
            if key.lst is not None:
                rate = f"rate:{key.lst}"
                price = price * marks[rate] if rate in marks else float("nan")
            worth[name] = (amounts[name] * key.sign * price).fillna(0.0)
        frame = pd.DataFrame(worth, index=rows)
        if self.has_perps:
            frame["perpetuals"] = _last_of_tick(self.pnl["unrealized_pnl"]).reindex(rows).fillna(0.0)
        return frame

    def _summed_up(self) -> RunSummary:
        """The summary of a run that never wrote its own, from every event that it left."""
        metadata, effective, data = self.metadata, self.effective, self.data
        statistics = RunStatistics()
        capital_in: str | None = None
        for event in self.log.all():
            statistics.observe(event)
            if capital_in is None and isinstance(event, ExecutionDeltaEvent) and event.source is DeltaSource.DEPOSIT:
                capital_in = parse_key(event.deltas[0].position_key).asset
        context = RunContext(
            mode=metadata.mode,
            share_class="" if effective is None else effective.share_class.name,
            currency=(capital_in or "share class") if effective is None else effective.share_class.currency,
            decimals=18 if effective is None else effective.share_class.decimals,
            correlation_id=metadata.correlation_id,
            run_dir=".",
            seconds=0.0,
            partial=True,
            runtime=str(metadata.options.get("runtime", "sim")),
            data_origin=metadata.data_origin or "not known",
            synthetic_seed=metadata.options.get("seed"),
            data_gaps={} if data is None else {used.name: used.missing_hours for used in data.series},
            missed_funding={} if data is None else data.missed_funding,
            proxies=() if data is None else data.stand_ins,
        )
        return summarise(statistics, context)


def _damage(folder: Path, *, running: bool) -> tuple[str, ...]:
    """Without where the folder is, so that a page does not change when its run moves."""
    if not any(segments(folder, kind.FILE) for kind in EVENT_TYPES):
        return (f"{EVENTS_FOLDER}/ has no event files: the run kept no log, or they were removed",)
    return tuple(
        notice.replace(f"{folder}/", "").replace(str(folder), EVENTS_FOLDER)
        for notice in notices(folder, running=running)
    )


def _columns(log: EventLog, kind: type[DomainEvent], fields: Sequence[str]) -> pd.DataFrame:
    """Numbers of every event of one type; missing where an event has none.

    A run that goes on may write between two readings: what the first of them did not see is left out.
    """
    columns = [log.series(kind, name) for name in fields]
    seen = len(columns[0])
    values = [column.iloc[:seen].to_numpy(float, na_value=float("nan")) for column in columns]
    return pd.DataFrame(dict(zip(fields, values, strict=True)), index=columns[0].index)


def _table(log: EventLog, kind: type[DomainEvent], field: str) -> pd.DataFrame:
    frame = log.table(kind, field)
    return frame if len(frame.columns) else pd.DataFrame(index=frame.index)


def _last_of_tick(rows: Any) -> Any:
    return rows[~rows.index.duplicated(keep="last")]


def _builtins(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain
