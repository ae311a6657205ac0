"""Shows a run as pandas objects, read from its event log when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import DomainEvent, PnLCalculation, PositionSnapshot

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunFrames"]


class RunFrames:
    """Tables of one run. Nothing is read before it is asked for, and nothing is kept.

    Amounts are in the share class, times are those of the engine (UTC).
    """

    def __init__(self, run_dir: Path) -> None:
        self.log = EventLog(run_dir)

    @property
    def equity(self) -> pd.Series[Any]:
        """Equity at the end of each tick."""
        series = self.log.series(PnLCalculation, "equity")
        return series[~series.index.duplicated(keep="last")]

    @property
    def attribution(self) -> pd.DataFrame:
        """PnL of each tick by component, its orders included; the components sum to the PnL but for the residual."""
        table = self.log.table(PnLCalculation, "attribution").fillna(0.0)
        return table.groupby(level=0).sum()

    @property
    def positions(self) -> pd.DataFrame:
        """The ledger at the end of each tick, a column for each position key; 0 where a position is not held."""
        table = self.log.table(PositionSnapshot, "positions").fillna(0.0)
        return table[~table.index.duplicated(keep="last")]

    def events(self, kind: type[DomainEvent]) -> pd.DataFrame:
        """Every event of one type, one row each."""
        return self.log.frame(kind)
