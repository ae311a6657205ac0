"""Defines the state directory of a live process: what has to survive it, and the locks that keep it the only one.

A root folder holds one directory for each mode, and the locks of the accounts that its processes trade on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from basis_actors.errors import BasisError
from basis_actors.services.anchor import Anchor
from basis_actors.services.machine_lock import MachineLock
from basis_actors.times import utc_text

__all__ = ["FileStore", "Holder", "StateDirectory", "fingerprint_of", "holder_of", "idle_state", "socket_of"]

_LOCK: Final = "state.lock"
_SOCKET: Final = "control.sock"
_FRESH_SOCKET: Final = ".control.new"
_WAITING: Final = 64
"""Connections that wait for somebody to accept them."""
_ACCOUNTS: Final = "accounts"
_LONGEST_SOCKET: Final = 107
"""Bytes in the path of a unix socket on Linux."""
_LOOKS: Final = (0.01, 0.02, 0.04, 0.08, 0.16)
"""Seconds."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who has taken a lock."""

    pid: int
    host: str
    since: datetime
    """UTC."""
    mode: str

    @classmethod
    def this_process(cls, mode: str, since: datetime) -> Holder:
        """Of a lock that is about to be taken here."""
        return cls(pid=os.getpid(), host=socket.gethostname(), since=since, mode=mode)

    def __str__(self) -> str:
        since = utc_text(self.since.replace(microsecond=0))
        return f"process {self.pid} on {self.host}, mode {self.mode}, since {since}"


class FileStore:
    """A StateStore in a folder: each fact a file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        """Content of a file; None where there is none. Raises BasisError ENGINE-004."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BasisError("ENGINE-004", f"{self.path / name} cannot be read: {error}") from error

    def write(self, name: str, content: bytes) -> None:
        """Replace a file, and return when that is on disk. Raises BasisError ENGINE-004."""
        fresh = self.path / f".{name}.new"
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path / name)
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            text = f"{self.path / name} cannot be written: {error}; free space, or mend its permissions"
            raise BasisError("ENGINE-004", text) from error

    def lost(self) -> str | None:
        """Nobody watches over a folder that no process has taken."""
        return None


class StateDirectory(FileStore):
    """The state of one process, which has it for itself from construction to `release`.

    with StateDirectory(root, holder) as state:
        state.lock_account("binance", fingerprint)

    Once it is not in its place any more nothing is written to what is there instead.
    """

    def __init__(self, root: Path, holder: Holder) -> None:
        """Raises BasisError ENGINE-001 when another process has it, when it is open to others, or has no place."""
        super().__init__(root / holder.mode)
        self.holder = holder
        if not _NAME.fullmatch(holder.mode):
            text = f"{holder.mode!r} names no directory; letters, digits, _, . and - were expected"
            raise BasisError("ENGINE-001", text)
        self._root = root
        self._locks: list[_Lock | MachineLock] = []
        self._anchors: list[Anchor] = []
        self._door: socket.socket | None = None
        _make_private(self.path)
        if len(os.fsencode(socket_of(self.path).absolute())) > _LONGEST_SOCKET:
            text = f"{self.path.absolute()} is too long: a socket in it has more than {_LONGEST_SOCKET} bytes"
            raise BasisError("ENGINE-001", f"{text}; choose another state directory")
        self._locks.append(_Lock(self.path / _LOCK, f"state directory {self.path}", holder))
        self.keep(self.path)
        self.keep(self.path / _LOCK)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file, and return when that is on disk. Raises BasisError ENGINE-004."""
        lost = self.lost()
        if lost is not None:
            raise BasisError("ENGINE-004", f"{self.path / name} cannot be written: {lost}")
        super().write(name, content)

    def keep(self, path: Path) -> None:
        """Watch over a file or folder that has to stay in its place. Raises BasisError ENGINE-001."""
        self._anchors.append(Anchor(path))

    def lost(self) -> str | None:
        """Which part of it is not in its place any more; None while every part is."""
        return next(filter(None, (anchor.lost() for anchor in self._anchors)), None)

    def lock_account(self, venue: str, fingerprint: str) -> None:
        """Take an account, named by something that only its credentials give and that does not give them away.

        Raises BasisError ENGINE-001 when another process under the same root has it.
        """
        name = f"{venue}-{fingerprint}"
        if not _NAME.fullmatch(name):
            raise BasisError("ENGINE-001", f"{name!r} names no account; letters, digits, _, . and - were expected")
        folder = self._root / _ACCOUNTS
        _make_private(folder)
        self._locks.append(_Lock(folder / f"{name}.lock", f"the account at {venue}", self.holder))

    def lock_on_machine(self, venue: str, fingerprint: str) -> None:
        """Take an account for this machine, whatever root others have, and whatever becomes of the files of this one.

        Raises BasisError ENGINE-001 when another process has it.
        """
        self._locks.append(MachineLock(f"{venue}-{fingerprint}", f"the account at {venue}"))

    def listen(self) -> socket.socket:
        """The socket of commands to this process, open from the first call on: whoever connects is kept waiting until
        somebody accepts. Raises BasisError ENGINE-001."""
        if self._door is None:
            self._door = _open_door(socket_of(self.path))
        return self._door

    def release(self) -> None:
        """Give everything up; again changes nothing."""
        if self._door is not None:
            if self.lost() is None:
                # Else it may be that of another process.
                socket_of(self.path).unlink(missing_ok=True)
            self._door.close()
            self._door = None
        while self._anchors:
            self._anchors.pop().close()
        while self._locks:
            self._locks.pop().release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


class _Lock:
    """A file that says who holds it. It is never removed: whoever waits for a removed file would hold nothing."""

    def __init__(self, path: Path, what: str, holder: Holder | None) -> None:
        """With no `holder` what it says stays as it is."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BasisError("ENGINE-001", f"{path} cannot be opened: {error}; choose another folder") from error
        try:
            _lock(descriptor)
            if holder is not None:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, msgspec.json.encode(holder), 0)
                os.fsync(descriptor)
        except BlockingIOError as error:
            os.close(descriptor)
            text = f"{what} is taken by {_named(path)}; stop that first, or give this one another"
            raise BasisError("ENGINE-001", text) from error
        except OSError as error:
            os.close(descriptor)
            raise BasisError("ENGINE-001", f"{path} cannot be locked: {error}; choose another folder") from error
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def idle_state(path: Path) -> Iterator[FileStore]:
    """The state of a mode that no process has; none can begin there meanwhile. Raises BasisError ENGINE-001."""
    lock = _Lock(path / _LOCK, f"state directory {path}", None)
    try:
        yield FileStore(path)
    finally:
        lock.release()


def _lock(descriptor: int) -> None:
    """Whoever only looks at a lock has it for a moment, which is waited for."""
    for wait in _LOOKS:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(wait)
        else:
            return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder_of(path: Path) -> tuple[Holder | None, bool]:
    """Who took a state directory last, as far as its lock says, and whether a process has it now.

    Raises BasisError ENGINE-001 for a folder that is no state directory, or one of another user.
    """
    file = path / _LOCK
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BasisError("ENGINE-001", f"{path} is no state directory: it has no {_LOCK}") from None
    except OSError as error:
        raise BasisError(
            "ENGINE-001", f"{file} cannot be opened: {error}; use the user that runs the process"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(file), True
    finally:
        os.close(descriptor)
    return _read(file), False


def fingerprint_of(*credentials: str) -> str:
    """Names an account by its credentials without giving them away: the same for every process that has them."""
    return hashlib.sha256("\0".join(credentials).encode()).hexdigest()[:16]


def socket_of(path: Path) -> Path:
    """Where the process of a state directory listens."""
    return path / _SOCKET


def _open_door(place: Path) -> socket.socket:
    """Whoever finds the socket finds somebody who listens, and nobody finds it before its mode is set."""
    fresh = place.with_name(_FRESH_SOCKET)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Whatever is there is left over: the lock says that nobody else listens.
        fresh.unlink(missing_ok=True)
        door.bind(str(fresh))
        fresh.chmod(0o600)
        door.listen(_WAITING)
        door.setblocking(False)
        fresh.replace(place)
    except OSError as error:
        door.close()
        raise BasisError("ENGINE-001", f"{place} cannot be opened: {error}; choose another state directory") from error
    return door


def _make_private(path: Path) -> None:
    """A directory that only its owner may change."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = path.stat()
    except OSError as error:
        raise BasisError("ENGINE-001", f"{path} cannot be made: {error}; choose another state directory") from error
    if found.st_uid != os.geteuid():
        raise BasisError("ENGINE-001", f"{path} belongs to user {found.st_uid}, {os.geteuid()} was expected")
    if found.st_mode & 0o022:
        text = f"others may write to {path} (mode {found.st_mode & 0o777:03o}); chmod it to 700"
        raise BasisError("ENGINE-001", text)


def _read(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None


def _named(path: Path) -> str:
    holder = _read(path)
    return "a process that has not said who it is" if holder is None else str(holder)
