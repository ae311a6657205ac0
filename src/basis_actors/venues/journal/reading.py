"""Defines how the contents of a journal on disk are read: once, when a process opens it, or while none has it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import Payment, VenueFill
from basis_actors.messages.journal import Intent, IntentState, JournalEntry, LastHeld
from basis_actors.messages.orders import Order
from basis_actors.venues.journal.memory import JournalBook, Kept, MemoryJournal
from basis_actors.venues.journal.tables import VERSION

__all__ = ["UNREADABLE", "journal_at_rest", "read_book"]

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, TypeError, ArithmeticError)
"""What contents that no process of ours wrote raise when they are decoded."""


def journal_at_rest(path: Path) -> MemoryJournal:
    """What is in a file that no process has, to be looked at: nothing is taken over or changed on disk. Raises
    BasisError ENGINE-004."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise ValueError(f"it has the layout {version}, {VERSION} was expected")
            deployment, incarnation = connection.execute("SELECT deployment, incarnation FROM journal").fetchone()
            return MemoryJournal(deployment, read_book(connection, incarnation))
    except (OSError, sqlite3.Error, *UNREADABLE) as error:
        raise BasisError("ENGINE-004", f"order journal {path} cannot be read: {error}") from error


def read_book(connection: sqlite3.Connection, incarnation: int) -> JournalBook:
    """Everything that is in the file. Raises one of UNREADABLE, and what SQLite raises."""
    book = JournalBook(incarnation)
    for entry in _entries(connection):
        book.put(entry)
    book.fills.update(connection.execute("SELECT domain, pair, trade_id FROM fills"))
    book.payments.update(connection.execute("SELECT domain, payment_id FROM payments"))
    decode_transfer = msgspec.json.Decoder(IncomingTransfer).decode
    for domain, transfer in connection.execute("SELECT domain, transfer FROM expected ORDER BY rowid"):
        book.expected.append((domain, decode_transfer(transfer)))
    decode_orders = msgspec.json.Decoder(tuple[Order, ...]).decode
    for number, group_id, orders in connection.execute("SELECT * FROM groups ORDER BY rowid"):
        book.groups.append((number, group_id, decode_orders(orders)))
    book.kept.update(_kept(connection))
    return book


def _entries(connection: sqlite3.Connection) -> Iterator[JournalEntry]:
    decode_intent = msgspec.json.Decoder(Intent).decode
    for client_id, text, state, filled, evidence, changed, venue_id in connection.execute(
        "SELECT client_id, intent, state, filled, evidence, changed_ns, venue_id FROM intents ORDER BY rowid"
    ):
        try:
            yield JournalEntry(
                intent=decode_intent(text),
                state=IntentState(state),
                filled=Decimal(filled),
                evidence=evidence,
                changed_ns=changed,
                venue_id=venue_id,
            )
        except UNREADABLE as error:
            raise ValueError(f"intent {client_id!r} cannot be read, with {filled!r} filled: {error}") from error


def _kept(connection: sqlite3.Connection) -> Iterator[tuple[str, Kept]]:
    decode_fill, decode_payment = msgspec.json.Decoder(VenueFill).decode, msgspec.json.Decoder(Payment).decode
    for domain, text, fill, payment, intent in connection.execute("SELECT * FROM held").fetchall():
        fills = connection.execute(
            "SELECT fill FROM fills WHERE domain = ? AND rowid > ? ORDER BY rowid", (domain, fill)
        )
        payments = connection.execute(
            "SELECT payment FROM payments WHERE domain = ? AND rowid > ? ORDER BY rowid", (domain, payment)
        )
        (intents,) = connection.execute("SELECT count(*) FROM intents WHERE rowid <= ?", (intent,)).fetchone()
        held = msgspec.json.decode(text, type=LastHeld)
        since = [decode_fill(row) for (row,) in fills], [decode_payment(row) for (row,) in payments]
        yield domain, Kept(held, intents, *since)
