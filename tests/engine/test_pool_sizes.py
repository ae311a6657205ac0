"""Whole runs that want more of a lending pool than it has: they wait, say so once, and no order comes back refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine.play import flow, utc

from basis_actors.messages.book import Flow
from basis_actors.results.summary import RunSummary
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

START, END = utc("2024-03-01"), utc("2024-03-11")


def summary_of(mode: str, capital: float, folder: Path, flows: tuple[Flow, ...] = ()) -> RunSummary:
    request = BacktestRequest(
        mode=mode, start=START, end=END, capital=capital, flows=flows, out=folder, write_events=False
    )
    return Backtest(prepare(request)).run()


def said_once(summary: RunSummary, *words: str) -> None:
    (line,) = [line for line in summary.warnings if line.startswith("EXEC-004")]
    for word in (*words, "of aave_v3", "available there; all of it is taken or none"):
        assert word in line
    assert (summary.failure, summary.rejections, summary.errors.get("EXEC-004")) == (None, 0, None)


@pytest.mark.parametrize(("mode", "capital"), [("eth_leveraged", 1e6), ("usdt_market_neutral", 1e9)])
def test_a_loop_that_no_pool_can_lend_for_is_never_begun(mode: str, capital: float, tmp_path: Path) -> None:
    summary = summary_of(mode, capital, tmp_path)
    said_once(summary, "WETH are wanted")
    assert (summary.orders, summary.equity_end) == (0, capital)
    assert set(summary.decisions) == {"hold"}


def test_a_lender_larger_than_the_pool_is_paid_once_it_can_be(tmp_path: Path) -> None:
    """A small withdrawal is paid, a large one waits: the lender earns on, and nothing fails."""
    flows = (flow("2024-03-03", -1e6), flow("2024-03-05", -3e9))
    summary = summary_of("pure_lending_usdt", 4e9, tmp_path, flows)
    said_once(summary, "USDT are wanted")
    assert summary.orders_by_status == {"confirmed": 3}, "supplied, withdrawn and paid out"
    assert summary.equity_end is not None
    assert summary.equity_end > 4e9 - 1e6
