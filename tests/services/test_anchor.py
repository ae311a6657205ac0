"""A file or folder that is deleted, moved or replaced under a process is noticed, and one that is only used is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis_actors.errors import BasisError
from basis_actors.services.anchor import Anchor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir()
    return made


@pytest.fixture
def anchor(folder: Path) -> Iterator[Anchor]:
    held = Anchor(folder)
    yield held
    held.close()


def test_what_is_only_used_is_in_its_place(folder: Path, anchor: Anchor) -> None:
    (folder / "a").write_text("a")
    (folder / "a").unlink()
    folder.chmod(0o500)
    assert anchor.lost() is None


def test_what_is_deleted_is_lost_and_its_number_goes_to_nobody_else(folder: Path, anchor: Anchor) -> None:
    folder.rmdir()
    assert anchor.lost() == f"{folder} is gone: No such file or directory"
    for _ in range(50):
        folder.mkdir()
        assert anchor.lost() == f"{folder} was replaced: it is not the one that this process began with"
        folder.rmdir()


def test_what_is_moved_away_is_lost_until_it_is_back(folder: Path, anchor: Anchor) -> None:
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    assert anchor.lost() is not None
    elsewhere.rename(folder)
    assert anchor.lost() is None


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BasisError, match=r"ENGINE-001: .*/none cannot be opened: .*; choose another folder"):
        Anchor(tmp_path / "none")


def test_an_anchor_takes_no_lock_of_a_database_away(tmp_path: Path) -> None:
    path = tmp_path / "orders.sqlite"
    ours, theirs = sqlite3.connect(path, isolation_level=None), sqlite3.connect(path, timeout=0.0)
    ours.execute("BEGIN EXCLUSIVE")
    Anchor(path).close()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        theirs.execute("CREATE TABLE x (y)")
    theirs.close()
    ours.close()
