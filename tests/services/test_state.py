"""One process a state directory and an account, whoever asks is told who has it, and what is written is all there."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISVTX

import pytest

from basis_actors.errors import BasisError
from basis_actors.services.state import (
    FileStore,
    Holder,
    StateDirectory,
    fingerprint_of,
    holder_of,
    idle_state,
    loser_of,
    socket_of,
)

SINCE = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HOLD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from basis_actors.services.state import Holder, StateDirectory
state = StateDirectory(Path(sys.argv[1]), Holder.this_process(sys.argv[2], datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)))
state.lock_account("binance", "abc123")
print("held", flush=True)
sys.stdin.read()
"""


def holder(mode: str = "btc_basis") -> Holder:
    return Holder.this_process(mode, SINCE)


class Other:
    """Another process that has the state of a mode, and an account."""

    def __init__(self, root: Path, mode: str = "btc_basis") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, root, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.communicate()


@pytest.fixture
def other(tmp_path: Path) -> Other:
    found = Other(tmp_path)
    yield found  # type: ignore[misc]
    found.end()


def test_a_second_process_on_a_state_directory_is_told_who_has_it(other: Other, tmp_path: Path) -> None:
    with pytest.raises(BasisError) as caught:
        StateDirectory(tmp_path, holder())
    assert caught.value.code == "ENGINE-001"
    who = f"process {other.process.pid} on {socket.gethostname()}, mode btc_basis, since 2026-01-02T03:04:05Z"
    assert f"state directory {tmp_path / 'btc_basis'} is taken by {who}" in caught.value.message


def test_a_second_process_on_an_account_is_told_who_has_it(other: Other, tmp_path: Path) -> None:
    with StateDirectory(tmp_path, holder("eth_basis")) as state:
        state.lock_account("binance", "other")
        state.lock_account("bybit", "abc123")
        with pytest.raises(BasisError, match=rf"the account at binance is taken by process {other.process.pid} on"):
            state.lock_account("binance", "abc123")


def test_an_account_is_named_without_giving_its_key_away(tmp_path: Path) -> None:
    name = fingerprint_of("binance", "my-api-key")
    assert name == fingerprint_of("binance", "my-api-key")
    assert len({name, fingerprint_of("bybit", "my-api-key"), fingerprint_of("binancemy", "-api-key")}) == 3
    assert "my-api-key" not in name
    with StateDirectory(tmp_path, holder()) as state:
        state.lock_account("binance", name)


def test_a_lock_goes_with_its_process_however_that_ends(other: Other, tmp_path: Path) -> None:
    other.end()
    with StateDirectory(tmp_path, holder()) as state:
        state.lock_account("binance", "abc123")
        assert holder_of(state.path) == (holder(), True)


def test_what_is_released_can_be_taken_again(tmp_path: Path) -> None:
    with StateDirectory(tmp_path, holder()) as state:
        state.lock_account("binance", "abc123")
        with pytest.raises(BasisError, match=f"taken by process {os.getpid()}"):
            StateDirectory(tmp_path, holder())
    state.release()
    with StateDirectory(tmp_path, holder()) as again:
        again.lock_account("binance", "abc123")


def test_who_held_it_last_is_known_afterwards(tmp_path: Path) -> None:
    with StateDirectory(tmp_path, holder()) as state:
        path = state.path
    assert holder_of(path) == (holder(), False)
    with idle_state(path) as store:
        store.write("x", b"1")
        with pytest.raises(BasisError, match="is taken by"):
            StateDirectory(tmp_path, holder())
    assert holder_of(path) == (holder(), False), "whoever only looked after it is not the last"
    (path / "state.lock").write_bytes(b'{"host":"\xff"}')
    assert holder_of(path) == (None, False)


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": "x"}'])
def test_a_lock_that_does_not_say_who_has_it_is_a_lock(content: bytes, tmp_path: Path) -> None:
    with StateDirectory(tmp_path, holder()) as state:
        (state.path / "state.lock").write_bytes(content)
        with pytest.raises(BasisError, match="is taken by a process that has not said who it is"):
            StateDirectory(tmp_path, holder())


LOOK = """
import sys
import time
from pathlib import Path
from basis_actors.services.state import holder_of
print("on", flush=True)
while True:
    holder_of(Path(sys.argv[1]))
    time.sleep(0.001)
"""


def test_somebody_who_only_looks_keeps_nobody_from_starting(tmp_path: Path) -> None:
    with StateDirectory(tmp_path, holder()) as state:
        path = state.path
    looker = subprocess.Popen([sys.executable, "-c", LOOK, path], stdout=subprocess.PIPE, text=True)
    assert looker.stdout is not None
    looker.stdout.readline()
    try:
        for _ in range(100):
            StateDirectory(tmp_path, holder()).release()
    finally:
        looker.kill()
        looker.communicate()


def test_everything_in_it_is_for_its_owner_only(tmp_path: Path) -> None:
    with StateDirectory(tmp_path / "root", holder()) as state:
        state.write("latch.json", b"{}")
        state.lock_account("binance", "abc123")
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "root").rglob("*")}
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o700
    assert modes == {
        "btc_basis": 0o700,
        "accounts": 0o700,
        "state.lock": 0o600,
        "latch.json": 0o600,
        "binance-abc123.lock": 0o600,
    }


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_root_in_which_others_may_put_another_state_is_refused(mode: int, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(BasisError, match=rf"others may write to {tmp_path}, which .*\(mode {mode:03o}\)"):
        StateDirectory(tmp_path, holder())
    tmp_path.chmod(mode | S_ISVTX)
    with StateDirectory(tmp_path, holder()):
        pass


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_that_others_may_change_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "btc_basis"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(BasisError, match=rf"others may write to .*\(mode {mode:03o}\); chmod it to 700"):
        StateDirectory(tmp_path, holder())


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    path = tmp_path / "btc_basis"
    path.mkdir(mode=0o700)
    os.chown(path, 12_345, -1)
    with pytest.raises(BasisError, match="belongs to user 12345, 0 was expected"):
        StateDirectory(tmp_path, holder())


@pytest.mark.parametrize("mode", ["../x", "a/b", "", ".", "a b"])
def test_a_name_that_leads_elsewhere_is_refused(mode: str, tmp_path: Path) -> None:
    with pytest.raises(BasisError, match=r"names no directory; letters, digits, _, \. and - were expected"):
        StateDirectory(tmp_path, holder(mode))
    with StateDirectory(tmp_path, holder()) as state, pytest.raises(BasisError, match="names no account"):
        state.lock_account("binance", f"{mode}/x")


def test_a_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "btc_basis").write_text("")
    with pytest.raises(BasisError, match=r"cannot be made: .*choose another state directory"):
        StateDirectory(tmp_path, holder())


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BasisError, match="is too long: a socket in it has more than 107 bytes"):
        StateDirectory(tmp_path / ("d" * 100), holder())


def test_a_folder_without_a_lock_is_no_state_directory(tmp_path: Path) -> None:
    with pytest.raises(BasisError, match=r"is no state directory: it has no state\.lock"):
        holder_of(tmp_path)
    assert socket_of(tmp_path).parent == tmp_path


# Facts


def test_what_was_written_last_is_read(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    assert store.read("a.json") is None
    store.write("a.json", b"one")
    store.write("a.json", b"two")
    assert FileStore(tmp_path).read("a.json") == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"], "nothing is left over"


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path)
    store.write("a.json", b"one")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BasisError, match=r"ENGINE-004: .*a\.json cannot be written: .*No space left") as caught:
        store.write("a.json", b"two")
    assert caught.value.code == "ENGINE-004"
    assert store.read("a.json") == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_is_no_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(BasisError, match=r"ENGINE-004: .*a\.json cannot be read"):
        FileStore(tmp_path).read("a.json")
    with pytest.raises(BasisError, match=r"ENGINE-004: .*a\.json cannot be written"):
        FileStore(tmp_path).write("a.json", b"")


WRITE = """
import sys
from pathlib import Path
from basis_actors.services.state import FileStore
store, number = FileStore(Path(sys.argv[1])), 0
print("on", flush=True)
while True:
    store.write("a.json", str(number).encode() * 4000)
    number += 1
"""


def test_a_kill_in_the_middle_of_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITE, tmp_path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        while not (tmp_path / "a.json").exists():
            assert process.poll() is None
        process.kill()
        process.communicate()
        content = FileStore(tmp_path).read("a.json") or b""
        assert content == content[: len(content) // 4000] * 4000 != b""
        (tmp_path / "a.json").unlink()


def test_nothing_is_written_to_what_takes_its_place_and_the_door_there_stays_open(tmp_path: Path) -> None:
    with StateDirectory(tmp_path, holder()) as state:
        state.listen()
        state.write("latch.json", b"ours")
        shutil.rmtree(state.path)
        assert state.lost() == f"{state.path} is gone: No such file or directory"
        state.path.mkdir()
        for name in ("latch.json", "control.sock"):
            (state.path / name).write_bytes(b"theirs")
        with pytest.raises(BasisError, match=r"ENGINE-004: .*latch.json cannot be written: .* was replaced"):
            state.write("latch.json", b"ours")
        state.release()
        assert [(state.path / name).read_bytes() for name in ("latch.json", "control.sock")] == [b"theirs", b"theirs"]


def test_where_a_process_has_lost_its_state_no_other_begins_and_whoever_asks_is_told_of_it(
    other: Other, tmp_path: Path
) -> None:
    path = tmp_path / "btc_basis"
    who = f"process {other.process.pid} of this machine"
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(BasisError, match=f"ENGINE-001: state directory {path} is taken by {who}"):
        StateDirectory(tmp_path, holder())
    assert holder_of(path) == (None, False), "whoever was refused has never had it"
    assert loser_of(path) == who
    other.end()
    assert loser_of(path) is None
    with StateDirectory(tmp_path, holder()):
        assert holder_of(path) == (holder(), True)


@pytest.mark.parametrize("name", ["state.lock", "orders.sqlite"])
def test_a_part_of_it_that_is_deleted_or_replaced_is_noticed(name: str, tmp_path: Path) -> None:
    with StateDirectory(tmp_path, holder()) as state:
        file = state.path / name
        file.touch()
        state.keep(file)
        assert state.lost() is None
        file.unlink()
        assert state.lost() == f"{file} is gone: No such file or directory"
        file.touch()
        assert state.lost() == f"{file} was replaced: it is not the one that this process began with"
