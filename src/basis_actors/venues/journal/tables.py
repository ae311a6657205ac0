"""Defines the tables of the journal on disk, and the statements that change them."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.journal import JournalEntry, LastHeld

__all__ = [
    "HELD",
    "SCHEMA",
    "TOUCH",
    "VERSION",
    "Statement",
    "encoded",
    "remember",
    "state_of",
    "strike_out",
    "transition",
]

VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE journal (deployment TEXT NOT NULL, incarnation INTEGER NOT NULL);
CREATE TABLE intents (
    client_id TEXT PRIMARY KEY, intent TEXT NOT NULL,
    state TEXT NOT NULL, filled TEXT NOT NULL, evidence TEXT NOT NULL, changed_ns INTEGER NOT NULL, venue_id TEXT
);
CREATE TABLE transitions (
    client_id TEXT NOT NULL,
    state TEXT NOT NULL, filled TEXT NOT NULL, evidence TEXT NOT NULL, at_ns INTEGER NOT NULL, venue_id TEXT
);
CREATE TABLE fills (
    domain TEXT NOT NULL, pair TEXT NOT NULL, trade_id TEXT NOT NULL, fill TEXT NOT NULL,
    PRIMARY KEY (domain, pair, trade_id)
);
CREATE TABLE payments (
    domain TEXT NOT NULL, payment_id TEXT NOT NULL, payment TEXT NOT NULL, PRIMARY KEY (domain, payment_id)
);
CREATE TABLE expected (domain TEXT NOT NULL, transfer TEXT NOT NULL);
CREATE TABLE groups (incarnation INTEGER NOT NULL, group_id TEXT NOT NULL, orders TEXT NOT NULL);
"""
HELD: Final = """
CREATE TABLE IF NOT EXISTS held (
    domain TEXT PRIMARY KEY, held TEXT NOT NULL,
    fills INTEGER NOT NULL, payments INTEGER NOT NULL, intents INTEGER NOT NULL
)
"""
"""What was kept of each account, and the last row of each table that is in it."""
Statement: TypeAlias = tuple[str, tuple[object, ...]]
TOUCH: Final[Statement] = ("UPDATE journal SET incarnation = incarnation", ())
"""Changes nothing, and needs a disk that can be written."""


def encoded(value: object) -> str:
    """As it stands in a column of its own."""
    return msgspec.json.encode(value).decode()


def state_of(entry: JournalEntry) -> tuple[str, str, str, int, str | None]:
    """The columns that change with an intent."""
    return entry.state.value, str(entry.filled), entry.evidence, entry.changed_ns, entry.venue_id


def strike_out(domain: str, transfer: IncomingTransfer) -> Statement:
    """One transfer that was expected is no longer; of several alike the oldest."""
    first = "SELECT min(rowid) FROM expected WHERE domain = ? AND transfer = ?"
    row = (domain, encoded(transfer))
    return f"DELETE FROM expected WHERE rowid = ({first})", row  # noqa: S608 (no value is in it)


def remember(domain: str, held: LastHeld) -> Statement:
    """What an account holds, with every row that is there by now."""
    statement = (
        "INSERT OR REPLACE INTO held VALUES (?, ?, (SELECT coalesce(max(rowid), 0) FROM fills),"
        " (SELECT coalesce(max(rowid), 0) FROM payments), (SELECT coalesce(max(rowid), 0) FROM intents))"
    )
    return statement, (domain, encoded(held))


def transition(entry: JournalEntry) -> Statement:
    """How an intent has come to be what it is."""
    return "INSERT INTO transitions VALUES (?, ?, ?, ?, ?, ?)", (entry.intent.client_id, *state_of(entry))
