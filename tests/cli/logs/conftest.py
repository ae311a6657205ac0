"""A folder with one run in which not everything comes off, found by its name as a person would."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.logs.clumsy import clumsy_run
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory, which is not changed."""
    return clumsy_run(tmp_path_factory.mktemp("logs"), correlation_id="clumsy")


@pytest.fixture(autouse=True)
def _in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says how wide a terminal is, unless a test does."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def run_dir(run: Run, tmp_path: Path, written: Path) -> Path:
    """A copy at `logs/clumsy/<pid>` of the folder that the commands run in."""
    return Path(shutil.copytree(written, tmp_path / "logs" / "clumsy" / written.name))


@pytest.fixture
def ask(run: Run, run_dir: Path) -> Run:
    """`ask("failed", ...)`: a question to the run by its name; commands that take something after RUN get it there."""
    return lambda command, *arguments: run("logs", command, "clumsy", *arguments)
