"""Seconds and peak memory of questions to a log of ten million events, as it lies on disk: in segments, mostly packed.

The log repeats the lines of a real run with times, numbers and ids moved on; one order of each repetition has failed.
Each question is a process of its own. It is compared with what only finds its lines: `gzip -dc` of the same files into
`grep -c`. Memory is compared with that of the same question to a log of a tenth of the size.
Run it as `python benchmarks/log_questions.py [--data DIR] [--quick] [--json]`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from basis_actors.logs.directory import EVENTS_FOLDER, LogDirectoryManager, RunStatus
from basis_actors.logs.event_files import SEGMENT_BYTES, EventFiles
from basis_actors.logs.retention import pack_rest
from basis_actors.logs.seals import SEAL_EVENTS
from basis_actors.logs.segments import segments
from basis_actors.messages.events import EVENT_TYPES
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import prepare
from measuring import Options, Row, quiet_start, report

_EVENTS, _QUICK_EVENTS = 10_000_000, 20_000
_QUICK_SEGMENT = 200_000
_SMALLER = 10
_MIB = 2**20
_STEMS = tuple(kind.FILE for kind in EVENT_TYPES)
_ORDERS = _STEMS.index("operation_executions")
_TICK = timedelta(hours=1)
_MOVED = re.compile(
    rb'((?<=^{"timestamp":")[^"]+(?=")|(?<="sequence":)\d+(?=,"real_utc_time")|(?<=btc_basis-)\d{6}(?=-))'
)
_ASK = """
import pathlib, resource, sys
from basis_actors.cli import main
try:
    main()
finally:
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        peak = int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stderr.write(f"peak {peak}")
"""
"""The command line, and then its peak memory in bytes; the usage that Linux reports begins with that of the parent."""


class Line(NamedTuple):
    """One line of the model: what stays, and between it what is moved on."""

    sequence: int
    file: int
    pieces: list[bytes]
    """Every second one is a time, the number of the event, or the tick in an id."""


class Made(NamedTuple):
    """A log that was made, and an order in the middle of it."""

    run_dir: Path
    events: int
    order: str
    moment: str


class Question(NamedTuple):
    """A command, and the way to find the same lines without it."""

    name: str
    arguments: tuple[str, ...]
    files: tuple[str, ...]
    pattern: str


def measure(options: Options) -> Sequence[Row]:
    """Two rows a question."""
    events, segment = (_QUICK_EVENTS, _QUICK_SEGMENT) if options.quick else (_EVENTS, SEGMENT_BYTES)
    with quiet_start() as folder:
        run = Backtest(prepare(replace(options.request(folder / "model"), always_in=True)))
        run.run()
        small = _made(folder / "small", run.run_dir, events // _SMALLER, segment)
        large = _made(folder / "large", run.run_dir, events, segment)
        rows: list[Row] = []
        for of_small, question in zip(_questions(small), _questions(large), strict=True):
            rows += _rows(of_small, question, small, large)
        return rows


def _questions(log: Made) -> Iterator[Question]:
    of_orders = ("operation_executions", "execution_deltas", "reconciliation", "tight_loop", "atomic_groups")
    wallet = "wallet:BaseToken:USDT"
    yield Question("failed", (), of_orders[:1], '"status":"failed"')
    yield Question("trace", (log.order,), (*of_orders, "system_errors"), f'"{log.order}"')
    yield Question("positions", (wallet,), ("execution_deltas", "positions"), wallet)
    yield Question("reconciliation", (), ("reconciliation",), '"success":false')
    yield Question("slow", (), ("operation_executions", "tight_loop", "atomic_groups"), "_duration_ms")
    yield Question("at", (log.moment,), ("positions",), f'"timestamp":"{log.moment}"')
    counted = "SELECT status, count(*) FROM operation_executions GROUP BY ALL"
    yield Question("sql", (counted,), of_orders[:1], '"status":"confirmed"')


def _rows(of_small: Question, question: Question, small: Made, large: Made) -> Iterator[Row]:
    _, small_peak = _asked(of_small, small.run_dir)
    seconds, peak = _asked(question, large.run_dir)
    found = _found(question, large.run_dir)
    title = f"logs {question.name}, {large.events:,} events"
    yield Row(
        measure=title,
        value=seconds,
        unit="s",
        baseline=found,
        ratio=seconds / found,
        compared_with=f"gzip -dc | grep -c of {question.files[0]}" + _others(question),
    )
    yield Row(
        measure=f"{title}, peak memory",
        value=peak,
        unit="MiB",
        baseline=small_peak,
        ratio=peak / small_peak,
        compared_with=f"{small.events:,} events",
    )


def _others(question: Question) -> str:
    return f" and {len(question.files) - 1} more" if len(question.files) > 1 else ""


def _asked(question: Question, run_dir: Path) -> tuple[float, float]:
    """Seconds and peak memory (MiB) of one command."""
    command = [sys.executable, "-c", _ASK, "logs", question.name, str(run_dir), *question.arguments]
    begin = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - begin
    said, _, peak = done.stderr.rpartition("peak ")
    if done.returncode or said:
        raise RuntimeError(f"logs {question.name} {run_dir} ended with {done.returncode}: {said}")
    return seconds, int(peak) / _MIB


def _found(question: Question, run_dir: Path) -> float:
    """Seconds that finding the same lines takes."""
    paths = [str(path) for stem in question.files for path in segments(run_dir / EVENTS_FOLDER, stem)]
    begin = time.perf_counter()
    with subprocess.Popen(["gzip", "-dcf", *paths], stdout=subprocess.PIPE) as unpacked:
        subprocess.run(["grep", "-cF", question.pattern], stdin=unpacked.stdout, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begin


def _made(out: Path, model: Path, wanted: int, segment: int) -> Made:
    """A run of at least so many events."""
    lines = sorted(_model(model / EVENTS_FOLDER), key=lambda line: line.sequence)
    times = [datetime.fromisoformat(_text(line.pieces[1])) for line in lines]
    ticks = (times[-1] - times[0]) // _TICK + 1
    copies = -(-wanted // len(lines))
    given = LogDirectoryManager.read_metadata(model)
    run_dir = LogDirectoryManager.create_run_logs(
        given.correlation_id, 1, given.mode, given.strategy, given.capital, out
    )
    files = EventFiles(run_dir / EVENTS_FOLDER, _STEMS, segment)
    waiting: list[list[bytes]] = [[] for _ in _STEMS]
    sequence, order, moment = 0, "", ""
    for copy in range(copies):
        for line, at in zip(lines, times, strict=True):
            text = _moved(line, at + copy * ticks * _TICK, sequence, copy * ticks)
            waiting[line.file].append(text)
            sequence += 1
            if not sequence % SEAL_EVENTS:
                _write(files, waiting, sequence)
            if line.file == _ORDERS and copy >= copies // 2 and not order:
                order = re.findall(r'"operation_id":"([^"]+)"', _text(text))[0]
                moment = f"{at + copy * ticks * _TICK:%Y-%m-%dT%H:%M:%SZ}"
        _write(files, waiting, sequence)
        if problems := pack_rest(run_dir):
            raise problems[0]
    files.close()
    LogDirectoryManager.finish(run_dir, RunStatus.COMPLETED)
    return Made(run_dir, sequence, order, moment)


def _model(folder: Path) -> Iterator[Line]:
    """The lines of a run; its first order has failed."""
    for file, stem in enumerate(_STEMS):
        text = b"".join(path.read_bytes() for path in segments(folder, stem))
        if file == _ORDERS:
            text = text.replace(b'"status":"confirmed"', b'"status":"failed"', 1)
            text = text.replace(b'"error_code":null', b'"error_code":"EXEC-004"', 1)
        for line in text.splitlines(keepends=True):
            sequence = re.findall(rb'"sequence":(\d+),"real_utc_time"', line)[0]
            yield Line(int(sequence), file, _MOVED.split(line))


def _moved(line: Line, at: datetime, sequence: int, ticks: int) -> bytes:
    pieces = line.pieces.copy()
    pieces[1] = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    for place in range(3, len(pieces), 2):
        is_number = pieces[place - 1].endswith(b'"sequence":')
        pieces[place] = b"%d" % sequence if is_number else b"%06d" % (int(pieces[place]) + ticks)
    return b"".join(pieces)


def _write(files: EventFiles, waiting: list[list[bytes]], sequence: int) -> None:
    for file, lines in enumerate(waiting):
        if lines:
            files.put((file, b"".join(lines), len(lines)))
            lines.clear()
    files.put_seal(sequence)
    files.write()


def _text(text: bytes) -> str:
    return text.decode()


if __name__ == "__main__":
    report("Questions to a log of ten million events.", measure)
