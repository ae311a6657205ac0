"""The journal on disk: what it does when processes are killed, disks fill up, files are damaged or not its own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from random import Random

import anyio
import pytest
from tests.venues.journal.disk import fill_disk, free_disk
from tests.venues.journal.intents import fill, held, incoming, intent, legs, payment, reading

from basis_actors.errors import BasisError, JournalError
from basis_actors.messages.journal import IntentState
from basis_actors.venues.journal.sqlite import SqliteJournal

STATES = list(IntentState)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal(path)
    yield opened
    opened.close()


def killed_after(path: Path, promises: int) -> list[list[str]]:
    """What a writing process had promised when it was killed in the middle of what came next."""
    command = [sys.executable, "-m", "tests.venues.journal.writer", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(promises)]
        writer.kill()
        lines += writer.stdout.readlines()
    return [line.split() for line in lines if line.endswith("\n")]


async def check(journal: SqliteJournal, promised: list[list[str]]) -> None:
    """Everything that was promised is there."""
    said: dict[str, set[str]] = {}
    for what, *rest in promised:
        said.setdefault(what, set()).add(" ".join(rest))
    reached: dict[str, int] = {}
    for place, state in enumerate(STATES):
        reached.update(dict.fromkeys(said.get(state, ()), place))
    for name, place in reached.items():
        (entry,) = await journal.attempts(int(name.split("-")[0]), name)
        assert STATES.index(entry.state) >= place
        assert entry.filled == (Decimal("0.1") if "filled" in entry.state else 0)
        assert entry.evidence == ("decided" if entry.state == "pending" else f"evidence of {entry.state}")
        assert entry.intent == intent(name, name, incarnation=entry.intent.incarnation)
    for name in said.get("fill", ()):
        assert not await journal.book_fill("binance", fill(name)), f"trade {name} was promised and is not there"
    expected = await journal.expected("bybit")
    for name in said.get("expected", set()) - said.get("arrived", set()):
        assert expected.count(incoming(name)) == 1 or name == last_of(said["expected"])
    assert all(incoming(name) not in expected for name in said.get("arrived", ()))
    open_groups = {f"{number} {orders[0].atomic_group_id}" for number, orders in await journal.open_groups()}
    assert not open_groups & said.get("ended", set())
    missing = said.get("begun", set()) - said.get("ended", set()) - open_groups
    assert len(missing) <= 1, "only the end of a group that was being written may have come without a promise"


def last_of(names: set[str]) -> str:
    return max(names, key=lambda name: tuple(map(int, name.split("-"))))


@pytest.mark.parametrize("seed", range(2))
async def test_what_returned_survives_a_kill_and_nothing_is_there_in_half(path: Path, seed: int) -> None:
    random, promised = Random(seed), list[list[str]]()
    for process in range(1, 4):
        promised += killed_after(path, random.randint(1, 60))
        journal = SqliteJournal(path)
        assert journal.incarnation == 2 * process
        await check(journal, promised)
        journal.close()
    rows = sqlite3.connect(path)
    counts = dict(rows.execute("SELECT client_id, count(*) FROM transitions GROUP BY client_id"))
    for name, state in rows.execute("SELECT client_id, state FROM intents"):
        assert counts[name] == {"pending": 1, "sent": 2, "partially_filled": 3, "filled": 4}[state]
    rows.close()


def test_nobody_else_may_read_it(path: Path) -> None:
    previous = os.umask(0)
    try:
        opened = SqliteJournal(path)
    finally:
        os.umask(previous)
    found = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    opened.close()
    assert found == dict.fromkeys(("journal.db", "journal.db-wal", "journal.db-shm"), "0o600")


def test_every_change_is_on_disk_before_it_returns(journal: SqliteJournal) -> None:
    modes = [journal._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert modes == ["wal", 2]


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def replace_bytes(old: bytes, new: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = path.read_bytes()
        assert content.count(old) == 1
        path.write_bytes(content.replace(old, new))

    return damage


def say(statement: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with sqlite3.connect(path) as rows:
            rows.execute(statement)
        rows.close()

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no database": (lambda path: overwrite(path, 0, b"nonsense" * 20), "file is not a database"),
    "a page of zeros": (lambda path: overwrite(path, 4096, bytes(4096)), "malformed|damaged"),
    "cut off": (lambda path: os.truncate(path, 3 * 4096), "malformed|damaged"),
    # A key of the index, with the header of its record and the row that it leads to.
    "an index without a row": (
        replace_bytes(b"\x03\x13\x01c19\x14", b"\x03\x13\x01c1:\x14"),
        "it is damaged: row 20 missing from index",
    ),
    "an unknown state": (say("UPDATE intents SET state = 'lost'"), "'lost' is not a valid IntentState"),
    "no number": (say("UPDATE intents SET filled = 'much'"), "intent .c0. cannot be read, with .much. filled"),
    "half an intent": (say("UPDATE intents SET intent = substr(intent, 1, 40)"), "Input data was truncated"),
    "an intent of nothing": (say("UPDATE intents SET intent = '{}'"), "missing required field"),
    "half a transfer": (say("UPDATE expected SET transfer = '{'"), "Input data was truncated"),
    "orders that are none": (say("UPDATE groups SET orders = '[1]'"), "Expected `object`"),
    "no name": (say("DELETE FROM journal"), "it has 0 names where one was expected"),
    "two names": (say("INSERT INTO journal VALUES ('other', 3)"), "it has 2 names where one was expected"),
    "a table gone": (say("DROP TABLE fills"), "fills is not as it was made: nothing is there, CREATE TABLE fills"),
    "no transitions": (say("DROP TABLE transitions"), "transitions is not as it was made: nothing is there"),
    "a column more": (say("ALTER TABLE intents ADD note TEXT"), "intents is not as it was made: .*note TEXT"),
    "a trigger": (
        say("CREATE TRIGGER t AFTER INSERT ON intents BEGIN DELETE FROM intents; END"),
        "t is not as it was made: CREATE TRIGGER .* nothing was expected",
    ),
    "processes before the first": (say("UPDATE journal SET incarnation = -3"), "table journal.*Expected `int` >= 0"),
    "a word for a count": (say("UPDATE journal SET incarnation = 'one'"), "table journal.*Expected `int`, got `str`"),
    "an empty name": (say("UPDATE journal SET deployment = ''"), "table journal.*of length >= 1"),
    "filled with no number": (say("UPDATE intents SET filled = 'NaN'"), "'NaN' filled: .*from 0 on was expected"),
    "filled with less than nothing": (say("UPDATE intents SET filled = '-1'"), "'-1' filled: .*from 0 on was expected"),
    "more filled than was noted": (
        say("UPDATE intents SET filled = '0.1'"),
        "'0.1'.* and its last transition is .*'0'",
    ),
    "a word for a time": (say("UPDATE intents SET changed_ns = 'now'"), "table intents.*Expected `int`, got `str`"),
    "bytes for words": (say("UPDATE intents SET evidence = x'00ff'"), "table intents.*Expected `str`, got `bytes`"),
    "another id": (say("UPDATE intents SET client_id = 'z' WHERE client_id = 'c1'"), "intent 'z' .* calls itself c1"),
    "one intent twice": (
        say("UPDATE intents SET intent = (SELECT intent FROM intents WHERE client_id = 'c2') WHERE client_id = 'c1'"),
        "intent 'c1' .* calls itself c2",
    ),
    "an intent gone": (say("DELETE FROM intents WHERE client_id = 'c1'"), "transitions are .* that are not: c1"),
    "a process to come": (
        say("""UPDATE intents SET intent = replace(intent, '"incarnation":1', '"incarnation":9')"""),
        "process 9 wrote it, 1 to 2 were there",
    ),
    "an amount that is none": (
        say("""UPDATE intents SET intent = replace(intent, '"0.10"', '"NaN"')"""),
        "intent 'c0' .*amount is NaN",
    ),
    "a trade of no amount": (say("""UPDATE fills SET fill = replace(fill, '"0.1"', '"NaN"')"""), "amount is NaN"),
    "a group of no process": (say("UPDATE groups SET incarnation = 'x'"), "table groups.*Expected `int`, got `str`"),
    "a group of other orders": (say("UPDATE groups SET group_id = 'g'"), "group 'g' has orders that are not its own"),
    "held before the first row": (say("UPDATE held SET fills = -1"), "table held.*Expected `int` >= 0"),
    "held after the last row": (say("UPDATE held SET fills = 7"), r"binance held .*\[7, 0, 20\] .*\[1, 0, 20\]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_journal_is_refused(path: Path, damage: str) -> None:
    written = SqliteJournal(path)
    for number in range(20):
        await written.intend(intent(f"c{number}"))
    await written.expect("bybit", incoming("op"))
    await written.begin_group("group", legs("group"))
    await written.keep("binance", held(5, USDT=1.5))
    await written.book_fill("binance", fill("t1"))
    written.close()
    apply, text = DAMAGES[damage]
    apply(path)
    for _ in range(2):
        with pytest.raises(BasisError, match=f"ENGINE-004: order journal .*journal.db cannot be opened: .*({text})"):
            SqliteJournal(path)


async def test_a_copy_that_is_brought_back_beside_the_log_of_another_is_refused(path: Path) -> None:
    copy, log = path.with_name("copy"), path.with_name(f"{path.name}-wal")
    for process in range(3):
        journal = SqliteJournal(path)
        for number in range(20):
            await journal.intend(intent(f"c{process}-{number}"))
        left = log.read_bytes()
        journal.close()
        if process == 0:
            shutil.copy(path, copy)
    shutil.copy(copy, path)
    log.write_bytes(left)
    with pytest.raises(BasisError, match=r"ENGINE-004: .* an intact copy, with no -wal beside it but that of the copy"):
        SqliteJournal(path)
    log.unlink(missing_ok=True)
    shutil.copy(copy, path)
    after = SqliteJournal(path)
    assert [entry.intent.client_id for entry in after.entries] == [f"c0-{number}" for number in range(20)]
    after.close()


async def test_one_in_which_nobody_has_kept_what_accounts_hold_is_gone_on_with(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.book_fill("binance", fill("t1"))
    journal.close()
    say("DROP TABLE held")(path)
    after = SqliteJournal(path)
    assert await after.remembered("binance") is None
    await after.keep("binance", held(5, USDT=1.5))
    after.close()


async def test_what_an_account_held_reaches_a_full_disk_after_what_was_booked_before(
    path: Path, journal: SqliteJournal
) -> None:
    await journal.keep("binance", held(5, USDT=1.5))
    fill_disk(journal)
    await journal.book_fill("binance", fill("t1"))
    await journal.keep("binance", held(6, USDT=2.5))
    await journal.book_fill("binance", fill("t2"))
    free_disk(journal)
    journal.close()
    after = SqliteJournal(path)
    remembered = await after.remembered("binance")
    assert remembered is not None
    assert (remembered.held, remembered.fills) == (held(6, USDT=2.5), (fill("t2"),))
    after.close()


@pytest.mark.parametrize(("statement", "layout"), [("PRAGMA user_version = 2", 2), ("PRAGMA user_version = 0", 0)])
async def test_a_journal_of_another_layout_is_left_alone(path: Path, statement: str, layout: int) -> None:
    SqliteJournal(path).close()
    say(statement)(path)
    before = path.read_bytes()
    with pytest.raises(BasisError, match=f"ENGINE-004: .* has the layout {layout}, this program writes 1; run the ver"):
        SqliteJournal(path)
    assert path.read_bytes() == before


def test_a_database_of_somebody_else_is_left_alone(path: Path) -> None:
    say("CREATE TABLE holidays (place TEXT)")(path)
    with pytest.raises(BasisError, match=r"ENGINE-004: .* has the layout 0"):
        SqliteJournal(path)


@pytest.mark.parametrize(
    ("left", "what"),
    [(None, "is gone"), (b"", "is empty"), ("PRAGMA journal_mode = WAL", "is empty")],
)
def test_a_journal_that_was_used_is_not_begun_anew(path: Path, left: bytes | str | None, what: str) -> None:
    if isinstance(left, bytes):
        path.write_bytes(left)
    elif left is not None:
        say(left)(path)
    for _ in range(2):
        with pytest.raises(BasisError, match=f"ENGINE-004: order journal .*journal.db {what}, and an earlier process"):
            SqliteJournal(path, used=True)
    assert path.exists() is (left is not None)
    SqliteJournal(path).close()
    SqliteJournal(path, used=True).close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BasisError, match=r"ENGINE-004: order journal .*nowhere/journal.db cannot be opened: .*No such"):
        SqliteJournal(tmp_path / "nowhere" / "journal.db")
    with pytest.raises(BasisError, match=r"ENGINE-004: order journal .* cannot be opened: .*Is a directory"):
        SqliteJournal(tmp_path)


@pytest.mark.parametrize(
    ("link", "text"),
    [(Path.symlink_to, "Too many levels of symbolic links"), (Path.hardlink_to, "it has 2 names in the file system")],
)
def test_a_journal_under_a_second_name_is_refused(
    path: Path, journal: SqliteJournal, link: Callable[[Path, Path], None], text: str
) -> None:
    """It would be another process's: the lock of a state directory is for what is in it."""
    other = path.with_name("other.db")
    link(other, path)
    with pytest.raises(BasisError, match=f"ENGINE-004: order journal .*other.db cannot be opened: .*{text}"):
        SqliteJournal(other)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a quarter of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_full_disk_is_said_and_what_was_written_stays(disk: Path) -> None:
    journal = SqliteJournal(disk / "journal.db")
    names: list[str] = []

    async def fill_up() -> None:
        for number in range(10_000):
            await journal.intend(intent(f"c{number}", f"op{number}"))
            names.append(f"op{number}")

    said: list[str | None] = []
    journal.tell = said.append
    with pytest.raises(JournalError, match=r"ENGINE-006: .* cannot be written: .*(full|I/O).*; nothing is sent"):
        await fill_up()
    assert "cannot be written" in (said[0] or "")
    assert len(names) > 10
    operations = [(1, name) for name in (*names, f"op{len(names)}")]
    before = await reading(journal, operations)
    assert before["attempts"][1, f"op{len(names)}"] == ()  # type: ignore[index]
    journal.close()
    subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
    after = SqliteJournal(disk / "journal.db")
    assert await reading(after, operations) == before | {"incarnation": 2}
    await after.intend(intent(f"c{len(names)}", "now"))
    after.close()


async def test_what_has_happened_is_known_while_the_disk_is_full_and_written_when_it_is_not(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.begin_group("g", legs("g"))
    for name in ("c1", "c2"):
        await journal.intend(intent(name, name))
    await journal.advance("c1", IntentState.SENT, Decimal(0), "sent", 1)
    said: list[str | None] = []
    journal.tell = said.append
    fill_disk(journal)
    for write in (
        journal.intend(intent("c3", "c3")),
        journal.advance("c2", IntentState.SENT, Decimal(0), "sent", 2),
        journal.begin_group("h", legs("h")),
    ):
        with pytest.raises(JournalError):
            await write
    await journal.advance("c1", IntentState.FILLED, Decimal("0.1"), "filled", 3)
    assert await journal.book_fill("binance", fill("f1"))
    assert not await journal.book_fill("binance", fill("f1"))
    assert await journal.book_payment("binance", payment("p1"))
    await journal.expect("bybit", incoming("t1"))
    await journal.arrived("bybit", incoming("t1"))
    await journal.expect("bybit", incoming("t2"))
    await journal.end_group(1, "g")
    await journal.try_again()
    assert all(problem is not None for problem in said)
    known = await reading(journal, [(1, "c1"), (1, "c2"), (1, "c3")])
    free_disk(journal)
    await journal.try_again()
    assert said[-1] is None
    journal.close()
    after = SqliteJournal(path)
    assert await reading(after, [(1, "c1"), (1, "c2"), (1, "c3")]) == known | {"incarnation": 2}
    assert not await after.book_fill("binance", fill("f1"))
    after.close()


async def test_what_a_full_disk_never_took_is_as_before_for_the_next_process(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.intend(intent("c1", "c1"))
    await journal.advance("c1", IntentState.SENT, Decimal(0), "sent", 1)
    fill_disk(journal)
    await journal.advance("c1", IntentState.FILLED, Decimal("0.1"), "filled", 3)
    journal.close()
    after = SqliteJournal(path)
    (entry,) = await after.attempts(1, "c1")
    assert entry.state is IntentState.SENT, "so it is asked for"
    after.close()


async def test_nothing_is_sent_before_what_the_disk_is_owed_is_on_it(path: Path, journal: SqliteJournal) -> None:
    fill_disk(journal)
    await journal.expect("bybit", incoming("t1"))
    free_disk(journal)
    await journal.intend(intent("c1", "c1"))
    other = sqlite3.connect(path)
    assert other.execute("SELECT count(*) FROM expected").fetchone() == (1,)
    other.close()


async def test_a_disk_that_is_read_only_is_said(disk: Path) -> None:
    SqliteJournal(disk / "journal.db").close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(BasisError, match=r"ENGINE-004: .* cannot be opened: .*Read-only file system"):
        SqliteJournal(disk / "journal.db")


async def test_a_disk_without_room_is_told_from_a_journal_that_cannot_be_used(disk: Path) -> None:
    SqliteJournal(disk / "journal.db").close()
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    with pytest.raises(BasisError, match=r"ENGINE-006: .* cannot be opened: .*(full|I/O)"):
        SqliteJournal(disk / "journal.db")
    (disk / "filler").unlink()
    SqliteJournal(disk / "journal.db").close()


async def test_accounts_write_at_the_same_time(path: Path, journal: SqliteJournal) -> None:
    async def trade(domain: str) -> None:
        for number in range(15):
            name = f"{domain}-{number}"
            await journal.intend(intent(name, name, domain))
            await journal.advance(name, IntentState.SENT, Decimal(0), "sent", 20)
            await journal.book_payment("both", payment(f"p{number}"))
            assert [entry.state for entry in await journal.unresolved(domain)].count(IntentState.SENT) == number + 1

    async with anyio.create_task_group() as group:
        for domain in ("binance", "bybit", "okx"):
            group.start_soon(trade, domain)
    operations = [(1, f"{domain}-{number}") for domain in ("binance", "bybit", "okx") for number in range(15)]
    before = await reading(journal, operations)
    journal.close()
    again = SqliteJournal(path)
    assert await reading(again, operations) == before | {"incarnation": 2}
    again.close()


async def test_the_same_news_from_two_tasks_is_news_once(journal: SqliteJournal) -> None:
    answers: list[bool] = []
    refused: list[str] = []

    async def book() -> None:
        answers.append(await journal.book_fill("binance", fill("f1")))
        answers.append(await journal.book_payment("binance", payment("p1")))

    async def end() -> None:
        try:
            await journal.advance("c1", IntentState.CANCELLED, Decimal(0), "never sent", 20)
        except BasisError as error:
            refused.append(error.code)

    await journal.intend(intent("c1"))
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(book)
            group.start_soon(end)
    assert sorted(answers) == [False] * 6 + [True] * 2
    assert refused == ["ENGINE-003"] * 3


async def test_a_cancelled_write_is_there_whole_and_the_book_knows(path: Path, journal: SqliteJournal) -> None:
    workers = anyio.to_thread.current_default_thread_limiter()
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    async with anyio.create_task_group() as group:
        group.start_soon(journal.intend, intent("c1"))
        while not workers.borrowed_tokens:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
        other.rollback()
    other.close()
    while workers.borrowed_tokens:
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
    known = await reading(journal, [(1, "op")])
    journal.close()
    again = SqliteJournal(path)
    assert await reading(again, [(1, "op")]) == known | {"incarnation": 2}
    assert len(await again.attempts(1, "op")) == 1
    again.close()


async def test_a_write_cancelled_before_it_began_leaves_nothing(journal: SqliteJournal) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(journal.intend, intent("c1"))
        group.cancel_scope.cancel()
    assert await journal.attempts(1, "op") == ()
    await journal.intend(intent("c1"))
