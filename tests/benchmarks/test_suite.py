"""The benchmarks run, agree with what they are compared with, and say what they found. How fast is not asked."""

import json
import subprocess
import sys
from math import isfinite
from pathlib import Path

import pytest

from basis_actors.config import mode_names

pytestmark = pytest.mark.long

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *arguments: str) -> str:
    """What a benchmark prints."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def table() -> list[dict[str, object]]:
    answer = json.loads(run("suite.py", "--quick", "--json"))
    assert answer["market"].startswith("synthetic")
    assert answer["quick"] is True
    return list(answer["rows"])


def test_the_suite_measures_everything_that_it_promises(table: list[dict[str, object]]) -> None:
    measured = [row["measure"] for row in table]
    assert len(set(measured)) == len(measured)
    for subject in ("engine, full event log", "engine, no event log", "event logger, Sim runtime"):
        assert subject in measured
    for mode in mode_names():
        directional = mode.startswith("ml_")
        assert f"mode {mode}, {'file signals, ' if directional else ''}full event log" in measured
        assert [name for name in measured if str(name).startswith(f"mode {mode}, training")] or not directional
    for runtime in ("Sim", "Live"):
        assert [name for name in measured if name == f"bus, tell, {runtime} runtime"]
    for beginning in (
        "memory, one year",
        "memory, four years",
        "import basis_actors",
        "data load",
        "event loop, held",
        "logs trace",
        "tick to order, p50",
        "tick to order, p99",
        "decision to order, p50",
        "decision to order, p99",
    ):
        assert [name for name in measured if str(name).startswith(beginning)]


def test_every_ratio_is_that_of_the_row_to_what_it_is_compared_with(table: list[dict[str, object]]) -> None:
    compared = [row for row in table if row["ratio"] is not None]
    alone = [str(row["measure"]) for row in table if row["ratio"] is None]
    assert all(name.startswith("event loop, ") for name in alone), alone
    for row in compared:
        value, baseline, ratio = (float(str(row[key])) for key in ("value", "baseline", "ratio"))
        assert all(isfinite(number) for number in (value, baseline, ratio))
        assert ratio == pytest.approx(value / baseline), "with one repetition the median is the pair itself"
        assert row["compared_with"]


def test_a_script_alone_prints_a_table_for_people() -> None:
    market, head, _, *rows = run("log_throughput.py", "--quick").splitlines()
    assert market == "market: synthetic, seed 7"
    assert head.split()[:2] == ["measure", "value"]
    assert [row for row in rows if row.startswith("event logger, Sim runtime") and "×" in row]


def test_an_order_takes_longer_from_its_tick_than_from_its_decision(table: list[dict[str, object]]) -> None:
    """By which the beginnings are told apart; how long either takes is not asked."""
    found = {str(row["measure"]).split(" of ")[0]: row for row in table if " to order, " in str(row["measure"])}
    for share in ("p50", "p99"):
        tick, decision = (float(str(found[f"{name} to order, {share}"]["value"])) for name in ("tick", "decision"))
        assert tick > decision > 0.0


def test_every_script_is_part_of_the_suite_or_serves_one_that_is() -> None:
    suite = (BENCHMARKS / "suite.py").read_text(encoding="utf-8")
    suite += (BENCHMARKS.parent / "Makefile").read_text(encoding="utf-8")
    for script in BENCHMARKS.glob("*.py"):
        served = [other for other in BENCHMARKS.glob("*.py") if f"from {script.stem} import" in other.read_text()]
        assert script.name in suite or served, f"nobody runs {script.name}"


def test_the_naive_engine_stays_small() -> None:
    assert len((BENCHMARKS / "engine_baseline.py").read_text(encoding="utf-8").splitlines()) <= 155


def test_the_table_of_modes_has_a_row_for_each_with_its_window_and_its_numbers() -> None:
    head, rule, *rows = run("mode_table.py", "--days", "3").splitlines()
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    assert columns[:5] == ["mode", "window", "share class", "return", "a year"]
    assert {len(line) for line in (head, rule, *rows)} == {len(head)}
    found = {row.split("`")[1]: [cell.strip() for cell in row.strip("|").split("|")] for row in rows}
    assert tuple(sorted(found)) == mode_names()
    assert found["eth_staking_only"][1:3] == ["2024-01-01 – 2024-01-04", "eth_directional (ETH)"]
    compared = ("btc_basis", "eth_leveraged", "usdt_market_neutral")
    summaries = {one["mode"]: one for one in json.loads(run("mode_table.py", *compared, "--days", "3", "--json"))}
    assert tuple(summaries) == compared
    for mode, summary in summaries.items():
        cells = found[mode]
        assert cells[3] == f"{summary['total_return']:+.2%}"
        assert int(cells[8]) == summary["orders"]
        assert summary["max_residual"] <= 1e-9
