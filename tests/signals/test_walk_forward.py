"""The model inside a run: silent while it warms up, retrained in time, and blind to the future."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals.markets import DAY, HOUR, PERP, START, market, path, random_path

from basis_actors.config import WalkForwardSignals
from basis_actors.errors import BasisError
from basis_actors.messages.market import MarketState
from basis_actors.messages.signals import Signal
from basis_actors.signals import walk_forward
from basis_actors.signals.features import labels_of
from basis_actors.signals.training import fit
from basis_actors.signals.walk_forward import WalkForwardSource

CONFIG = WalkForwardSignals(warm_up_days=20, retrain_days=5, training_days=40, sd_days=10, penalty=1.0, seed=7)


def source(config: WalkForwardSignals = CONFIG, horizon_hours: int = 12) -> WalkForwardSource:
    return WalkForwardSource(config, perp=PERP, asset="BTC", step_ns=HOUR, horizon_ns=horizon_hours * HOUR)


def signals_of(states: list[MarketState]) -> list[Signal | None]:
    """What a fresh source says tick by tick."""
    model = source()
    return [model.at(state) for state in states]


def test_it_is_silent_until_it_has_seen_enough() -> None:
    model = source()
    states = random_path(20 * 24 + 2, seed=1)
    said = [model.at(state) for state in states[:-2]]
    assert set(said) == {None}
    assert model.silence == "warming up: 20.0 of 20 days seen"
    assert model.at(states[-2]) is not None
    assert model.silence == ""


PAST = random_path(70 * 24, seed=1)
SAID = signals_of(PAST)


CUTS = st.integers(min_value=20 * 24, max_value=70 * 24 - 1)
SEEDS = st.integers(0, 1000)


def said_before(cut: int, seed: int, *, shuffled: bool) -> None:
    """Whether the future is shuffled or replaced, whatever was said up to the cut stays as it was, bit by bit."""
    if shuffled:
        order = np.random.default_rng(seed).permutation(np.arange(cut, len(PAST)))
        future = [market(PAST[cut + at].ns, PAST[place].perps[PERP].last) for at, place in enumerate(order.tolist())]
    else:
        future = random_path(len(PAST), seed + 2)[cut:]
    assert signals_of([*PAST[:cut], *future])[:cut] == SAID[:cut]
    assert signals_of(PAST[:cut]) == SAID[:cut]


@pytest.mark.parametrize("shuffled", [False, True])
@settings(max_examples=3, deadline=None)
@given(cut=CUTS, seed=SEEDS)
def test_another_future_changes_no_past_signal(shuffled: bool, cut: int, seed: int) -> None:
    said_before(cut, seed, shuffled=shuffled)


@pytest.mark.long
def test_no_other_future_changes_a_past_signal(form: str) -> None:
    """The short form tries 12 futures instead of 120."""

    @settings(max_examples=120 if form == "full" else 12, deadline=None)
    @given(cut=CUTS, seed=SEEDS, shuffled=st.booleans())
    def tried(cut: int, seed: int, shuffled: bool) -> None:
        said_before(cut, seed, shuffled=shuffled)

    tried()


def test_a_label_that_leaks_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A label that is taken for known one horizon too early ends the run instead of flattering it."""
    honest = labels_of

    def leaking(rows: np.ndarray, horizon: int) -> np.ndarray:
        labels = honest(rows, horizon)
        return np.where(np.isnan(labels), 1.0, labels)

    monkeypatch.setattr(walk_forward, "labels_of", leaking)
    with pytest.raises(BasisError, match="STRAT-001: a label that becomes known at"):
        signals_of(PAST[: 21 * 24])


def test_it_is_trained_when_it_is_due_and_on_what_was_known_then(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fit
    fits: list[tuple[int, int, int]] = []

    def watched(features: np.ndarray, labels: np.ndarray, known: np.ndarray, now: int, **options: float) -> object:
        fits.append((now, int(known.max()), len(labels)))
        return honest(features, labels, known, now, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(walk_forward, "fit", watched)
    signals_of(PAST)
    assert [now for now, _, _ in fits] == [START + day * DAY for day in range(20, 70, 5)]
    assert all(latest == now for now, latest, _ in fits), "the newest label used ends exactly now"
    assert max(rows for _, _, rows in fits) <= 40 * 24, "no more than the training window"


def test_it_finds_what_is_there_to_find() -> None:
    """A price that swings in a known rhythm: nearly every direction is right, and the model is sure."""
    hours = 60 * 24
    chance = np.random.default_rng(4)
    prices = 40_000.0 * np.exp(0.03 * np.sin(np.arange(hours) * 2 * np.pi / 48) + chance.normal(0, 1e-3, hours))
    said = signals_of(path(prices.tolist(), [1e-4] * hours, prices.tolist()))
    judged = [
        (signal, prices[hour + 12] > prices[hour]) for hour, signal in enumerate(said[:-12]) if signal is not None
    ]
    right = sum((signal.rise > 0.5) == up for signal, up in judged)
    assert right > 0.9 * len(judged)
    assert np.median([signal.confidence for signal, _ in judged]) > 0.95


def test_no_price_is_no_signal_until_its_trace_has_left_the_features() -> None:
    states = list(PAST[: 30 * 24])
    hole = 25 * 24
    states[hole] = market(states[hole].ns, None)
    said = signals_of(states)
    assert said[hole - 1] is not None
    assert said[hole] is None
    assert said[hole + 7 * 12] is None, "the longest window still holds it"
    assert said[hole + 7 * 12 + 1] is not None


def test_a_market_that_only_rises_teaches_nothing() -> None:
    hours = 21 * 24
    prices = (40_000.0 * np.exp(np.arange(hours) * 1e-4)).tolist()
    model = source()
    assert {model.at(state) for state in path(prices, [1e-4] * hours, prices)} == {None}
    assert model.silence.startswith("the model could not be trained")


def test_without_scikit_learn_the_error_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from basis_actors.config import load_mode\n"
        "from basis_actors.strategies.registry import build_strategy\n"
        "build_strategy(load_mode('ml_btc_directional_usdt_margin'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "CONFIG-003: strategy_config.signal.source walk_forward_logistic needs sklearn" in done.stderr
    assert "pip install 'basis-actors[ml]'" in done.stderr


def test_signals_of_a_file_load_no_scikit_learn() -> None:
    script = (
        "import sys, basis_actors.strategies.registry; print([n for n in ('sklearn', 'httpx') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
