"""A live process on paper is the backtest of the same hours, in real time or a multiple of it, and stops when told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from basis_actors.cli.app import app
from basis_actors.config.library import mode_names
from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.errors import BasisError, ConfigError
from basis_actors.logs.directory import LogDirectoryManager, RunKind, RunStatus
from basis_actors.logs.queries.difference import difference
from basis_actors.logs.queries.source import RunLog
from basis_actors.logs.reader import EventLog
from basis_actors.logs.replay import replay
from basis_actors.messages.events import PositionSnapshot, StrategyDecision, SystemErrorEvent
from basis_actors.services.backtest import Backtest, Progress
from basis_actors.services.live import LiveRun
from basis_actors.services.preparation import BacktestRequest, Prepared, prepare
from basis_actors.services.rerun import rerun
from basis_actors.services.state import Holder, StateDirectory
from basis_actors.services.surroundings import on_paper

MAIN = "from basis_actors.cli import main; main()"
REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def market_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days of a synthetic market as files."""
    folder = tmp_path_factory.mktemp("market")
    generator = SyntheticGenerator(3, 3600)
    write_dataset(generator.generate(generator.epoch_ns, generator.epoch_ns + 10 * DAY), folder)
    return folder


def prepared(folder: Path, out: Path, mode: str = "btc_basis", **asked: object) -> Prepared:
    port = {"component_config": {"monitoring": {"port": 0}}}
    request = BacktestRequest(mode=mode, data=folder, out=out, runtime="live", overrides=port, **asked)  # type: ignore[arg-type]
    return prepare(request)


def live_run(ready: Prepared, pace: float | None) -> LiveRun:
    return LiveRun(ready, on_paper(ready, pace))


def assert_same(one: Path, other: Path) -> None:
    parted = [each for each in difference(RunLog(one), RunLog(other)) if each.line is not None]
    assert parted == []


def test_the_recorded_hours_give_the_decisions_orders_and_equity_of_a_backtest(
    market_folder: Path, tmp_path: Path
) -> None:
    ask = {"always_in": True}
    tested = Backtest(prepared(market_folder, tmp_path / "tested", **ask))
    live = live_run(prepared(market_folder, tmp_path / "live", **ask), None)
    expected, summary = tested.run(), live.run()
    assert_same(tested.run_dir, live.record.run_dir)
    assert summary.orders == expected.orders
    assert summary.orders > 0
    assert summary.equity_end == expected.equity_end
    metadata = LogDirectoryManager.read_metadata(live.record.run_dir)
    assert (metadata.kind, metadata.status) == (RunKind.LIVE, RunStatus.COMPLETED)


@pytest.mark.long
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the market history beside the project")
@pytest.mark.parametrize("mode", mode_names())
def test_real_hours_of_every_mode_give_the_same_live_as_tested(mode: str, tmp_path: Path) -> None:
    hours = {"start": datetime(2024, 9, 1, tzinfo=UTC), "end": datetime(2024, 9, 15, tzinfo=UTC)}
    tested = Backtest(prepared(REAL, tmp_path / "tested", mode, **hours))
    live = live_run(prepared(REAL, tmp_path / "live", mode, **hours), None)
    tested.run()
    live.run()
    assert_same(tested.run_dir, live.record.run_dir)


def test_a_market_that_is_played_fast_is_lived_through_and_its_log_replays(market_folder: Path, tmp_path: Path) -> None:
    """Which ticks are left out is the machine's business; whatever it does, no cent of the book is unexplained."""
    live = live_run(prepared(market_folder, tmp_path, always_in=True), 2_000_000.0)
    summary = live.run()
    assert summary.failure is None
    again = replay(live.record.run_dir)
    assert again.findings == []
    assert again.has_summary
    events = EventLog(live.record.run_dir)
    decided = sum(isinstance(event, StrategyDecision) for event in events.all())
    missed = [
        event for event in events.all() if isinstance(event, SystemErrorEvent) and event.error_code == "ENGINE-005"
    ]
    assert decided == summary.ticks
    assert decided == 241 or missed


def test_a_stop_ends_the_run_after_the_tick_at_work(market_folder: Path, tmp_path: Path) -> None:
    live = live_run(prepared(market_folder, tmp_path), 3600.0)

    def stop_soon(progress: Progress) -> None:
        if progress.ticks:
            live.cancel("told so")

    summary = live.run(stop_soon)
    metadata = LogDirectoryManager.read_metadata(live.record.run_dir)
    assert metadata.status is RunStatus.COMPLETED
    assert 0 < summary.ticks < 241
    assert replay(live.record.run_dir).findings == []


def test_only_a_process_whose_market_waited_can_be_run_again(market_folder: Path, tmp_path: Path) -> None:
    end = datetime(2024, 1, 3, tzinfo=UTC)
    waited = live_run(prepared(market_folder, tmp_path, end=end), None)
    waited.run()
    assert all(entry.line is None for entry in rerun(waited.record.run_dir, tmp_path / "again"))
    went_on = live_run(prepared(market_folder, tmp_path, end=end), 2_000_000.0)
    went_on.run()
    with pytest.raises(BasisError, match=r"LOG-006: .* whose market did not wait for it"):
        rerun(went_on.record.run_dir, tmp_path / "again")


def test_what_ends_a_process_outside_its_actors_is_in_its_log_once(market_folder: Path, tmp_path: Path) -> None:
    live = live_run(prepared(market_folder, tmp_path), 3600.0)

    def fail(_progress: Progress) -> None:
        if live.bus is not None and not live.bus.closed:
            raise BasisError("VEN-004", "bybit has no BTC-PERP")

    summary = live.run(fail)
    assert summary.failure is not None
    assert summary.failure.startswith("VEN-004: bybit has no BTC-PERP")
    told = EventLog(live.record.run_dir).events(SystemErrorEvent)
    (logged,) = [event for event in told if event.error_code == "VEN-004"]
    assert logged.component == "process"
    assert logged.message == "the process ends: bybit has no BTC-PERP"


def test_a_stop_that_flattens_closes_the_book_first(market_folder: Path, tmp_path: Path) -> None:
    ready = prepared(market_folder, tmp_path / "logs", always_in=True)
    invested = 24
    with StateDirectory(tmp_path / "state", Holder.this_process("btc_basis", datetime.now(UTC))) as state:
        live = LiveRun(ready, on_paper(ready, 36_000.0)._replace(state=state), flattens=True)

        def stop_when_invested(progress: Progress) -> None:
            if progress.ticks >= invested:
                live.cancel("told so")

        summary = live.run(stop_when_invested)
    (*_, last) = EventLog(live.record.run_dir).events(PositionSnapshot)
    open_keys = {key for key, amount in last.positions.items() if abs(amount) > 1.0}
    assert open_keys == {"wallet:BaseToken:USDT"}
    assert summary.failure is None
    assert summary.stopped == "RISK-008: told so: the book is closed before the process ends (the stop of the process)"
    assert replay(live.record.run_dir).findings == []


def test_a_stop_that_flattens_needs_a_state_directory(market_folder: Path, tmp_path: Path) -> None:
    ready = prepared(market_folder, tmp_path)
    with pytest.raises(ConfigError, match="needs a state directory"):
        LiveRun(ready, on_paper(ready, 3600.0), flattens=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_process_with_everything_on_disk(number: int, market_folder: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "live", "btc_basis", "--paper", "--replay-feed", market_folder, "--json",
         "--speed", "3600", "--correlation-id", "told", "--set", "component_config.monitoring.port=0"],
        cwd=tmp_path,
        env={**os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    positions = tmp_path / "logs" / "told" / str(process.pid) / "events" / "positions.jsonl"
    while not (positions.exists() and positions.stat().st_size):
        assert process.poll() is None, process.communicate()
    process.send_signal(number)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["failure"] is None
    again = replay(positions.parents[1])
    assert (again.findings, again.has_summary) == ([], True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "with --state DIR"),
        (("--state", "state", "--capital", "5"), "--capital is of --paper"),
        (("--replay-feed", "MARKET", "--state", "state"), "add --paper to --replay-feed"),
        (("--paper", "--speed", "2"), "give it with --replay-feed DIR"),
        (("--paper", "--end", "2031-01-01"), "give it with --replay-feed DIR"),
        (("--paper", "--replay-feed", "MARKET", "--flatten"), "needs a state directory"),
        (("--paper", "--replay-feed", "MARKET", "--speed", "fast"), "'fast'; a number above 0, or max"),
        (("--paper", "--replay-feed", "MARKET", "--speed", "0"), "the speed is 0.0"),
        (("--paper", "--replay-feed", "MARKET", "--speed", "nan"), "the speed is nan"),
        (
            ("--paper", "--replay-feed", "MARKET", "--speed", "1e9"),
            "the speed is 1000000000.0; a number above 0 and below 1e9",
        ),
        (("--paper", "--replay-feed", "nowhere"), "nowhere"),
        (("--paper", "--replay-feed", "MARKET", "--start", "2031-01-01"), "2031-01-01"),
    ],
)
def test_what_cannot_be_run_is_refused(
    arguments: tuple[str, ...], said: str, market_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(market_folder) if argument == "MARKET" else argument for argument in arguments]
    result = CliRunner().invoke(app, ["live", "btc_basis", *given])
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
    assert list(tmp_path.glob("logs/*/*")) == []


def test_a_process_on_accounts_without_keys_leaves_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["live", "btc_basis", "--state", "state"])
    assert (result.exit_code, "there are no keys for that" in result.stderr) == (2, True), result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pace", [0.0, -1.0, float("inf")])
def test_a_pace_that_is_none_is_refused(pace: float, market_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CONFIG-003: the speed is"):
        live_run(prepared(market_folder, tmp_path), pace)
