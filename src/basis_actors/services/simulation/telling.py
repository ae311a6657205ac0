"""Tells stories of the fault simulator by the seed, and reports what came of each."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from basis_actors.config import ExchangeVenue
from basis_actors.errors import ConfigError
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.simulation.stop_verdict import Stops
from basis_actors.services.simulation.story import Setting, Story
from basis_actors.services.simulation.verdict import verdict

__all__ = ["HOURS", "Report", "require_room", "setting_of", "tell"]

HOURS: Final = 168
"""Length of a story unless asked for otherwise: a week."""
_SHORTEST: Final = 24
_LONGEST: Final = 876_000
_START: Final = datetime(2024, 1, 10, tzinfo=UTC)
"""Far enough into the synthetic market that windows of settled funding are full."""
_SETTINGS: Final = (
    # A pulse every half minute of a week would be most of what a story does, and its exchanges have no countdown.
    "component_config.kill_switch.heartbeat_seconds=300",
    "component_config.kill_switch.countdown_seconds=null",
)


@dataclass(frozen=True)
class Report:
    """What came of one seed."""

    seed: int
    processes: int
    kills: int
    failures: int
    """Processes that ended by themselves before the story was over, as they must when it is not safe to go on."""
    stops: int
    """How often trading was stopped, by the kill switch itself or by somebody."""
    faults: dict[str, int]
    """How often each fault struck."""
    orders: int
    """Intents in the journal."""
    equity: float | None
    problems: list[str]
    """Invariants that do not hold; empty when all do."""


def setting_of(mode: str | Path, hours: int = HOURS) -> Setting:
    """The market and the mode that stories are told of.

    Raises ConfigError CONFIG-003 for a mode that does not trade on exchanges, one whose orders bring stops, and a story
    that is too short to come to rest or longer than a hundred years; and as `prepare` does.
    """
    if hours < _SHORTEST:
        raise ConfigError("CONFIG-003", f"a story of {hours} hours cannot come to rest; {_SHORTEST} or more are needed")
    if hours > _LONGEST:
        raise ConfigError("CONFIG-003", f"a story of {hours} hours is too long; {_LONGEST:,} at most are expected")
    end = _START + timedelta(hours=hours)
    prepared = prepare(BacktestRequest(mode=mode, start=_START, end=end, settings=_SETTINGS))
    run = prepared.run
    if "always_in" in type(run.mode.strategy_config).model_fields:
        prepared = prepare(BacktestRequest(mode=mode, start=_START, end=end, settings=_SETTINGS, always_in=True))
        run = prepared.run
    if not any(isinstance(run.venues[name], ExchangeVenue) for name in run.mode.venues):
        raise ConfigError("CONFIG-003", f"mode {run.mode.mode} trades on no exchange, so none of its orders can fail")
    if prepared.strategy.brings_stops:
        raise ConfigError(
            "CONFIG-003",
            f"mode {run.mode.mode} protects its positions by stops, which the exchanges of a story do not keep; none is"
            " told of it",
        )
    states = tuple(prepared.feed.take(ns) for ns in prepared.feed.ticks)
    return Setting(run, prepared.dataset, states, prepared.capital)


def require_room(keep: Path, seeds: Iterable[int]) -> None:
    """Raise ConfigError CONFIG-003 where the logs of stories are to be kept in what is no folder, or over those of one
    of the seeds that are there already."""
    if keep.exists() and not keep.is_dir():
        raise ConfigError("CONFIG-003", f"{keep} is no folder to keep logs in; choose another")
    there = next((place for seed in seeds if (place := _place(keep, seed)).exists()), None)
    if there is not None:
        raise ConfigError("CONFIG-003", f"{there} is there already; delete it, or keep logs in another folder")


def _keep(story: Path, keep: Path) -> None:
    try:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.move(story, keep / story.name)  # it may be another file system
    except OSError as error:
        raise ConfigError(
            "CONFIG-003", f"{story.name} cannot be kept in {keep}: {error}; choose another folder"
        ) from error


def _place(keep: Path, seed: int) -> Path:
    return keep / f"seed-{seed}"


def tell(setting: Setting, seeds: Iterable[int], keep: Path | None = None) -> Iterator[Report]:
    """One report for each seed. The logs of a story with which anything is wrong stay in `keep`, if that is given.

    Raises ConfigError CONFIG-003 for logs that cannot be kept there.
    """
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="basis-actors-") as scratch:
            story = Story(setting, seed, Path(scratch))
            story.tell()
            problems = verdict(story)
            if problems and keep is not None:
                _keep(_place(Path(scratch), seed), keep)
        views = story.ended[-1].views
        yield Report(
            seed=seed,
            processes=len(story.ended),
            kills=sum(ended.killed for ended in story.ended),
            failures=sum(ended.failure is not None for ended in story.ended),
            stops=Stops(story).times,
            faults=dict(Counter(story.fate.told)),
            orders=len(story.journal.entries),
            equity=views[-1].equity if views else None,
            problems=problems,
        )
        story.let_go()
