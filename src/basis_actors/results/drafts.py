"""Makes folders that are there as a whole or not at all, and clears away what a crash left of others.

What is being made, and what is being deleted, lies in a hidden folder beside the results, `.<name>.partial-<token>`.
Who works in it holds a lock on it, which the system gives back when its process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

__all__ = ["clear_leftovers", "draft", "publish"]

_MARK = ".partial-"


@contextmanager
def draft(root: Path, name: str) -> Iterator[Path]:
    """A new hidden folder in `root` to work in; what is in it at the end is deleted. Raises OSError."""
    with ExitStack() as held:
        with _lock(root):
            # Under the lock of the whole root: nobody clears the folder away between its making and its own lock.
            folder = Path(tempfile.mkdtemp(prefix=f".{name}{_MARK}", dir=root))
            held.enter_context(_lock(folder))
            held.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def publish(folder: Path, target: Path) -> None:
    """Bring a draft to disk and give it its name, in one step. Raises OSError, also when the name is taken."""
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)
    folder.rename(target)
    _sync(target.parent)


def clear_leftovers(root: Path) -> None:
    """Delete drafts on which no process works any more. What cannot be deleted stays, and nobody is shown it.

    Does nothing while somebody else begins a draft or clears. Raises OSError when `root` cannot be read.
    """
    with suppress(BlockingIOError), _lock(root, fcntl.LOCK_NB):
        for folder in root.glob(f".*{_MARK}*"):
            with suppress(OSError), _lock(folder, fcntl.LOCK_NB):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock(folder: Path, how: int = 0) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
