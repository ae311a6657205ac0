"""Runs are found by path, by name and inside a result; what is not one is refused with the nearest name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from basis_actors.errors import BasisError
from basis_actors.logs.directory import EVENTS_FOLDER, LogDirectoryManager
from basis_actors.logs.locate import find_run
from basis_actors.logs.queries.runs import runs_in
from basis_actors.logs.segments import segments


@contextmanager
def somebody_else() -> Iterator[None]:
    """Meanwhile this process is none that may read everything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def _run(root: Path, name: str, pid: int = 1) -> Path:
    return LogDirectoryManager.create_run_logs(name, pid, "btc_basis", "basis", 1.0, root)


def test_a_run_is_found_by_directory_by_folder_and_by_name(tmp_path: Path) -> None:
    run = _run(tmp_path / "logs", "alpha")
    for given in (run, run.parent, "alpha", "alpha/1"):
        assert find_run(given, (tmp_path / "logs",)) == run


def test_a_result_stands_for_the_run_in_it(tmp_path: Path) -> None:
    (tmp_path / "results" / "alpha").mkdir(parents=True)
    _run(tmp_path / "logs", "alpha").rename(tmp_path / "results" / "alpha" / "logs")
    assert find_run("alpha", (tmp_path / "results",)) == tmp_path / "results" / "alpha" / "logs"


def test_several_runs_of_one_name_are_all_named(tmp_path: Path) -> None:
    first, second = _run(tmp_path, "alpha", 1), _run(tmp_path, "alpha", 2)
    with pytest.raises(BasisError, match="holds 2 runs") as caught:
        find_run("alpha", (tmp_path,))
    assert str(first) in caught.value.message
    assert str(second) in caught.value.message


def test_of_several_runs_of_one_name_the_last_is_meant_when_it_has_the_result(tmp_path: Path) -> None:
    roots = logs, results = tmp_path / "logs", tmp_path / "results"
    _run(logs, "alpha", 9)
    second = _run(logs, "alpha", 2)
    kept = Path(shutil.copytree(second, results / "alpha" / "logs"))
    assert find_run("alpha", roots) == kept
    third = _run(logs, "alpha", 5)
    for given in ("alpha", logs / "alpha"):
        with pytest.raises(BasisError, match=f"holds 3 runs: .*{third}"):
            find_run(given, roots)


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    _run(tmp_path, "alpha")
    with pytest.raises(BasisError, match=r"LOG-003: .*'alpah'.*nearest: alpha"):
        find_run("alpah", (tmp_path,))


def test_a_folder_without_metadata_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(BasisError, match=r"LOG-003: .*is not a run directory"):
        find_run(tmp_path / "other", (tmp_path,))


def test_what_is_left_of_a_run_is_named_and_not_its_own_name_as_the_nearest(tmp_path: Path) -> None:
    roots = logs, results = tmp_path / "logs", tmp_path / "results"
    (logs / "alpha" / "1" / "events").mkdir(parents=True)
    (results / "alpha").mkdir(parents=True)
    for given, named in (
        ("alpha", f"{logs / 'alpha'} or {results / 'alpha'}"),
        (results / "alpha", str(results / "alpha")),
    ):
        with pytest.raises(BasisError) as caught:
            find_run(given, roots)
        assert caught.value.message.startswith(f"{named} is not a run directory: no metadata.json in it")
    with pytest.raises(BasisError, match="run '' is neither a path nor a name"):
        find_run("", roots)


def test_a_run_of_somebody_else_is_refused_by_name_and_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    closed, half = _run(Path(), "closed"), _run(Path(), "half")
    for folder in (closed.parent, half.parent, half):
        folder.chmod(0o755)
    closed.chmod(0)
    (half / EVENTS_FOLDER).chmod(0)
    with somebody_else():
        for given in ("closed", "closed/1"):
            with pytest.raises(BasisError, match=f"LOG-003: no look at run '{given}': .*Permission denied: 'closed/1"):
                find_run(given, ())
        with pytest.raises(BasisError, match=r"LOG-004: event file half/1/events/some\.jsonl cannot be read: .*denied"):
            segments(half / EVENTS_FOLDER, "some")
        assert [run.run_dir for run in runs_in(Path())] == ["half/1"]
    closed.chmod(0o700)
    (half / EVENTS_FOLDER).chmod(0o700)
