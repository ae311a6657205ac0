"""Bus messages per second in both runtimes, next to the naive bus in the same run.

The cases are those of `bus_throughput.py`, which says what each of them is.
Run it as `python benchmarks/message_rates.py [--quick] [--json]`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bus_throughput import CASES, live, naive, sim
from measuring import Options, Row, pairs, report

_MESSAGES = 200_000
_FEWER = {"sim": 1, "live": 4, "naive": 10}
"""The slower a bus, the fewer messages it gets: each runs for about as long."""


def measure(options: Options) -> Sequence[Row]:
    """A row for each case and runtime."""
    count = _MESSAGES // 100 if options.quick else _MESSAGES
    rows = []
    for case in CASES:
        for runtime in ("sim", "live"):
            value, baseline, ratio = pairs(
                options.repeats, partial(_rate, case, runtime, count), partial(_rate, case, "naive", count)
            )
            rows.append(
                Row(
                    measure=f"bus, {case}, {runtime.capitalize()} runtime",
                    value=value,
                    unit="messages/s",
                    baseline=baseline,
                    ratio=ratio,
                    compared_with="naive bus: anyio streams",
                )
            )
    return rows


def _rate(case: str, bus: str, count: int) -> float:
    actors, first, divisor = CASES[case]
    sent = count // _FEWER[bus]
    if bus == "naive":
        return sent / divisor / naive(case, first(sent))
    return sent / divisor / (sim if bus == "sim" else live)(actors(), first(sent))


if __name__ == "__main__":
    report("Messages per second on the bus.", measure)
