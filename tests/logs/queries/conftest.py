"""One run in which not everything comes off: as it was written, cut into segments, and with the segments packed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.logs.clumsy import clumsy_run

from basis_actors.logs.queries.source import RunLog
from basis_actors.logs.retention import pack_rest
from basis_actors.logs.segments import active, lines, rotated
from basis_actors.messages.events import EVENT_TYPES

SEGMENT = 7_000
"""Bytes; the larger files come to a handful of segments."""


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as it was written. Tests that change something use `copied`."""
    return clumsy_run(tmp_path_factory.mktemp("clumsy"), correlation_id="clumsy")


@pytest.fixture
def copied(run_dir: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be changed."""
    return Path(shutil.copytree(run_dir, tmp_path / "clumsy" / run_dir.name))


def cut(run_dir: Path, segment: int = SEGMENT) -> None:
    """Cut the event files into segments, as the event logger would have with this size."""
    folder = run_dir / "events"
    for kind in EVENT_TYPES:
        whole = list(lines(folder, kind.FILE))
        number = 1
        while sum(map(len, whole)) > segment:
            size = 0
            begin = [line for line in whole if (size := size + len(line)) <= segment]
            rotated(folder, kind.FILE, number).write_bytes(b"".join(begin))
            whole = whole[len(begin) :]
            number += 1
        active(folder, kind.FILE).write_bytes(b"".join(whole))


@pytest.fixture(scope="session", params=["whole", "cut", "packed"])
def log(request: pytest.FixtureRequest, run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLog:
    """The run in three forms, which have to give the same answers."""
    copy = Path(shutil.copytree(run_dir, tmp_path_factory.mktemp(request.param) / run_dir.name))
    if request.param != "whole":
        cut(copy)
    if request.param == "packed":
        assert pack_rest(copy) == []
    return RunLog(copy)


@pytest.fixture(scope="session")
def written(run_dir: Path) -> Callable[[str], list[dict[str, Any]]]:
    """The events of a file, read in the simplest way there is."""
    return lambda stem: [json.loads(line) for line in (run_dir / "events" / f"{stem}.jsonl").read_text().splitlines()]
