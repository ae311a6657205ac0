"""What the benchmarks share: the rows of the table they print, their options, the year they run, and fresh processes.

A script gives `report` a function from options to rows; run alone it prints its own table, `suite.py` joins them all.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from basis_actors.services.preparation import DEFAULT_SEED, BacktestRequest, Runtime, prepare
from basis_actors.times import utc_from_ns

__all__ = [
    "START",
    "Options",
    "Row",
    "fresh_process",
    "options_of",
    "pairs",
    "quiet_start",
    "render",
    "report",
    "rows_of",
]

START = datetime(2024, 1, 1, tzinfo=UTC)
_YEAR_END = datetime(2025, 1, 1, tzinfo=UTC)
_QUICK_DAYS = 10
"""Long enough for the first orders."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. Only `ratio` travels between machines."""

    measure: str
    value: float
    unit: str
    baseline: float | None = None
    """The same measure of what it is compared with, in the same unit, from the same run."""
    ratio: float | None = None
    """value / baseline, the median over the pairs where there are several."""
    compared_with: str = ""


@dataclass(frozen=True)
class Options:
    """How to measure."""

    quick: bool
    """Ten days instead of a year, and one repetition: shows that everything works, and measures nothing."""
    repeats: int
    data: Path | None
    """Folder of real history; the synthetic market where there is none."""

    @property
    def market(self) -> str:
        """What a person is told about the market."""
        return f"synthetic, seed {DEFAULT_SEED}" if self.data is None else str(self.data)

    def request(self, out: Path, *, write_events: bool = True, runtime: Runtime = "sim") -> BacktestRequest:
        """The year 2024 of hourly `btc_basis`, or its first ten days."""
        return BacktestRequest(
            mode="btc_basis",
            data=self.data,
            start=START,
            end=START + timedelta(days=_QUICK_DAYS) if self.quick else _YEAR_END,
            out=out,
            write_events=write_events,
            runtime=runtime,
        )

    def mode_request(self, mode: str, out: Path, **overrides: object) -> BacktestRequest:
        """The widest window of hourly `mode` that the data give, the synthetic year 2024, or ten days."""
        request = BacktestRequest(mode=mode, data=self.data, out=out, overrides=overrides)
        if self.data is None:
            request = replace(request, start=START, end=_YEAR_END)
        if self.quick:
            begin = START if self.data is None else utc_from_ns(prepare(request).feed.ticks[0])
            request = replace(request, start=begin, end=begin + timedelta(days=_QUICK_DAYS))
        return request

    def arguments(self) -> list[str]:
        """The command line that gives another process the same options."""
        data = [] if self.data is None else ["--data", str(self.data)]
        return [*(["--quick"] if self.quick else []), "--repeats", str(self.repeats), *data]


def options_of(description: str) -> tuple[Options, bool]:
    """Options from the command line, and whether JSON is wanted."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, help="folder with the year 2024; the synthetic market unless given")
    parser.add_argument("--quick", action="store_true", help="a short form that only shows that everything works")
    parser.add_argument("--repeats", type=int, help="repetitions of each measurement (5, or 1 with --quick)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    repeats = given.repeats or (1 if given.quick else 5)
    return Options(given.quick, repeats, given.data), given.json


def report(description: str, measure: Callable[[Options], Sequence[Row]]) -> None:
    """Measure as the command line says, and print."""
    options, as_json = options_of(description)
    rows = measure(options)
    print(rendered_json(options, rows) if as_json else f"market: {options.market}\n{render(rows)}")


def rendered_json(options: Options, rows: Sequence[Row]) -> str:
    """The JSON form of a table."""
    content = {"market": options.market, "quick": options.quick, "repeats": options.repeats, "rows": rows}
    return msgspec.json.format(msgspec.json.encode(content)).decode()


def rows_of(script: str, options: Options) -> list[Row]:
    """The rows of another script, measured in a process of its own."""
    answer = json.loads(fresh_process([str(Path(__file__).with_name(script)), "--json", *options.arguments()]))
    return msgspec.convert(answer["rows"], list[Row])


def render(rows: Sequence[Row]) -> str:
    """The table as text."""
    head = ("measure", "value", "unit", "baseline", "ratio", "compared with")
    cells = [
        (row.measure, _number(row.value), row.unit, _number(row.baseline), _ratio(row.ratio), row.compared_with)
        for row in rows
    ]
    width = [max(len(line[column]) for line in (head, *cells)) for column in range(len(head))]
    number = (1, 3, 4)
    lines = []
    for line in (head, tuple("-" * size for size in width), *cells):
        padded = (
            text.rjust(size) if at in number else text.ljust(size)
            for at, (text, size) in enumerate(zip(line, width, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}×"


def pairs(repeats: int, ours: Callable[[], float], baseline: Callable[[], float]) -> tuple[float, float, float]:
    """Measure both, alternating who is first; the medians of either and the median of the ratios of the pairs."""
    found = []
    for number in range(repeats):
        if number % 2:
            other = baseline()
            found.append((ours(), other))
        else:
            found.append((ours(), baseline()))
    return (
        statistics.median(own for own, _ in found),
        statistics.median(other for _, other in found),
        statistics.median(own / other for own, other in found),
    )


@contextmanager
def quiet_start() -> Iterator[Path]:
    """A new folder, and a heap without rubbish of what ran before."""
    with tempfile.TemporaryDirectory(prefix="basis-bench-") as folder:
        gc.collect()
        yield Path(folder)


def fresh_process(arguments: Sequence[str]) -> str:
    """Run Python with `arguments` and give its standard output. Raises RuntimeError with its errors when it fails."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def seconds_of(work: Callable[[], object]) -> float:
    """How long something takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
