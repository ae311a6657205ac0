"""Lets the disk under a journal refuse everything, and take it again."""

from __future__ import annotations

from basis_actors.venues.journal.sqlite import SqliteJournal


def fill_disk(journal: SqliteJournal) -> None:
    """From now on SQLite itself refuses every change."""
    journal._connection.execute("PRAGMA query_only = ON")


def free_disk(journal: SqliteJournal) -> None:
    """It takes them again."""
    journal._connection.execute("PRAGMA query_only = OFF")
