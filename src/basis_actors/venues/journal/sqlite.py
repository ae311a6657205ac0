"""Defines the order journal on disk: SQLite in WAL mode, synchronised in full, so that what returned survives a kill
and a loss of power; but for what has become known while the disk takes nothing, which is owed to it.

Rules and reading are `JournalBook`'s; the file is read once, when it is opened. Each change is one transaction, made in
a worker thread while no other change is, and only then part of the book.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from errno import ENOSPC
from pathlib import Path

import anyio
import anyio.to_thread

from basis_actors.errors import BasisError, JournalError
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.exchange import Payment, VenueFill
from basis_actors.messages.journal import Intent, IntentState, JournalEntry, LastHeld, Remembered
from basis_actors.messages.orders import Order
from basis_actors.venues.journal.memory import JournalBook
from basis_actors.venues.journal.reading import UNREADABLE, name_of, read_book
from basis_actors.venues.journal.tables import (
    HELD,
    SCHEMA,
    TOUCH,
    VERSION,
    Statement,
    encoded,
    remember,
    state_of,
    strike_out,
    transition,
)

__all__ = ["SqliteJournal"]


class SqliteJournal:
    """The order journal at `path`, made when it is not there; unless it has to be, as somebody has traded with it.

    Raises BasisError ENGINE-004 when the file cannot be used: without the journal nobody knows what was sent. It is
    ENGINE-006 as long as the disk is full or fails, which passes.
    """

    def __init__(self, path: Path, *, used: bool = False) -> None:
        self._path = path
        self._used = used
        self._turn = anyio.Lock()
        self._owed: list[Statement] = []
        """What is in the book and not in the file, oldest first."""
        self._failing = False
        self.tell: Callable[[str | None], object] = lambda _: None
        """Told why a change is not on disk, and None once everything is."""
        with self._named("opened", lambda text, error: BasisError(_code_of(error), text), *UNREADABLE):
            if used and not path.exists():
                raise self._lost("is gone")
            # The file holds orders and amounts; nobody else has to read them.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            links = os.fstat(descriptor).st_nlink
            os.close(descriptor)
            if links != 1:
                # SQLite keeps what is not in the file yet under one of them: https://www.sqlite.org/howtocorrupt.html
                raise ValueError(
                    f"it has {links} names in the file system, one was expected: copy it, and link nothing to it"
                )
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
    def files(self) -> tuple[Path, ...]:
        """What has to stay in its place while it is open: the file, and the log of what is not in it yet."""
        return self._path, self._path.with_name(f"{self._path.name}-wal")

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """Everything that was ever intended, oldest first."""
        return tuple(self._book.entries.values())

    def close(self) -> None:
        """Let go of the file. What it has not taken yet is tried once more; whoever asks the exchange is told it."""
        with suppress(JournalError):
            self._commit(self._owed)
        self._connection.close()

    async def try_again(self) -> None:
        """Write what is owed, or see whether anything can be written; `tell` is told what came of it."""
        async with self._turn:
            with suppress(JournalError):
                await self._write(TOUCH)

    async def intend(self, intent: Intent) -> JournalEntry:
        """Write down an intent."""
        async with self._turn:
            entry = self._book.entry_of(intent)
            row = (intent.client_id, encoded(intent), *state_of(entry))
            await self._write(("INSERT INTO intents VALUES (?, ?, ?, ?, ?, ?, ?)", row), transition(entry))
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
        """Write down what has become known, or is about to be sent."""
        async with self._turn:
            write = self._write if state is IntentState.SENT else self._note
            entry = self._book.advanced(client_id, state, filled, evidence, now_ns, venue_id)
            update = (
                "UPDATE intents SET state = ?, filled = ?, evidence = ?, changed_ns = ?, venue_id = ?"
                " WHERE client_id = ?"
            )
            await write((update, (*state_of(entry), client_id)), transition(entry))
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

    async def stops(self, domain: str) -> tuple[JournalEntry, ...]:
        """Every stop that was ever wanted on a domain, oldest first."""
        return self._book.stops(domain)

    async def domains(self) -> frozenset[str]:
        """Where anything has not ended."""
        return self._book.domains()

    async def book_fill(self, domain: str, fill: VenueFill) -> bool:
        """Whether the trade was not there yet."""
        async with self._turn:
            if (domain, fill.pair, fill.trade_id) in self._book.fills:
                return False
            row = (domain, fill.pair, fill.trade_id, encoded(fill))
            await self._note(("INSERT INTO fills VALUES (?, ?, ?, ?)", row))
            return self._book.add_fill(domain, fill)

    async def book_payment(self, domain: str, payment: Payment, arrived: IncomingTransfer | None = None) -> bool:
        """Whether the payment was not there yet."""
        async with self._turn:
            if (domain, payment.payment_id) in self._book.payments:
                return False
            row = (domain, payment.payment_id, encoded(payment))
            statements: list[Statement] = [("INSERT INTO payments VALUES (?, ?, ?)", row)]
            if arrived is not None:
                self._book.require_expected(domain, arrived)
                statements.append(strike_out(domain, arrived))
            await self._note(*statements)
            return self._book.add_payment(domain, payment, arrived)

    async def has_payment(self, domain: str, payment_id: str) -> bool:
        """Whether it was written down, by any incarnation."""
        return (domain, payment_id) in self._book.payments

    async def expect(self, domain: str, transfer: IncomingTransfer) -> None:
        """Write down what is on its way."""
        async with self._turn:
            await self._note(("INSERT INTO expected VALUES (?, ?)", (domain, encoded(transfer))))
            self._book.expected.append((domain, transfer))

    async def arrived(self, domain: str, transfer: IncomingTransfer) -> None:
        """It is there."""
        async with self._turn:
            self._book.require_expected(domain, transfer)
            await self._note(strike_out(domain, transfer))
            self._book.expected.remove((domain, transfer))

    async def expected(self, domain: str) -> tuple[IncomingTransfer, ...]:
        """What is on its way to a domain, oldest first."""
        return self._book.expected_at(domain)

    async def begin_group(self, group_id: str, orders: Sequence[Order]) -> None:
        """Write down a group."""
        async with self._turn:
            group = (self._book.incarnation, group_id, tuple(orders))
            await self._write(("INSERT INTO groups VALUES (?, ?, ?)", (*group[:2], encoded(group[2]))))
            self._book.groups.append(group)

    async def end_group(self, incarnation: int, group_id: str) -> None:
        """Strike it out."""
        async with self._turn:
            strike = "DELETE FROM groups WHERE incarnation = ? AND group_id = ?"
            await self._note((strike, (incarnation, group_id)))
            self._book.end_group(incarnation, group_id)

    async def open_groups(self) -> tuple[tuple[int, tuple[Order, ...]], ...]:
        """What began and did not end."""
        return self._book.open_groups()

    async def keep(self, domain: str, held: LastHeld) -> None:
        """Write down what an account holds."""
        async with self._turn:
            await self._note(remember(domain, held))
            self._book.keep(domain, held)

    async def remembered(self, domain: str) -> Remembered | None:
        """What was kept, and what came since."""
        return self._book.remembered(domain)

    async def _write(self, *statements: Statement) -> None:
        """One transaction, with what is owed before it. A cancellation waits for its end, so that the book is what the
        file is. Raises JournalError ENGINE-006."""
        try:
            await anyio.to_thread.run_sync(self._commit, (*self._owed, *statements))
        except JournalError as error:
            self._failing = True
            self.tell(error.message)
            raise
        self._owed.clear()
        if self._failing:
            self._failing = False
            self.tell(None)

    async def _note(self, *statements: Statement) -> None:
        """The same of what has happened, whether the file takes it now or later."""
        try:
            await self._write(*statements)
        except JournalError:
            self._owed += statements

    def _commit(self, statements: Sequence[Statement]) -> None:
        connection = self._connection
        with self._named("written", lambda text, _: JournalError("ENGINE-006", text)):
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
        if version == 0 and tables == 0 and self._used:
            raise self._lost("is empty")
        if version == 0 and tables == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION};")
            connection.execute("INSERT INTO journal VALUES (?, 0)", (secrets.token_hex(8),))
            connection.execute("COMMIT")
        elif version != VERSION:
            raise BasisError(
                "ENGINE-004",
                f"order journal {self._path} has the layout {version}, this program writes {VERSION}; run the version"
                " of the program that wrote it until nothing is open, then begin a new state directory",
            )
        # A journal without it is one that nobody has kept what an account holds in.
        connection.execute(HELD)
        deployment, before = name_of(connection)
        book = read_book(connection, before + 1)
        connection.execute("UPDATE journal SET incarnation = ?", (book.incarnation,))
        return deployment, book

    def _lost(self, what: str) -> BasisError:
        return BasisError(
            "ENGINE-004",
            f"order journal {self._path} {what}, and an earlier process has traded with this state directory: nobody"
            " knows what it sent. Bring the file back from a copy, with no -wal beside it but that of the copy; or see"
            " to it that nothing is open at the exchanges, and begin with another --state directory",
        )

    def _require_whole(self) -> None:
        """Raises ValueError for a file whose pages do not hang together: half a journal is worse than none. With an
        index that lacks a row, what becomes of its intent would be written nowhere, and no error say so."""
        rows = self._connection.execute("PRAGMA integrity_check(3)").fetchall()
        findings = [line for (text,) in rows for line in text.splitlines()]
        if findings != ["ok"]:
            raise ValueError(f"it is damaged: {'; '.join(findings)}")

    @contextmanager
    def _named(self, what: str, make: Callable[[str, Exception], BasisError], *also: type[Exception]) -> Iterator[None]:
        named: tuple[type[Exception], ...] = (OSError, sqlite3.Error, *also)
        try:
            yield
        except named as error:
            raise make(
                f"order journal {self._path} cannot be {what}: {error}; nothing is sent without it: free space, make"
                " its folder writable, or bring back an intact copy, with no -wal beside it but that of the copy",
                error,
            ) from error


def _code_of(error: Exception) -> str:
    """What a journal that cannot be opened is called: a disk that is full or fails is worth another start."""
    # The lowest byte of an extended result code is its class: https://www.sqlite.org/rescode.html
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    passes = kind in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) or getattr(error, "errno", None) == ENOSPC
    return "ENGINE-006" if passes else "ENGINE-004"
