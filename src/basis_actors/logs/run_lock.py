"""Tells a run that goes on from one that was killed: whoever writes a run directory holds its lock.

The lock goes with the process, however that ends; the file is removed by a run that ends by itself.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from basis_actors.errors import BasisError

__all__ = ["LOCK_FILE", "RunLock", "is_running"]

LOCK_FILE: Final = "run.lock"


class RunLock:
    """Held from construction to `release`. Raises BasisError LOG-003 when another process holds it, or has no place."""

    def __init__(self, run_dir: Path) -> None:
        self._path = Path(run_dir) / LOCK_FILE
        try:
            self._descriptor: int | None = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BasisError("LOG-003", f"{run_dir} cannot be locked: {error}; choose another run directory") from error

    def release(self) -> None:
        """Give it up; again changes nothing."""
        if self._descriptor is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


def is_running(run_dir: Path) -> bool:
    """Whether a process is writing this run directory now."""
    try:
        descriptor = os.open(Path(run_dir) / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
