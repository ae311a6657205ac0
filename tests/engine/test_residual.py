"""Attribution explains every change of equity: at each calculation of a run, in all four modes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.play import ALWAYS_IN, FOUR_MODES, Played, flow, play, utc

from basis_actors.messages.book import Flow
from basis_actors.messages.events import ExecutionDeltaEvent, PnLCalculation, PositionSnapshot, SystemErrorEvent

TOLERANCE = 1e-9
FLOWS = {
    "usdt": (flow("2024-02-06T03:30", 20_000.0), flow("2024-02-12T12:00", -35_000.123456), flow("2024-02-20", 4.0)),
    "eth": (flow("2024-02-06T03:30", 8.0), flow("2024-02-12T12:00", -14.25), flow("2024-02-20", 0.002)),
}


def closes(run: Played) -> None:
    """Nothing failed, and every calculation and the sum of all of them close."""
    assert run.failure is None
    assert "PNL-005" not in run.codes
    assert run.worst_residual <= TOLERANCE
    last = run.of(PnLCalculation)[-1]
    assert abs(last.residual_total) <= TOLERANCE * last.equity
    explained = math.fsum(last.attribution_total.values())
    assert last.total_pnl == pytest.approx(explained, abs=TOLERANCE * last.equity)


@pytest.mark.parametrize("frictionless", [False, True], ids=["with costs", "frictionless"])
@pytest.mark.parametrize("mode", FOUR_MODES)
def test_attribution_closes_on_real_history_with_deposits_and_withdrawals(
    mode: str, frictionless: bool, history: Path, played: Callable[..., Played]
) -> None:
    flows = FLOWS["eth" if mode == "pure_lending_eth" else "usdt"]
    config = [ALWAYS_IN] if "basis" in mode else []
    run = played(
        mode,
        data=history,
        start="2024-02-01",
        end="2024-03-01",
        flows=flows,
        settings=config,
        frictionless=frictionless,
    )
    closes(run)
    paid = -sum(
        delta.delta_amount
        for event in run.of(ExecutionDeltaEvent)
        if event.source == "withdrawal"
        for delta in event.deltas
    )
    assert paid == pytest.approx(-flows[1].amount, rel=1e-9)
    assert run.of(PnLCalculation)[-1].external_flows == pytest.approx(sum(f.amount for f in flows), rel=1e-9)


@pytest.mark.parametrize("frictionless", [False, True], ids=["with costs", "frictionless"])
@pytest.mark.parametrize("mode", FOUR_MODES)
def test_attribution_closes_on_the_synthetic_market(
    mode: str, frictionless: bool, played: Callable[..., Played]
) -> None:
    closes(played(mode, start="2024-01-01", end="2024-02-01", frictionless=frictionless, seed=11))


def ledger_is_the_sum_of_its_deltas(run: Played) -> None:
    """Every snapshot equals all deltas logged before it; a delta is logged once."""
    held: dict[str, list[float]] = {}
    seen: set[tuple[str, int]] = set()
    for event in run.events:
        if isinstance(event, ExecutionDeltaEvent):
            assert (event.domain, event.domain_sequence) not in seen
            seen.add((event.domain, event.domain_sequence))
            for delta in event.deltas:
                held.setdefault(delta.position_key, []).append(delta.delta_amount)
        if isinstance(event, PositionSnapshot):
            for key, amount in event.positions.items():
                parts = held.get(key, [])
                scale = max(map(abs, parts), default=0.0)
                assert amount == pytest.approx(math.fsum(parts), abs=1e-9 * max(1.0, scale)), key


def no_order_overdraws(run: Played) -> None:
    """Only perps, what is owed for gas, and margin cash may be negative."""
    for snapshot in run.of(PositionSnapshot):
        for key, amount in snapshot.positions.items():
            signed = ":PerpPosition:" in key or key.startswith("gas:") or ":Margin:" in key
            unified_cash = key in ("bybit:BaseToken:USDT", "okx:BaseToken:USDT")
            assert amount >= -1e-9 or signed or unified_cash, key


def whole_run(folder: Path, mode: str, seed: int, frictionless: bool) -> Played:
    """Two weeks of a random market with random flows, some of them impossible to pay."""
    chance = random.Random(seed)
    start = utc("2024-01-01") + timedelta(days=chance.randrange(0, 500))
    unit = 40.0 if mode == "pure_lending_eth" else 100_000.0
    flows = []
    for _ in range(chance.randrange(0, 6)):
        when = start + timedelta(seconds=chance.randrange(1, 14 * 86_400))
        amount = chance.choice([1.0, -1.0]) * unit * chance.choice([1e-4, 0.03, 0.5, 1.2]) * chance.random()
        flows.append(Flow(when, amount))
    settings_ = [ALWAYS_IN, f"strategy_config.leverage={chance.choice([1.0, 2.0, 2.5])}"] if "basis" in mode else []
    return play(
        mode,
        folder,
        start=start.replace(tzinfo=None).isoformat(),
        end=(start + timedelta(days=14)).replace(tzinfo=None).isoformat(),
        capital=unit * chance.choice([0.003, 0.1, 1.0, 30.0]),
        flows=flows,
        seed=seed,
        settings=settings_,
        frictionless=frictionless,
    )


@settings(max_examples=8, deadline=None, derandomize=True)
@given(mode=st.sampled_from(FOUR_MODES), seed=st.integers(0, 10_000), frictionless=st.booleans())
def test_value_is_conserved_in_random_runs(
    mode: str, seed: int, frictionless: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = whole_run(tmp_path_factory.mktemp("run"), mode, seed, frictionless)
    closes(run)
    ledger_is_the_sum_of_its_deltas(run)
    no_order_overdraws(run)
    assert not [error for error in run.of(SystemErrorEvent) if error.severity == "CRITICAL"]


@pytest.mark.long
def test_value_is_conserved_in_many_random_runs(tmp_path: Path, form: str) -> None:
    """The short form plays 20 runs, the full one 200."""
    for seed in range(20 if form == "short" else 200):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run = whole_run(folder, FOUR_MODES[seed % 4], 20_000 + seed, seed % 3 == 0)
        closes(run)
        ledger_is_the_sum_of_its_deltas(run)
        no_order_overdraws(run)


@pytest.mark.long
@pytest.mark.parametrize("mode", FOUR_MODES)
def test_attribution_closes_over_all_of_real_history(
    mode: str, history: Path, played: Callable[..., Played], form: str
) -> None:
    """The short form ends after three months."""
    closes(played(mode, data=history, start="2024-01-01", end="2024-04-01" if form == "short" else "2025-06-30"))
