"""Defines the error-code registry and the exceptions that carry its codes.

Every failure a person can see names a code from `REGISTRY`; its severity says how bad it is. Logged or as the end of an
order: CRITICAL stops trading, HIGH means that something was not done, MEDIUM that work goes on, LOW warns. Raised by an
actor any of them ends the run. `error_guide` says of each code what follows and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

__all__ = [
    "REGISTRY",
    "UNREADABLE",
    "AuthFailed",
    "BasisError",
    "ConfigError",
    "DataError",
    "ErrorCode",
    "JournalError",
    "LeftAlone",
    "LevelPassed",
    "Rejected",
    "Severity",
    "Transient",
    "UnknownOutcome",
    "VenueError",
    "severity_of",
]

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for a text that is not what it should be: another form, bytes that are no UTF-8, or brackets
within brackets without end."""


class Severity(StrEnum):
    """How bad an error is, and so what is done about it."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One row of the registry: the code, how severe it is, and what it means in a few words."""

    code: str
    severity: Severity
    meaning: str


_UNUSED: Final = "-"
"""In place of a meaning: a number that means nothing here, and is kept from meaning something else."""


def _family(prefix: str, rows: str) -> dict[str, ErrorCode]:
    letters = {"L": Severity.LOW, "M": Severity.MEDIUM, "H": Severity.HIGH, "C": Severity.CRITICAL}
    family = {}
    for number, row in enumerate(rows.split("|"), start=1):
        if row.strip() == _UNUSED:
            continue
        meaning, letter = row.strip().rsplit(" ", 1)
        code = f"{prefix}-{number:03d}"
        family[code] = ErrorCode(code, letters[letter], meaning)
    return family


REGISTRY: Final[dict[str, ErrorCode]] = {
    **_family(
        "POS",
        "position update failed H | invalid position key M | position calculation error H | negative position H"
        " | reconciliation mismatch C",
    ),
    **_family(
        "EXP",
        "exposure calculation failed H | - | positions unavailable H",
    ),
    **_family(
        "RISK",
        "limit breached H | health factor failed H | LTV above threshold H | margin call H | liquidation C"
        " | assessment failed H | order limit H | kill switch H",
    ),
    **_family(
        "PNL",
        "PnL calculation failed H | - | price missing H | attribution failed H | residual above tolerance M",
    ),
    **_family(
        "STRAT",
        "decision failed H | expected deltas failed H | invalid mode C | invalid order M | -"
        " | market data stale or not yet known M",
    ),
    **_family(
        "EXEC",
        "order execution failed H | venue interface unavailable C | invalid order format M | order validation failed M"
        " | reconciliation timeout C | atomic group rollback H | position mismatch after execution C"
        " | execution handshake invalid H | below the minimum of the venue M",
    ),
    **_family(
        "VEN",
        "routing failed H | timeout, outcome unknown H | unavailable C | venue not configured M"
        " | authentication failed C | rate limited M | trade or payment of somebody else M"
        " | halted H | account shows what nothing explains H | stop that protects a position H",
    ),
    **_family(
        "ENGINE",
        "initialisation failed C | component failed H | inconsistent state C | unrecoverable C | ticks missed M"
        " | state cannot be written C",
    ),
    **_family("LOG", "write failed H | buffer overflow H | directory C | serialisation M | rotation M | question M"),
    **_family(
        "DATA",
        "fetch failed H | validation failed H | source unavailable H",
    ),
    **_family("MON", "monitoring port closed M | alert undelivered M"),
    **_family("CONFIG", "invalid mode C | missing key C | validation C | venue invalid C"),
}


def severity_of(code: str) -> Severity:
    """The registered severity of `code`; KeyError for a code that is not in the registry."""
    return REGISTRY[code].severity


class BasisError(Exception):
    """A failure with a registered code. Its text is `CODE: what, where, what was expected, what to do`."""

    def __init__(self, code: str, message: str) -> None:
        if code not in REGISTRY:
            raise KeyError(f"error code {code!r} is not in the registry (basis_actors.errors.REGISTRY)")
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    @property
    def severity(self) -> Severity:
        """The registered severity of this error's code."""
        return REGISTRY[self.code].severity


class ConfigError(BasisError):
    """Configuration that cannot be used; the message names file, key path, what was expected, the nearest key."""


class DataError(BasisError):
    """A series that is missing or not usable; the message names file, row and what was expected."""


class VenueError(BasisError):
    """A venue did not do what was asked. The subclass says whether the order may be sent again."""


class Rejected(VenueError):
    """The venue definitely refused: nothing happened, and the same order is never sent again."""


class LevelPassed(Rejected):
    """A stop is not taken because the market is beyond its level already: it would have fired."""


class Transient(VenueError):
    """The venue definitely did nothing, for a reason that passes: the same order may be sent again.

    `wait_seconds` is how long the venue wants to be left alone before that, as far as it is known.
    """

    def __init__(self, code: str, message: str, wait_seconds: float = 0.0) -> None:
        super().__init__(code, message)
        self.wait_seconds = wait_seconds


class LeftAlone(Transient):
    """The venue wants to be left alone until a time, so nothing was sent, or what was sent was not carried out.

    `until_ns` is that time, nanoseconds UTC.
    """

    def __init__(self, code: str, message: str, wait_seconds: float, until_ns: int) -> None:
        super().__init__(code, message, wait_seconds)
        self.until_ns = until_ns


class JournalError(Transient):
    """What has to be on disk before something is sent is not, so it was not sent: it may be once the disk takes it."""


class UnknownOutcome(VenueError):
    """Nobody knows whether it happened: never resent, only resolved by asking the venue."""


class AuthFailed(VenueError):
    """The venue does not accept the credentials: it is halted, nothing is sent there."""
