"""Writes component logs: one file a component, one JSON object a line, through structlog.

They carry lifecycle, warnings and errors; the facts of each tick are domain events. Nothing here is global: each run
has its own loggers, so runs in one process share no state.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Iterable, MutableMapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from basis_actors.errors import REGISTRY, BasisError, ConfigError, Severity
from basis_actors.logs.event_files import SEGMENT_BYTES
from basis_actors.logs.line_file import LineFile
from basis_actors.logs.redaction import Redactor
from basis_actors.logs.wall_clock import WallClock, system_clock
from basis_actors.messages.events import SystemErrorEvent

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["COMPONENTS", "LOG_LEVELS", "ComponentLogs"]

COMPONENTS: Final = (
    "position_monitor",
    "exposure_monitor",
    "risk_monitor",
    "pnl_monitor",
    "strategy_manager",
    "execution_manager",
    "position_update_handler",
    "venue_interface_manager",
    "event_logger",
    "engine",
)
"""Components whose files every run has from its start; others get theirs with their first line."""

LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")

_LEVEL_OF: Final = {
    Severity.LOW.value: "warning",
    Severity.MEDIUM.value: "warning",
    Severity.HIGH.value: "error",
    Severity.CRITICAL.value: "critical",
}


class ComponentLogs:
    """The component logs of one run.

    Every line has `timestamp` (wall clock, UTC), `level`, `component`, `correlation_id`, `pid`, `event` (what happened,
    in words), `error_code` and `severity` (null where there is no error), then whatever fields the caller adds.
    Secrets are taken out of all of it; `secrets` are values to look for besides what looks like one. A file that has
    `segment_bytes` is renamed to a numbered segment before its next line.

    Raises ConfigError CONFIG-003 for an unknown level, BasisError LOG-003 when the files cannot be made. A line that
    cannot be written raises BasisError LOG-001, unless somebody wants to be told of that: then it is left out.
    """

    def __init__(
        self,
        run_dir: Path,
        correlation_id: str,
        pid: int,
        *,
        level: str = "info",
        secrets: Iterable[str] = (),
        clock: WallClock = system_clock,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        if level.lower() not in LOG_LEVELS:
            raise ConfigError(
                "CONFIG-003", f"log level {level!r} (--log-level): expected one of {', '.join(LOG_LEVELS)}"
            )
        self.redactor = Redactor(secrets)
        self._run_dir = Path(run_dir)
        self._segment_bytes = segment_bytes
        self._level = level.lower()
        self._clock = clock
        self._context = {"correlation_id": correlation_id, "pid": pid}
        self.tell: Callable[[BasisError], object] | None = None
        """Told of the first line that could not be written; None where that is to be raised."""
        self._lost = 0
        self._closed = False
        self._files: dict[str, LineFile] = {}
        self._loggers: dict[str, FilteringBoundLogger] = {}
        for component in COMPONENTS:
            self.logger(component)

    def logger(self, component: str) -> FilteringBoundLogger:
        """The logger of one component: `logger.warning("what happened", field=value, error_code="EXEC-005")`."""
        logger = self._loggers.get(component)
        if logger is None:
            logger = self._loggers[component] = self._make(component)
        return logger

    def announce(self, event: str, **fields: Any) -> None:
        """Write an information line into the log of every component: the run starts, the run ends."""
        for logger in tuple(self._loggers.values()):
            logger.info(event, **fields)

    def error(self, event: SystemErrorEvent) -> None:
        """Write a domain error event into the log of the component it came from."""
        getattr(self.logger(event.component), _LEVEL_OF[event.severity])(
            event.message,
            error_code=event.error_code,
            severity=event.severity,
            engine_time=event.timestamp,
            operation_id=event.operation_id,
            stack_trace=event.stack_trace,
        )

    @property
    def lost(self) -> int:
        """Lines that were left out, as they could not be written."""
        return self._lost

    def close(self) -> None:
        """Close the files; closing again changes nothing."""
        self._closed = True
        while self._files:
            self._files.popitem()[1].close()
        self._loggers.clear()

    def _make(self, component: str) -> FilteringBoundLogger:
        import structlog

        stem = re.sub(r"[^A-Za-z0-9_-]", "_", component)
        if self.tell is None:
            self._open(stem)
        logger: FilteringBoundLogger = structlog.wrap_logger(
            _Lines(partial(self._write, stem)),
            processors=[_exception_text, self._complete(component), self.redactor, _as_json],
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
            context_class=dict,
            cache_logger_on_first_use=False,
        ).bind()
        return logger

    def _open(self, stem: str) -> LineFile:
        if self._closed:
            raise BasisError("LOG-001", f"component log {self._run_dir / stem}.log is closed")
        file = self._files.get(stem)
        if file is None:
            file = self._files[stem] = LineFile(self._run_dir, stem, self._segment_bytes)
        return file

    def _write(self, stem: str, line: bytes) -> None:
        try:
            self._open(stem).msg(line)
        except BasisError as error:
            if self.tell is None:
                raise
            self._lost += 1
            if self._lost == 1:
                self.tell(error)

    def _complete(self, component: str) -> Callable[[Any, str, Any], dict[str, Any]]:
        def complete(_logger: object, method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
            code = line.pop("error_code", None)
            severity = line.pop("severity", None)
            if severity is None and code in REGISTRY:
                severity = REGISTRY[code].severity.value
            return {
                "timestamp": self._clock(),
                "level": method,
                "component": component,
                **self._context,
                "event": line.pop("event"),
                "error_code": code,
                "severity": severity,
                **{key: value for key, value in line.items() if value is not None},
            }

        return complete


class _Lines:
    """The end of a structlog chain."""

    def __init__(self, msg: Callable[[bytes], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.exception = self.msg = msg


def _exception_text(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turn `exc_info` (an exception, or True for the one being handled) into `stack_trace`."""
    given = line.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given
    if isinstance(error, BaseException):
        line["stack_trace"] = "".join(traceback.format_exception(error))
        if isinstance(error, BasisError):
            line.setdefault("error_code", error.code)
    return line


def _as_json(_logger: object, _method: str, line: MutableMapping[str, Any]) -> bytes:
    return msgspec.json.encode(line, enc_hook=repr) + b"\n"
