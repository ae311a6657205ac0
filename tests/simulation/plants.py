"""Defines errors that live trading is known for, each put in where our code keeps it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from basis_actors.errors import UnknownOutcome, VenueError
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.journal import IntentState, JournalEntry
from basis_actors.messages.orders import Order
from basis_actors.venues.journal.memory import JournalBook, MemoryJournal
from basis_actors.venues.live.answers import failed
from basis_actors.venues.live.intents import Intents
from basis_actors.venues.live.order_desk import OrderDesk

Plant = Callable[[pytest.MonkeyPatch], None]


def resend_on_timeout(patch: pytest.MonkeyPatch) -> None:
    """An order without an answer is taken for not arrived, and sent again under a new id."""
    send = OrderDesk.send

    async def resending(desk: OrderDesk, order: Order) -> ExecutionHandshake:
        try:
            return await send(desk, order)
        except UnknownOutcome:
            entry = (await desk._intents.attempts(order))[-1]
            await desk._intents.advance(entry, IntentState.REJECTED, "no answer")
            return await send(desk, order)

    patch.setattr(OrderDesk, "send", resending)


def count_a_fill_twice(patch: pytest.MonkeyPatch) -> None:
    """A trade that is shown again is new again."""

    async def always_new(_journal: MemoryJournal, _domain: str, _fill: Any) -> bool:
        return True

    patch.setattr(MemoryJournal, "book_fill", always_new)


def forget_intents(patch: pytest.MonkeyPatch) -> None:
    """A restart begins with an empty journal."""

    def reopened(journal: MemoryJournal) -> MemoryJournal:
        return MemoryJournal(journal.deployment, JournalBook(journal.incarnation + 1))

    patch.setattr(MemoryJournal, "reopened", reopened)


def forget_one_intent(patch: pytest.MonkeyPatch) -> None:
    """A restart takes what was handed over and not answered for never sent."""
    unresolved = MemoryJournal.unresolved

    async def without_sent(journal: MemoryJournal, domain: str) -> tuple[JournalEntry, ...]:
        return tuple(entry for entry in await unresolved(journal, domain) if entry.state is not IntentState.SENT)

    patch.setattr(MemoryJournal, "unresolved", without_sent)


def forget_groups(patch: pytest.MonkeyPatch) -> None:
    """A restart does not know that a group was cut in two."""
    reopened = MemoryJournal.reopened

    def without_groups(journal: MemoryJournal) -> MemoryJournal:
        found = reopened(journal)
        found._book.groups = []
        return found

    patch.setattr(MemoryJournal, "reopened", without_groups)


def call_a_filled_order_refused(patch: pytest.MonkeyPatch) -> None:
    """An order that was filled is called refused when its trades cannot be read."""
    follow = OrderDesk._follow

    async def refusing(desk: OrderDesk, entry: JournalEntry, report: Any) -> ExecutionHandshake:
        try:
            return await follow(desk, entry, report)
        except VenueError as error:
            return failed(entry, desk._clock.now(), "EXEC-001", error.message)

    patch.setattr(OrderDesk, "_follow", refusing)


def believe_one_answer(patch: pytest.MonkeyPatch) -> None:
    """An order that is not found once never arrived."""

    def at_once(_intents: Intents, _entry: JournalEntry) -> bool:
        return True

    patch.setattr(Intents, "is_absent", at_once)


PLANTS: Final[dict[str, Plant]] = {
    plant.__name__: plant
    for plant in (
        resend_on_timeout,
        count_a_fill_twice,
        forget_intents,
        forget_one_intent,
        forget_groups,
        call_a_filled_order_refused,
        believe_one_answer,
    )
}
