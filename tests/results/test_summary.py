"""The summary of a run: its numbers against independent arithmetic, its JSON against its schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod, sqrt
from statistics import mean, stdev
from typing import Any

import msgspec
import pytest

from basis_actors.messages.events import PnLCalculation, StrategyDecision
from basis_actors.results.accumulator import RunStatistics
from basis_actors.results.render import summary_json
from basis_actors.results.summary import (
    RunContext,
    RunSummary,
    summarise,
    summary_schema,
    too_short_to_annualise,
)

Make = Callable[..., PnLCalculation]

DAILY = [0.01, -0.02, 0.005, 0.0, 0.03, -0.001]

NAMED_BY_THE_COMMAND_LINE = {
    "mode", "share_class", "equity_start", "equity_end", "total_return", "max_drawdown", "sharpe", "attribution",
    "max_residual", "ticks", "ticks_per_second", "orders", "rejections", "liquidations", "errors", "partial", "run_dir",
}  # fmt: skip


def context(**changes: Any) -> RunContext:
    fields: dict[str, Any] = {
        "mode": "btc_basis", "share_class": "usdt_stable", "currency": "USDT", "decimals": 6, "correlation_id": "c",
        "run_dir": "/logs/c/1", "seconds": 2.0, "data_origin": "/data",
    }  # fmt: skip
    return RunContext(**{**fields, **changes})


@pytest.fixture
def week(calculation: Make) -> RunStatistics:
    """Six days with known returns, one decision a day."""
    statistics = RunStatistics()
    equity = 100_000.0
    for day, change in enumerate([0.0, *DAILY]):
        equity *= 1.0 + change
        statistics.observe(calculation(day * 24, equity))
        statistics.observe(
            StrategyDecision(calculation(day * 24, equity).timestamp, "hold", "none", "tick", 0, "", {}, {}, "low")
        )
    return statistics


def test_return_risk_and_speed(week: RunStatistics) -> None:
    summary = summarise(week, context())
    total = prod(1.0 + change for change in DAILY) - 1.0
    assert summary.equity_end == pytest.approx(100_000.0 * (1.0 + total), rel=1e-12)
    assert summary.total_return == pytest.approx(total, rel=1e-12)
    assert summary.annualised_return is None, "of six days"
    assert summary.volatility == pytest.approx(stdev(DAILY) * sqrt(365), rel=1e-9)
    assert summary.sharpe == pytest.approx(mean(DAILY) / stdev(DAILY) * sqrt(365), rel=1e-9)
    assert summary.max_drawdown == pytest.approx(0.02, rel=1e-9)
    assert (summary.ticks, summary.ticks_per_second) == (7, 3.5)


@pytest.mark.parametrize(("hours", "told"), [(30 * 24 - 1, "not given under 30 days"), (30 * 24, None)])
def test_a_return_of_a_year_begins_with_thirty_days(calculation: Make, hours: int, told: str | None) -> None:
    statistics = RunStatistics()
    for hour, equity in ((0, 100_000.0), (hours, 101_000.0)):
        statistics.observe(calculation(hour, equity))
    summary = summarise(statistics, context())
    assert too_short_to_annualise(summary.start, summary.end) == told
    if told is None:
        assert summary.annualised_return == pytest.approx(1.01 ** (365 / 30) - 1.0, rel=1e-9)
    else:
        assert summary.annualised_return is None


def test_attribution_sums_to_the_change_of_equity(week: RunStatistics) -> None:
    summary = summarise(week, context())
    assert summary.equity_start is not None
    assert summary.equity_end is not None
    change = summary.equity_end - summary.equity_start - summary.external_flows
    assert sum(summary.attribution.values()) + summary.residual == pytest.approx(change, abs=1e-9)
    assert summary.unexplained == pytest.approx(0.0, abs=1e-9)


def test_a_component_that_was_left_out_shows(week: RunStatistics, calculation: Make) -> None:
    week.observe(calculation(168, 100_000.0, attribution_total={"funding": 7.0}))
    assert summarise(week, context()).unexplained == -7.0


def test_flows_are_in_equity_and_not_in_the_return(calculation: Make) -> None:
    statistics = RunStatistics()
    for event in (calculation(0, 100_000.0), calculation(24, 160_000.0, 50_000.0)):
        statistics.observe(event)
    summary = summarise(statistics, context())
    assert (summary.external_flows, summary.total_pnl) == (50_000.0, 10_000.0)
    assert summary.total_return == pytest.approx(0.1, rel=1e-12)


def test_a_run_that_never_came_to_a_tick_claims_nothing() -> None:
    summary = summarise(RunStatistics(), context(failure="DATA-003: no such folder", seconds=0.0))
    unknown = (
        summary.start, summary.equity_start, summary.equity_end, summary.total_return, summary.annualised_return,
        summary.sharpe, summary.volatility, summary.time_invested, summary.ticks_per_second,
    )  # fmt: skip
    assert set(unknown) == {None}
    assert (summary.ticks, summary.orders, summary.attribution) == (0, 0, {})


def test_one_day_has_no_sharpe_ratio(calculation: Make) -> None:
    statistics = RunStatistics()
    statistics.observe(calculation(0, 100_000.0))
    statistics.observe(calculation(24, 101_000.0))
    summary = summarise(statistics, context())
    assert summary.sharpe is None
    assert summary.total_return == pytest.approx(0.01)


def test_a_ruined_run_has_no_sharpe_ratio_and_no_infinite_numbers(calculation: Make) -> None:
    statistics = RunStatistics()
    for hours, equity in ((0, 100_000.0), (24, 0.0), (48, 0.0)):
        statistics.observe(calculation(hours, equity, residual=1.0 if hours else 0.0))
    summary = summarise(statistics, context())
    assert (summary.total_return, summary.sharpe, summary.max_residual) == (-1.0, None, None)
    assert summary.annualised_return is None
    assert summary.max_drawdown == 1.0


def test_the_context_is_passed_on(week: RunStatistics) -> None:
    summary = summarise(
        week,
        context(
            partial=True, synthetic_seed=7, data_gaps={"a": 2}, missed_funding={"okx:ETH-PERP": 3}, proxies=("p",),
            warnings=("w",), runtime="live",
        ),
    )  # fmt: skip
    assert (summary.partial, summary.synthetic_seed, summary.data_gaps) == (True, 7, {"a": 2})
    assert (summary.missed_funding, summary.proxies, summary.warnings) == ({"okx:ETH-PERP": 3}, ["p"], [
        "w", "a: 2 hours missing", "okx:ETH-PERP: 3 funding settlements without a rate",
    ])  # fmt: skip
    assert summary.runtime == "live"


def test_json_is_one_line_that_reads_back_as_it_was(week: RunStatistics) -> None:
    summary = summarise(week, context())
    text = summary_json(summary)
    assert b"\n" not in text
    assert msgspec.json.decode(text, type=RunSummary) == summary
    assert json.loads(text).keys() >= NAMED_BY_THE_COMMAND_LINE


def test_the_schema_describes_every_field() -> None:
    fields = summary_schema()["$defs"]["RunSummary"]["properties"]
    assert fields.keys() == set(RunSummary.__struct_fields__)
    assert [name for name, field in fields.items() if not _description(field)] == []


def _description(field: dict[str, Any]) -> str | None:
    return field.get("description") or next((part["description"] for part in field.get("anyOf", [])), None)


def test_risk_and_a_stop_are_in_the_json(week: RunStatistics) -> None:
    week.lowest_health_factor = 1.02
    stopped = "RISK-001: risk was critical: drawdown 0.06 above the limit 0.05"
    told = json.loads(summary_json(summarise(week, context(stopped=stopped))))
    assert told["stopped"] == stopped
    assert told["failure"] is None
    assert (told["lowest_health_factor"], told["lowest_margin_ratio"], told["unhedged_hours"]) == (1.02, None, None)


def test_one_is_not_many(week: RunStatistics) -> None:
    told = summarise(week, context(data_gaps={"a": 1.0, "b": 1_440.0}, missed_funding={"okx:ETH-PERP": 1})).warnings
    assert told == [
        "a: 1 hour missing", "b: 1,440 hours missing", "okx:ETH-PERP: 1 funding settlement without a rate",
    ]  # fmt: skip
