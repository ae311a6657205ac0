"""Event files that are rotated and packed read as one, whatever happens to them meanwhile."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_actors.bus.sim import complete
from basis_actors.errors import BasisError
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.event_files import EventFiles
from basis_actors.logs.segments import TornLine, active, last_lines, lines, rotated, segments
from basis_actors.logs.wall_clock import fixed_clock
from basis_actors.messages.events import PositionSnapshot


def _write(folder: Path, pieces: list[bytes], segment_bytes: int) -> EventFiles:
    files = EventFiles(folder, ("some", "other"), segment_bytes)
    for piece in pieces:
        files.put((0, piece, piece.count(b"\n")))
        files.write()
    files.close()
    return files


def _pack(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=40),
    cuts=st.sets(st.integers(1, 39)),
    limit=st.integers(1, 200),
)
@settings(max_examples=60)
def test_where_segments_begin_depends_on_the_lines_alone(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], cuts: set[int], limit: int
) -> None:
    written = [b"x" * size + b"\n" for size in sizes]
    batches = [
        b"".join(written[begin:end])
        for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(written)], strict=True)
    ]
    one, many = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("many")
    _write(one, [b"".join(written)], limit)
    _write(many, [batch for batch in batches if batch], limit)
    assert list(lines(one, "some")) == written
    assert [path.name for path in segments(one, "some")] == [path.name for path in segments(many, "some")]
    for path in segments(one, "some"):
        assert path.read_bytes() == (many / path.name).read_bytes()
        begun = path.read_bytes().splitlines(keepends=True)
        assert sum(map(len, begun[:-1])) < limit, "a line after the limit belongs to the next segment"
    for path in segments(one, "some")[:-1]:
        assert path.stat().st_size >= limit


def test_packed_and_plain_segments_are_read_in_order(tmp_path: Path) -> None:
    written = [f"{number}\n".encode() for number in range(30)]
    _write(tmp_path, [b"".join(written)], 10)
    assert len(segments(tmp_path, "some")) > 4
    _pack(rotated(tmp_path, "some", 1))
    _pack(rotated(tmp_path, "some", 3))
    assert list(lines(tmp_path, "some")) == written
    assert list(lines(tmp_path, "other")) == []
    assert list(lines(tmp_path, "never")) == []


def test_a_reader_goes_on_while_segments_are_packed_and_begun(tmp_path: Path) -> None:
    files = EventFiles(tmp_path, ("some",), 10)
    for number in range(20):
        files.put((0, f"{number}\n".encode(), 1))
    files.write()
    reader = lines(tmp_path, "some")
    read = [next(reader)]
    for number in range(20, 40):
        files.put((0, f"{number}\n".encode(), 1))
    files.write()
    for path in segments(tmp_path, "some")[:-1]:
        _pack(path)
    files.close()
    assert [*read, *reader] == [f"{number}\n".encode() for number in range(40)]


def test_a_segment_that_is_half_packed_is_there_once(tmp_path: Path) -> None:
    _write(tmp_path, [b"1\n2\n3\n4\n"], 4)
    first = rotated(tmp_path, "some", 1)
    text = first.read_bytes()
    _pack(first)
    first.write_bytes(text)
    assert list(lines(tmp_path, "some")) == [b"1\n", b"2\n", b"3\n", b"4\n"]
    assert len(segments(tmp_path, "some")) == 2


def test_a_torn_end_is_left_out_and_noted(tmp_path: Path) -> None:
    _write(tmp_path, [b"1\n22\n"], 100)
    path = active(tmp_path, "some")
    path.write_bytes(path.read_bytes() + b"33")
    torn: list[TornLine] = []
    assert list(lines(tmp_path, "some", torn)) == [b"1\n", b"22\n"]
    assert torn == [TornLine(path, 5, 2)]


@pytest.mark.parametrize("pieces", [b"1\n2\n3\n", b"1\n2\n3\n4", b"1\n" * 900_000 + b"2\n3\n"])
def test_the_last_lines_come_from_the_end_alone_and_whole(tmp_path: Path, pieces: bytes) -> None:
    _write(tmp_path, [], 100)
    active(tmp_path, "some").write_bytes(pieces)
    last = list(last_lines(tmp_path, "some"))
    assert last[:2] == [b"3\n", b"2\n"]
    assert set(last[2:]) == {b"1\n"}
    assert sum(map(len, last)) <= 1_000_000
    assert list(last_lines(tmp_path, "other")) == list(last_lines(tmp_path, "never")) == []


def test_the_last_line_is_in_an_older_segment_where_the_newest_has_none(tmp_path: Path) -> None:
    _write(tmp_path, [b"1\n2\n3\n4\n"], 4)
    rotated(tmp_path, "some", 1).unlink()
    active(tmp_path, "some").rename(rotated(tmp_path, "some", 2))
    active(tmp_path, "some").write_bytes(b"torn")
    assert next(last_lines(tmp_path, "some")) == b"4\n"
    _pack(rotated(tmp_path, "some", 2))
    assert list(last_lines(tmp_path, "some")) == [b"4\n", b"3\n"]
    rotated(tmp_path, "some", 2, packed=True).write_bytes(b"no gzip")
    with pytest.raises(BasisError, match=r"LOG-004: .* cannot be read"):
        list(last_lines(tmp_path, "some"))


@pytest.mark.parametrize("harm", ["missing", "cut", "torn", "garbage"])
def test_a_damaged_segment_is_named(tmp_path: Path, harm: str) -> None:
    _write(tmp_path, [b"".join(f"{number:09d}\n".encode() for number in range(400))], 1000)
    second = rotated(tmp_path, "some", 2)
    if harm == "missing":
        second.unlink()
    elif harm == "torn":
        second.write_bytes(second.read_bytes()[:-3])
    else:
        packed = _pack(second)
        text = packed.read_bytes()
        packed.write_bytes(text[:-20] if harm == "cut" else text[:60] + b"\xff" * 20 + text[80:])
    with pytest.raises(BasisError, match=r"LOG-004: event file .*some\.000002\.jsonl"):
        list(lines(tmp_path, "some"))


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("packed", [True, False])
def test_a_segment_that_cannot_be_opened_is_named(tmp_path: Path, number: int, packed: bool) -> None:
    path = rotated(tmp_path, "some", number, packed=packed) if number else active(tmp_path, "some")
    path.mkdir()
    with pytest.raises(BasisError, match=rf"LOG-004: event file {path} cannot be opened: .*Is a directory"):
        list(lines(tmp_path, "some"))


def test_a_folder_that_takes_no_new_segment_loses_nothing(tmp_path: Path) -> None:
    files = EventFiles(tmp_path, ("some",), 4)
    files.put((0, b"1\n2\n3\n4\n", 4))
    obstacle = rotated(tmp_path, "some", 1)
    obstacle.mkdir()
    with pytest.raises(BasisError, match=r"LOG-005: .*some\.jsonl cannot be rotated: .*some\.jsonl: 2"):
        files.write()
    obstacle.rmdir()
    files.write()
    files.close()
    assert list(lines(tmp_path, "some")) == [b"1\n", b"2\n", b"3\n", b"4\n"]


def test_a_run_rotates_as_it_logs(tmp_path: Path, snapshot: Callable[[float], PositionSnapshot]) -> None:
    logger = DomainEventLogger(tmp_path, "r", 1, segment_bytes=5000, batch_events=7, clock=fixed_clock)
    for number in range(200):
        logger.log(snapshot(number))
    complete(logger.close())
    read = [json.loads(line)["sequence"] for line in lines(tmp_path / "events", "positions")]
    assert read == list(range(200))
    assert len(segments(tmp_path / "events", "positions")) > 3
