"""A live process on accounts that is interrupted before it is one says what earlier processes have left."""

from __future__ import annotations

import shutil
import signal
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from tests.actors.desk import START, group, short
from tests.venues.journal.intents import intent

from basis_actors.cli.live import _run
from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.messages.events import PositionSnapshot
from basis_actors.messages.journal import IntentState
from basis_actors.services.control.left_behind import note_run
from basis_actors.services.live import LiveRun
from basis_actors.services.preparation import BacktestRequest
from basis_actors.services.state import Holder, StateDirectory
from basis_actors.venues.journal.sqlite import SqliteJournal

AT = datetime(2026, 1, 2, tzinfo=UTC)
SHORT = "binance:PerpPosition:BTC-PERP"
REQUEST = BacktestRequest(mode="btc_basis", runtime="live")


def told_early(_request: BacktestRequest, _held: ExitStack) -> LiveRun:
    """Somebody stops the process while it is being made."""
    signal.raise_signal(signal.SIGTERM)
    raise AssertionError("it is gone")


def shown(root: Path | None, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the process says at its end."""
    assert _run(REQUEST, told_early, accounts=root, as_json=True, quiet=True) == 130
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()


async def trade(path: Path, *, crashes: Path | None = None) -> None:
    """Leave a group half done, and an order of which nobody knows; a process that crashes leaves its files there."""
    journal = SqliteJournal(path / "orders.sqlite")
    await journal.begin_group("group", group(short("o1", 0.5), short("o2", 0.5, venue="okx")))
    await journal.intend(intent("c1"))
    await journal.advance("c1", IntentState.SENT, Decimal(0), "on its way", START)
    if crashes is not None:
        shutil.copytree(path, crashes)
    journal.close()


async def hold(root: Path, state: StateDirectory, amount: float) -> None:
    """Log a ledger."""
    run_dir = LogDirectoryManager.create_run_logs("first", 1, "btc_basis", "basis", 1.0, root)
    note_run(state, run_dir)
    log = DomainEventLogger(run_dir, "first", 1)
    log.log(PositionSnapshot(AT, {SHORT: amount, "binance:BaseToken:USDT": 9.0}, None, "real", "tick"))
    await log.close()


@pytest.mark.parametrize("crashed", [False, True])
def test_a_group_that_is_cut_in_two_is_named_though_nothing_was_run(
    crashed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "state"
    with StateDirectory(root, Holder.this_process("btc_basis", AT)) as state:
        if crashed:
            anyio.run(lambda: trade(state.path, crashes=tmp_path / "crashed"))
            shutil.copytree(tmp_path / "crashed", state.path, dirs_exist_ok=True)
            assert (state.path / "orders.sqlite-wal").stat().st_size > 0
        else:
            anyio.run(trade, state.path)
        anyio.run(hold, tmp_path / "logs", state, -0.25)
        said = shown(root, capsys)
        assert said[0] == "Interrupted: nothing was run"
        assert said[1].startswith("Warning: what earlier processes have left was not read: ENGINE-001: state directory")
    before = {path.name: path.read_bytes() for path in (root / "btc_basis").glob("orders.sqlite")}
    said = shown(root, capsys)
    asks = "; the next process asks what became of it"
    assert said[:2] == ["Interrupted: nothing was run", f"Undecided: short 0.1 BTC-PERP on binance (c1){asks}"]
    legs = "short 0.5 BTC-PERP on bybit, short 0.5 BTC-PERP on okx"
    since = "held at 2026-01-02T00:00:00Z by an earlier process, and the ledger was not read since"
    assert said[2:] == [
        f"Cut in two: group ({legs}); the next process brings it to its end",
        f"Still open: {SHORT} -0.25; {since}",
    ]
    assert {path.name: path.read_bytes() for path in (root / "btc_basis").glob("orders.sqlite")} == before


def test_where_nothing_has_traded_there_is_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for root in (None, tmp_path / "nowhere"):
        assert shown(root, capsys) == ["Interrupted: nothing was run"]
    assert not (tmp_path / "nowhere").exists()


def test_a_journal_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "btc_basis").mkdir()
    (tmp_path / "btc_basis" / "orders.sqlite").write_bytes(b"no database" * 100)
    (_, warning) = shown(tmp_path, capsys)
    assert warning.startswith("Warning: what earlier processes have left was not read: ENGINE-004: order journal ")
