"""What a state directory tells of the processes before, also where the last of them never came to have a ledger."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from basis_actors.logs.directory import LogDirectoryManager, RunStatus
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.messages.events import PositionSnapshot
from basis_actors.services.control.left_behind import last_seen, note_run, only_on_paper
from basis_actors.services.state import FileStore

pytestmark = pytest.mark.anyio
AT = datetime(2026, 1, 2, tzinfo=UTC)
SHORT = "binance:PerpPosition:BTC-PERP"


async def process(root: Path, name: str, *amounts: float, on_paper: bool = False) -> Path:
    """The log of a process whose ledger held these shorts one after another; without any it had no ledger."""
    run_dir = LogDirectoryManager.create_run_logs(name, 1, "btc_basis", "basis", 1.0, root)
    note_run(FileStore(root), run_dir, on_paper=on_paper)
    log = DomainEventLogger(run_dir, name, 1)
    for amount in amounts:
        log.log(PositionSnapshot(AT, {SHORT: amount}, None, "real", "tick"))
    await log.close()
    return run_dir


async def test_the_last_ledger_counts_however_many_processes_had_none_since(tmp_path: Path) -> None:
    assert last_seen(tmp_path) is None
    FileStore(tmp_path).write("run.json", b'{"run_dir":"\xff"}')
    assert last_seen(tmp_path) is None
    await process(tmp_path, "first", -1.0)
    second = await process(tmp_path, "second", -2.0, -3.0)
    for name in ("third", "fourth"):
        await process(tmp_path, name)
        seen = last_seen(tmp_path)
        assert seen is not None
        assert (seen.run_dir, seen.at, seen.positions) == (str(second), AT, {SHORT: -3.0})
    fifth = await process(tmp_path, "fifth", -4.0)
    seen = last_seen(tmp_path)
    assert seen is not None
    assert (seen.run_dir, seen.positions) == (str(fifth), {SHORT: -4.0})


async def test_what_was_held_on_paper_is_never_held_on_accounts(tmp_path: Path) -> None:
    def held(*, on_accounts: bool) -> tuple[str, float] | None:
        seen = last_seen(tmp_path, on_accounts=on_accounts)
        return None if seen is None or seen.positions is None else (seen.run_dir, seen.positions[SHORT])

    paper = await process(tmp_path, "paper", -1.0, on_paper=True)
    assert (held(on_accounts=False), held(on_accounts=True)) == ((str(paper), -1.0), None)
    assert only_on_paper(tmp_path)
    await process(tmp_path, "refused")
    assert (held(on_accounts=False), held(on_accounts=True)) == ((str(paper), -1.0), None)
    assert not only_on_paper(tmp_path), "the last was not on paper"
    traded = await process(tmp_path, "traded", -2.0)
    for name in ("again", "once-more"):
        paper = await process(tmp_path, name, -3.0, on_paper=True)
        assert (held(on_accounts=False), held(on_accounts=True)) == ((str(paper), -3.0), (str(traded), -2.0))
    FileStore(tmp_path).write("traded.json", b"{}")
    assert not only_on_paper(tmp_path), "what it has traded may be open"


async def test_how_the_last_process_ended_is_told_by_its_log(tmp_path: Path) -> None:
    run_dir = await process(tmp_path, "first", -1.0)
    last = await process(tmp_path, "last")

    def ending() -> tuple[str, str | None, str | None]:
        seen = last_seen(tmp_path)
        assert seen is not None
        assert seen.run_dir == str(run_dir), "whose ledger is the last"
        return seen.ending.run_dir, seen.ending.how, seen.ending.failure

    assert ending() == (str(last), "killed", None)
    LogDirectoryManager.finish(last, RunStatus.COMPLETED)
    assert ending() == (str(last), "completed", None)
    LogDirectoryManager.finish(last, RunStatus.FAILED, failure="VEN-005: wrong key")
    assert ending() == (str(last), "failed", "VEN-005: wrong key")
    shutil.rmtree(last)
    assert ending() == (str(last), None, None)


@pytest.mark.parametrize("content", ['{"run_dir": "/nowhere"}', "no JSON"])
async def test_a_note_of_an_earlier_version_or_of_nothing_is_no_trouble(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    only = await process(tmp_path, "only")
    seen = last_seen(tmp_path)
    assert seen is not None
    assert (seen.run_dir, seen.positions) == (str(only), None)


@pytest.mark.parametrize("place", ["run_dir", "before"])
def test_a_place_that_is_none_tells_nothing(place: str, tmp_path: Path) -> None:
    said = msgspec.json.encode({"run_dir": "logs", place: "lo\0gs"})
    (tmp_path / "run.json").write_bytes(said)
    assert last_seen(tmp_path) is None
    note_run(FileStore(tmp_path), tmp_path / "logs")
    seen = last_seen(tmp_path)
    assert seen is not None
    assert seen.run_dir == str(tmp_path / "logs")
