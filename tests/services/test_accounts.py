"""One process an account, whatever mode it trades: the second is told who has it before it has asked anything."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

pytest.importorskip("ccxt", reason="accounts at exchanges need the extra live")

from tests.exchange.server import KEY as EXCHANGE_KEY
from tests.exchange.server import OTHER_KEY, SECRET
from tests.live.street import whole_binance

from basis_actors.config import load_mode
from basis_actors.config.secrets import ExchangeKeys, PassphraseKeys, Secrets
from basis_actors.errors import BasisError
from basis_actors.services.accounts import LiveAccounts, require_keys
from basis_actors.services.state import Holder, StateDirectory
from basis_actors.venues.journal.memory import MemoryJournal
from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.pauses import Pauses

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = f"an-api-key-of-binance-{uuid4().hex}"
"""Another one in each run of these tests: an account is locked for the whole machine."""
HOLD = """
import sys
from pathlib import Path
from tests.services.test_accounts import accounts, state
with state(Path(sys.argv[1]), sys.argv[2]) as held:
    accounts(sys.argv[2], sys.argv[3]).lock(held)
    print("held", flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).resolve().parents[2]


def accounts(mode: str, key: str | None, calls: list[ApiCall] | None = None) -> LiveAccounts:
    """The accounts of a mode, with the key that they have at Binance."""
    keys = None if key is None else ExchangeKeys(api_key=key, api_secret="s3cret")
    others = ExchangeKeys(api_key=f"bybit of {mode} beside {key}", api_secret="s3cret")
    okx = PassphraseKeys(api_key=f"okx of {mode} beside {key}", api_secret="s3cret", passphrase="s3cret")
    secrets = Secrets(binance=keys, bybit=others, okx=okx)
    record = [].append if calls is None else calls.append
    return LiveAccounts(load_mode(mode), MemoryJournal("test"), secrets, record, Pauses())


def test_every_variable_that_is_missing_is_named() -> None:
    keys = ExchangeKeys(api_key="k", api_secret="s")
    with pytest.raises(BasisError) as caught:
        require_keys(load_mode("btc_basis"), Secrets(binance=keys))
    assert "trades at bybit, okx, and there are no keys for that; set BASIS_ACTORS_BYBIT__API_KEY, " in str(
        caught.value
    )
    named = re.findall(r"BASIS_ACTORS_\w+", str(caught.value))
    fields = {"BYBIT": ("API_KEY", "API_SECRET"), "OKX": ("API_KEY", "API_SECRET", "PASSPHRASE")}
    assert named == [f"BASIS_ACTORS_{venue}__{name}" for venue, names in fields.items() for name in names]


def state(root: Path, mode: str) -> StateDirectory:
    return StateDirectory(root, Holder.this_process(mode, SINCE))


@contextmanager
def another_process(root: Path, mode: str, key: str) -> Iterator[int]:
    """One that has taken the accounts of a mode; its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, root, mode, key],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_a_second_process_on_an_account_is_told_who_has_it_and_asks_nothing(tmp_path: Path) -> None:
    calls: list[ApiCall] = []
    with another_process(tmp_path, "btc_basis", KEY) as pid, state(tmp_path, "eth_basis") as held:
        with pytest.raises(BasisError) as caught:
            accounts("eth_basis", KEY, calls).lock(held)
        who = f"process {pid} on {socket.gethostname()}, mode btc_basis, since 2026-01-02T03:04:05Z"
        assert caught.value.code == "ENGINE-001"
        assert f"the account at binance is taken by {who}" in caught.value.message
        assert calls == []


def test_an_account_stays_taken_when_the_state_directory_is_deleted_and_for_another_root(tmp_path: Path) -> None:
    root = tmp_path / "state"
    with another_process(root, "btc_basis", KEY) as pid:
        shutil.rmtree(root)
        for place, mode in ((root, "eth_basis"), (tmp_path / "another", "btc_basis")):
            with state(place, mode) as held, pytest.raises(BasisError) as caught:
                accounts("btc_basis", KEY).lock(held)
            assert caught.value.message.startswith(f"the account at binance is taken by process {pid} of this machine")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_another_key_of_the_same_account_is_refused_before_anything_is_changed_there(tmp_path: Path) -> None:
    async with whole_binance() as exchange:
        where = {"venue_configs": {"binance": {"urls": exchange.urls}}}
        with state(tmp_path / "one", "btc_basis") as mine, state(tmp_path / "two", "eth_basis") as other:
            first, second = (
                LiveAccounts(
                    load_mode(mode, where),
                    MemoryJournal("test"),
                    Secrets(binance=ExchangeKeys(api_key=key, api_secret=SECRET)),
                    lambda _: None,
                    Pauses(),
                )
                for mode, key in (("btc_basis", EXCHANGE_KEY), ("eth_basis", OTHER_KEY))
            )
            first.lock(mine)
            second.lock(other)
            for _ in range(2):
                await first.connection("binance").prepare({})
            changes = len(exchange.journal.of("POST *"))
            with pytest.raises(
                BasisError, match=f"ENGINE-001: the account at binance is taken by process {os.getpid()}"
            ):
                await second.connection("binance").prepare({"BTC-PERP": 7})
            assert len(exchange.journal.of("POST *")) == changes
            await first.close()
            await second.close()


def test_another_account_at_the_same_exchange_is_free_and_one_that_was_left_as_well(tmp_path: Path) -> None:
    with another_process(tmp_path, "btc_basis", KEY), state(tmp_path, "eth_basis") as held:
        accounts("eth_basis", "another key", None).lock(held)
    with state(tmp_path, "btc_basis") as held:
        accounts("btc_basis", KEY).lock(held)


def test_no_key_is_on_disk_and_an_account_without_one_is_not_taken(tmp_path: Path) -> None:
    for key, taken in ((None, 2), (KEY, 3)):
        root = tmp_path / str(taken)
        with state(root, "btc_basis") as held:
            accounts("btc_basis", key).lock(held)
        every = [path for path in root.rglob("*.lock") if path.parent.name == "accounts"]
        assert len(every) == taken
        assert not [path for path in every if KEY in path.name or KEY in path.read_text()]
