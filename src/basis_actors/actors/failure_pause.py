"""Defines the wait for new risk after decisions whose orders failed, across restarts."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from basis_actors.config import StrategyManagerConfig
from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.ports import StateStore
from basis_actors.times import NS_PER_SECOND

__all__ = ["FailurePause", "pause_problem"]

_FILE: Final = "failures.json"
_NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""Also a moment in nanoseconds since the epoch."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a process leaves to the next one."""

    failures: _Count = 0
    seconds: _NotNegative = 0.0
    until_ns: _Count = 0

    def __post_init__(self) -> None:
        if not self.failures and (self.seconds or self.until_ns):
            raise ValueError("a wait after no failure")


class FailurePause:
    """Counts failures, each of which begins a wait twice as long as the one before, up to a limit.

    With a `store` it goes on from where the last process left it. Raises BasisError ENGINE-001 for what cannot be
    understood there, and ENGINE-004 for what cannot be read.
    """

    def __init__(self, config: StrategyManagerConfig, store: StateStore | None) -> None:
        self._config = config
        self._store = store
        self._record = _read(store)

    @property
    def failures(self) -> int:
        """How many there were since the last success."""
        return self._record.failures

    @property
    def until_ns(self) -> int:
        """When the wait is over."""
        return self._record.until_ns

    def begin(self, now: int) -> None:
        """Hold what the last process left against the clock, of which one of the two may have been wrong: no wait is
        longer than the longest. Raises BasisError as `fail`."""
        latest = self._after(self._config.longest_pause_seconds, now)
        if self.until_ns > latest:
            self._keep(msgspec.structs.replace(self._record, until_ns=latest))

    def fail(self, now: int) -> None:
        """Wait from now on. Raises BasisError ENGINE-004 when that is not on disk; it counts all the same."""
        before, config = self._record, self._config
        doubled = 2.0 * before.seconds if before.failures else config.failure_pause_seconds
        seconds = min(doubled, config.longest_pause_seconds)
        self._keep(_Record(failures=before.failures + 1, seconds=seconds, until_ns=self._after(seconds, now)))

    def fail_to_reduce(self, now: int) -> None:
        """Wait from now on at least as long as after the first failure. What reduces is tried again at each tick, so
        that it neither counts on nor doubles the wait. Raises BasisError as `fail`."""
        if not self.failures:
            self.fail(now)
            return
        first = min(self._config.failure_pause_seconds, self._config.longest_pause_seconds)
        until_ns = self._after(first, now)
        if until_ns > self.until_ns:
            self._keep(msgspec.structs.replace(self._record, until_ns=until_ns))

    def end(self) -> None:
        """Nothing is waited for any more. Raises BasisError as `fail`."""
        if self.failures:
            self._keep(_Record())

    def _after(self, seconds: float, now: int) -> int:
        return now + round(seconds * NS_PER_SECOND)

    def _keep(self, record: _Record) -> None:
        self._record = record
        if self._store is not None:
            self._store.write(_FILE, msgspec.json.encode(record))


def pause_problem(store: StateStore) -> str | None:
    """What keeps the next process from beginning with what the last one left; None where nothing does."""
    try:
        _read(store)
    except BasisError as error:
        return str(error)
    return None


def _read(store: StateStore | None) -> _Record:
    content = None if store is None else store.read(_FILE)
    if content is None:
        return _Record()
    try:
        return msgspec.json.decode(content, type=_Record)
    except UNREADABLE as error:
        text = f"{_FILE} is damaged ({error}): nobody knows how long to wait after orders that failed"
        raise BasisError(
            "ENGINE-001", f"{text}; repair it in the state directory, or remove it to wait no longer"
        ) from error
