"""Defines what a process leaves in its state directory, in simulated time: small files, and what was ever in them."""

from __future__ import annotations

from collections.abc import Callable

from basis_actors.services.simulation.frail_journal import KilledWhileWriting

__all__ = ["FrailStore", "StateFiles"]


class StateFiles:
    """A state store that outlives the processes of a story."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._files: dict[str, bytes] = {}
        self.written: list[tuple[int, str, bytes]] = []
        """When, under which name, what: oldest first."""

    def read(self, name: str) -> bytes | None:
        """What was written last."""
        return self._files.get(name)

    def write(self, name: str, content: bytes) -> None:
        """Keep it."""
        self._files[name] = content
        self.written.append((self._now(), name, content))

    def lost(self) -> str | None:
        """Nobody deletes anything here."""
        return None


class FrailStore:
    """The same for a process that may be killed by writing: right before it took effect, or right after."""

    def __init__(self, files: StateFiles, strikes: Callable[[str], bool]) -> None:
        self._files = files
        self._strikes = strikes

    def read(self, name: str) -> bytes | None:
        """What was written last."""
        return self._files.read(name)

    def write(self, name: str, content: bytes) -> None:
        """Keep it, or be killed."""
        if self._strikes("killed before a write"):
            raise KilledWhileWriting
        self._files.write(name, content)
        if self._strikes("killed after a write"):
            raise KilledWhileWriting

    def lost(self) -> str | None:
        """Nobody deletes anything here."""
        return None
