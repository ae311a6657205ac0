"""Stories of failing exchanges and killed processes: the same from the same seed, calm without faults, and held."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from tests.simulation.plants import resend_on_timeout
from tests.simulation.settings import MODES, setting

from basis_actors.errors import ConfigError
from basis_actors.logs.reader import EventLog
from basis_actors.messages.book import Trigger
from basis_actors.messages.events import OperationExecutionEvent, PnLCalculation, StrategyDecision
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.simulation.fate import Rates
from basis_actors.services.simulation.story import Setting, Story
from basis_actors.services.simulation.telling import setting_of, tell
from basis_actors.services.simulation.verdict import verdict

WEEK = 168
NOTHING_FAILS = Rates.calm()


def files(folder: Path) -> dict[str, str]:
    """Every file of a story, by its contents."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def told(setting: Setting, seed: int, folder: Path, **how: object) -> Story:
    story = Story(setting, seed, folder, **how)  # type: ignore[arg-type]
    story.tell()
    return story


@pytest.mark.parametrize("mode", ["btc_basis", "usdt_market_neutral"])
def test_the_same_seed_tells_the_same_story_to_the_last_byte(mode: str, tmp_path: Path) -> None:
    stories = [told(setting(mode, WEEK), 3, tmp_path / name) for name in ("first", "second")]
    first, second = (files(story.folder) for story in stories)
    assert first == second
    assert len(stories[0].ended) > 1
    assert any(name.endswith("execution_deltas.jsonl") for name in first)
    (one,), (other,) = (list(tell(setting(mode, WEEK), [3])) for _ in range(2))
    assert one == other
    assert one.processes == len(stories[0].ended)


def test_a_restart_goes_on_waiting_after_orders_that_failed(tmp_path: Path) -> None:
    """A process that has sent nothing has had no failure of its own."""
    for seed in range(110, 160):
        story = told(setting("btc_basis", WEEK), seed, tmp_path / str(seed))
        runs = {path.parent.parent for path in story.folder.rglob("strategy_decisions.jsonl")}
        first_said = [next(iter(EventLog(run).events(StrategyDecision)), None) for run in sorted(runs)]
        if any(decision is not None and decision.reasoning.startswith("orders failed ") for decision in first_said):
            return
    pytest.fail("no process began with a wait")


def test_another_seed_tells_another_story() -> None:
    reports = list(tell(setting("btc_basis", 48), range(4)))
    assert len({str(report.faults) for report in reports}) == 4


@pytest.mark.parametrize("mode", MODES)
def test_a_story_in_which_nothing_fails_earns_what_a_backtest_does(mode: str, tmp_path: Path) -> None:
    """The live logic over the API of an exchange against the simulated venues themselves, tick by tick."""
    calm = told(setting(mode, WEEK), 0, tmp_path / "story", rates=NOTHING_FAILS, kills=0.0)
    assert verdict(calm) == []
    assert calm.fate.told == {}
    (only,) = calm.ended
    start = calm.setting.states[0].timestamp
    always_in = "always_in" in type(calm.setting.run.mode.strategy_config).model_fields
    request = BacktestRequest(
        mode=mode, start=start, end=start + timedelta(hours=WEEK), out=tmp_path / "backtest", always_in=always_in
    )
    backtest = Backtest(prepare(request))
    assert backtest.run().failure is None
    equity, orders = (
        [
            [
                (event.timestamp, event.equity)
                for event in EventLog(run_dir).all()
                if isinstance(event, PnLCalculation) and event.trigger_source is Trigger.TICK
            ]
            for run_dir in (only.run_dir, backtest.run_dir)
        ],
        [
            [event.operation_id for event in EventLog(run_dir).all() if isinstance(event, OperationExecutionEvent)]
            for run_dir in (only.run_dir, backtest.run_dir)
        ],
    )
    assert orders[0] == orders[1]
    assert len(orders[0]) > 3
    assert [moment for moment, _ in equity[0]] == [moment for moment, _ in equity[1]]
    assert [amount for _, amount in equity[0]] == pytest.approx([amount for _, amount in equity[1]], rel=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_what_must_hold_holds(mode: str) -> None:
    for report in tell(setting(mode, WEEK), range(2)):
        assert report.problems == [], f"seed {report.seed}"


@pytest.mark.parametrize(
    ("mode", "seed"),
    [
        ("btc_basis", 21),  # tokens arrive while a process starts, and are shown an hour later
        ("btc_basis", 36),  # a group can only be finished, there is no cash to undo it with
        ("btc_basis", 46),  # a withdrawal that was accepted comes back while the ledger begins
        ("btc_basis", 196),  # something is traded while the ledger begins
        ("btc_basis", 2360),  # the kill comes between the word that a group is in two parts and the write of the event
        ("btc_basis", 2552),  # a person lets trading go on while a process that began killed still starts
        ("btc_basis", 20117),  # the kill comes right after an exchange has said late what became of a leg
        ("usdt_market_neutral", 344),  # somebody else buys back a short while only what reduces may be sent
        ("usdt_market_neutral", 534),  # a book is to be closed of which half of the hedge is gone
    ],
)
def test_what_must_hold_holds_in_stories_of_rare_moments(mode: str, seed: int) -> None:
    (report,) = tell(setting(mode, WEEK), [seed])
    assert report.problems == []


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_what_must_hold_holds_in_many_stories(mode: str, form: str) -> None:
    """Fewer of them in the short form."""
    seeds = range(500) if form == "full" else range(25)
    wrong = [(report.seed, report.problems) for report in tell(setting(mode, WEEK), seeds) if report.problems]
    assert wrong == []


def test_the_logs_of_a_story_that_is_wrong_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resend_on_timeout(monkeypatch)
    reports = list(tell(setting("btc_basis", WEEK), range(2), tmp_path / "kept"))
    wrong = [f"seed-{report.seed}" for report in reports if report.problems]
    assert wrong
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == wrong
    assert (tmp_path / "kept" / wrong[0] / "0" / "events").is_dir()


@pytest.mark.parametrize(
    ("mode", "hours", "text"),
    [
        ("btc_basis", 23, "a story of 23 hours cannot come to rest; 24 or more are needed"),
        ("pure_lending_usdt", WEEK, "mode pure_lending_usdt trades on no exchange"),
        pytest.param("ml_btc_directional_usdt_margin", WEEK, "protects its positions by stops", marks=pytest.mark.long),
        ("btc_bassis", WEEK, "btc_basis"),
    ],
)
def test_what_no_story_can_be_told_of_is_refused(mode: str, hours: int, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        setting_of(mode, hours)
