"""Without friction and from midnight to midnight, lending earns exactly the ratio of Aave's indices."""

from __future__ import annotations

import csv
import gzip
import random
from datetime import timedelta
from pathlib import Path

import pytest
from tests.engine.play import play, utc

from basis_actors.messages.events import OperationExecutionEvent, PnLCalculation

FIRST, DAYS = utc("2024-01-01"), 540


def indices(history: Path, reserve: str) -> dict[str, float]:
    with gzip.open(history / f"aave_v3/{reserve}_rates.csv.gz", "rt") as file:
        return {row["timestamp"][:10]: float(row["liquidity_index"]) for row in csv.DictReader(file)}


def earns_the_ratio(mode: str, reserve: str, history: Path, folder: Path, seed: int, longest: int) -> None:
    chance = random.Random(seed)
    days = chance.randrange(1, longest)
    start = FIRST + timedelta(days=chance.randrange(0, DAYS - days))
    end = start + timedelta(days=days)
    capital = chance.choice([1.0, 40.0, 123_456.789, 1e9])
    first, last = f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}"
    run = play(mode, folder, data=history, start=first, end=last, capital=capital, frictionless=True)
    assert run.failure is None
    assert len(run.of(OperationExecutionEvent)) == 1
    index = indices(history, reserve)
    assert run.of(PnLCalculation)[-1].equity / capital == pytest.approx(index[last] / index[first], rel=1e-9)


@pytest.mark.parametrize(("mode", "reserve"), [("pure_lending_usdt", "USDT"), ("pure_lending_eth", "WETH")])
@pytest.mark.parametrize("seed", range(4))
def test_equity_grows_by_the_ratio_of_the_indices(
    mode: str, reserve: str, seed: int, history: Path, tmp_path: Path
) -> None:
    earns_the_ratio(mode, reserve, history, tmp_path, seed, longest=40)


@pytest.mark.long
@pytest.mark.parametrize(("mode", "reserve"), [("pure_lending_usdt", "USDT"), ("pure_lending_eth", "WETH")])
def test_equity_grows_by_the_ratio_of_the_indices_over_any_window(
    mode: str, reserve: str, history: Path, tmp_path: Path, form: str
) -> None:
    """The short form tries 3 windows, the full one 25."""
    for seed in range(100, 103 if form == "short" else 125):
        folder = tmp_path / str(seed)
        folder.mkdir()
        earns_the_ratio(mode, reserve, history, folder, seed, longest=500)
