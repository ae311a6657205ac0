"""Reads moments and flows in the forms in which people give them. A time without a zone is UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path

from basis_actors.errors import ConfigError
from basis_actors.messages.book import Flow

__all__ = ["FlowsLike", "Moment", "flows_from_file", "flows_of", "moment_of", "parse_flow"]

Moment = str | date | datetime
"""`2024-01-01` (00:00 UTC), `2024-01-01T08:00`, the same with `Z` or an offset, a date or a datetime."""

FlowsLike = Iterable[Flow | tuple[Moment, float]] | Mapping[Moment, float]
"""Deposits (> 0) and withdrawals (< 0) in tokens of the share class, with their times."""

_HEADER = ("timestamp", "amount")


def moment_of(given: Moment, what: str) -> datetime:
    """The aware UTC datetime of a moment. Raises ConfigError CONFIG-003, naming `what`, for what is no moment."""
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given.strip())
        except ValueError as error:
            raise ConfigError(
                "CONFIG-003",
                f"{what} {given!r} is no time ({error}); expected UTC such as 2024-01-01, 2024-01-01T08:00 or"
                " 2024-01-01T08:00Z",
            ) from None
    if not isinstance(given, datetime):
        given = datetime.combine(given, time())
    try:
        return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except OverflowError:
        raise ConfigError("CONFIG-003", f"{what} {given} is not between the years 1 and 9999 in UTC") from None


def parse_flow(text: str, where: str, separator: str = "=") -> Flow:
    """The flow that `2024-03-01T00:00=5000` stands for. Raises ConfigError CONFIG-003 naming `where`."""
    at, found, amount = text.partition(separator)
    try:
        if not found:
            raise ValueError(f"there is no {separator!r}")
        tokens = float(amount)
    except ValueError as error:
        raise ConfigError(
            "CONFIG-003",
            f"{where}: {text!r} is no flow ({error}); expected time{separator}amount such as"
            f" 2024-03-01T00:00{separator}5000, an amount below 0 for a withdrawal",
        ) from None
    return Flow(moment_of(at, f"{where}: time"), tokens)


def flows_from_file(path: Path) -> list[Flow]:
    """Flows of a file with one `timestamp,amount` a line; a header, blank lines and lines with `#` are passed over.

    Raises ConfigError CONFIG-003 naming file and line.
    """
    if not path.exists() and _is_time(str(path)):
        raise ConfigError(
            "CONFIG-003",
            f"flow {str(path)!r} has a time and no amount; expected time=amount such as {path}=5000, an amount below 0"
            " for a withdrawal, or a file of such lines",
        )
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("CONFIG-003", f"file of flows {path} cannot be read: {error}") from error
    flows = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text or tuple(part.strip().lower() for part in text.split(",")) == _HEADER:
            continue
        flows.append(parse_flow(text, f"{path}, line {number}", "," if "," in text else "="))
    return flows


def _is_time(text: str) -> bool:
    try:
        moment_of(text, "time")
    except ConfigError:
        return False
    return True


def flows_of(given: FlowsLike) -> tuple[Flow, ...]:
    """Flows given in Python. Raises ConfigError CONFIG-003 for what is no moment."""
    rows = given.items() if isinstance(given, Mapping) else given
    return tuple(row if isinstance(row, Flow) else Flow(moment_of(row[0], "flow at"), float(row[1])) for row in rows)
