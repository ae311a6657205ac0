"""Defines the other end of the control socket: it asks a running process, and says so when there is none."""

from __future__ import annotations

import socket
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from basis_actors.actors.failure_pause import pause_problem
from basis_actors.actors.latch_file import killed_for, read_latch, write_latch
from basis_actors.actors.loss_marks import marks_problem
from basis_actors.config import mode_names
from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.messages.safety import Latch, TradingState
from basis_actors.services.continuity import traded_problem
from basis_actors.services.control.left_behind import last_process
from basis_actors.services.control.protocol import Answer, Refused, Request
from basis_actors.services.state import FileStore, Holder, holder_of, idle_state, loser_of, socket_of

__all__ = ["NoProcess", "ask", "find_state", "latch_left_behind", "latch_without_process", "start_refused"]

_PATIENCE_SECONDS: Final = 10.0


class NoProcess(BasisError):
    """Nobody is there to be asked."""


def find_state(root: Path, mode: str | None) -> Path:
    """The state directory of a mode; without one the only one that there is.

    Raises BasisError CONFIG-003 when there is none, also for a process that has lost it, or several to choose from.
    """
    found = sorted(path.parent.name for path in root.glob("*/state.lock"))
    if mode is None and (lost := _lost_below(root, found)):
        raise BasisError("CONFIG-003", "; ".join(lost))
    if mode is None and len(found) == 1:
        return root / found[0]
    if mode in found:
        return root / str(mode)
    if mode is not None and (loser := loser_of(root / mode)) is not None:
        raise BasisError("CONFIG-003", _lost(loser, root / mode))
    if not found:
        deleted = "; where that was deleted under a process, name the mode" if mode is None else ""
        text = f"there is no state in {root.absolute()}; --state names the folder that `live` was given{deleted}"
        raise BasisError("CONFIG-003", text)
    wanted = "name a mode" if mode is None else f"no {mode!r}"
    text = f"{wanted} in {root.absolute()}; there are: {', '.join(found)}; --state names the folder"
    raise BasisError("CONFIG-003", text)


def ask(path: Path, request: Request) -> Answer:
    """Send one request to the process of a state directory.

    Raises NoProcess when there is none, BasisError ENGINE-002 when it does not answer or refuses to be asked.
    """
    holder, is_held = holder_of(path)
    if not is_held:
        raise NoProcess("ENGINE-002", _nobody(path))
    line = _exchange(path, holder, msgspec.json.encode(request) + b"\n")
    if not line:
        _, is_held = holder_of(path)
        text = f"{_named(holder)} ended before it answered"
        if not is_held:
            raise NoProcess("ENGINE-002", text)
        raise BasisError("ENGINE-002", f"{_named(holder)} gave no answer: it is about to end; ask again")
    try:
        answer: Answer | Refused = msgspec.json.decode(line, type=Answer | Refused)
    except UNREADABLE as error:
        raise BasisError("ENGINE-002", f"{_named(holder)} gave an answer that cannot be read: {error}") from error
    if isinstance(answer, Refused):
        raise BasisError("ENGINE-002", f"{_named(holder)} refused: {answer.message}")
    return answer


def latch_left_behind(path: Path, now: datetime) -> Latch:
    """What the next process of a state directory will begin with."""
    return read_latch(FileStore(path), now)


def start_refused(path: Path) -> str | None:
    """What in a state directory keeps the next process from starting on accounts; None where nothing of it is known."""
    store = FileStore(path)
    return "; ".join(filter(None, (traded_problem(store), marks_problem(store), pause_problem(store)))) or None


def latch_without_process(path: Path, latch: Latch) -> Latch:
    """Write a latch down where no process runs, so that the next one begins with it. Returns the one that holds.

    A book that was to be closed is still to be closed, and without a reason an earlier one stays. Raises BasisError
    ENGINE-001 when a process has begun meanwhile.
    """
    with idle_state(path) as state:
        before = read_latch(state, latch.since)
        if before.state is TradingState.KILLED and before.flatten:
            return before
        reason = killed_for(latch.reason, before)
        latch = replace(latch, reason=reason, over=before.cause, mismatches=before.mismatches)
        write_latch(state, latch)
        return latch


def _exchange(path: Path, holder: Holder | None, line: bytes) -> bytes:
    place = socket_of(path)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_PATIENCE_SECONDS)
            connection.connect(str(place))
            connection.sendall(line)
            with connection.makefile("rb") as answer:
                return answer.readline()
    except TimeoutError as error:
        text = f"{_named(holder)} does not answer within {_PATIENCE_SECONDS:g} s; look at its log, or end it"
        raise BasisError("ENGINE-002", text) from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        text = f"{_named(holder)} does not listen on {place} ({error.strerror}): it is starting or stopping; try again"
        raise BasisError("ENGINE-002", text) from error
    except OSError as error:
        raise BasisError("ENGINE-002", f"{place} cannot be used: {error}") from error


def _nobody(path: Path) -> str:
    """Why nobody is told what is said at a state directory that no process has."""
    loser = loser_of(path)
    if loser is not None:
        return _lost(loser, path)
    last = last_process(path)
    return f"no process runs on {path}" + ("" if last is None else f"; the last one was {last}")


def _lost_below(root: Path, found: list[str]) -> list[str]:
    """What is to be said of processes that have lost their state under `root`. Only places that can be named can be
    asked for, so those of modes from files of one's own are not seen."""
    places = [root / mode for mode in mode_names() if mode not in found]
    return [_lost(loser, path) for path in places if (loser := loser_of(path)) is not None]


def _lost(loser: str, path: Path) -> str:
    what = "that was deleted, moved or replaced, and it hears nothing from there"
    return f"{loser} runs, and has lost {path}: {what}; SIGTERM ends it"


def _named(holder: Holder | None) -> str:
    return "the process" if holder is None else str(holder)
