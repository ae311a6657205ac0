"""Every mode with far too little and far too much capital: the run ends as any other, and says why it did nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.play import ALWAYS_IN, Played, utc

from basis_actors.config import ExchangeVenue, load_mode, mode_names
from basis_actors.messages.events import PnLCalculation, StrategyDecision
from basis_actors.results.summary import RunSummary
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

START, END = "2024-03-01", "2024-03-08"
HEDGED = ("btc_basis", "eth_basis", "usdt_market_neutral", "usdt_market_neutral_no_leverage")
COSTS = ("fees", "slippage", "gas")


def summary_of(mode: str, capital: float, folder: Path, *settings: str) -> RunSummary:
    """A week on the synthetic market; basis modes enter whatever funding does."""
    always_in = (ALWAYS_IN,) if mode in HEDGED else ()
    request = BacktestRequest(
        mode=mode,
        start=utc(START),
        end=utc(END),
        capital=capital,
        settings=(*settings, *always_in),
        out=folder,
        write_events=False,
    )
    return Backtest(prepare(request)).run()


def said(summary: RunSummary, code: str) -> list[str]:
    return [line for line in summary.warnings if line.startswith(f"{code}: ")]


@pytest.mark.parametrize("capital", [10.0, 1e3, 1e9, 1e12])
@pytest.mark.parametrize("mode", mode_names())
def test_a_run_ends_in_order_and_nothing_comes_back_refused(mode: str, capital: float, tmp_path: Path) -> None:
    if mode.startswith("ml_"):
        pytest.importorskip("sklearn", reason="directional modes train inside the run, which needs the extra ml")
    summary = summary_of(mode, capital, tmp_path)
    assert (summary.failure, summary.stopped, summary.rejections, summary.liquidations) == (None, None, 0, 0)
    assert set(summary.errors) <= {"RISK-006"}, "the peg of a token whose market rate has not begun"
    assert summary.max_residual <= 1e-9
    assert summary.ticks == 7 * 24 + 1


@pytest.mark.parametrize("mode", [mode for mode in HEDGED if mode != "usdt_market_neutral"])
def test_what_no_margin_table_takes_is_not_opened(mode: str, tmp_path: Path) -> None:
    """With leverage the pool is too small before."""
    summary = summary_of(mode, 1e12, tmp_path)
    (line,) = said(summary, "RISK-004")
    run = load_mode(mode)
    binance = run.venues["binance"]
    assert isinstance(binance, ExchangeVenue)
    assert binance.perp is not None
    asset = "BTC" if mode == "btc_basis" else "ETH"
    allowed = [row.cap for row in binance.perp.markets[asset].brackets if 1.0 / row.max_leverage <= margin_of(mode)]
    assert f"{max(allowed):,.0f} at most" in line
    assert (summary.orders, summary.equity_end) == (0, 1e12)


def margin_of(mode: str) -> float:
    return load_mode(mode).mode.strategy_config.margin_target  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["btc_basis", "eth_basis"])
def test_an_entry_that_costs_more_than_the_drawdown_limit_is_not_made(mode: str, tmp_path: Path) -> None:
    """The gas of sending the cash to three exchanges; the run moved it all the same, and stopped on RISK-001."""
    capital = 250.0
    summary = summary_of(mode, capital, tmp_path, "risk_limits.max_drawdown=0.003")
    (line,) = said(summary, "RISK-001")
    assert f"an entry with {capital:,.2f} USDT would cost" in line
    assert "the limit on drawdown is 0.30%" in line
    assert (summary.orders, summary.equity_end, summary.max_drawdown) == (0, capital, 0.0)


def test_limits_that_are_not_enforced_keep_from_nothing(tmp_path: Path) -> None:
    summary = summary_of("btc_basis", 250.0, tmp_path, "risk_limits.enforce=false")
    assert said(summary, "RISK-001") == []
    assert summary.orders > 0


@pytest.mark.parametrize("mode", HEDGED)
def test_the_cost_that_is_said_is_what_an_entry_costs(mode: str, history: Path, played: Callable[..., Played]) -> None:
    """Of the run that is kept from entering by it, against what attribution has booked in the one that enters."""

    def costs(limit: float) -> Played:
        settings = (f"risk_limits.max_drawdown={limit}", *((ALWAYS_IN,) if "basis" in mode else ()))
        return played(mode, start="2024-10-25", end="2024-10-25T08:00", data=history, settings=settings)

    kept = costs(1e-6)
    (constraint, *_) = [d.constraints_violated[0] for d in kept.of(StrategyDecision) if d.constraints_violated]
    told = re.search(r"would cost ([\d,.]+),", constraint)
    assert told is not None
    booked = costs(0.05).of(PnLCalculation)[-1].attribution_total
    paid = -sum(booked[name] for name in COSTS)
    assert float(told[1].replace(",", "")) == pytest.approx(paid, rel=0.1)
