"""Keeps the record of one run: its directory, its logs, what it began with, how it ended, and the summary."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec

from basis_actors.actors.engine import Engine
from basis_actors.bus import BusFailed
from basis_actors.config import ExchangeVenue, RunConfig
from basis_actors.config.effective import yaml_text
from basis_actors.config.environment import secret_values
from basis_actors.config.plugins import place_outside
from basis_actors.errors import BasisError
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.directory import LogDirectoryManager, RunKind, RunStatus
from basis_actors.logs.redaction import Redactor
from basis_actors.logs.retention import pack_rest
from basis_actors.logs.run_lock import RunLock
from basis_actors.logs.wall_clock import fixed_clock, system_clock
from basis_actors.messages.safety import Latch
from basis_actors.results.accumulator import RunStatistics
from basis_actors.results.data_report import RunDataReport, data_report
from basis_actors.results.report.writing import write_whole
from basis_actors.results.run_files import CONFIG_FILE, DATA_REPORT_FILE, SUMMARY_FILE, pretty_json
from basis_actors.results.summary import RunContext, RunSummary, summarise
from basis_actors.services.anchor import Anchor
from basis_actors.services.preparation import Prepared
from basis_actors.services.verdict import failure_of, left_wrong, stop_text
from basis_actors.times import ns_from_utc, utc_from_ns

__all__ = ["RunRecord"]

_CENT = 0.01


class RunRecord:
    """One run on disk, from the moment before its first tick to its summary.

    `statistics` and `components` are for the event logger, which fills them.
    """

    def __init__(self, prepared: Prepared, kind: RunKind, *, real_time: bool = False) -> None:
        """Makes the run directory, writes down what the run starts from, and opens its logs. The market of one in
        `real_time` goes on while a tick is at work.

        Raises BasisError LOG-003 when that is not possible.
        """
        request, run = prepared.request, prepared.run
        self._prepared = prepared
        self._kind = kind
        self.pid = 0 if request.fixed_clock else os.getpid()
        self.clock = fixed_clock if request.fixed_clock else system_clock
        name = request.correlation_id
        self.correlation_id = _new_name(run.mode.mode) if name is None else name
        """Name of the run."""
        self._unpacked: tuple[str, ...] = ()
        """What kept segments of the log from being packed."""
        self._notes: list[str] = []
        self._held = self._ended = False
        limits = run.mode.risk_limits
        self.statistics = RunStatistics(limits.max_delta_drift if prepared.strategy.hedged else None)
        self.run_dir = LogDirectoryManager.create_run_logs(
            self.correlation_id,
            self.pid,
            run.mode.mode,
            run.mode.strategy,
            prepared.capital,
            request.out,
            currency=run.share_class.currency,
            config_hash=prepared.config_hash,
            data_origin=prepared.dataset.origin,
            data_hashes=prepared.dataset.hashes | prepared.strategy.input_hashes,
            options=_options(prepared, real_time=real_time),
            kind=kind,
            keeps_events=request.write_events,
            clock=self.clock,
        )
        """Where the logs are."""
        self._data = _data_report(prepared)
        try:
            self.inputs = self._write_inputs()
            """Their sha256, by name, for the seals of the event log."""
            self.components = ComponentLogs(
                self.run_dir,
                self.correlation_id,
                self.pid,
                level=request.log_level,
                secrets=secret_values(),
                clock=self.clock,
                segment_bytes=run.mode.component_config.log_keeper.segment_bytes,
            )
            self._lock = RunLock(self.run_dir)
            self._anchor = Anchor(self.run_dir)
        except BasisError as error:
            LogDirectoryManager.finish(self.run_dir, RunStatus.FAILED, failure=str(error), clock=self.clock)
            raise

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the lock of the run directory until the end of this also if the run ends before: nobody deletes it."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._ended:
                self._lock.release()

    def note(self, caution: str) -> None:
        """Have the summary say something that its owner should know."""
        self._notes.append(self.components.redactor.text(caution))

    def lost(self) -> str | None:
        """What became of the run directory; None while it is in its place."""
        return self._anchor.lost()

    def abandon(self, failure: str) -> None:
        """The run cannot begin."""
        self.components.close()
        self._release()
        LogDirectoryManager.finish(self.run_dir, RunStatus.FAILED, failure=failure, clock=self.clock)

    def finish(
        self,
        engine: Engine,
        error: BaseException | None,
        seconds: float,
        cancelled: str | None,
        latch: Latch | None = None,
    ) -> RunSummary:
        """Sum up, write the end down, and raise what is not a failure of the run but an order to stop. `latch` is what
        a process with a kill switch leaves behind."""
        lost = self.lost()
        self._unpacked = () if lost else tuple(str(problem) for problem in pack_rest(self.run_dir))
        status, failure = self._verdict(engine, error, cancelled, latch)
        if lost is not None:
            status = RunStatus.FAILED
            failure = f"LOG-001: {lost}; what this run has logged is lost; {failure or 'the run had ended'}"
        failure, stopped = self._shown(failure), self._shown(stop_text(engine.stopped))
        summary = summarise(self.statistics, self._context(status, failure, stopped, seconds))
        for write in (self._write_summary, self._write_metadata) if lost is None else ():
            try:
                write(summary, status, failure)
            except (OSError, BasisError) as problem:
                status, failure = RunStatus.FAILED, self._shown(f"{failure or 'the run had ended'}; then {problem}")
                summary = summarise(self.statistics, self._context(status, failure, stopped, seconds))
        if lost is not None:
            self.components.close()
        self._release()
        if error is not None and not isinstance(error, Exception | SystemExit):
            raise error
        return summary

    def _release(self) -> None:
        self._ended = True
        self._anchor.close()
        if not self._held:
            self._lock.release()

    def _shown(self, text: str | None) -> str | None:
        """What may leave the process: an exception quotes whatever its thrower put in."""
        return None if text is None else self.components.redactor.text(text)

    def _write_inputs(self) -> dict[str, str]:
        """Write configuration and data report down before the first tick, so that a run that is killed has them."""
        values = Redactor(secret_values()).value(self._prepared.effective)
        inputs = {CONFIG_FILE: yaml_text(values).encode(), DATA_REPORT_FILE: pretty_json(self._data)}
        try:
            for name, content in inputs.items():
                _write(self.run_dir / name, content)
        except OSError as error:
            raise BasisError(
                "LOG-003",
                f"run directory {self.run_dir} cannot be written to: {error}; free space or choose another log folder",
            ) from error
        return {name: sha256(content).hexdigest() for name, content in inputs.items()}

    def _write_summary(self, summary: RunSummary, status: RunStatus, failure: str | None) -> None:
        path = self.run_dir / SUMMARY_FILE
        try:
            self.components.announce("run ended", status=status.value, failure=failure)
            write_whole(path, pretty_json(msgspec.structs.replace(summary, run_dir=".")))
        finally:
            self.components.close()

    def _write_metadata(self, _summary: RunSummary, status: RunStatus, failure: str | None) -> None:
        LogDirectoryManager.finish(self.run_dir, status, failure=failure, clock=self.clock)

    def _verdict(
        self, engine: Engine, error: BaseException | None, cancelled: str | None, latch: Latch | None
    ) -> tuple[RunStatus, str | None]:
        if isinstance(error, Exception | SystemExit):
            return RunStatus.FAILED, _reason(error)
        if error is not None:
            return RunStatus.PARTIAL, f"interrupted by {type(error).__name__}"
        if not engine.finished:
            if cancelled is not None and self._kind is RunKind.BACKTEST:
                return RunStatus.PARTIAL, cancelled
            if cancelled is None:
                return RunStatus.FAILED, "the run ended before its last tick; look at system_errors.jsonl"
        if self._kind is RunKind.LIVE and cancelled is not None:
            failure = left_wrong(engine.stopped, latch)
        else:
            failure = failure_of(self.statistics, engine.stopped)
        return (RunStatus.COMPLETED, None) if failure is None else (RunStatus.FAILED, failure)

    def _cautions(self) -> tuple[str, ...]:
        """What the owner should know: costs left out, money asked back and not paid."""
        prepared, last = self._prepared, self.statistics.last
        cautions = ["frictionless: no fees, no gas, no impact"] if prepared.request.frictionless else []
        cautions.extend(self._notes)
        cautions.extend(self._unpacked)
        if self.components.lost:
            cautions.append(f"{self.components.lost:,} lines of component logs could not be written")
        asked = sum(flow.amount for flow in prepared.flows[1:])
        unpaid = (0.0 if last is None else last.external_flows) - asked
        if unpaid > _CENT:
            currency = prepared.run.share_class.currency
            cautions.append(f"withdrawals of {unpaid:,.2f} {currency} were asked for and not paid")
        return tuple(cautions)

    def _context(self, status: RunStatus, failure: str | None, stopped: str | None, seconds: float) -> RunContext:
        prepared, request, last = self._prepared, self._prepared.request, self.statistics.last
        share_class = prepared.run.share_class
        # What is missing after the last tick that was run has nothing to do with what came out.
        report = None if last is None else prepared.report_until(ns_from_utc(last.timestamp))
        return RunContext(
            mode=prepared.run.mode.mode,
            share_class=share_class.name,
            currency=share_class.currency,
            decimals=share_class.decimals,
            correlation_id=self.correlation_id,
            run_dir=str(self.run_dir),
            seconds=0.0 if request.fixed_clock else seconds,
            partial=status is not RunStatus.COMPLETED,
            failure=failure if status is RunStatus.FAILED else None,
            stopped=stopped,
            runtime=request.runtime,
            data_origin=prepared.dataset.origin,
            synthetic_seed=prepared.dataset.seed,
            data_gaps={} if report is None else report.gap_hours,
            missed_funding={} if report is None else {perp: n for perp, n in report.missed_funding.items() if n},
            warnings=self._cautions(),
            proxies=self._data.stand_ins,
        )


def _reason(error: Exception | SystemExit) -> str:
    """What a person is told of a failure: a coded error says what was wrong itself, any other needs to be placed."""
    if isinstance(error, SystemExit):
        return f"SystemExit: {error} ({place_outside(error)}) left the program instead of answering"
    cause = error.__cause__ if isinstance(error, BusFailed) else None
    text = str(cause if isinstance(cause, BasisError) else error) or type(error).__name__
    place = place_outside(cause or error)
    return text if place is None else f"{text} ({place})"


def _new_name(mode: str) -> str:
    """A name for a run that nobody named: readable, sortable, and not used before."""
    return f"{mode}-{system_clock():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _data_report(prepared: Prepared) -> RunDataReport:
    report = prepared.report_until(None)
    return data_report(
        report,
        prepared.dataset,
        followed=prepared.strategy.input_hashes,
        borrowed=tuple(_borrowed_brackets(prepared.run, report.missed_funding)),
    )


def _borrowed_brackets(run: RunConfig, perps: Iterable[str]) -> Iterator[str]:
    """Which of these perps are margined by the table of another venue."""
    for perp in perps:
        name, symbol = perp.split(":")
        venue = run.venues[name]
        pair = symbol.removesuffix("-PERP")
        asset = pair.removesuffix("USD")
        if not isinstance(venue, ExchangeVenue):
            continue
        section = venue.perp if asset == pair else venue.inverse_perp
        owner = None if section is None else section.markets[asset].brackets_from
        if owner is not None:
            yield f"{perp} brackets: those of {owner if asset == pair else f'{owner}:{asset}-PERP'}"


def _options(prepared: Prepared, *, real_time: bool) -> dict[str, object]:
    """How the run was asked for, beside its configuration."""
    request, end = prepared.request, prepared.ends_ns
    return {
        "start": utc_from_ns(prepared.begins_ns),
        "end": None if end is None else utc_from_ns(end),
        "data": None if request.data is None else str(request.data.resolve()),
        "runtime": request.runtime,
        "real_time": real_time,
        "frictionless": request.frictionless,
        "seed": prepared.dataset.seed,
        "flows": [(flow.timestamp, flow.amount) for flow in prepared.flows],
        "overlays": [str(file) for file in request.overlays],
        "settings": list(request.settings),
        "scenario": None if request.scenario is None else request.scenario.name,
    }
