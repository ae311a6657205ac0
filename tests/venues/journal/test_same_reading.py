"""Whatever is written, and whenever the process is killed: both journals give the same answers."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.venues.journal.intents import DOMAINS, fill, held, incoming, intent, legs, payment, reading
from tests.venues.journal.kept import Kept, in_memory, on_disk

from basis_actors.errors import BasisError
from basis_actors.messages.journal import IntentState

NAMES = st.sampled_from(["a", "b", "c"])
PLACES = st.sampled_from(DOMAINS)
AMOUNTS = st.decimals(0, 1, places=3)
STEPS = st.one_of(
    st.tuples(st.just("intend"), NAMES, NAMES, PLACES),
    st.tuples(st.just("advance"), NAMES, st.sampled_from(IntentState), AMOUNTS),
    st.tuples(st.just("advance"), NAMES, st.just(IntentState.SENT), st.just(Decimal(0))),
    st.tuples(st.just("fill"), PLACES, NAMES),
    st.tuples(st.just("payment"), PLACES, NAMES, st.none() | NAMES),
    st.tuples(st.just("expect"), PLACES, NAMES),
    st.tuples(st.just("arrived"), PLACES, NAMES),
    st.tuples(st.just("begin"), NAMES),
    st.tuples(st.just("end"), st.integers(1, 3), NAMES),
    st.tuples(st.just("keep"), PLACES, st.integers(1, 9)),
    st.tuples(st.just("kill")),
)


async def done(kept: Kept, step: tuple[Any, ...]) -> object:
    """What a step gives, or the error that it ends with."""
    journal, (what, *rest) = kept.journal, step
    try:
        match what:
            case "intend":
                return await journal.intend(intent(*rest, incarnation=journal.incarnation))
            case "advance":
                return await journal.advance(rest[0], rest[1], rest[2], "seen", 20)
            case "fill":
                return await journal.book_fill(rest[0], fill(rest[1]))
            case "payment":
                arrived = None if rest[2] is None else incoming(rest[2])
                return await journal.book_payment(rest[0], payment(rest[1]), arrived)
            case "expect":
                return await journal.expect(rest[0], incoming(rest[1]))
            case "arrived":
                return await journal.arrived(rest[0], incoming(rest[1]))
            case "begin":
                return await journal.begin_group(rest[0], legs(rest[0]))
            case "end":
                return await journal.end_group(*rest)
            case "keep":
                return await journal.keep(rest[0], held(rest[1], USDT=1.5))
            case _:
                return kept.reopen().incarnation
    except BasisError as error:
        return str(error)


@given(steps=st.lists(STEPS, max_size=25))
@settings(max_examples=25, deadline=None)
def test_both_journals_say_the_same(steps: list[tuple[Any, ...]]) -> None:
    async def compare(disk: Kept) -> None:
        memory = in_memory()
        for step in steps:
            assert await done(disk, step) == await done(memory, step)
        disk.reopen(), memory.reopen()
        operations = [(number, name) for number in range(1, memory.journal.incarnation + 1) for name in "abc"]
        assert await reading(disk.journal, operations) == await reading(memory.journal, operations)

    with tempfile.TemporaryDirectory() as folder:
        disk = on_disk(Path(folder) / "journal.db")
        try:
            anyio.run(compare, disk)
        finally:
            disk.close()
