"""Defines the files that a run writes beside its log, and reads them back: summary, configuration, data report.

They lie in the run directory and, under the same names, in its result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.results.data_report import RunDataReport
from basis_actors.results.summary import RunSummary

__all__ = [
    "CONFIG_FILE",
    "DATA_REPORT_FILE",
    "SUMMARY_FILE",
    "pretty_json",
    "read_config",
    "read_data_report",
    "read_summary",
    "require_file",
]

SUMMARY_FILE: Final = "summary.json"
CONFIG_FILE: Final = "config.yaml"
DATA_REPORT_FILE: Final = "data_report.json"

S = TypeVar("S", bound=msgspec.Struct)


def pretty_json(value: msgspec.Struct) -> bytes:
    """A struct as the text of a JSON file."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def read_summary(folder: Path) -> RunSummary:
    """The summary in a run directory or result. Raises BasisError LOG-003 without one, LOG-004 for another form."""
    return _read(folder / SUMMARY_FILE, RunSummary)


def read_data_report(folder: Path) -> RunDataReport:
    """The data report in a run directory or result. Errors as in `read_summary`."""
    return _read(folder / DATA_REPORT_FILE, RunDataReport)


def read_config(folder: Path) -> dict[str, Any]:
    """The effective configuration in a run directory or result: `mode`, `venues`, `share_class`.

    Secrets in it are redacted. Raises BasisError LOG-003 when there is none, ConfigError when it is not YAML.
    """
    from basis_actors.config.documents import read_document

    path = folder / CONFIG_FILE
    require_file(path)
    return read_document(path, str(path)).values


def require_file(path: Path) -> None:
    """Raise BasisError LOG-003 when a file that every run writes is not there."""
    if not path.is_file():
        raise _absent(path, "no such file")


def _read(path: Path, form: type[S]) -> S:
    try:
        return msgspec.json.decode(path.read_bytes(), type=form)
    except OSError as error:
        raise _absent(path, error.strerror or str(error)) from error
    except UNREADABLE as error:
        raise BasisError(
            "LOG-004", f"{path} cannot be read: {error}; expected the {path.stem} of a run as this version writes it"
        ) from error


def _absent(path: Path, why: str) -> BasisError:
    return BasisError(
        "LOG-003",
        f"{path} cannot be read: {why}; expected a file that every run writes: it was killed before its end, or written"
        " by an earlier version",
    )
