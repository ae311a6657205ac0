"""A process that writes to a journal as fast as it can and says what has returned, until somebody kills it.

    python -m tests.venues.journal.writer FILE

Each line that it prints is a promise: what it names is in the journal for good.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import anyio
from tests.venues.journal.intents import fill, incoming, intent, legs

from basis_actors.messages.journal import IntentState
from basis_actors.venues.journal.sqlite import SqliteJournal


def promise(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def write(path: Path) -> None:
    journal = SqliteJournal(path)
    incarnation = journal.incarnation
    promise("opened", incarnation)
    for number in range(100_000):
        name = f"{incarnation}-{number}"
        group = f"group-{name}"
        await journal.begin_group(group, legs(group))
        promise("begun", incarnation, group)
        await journal.intend(intent(name, name, incarnation=incarnation))
        promise("pending", name)
        for state in (IntentState.SENT, IntentState.PARTIALLY_FILLED, IntentState.FILLED):
            filled = Decimal(0) if state is IntentState.SENT else Decimal("0.1")
            await journal.advance(name, state, filled, f"evidence of {state}", number)
            promise(state, name)
        await journal.book_fill("binance", fill(name))
        promise("fill", name)
        await journal.expect("bybit", incoming(name))
        promise("expected", name)
        if number % 2:
            await journal.arrived("bybit", incoming(name))
            promise("arrived", name)
            await journal.end_group(incarnation, group)
            promise("ended", incarnation, group)


if __name__ == "__main__":
    anyio.run(write, Path(sys.argv[1]))
