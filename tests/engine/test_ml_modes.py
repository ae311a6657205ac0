"""Both directional modes end to end: stops, targets, flips and horizons, recomputed by hand from the raw files."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.directional_books import DirectionalBooks, Done, Said, play_by_hand, some_signals, write_signals
from tests.engine.play import Played, flow, play, utc

from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.messages.book import Flow
from basis_actors.messages.events import (
    ExecutionDeltaEvent,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    StrategyDecision,
)
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

ROOT = Path(__file__).resolve().parents[2]
MODES = ("ml_btc_directional_usdt_margin", "ml_btc_directional_btc_margin")
SIGNAL = "strategy_config.signal"
STALE = timedelta(hours=6)
KEY = {MODES[0]: "binance:PerpPosition:BTC-PERP", MODES[1]: "binance:InversePerp:BTCUSD-PERP"}
LEARNED_UNTIL = "2024-05-20"
QUIET = ("risk_limits.max_drawdown=1.0", "order_limits.max_drawdown=null", "order_limits.max_daily_loss=null")
"""The signals here are noise; a drawdown that ends the run would end the test."""


def from_file(file: Path, stale: timedelta = STALE) -> list[str]:
    return [
        f"{SIGNAL}.source=file",
        f"{SIGNAL}.file.path={file}",
        f"{SIGNAL}.file.staleness_seconds={stale.total_seconds()}",
    ]


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic market as files."""
    folder = tmp_path_factory.mktemp("market")
    generator = SyntheticGenerator(5, 3600)
    write_dataset(generator.generate(generator.epoch_ns, generator.epoch_ns + 130 * DAY), folder)
    return folder


@pytest.fixture(params=["real", "synthetic"])
def folder(request: pytest.FixtureRequest) -> Path:
    found = request.getfixturevalue("history" if request.param == "real" else "synthetic")
    assert isinstance(found, Path)
    return found


@pytest.fixture(scope="module")
def learning(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Played]:
    """A run of a mode with its own model, from January to May of 2024: trained once for all tests."""
    kept: dict[str, Played] = {}

    def run(mode: str) -> Played:
        if mode not in kept:
            kept[mode] = play(mode, tmp_path_factory.mktemp(mode), data=history, start="2024-01-01", end=LEARNED_UNTIL)
        return kept[mode]

    return run


def fills(run: Played, mode: str) -> list[Done]:
    """Every fill of the perpetual by what caused it, at the tick that saw it."""
    intents = {order.operation_id: order for order in run.of(OperationExecutionEvent)}
    found = []
    for event in run.of(ExecutionDeltaEvent):
        for delta in event.deltas:
            if delta.position_key != KEY[mode]:
                continue
            assert event.operation_id is not None
            assert delta.price is not None
            suffix = event.operation_id.rpartition("-")[2]
            early = suffix in ("stop_loss", "take_profit")
            kind = suffix if early else "order"
            assert early or intents[event.operation_id].status is ExecutionStatus.CONFIRMED
            found.append(Done(event.timestamp, kind, delta.delta_amount, delta.price))
    return found


@pytest.mark.parametrize("mode", MODES)
def test_a_run_on_signals_of_a_file_is_what_a_hand_makes_of_the_raw_files(
    mode: str, folder: Path, tmp_path: Path
) -> None:
    start, end = utc("2024-02-01"), utc("2024-05-01")
    said = some_signals(start, 24 * 90, seed=3)
    file = tmp_path / "signals.csv"
    write_signals(said, file)
    inverse = mode == MODES[1]
    capital = 2.0 if inverse else 100_000.0
    deposits = {start + timedelta(hours=7 + 97 * count): 0.17 * capital for count in range(20)}
    run = play(
        mode,
        tmp_path,
        data=folder,
        start="2024-02-01",
        end="2024-05-01",
        flows=[Flow(moment, amount) for moment, amount in deposits.items()],
        settings=[*from_file(file), *QUIET],
    )
    books = DirectionalBooks(folder, inverse=inverse, capital=capital)
    by_hand = play_by_hand(books, said, start, end, STALE, deposits)

    assert run.failure is None
    assert run.codes == set()
    assert run.worst_residual <= 1e-9
    orders = run.of(OperationExecutionEvent)
    assert {order.status for order in orders} == {ExecutionStatus.CONFIRMED}, "nothing was refused"
    kinds = Counter(done.kind for done in books.done)
    assert min(kinds[kind] for kind in ("entry", "stop_loss", "take_profit", "flip", "horizon", "deposit")) >= 2, kinds
    told = [done if done.kind in ("stop_loss", "take_profit") else done._replace(kind="order") for done in books.done]
    assert [done[:2] for done in fills(run, mode)] == [done[:2] for done in told]
    assert [done.quantity for done in fills(run, mode)] == pytest.approx([done.quantity for done in told], rel=1e-12)
    assert [done.price for done in fills(run, mode)] == pytest.approx([done.price for done in told], rel=1e-12)
    first: dict[datetime, float] = {}
    for pnl in run.of(PnLCalculation):
        first.setdefault(pnl.timestamp, pnl.equity)
    assert first.keys() == by_hand.keys()
    assert [first[moment] for moment in by_hand] == pytest.approx(list(by_hand.values()), rel=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_deposits_are_put_to_work_and_withdrawals_paid_in_full(mode: str, history: Path, tmp_path: Path) -> None:
    unit = 1e5 if mode == MODES[0] else 2.0
    start = utc("2024-02-01")
    said = {start + timedelta(hours=hour): Said(0.8 if hour < 400 else 0.1, 0.9, 0.05) for hour in range(24 * 28)}
    file = tmp_path / "signals.csv"
    write_signals(said, file)
    flows = (
        flow("2024-02-03T05:30", 0.4 * unit),
        flow("2024-02-08T12:00", -0.5 * unit),
        flow("2024-02-14", -0.03 * unit),
        flow("2024-02-24", 1e-4 * unit),
    )
    run = play(
        mode, tmp_path, data=history, start="2024-02-01", end="2024-02-28", flows=flows, settings=from_file(file)
    )
    assert run.failure is None
    assert run.codes == set()
    assert run.worst_residual <= 1e-9
    assert {order.status for order in run.of(OperationExecutionEvent)} == {ExecutionStatus.CONFIRMED}
    paid = [event for event in run.of(ExecutionDeltaEvent) if event.source == "withdrawal"]
    assert [event.deltas[0].delta_amount for event in paid] == pytest.approx([-0.5 * unit, -0.03 * unit], rel=1e-12)
    assert all(
        event.timestamp - asked.timestamp <= timedelta(hours=3) for event, asked in zip(paid, flows[1:], strict=False)
    )
    last = run.of(PnLCalculation)[-1]
    assert last.external_flows == pytest.approx(sum(f.amount for f in flows), rel=1e-9)
    for snapshot in run.of(PositionSnapshot):
        for key, amount in snapshot.positions.items():
            assert amount >= -1e-9 or key == KEY[mode] or key.startswith("gas:"), key
    (added, *_) = (d for d in run.of(StrategyDecision) if d.action_taken == "entry_partial")
    assert added.timestamp == utc("2024-02-03T07:00"), "the tick at which the deposit has arrived"
    after = utc("2024-02-03T08:00")
    (grown,) = (d.portfolio_state["position"] for d in run.of(StrategyDecision) if d.timestamp == after)
    # 0.4 on what is worth a little more than 1 by then, as far as the margin carries it.
    assert 1.35 < grown / added.portfolio_state["position"] <= 1.4


def random_run(folder: Path, mode: str, seed: int) -> Played:
    """Three weeks of a random market with random signals, sizes and flows, some of them impossible to pay."""
    chance = random.Random(seed)
    start = utc("2024-01-01") + timedelta(days=chance.randrange(0, 400))
    unit = 1e5 if mode == MODES[0] else 2.0
    write_signals(some_signals(start, 24 * 21, seed), folder / "signals.csv")
    flows = [
        Flow(
            start + timedelta(seconds=chance.randrange(1, 20 * 86_400)),
            chance.choice([1.0, -1.0]) * unit * chance.choice([1e-4, 0.03, 0.5, 1.2]) * chance.random(),
        )
        for _ in range(chance.randrange(0, 7))
    ]
    size = chance.choice([0.3, 1.0, 2.0, 3.0])
    return play(
        mode,
        folder,
        start=start.replace(tzinfo=None).isoformat(),
        end=(start + timedelta(days=20)).replace(tzinfo=None).isoformat(),
        capital=unit * chance.choice([0.003, 0.1, 1.0, 30.0]),
        flows=flows,
        seed=seed,
        frictionless=chance.random() < 0.3,
        settings=[
            *from_file(folder / "signals.csv"),
            *QUIET,
            f"strategy_config.max_position_size={size}",
            "risk_limits.max_asset_exposure=100.0",
            *(f"order_limits.{name}=null" for name in ("max_order_equity", "max_asset_exposure", "max_leverage")),
        ],
    )


@settings(max_examples=6, deadline=None, derandomize=True)
@given(mode=st.sampled_from(MODES), seed=st.integers(0, 10_000))
def test_value_is_conserved_and_nothing_is_refused_in_random_runs(
    mode: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = random_run(tmp_path_factory.mktemp("run"), mode, seed)
    assert run.failure is None
    assert run.worst_residual <= 1e-9
    last = run.of(PnLCalculation)[-1]
    assert abs(last.residual_total) <= 1e-9 * abs(last.equity)
    assert {order.status for order in run.of(OperationExecutionEvent)} <= {ExecutionStatus.CONFIRMED}
    for snapshot in run.of(PositionSnapshot):
        for key, amount in snapshot.positions.items():
            assert amount >= -1e-9 or key == KEY[mode] or key.startswith("gas:") or ":Margin:" in key, key


@pytest.mark.parametrize("mode", MODES)
def test_the_model_of_the_mode_itself_trades_and_the_books_close(mode: str, learning: Callable[[str], Played]) -> None:
    run = learning(mode)
    assert run.failure is None
    assert run.codes == set()
    assert run.worst_residual <= 1e-9
    decisions = run.of(StrategyDecision)
    warm = [d for d in decisions if d.timestamp < utc("2024-03-31")]
    assert {d.action_taken for d in warm} == {"none", "transfer"}, "flat until the model has warmed up"
    assert warm[-1].reasoning == "no signal: warming up: 90.0 of 90 days seen"
    assert sum(d.action_taken == "entry_full" for d in decisions) > 5
    assert {order.status for order in run.of(OperationExecutionEvent)} == {ExecutionStatus.CONFIRMED}


@pytest.mark.parametrize("mode", MODES)
def test_a_drawdown_that_persists_closes_the_position_and_ends_trading(
    mode: str, history: Path, tmp_path: Path
) -> None:
    file = tmp_path / "signals.csv"
    write_signals(some_signals(utc("2024-02-01"), 24 * 60, seed=3), file)
    limit = [*from_file(file), "risk_limits.max_drawdown=0.05"]
    run = play(mode, tmp_path, data=history, start="2024-02-01", end="2024-04-01", settings=limit)
    decisions = run.of(StrategyDecision)
    assert any(d.decision_type == "emergency_exit" for d in decisions)
    assert decisions[-1].reasoning.startswith("trading is stopped: risk was critical: drawdown")
    assert KEY[mode] not in run.of(PositionSnapshot)[-1].positions
    assert run.codes == {"RISK-001"}
    assert run.worst_residual <= 1e-9


def test_the_ninth_strategy_takes_fewer_of_the_same_signals(
    history: Path, tmp_path: Path, learning: Callable[[str], Played]
) -> None:
    overlay = ROOT / "examples" / "ml_usdt_directional.yaml"
    entries = []
    for run in (
        learning(MODES[0]),
        play(MODES[0], tmp_path, data=history, start="2024-01-01", end=LEARNED_UNTIL, overlays=[overlay]),
    ):
        assert run.failure is None
        assert run.worst_residual <= 1e-9
        entries.append([d for d in run.of(StrategyDecision) if d.action_taken == "entry_full"])
    usual, ninth = entries
    assert 0 < len(ninth) < len(usual)
    said = [d.market_conditions["signal"] for d in ninth]
    assert all(rise >= 0.70 or rise <= 0.30 for rise in said)
    assert any(0.65 <= d.market_conditions["signal"] < 0.70 for d in usual)


def test_the_example_of_a_file_reads_it_from_the_working_directory(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_signals({utc("2024-02-01T06:00"): Said(0.9, 0.9, 0.05)}, Path("signals.csv"))
    overlay = ROOT / "examples" / "ml_signals_of_a_file.yaml"
    run = play(MODES[1], tmp_path, data=history, start="2024-02-01", end="2024-02-04", overlays=[overlay])
    taken = [(d.timestamp, d.action_taken) for d in run.of(StrategyDecision) if d.orders_generated]
    assert taken == [
        (utc("2024-02-01"), "transfer"),
        (utc("2024-02-01T06:00"), "entry_full"),
        (utc("2024-02-03T06:00"), "exit_full"),
    ], "the signal counts for a day, at the end of which it still holds for another horizon"


def test_what_comes_later_changes_no_decision(history: Path, tmp_path: Path, learning: Callable[[str], Played]) -> None:
    """The model, its training and its trades up to a moment are the same whatever data follow."""
    short = play(MODES[0], tmp_path, data=history, start="2024-01-01", end="2024-04-12").of(StrategyDecision)
    assert short == [d for d in learning(MODES[0]).of(StrategyDecision) if d.timestamp <= utc("2024-04-12")]
    assert any(d.orders_generated for d in short[-300:])


def test_the_same_run_twice_writes_the_same_bytes(history: Path, tmp_path: Path) -> None:
    written = []
    for name in ("one", "other"):
        request = BacktestRequest(
            mode=MODES[1],
            data=history,
            start=utc("2024-01-01"),
            end=utc("2024-04-15"),
            out=tmp_path / name,
            correlation_id="same",
            fixed_clock=True,
        )
        backtest = Backtest(prepare(request))
        assert backtest.run().failure is None
        files = sorted((backtest.run_dir / "events").glob("*.jsonl"))
        written.append({file.name: file.read_bytes() for file in files})
    assert written[0] == written[1]
    assert len(written[0]["strategy_decisions.jsonl"].splitlines()) == 24 * 105 + 1


def test_the_file_of_signals_is_named_in_the_metadata_with_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "signals.csv"
    write_signals({utc("2024-01-01"): Said(0.9, 0.9, 0.02)}, file)
    request = BacktestRequest(
        mode=MODES[0], start=utc("2024-01-01"), end=utc("2024-01-03"), out=tmp_path, settings=from_file(file)
    )
    backtest = Backtest(prepare(request))
    backtest.run()
    metadata = json.loads((backtest.run_dir / "metadata.json").read_text())
    assert metadata["data_hashes"][str(file)] == hashlib.sha256(file.read_bytes()).hexdigest()
