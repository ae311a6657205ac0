"""Order, as a property: whatever actors send to whom, both runtimes keep it per pair, and SimBus repeats itself."""

from collections import defaultdict

import anyio
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_actors.bus import Actor, Cause, Request, on
from basis_actors.bus.testkit import Runtimes

NAMES = ("a", "b", "c", "d")


class Task(msgspec.Struct, frozen=True):
    """A tree of things to do: each is done by one actor, which then hands out the next ones."""

    to: str
    verb: str
    number: int
    then: tuple["Task", ...] = ()


class Quiet(Request[int], frozen=True):
    number: int


Trace = dict[str, list[tuple[str, int]]]


class Worker(Actor):
    """Notes who sent what, in order of arrival, and does what the task says."""

    def __init__(self, name: str, trace: Trace, sent: dict[tuple[str, str], list[int]]) -> None:
        super().__init__(name)
        self.trace = trace
        self.sent = sent

    @on(Task)
    async def work(self, task: Task) -> None:
        self.trace[self.name].append((self.envelope.sender, task.number))
        for child in task.then:
            if child.verb == "sleep":
                await self.sleep(0.001 * child.number)
            if child.verb == "ask" and child.to == "d" and self.name != "d":
                self.sent[self.name, "d"].append(-child.number)
                await self.ask("d", Quiet(child.number))
            self.sent[self.name, child.to].append(child.number)
            self.tell(child.to, child)

    @on(Quiet)
    def quiet(self, request: Quiet) -> int:
        self.trace[self.name].append((self.envelope.sender, -request.number))
        return request.number


def tasks(depth: int) -> st.SearchStrategy[Task]:
    children = st.just(()) if depth == 0 else st.lists(tasks(depth - 1), max_size=3).map(tuple)
    return st.builds(
        Task,
        to=st.sampled_from(NAMES),
        verb=st.sampled_from(("tell", "tell", "ask", "sleep")),
        number=st.integers(1, 10_000),
        then=children,
    )


async def perform(runtime: str, roots: list[Task]) -> tuple[Trace, dict[tuple[str, str], list[int]], int]:
    trace: Trace = defaultdict(list)
    sent: dict[tuple[str, str], list[int]] = defaultdict(list)
    bus = Runtimes("sim" if runtime == "sim" else "live").bus()
    for name in NAMES:
        bus.add(Worker(name, trace, sent))
    async with bus:
        cause = Cause("roots")
        for root in roots:
            sent["outside", root.to].append(root.number)
            bus.post(root.to, root, cause)
        await bus.settled(cause)
        assert cause.live == 0
        handled = sum(bus.stats(name).handled for name in NAMES)
        await bus.settled()
        assert sum(bus.stats(name).handled for name in NAMES) == handled
    return trace, sent, bus.clock.now()


def arrived(trace: Trace) -> dict[tuple[str, str], list[int]]:
    pairs: dict[tuple[str, str], list[int]] = defaultdict(list)
    for receiver, entries in trace.items():
        for sender, number in entries:
            pairs[sender, receiver].append(number)
    return pairs


@settings(max_examples=150, deadline=None)
@given(st.lists(tasks(3), min_size=1, max_size=4))
def test_each_pair_is_first_in_first_out_on_both_runtimes(roots: list[Task]) -> None:
    for runtime in ("sim", "live"):
        trace, sent, _ = anyio.run(perform, runtime, roots)
        assert arrived(trace) == {pair: numbers for pair, numbers in sent.items() if numbers}


@settings(max_examples=100, deadline=None)
@given(st.lists(tasks(3), min_size=1, max_size=4))
def test_the_simulation_repeats_itself_exactly(roots: list[Task]) -> None:
    first = anyio.run(perform, "sim", roots)
    assert anyio.run(perform, "sim", roots) == first


@settings(max_examples=100, deadline=None)
@given(st.lists(tasks(2), min_size=1, max_size=3))
def test_both_runtimes_do_the_same_work(roots: list[Task]) -> None:
    """Which actor comes first may differ; who got what from whom does not."""
    sim, sent_in_sim, _ = anyio.run(perform, "sim", roots)
    live, sent_in_live, _ = anyio.run(perform, "live", roots)
    assert {name: sorted(entries) for name, entries in sim.items()} == {
        name: sorted(entries) for name, entries in live.items()
    }
    assert {pair: sorted(numbers) for pair, numbers in sent_in_sim.items()} == {
        pair: sorted(numbers) for pair, numbers in sent_in_live.items()
    }
