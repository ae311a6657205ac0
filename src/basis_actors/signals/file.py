"""Defines signals that come from a file: each is known at its timestamp, and counts until it is too old.

The file has the columns `timestamp` (UTC, ISO-8601 with `Z`, whole minutes, strictly increasing), `signal`
(probability that the price is higher one horizon later, 0 to 1), `confidence` (0 to 1) and `sd` (standard deviation of
the log return over the horizon, greater than 0).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from basis_actors.data.catalogue import Column, Rule, SeriesKind
from basis_actors.data.stamps import iso
from basis_actors.data.tables import Table, TableError, read_csv, read_parquet, read_plain_csv
from basis_actors.data.validation import Problem, problems_of
from basis_actors.errors import DataError
from basis_actors.messages.market import MarketState
from basis_actors.messages.signals import Signal
from basis_actors.signals.source import SignalSource
from basis_actors.times import NS_PER_SECOND

__all__ = ["SIGNAL_COLUMNS", "FileSignalSource", "read_signals"]

SIGNAL_COLUMNS: Final = SeriesKind(
    "signals",
    re.compile(r".+"),
    (
        Column("signal", "probability of a rise", Rule.NUMBER),
        Column("confidence", "probability", Rule.NUMBER),
        Column("sd", "log return over the horizon", Rule.PRICE),
    ),
    gridded=False,
)
_READERS: Final = {".csv": read_plain_csv, ".csv.gz": read_csv, ".parquet": read_parquet}
_PROBABILITIES: Final = ("signal", "confidence")


class FileSignalSource(SignalSource):
    """The newest signal of a file that is known at a tick and not older than `staleness_seconds`."""

    def __init__(self, path: Path, staleness_seconds: float) -> None:
        """Raises DataError as `read_signals` does."""
        self._signals, self._sha256 = read_signals(path)
        self._staleness_ns = round(staleness_seconds * NS_PER_SECOND)
        self._path = path
        self._next = 0

    @property
    def input_hashes(self) -> dict[str, str]:
        """sha256 of the file, by its path."""
        return {str(self._path): self._sha256}

    def at(self, market: MarketState) -> Signal | None:
        """The newest signal stamped at or before the tick; None before the first, and when it is too old."""
        signals = self._signals
        while self._next < len(signals) and signals[self._next].ns <= market.ns:
            self._next += 1
        if self._next == 0:
            first = f"it begins at {iso(signals[0].ns)}" if signals else "it has no rows"
            self.silence = f"{self._path} has no signal yet: {first}"
            return None
        newest = signals[self._next - 1]
        if market.ns - newest.ns > self._staleness_ns:
            limit = self._staleness_ns / NS_PER_SECOND
            self.silence = f"the newest signal of {self._path}, {iso(newest.ns)}, is older than {limit:g} s"
            return None
        self.silence = ""
        return newest


def read_signals(path: Path) -> tuple[list[Signal], str]:
    """All signals of a file in order of time, and the sha256 of the file.

    Raises DataError: DATA-003 for a file that is not there or whose ending is none of `.csv`, `.csv.gz`, `.parquet`,
    DATA-002 for the first thing that is wrong in it, naming file, row, stamp, column and value.
    """
    ending = next((ending for ending in _READERS if path.name.endswith(ending)), None)
    if ending is None:
        raise DataError("DATA-003", f"{path} is no file of signals; a name that ends in {', '.join(_READERS)} is")
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as problem:  # ValueError of a NUL in the name
        place = "" if path.is_absolute() else f" (working directory {Path.cwd()})"
        reason = getattr(problem, "strerror", problem)
        raise DataError("DATA-003", f"signals {str(path)!r} cannot be read{place}: {reason}") from problem
    try:
        table = _READERS[ending](raw, SIGNAL_COLUMNS)
    except TableError as problem:
        raise DataError("DATA-002", f"{path}: {problem.problem}") from problem
    for found in _problems(table):
        raise DataError("DATA-002", f"{path}: {found}")
    columns = (table.columns[name].tolist() for name in ("signal", "confidence", "sd"))
    signals = [Signal(*row) for row in zip(table.ns.tolist(), *columns, strict=True)]
    return signals, hashlib.sha256(raw).hexdigest()


def _problems(table: Table) -> Iterator[Problem]:
    yield from problems_of(SIGNAL_COLUMNS, table.ns, table.columns, None)
    for name in _PROBABILITIES:
        values = table.columns[name]
        rows = np.flatnonzero((values < 0.0) | (values > 1.0))
        if rows.size:
            row = int(rows[0])
            text = f"{float(values[row])!r}; a probability from 0 to 1 was expected"
            yield Problem(row + 1, iso(int(table.ns[row])), name, text, int(rows.size))
