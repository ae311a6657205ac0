"""Tells the history of positions from the deltas alone, and holds it against the snapshots of the ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from difflib import get_close_matches
from fnmatch import translate
from itertools import takewhile
from typing import Final

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.logs.queries.blocks import Line, blocks, lines_with, unreadable
from basis_actors.logs.queries.completeness import sealed_events
from basis_actors.logs.queries.source import RunLog
from basis_actors.messages.events import ExecutionDeltaEvent, PositionSnapshot
from basis_actors.messages.execution import DeltaSource

__all__ = ["Change", "Checked", "history"]

_WILD: Final = re.compile(r"[*?\[]")
_KEY: Final = re.compile(rb'"position_key":"([^"]+)"')
_DUST: Final = 1e-12
"""As in the ledger: what is left of a position below this share of what was there is rounding, and gone."""
_TOLERANCE: Final = 1e-9


class Change(msgspec.Struct, frozen=True):
    """One change of one position."""

    sequence: int
    timestamp: datetime
    """Of the settlement, UTC."""
    position_key: str
    source: DeltaSource
    delta: float
    balance: float
    """After it; the sum of all deltas of the key up to here."""
    operation_id: str | None
    price: float | None
    index: float | None


class Checked(msgspec.Struct):
    """How the balances compare with the sealed snapshots, as far as the history was read."""

    snapshots: int = 0
    differing: int = 0
    first: str | None = None
    """The first difference, in words."""
    largest: float = 0.0
    """Largest difference, relative to the balance."""
    balances: dict[str, float] = {}
    """Of each key, by the deltas."""


class _Snapshot(msgspec.Struct):
    sequence: int
    timestamp: datetime
    positions: dict[str, float]


def history(log: RunLog, pattern: str, checked: Checked) -> Iterator[Change]:
    """Each change of the positions that `pattern` means, in the order of the log; `checked` is filled in on the way.

    `pattern` is a key, the beginning of keys up to a colon (`aave`, `aave:aToken`), or has `*`, `?` and `[]` as file
    names have. Raises BasisError LOG-006, naming the nearest keys, when no position is meant.
    """
    matches = _matcher(pattern)
    # Beyond the last seal a snapshot may be on disk before the deltas that it is the sum of.
    sealed = sealed_events(log.folder)
    snapshots = takewhile(lambda snapshot: snapshot.sequence < sealed, _snapshots(log))
    snapshot = next(snapshots, None)
    balances = checked.balances = {}
    literal = _WILD.split(pattern, maxsplit=1)[0]
    found = False
    for event in log.find(ExecutionDeltaEvent, b'"position_key":"' + literal.encode()):
        settlement = event.event
        sequence = settlement.sequence
        assert sequence is not None, "an event in the log has its number"
        while snapshot is not None and snapshot.sequence < sequence:
            _compare(checked, snapshot, matches)
            snapshot = next(snapshots, None)
        for delta in settlement.deltas:
            key = delta.position_key
            if matches.fullmatch(key) is None:
                continue
            found = True
            held = balances.get(key, 0.0)
            total = held + delta.delta_amount
            balances[key] = total if abs(total) > _DUST * max(abs(held), abs(delta.delta_amount)) else 0.0
            yield Change(
                sequence,
                settlement.timestamp,
                key,
                settlement.source,
                delta.delta_amount,
                balances[key],
                settlement.operation_id,
                delta.price,
                delta.index,
            )
    if not found:
        raise _unknown(log, pattern)
    while snapshot is not None:
        _compare(checked, snapshot, matches)
        snapshot = next(snapshots, None)


def _matcher(pattern: str) -> re.Pattern[str]:
    if _WILD.search(pattern):
        return re.compile(translate(pattern))
    return re.compile(re.escape(pattern.rstrip(":")) + r"(?::.*)?")


def _snapshots(log: RunLog) -> Iterator[_Snapshot]:
    decoder = msgspec.json.Decoder(_Snapshot)
    for block in blocks(log.folder, PositionSnapshot.FILE):
        for line in lines_with(block, ()):
            yield _decoded(decoder, line)


def _decoded(decoder: msgspec.json.Decoder[_Snapshot], line: Line) -> _Snapshot:
    try:
        return decoder.decode(line.text)
    except UNREADABLE as error:
        raise unreadable(line, error, PositionSnapshot.__name__) from error


def _compare(checked: Checked, snapshot: _Snapshot, matches: re.Pattern[str]) -> None:
    """Hold the balances so far against one snapshot; a key that only the snapshot has counts as well."""
    checked.snapshots += 1
    balances, shown = checked.balances, snapshot.positions
    strange = [key for key in shown if key not in balances and matches.fullmatch(key)]
    agree = True
    for key in (*balances, *strange):
        balance, held = balances.get(key, 0.0), shown.get(key, 0.0)
        if balance == held:
            continue
        difference = abs(balance - held) / max(abs(balance), abs(held))
        checked.largest = max(checked.largest, difference)
        if difference > _TOLERANCE:
            agree = False
            if checked.first is None:
                checked.first = (
                    f"{key} is {held:.12g} in snapshot {snapshot.sequence} of {snapshot.timestamp:%Y-%m-%d %H:%M}"
                    f" and {balance:.12g} by its deltas"
                )
    checked.differing += not agree


def _unknown(log: RunLog, pattern: str) -> BasisError:
    keys: set[str] = set()
    for block in blocks(log.folder, ExecutionDeltaEvent.FILE):
        keys.update(key.decode() for key in _KEY.findall(block.text))
    parts = {":".join(key.split(":")[:count]) for key in keys for count in (1, 2, 3)}
    near = get_close_matches(pattern, sorted(parts), n=3, cutoff=0.5)
    hint = f"nearest: {', '.join(near)}" if near else f"there are {', '.join(sorted(keys)) or 'none'}"
    return BasisError("LOG-006", f"no position of {log.run_dir} is meant by {pattern!r}; {hint}")
