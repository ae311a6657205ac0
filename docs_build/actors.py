"""What the documents say of actors: the messages each takes, and who sends them in two example runs.

The runs are a backtest that does nearly everything and a story of the fault simulator, whose engine is the live one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from basis_actors.bus import ActorFailed, Request
from basis_actors.bus.cell import Cell
from basis_actors.bus.handlers import handler_names
from basis_actors.bus.sim_strands import SimCell
from basis_actors.messages.events import DomainEvent
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.simulation.telling import setting_of, tell
from docs_build.docstrings import opening

__all__ = ["messages", "table", "traffic"]

Delivered = tuple[str, type, str]
"""Sender, type of message, receiver."""
_KINDS: Final = {"venue": "venue adapters", "order_canceller": "order cancellers", "countdown": "countdowns"}
"""Actors of which there is one for each account domain, by how their names begin."""
_STORIES: Final = (1, 2, 4, 5, 9, 10)
"""Seeds of stories in which also what is rare is said: a refused key, a leg that stands alone, a late transfer, an
account that is doubted."""
_OF_STORIES: Final = ("operator", "watcher")
"""Actors that only the fault simulator has."""


def messages(name: str) -> str:
    """The messages that the actor `name` takes and sends, each with what it is for."""
    delivered, classes = _traffic()
    actor = classes[name]
    taken = handler_names(actor)
    known = {kind for _, kind, receiver in delivered if receiver == name and kind in taken and _is_told(kind)}
    rows_in = [
        f"| `{kind.__name__}` | {_senders(kind, (one for one, sent, to in delivered if to == name and sent is kind))} "
        f"| {opening(kind)} |"
        for kind in sorted({kind for kind in taken if _is_told(kind)} | known, key=lambda kind: kind.__name__)
    ]
    sent = sorted(
        {kind for sender, kind, to in delivered if sender == name and to != name}, key=lambda kind: kind.__name__
    )
    rows_out = [
        f"| `{kind.__name__}` | {_people(to for sender, one, to in delivered if sender == name and one is kind)} "
        f"| {opening(kind)} |"
        for kind in sent
        if _is_told(kind)
    ]
    takes = ["**Takes**", "", "| message | from | |", "| --- | --- | --- |", *rows_in]
    sends = ["**Sends**", "", "| message | to | |", "| --- | --- | --- |", *rows_out]
    return "\n".join([*takes, "", *(sends if rows_out else ["**Sends** nothing but events."]), ""])


def table() -> str:
    """Every actor of the example runs, with what its module says of it."""
    rows = dict.fromkeys(
        f"| {_kind_of(name)} | `{actor.__name__}` | {_job(actor)} |"
        for name, actor in sorted(_traffic()[1].items())
        if name not in _OF_STORIES
    )
    return "\n".join(["| actor | class | |", "| --- | --- | --- |", *rows, ""])


def _job(actor: type) -> str:
    """What its module says that it does."""
    return opening(sys.modules[actor.__module__]).removeprefix("Defines the actor ").removeprefix("that ")


def traffic() -> frozenset[tuple[str, str, str]]:
    """Sender, name of the message, and receiver of everything that reached an actor in the example runs."""
    return frozenset((sender, kind.__name__, receiver) for sender, kind, receiver in _traffic()[0])


def _is_told(kind: type) -> bool:
    """Whether a message is one of the engine's or a report of the bus; events are in the logging guide, and timers are
    nobody's business."""
    if kind.__module__ == ActorFailed.__module__:
        return kind is not Request
    return kind.__module__.startswith("basis_actors.messages") and not issubclass(kind, DomainEvent)


def _senders(kind: type, names: Iterator[str]) -> str:
    return "the bus" if kind.__module__ == ActorFailed.__module__ else _people(names)


def _people(names: Iterator[str]) -> str:
    kinds = {_kind_of(name) for name in names if name not in _OF_STORIES}
    return ", ".join(sorted(kinds, key=str.lower)) or "–"


def _kind_of(name: str) -> str:
    return _KINDS.get(name.rpartition("_")[0], name.replace("_", " ").replace("pnl", "PnL"))


@cache
def _traffic() -> tuple[frozenset[Delivered], dict[str, type]]:
    """Every message that reached an actor in the example runs, and the class of each actor."""
    delivered: set[Delivered] = set()
    classes: dict[str, type] = {}
    with tempfile.TemporaryDirectory() as folder, _watched(delivered, classes):
        request = BacktestRequest(
            mode="usdt_market_neutral",
            start=datetime(2024, 1, 1, tzinfo=UTC),
            end=datetime(2024, 1, 15, tzinfo=UTC),
            out=Path(folder),
            fixed_clock=True,
        )
        summary = Backtest(prepare(request)).run()
        if summary.failure is not None:
            raise RuntimeError(f"the example run failed: {summary.failure}")
        for report in tell(setting_of("btc_basis"), _STORIES):
            if report.problems:
                raise RuntimeError(f"the example story {report.seed} failed: {report.problems}")
    return frozenset(delivered), classes


@contextmanager
def _watched(delivered: set[Delivered], classes: dict[str, type]) -> Iterator[None]:
    """Note what is pushed to any actor of a simulated bus, through either lane; verbs that do not push do so here."""
    lanes = {"push": SimCell.push, "push_control": SimCell.push_control}
    verbs = {"tell": SimCell.tell, "publish": SimCell.publish}

    def noting(push: Callable[[SimCell, Any], None]) -> Callable[[SimCell, Any], None]:
        def noted(cell: SimCell, envelope: Any) -> None:
            delivered.add((envelope.sender or "", type(envelope.message), cell.name))
            classes[cell.name] = type(cell.actor)
            push(cell, envelope)

        return noted

    for lane, push in lanes.items():
        setattr(SimCell, lane, noting(push))
    for verb in verbs:
        setattr(SimCell, verb, getattr(Cell, verb))
    try:
        yield
    finally:
        for name, own in (lanes | verbs).items():
            setattr(SimCell, name, own)
