"""Defines somebody who operates the processes of a story: stops trading now and then, has the book closed, and lets it
go on after a while.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from basis_actors.actors.latch_file import read_latch, write_latch
from basis_actors.bus import Actor, on
from basis_actors.messages.book import BookView, Trigger
from basis_actors.messages.commands import GetStatus, Kill, Resume
from basis_actors.messages.safety import Latch, TradingState
from basis_actors.services.simulation.fate import Fate
from basis_actors.services.simulation.state_files import StateFiles
from basis_actors.times import NS_PER_SECOND, ns_from_utc, utc_from_ns

__all__ = ["Operator", "Person", "Stop"]

_HOUR: Final = 3600.0
_WHO: Final = "operator"
_REASON: Final = "the operator said so"


class Command(StrEnum):
    """What a person says."""

    KILL = "kill"
    FLATTEN = "kill --flatten"
    RESUME = "resume"


class Plan(NamedTuple):
    """What a person is about to say."""

    ns: int
    command: Command


class Stop(NamedTuple):
    """A kill that was answered: from then on it holds, whatever happens to the process."""

    ns: int
    flatten: bool


class Person:
    """What somebody has in mind, and has said; it outlives the processes."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self._is_gone = False
        self.plan: Plan | None = None
        self.stops: list[Stop] = []
        """Oldest first."""
        self.resumed: list[int] = []
        """When it was asked that trading goes on, and nobody refused: from then on it may."""

    def look(self, now_ns: int, *, stopped: bool) -> None:
        """Look at a process once a tick."""
        random, rates = self._fate.random, self._fate.rates
        if self.plan is not None or self._is_gone:
            return
        if stopped:
            self._intend(now_ns, random.uniform(0.5, 12.0) * _HOUR, Command.RESUME)
        elif self._fate.strikes("killed by hand", rates.killed_by_hand, now_ns):
            # What is worth interrupting happens right after a tick.
            seconds = random.uniform(0.0, 20.0 if random.random() < 0.75 else _HOUR)
            self._intend(now_ns, seconds, random.choice((Command.KILL, Command.FLATTEN)))

    def look_at_work(self, now_ns: int) -> None:
        """Look at a process that is carrying out a decision."""
        if self.plan is not None or self._is_gone:
            return
        if self._fate.strikes("killed at work", self._fate.rates.killed_at_work, now_ns):
            random = self._fate.random
            command = random.choice((Command.KILL, Command.FLATTEN))
            self._intend(now_ns, random.uniform(0.0, 5.0), command)

    def stopped(self, now_ns: int, *, flatten: bool) -> None:
        """A kill was answered."""
        self.plan = None
        self.stops.append(Stop(now_ns, flatten))
        self._is_gone = self._fate.random.random() < self._fate.rates.left_stopped

    def refused(self, now_ns: int, since: datetime) -> None:
        """It was said that trading cannot go on: it is as it was `since`, so nobody heard what was said after that."""
        told_ns = ns_from_utc(since)
        self.resumed = [ns for ns in self.resumed if ns <= told_ns]
        self._intend(now_ns, _HOUR, Command.RESUME)

    def act_alone(self, files: StateFiles, now_ns: int) -> None:
        """A kill that finds no process is for the one that comes."""
        plan = self.plan
        if plan is None or plan.ns > now_ns or plan.command is Command.RESUME:
            return
        now, flatten = utc_from_ns(now_ns), plan.command is Command.FLATTEN
        before = read_latch(files, now)
        if before.state is not TradingState.KILLED or not before.flatten:
            latch = Latch(state=TradingState.KILLED, reason=_REASON, who=_WHO, since=now, flatten=flatten)
            write_latch(files, latch)
        self.stopped(now_ns, flatten=flatten or before.flatten)

    def _intend(self, now_ns: int, seconds: float, command: Command) -> None:
        self.plan = Plan(now_ns + round(seconds * NS_PER_SECOND), command)


class Speak(msgspec.Struct, frozen=True, gc=False):
    """The time of the plan has come."""


class Operator(Actor):
    """The person, at one process."""

    def __init__(self, person: Person) -> None:
        super().__init__("operator")
        self._person = person

    def pre_start(self) -> None:
        """Go on with what was in mind when the last process ended."""
        self._wait()

    @on(BookView)
    async def look(self, view: BookView) -> None:
        """See how things stand."""
        if self._person.plan is not None:
            return
        if view.risk.exposure.book.trigger is Trigger.TICK:
            status = await self.ask("kill_switch", GetStatus())
            stopped = status.latch.state is not TradingState.RUNNING or status.halted is not None
            self._person.look(self.now, stopped=stopped)
        else:
            self._person.look_at_work(self.now)
        self._wait()

    @on(Speak)
    async def speak(self, _speak: Speak) -> None:
        """Say what there is to say. Who is not answered, because the process is killed, says it again to the next."""
        person = self._person
        if person.plan is None:
            return
        if person.plan.command is Command.RESUME:
            person.resumed.append(self.now)
            answer = await self.ask("kill_switch", Resume(_WHO))
            if answer.refusal is None:
                person.plan = None
            else:
                person.refused(self.now, answer.status.latch.since)
                self._wait()
            return
        kill = Kill(_REASON, _WHO, flatten=person.plan.command is Command.FLATTEN)
        answer = await self.ask("kill_switch", kill)
        person.stopped(self.now, flatten=answer.status.latch.flatten)

    def _wait(self) -> None:
        plan = self._person.plan
        if plan is not None:
            self.after(max(0.0, (plan.ns - self.now) / NS_PER_SECOND), Speak())
