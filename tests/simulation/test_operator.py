"""Who stops trading in stories: what is said to which process, what the latch on disk says then, and what is expected
of it afterwards.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from tests.simulation.settings import setting

from basis_actors.actors.latch_file import read_latch
from basis_actors.messages.safety import TradingState
from basis_actors.services.simulation.fate import Fate, Rates
from basis_actors.services.simulation.frail_journal import KilledWhileWriting
from basis_actors.services.simulation.operator import Person, Stop
from basis_actors.services.simulation.state_files import FrailStore, StateFiles
from basis_actors.services.simulation.stop_verdict import Stops, stop_verdict
from basis_actors.services.simulation.story import Story
from basis_actors.times import utc_from_ns

HOUR = 3600 * 10**9
NOW = 1_704_844_800 * 10**9
"""2024-01-10 00:00 UTC."""


class Desk:
    """A person, and the state directory of processes that come and go."""

    def __init__(self, **rates: float) -> None:
        self.ns = NOW
        self.files = StateFiles(lambda: self.ns)
        self.person = Person(Fate(Random(0), Rates.calm()._replace(**rates), 10**30))

    def latch(self) -> TradingState:
        return read_latch(self.files, utc_from_ns(self.ns)).state


@pytest.mark.parametrize(("where", "is_there"), [("killed before a write", False), ("killed after a write", True)])
def test_a_kill_strikes_before_a_file_is_written_or_after_it(where: str, is_there: bool) -> None:
    files = StateFiles(lambda: 7)
    store = FrailStore(files, lambda place: place == where)
    with pytest.raises(KilledWhileWriting):
        store.write("latch.json", b"x")
    assert files.read("latch.json") == (b"x" if is_there else None)
    assert files.written == ([(7, "latch.json", b"x")] if is_there else [])


def test_nobody_does_anything_in_a_calm() -> None:
    desk = Desk()
    for hour in range(1000):
        desk.person.look(NOW + hour * HOUR, stopped=False)
        desk.person.look_at_work(NOW + hour * HOUR)
    assert desk.person.plan is None


def test_who_finds_trading_stopped_lets_it_go_on_after_a_while() -> None:
    desk = Desk()
    desk.person.look(NOW, stopped=True)
    assert desk.person.plan is not None
    assert desk.person.plan.command == "resume"
    assert 0.5 * HOUR <= desk.person.plan.ns - NOW <= 12.0 * HOUR
    heard, unheard, again = NOW - HOUR, NOW + HOUR, NOW + 2 * HOUR
    desk.person.resumed += [heard, unheard, again]
    desk.person.refused(again, utc_from_ns(NOW))
    assert desk.person.resumed == [heard], "what a killed process did not hear let nothing go on"
    assert desk.person.plan.command == "resume"


@pytest.mark.parametrize("left", [0.0, 1.0])
def test_who_stops_trading_may_leave_it_at_that(left: float) -> None:
    desk = Desk(killed_at_work=1.0, left_stopped=left)
    desk.person.look_at_work(NOW)
    assert desk.person.plan is not None
    assert 0 <= desk.person.plan.ns - NOW <= 5 * 10**9
    desk.person.stopped(NOW, flatten=True)
    assert (desk.person.stops, desk.person.plan) == ([Stop(NOW, flatten=True)], None)
    desk.person.look(NOW, stopped=True)
    assert (desk.person.plan is None) is bool(left)


def test_a_kill_that_finds_no_process_is_for_the_next_and_a_resume_waits_for_it() -> None:
    desk = Desk(killed_by_hand=1.0)
    desk.person.look(NOW, stopped=False)
    assert desk.person.plan is not None
    desk.person.act_alone(desk.files, desk.person.plan.ns - 1)
    assert desk.latch() is TradingState.RUNNING
    desk.ns = desk.person.plan.ns
    desk.person.act_alone(desk.files, desk.ns)
    assert desk.latch() is TradingState.KILLED
    assert [stop.ns for stop in desk.person.stops] == [desk.ns]
    desk.person.look(desk.ns, stopped=True)
    desk.person.act_alone(desk.files, desk.ns + 100 * HOUR)
    assert desk.latch() is TradingState.KILLED


def told(mode: str, seed: int, folder: Path) -> Story:
    story = Story(setting(mode, 168), seed, folder)
    story.tell()
    return story


def test_stories_have_latches_that_outlive_their_process_books_that_are_closed_and_trading_that_goes_on(
    tmp_path: Path,
) -> None:
    outlived = closed = resumed = automatic = 0
    for seed in range(12):
        story = told("btc_basis", seed, tmp_path / str(seed))
        stops = Stops(story)
        assert list(stop_verdict(story, stops)) == []
        ends = [ended.ended_ns for ended in story.ended[:-1]]
        outlived += sum(stops.at(ns) is not None for ns in ends)
        closed += sum(ended.closed for ended in story.ended)
        resumed += len(story.person.resumed)
        automatic += any(hold.state is TradingState.STOPPED for hold in stops.holds)
    assert min(outlived, closed, resumed, automatic) > 0


def test_only_the_operator_lets_trading_go_on_and_what_he_was_answered_holds() -> None:
    """A latch that says by itself that it runs is not believed."""
    story = Story(setting("btc_basis", 48), 0, Path("nowhere"))
    story.person.stops.append(Stop(NOW + 10, flatten=False))
    running = b'{"state":"running","reason":"","who":"","since":"2024-01-10T00:00:00Z"}'
    stopped = running.replace(b"running", b"stopped")
    story.files.written += [(NOW + 5, "latch.json", stopped), (NOW + 6, "losses.json", b"?")]
    story.files.written.append((NOW + 20, "latch.json", running))
    story.person.resumed.append(NOW + 30)
    stops = Stops(story)
    found = [stops.at(NOW + ns) for ns in (5, 6, 10, 11, 25, 30, 31)]
    assert [None if hold is None else str(hold.state) for hold in found] == [
        None, "stopped", "stopped", "killed", "killed", "killed", None,
    ]  # fmt: skip
