"""Defines a file that says who holds it, and is one process's at most."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.times import utc_text

__all__ = ["Holder", "LockFile", "said_in"]

_LOOKS: Final = (0.01, 0.02, 0.04, 0.08, 0.16)
"""Seconds."""


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


class LockFile:
    """Held from construction to `release`. It is never removed: whoever waits for a removed file would hold nothing."""

    def __init__(self, path: Path, what: str) -> None:
        """What it says stays as it is until somebody is named. Raises BasisError ENGINE-001, which names the holder."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BasisError("ENGINE-001", f"{path} cannot be opened: {error}; choose another folder") from error
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            os.close(descriptor)
            text = f"{what} is taken by {_named(path)}; stop that first, or give this one another"
            raise BasisError("ENGINE-001", text) from error
        except OSError as error:
            os.close(descriptor)
            raise BasisError("ENGINE-001", f"{path} cannot be locked: {error}; choose another folder") from error
        self._path = path
        self._descriptor: int | None = descriptor

    def name(self, holder: Holder) -> None:
        """Say who holds it. Raises BasisError ENGINE-001."""
        assert self._descriptor is not None, "it is held"
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, msgspec.json.encode(holder), 0)
            os.fsync(self._descriptor)
        except OSError as error:
            raise BasisError("ENGINE-001", f"{self._path} cannot be written: {error}; choose another folder") from error

    def release(self) -> None:
        """Let go of it; again changes nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


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


def said_in(path: Path) -> Holder | None:
    """Who held it last, by its own word; None where it does not say."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, *UNREADABLE):
        return None


def _named(path: Path) -> str:
    holder = said_in(path)
    return "a process that has not said who it is" if holder is None else str(holder)
