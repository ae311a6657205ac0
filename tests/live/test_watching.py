"""A live process, in fast real time, can be asked how it is, and tells its receiver when it stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import ClientSession
from tests.logs.conftest import put_behind as put_behind
from tests.telemetry.receiver import receiver

from basis_actors.errors import ConfigError
from basis_actors.logs.reader import EventLog
from basis_actors.logs.replay import replay
from basis_actors.messages.events import HealthStatusEvent, SystemErrorEvent
from basis_actors.results.summary import RunSummary
from basis_actors.services import extras
from basis_actors.services.backtest import Progress
from basis_actors.services.live import LiveRun
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.surroundings import on_paper

pytestmark = pytest.mark.anyio
PACE = 3600.0


def live_run(out: Path, pace: float | None = PACE, **overrides: Any) -> LiveRun:
    component = {"monitoring": {"port": 0}, **overrides}
    request = BacktestRequest(mode="btc_basis", out=out, runtime="live", overrides={"component_config": component})
    ready = prepare(request)
    return LiveRun(ready, on_paper(ready, pace))


class Life:
    """A process from its first tick to its stop."""

    def __init__(self, live: LiveRun) -> None:
        self.live = live
        self._answers = anyio.Event()
        self.summary: RunSummary | None = None

    def note(self, progress: Progress) -> None:
        if progress.ticks and self.live.actors.monitoring is not None and self.live.actors.monitoring.url is not None:
            self._answers.set()

    async def _run(self) -> None:
        self.summary = await self.live.run_async(self.note)

    async def ask(self, *paths: str) -> list[tuple[int, str]]:
        """What it says to each path while it lives."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run)
            await self._answers.wait()
            assert self.live.actors.monitoring is not None
            said = []
            async with ClientSession() as session:
                for path in paths:
                    async with session.get(f"{self.live.actors.monitoring.url}{path}") as answer:
                        said.append((answer.status, await answer.text()))
            self.live.cancel("told so")
        return said


async def test_it_answers_while_it_lives_and_its_log_is_whole(tmp_path: Path) -> None:
    live = live_run(tmp_path)
    ready, health, metrics = await Life(live).ask("/ready", "/health", "/metrics")
    assert ready[0] == health[0] == 200
    assert json.loads(ready[1])["phase"] == "trading"
    assert json.loads(health[1])["status"] == "healthy"
    assert json.loads(health[1])["checked_seconds_ago"] < 60.0, "in seconds of the world, not of the engine"
    assert 'mode="btc_basis"' in metrics[1]
    run_dir = live.record.run_dir
    assert replay(run_dir).findings == []
    looks = [event for event in EventLog(run_dir).all() if isinstance(event, HealthStatusEvent)]
    assert [event.component for event in looks].count("process") == 1
    line = json.loads((run_dir / "metrics.log").read_text().splitlines()[-2])
    assert line["event"] == "the process can be asked how it is"
    assert line["health"].endswith("/health")


@pytest.mark.parametrize("names", [("engine",), ("api", "event_logger", "engine", "metrics")])
async def test_a_component_log_that_cannot_be_written_is_said_once_and_ends_nothing(
    tmp_path: Path, put_behind: Callable[[Path, Path], None], names: tuple[str, ...]
) -> None:
    live = live_run(tmp_path)
    said: list[str] = []
    live.actors.warn = said.append
    for name in names:
        live.record.components.logger(name).info("opened")
        put_behind(live.record.run_dir / f"{name}.log", Path("/dev/full"))
    life = Life(live)
    (health,) = await life.ask("/health")
    (line,) = said
    assert line.startswith("LOG-001: component log ")
    assert "No space left" in line
    assert json.loads(health[1])["problems"][:1] == ["errors of component_logs: 1"]
    summary = life.summary
    assert summary is not None
    assert (summary.failure, summary.warnings[-1][1:]) == (None, " lines of component logs could not be written")
    events = EventLog(live.record.run_dir).events(SystemErrorEvent)
    assert [event.error_code for event in events if event.component == "component_logs"] == ["LOG-001"]


async def test_its_stop_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as there:
        monkeypatch.setenv("BASIS_ACTORS_ALERTS__ONCALL", there.url)
        route = {"oncall": {"format": "slack", "min_severity": "MEDIUM"}}
        live = live_run(tmp_path, alerts={"routes": route})
        await Life(live).ask()
        texts = [body["text"].splitlines()[0] for body in there.received]
    # A machine that is busy is late, and that is told as well.
    assert [text for text in texts if " process: the process is " not in text and "ENGINE-005" not in text] == [
        "LOW process: the process begins: btc_basis, on paper, with 100,000 USDT of its own and nothing open",
        "MEDIUM process: trading was starting and is trading",
        "MEDIUM process: the process stops as it was told to",
    ]
    written = b"".join(path.read_bytes() for path in live.record.run_dir.rglob("*") if path.is_file())
    assert there.url.rpartition("/")[2].encode() not in written


def test_where_each_tick_is_waited_for_nothing_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    assert live_run(tmp_path, None).actors.monitoring is None
    with pytest.raises(ConfigError, match="which is not installed; install the extra live"):
        live_run(tmp_path)


async def test_a_receiver_without_an_address_ends_it_before_it_begins(tmp_path: Path) -> None:
    live = live_run(tmp_path, alerts={"routes": {"oncall": {"format": "json", "min_severity": "HIGH"}}})
    with pytest.raises(ConfigError, match="BASIS_ACTORS_ALERTS__ONCALL missing"):
        await live.run_async()
