"""Defines a state store in memory, which a test may let fail or hand on to the next process."""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.errors import BasisError


class MemoryStore:
    """`files` is what is on disk; with `broken` it can be neither read nor written; `gone` is what became of it."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.broken = False
        self.gone: str | None = None

    def read(self, name: str) -> bytes | None:
        self._fail_if_broken(name)
        return self.files.get(name)

    def write(self, name: str, content: bytes) -> None:
        self._fail_if_broken(name)
        self.files[name] = content

    def lost(self) -> str | None:
        return self.gone

    def _fail_if_broken(self, name: str) -> None:
        if self.broken:
            raise BasisError("ENGINE-004", f"{name}: no space left on device")
