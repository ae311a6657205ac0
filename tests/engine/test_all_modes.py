"""One suite for every mode, on the synthetic market and on real history: what has to hold whatever a mode does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.engine.play import ALWAYS_IN, Played, play, utc
from tests.engine.test_determinism import cut

from basis_actors.config import load_mode, mode_names
from basis_actors.data import Dataset, SyntheticGenerator, load_dataset, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.finance.attribution import COMPONENTS
from basis_actors.messages.events import (
    DomainEvent,
    ExecutionDeltaEvent,
    ExposureSnapshot,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    ReconciliationEvent,
    StrategyDecision,
)
from basis_actors.strategies.registry import build_strategy
from basis_actors.times import ns_from_utc

MODES = tuple(mode_names())
HEDGED = tuple(mode for mode in MODES if build_strategy(load_mode(mode)).hedged)
WORLDS = ("real", "synthetic")
CLOSED = 1e-9


class World(NamedTuple):
    """A market as files, cut at three moments: the window begins, half of it is over, it ends."""

    start: datetime
    half: datetime
    end: datetime
    whole: Path
    first_half: Path


def signals(folder: Path, start: datetime, end: datetime) -> tuple[str, ...]:
    """Settings of a directional mode: up, down and nothing in turn, every seven hours."""
    rows = ["timestamp,signal,confidence,sd"]
    moment, views = start, (0.9, 0.1, 0.5)
    while moment <= end:
        rows.append(f"{moment:%Y-%m-%dT%H:%M:%SZ},{views[len(rows) % 3]},0.95,0.01")
        moment += timedelta(hours=7)
    file = folder / "signals.csv"
    file.write_text("\n".join(rows) + "\n")
    signal = "strategy_config.signal"
    return f"{signal}.source=file", f"{signal}.file.path={file}", f"{signal}.file.staleness_seconds=90000"


def _world(dataset: Dataset, folder: Path, start: str, half: str, end: str) -> World:
    moments = [utc(moment) for moment in (start, half, end)]
    recent = ns_from_utc(moments[0]) - 60 * DAY
    kept = {}
    for name, series in dataset.series.items():
        rows = slice(None) if name.startswith("rewards/") else series.ns >= recent
        columns = {column: values[rows] for column, values in series.columns.items()}
        kept[name] = replace(series, ns=series.ns[rows], columns=columns)
    dataset = replace(dataset, series=kept, hashes={})
    folders = [folder / "first_half", folder / "whole"]
    for moment, target in zip(moments[1:], folders, strict=True):
        write_dataset(cut(dataset, ns_from_utc(moment)), target, "parquet")
    return World(*moments, folders[1], folders[0])


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two weeks: of history with a venue that joins late behind it and a payment of rewards in it; of the generator."""
    folder = tmp_path_factory.mktemp("world")
    if request.param == "real":
        history = load_dataset(request.getfixturevalue("history"), None)
        return _world(history, folder, "2024-10-25", "2024-10-31T07:00", "2024-11-07")
    generator = SyntheticGenerator(11, 3600)
    market = generator.generate(ns_from_utc(utc("2024-01-01")), ns_from_utc(utc("2024-02-01")))
    return _world(market, folder, "2024-01-10", "2024-01-16T07:00", "2024-01-23")


Player = Callable[..., Played]


@pytest.fixture(scope="module")
def runs(world: World, tmp_path_factory: pytest.TempPathFactory) -> Player:
    """Plays a mode in this world; the first run over the whole window is kept for all tests."""
    folder = tmp_path_factory.mktemp("runs")
    kept: dict[str, Played] = {}

    def run(mode: str, *, again: bool = False, half: bool = False) -> Played:
        if mode in kept and not again and not half:
            return kept[mode]
        settings: tuple[str, ...] = (ALWAYS_IN,) if "basis" in mode else ()
        if mode.startswith("ml_"):
            settings = signals(folder, world.start, world.end)
        where = {"data": world.first_half, "end": world.half} if half else {"data": world.whole, "end": world.end}
        played = play(
            mode,
            folder,
            start=f"{world.start:%Y-%m-%dT%H:%M}",
            end=f"{where['end']:%Y-%m-%dT%H:%M}",
            data=where["data"],
            settings=settings,
        )
        assert played.failure is None
        if not again and not half:
            kept[mode] = played
        return played

    return run


@pytest.mark.parametrize("mode", MODES)
def test_it_trades_and_nothing_goes_wrong(mode: str, runs: Player) -> None:
    played = runs(mode)
    assert played.codes == set()
    assert len(played.of(StrategyDecision)) == played.ticks
    ended = {order.status for order in played.of(OperationExecutionEvent)}
    assert ended == {"confirmed"}


def is_explained(played: Played) -> None:
    """Every calculation, one a tick at least, and the sum of them all: by asset, by venue, by component."""
    calculations = played.of(PnLCalculation)
    for pnl in calculations:
        assert abs(pnl.residual) <= CLOSED * abs(pnl.equity)
        assert abs(pnl.residual_total) <= CLOSED * abs(pnl.equity)
        assert set(pnl.attribution) <= set(COMPONENTS)
    assert len({pnl.timestamp for pnl in calculations}) == played.ticks
    last = calculations[-1]
    assert sum(last.attribution_total.values()) == pytest.approx(last.total_pnl, abs=CLOSED * last.equity)
    assert sum(last.pnl_by_asset.values()) == pytest.approx(last.total_pnl, abs=CLOSED * last.equity)
    assert sum(last.pnl_by_venue.values()) == pytest.approx(last.total_pnl, abs=CLOSED * last.equity)


@pytest.mark.parametrize("mode", MODES)
def test_every_change_of_equity_is_explained(mode: str, runs: Player) -> None:
    is_explained(runs(mode))


@pytest.mark.parametrize("mode", MODES)
def test_the_ledger_is_the_sum_of_all_deltas_and_what_the_venues_show(mode: str, runs: Player, world: World) -> None:
    played = runs(mode)
    sums: dict[str, float] = {}
    for event in played.of(ExecutionDeltaEvent):
        for delta in event.deltas:
            sums[delta.position_key] = sums.get(delta.position_key, 0.0) + delta.delta_amount
    last = played.of(PositionSnapshot)[-1].positions
    assert set(last) <= set(sums)
    for key, total in sums.items():
        assert last.get(key, 0.0) == pytest.approx(total, abs=CLOSED * max(1.0, abs(total))), key
    comparisons = played.of(ReconciliationEvent)
    assert all(event.success for event in comparisons)
    days = (world.end - world.start).days + 1
    assert sum(event.reconciliation_type == "periodic" for event in comparisons) == days


@pytest.mark.parametrize("mode", MODES)
def test_two_runs_are_the_same(mode: str, runs: Player) -> None:
    assert runs(mode).events == runs(mode, again=True).events


@pytest.mark.parametrize("mode", MODES)
def test_what_comes_later_changes_nothing_before_it(mode: str, runs: Player, world: World) -> None:
    """The events of a run on data that end half way, against those of a run that goes on."""

    def before_the_cut(event: DomainEvent) -> bool:
        return event.timestamp <= world.half

    short, whole = runs(mode, half=True).events, runs(mode).events
    assert short
    upto = list(takewhile(before_the_cut, whole))
    assert [event for event in short if before_the_cut(event)][: len(upto)] == upto
    assert len(upto) > 0.4 * len(whole)


def stays_hedged(mode: str, played: Played) -> None:
    """Outside the band never; within the dust from the end of entry on, at every view, also between two groups."""
    run = load_mode(mode)
    band, dust = run.mode.risk_limits.max_delta_drift, run.mode.strategy_config.dust_delta
    decisions = played.of(StrategyDecision)
    entered = next(d.timestamp for d in decisions if d.decision_type == "hold" and d.portfolio_state["invested"])
    exposures = played.of(ExposureSnapshot)
    assert len({exposure.timestamp for exposure in exposures}) == played.ticks
    assert entered < exposures[len(exposures) // 2].timestamp
    for exposure in exposures:
        assert exposure.net_delta_usd is not None
        assert exposure.total_value_usd is not None
        share = abs(exposure.net_delta_usd) / exposure.total_value_usd
        assert share <= (band if exposure.timestamp < entered else dust), exposure.timestamp


@pytest.mark.parametrize("mode", HEDGED)
def test_a_hedged_mode_stays_hedged(mode: str, runs: Player) -> None:
    stays_hedged(mode, runs(mode))


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_the_whole_of_history_is_explained_and_hedged(mode: str, history: Path, tmp_path: Path) -> None:
    played = play(mode, tmp_path, data=history)
    assert played.failure is None
    is_explained(played)
    if mode in HEDGED:
        stays_hedged(mode, played)
