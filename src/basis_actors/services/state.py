"""Defines the state directory of a live process: what has to survive it, and the locks that keep it the only one.

A root folder holds one directory for each mode, and the locks of the accounts that its processes trade on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISVTX
from types import TracebackType
from typing import Final, Self

from basis_actors.errors import BasisError
from basis_actors.services.anchor import Anchor
from basis_actors.services.lock_file import Holder, LockFile, said_in
from basis_actors.services.machine_lock import MachineLock, taken_by

__all__ = [
    "FileStore",
    "Holder",
    "StateDirectory",
    "fingerprint_of",
    "holder_of",
    "idle_state",
    "loser_of",
    "socket_of",
]

_LOCK: Final = "state.lock"
_SOCKET: Final = "control.sock"
_FRESH_SOCKET: Final = ".control.new"
_WAITING: Final = 64
"""Connections that wait for somebody to accept them."""
_ACCOUNTS: Final = "accounts"
_LONGEST_SOCKET: Final = 107
"""Bytes in the path of a unix socket on Linux."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


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
        self._locks: list[LockFile | MachineLock] = []
        self._anchors: list[Anchor] = []
        self._door: socket.socket | None = None
        _make_root(root)
        _make_private(self.path)
        if len(os.fsencode(socket_of(self.path).absolute())) > _LONGEST_SOCKET:
            text = f"{self.path.absolute()} is too long: a socket in it has more than {_LONGEST_SOCKET} bytes"
            raise BasisError("ENGINE-001", f"{text}; choose another state directory")
        what = f"state directory {self.path}"
        lock = LockFile(self.path / _LOCK, what)
        self._locks.append(lock)
        try:
            # Of a process that has lost what was here before only the kernel knows.
            self._locks.append(MachineLock(_place(self.path), what))
            lock.name(holder)
        except BasisError:
            self.release()
            raise
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
        lock = LockFile(folder / f"{name}.lock", f"the account at {venue}")
        self._locks.append(lock)
        lock.name(self.holder)

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


@contextmanager
def idle_state(path: Path) -> Iterator[FileStore]:
    """The state of a mode that no process has; none can begin there meanwhile. Raises BasisError ENGINE-001."""
    lock = LockFile(path / _LOCK, f"state directory {path}")
    try:
        yield FileStore(path)
    finally:
        lock.release()


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
        return said_in(file), True
    finally:
        os.close(descriptor)
    return said_in(file), False


def loser_of(path: Path) -> str | None:
    """Who began at a state directory that nobody has, and goes on without it: it was deleted, moved or replaced. None
    where no process of this machine did."""
    return taken_by(_place(path))


def _place(path: Path) -> str:
    """Names the place of a state directory, whatever lies there."""
    return f"state-{fingerprint_of(str(path.resolve()))}"


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


def _made(path: Path) -> os.stat_result:
    """A directory, as it is; private where it is new."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path.stat()
    except OSError as error:
        raise BasisError("ENGINE-001", f"{path} cannot be made: {error}; choose another state directory") from error


def _make_root(path: Path) -> None:
    """A directory in which nobody else may put another thing in the place of what is ours."""
    found = _made(path)
    if found.st_mode & 0o022 and not found.st_mode & S_ISVTX:
        text = f"others may write to {path}, which holds all state (mode {found.st_mode & 0o777:03o}); chmod it to 700"
        raise BasisError("ENGINE-001", text)


def _make_private(path: Path) -> None:
    """A directory that only its owner may change."""
    found = _made(path)
    if found.st_uid != os.geteuid():
        raise BasisError("ENGINE-001", f"{path} belongs to user {found.st_uid}, {os.geteuid()} was expected")
    if found.st_mode & 0o022:
        text = f"others may write to {path} (mode {found.st_mode & 0o777:03o}); chmod it to 700"
        raise BasisError("ENGINE-001", text)
