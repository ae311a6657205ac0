"""Without friction and from midnight to midnight, staking and loops earn what their formulas say of the raw series.

The formulas are computed here from the files, by other code than the engine's feed, venues and books.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.engine.play import Played

from basis_actors.finance.loops import held_loop_equity
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    OperationExecutionEvent,
    PnLCalculation,
    RiskAssessment,
)

Play = Callable[..., Played]
LST = {"wstETH": ("lido", "2025-06-30"), "weETH": ("etherfi", "2024-10-01")}
"""Issuer, and the end of the window: weETH's ends before the first reward is paid, which no formula here has."""
START = "2024-05-12"
THRESHOLD = 0.95
"""Liquidation threshold of Aave's ETH-correlated e-mode."""


def column(history: Path, file: str, name: str) -> dict[str, float]:
    """One column of a daily series by date, as it stands in the file."""
    with gzip.open(history / f"{file}.csv.gz", "rt") as text:
        return {row["timestamp"][:10]: float(row[name]) for row in csv.DictReader(text)}


def growth(series: dict[str, float], end: str) -> float:
    """Ratio of the end of the window to its start."""
    return series[end] / series[START]


def token(lst: str) -> list[str]:
    """Settings that choose a staking token."""
    return [f"strategy_config.lst_type={lst}", f"strategy_config.staking_venue={LST[lst][0]}"]


def loop_off(lst: str, ltv: float) -> Sequence[str]:
    """Settings of a loop that is entered and then left alone."""
    return [*token(lst), "strategy_config.loop.rebalance=off", f"strategy_config.loop.target_ltv={ltv}"]


def midnight(run: Played, day: str) -> PnLCalculation:
    """The calculation of 00:00 of a day."""
    return next(pnl for pnl in run.of(PnLCalculation) if f"{pnl.timestamp:%Y-%m-%dT%H}" == f"{day}T00")


@pytest.mark.parametrize("lst", LST)
def test_staking_earns_the_ratio_of_the_exchange_rates(lst: str, history: Path, played: Play) -> None:
    end = LST[lst][1]
    run = played(
        "eth_staking_only", data=history, start=START, end=end, capital=40.0, frictionless=True, settings=token(lst)
    )
    assert run.failure is None
    assert [event.operation_type for event in run.of(OperationExecutionEvent)] == ["stake"]
    rate = column(history, f"oracle/{lst}_ETH", "price")
    assert run.of(PnLCalculation)[-1].equity / 40.0 == pytest.approx(growth(rate, end), rel=1e-9)


@pytest.mark.parametrize("ltv", [0.65, 0.9])
@pytest.mark.parametrize("lst", LST)
def test_a_loop_left_alone_becomes_what_its_formula_says(lst: str, ltv: float, history: Path, played: Play) -> None:
    end = LST[lst][1]
    run = played(
        "eth_leveraged",
        data=history,
        start=START,
        end=end,
        capital=40.0,
        frictionless=True,
        settings=loop_off(lst, ltv),
    )
    assert run.failure is None
    assert len(run.of(AtomicOperationGroupEvent)) == 1
    rate = column(history, f"oracle/{lst}_ETH", "price")
    supply = column(history, f"aave_v3/{lst}_rates", "liquidity_index")
    borrow = column(history, "aave_v3/WETH_rates", "variable_borrow_index")
    for day in ("2024-06-01", "2024-08-06", end):
        leverage = 1.0 / (1.0 - ltv)
        held = leverage * growth(rate, day) * growth(supply, day) - (leverage - 1.0) * growth(borrow, day)
        assert midnight(run, day).equity / 40.0 == pytest.approx(held, rel=1e-9)
        library = held_loop_equity(
            40.0,
            ltv,
            rate_growth=growth(rate, day),
            supply_growth=growth(supply, day),
            borrow_growth=growth(borrow, day),
        )
        assert library == pytest.approx(40.0 * held, rel=1e-12)


@pytest.mark.parametrize("ltv", [0.65, 0.9])
@pytest.mark.parametrize("lst", LST)
def test_health_right_after_entry_is_threshold_over_ltv(lst: str, ltv: float, history: Path, played: Play) -> None:
    """The oracle prices the token at its exchange rate, so the loan to value aimed at is the one that the pool sees."""
    run = played(
        "eth_leveraged",
        data=history,
        start=START,
        end="2024-05-12T02:00",
        frictionless=True,
        settings=loop_off(lst, ltv),
    )
    entered = next(view for view in run.of(RiskAssessment) if view.health_factor is not None and view.ltv_ratio)
    assert entered.ltv_ratio == pytest.approx(ltv, rel=1e-9)
    assert entered.health_factor == pytest.approx(THRESHOLD / ltv, rel=1e-9)


def test_a_flash_fee_raises_the_debt_and_not_the_loan_to_value(history: Path, played: Play) -> None:
    """With fee f on the loan F: S = E + F, B = F x (1 + f), B = l x S, so equity after entry is E - f x F."""
    ltv, fee, capital = 0.9, 5e-4, 40.0
    free = ["venue_configs.wallet.gas_units." + name + "=0" for name in GAS]
    run = played(
        "eth_leveraged",
        data=history,
        start=START,
        end="2024-05-12T02:00",
        capital=capital,
        settings=[
            *loop_off("wstETH", ltv),
            *free,
            "strategy_config.gas_reserve_eth=0",
            "strategy_config.loop.flash_venue=aave_v3",
        ],
    )
    assert run.failure is None
    flash = capital * ltv / (1.0 + fee - ltv)
    first = next(pnl for pnl in run.of(PnLCalculation) if pnl.attribution_total["fees"])
    assert first.equity == pytest.approx(capital - fee * flash, rel=1e-9)
    entered = next(view for view in run.of(RiskAssessment) if view.ltv_ratio)
    assert entered.ltv_ratio == pytest.approx(ltv, rel=1e-9)


GAS = (
    "stake",
    "unstake",
    "swap",
    "supply",
    "withdraw",
    "borrow",
    "repay",
    "transfer",
    "transfer_eth",
    "atomic_entry",
    "atomic_unwind",
)
