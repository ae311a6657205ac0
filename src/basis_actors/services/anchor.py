"""Defines how a process notices that a file or folder which it works with is not in its place any more."""

from __future__ import annotations

import os
from pathlib import Path

from basis_actors.errors import BasisError

__all__ = ["Anchor"]


class Anchor:
    """A file or folder as it was when this was made. Raises BasisError ENGINE-001 where there is none.

    It is told by its inode, which is kept open: a number that is in use is given to no other file. Whoever puts
    another file system in place of this one, or writes into the file, is not noticed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        try:
            # Only a reference: closing a true descriptor would take SQLite's locks on its file away.
            self._descriptor = os.open(self._path, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise BasisError("ENGINE-001", f"{path} cannot be opened: {error}; choose another folder") from error

    def lost(self) -> str | None:
        """What became of it; None while it is where it was."""
        try:
            found = self._path.stat()
        except OSError as error:
            return f"{self._path} is gone: {error.strerror}"
        if not os.path.samestat(found, os.fstat(self._descriptor)):
            return f"{self._path} was replaced: it is not the one that this process began with"
        return None

    def close(self) -> None:
        """Look no more."""
        os.close(self._descriptor)
