"""Defines how the latch is read and written. One that cannot be read counts as killed: nobody knows what it said."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.messages.safety import Latch, TradingState
from basis_actors.ports import StateStore

__all__ = ["LATCH_FILE", "killed_for", "read_latch", "write_latch"]

LATCH_FILE: Final = "latch.json"
_WHO: Final = "kill_switch"


def read_latch(store: StateStore, now: datetime) -> Latch:
    """The latch as it was left; running where none ever was."""
    try:
        content = store.read(LATCH_FILE)
        if content is None:
            return Latch(state=TradingState.RUNNING, reason="nothing has stopped trading", who=_WHO, since=now)
        return msgspec.json.decode(content, type=Latch)
    except (*UNREADABLE, BasisError) as error:
        reason = f"{LATCH_FILE} cannot be read ({error}), so it counts as killed"
        return Latch(state=TradingState.KILLED, reason=reason, error_code="ENGINE-004", who=_WHO, since=now)


def killed_for(given: str, before: Latch) -> str:
    """The reason of a kill: the one that is `given`; without one that of a kill which is there `before`."""
    if given:
        return given
    return before.reason if before.state is TradingState.KILLED else "the operator said so"


def write_latch(store: StateStore, latch: Latch) -> None:
    """Raises BasisError ENGINE-004 when that is not possible."""
    store.write(LATCH_FILE, msgspec.json.format(msgspec.json.encode(latch), indent=2) + b"\n")
