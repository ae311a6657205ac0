"""Holds a run against its own log: the replay of the ledger, and every number of its summary counted once more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from basis_actors.errors import BasisError
from basis_actors.logs.directory import METADATA_FILE, RESULT_LOGS, LogDirectoryManager, RunKind, RunMetadata, RunStatus
from basis_actors.logs.integrity import Finding, check_inputs
from basis_actors.logs.replay import ENDED, Replay, replay
from basis_actors.results.accumulator import RunStatistics
from basis_actors.results.report.effective import read_effective
from basis_actors.results.run_files import SUMMARY_FILE, read_summary
from basis_actors.results.summary import RunContext, RunSummary, summarise

__all__ = ["verify"]


def verify(run_dir: Path) -> Replay:
    """Replay a run, and compare its summary with what its events come to; that of the result it lies in as well.

    What only the run knew is believed: how long it took, what was missing in its data; a result has to say the same.
    Raises as `replay`.
    """
    run_dir = Path(run_dir)
    statistics = RunStatistics(_delta_band(run_dir))
    found = replay(run_dir, statistics.observe)
    metadata = LogDirectoryManager.read_metadata(run_dir)
    result = run_dir.resolve().parent if run_dir.resolve().name == RESULT_LOGS else None
    if result is not None:
        found = replace(found, findings=[*found.findings, *check_inputs(result, found.inputs, "../")])
    wrong: list[Finding] = [*_ended_early(metadata, statistics)]
    own = _read(run_dir, SUMMARY_FILE, wrong) if found.has_summary else None
    if found.lost:
        unchecked = f"{SUMMARY_FILE} counts events that are lost: it was not held against the log"
        return replace(found, notes=[*found.notes, unchecked])
    if own is not None:
        wrong += _contradictions(SUMMARY_FILE, own, _expected(own, metadata, statistics))
    if result is not None:
        name = f"../{SUMMARY_FILE}"
        copy = _read(result, name, wrong)
        if copy is not None:
            expected = _expected(own or copy, metadata, statistics)
            wrong += _contradictions(name, copy, replace(expected, run_dir=RESULT_LOGS, result_dir="."))
    if metadata.status in ENDED:
        return replace(found, findings=[*found.findings, *wrong])
    return replace(found, notes=[*found.notes, *(f"{finding.where} {finding.what}" for finding in wrong)])


def _ended_early(metadata: RunMetadata, statistics: RunStatistics) -> Iterator[Finding]:
    """A backtest is complete with the last tick that it was asked for; a live run when somebody stops it."""
    asked, last = metadata.options.get("end"), statistics.last
    if metadata.status is not RunStatus.COMPLETED or metadata.kind is not RunKind.BACKTEST or not asked or last is None:
        return
    if datetime.fromisoformat(asked) != last.timestamp:
        yield Finding(
            "summary",
            METADATA_FILE,
            f"says that the run is {metadata.status}; it was to end at {asked}, and its last tick is"
            f" {_written(last.timestamp)}",
        )


def _delta_band(run_dir: Path) -> float | None:
    """Of the configuration; None where it cannot be read, which then shows."""
    try:
        effective = read_effective(run_dir)
    except BasisError:
        return None
    return None if effective is None else effective.mode.risk_limits.max_delta_drift


def _read(folder: Path, name: str, wrong: list[Finding]) -> RunSummary | None:
    try:
        return read_summary(folder)
    except BasisError as error:
        wrong.append(Finding("summary", name, f"is no summary: {error.message}"))
        return None


def _contradictions(name: str, stated: RunSummary, expected: RunSummary) -> Iterator[Finding]:
    for field in RunSummary.__struct_fields__:
        says, follows = getattr(stated, field), getattr(expected, field)
        if says != follows:
            yield Finding("summary", name, f"has {field} {_written(says)}; {_written(follows)} follows from the log")


def _written(value: object) -> str:
    """As in the file."""
    return msgspec.json.encode(value).decode()


def _expected(stated: RunSummary, metadata: RunMetadata, statistics: RunStatistics) -> RunSummary:
    """The summary that the log gives, with what only the run knew."""
    options = metadata.options
    expected = summarise(
        statistics,
        RunContext(
            mode=metadata.mode,
            share_class=stated.share_class,
            currency=metadata.currency or stated.currency,
            decimals=stated.decimals,
            correlation_id=metadata.correlation_id,
            run_dir=".",
            seconds=stated.seconds,
            partial=metadata.status is not RunStatus.COMPLETED,
            failure=stated.failure if metadata.status is RunStatus.FAILED else None,
            stopped=stated.stopped,
            runtime=options.get("runtime", stated.runtime),
            data_origin=metadata.data_origin or stated.data_origin,
            synthetic_seed=options.get("seed", stated.synthetic_seed),
            data_gaps=stated.data_gaps,
            missed_funding=stated.missed_funding,
            proxies=stated.proxies,
        ),
    )
    # The run's own words come before those that follow from the log; a mode that hedges nothing has no hours unhedged.
    own = max(len(stated.warnings) - len(expected.warnings), 0)
    return replace(
        expected,
        warnings=[*stated.warnings[:own], *expected.warnings],
        unhedged_hours=expected.unhedged_hours if stated.unhedged_hours is not None else None,
    )
