"""Defines the summary of a run, and makes it from the statistics gathered during the run.

Its JSON form is what `--json` prints; `summary_schema` documents it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import fsum, isfinite
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from basis_actors.finance.metrics import (
    SHORTEST_TO_ANNUALISE,
    annualised_return,
    daily_returns,
    max_drawdown,
    sharpe_ratio,
    volatility,
)
from basis_actors.results.accumulator import RunStatistics

__all__ = ["RunContext", "RunSummary", "summarise", "summary_schema", "too_short_to_annualise"]

_SECONDS_PER_DAY = 86_400.0
_WAITS_SHOWN = 3


def _about(text: str) -> Meta:
    return Meta(description=text)


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the summary says besides what the events told."""

    mode: str
    share_class: str
    currency: str
    decimals: int
    correlation_id: str
    run_dir: str | None
    seconds: float
    """Wall time from the first tick published to the last event written."""
    partial: bool = False
    failure: str | None = None
    stopped: str | None = None
    """Code and reason of a stop of trading that was no failure of the run: the owner's, or risk's."""
    runtime: str = "sim"
    data_origin: str
    synthetic_seed: int | None = None
    data_gaps: Mapping[str, float] = {}
    """Hours that are missing inside the window, by series."""
    missed_funding: Mapping[str, int] = {}
    """Funding settlements that were due and have no rate, by perp."""
    proxies: Sequence[str] = ()
    warnings: Sequence[str] = ()


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. Amounts are in the share class, rates and shares are fractions, times are UTC.

    Values that have no meaning for the run (a Sharpe ratio of one day) are null.
    """

    mode: Annotated[str, _about("Mode that was run.")]
    share_class: Annotated[str, _about("Share class of the mode.")]
    currency: Annotated[str, _about("Currency of every amount in this summary.")]
    decimals: Annotated[int, _about("Decimals of the currency.")]
    correlation_id: Annotated[str, _about("Identifies the run.")]
    run_dir: Annotated[str | None, _about("Folder of the run's logs.")]
    result_dir: Annotated[str | None, _about("Folder of the result made of the run; null when none was made.")] = None
    runtime: Annotated[str, _about("Runtime of the bus: sim or live.")]
    start: Annotated[datetime | None, _about("First tick with a valued book.")]
    end: Annotated[datetime | None, _about("Last tick.")]
    partial: Annotated[bool, _about("Whether the run ended before its window did.")]
    failure: Annotated[str | None, _about("What made the run fail; null when it did not.")]
    stopped: Annotated[
        str | None,
        _about(
            "Why trading was stopped before the end, with its code; null when it went on. Ticks went on without it."
        ),
    ]

    equity_start: Annotated[float | None, _about("Equity after the capital landed, before the first order.")]
    equity_end: Annotated[float | None, _about("Equity at the end.")]
    external_flows: Annotated[float, _about("Deposits minus withdrawals after the start.")]
    total_pnl: Annotated[float | None, _about("equity_end - equity_start - external_flows.")]
    total_return: Annotated[float | None, _about("Flow-adjusted growth minus 1 (time-weighted).")]
    annualised_return: Annotated[float | None, _about("(1 + total_return) ** (365 / days) - 1; null under 30 days.")]
    volatility: Annotated[
        float | None,
        _about("Of daily returns from 00:00 to 00:00 UTC, x sqrt(365); null for a run that never held a position."),
    ]
    sharpe: Annotated[
        float | None, _about("Mean / deviation of daily returns, x sqrt(365), riskless rate 0; null as volatility is.")
    ]
    max_drawdown: Annotated[float, _about("Largest fall from a peak of flow-adjusted equity at 00:00 UTC.")]
    max_drawdown_intraday: Annotated[float, _about("The same over every calculation, not only those at 00:00 UTC.")]
    lowest_health_factor: Annotated[
        float | None, _about("Lowest health factor of any loan, before liquidations too; null when there was no debt.")
    ]
    lowest_margin_ratio: Annotated[
        float | None, _about("Lowest (cash + unrealised PnL) / notional of any venue; null without perps.")
    ]
    unhedged_hours: Annotated[
        float | None,
        _about(
            "Hours with |net delta| above risk_limits.max_delta_drift of equity; null for a mode that does not hedge."
        ),
    ]
    time_invested: Annotated[float | None, _about("Share of the time in which anything but cash was held.")]

    attribution: Annotated[
        dict[str, float], _about("total_pnl by component; the components and residual sum to total_pnl.")
    ]
    residual: Annotated[float, _about("What no component explains, summed over the run.")]
    max_residual: Annotated[
        float | None, _about("Largest |residual| as a fraction of equity, of one calculation or cumulated.")
    ]
    fees_paid: Annotated[float, _about("Trading fees, gas apart.")]
    funding_received: Annotated[float, _about("Funding received minus paid.")]

    ticks: Annotated[int, _about("Ticks that came to a decision.")]
    seconds: Annotated[float, _about("Wall time of the run.")]
    ticks_per_second: Annotated[float | None, _about("ticks / seconds.")]
    events: Annotated[int, _about("Domain events logged.")]
    decisions: Annotated[dict[str, int], _about("Decisions by type.")]
    orders: Annotated[int, _about("Orders that ended, however they did.")]
    orders_by_status: Annotated[dict[str, int], _about("Orders by how they ended.")]
    rejections: Annotated[int, _about("Orders that failed: refused by a check or by a venue.")]
    groups: Annotated[int, _about("Order groups that ended.")]
    groups_by_status: Annotated[dict[str, int], _about("Groups by how they ended.")]
    liquidations: Annotated[int, _about("Liquidations on any venue.")]
    errors: Annotated[dict[str, int], _about("System errors by code.")]
    error_count: Annotated[int, _about("System errors.")]
    first_errors: Annotated[dict[str, str], _about("Message of the first system error of each code.")] = {}
    worst_errors: Annotated[dict[str, str], _about("Worst severity of the system errors of each code.")] = {}

    data_origin: Annotated[str, _about("Where the market came from.")]
    synthetic_seed: Annotated[int | None, _about("Seed of the synthetic market; null for real data.")]
    data_gaps: Annotated[dict[str, float], _about("Hours missing inside the window, by series.")]
    missed_funding: Annotated[dict[str, int], _about("Due funding settlements without a rate, by perp.")]
    proxies: Annotated[list[str], _about("What stood in for data or rules that are not there.")]
    warnings: Annotated[list[str], _about("What a person should know before believing the numbers.")]

    @property
    def unexplained(self) -> float:
        """Attribution and residual against the change of equity: what the table does not sum to; rounding only."""
        if self.total_pnl is None:
            return 0.0
        return self.total_pnl - fsum((*self.attribution.values(), self.residual))


def summarise(statistics: RunStatistics, context: RunContext) -> RunSummary:
    """The summary of a run that has ended, or of one that goes on, as far as it has come."""
    first, last = statistics.first, statistics.last
    known = first is not None and last is not None
    growth = statistics.growth - 1.0 if known else None
    days = _days(first.timestamp, last.timestamp) if first and last else 0.0
    measured = all(point > 0.0 for point in statistics.midnights) and not statistics.never_invested
    returns = daily_returns(statistics.midnights) if measured else []
    ticks = statistics.ticks
    residual = max(statistics.max_residual, statistics.max_residual_total)
    return RunSummary(
        mode=context.mode,
        share_class=context.share_class,
        currency=context.currency,
        decimals=context.decimals,
        correlation_id=context.correlation_id,
        run_dir=context.run_dir,
        runtime=context.runtime,
        start=first.timestamp if first else None,
        end=last.timestamp if last else None,
        partial=context.partial,
        failure=context.failure,
        stopped=context.stopped,
        equity_start=statistics.equity_start,
        equity_end=last.equity if last else None,
        external_flows=last.external_flows if last else 0.0,
        total_pnl=last.total_pnl if last else None,
        total_return=growth,
        annualised_return=None if growth is None else annualised_return(growth, days),
        volatility=volatility(returns),
        sharpe=sharpe_ratio(returns),
        max_drawdown=max_drawdown(statistics.midnights),
        max_drawdown_intraday=statistics.max_drawdown,
        lowest_health_factor=statistics.lowest_health_factor,
        lowest_margin_ratio=statistics.lowest_margin_ratio,
        unhedged_hours=statistics.unhedged_hours,
        time_invested=statistics.time_invested,
        attribution=dict(last.attribution_total) if last else {},
        residual=last.residual_total if last else 0.0,
        max_residual=residual if isfinite(residual) else None,
        fees_paid=last.fees_paid if last else 0.0,
        funding_received=last.funding_received if last else 0.0,
        ticks=ticks,
        seconds=context.seconds,
        ticks_per_second=ticks / context.seconds if context.seconds > 0.0 else None,
        events=statistics.events.total(),
        decisions=dict(statistics.decisions),
        orders=statistics.operations.total(),
        orders_by_status=dict(statistics.operations),
        rejections=statistics.rejections,
        groups=statistics.groups.total(),
        groups_by_status=dict(statistics.groups),
        liquidations=statistics.liquidations,
        errors=dict(sorted(statistics.errors.items())),
        error_count=statistics.errors.total(),
        first_errors=dict(sorted(statistics.first_errors.items())),
        worst_errors=dict(sorted(statistics.worst_errors.items())),
        data_origin=context.data_origin,
        synthetic_seed=context.synthetic_seed,
        data_gaps=dict(context.data_gaps),
        missed_funding=dict(context.missed_funding),
        proxies=list(context.proxies),
        warnings=_warnings(statistics, context),
    )


def too_short_to_annualise(start: datetime | None, end: datetime | None) -> str | None:
    """Why a run from `start` to `end` has no annualised return, in words; None where its length is no reason."""
    if start is None or end is None or _days(start, end) >= SHORTEST_TO_ANNUALISE:
        return None
    return f"not given under {SHORTEST_TO_ANNUALISE:g} days"


def _days(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() / _SECONDS_PER_DAY


def _warnings(statistics: RunStatistics, context: RunContext) -> list[str]:
    return [
        *context.warnings,
        *(f"never invested: {times:,} × {text}" for text, times in _waits(statistics)),
        *statistics.warnings.lines(),
        *(f"{name}: {_many(hours, 'hour')} missing" for name, hours in context.data_gaps.items() if hours),
        *(
            f"{perp}: {_many(missed, 'funding settlement')} without a rate"
            for perp, missed in context.missed_funding.items()
            if missed
        ),
    ]


def _many(count: float, what: str) -> str:
    text = f"{count:,.0f}"
    return f"{text} {what}" if text == "1" else f"{text} {what}s"


def _waits(statistics: RunStatistics) -> list[tuple[str, int]]:
    """What a run that never held a position mostly waited for."""
    return statistics.waits.most_common(_WAITS_SHOWN) if statistics.never_invested else []


def summary_schema() -> dict[str, Any]:
    """JSON schema of `RunSummary`, with a description of every field."""
    return msgspec.json.schema(RunSummary)
