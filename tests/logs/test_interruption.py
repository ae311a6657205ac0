"""Ctrl-C at every single place where it can strike while events are logged and written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.event_files import SEGMENT_BYTES
from basis_actors.logs.segments import lines as read_lines
from basis_actors.logs.wall_clock import fixed_clock
from basis_actors.messages.events import DomainEvent, PositionSnapshot, StrategyDecision

EVENTS = 8


class Interruption:
    """Raises KeyboardInterrupt at the n-th place where CPython may: a function begins, or has come back."""

    def __init__(self, place: int) -> None:
        self.left = place
        self.struck = False

    def __call__(self, _frame: Any, event: str, _argument: Any) -> None:
        if event == "c_call":
            return
        if self.left == 0:
            self.struck = True
            raise KeyboardInterrupt
        self.left -= 1


def log_interrupted(logger: DomainEventLogger, events: list[DomainEvent], place: int) -> bool:
    """Log the events; whoever is interrupted goes on with the next event. Whether the place was reached."""
    interruption = Interruption(place)
    sys.setprofile(interruption)
    try:
        for event in events:
            try:
                logger.log(event)
            except KeyboardInterrupt:
                sys.setprofile(None)
        logger.flush()
    except KeyboardInterrupt:
        sys.setprofile(None)
        logger.flush()
    finally:
        sys.setprofile(None)
    return interruption.struck


@pytest.mark.parametrize("segment_bytes", [SEGMENT_BYTES, 500])
def test_an_interruption_costs_at_most_the_event_it_strikes(
    tmp_path: Path, snapshot: Callable[[float], PositionSnapshot], decision: StrategyDecision, segment_bytes: int
) -> None:
    struck, place = True, 0
    while struck:
        run_dir = tmp_path / str(place)
        run_dir.mkdir()
        logger = DomainEventLogger(run_dir, "r", 1, batch_events=3, segment_bytes=segment_bytes, clock=fixed_clock)
        events = [decision if number % 2 else snapshot(number) for number in range(EVENTS)]
        struck = log_interrupted(logger, events, place)
        logger._files.close()
        lines = [
            json.loads(line)
            for stem in ("positions", "strategy_decisions")
            for line in read_lines(run_dir / "events", stem)
        ]
        numbers = sorted(line["sequence"] for line in lines)
        amounts = [line["total_value_usd"] for line in lines if "positions" in line]
        assert numbers == list(range(len(lines))), f"at place {place}"
        assert len(lines) >= EVENTS - struck, f"at place {place}"
        assert amounts == sorted(set(amounts)), f"at place {place}"
        assert logger.unwritten == 0
        place += 1
    assert place > 50


@pytest.mark.parametrize("name", ["write", "encode_into", "append", "popleft"])
def test_the_places_include_the_delicate_ones(
    tmp_path: Path, snapshot: Callable[[float], PositionSnapshot], name: str
) -> None:
    seen: list[str] = []

    def watch(_frame: Any, event: str, argument: Any) -> None:
        if event == "c_return":
            seen.append(argument.__name__)

    logger = DomainEventLogger(tmp_path, "r", 1, batch_events=1)
    sys.setprofile(watch)
    try:
        logger.log(snapshot(1.0))
    finally:
        sys.setprofile(None)
    anyio.run(logger.close)
    assert name in seen
