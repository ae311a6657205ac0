"""Halving finds what reading every line finds, in files of any shape."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_actors.errors import BasisError
from basis_actors.logs.queries.moments import around, first_line, last_line
from basis_actors.logs.segments import active, rotated

START = datetime(2024, 1, 1, tzinfo=UTC)


def line(hour: int, number: int, width: int) -> bytes:
    """One event of that hour, as long as it likes."""
    stamp = (START + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f'{{"timestamp":"{stamp}","number":{number},"text":"{"x" * width}"}}\n'.encode()


def written(folder: Path, segments: list[list[bytes]], packed: int, torn: bytes = b"") -> None:
    """Segments, the first `packed` of them compressed, the last one active."""
    *older, last = segments
    for number, content in enumerate(older, start=1):
        path = rotated(folder, "some", number, packed=number <= packed)
        text = b"".join(content)
        path.write_bytes(gzip.compress(text) if number <= packed else text)
    active(folder, "some").write_bytes(b"".join(last) + torn)


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 200)), min_size=1, max_size=60),
    cuts=st.sets(st.integers(1, 59), max_size=4),
    packed=st.integers(0, 4),
    torn=st.booleans(),
    asked=st.integers(-1, 130),
)
def test_the_lines_around_a_moment(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, int]],
    cuts: set[int],
    packed: int,
    torn: bool,
    asked: int,
) -> None:
    hours, now = [], 0
    for step, _ in steps:
        now += step
        hours.append(now)
    every = [line(hour, number, steps[number][1]) for number, hour in enumerate(hours)]
    ends = [0, *sorted(cut for cut in cuts if cut < len(every)), len(every)]
    folder = tmp_path_factory.mktemp("moments")
    segments = [every[begin:end] for begin, end in pairwise(ends)]
    # A run that was killed while it began a segment has an empty active file.
    written(folder, [*segments, []] if asked % 2 else segments, packed, b'{"timestamp":"20' if torn else b"")
    found = around(folder, "some", START + timedelta(hours=asked))
    upto = sum(hour <= asked for hour in hours)
    assert (found.before.text if found.before else None) == (every[upto - 1] if upto else None)
    assert (found.after.text if found.after else None) == (every[upto] if upto < len(every) else None)
    first, last = first_line(folder, "some"), last_line(folder, "some")
    assert first is not None
    assert last is not None
    assert (first.text, last.text) == (every[0], every[-1])


def test_where_there_is_nothing_nothing_is_found(tmp_path: Path) -> None:
    assert around(tmp_path, "some", START).before is None
    assert first_line(tmp_path, "some") is last_line(tmp_path, "some") is None
    active(tmp_path, "some").write_bytes(b'{"timest')
    assert around(tmp_path, "some", START).after is None
    assert last_line(tmp_path, "some") is None


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_without_a_time_is_named(tmp_path: Path, packed: bool) -> None:
    every = [line(hour, hour, 3) for hour in range(9)]
    every[4] = b'{"timestamp":"yesterday"}\n'
    written(tmp_path, [every, [line(9, 9, 3)]], int(packed))
    with pytest.raises(BasisError, match=r"LOG-004: .*some\.000001\.jsonl.*, line 5: .*expected one event"):
        around(tmp_path, "some", START + timedelta(hours=4))
