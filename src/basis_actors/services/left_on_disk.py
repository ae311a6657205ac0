"""Says what the state of a mode tells of what is open where no process has it. No exchange is asked, and nothing is
changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from basis_actors.actors.start_watch import StartWatch, cut_groups
from basis_actors.config import RunConfig
from basis_actors.messages.safety import UndecidedOrder
from basis_actors.messages.stops import StopKind
from basis_actors.services.control.left_behind import last_seen
from basis_actors.services.live_setup import JOURNAL_FILE
from basis_actors.services.state import idle_state
from basis_actors.venues.journal.reading import journal_at_rest
from basis_actors.venues.live.left_orders import undecided_orders
from basis_actors.venues.live.unprotected import without_stops

__all__ = ["LeftOnDisk", "left_on_disk"]


class LeftOnDisk(NamedTuple):
    """What earlier processes have left, as the end of a process tells it of itself."""

    undecided: tuple[UndecidedOrder, ...]
    cut_groups: tuple[str, ...]
    left_open: Mapping[str, float]
    left_open_at: datetime | None
    without_stops: Mapping[str, tuple[StopKind, ...]]


async def left_on_disk(run: RunConfig, root: Path) -> LeftOnDisk | None:
    """None where no process has traded on accounts. Raises BasisError ENGINE-001 where a process has the state, which
    knows better, ENGINE-004 for a journal that cannot be read."""
    path = root / run.mode.mode
    if not (path / JOURNAL_FILE).exists():
        return None
    with idle_state(path):
        journal, seen = journal_at_rest(path / JOURNAL_FILE), last_seen(path, on_accounts=True)
        held = {} if seen is None or seen.positions is None else seen.positions
        watch = StartWatch(journal, run.share_class.currency, held, None if seen is None else seen.at)
        return LeftOnDisk(
            await undecided_orders(journal),
            await cut_groups(journal),
            watch.exposed,
            watch.held_at,
            await without_stops(journal),
        )
