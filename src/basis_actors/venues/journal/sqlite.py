"""Defines the order journal on disk: SQLite in WAL mode, synchronised in full, so that what returned survives a kill
and a loss of power.

Rules and reading are `JournalBook`'s; the file is read once, when it is opened. Each change is one transaction, made in
a worker thread while no other change is, and only then part of the book.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeAlias

import anyio
import anyio.to_thread
import msgspec

from basis_actors.errors import BasisError
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import Payment, VenueFill
from basis_actors.messages.journal import Intent, IntentState, JournalEntry
from basis_actors.messages.orders import Order
from basis_actors.venues.journal.memory import JournalBook

__all__ = ["SqliteJournal"]

_VERSION: Final = 1
_SCHEMA: Final = """
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
_encode = msgspec.json.encode
_Statement: TypeAlias = tuple[str, tuple[object, ...]]
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, TypeError, ArithmeticError)
"""What contents that no process of ours wrote raise when they are decoded."""


class SqliteJournal:
    """The order journal at `path`, made when it is not there.

    Raises BasisError ENGINE-004 when the file cannot be used: without the journal nobody knows what was sent.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = anyio.Lock()
        with self._named("opened", *_UNREADABLE):
            # The file holds orders and amounts; nobody else has to read them.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._deployment, self._book = self._take_over()
            except BaseException:
                self._connection.close()
                raise

    @property
    def deployment(self) -> str:
        """Names this journal for good."""
        return self._deployment

    @property
    def incarnation(self) -> int:
        """How often it was opened."""
        return self._book.incarnation

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """Everything that was ever intended, oldest first."""
        return tuple(self._book.entries.values())

    def close(self) -> None:
        """Let go of the file; every change is in it already."""
        self._connection.close()

    async def intend(self, intent: Intent) -> JournalEntry:
        """Write down an intent."""
        async with self._turn:
            entry = self._book.entry_of(intent)
            row = (intent.client_id, _encode(intent).decode(), *_state(entry))
            await self._write(("INSERT INTO intents VALUES (?, ?, ?, ?, ?, ?, ?)", row), _transition(entry))
            return self._book.put(entry)

    async def advance(
        self,
        client_id: str,
        state: IntentState,
        filled: Decimal,
        evidence: str,
        now_ns: int,
        venue_id: str | None = None,
    ) -> JournalEntry:
        """Write down what has become known."""
        async with self._turn:
            entry = self._book.advanced(client_id, state, filled, evidence, now_ns, venue_id)
            update = (
                "UPDATE intents SET state = ?, filled = ?, evidence = ?, changed_ns = ?, venue_id = ?"
                " WHERE client_id = ?"
            )
            await self._write((update, (*_state(entry), client_id)), _transition(entry))
            return self._book.put(entry)

    async def attempts(self, incarnation: int, operation_id: str) -> tuple[JournalEntry, ...]:
        """Every attempt of an incarnation at an operation, oldest first."""
        return self._book.attempts(incarnation, operation_id)

    async def unresolved(self, domain: str) -> tuple[JournalEntry, ...]:
        """What has not ended on a domain, oldest first."""
        return self._book.unresolved(domain)

    async def named(self, domain: str, pair: str | None, venue_id: str) -> JournalEntry | None:
        """The intent that a domain calls `venue_id`."""
        return self._book.named(domain, pair, venue_id)

    async def domains(self) -> frozenset[str]:
        """Where anything has not ended."""
        return self._book.domains()

    async def book_fill(self, domain: str, fill: VenueFill) -> bool:
        """Whether the trade was not there yet."""
        async with self._turn:
            if (domain, fill.pair, fill.trade_id) in self._book.fills:
                return False
            row = (domain, fill.pair, fill.trade_id, _encode(fill).decode())
            await self._write(("INSERT INTO fills VALUES (?, ?, ?, ?)", row))
            return self._book.add_fill(domain, fill)

    async def book_payment(self, domain: str, payment: Payment, arrived: IncomingTransfer | None = None) -> bool:
        """Whether the payment was not there yet."""
        async with self._turn:
            if (domain, payment.payment_id) in self._book.payments:
                return False
            row = (domain, payment.payment_id, _encode(payment).decode())
            statements: list[_Statement] = [("INSERT INTO payments VALUES (?, ?, ?)", row)]
            if arrived is not None:
                self._book.require_expected(domain, arrived)
                statements.append(_strike_out(domain, arrived))
            await self._write(*statements)
            return self._book.add_payment(domain, payment, arrived)

    async def expect(self, domain: str, transfer: IncomingTransfer) -> None:
        """Write down what is on its way."""
        async with self._turn:
            await self._write(("INSERT INTO expected VALUES (?, ?)", (domain, _encode(transfer).decode())))
            self._book.expected.append((domain, transfer))

    async def arrived(self, domain: str, transfer: IncomingTransfer) -> None:
        """It is there."""
        async with self._turn:
            self._book.require_expected(domain, transfer)
            await self._write(_strike_out(domain, transfer))
            self._book.expected.remove((domain, transfer))

    async def expected(self, domain: str) -> tuple[IncomingTransfer, ...]:
        """What is on its way to a domain, oldest first."""
        return self._book.expected_at(domain)

    async def begin_group(self, group_id: str, orders: Sequence[Order]) -> None:
        """Write down a group."""
        async with self._turn:
            group = (self._book.incarnation, group_id, tuple(orders))
            await self._write(("INSERT INTO groups VALUES (?, ?, ?)", (*group[:2], _encode(group[2]).decode())))
            self._book.groups.append(group)

    async def end_group(self, incarnation: int, group_id: str) -> None:
        """Strike it out."""
        async with self._turn:
            strike = "DELETE FROM groups WHERE incarnation = ? AND group_id = ?"
            await self._write((strike, (incarnation, group_id)))
            self._book.end_group(incarnation, group_id)

    async def open_groups(self) -> tuple[tuple[int, tuple[Order, ...]], ...]:
        """What began and did not end."""
        return self._book.open_groups()

    async def _write(self, *statements: _Statement) -> None:
        """One transaction. A cancellation waits for its end, so that the book is what the file is."""
        await anyio.to_thread.run_sync(self._commit, statements)

    def _commit(self, statements: Sequence[_Statement]) -> None:
        connection = self._connection
        with self._named("written"):
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement, values in statements:
                    connection.execute(statement, values)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _take_over(self) -> tuple[str, JournalBook]:
        """Take the file over for this process: its contents, under the next incarnation."""
        connection = self._connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        self._require_whole()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and tables == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION};")
            connection.execute("INSERT INTO journal VALUES (?, 0)", (secrets.token_hex(8),))
            connection.execute("COMMIT")
        elif version != _VERSION:
            raise BasisError(
                "ENGINE-004",
                f"order journal {self._path} has the layout {version}, this program writes {_VERSION}; run the version"
                " of the program that wrote it until nothing is open, then begin a new state directory",
            )
        connection.execute("UPDATE journal SET incarnation = incarnation + 1")
        rows = connection.execute("SELECT deployment, incarnation FROM journal").fetchall()
        if len(rows) != 1:
            raise ValueError(f"it has {len(rows)} names where one was expected")
        deployment, incarnation = rows[0]
        book = JournalBook(incarnation)
        for entry in self._entries():
            book.put(entry)
        book.fills.update(connection.execute("SELECT domain, pair, trade_id FROM fills"))
        book.payments.update(connection.execute("SELECT domain, payment_id FROM payments"))
        decode_transfer = msgspec.json.Decoder(IncomingTransfer).decode
        for domain, transfer in connection.execute("SELECT domain, transfer FROM expected ORDER BY rowid"):
            book.expected.append((domain, decode_transfer(transfer)))
        decode_orders = msgspec.json.Decoder(tuple[Order, ...]).decode
        for number, group_id, orders in connection.execute("SELECT * FROM groups ORDER BY rowid"):
            book.groups.append((number, group_id, decode_orders(orders)))
        return deployment, book

    def _require_whole(self) -> None:
        """Raises ValueError for a file whose pages do not hang together: half a journal is worse than none."""
        findings = [row[0] for row in self._connection.execute("PRAGMA quick_check(3)")]
        if findings != ["ok"]:
            raise ValueError(f"it is damaged: {'; '.join(findings)}")

    def _entries(self) -> Iterator[JournalEntry]:
        decode_intent = msgspec.json.Decoder(Intent).decode
        for client_id, text, state, filled, evidence, changed, venue_id in self._connection.execute(
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
            except _UNREADABLE as error:
                raise ValueError(f"intent {client_id!r} cannot be read, with {filled!r} filled: {error}") from error

    @contextmanager
    def _named(self, what: str, *also: type[Exception]) -> Iterator[None]:
        named: tuple[type[Exception], ...] = (OSError, sqlite3.Error, *also)
        try:
            yield
        except named as error:
            raise BasisError(
                "ENGINE-004",
                f"order journal {self._path} cannot be {what}: {error}; nothing is sent without it: free space, make"
                " its folder writable, or bring back an intact copy",
            ) from error


def _state(entry: JournalEntry) -> tuple[str, str, str, int, str | None]:
    return entry.state.value, str(entry.filled), entry.evidence, entry.changed_ns, entry.venue_id


def _strike_out(domain: str, transfer: IncomingTransfer) -> _Statement:
    first = "SELECT min(rowid) FROM expected WHERE domain = ? AND transfer = ?"
    row = (domain, _encode(transfer).decode())
    return f"DELETE FROM expected WHERE rowid = ({first})", row  # noqa: S608 (no value is in it)


def _transition(entry: JournalEntry) -> _Statement:
    return "INSERT INTO transitions VALUES (?, ?, ?, ?, ?, ?)", (entry.intent.client_id, *_state(entry))
