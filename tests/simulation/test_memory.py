"""Stories leave nothing behind: however many are told, memory holds one."""

from __future__ import annotations

import gc

from basis_actors.bus import SimBus
from basis_actors.services.simulation.telling import setting_of, tell


def buses() -> list[SimBus]:
    """Every one that is alive, those that other tests have left included."""
    for _ in range(3):
        gc.collect()  # what a coroutine does at its end may keep it for one more turn
    return [thing for thing in gc.get_objects() if type(thing) is SimBus]


def test_what_is_told_is_forgotten() -> None:
    before = buses()
    reports = list(tell(setting_of("btc_basis", 48), range(6)))
    assert sum(report.kills for report in reports) > 0, "what is killed leaves questions without an answer"
    assert sum(report.processes - report.kills for report in reports) > 0
    assert len(buses()) == len(before)
