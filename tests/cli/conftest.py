"""The command in this process, a small folder of market data, and strategies that are registered for one test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from basis_actors.cli.app import app
from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.strategies.base import Strategy
from basis_actors.strategies.registry import STRATEGIES

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("backtest", "btc_basis", ...)` in an empty folder; anything but SystemExit that escapes is raised."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def invoke(*arguments: object) -> Result:
        return runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return invoke


@pytest.fixture
def summary(run: Run) -> Callable[..., dict[str, Any]]:
    """The JSON summary of a run that is expected to end with the code `expected`."""

    def of(*arguments: object, expected: int = 0) -> dict[str, Any]:
        result = run("backtest", *arguments, "--json")
        assert result.exit_code == expected, result.stderr
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    return of


@pytest.fixture(scope="session")
def market_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days of a synthetic market as files. Tests that change one copy the folder."""
    folder = tmp_path_factory.mktemp("market")
    generator = SyntheticGenerator(3, 3600)
    write_dataset(generator.generate(generator.epoch_ns, generator.epoch_ns + 10 * DAY), folder)
    return folder


@pytest.fixture
def register() -> Iterator[Callable[[str, type[Strategy]], None]]:
    """Puts a strategy in the place of a family for the length of a test."""
    before = dict(STRATEGIES)
    yield STRATEGIES.__setitem__
    STRATEGIES.clear()
    STRATEGIES.update(before)
