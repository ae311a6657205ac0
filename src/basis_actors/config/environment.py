"""Defines where secrets stand, in the environment or in a file that it names, for those who read them and for those who
must not show them.
"""

from __future__ import annotations

import os
import stat
from io import StringIO
from typing import Final

from basis_actors.errors import ConfigError

__all__ = ["FILE", "NEXT", "PLAIN", "PREFIX", "file_variables", "secret_values"]

PREFIX: Final = "BASIS_ACTORS_"
NEXT: Final = "__"
"""Between the venue and the name of the secret."""
FILE: Final = f"{PREFIX}SECRETS_FILE"
"""Names a file with lines `NAME=value`, for variables that are not in the environment itself."""
PLAIN: Final = frozenset({FILE, f"{PREFIX}STATE"})
"""Variables with our prefix that hold no secret; the second is the folder of `kill`, `resume` and `status`."""
_SHORTEST: Final = 4
"""Characters. Anything shorter protects nothing, and hiding it would take words apart."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def file_variables() -> dict[str, str]:
    """Variables of the secrets file; none where the environment names no file.

    Raises ConfigError CONFIG-003 for a file that cannot be read, or that anybody but its owner may, and for a line that
    is none.
    """
    name = os.environ.get(FILE)
    if not name:
        return {}
    try:
        with open(name, encoding="utf-8", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            _require_private(name, status)
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError("CONFIG-003", f"{_called(name)} cannot be read: {reason}") from None
    return _parsed(name, text)


def secret_values() -> tuple[str, ...]:
    """Values of all variables `BASIS_ACTORS_<VENUE>__<NAME>`, also of those that no venue knows or that are incomplete.

    Whatever leaves the process is searched for them, whether or not anything reads them.
    """
    try:
        found = file_variables()
    except ConfigError:
        # Nobody has anything of it, so there is nothing of it to hide; who needs the file says what is wrong with it.
        found = {}
    return tuple(
        value
        for variables in (found, os.environ)
        for name, value in variables.items()
        if name.startswith(PREFIX) and NEXT in name and len(value) >= _SHORTEST
    )


def _without_waiting(name: str, flags: int) -> int:
    """Open a file; a pipe is refused rather than waited for."""
    return os.open(name, flags | os.O_NONBLOCK)


def _require_private(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("CONFIG-003", f"{_called(name)} is no plain file; one with lines NAME=value was expected")
    if status.st_uid not in (os.geteuid(), 0):
        text = f"{_called(name)} belongs to user {status.st_uid}; one of your own was expected"
        raise ConfigError("CONFIG-003", text)
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        text = f"{_called(name)} has mode {mode:04o}, so that others may read it; run chmod 600 {name}"
        raise ConfigError("CONFIG-003", text)


def _called(name: str) -> str:
    """No colon follows the variable or the path: what looks like the value of a secret is hidden on its way out."""
    return f"the file {name} that {FILE} names"


def _parsed(name: str, text: str) -> dict[str, str]:
    from dotenv.parser import parse_stream

    values = {}
    for line in parse_stream(StringIO(text)):
        if line.error or (line.key is not None and line.value is None):
            # Leading blank lines are counted to the line that they come before.
            number = line.original.line + len(line.original.string) - len(line.original.string.lstrip("\n"))
            raise ConfigError("CONFIG-003", f"{_called(name)} has in line {number} no NAME=value, which was expected")
        if line.key is not None:
            values[line.key] = line.value or ""
    return values
