"""Writes a file so that a reader sees all of it or what was there before."""

from __future__ import annotations

import os
from pathlib import Path

from basis_actors.errors import BasisError

__all__ = ["write_whole"]


def write_whole(target: Path, content: bytes) -> None:
    """Write `content` to `target` in one step, for its owner alone.

    Raises BasisError LOG-001 when that fails, and for what is there and no regular file: a device would be replaced.
    """
    if not target.name or (target.exists() and not target.is_file()):
        raise BasisError("LOG-001", f"{target} cannot be written: it is no regular file; choose another file")
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        try:
            draft.touch(mode=0o600)
            with draft.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise BasisError(
            "LOG-001",
            f"{target} cannot be written: {error.strerror or error}; expected a folder that is there and has room:"
            " choose another file",
        ) from error
