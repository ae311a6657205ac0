"""Short runs of every mode on the synthetic market, their reports, and what is inside a report."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.play import ALWAYS_IN, utc
from tests.engine.test_all_modes import signals
from tests.results.report.hostile import hostile_run

from basis_actors.messages.events import PnLCalculation
from basis_actors.results.report import write_report
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

START = utc("2024-01-10")
LENGTH = timedelta(days=9)

Make = Callable[[str], Path]


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The directory of nine days of a mode; each mode is run once."""
    folder = tmp_path_factory.mktemp("reported")
    made: dict[str, Path] = {}

    def run(mode: str) -> Path:
        if mode not in made:
            settings: tuple[str, ...] = (ALWAYS_IN,) if "basis" in mode else ()
            if mode.startswith("ml_"):
                settings = signals(folder, START, START + LENGTH)
            request = BacktestRequest(
                mode=mode, seed=11, start=START, end=START + LENGTH, settings=settings, out=folder, fixed_clock=True
            )
            backtest = Backtest(prepare(request))
            assert backtest.run().failure is None
            made[mode] = backtest.run_dir
        return made[mode]

    return run


@pytest.fixture(scope="session")
def page_of(run_of: Make, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The report of such a run."""
    folder = tmp_path_factory.mktemp("pages")

    def page(mode: str) -> Path:
        target = folder / f"{mode}.html"
        if not target.exists():
            write_report(run_of(mode), target)
        return target

    return page


@pytest.fixture
def hostile(tmp_path: Path, calculation: Callable[..., PnLCalculation]) -> Path:
    """A run all of whose texts are markup."""
    return hostile_run(tmp_path, calculation)


class Page(HTMLParser):
    """A report as a browser reads it: its elements, its text, its charts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._texts: list[str] = []
        self._scripts: list[str] = []
        self._inside: list[str] = []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "script":
            self._scripts.append("")
        if tag not in ("meta", "wbr"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self._inside:
            self._scripts[-1] += data
        elif "style" not in self._inside:
            self._texts.append(data)
            if "td" in self._inside or "th" in self._inside:
                self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        """What can be read on it, with plain spaces."""
        return " ".join("".join(self._texts).replace("\u00a0", " ").split())

    @property
    def charts(self) -> dict[str, dict[str, Any]]:
        """Data and layout of every chart by its id, arrays as numbers."""
        found = json.loads(self._scripts[0])
        return {chart["id"].removeprefix("chart-"): _readable(chart) for chart in found}

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        if "bdata" in value:
            array = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
            return array.reshape([int(size) for size in value["shape"].split(",")]) if "shape" in value else array
        return {key: _readable(inner) for key, inner in value.items()}
    return [_readable(inner) for inner in value] if isinstance(value, list) else value
