"""Gives what a result holds: numbers, configuration, data report, and its tables as pandas objects."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_actors.errors import BasisError
from basis_actors.logs.directory import RunMetadata
from basis_actors.messages.events import DomainEvent
from basis_actors.results.building import PARQUET_FOLDER
from basis_actors.results.data_report import RunDataReport
from basis_actors.results.equity import EQUITY_FILE
from basis_actors.results.run_files import read_config, read_data_report
from basis_actors.results.summary import RunSummary

if TYPE_CHECKING:
    import pandas as pd

    from basis_actors.results.store import StoredResult

__all__ = ["LoadedResult"]


class LoadedResult:
    """One result. Tables are read when they are asked for, and none is kept."""

    def __init__(self, stored: StoredResult) -> None:
        self.id: str = stored.id
        self.path: Path = stored.path
        self.summary: RunSummary = stored.summary
        self.metadata: RunMetadata = stored.metadata
        self.run_dir: Path = stored.run_dir
        """The log, for `EventLog` and `RunFrames`."""

    @cached_property
    def config(self) -> dict[str, Any]:
        """The effective configuration. Errors as in `read_config`."""
        return read_config(self.path)

    @cached_property
    def data_report(self) -> RunDataReport:
        """What the run knew of the market. Errors as in `read_summary`."""
        return read_data_report(self.path)

    @property
    def equity(self) -> pd.DataFrame:
        """Equity, index, drawdown and external flows at the end of each tick (UTC), and the index at 00:00 UTC.

        `results.equity.write_equity` says what each is. Raises BasisError LOG-003.
        """
        import pandas as pd

        path = self.path / EQUITY_FILE
        try:
            return pd.read_csv(path, index_col="timestamp", parse_dates=["timestamp"])
        except (OSError, ValueError) as error:  # what pandas finds wrong with a text is a ValueError
            raise _unreadable(path, error) from error

    def events(self, kind: type[DomainEvent]) -> pd.DataFrame:
        """Every event of one type, a row each, by engine time; mappings are dictionaries. Raises BasisError LOG-003."""
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        path = self.path / PARQUET_FOLDER / f"{kind.FILE}.parquet"
        try:
            frame: pd.DataFrame = pq.read_table(path).to_pandas(maps_as_pydicts="strict")
            return frame.set_index("timestamp")
        except (OSError, ValueError, KeyError) as error:  # what Arrow finds wrong with a file is a ValueError
            raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> BasisError:
    return BasisError(
        "LOG-003",
        f"{path} cannot be read: {error}; the result is not as it was made: delete it, and make it again with"
        " `basis-actors results make`",
    )
