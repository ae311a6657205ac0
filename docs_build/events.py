"""What the documents say of events and error codes: every field, an example line of a real run, every code."""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from basis_actors.error_guide import GUIDE
from basis_actors.errors import REGISTRY
from basis_actors.logs.segments import lines
from basis_actors.messages import events, execution, orders
from basis_actors.messages.events import EVENT_TYPES, DomainEvent
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from docs_build.docstrings import told

__all__ = ["common_fields", "error_codes", "example_lines", "parts_of_events", "schemas"]

_LONGEST: Final = 6
"""Entries of a dictionary or list that an example shows."""
_LOGGED_BY: Final = {
    events.PositionSnapshot: "position monitor, after each change of the ledger and once a tick",
    events.ExposureSnapshot: "exposure monitor, after each position snapshot",
    events.RiskAssessment: "risk monitor, after each exposure snapshot",
    events.PnLCalculation: "PnL monitor, after each risk assessment",
    events.StrategyDecision: "strategy manager, once a tick",
    events.OperationExecutionEvent: "execution manager, once an order",
    events.AtomicOperationGroupEvent: "execution manager, once a group",
    events.TightLoopExecutionEvent: "execution manager, once an order that reached a venue",
    events.ReconciliationEvent: "position update handler, after each operation and at the first tick of each day",
    events.ExecutionDeltaEvent: "position monitor, once a settlement",
    events.HealthStatusEvent: "health monitor, at its first look at a component and after each change, in live at each",
    events.SystemErrorEvent: "any component; the event logger for actors that failed",
}


def schemas() -> str:
    """A section for each event type: who logs it, every field, and a line of a real run."""
    examples = example_lines()
    return "\n".join(_schema(kind, examples[kind]) for kind in EVENT_TYPES)


def _schema(kind: type[DomainEvent], example: Mapping[str, Any]) -> str:
    common = set(DomainEvent.__struct_fields__)
    rows = [
        f"| `{field.name}` | {_type(field.type)} | {told(kind, field.name)} |"
        for field in msgspec.structs.fields(kind)
        if field.name not in common
    ]
    table = "\n".join(["| field | type | |", "| --- | --- | --- |", *rows])
    shown = json.dumps(_shortened(example), indent=2, ensure_ascii=False)
    about = inspect.getdoc(kind)
    return (
        f"### {kind.__name__}\n\n{about}\n\n`events/{kind.FILE}.jsonl`, logged by the {_LOGGED_BY[kind]}.\n\n"
        f"{table}\n\n```json\n{shown}\n```\n"
    )


def common_fields() -> str:
    rows = [f"| `{name}` | {told(DomainEvent, name)} |" for name in DomainEvent.__struct_fields__]
    return "\n".join(["| field | |", "| --- | --- |", *rows, ""])


def parts_of_events() -> str:
    """The structures that stand inside events."""
    parts = (events.AssetExposure, events.Mismatch, execution.PositionDelta, orders.ExpectedDelta)
    blocks = []
    for part in parts:
        rows = [
            f"| `{field.name}` | {_type(field.type)} | {told(part, field.name)} |"
            for field in msgspec.structs.fields(part)
        ]
        head = [f"**{part.__name__}**: {inspect.getdoc(part)}\n", "| field | type | |", "| --- | --- | --- |"]
        blocks.append("\n".join([*head, *rows, ""]))
    return "\n".join(blocks)


def error_codes() -> str:
    rows = [
        f"| `{code.code}` | {code.severity} | {code.meaning} | {GUIDE[code.code].effect} | {GUIDE[code.code].remedy} |"
        for code in REGISTRY.values()
    ]
    heading = "| code | severity | meaning | what follows by itself | what is left to you |"
    return "\n".join([heading, "| --- | --- | --- | --- | --- |", *rows, ""])


@cache
def example_lines() -> dict[type[DomainEvent], dict[str, Any]]:
    """A line of each event type from the run that the logging guide makes: the longest of the first fifty."""
    with tempfile.TemporaryDirectory() as folder:
        return _example_run(Path(folder))


def _example_run(folder: Path) -> dict[type[DomainEvent], dict[str, Any]]:
    run = Backtest(
        prepare(
            BacktestRequest(
                mode="usdt_market_neutral",
                start=datetime(2024, 1, 1, tzinfo=UTC),
                end=datetime(2024, 1, 15, tzinfo=UTC),
                settings=("risk_limits.max_venue_share=0.35",),
                correlation_id="guide",
                fixed_clock=True,
                out=folder,
            )
        )
    )
    summary = run.run()
    if summary.failure is not None:
        raise RuntimeError(f"the example run failed: {summary.failure}")
    found = {}
    for kind in EVENT_TYPES:
        rows = [line for line, _ in zip(lines(run.run_dir / "events", kind.FILE), range(50), strict=False)]
        found[kind] = json.loads(max(rows, key=len))
    return found


def _shortened(value: Any, *, whole: bool = True) -> Any:
    """Less of what is long, with a sign that there is more; an event keeps all of its own fields."""
    if isinstance(value, dict):
        rows = list(value.items())
        shown = {key: _shortened(inner, whole=False) for key, inner in (rows if whole else rows[:_LONGEST])}
        return shown | ({"…": f"{len(rows) - len(shown)} more"} if len(shown) < len(rows) else {})
    if isinstance(value, list):
        more = [f"… {len(value) - _LONGEST} more"] if len(value) > _LONGEST else []
        return [*(_shortened(inner, whole=False) for inner in value[:_LONGEST]), *more]
    return value


def _type(annotation: Any) -> str:
    """A type as a reader of JSON thinks of it."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text).replace("datetime.datetime", "datetime")
    return f"`{text}`".replace(" | ", " or ")
