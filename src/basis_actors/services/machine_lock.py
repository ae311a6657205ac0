"""Defines a lock that lives in the kernel and not on a disk, so that nobody can delete it under who holds it."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

from basis_actors.errors import BasisError

__all__ = ["MachineLock", "taken_by"]

_CREDENTIALS: Final = struct.Struct("3i")
_SOMEBODY: Final = "another process of this machine"
_LOOKERS: Final = 64
"""Processes that are told who has it, before the next is told only that it is taken."""


class MachineLock:
    """Held by one process of this machine at most, and let go of when that ends, however it ends.

    It is an abstract unix socket. Those belong to a network namespace: containers that have one each do not see each
    other's, and another machine sees none. Any user of this machine can take a name first.
    """

    def __init__(self, name: str, what: str) -> None:
        """Raises BasisError ENGINE-001, which names the process that has it."""
        address = _address(name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(address)
            self._socket.listen(_LOOKERS)
        except OSError as error:
            self._socket.close()
            if error.errno != errno.EADDRINUSE:
                raise BasisError("ENGINE-001", f"{what} cannot be locked: {error}") from error
            text = f"{what} is taken by {taken_by(name) or _SOMEBODY}; stop that first, or give this one another"
            raise BasisError("ENGINE-001", text) from error

    def release(self) -> None:
        """Let go of it; again changes nothing."""
        self._socket.close()


def taken_by(name: str) -> str | None:
    """Who holds a lock, as the kernel knows it; None where nobody does."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as looker:
            looker.setblocking(False)
            looker.connect(_address(name))
            pid, user, _ = _CREDENTIALS.unpack(
                looker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
    except ConnectionRefusedError:
        return None
    except OSError:
        return _SOMEBODY
    whose = "" if user == os.geteuid() else f" of user {user}"
    return f"process {pid}{whose} of this machine"


def _address(name: str) -> str:
    return f"\0basis-actors/{name}"
