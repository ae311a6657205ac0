"""Runs every benchmark, each in a process of its own, and prints one table.

Run it as `make bench`, or `python benchmarks/suite.py [--data DIR] [--quick] [--repeats N] [--json]`. Figures of one
machine vary by a factor of two from run to run; the ratios, taken from pairs of runs right after each other, do not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from measuring import Options, Row, report, rows_of

SCRIPTS = (
    "engine_throughput.py",
    "mode_throughput.py",
    "message_rates.py",
    "log_throughput.py",
    "log_questions.py",
    "memory_peak.py",
    "start_time.py",
    "loop_hold.py",
    "order_latency.py",
)


def measure(options: Options) -> Sequence[Row]:
    """The rows of all scripts."""
    rows: list[Row] = []
    for script in SCRIPTS:
        print(f"measuring: {script}", file=sys.stderr)
        rows += rows_of(script, options)
    return rows


if __name__ == "__main__":
    report("Every benchmark.", measure)
