"""What comes before the first tick: importing, loading data, making the synthetic market.

Imports are timed in fresh processes, less what starting Python takes.
Run it as `python benchmarks/start_time.py [--data DIR] [--quick] [--json]`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pandas as pd

from basis_actors.config import load_mode
from basis_actors.data import SyntheticGenerator, load_for, write_dataset
from basis_actors.data.files import discover
from basis_actors.services.preparation import DEFAULT_SEED
from basis_actors.strategies.registry import build_strategy
from basis_actors.times import ns_from_utc
from measuring import Options, Row, fresh_process, pairs, report, seconds_of

_HEAVY = "anyio, msgspec, pydantic, pydantic_settings, yaml, aiofiles, numpy, pandas, pyarrow, structlog, typer, rich"
_STATEMENTS = {
    "import basis_actors": "import basis_actors",
    "basis-actors --help": "import sys; from basis_actors.cli import main; sys.argv[1:] = ['--help']; main()",
}


def measure(options: Options) -> Sequence[Row]:
    """Imports, data load, synthetic market."""
    return [*_imports(options), *_data(options)]


def _imports(options: Options) -> list[Row]:
    eagerly = f"import {_HEAVY}, basis_actors"
    nothing = statistics.median(_process_ms("pass", 0.0) for _ in range(options.repeats))
    rows = []
    for name, statement in _STATEMENTS.items():
        value, baseline, ratio = pairs(
            options.repeats,
            partial(_process_ms, statement, nothing),
            partial(_process_ms, eagerly, nothing),
        )
        compared = "the dependencies imported at once"
        rows.append(
            Row(
                measure=name,
                value=value,
                unit="ms",
                baseline=baseline,
                ratio=ratio,
                compared_with=compared,
            )
        )
    return rows


def _process_ms(statement: str, nothing: float) -> float:
    """What a statement takes in a fresh process beyond `nothing`, in milliseconds."""
    return seconds_of(lambda: fresh_process(["-c", statement])) * 1e3 - nothing


def _data(options: Options) -> list[Row]:
    run = load_mode("btc_basis")
    spec = build_strategy(run).market_spec
    with tempfile.TemporaryDirectory(prefix="basis-bench-") as made:
        request = options.request(Path(made))
        assert request.start is not None
        assert request.end is not None
        generator = SyntheticGenerator(DEFAULT_SEED, run.mode.tick_interval_seconds)
        generate = partial(generator.generate, ns_from_utc(request.start), ns_from_utc(request.end))
        generated = statistics.median(seconds_of(generate) for _ in range(options.repeats)) * 1e3
        folder = options.data
        if folder is None:
            folder = Path(made) / "data"
            write_dataset(generate(), folder)
        loaded = load_for(folder, spec, run.venues).series
        files = [file.path for name, file in discover(folder).items() if name in loaded]
        value, baseline, ratio = pairs(
            options.repeats,
            lambda: seconds_of(partial(load_for, folder, spec, run.venues)) * 1e3,
            lambda: seconds_of(partial(_read_plainly, files)) * 1e3,
        )
    return [
        Row(
            measure="data load, checks and hashes included",
            value=value,
            unit="ms",
            baseline=baseline,
            ratio=ratio,
            compared_with="pandas.read_csv of the same files, unchecked",
        ),
        Row(
            measure="synthetic market, every series",
            value=generated,
            unit="ms",
            baseline=value,
            ratio=generated / value,
            compared_with="the data load above",
        ),
    ]


def _read_plainly(files: Sequence[Path]) -> None:
    for file in files:
        pd.read_csv(file, parse_dates=["timestamp"], index_col="timestamp")


if __name__ == "__main__":
    report("What comes before the first tick.", measure)
