"""Defines a journal together with how the next process finds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.venues.journal.intents import Journal

from basis_actors.venues.journal.memory import MemoryJournal
from basis_actors.venues.journal.sqlite import SqliteJournal


class Kept:
    """A journal, and how the next process finds it."""

    def __init__(self, journal: Journal, reopen: Callable[[Journal], Journal]) -> None:
        self.journal = journal
        self._reopen = reopen

    def reopen(self) -> Journal:
        self.journal = self._reopen(self.journal)
        return self.journal

    def close(self) -> None:
        if isinstance(self.journal, SqliteJournal):
            self.journal.close()


def on_disk(path: Path) -> Kept:
    """A journal on disk."""

    def again(journal: Journal) -> Journal:
        assert isinstance(journal, SqliteJournal)
        journal.close()
        return SqliteJournal(path)

    return Kept(SqliteJournal(path), again)


def in_memory() -> Kept:
    """A journal in memory."""

    def again(journal: Journal) -> Journal:
        assert isinstance(journal, MemoryJournal)
        return journal.reopened()

    return Kept(MemoryJournal("deployment"), again)
