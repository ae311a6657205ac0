"""Blocks hold every line once, finding by bytes finds what looking at each line finds, and damage is named."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_actors.errors import BasisError
from basis_actors.logs.queries import blocks as module
from basis_actors.logs.queries.blocks import blocks, lines_with
from basis_actors.logs.segments import TornLine, active, rotated

words = st.sampled_from(["a", "ab", '"id-1"', '"id-10"', "x" * 50, ""])


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(words, max_size=40), cut=st.integers(0, 40), at_once=st.integers(1, 200))
def test_lines_are_found_by_what_they_contain(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cut: int, at_once: int
) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    every = [f"{{{text}}}\n".encode() for text in texts]
    if 0 < cut < len(every):
        rotated(folder, "some", 1, packed=True).write_bytes(gzip.compress(b"".join(every[:cut])))
        active(folder, "some").write_bytes(b"".join(every[cut:]))
    else:
        active(folder, "some").write_bytes(b"".join(every))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_AT_ONCE", at_once)
        for needles in ((), (b"a",), (b'"id-1"',), (b"ab", b'"id-1')):
            found = [line.text for block in blocks(folder, "some") for line in lines_with(block, needles)]
            assert found == [line for line in every if not needles or any(needle in line for needle in needles)]
        for block in blocks(folder, "some"):
            for line in lines_with(block, ()):
                whole = gzip.decompress(line.path.read_bytes()) if line.path.suffix == ".gz" else line.path.read_bytes()
                assert whole[line.offset :].startswith(line.text)


def test_a_torn_end_is_noted(tmp_path: Path) -> None:
    active(tmp_path, "some").write_bytes(b'{"a":1}\n{"b"')
    torn: list[TornLine] = []
    assert b"".join(block.text for block in blocks(tmp_path, "some", torn)) == b'{"a":1}\n'
    assert torn == [TornLine(active(tmp_path, "some"), 8, 4)]


def test_a_line_without_end_is_not_copied_with_each_read(tmp_path: Path) -> None:
    length = 8_000_000
    active(tmp_path, "some").write_bytes(b"x" * length)
    torn: list[TornLine] = []
    tracemalloc.start()
    assert list(blocks(tmp_path, "some", torn)) == []
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert torn == [TornLine(active(tmp_path, "some"), 0, length)]
    assert most < 1.5 * length


@pytest.mark.parametrize("bad", [b"\n", b'"b":1}\n', b'{"b":1\n', b"\x00\x00\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_line_that_is_no_object_is_named_though_nobody_asked_for_it(tmp_path: Path, bad: bytes, packed: bool) -> None:
    text = b'{"a":1}\n' * 6 + bad + b'{"a":1}\n'
    rotated(tmp_path, "some", 1, packed=packed).write_bytes(gzip.compress(text) if packed else text)
    active(tmp_path, "some").touch()
    with pytest.raises(BasisError, match=r"LOG-004: .*some\.000001\.jsonl.*, line 7: .*begin and end as an object"):
        list(blocks(tmp_path, "some"))


def test_a_segment_that_ends_within_a_line_or_cannot_be_unpacked_is_named(tmp_path: Path) -> None:
    active(tmp_path, "some").touch()
    first = rotated(tmp_path, "some", 1)
    first.write_bytes(b'{"a":1}\n{"b"')
    with pytest.raises(BasisError, match=r"some\.000001\.jsonl, line 2: the segment ends within this line"):
        list(blocks(tmp_path, "some"))
    first.unlink()
    packed = rotated(tmp_path, "some", 1, packed=True)
    packed.write_bytes(gzip.compress(b'{"a":1}\n' * 100)[:-9])
    with pytest.raises(BasisError, match=r"some\.000001\.jsonl\.gz cannot be read after byte"):
        list(blocks(tmp_path, "some"))
