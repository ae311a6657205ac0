"""`basis_actors.backtest`: its arguments, its result, its errors."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import basis_actors
from basis_actors import BacktestResult, BacktestService, BasisError, ConfigError, DataError, Progress, RunFailed
from basis_actors.logs.reader import EventLog
from basis_actors.messages.book import Flow
from basis_actors.messages.events import PnLCalculation, StrategyDecision
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.pure_lending import PureLending

END = "2024-01-04"


class Raising(PureLending):
    """Breaks at the fourth decision."""

    decisions = 0

    def decide(self, situation: Situation) -> Decision:
        self.decisions += 1
        if self.decisions == 4:
            raise BasisError("STRAT-001", "the target cannot be computed; look at the model")
        return super().decide(situation)


@pytest.fixture(scope="module")
def invested(tmp_path_factory: pytest.TempPathFactory) -> BacktestResult:
    """Three days of a hedged position, shared by tests that only look."""
    return basis_actors.backtest("btc_basis", end=END, always_in=True, out=tmp_path_factory.mktemp("logs"))


def test_equity_has_one_value_a_tick_and_ends_where_the_summary_does(invested: BacktestResult) -> None:
    equity = invested.equity
    assert isinstance(equity, pd.Series)
    assert list(equity.index) == list(pd.date_range("2024-01-01", "2024-01-04", freq="h", tz="UTC"))
    assert equity.iloc[0] == pytest.approx(100_000.0, rel=1e-3)
    assert equity.iloc[-1] == invested.summary.equity_end


def test_attribution_is_cumulated_and_its_last_row_is_the_summary(invested: BacktestResult) -> None:
    table = invested.attribution
    assert table.iloc[-1].to_dict() == invested.summary.attribution
    by_tick: dict[str, float] = {}
    for calculation in EventLog(invested.run_dir).events(PnLCalculation):
        for component, amount in calculation.attribution.items():
            by_tick[component] = by_tick.get(component, 0.0) + amount
    last = {component: amount for component, amount in table.iloc[-1].items() if amount}
    assert last == pytest.approx(by_tick, abs=1e-9)
    pnl = invested.equity - invested.summary.equity_start
    assert (table.sum(axis=1) - pnl).abs().max() < 1e-9 * 100_000


def test_positions_are_the_ledger_by_tick(invested: BacktestResult) -> None:
    last = invested.positions.iloc[-1]
    delta = last["binance:BaseToken:BTC"] + sum(last.filter(like="PerpPosition:BTC-PERP"))
    assert last["binance:BaseToken:BTC"] > 0.5
    assert abs(delta) < 0.02 * last["binance:BaseToken:BTC"]
    assert len(invested.positions) == len(invested.equity)


def test_events_are_found_by_name_or_by_type(invested: BacktestResult) -> None:
    by_name, by_type = invested.events("StrategyDecision"), invested.events(StrategyDecision)
    pd.testing.assert_frame_equal(by_name, by_type)
    assert len(by_name) == invested.summary.ticks == 73
    assert set(by_name["decision_type"]) == set(invested.summary.decisions)
    with pytest.raises(BasisError, match="LOG-004: there is no event type 'Decision'; there are PositionSnapshot"):
        invested.events("Decision")


def test_a_result_prints_as_the_command_line_does(invested: BacktestResult) -> None:
    text = str(invested)
    assert "Equity at end" in text
    assert "\x1b" not in text
    assert text.endswith(f"Logs: {invested.run_dir}")
    assert repr(invested) == f"<BacktestResult of btc_basis, complete, 73 ticks, log in {invested.run_dir}>"


def test_it_works_where_a_loop_already_runs_and_leaves_that_loop_alone() -> None:
    async def notebook() -> tuple[BacktestResult, bool]:
        marker = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(marker.set_result, None)
        result = basis_actors.backtest("pure_lending_eth", end="2024-01-02")
        return result, marker.done()

    result, others_ran = asyncio.run(notebook())
    assert result.summary.ticks == 25
    assert not others_ran, "the call blocks, and drives nothing but its own run"


def test_the_live_runtime_says_what_to_use_where_a_loop_already_runs() -> None:
    async def notebook() -> None:
        basis_actors.backtest("pure_lending_eth", end="2024-01-02", runtime="live")

    with pytest.raises(ConfigError, match=r"await BacktestService\(\).run"):
        asyncio.run(notebook())
    assert basis_actors.backtest("pure_lending_eth", end="2024-01-02", runtime="live").summary.runtime == "live"


@pytest.mark.parametrize(
    "moment",
    [
        "2024-01-02",
        "2024-01-02T00:00Z",
        date(2024, 1, 2),
        datetime(2024, 1, 2),  # noqa: DTZ001 - a time without a zone is the point
        datetime(2024, 1, 2, tzinfo=UTC),
        datetime(2024, 1, 2, 5, tzinfo=timezone(timedelta(hours=5))),
        pd.Timestamp("2024-01-02"),
        pd.Timestamp("2024-01-01 19:00", tz="America/New_York"),
    ],
    ids=repr,
)
def test_moments_may_be_given_in_any_form(moment: Any) -> None:
    summary = basis_actors.backtest("pure_lending_eth", start=moment, end="2024-01-02T02:00").summary
    assert summary.start == datetime(2024, 1, 2, tzinfo=UTC)
    assert summary.ticks == 3


def test_flows_may_be_a_mapping_pairs_or_flows() -> None:
    at = datetime(2024, 1, 2, tzinfo=UTC)
    for flows in ({"2024-01-02": 5_000, at + timedelta(hours=3): -1_000.0}, [(at, 4_000)], [Flow(at, 4_000.0)]):
        summary = basis_actors.backtest("pure_lending_usdt", end="2024-01-03", flows=flows).summary
        assert summary.external_flows == pytest.approx(4_000.0, abs=1e-9)


def test_overrides_may_be_nested_or_dotted() -> None:
    nested = basis_actors.backtest(
        "btc_basis", end=END, always_in=True, overrides={"strategy_config": {"leverage": 1.0}}
    )
    dotted = basis_actors.backtest("btc_basis", end=END, always_in=True, overrides={"strategy_config.leverage": 1.0})
    assert nested.summary.equity_end == dotted.summary.equity_end
    assert nested.positions["binance:BaseToken:BTC"].max() < 1.3


def test_progress_is_reported_from_nothing_to_everything() -> None:
    seen: list[Progress] = []
    basis_actors.backtest("pure_lending_eth", end=END, progress=seen.append)
    assert [seen[0].ticks, seen[-1].ticks] == [0, 73]
    assert {step.total for step in seen} == {73}
    assert [step.ticks for step in seen] == sorted(step.ticks for step in seen)


def test_a_result_without_events_has_a_summary_and_says_why_it_has_no_tables() -> None:
    result = basis_actors.backtest("pure_lending_eth", end="2024-01-02", write_events=False)
    assert result.summary.ticks == 25
    for table in ("equity", "attribution", "positions"):
        with pytest.raises(BasisError, match=r"LOG-003: .*write_events=True"):
            getattr(result, table)


@pytest.mark.parametrize("runtime", ["sim", "live"])
def test_a_failed_run_raises_with_its_result_attached(
    register: Callable[[str, type[Strategy]], None], runtime: Any
) -> None:
    register("pure_lending", Raising)
    with pytest.raises(RunFailed, match=r"STRAT-001: .*the target cannot be computed; .*the log is in") as caught:
        basis_actors.backtest("pure_lending_usdt", end=END, runtime=runtime)
    assert caught.value.code == "STRAT-001"
    result = caught.value.result
    assert result.summary.partial
    assert result.summary.ticks == 3
    assert len(result.equity) == 4
    assert result.events("SystemErrorEvent")["error_code"].iloc[0] == "STRAT-001"


def test_a_failed_run_can_be_looked_at_without_an_exception(
    register: Callable[[str, type[Strategy]], None],
) -> None:
    register("pure_lending", Raising)
    result = basis_actors.backtest("pure_lending_usdt", end=END, check=False)
    assert result.summary.failure is not None
    text, _, place = result.summary.failure.partition(" (")
    assert text == "STRAT-001: the target cannot be computed; look at the model"
    assert re.fullmatch(r".*test_backtest_api\.py:\d+\)", place)
    assert "failed" in repr(result)
    with pytest.raises(RunFailed):
        result.raise_for_failure()


def test_a_callback_that_raises_ends_the_run_in_order() -> None:
    def burst(progress: Progress) -> None:
        if progress.ticks:
            raise ZeroDivisionError("division by zero")

    result = basis_actors.backtest("pure_lending_eth", end="2024-02-01", progress=burst, check=False)
    assert result.summary.failure is not None
    assert re.fullmatch(r"division by zero \(.*test_backtest_api\.py:\d+\)", result.summary.failure)
    log = EventLog(result.run_dir)
    assert [event.sequence for event in log.all()] == list(range(result.summary.events))


def test_an_interrupted_call_raises_the_interruption_and_leaves_a_partial_log() -> None:
    def interrupt(progress: Progress) -> None:
        if progress.ticks:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        basis_actors.backtest("pure_lending_eth", end="2024-02-01", progress=interrupt, out="logs")
    (run_dir,) = Path("logs").glob("*/*")
    log = EventLog(run_dir)
    assert log.metadata.status == "partial"
    events = list(log.all())
    assert [event.sequence for event in events] == list(range(len(events)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mode": "btc_bass"}, ConfigError, "CONFIG-001: unknown mode 'btc_bass'"),
        ({"start": "2024-02-01", "end": "2024-01-01"}, DataError, "is after end"),
        ({"start": "soon"}, ConfigError, "CONFIG-003: start 'soon' is no time"),
        ({"capital": 0.0}, ConfigError, "capital is 0.0"),
        ({"data": "nowhere"}, DataError, "nowhere does not exist"),
        ({"data": "nowhere", "seed": 1}, ConfigError, "leave one out"),
        ({"overrides": {"strategy_config": {"leverag": 2}}}, ConfigError, "leverag.*nearest"),
        ({"config": ["mine.yaml"]}, ConfigError, "mine.yaml"),
        ({"flows": {"2030-01-01": 5}}, ConfigError, "outside the window"),
        ({"runtime": "fast"}, ConfigError, "runtime 'fast' is not known; expected one of sim, live"),
        ({"log_level": "loud"}, ConfigError, "log level 'loud'"),
        ({"correlation_id": "a/b"}, BasisError, "LOG-003: "),
    ],
)
def test_what_cannot_be_run_raises_before_anything_is_made(
    arguments: dict[str, Any], error: type[BasisError], message: str
) -> None:
    with pytest.raises(error, match=message):
        basis_actors.backtest(**{"mode": "btc_basis", **arguments})
    assert not Path("logs").exists()


def test_the_service_takes_the_same_arguments() -> None:
    ours = dict(inspect.signature(basis_actors.backtest).parameters)
    theirs = dict(inspect.signature(BacktestService.run).parameters)
    theirs.pop("self")
    assert ours == theirs
