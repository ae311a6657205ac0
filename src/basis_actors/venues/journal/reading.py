"""Defines how the contents of a journal on disk are read: once, when a process opens it, or while none has it.

What no process of ours can have written is refused here as a whole: found out later, it would be in the middle of an
order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from basis_actors.errors import BasisError
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import OrderTicket, Payment, TransferTicket, VenueFill
from basis_actors.messages.journal import Intent, IntentState, JournalEntry, LastHeld
from basis_actors.messages.orders import Order
from basis_actors.messages.stops import StopTicket
from basis_actors.venues.journal.memory import JournalBook, Kept, MemoryJournal
from basis_actors.venues.journal.tables import HELD, SCHEMA, VERSION

__all__ = ["UNREADABLE", "journal_at_rest", "name_of", "read_book"]

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, TypeError, ArithmeticError)
"""What contents that no process of ours wrote raise when they are decoded."""

_Count: TypeAlias = Annotated[int, Meta(ge=0)]
_Name: TypeAlias = Annotated[str, Meta(min_length=1)]
_CHANGES: Final = (
    "client_id, state, filled, evidence, at_ns, venue_id",
    tuple[str, str, str, str, int, str | None],
)
_INTENTS: Final = (
    "client_id, intent, state, filled, evidence, changed_ns, venue_id",
    tuple[str, str, str, str, str, int, str | None],
)
Row = TypeVar("Row")
Amounts = TypeVar("Amounts", OrderTicket | TransferTicket | StopTicket, VenueFill, Payment)


def journal_at_rest(path: Path) -> MemoryJournal:
    """What is in a file that no process has, to be looked at: nothing is taken over or changed on disk. Raises
    BasisError ENGINE-004."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise ValueError(f"it has the layout {version}, {VERSION} was expected")
            deployment, incarnation = name_of(connection)
            return MemoryJournal(deployment, read_book(connection, incarnation))
    except (OSError, sqlite3.Error, *UNREADABLE) as error:
        raise BasisError("ENGINE-004", f"order journal {path} cannot be read: {error}") from error


def name_of(connection: sqlite3.Connection) -> tuple[str, int]:
    """The deployment of a journal, and how often it was opened. Raises as `read_book`."""
    names = _rows(connection, "journal", "deployment, incarnation", tuple[_Name, _Count])
    if len(names) != 1:
        raise ValueError(f"it has {len(names)} names where one was expected")
    return names[0]


def read_book(connection: sqlite3.Connection, incarnation: int) -> JournalBook:
    """Everything that is in the file. Raises one of UNREADABLE, and what SQLite raises."""
    _require_layout(connection)
    book = JournalBook(incarnation)
    for entry in _entries(connection, incarnation):
        book.put(entry)
    book.fills.update(_rows(connection, "fills", "domain, pair, trade_id", tuple[str, str, str]))
    book.payments.update(_rows(connection, "payments", "domain, payment_id", tuple[str, str]))
    decode_transfer = msgspec.json.Decoder(IncomingTransfer).decode
    for domain, text in _rows(connection, "expected", "domain, transfer", tuple[str, str]):
        book.expected.append((domain, decode_transfer(text)))
    decode_orders = msgspec.json.Decoder(tuple[Order, ...]).decode
    for number, group_id, text in _rows(connection, "groups", "incarnation, group_id, orders", tuple[_Count, str, str]):
        orders = decode_orders(text)
        if {order.atomic_group_id for order in orders} != {group_id}:
            raise ValueError(f"group {group_id!r} has orders that are not its own")
        book.groups.append((number, group_id, orders))
    book.kept.update(_kept(connection))
    return book


def _rows(connection: sqlite3.Connection, table: str, columns: str, kind: type[Row]) -> list[Row]:
    """Oldest first. SQLite takes any type in any column, so it is looked at here."""
    rows = connection.execute(f"SELECT {columns} FROM {table} ORDER BY rowid").fetchall()  # noqa: S608 (names of ours)
    try:
        return [msgspec.convert(row, kind) for row in rows]
    except msgspec.ValidationError as error:
        raise ValueError(f"table {table}, {columns}: {error}") from error


def _require_layout(connection: sqlite3.Connection) -> None:
    """Raises ValueError for tables that are not as they were made: what is written later would fail, or go astray."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(f"{SCHEMA}{HELD};")
        expected = _layout(made)
    found = _layout(connection)
    for name in sorted(expected.keys() | found.keys()):
        made_as, is_now = (layout.get(name, "nothing") for layout in (expected, found))
        if made_as != is_now:
            raise ValueError(f"{name} is not as it was made: {is_now} is there, {made_as} was expected")


def _layout(connection: sqlite3.Connection) -> dict[str, str]:
    """How each table, and whatever hangs on one, was made; what SQLite keeps for itself is left out."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    return {name: " ".join(sql.split()) for name, sql in rows if not name.startswith("sqlite_")}


def _entries(connection: sqlite3.Connection, incarnation: int) -> Iterator[JournalEntry]:
    decode_intent = msgspec.json.Decoder(Intent).decode
    last = {change[0]: change for change in _rows(connection, "transitions", *_CHANGES)}
    for client_id, text, state, filled, evidence, changed, venue_id in _rows(connection, "intents", *_INTENTS):
        try:
            entry = JournalEntry(
                intent=decode_intent(text),
                state=IntentState(state),
                filled=Decimal(filled),
                evidence=evidence,
                changed_ns=changed,
                venue_id=venue_id,
            )
            _require_sense(entry, client_id, incarnation)
        except UNREADABLE as error:
            raise ValueError(f"intent {client_id!r} cannot be read, with {filled!r} filled: {error}") from error
        noted = last.pop(client_id, None)
        known = (client_id, state, filled, evidence, changed, venue_id)
        if noted != known:
            raise ValueError(f"an intent is {known}, and its last transition is {noted}")
        yield entry
    if last:
        raise ValueError(f"transitions are there of intents that are not: {', '.join(sorted(last)[:3])}")


def _require_sense(entry: JournalEntry, client_id: str, incarnation: int) -> None:
    """Raises ValueError for an intent that no process of this journal wrote."""
    intent = entry.intent
    names = {intent.client_id, intent.ticket.client_id}
    if names != {client_id}:
        raise ValueError(f"it calls itself {', '.join(sorted(names))}")
    if not 1 <= intent.incarnation <= incarnation:
        raise ValueError(f"process {intent.incarnation} wrote it, 1 to {incarnation} were there")
    if not entry.filled.is_finite() or entry.filled < 0:
        raise ValueError("an amount from 0 on was expected")
    _finite(intent.ticket)


def _finite(found: Amounts) -> Amounts:
    """The same. Raises ValueError where an amount of it is none."""
    for name, value in msgspec.structs.asdict(found).items():
        if isinstance(value, Decimal) and not value.is_finite():
            raise ValueError(f"{name} is {value} in {found}")
    return found


def _kept(connection: sqlite3.Connection) -> Iterator[tuple[str, Kept]]:
    decode_fill, decode_payment = msgspec.json.Decoder(VenueFill).decode, msgspec.json.Decoder(Payment).decode
    ends = [
        connection.execute(f"SELECT coalesce(max(rowid), 0) FROM {table}").fetchone()[0]  # noqa: S608 (names of ours)
        for table in ("fills", "payments", "intents")
    ]
    for domain, text, *places in _rows(
        connection, "held", "domain, held, fills, payments, intents", tuple[str, str, _Count, _Count, _Count]
    ):
        if any(place > end for place, end in zip(places, ends, strict=True)):
            raise ValueError(f"what {domain} held has rows up to {places} in it, and the last ones are {ends}")
        fill, payment, intent = places
        fills = connection.execute(
            "SELECT fill FROM fills WHERE domain = ? AND rowid > ? ORDER BY rowid", (domain, fill)
        )
        payments = connection.execute(
            "SELECT payment FROM payments WHERE domain = ? AND rowid > ? ORDER BY rowid", (domain, payment)
        )
        (intents,) = connection.execute("SELECT count(*) FROM intents WHERE rowid <= ?", (intent,)).fetchone()
        held = msgspec.json.decode(text, type=LastHeld)
        since = [_finite(decode_fill(row)) for (row,) in fills], [_finite(decode_payment(row)) for (row,) in payments]
        yield domain, Kept(held, intents, *since)
