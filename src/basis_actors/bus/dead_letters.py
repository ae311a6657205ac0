"""Defines the record of messages that nobody handled: a bounded list and a count that is not."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from basis_actors.bus.messages import DeadLetter


class DeadLetters:
    """The newest dead letters, oldest first; ``count`` includes those that the bound has pushed out."""

    def __init__(self, keep: int = 1000) -> None:
        self._letters: deque[DeadLetter] = deque(maxlen=keep)
        self.count = 0

    def add(self, letter: DeadLetter) -> None:
        """Record one more."""
        self._letters.append(letter)
        self.count += 1

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(self._letters)

    def __len__(self) -> int:
        return len(self._letters)

    def __getitem__(self, index: int) -> DeadLetter:
        return self._letters[index]

    def __repr__(self) -> str:
        return f"<{self.count} dead letters, newest: {self._letters[-1] if self._letters else None}>"
