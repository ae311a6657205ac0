"""The summary as people see it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from basis_actors.results.accumulator import RunStatistics
from basis_actors.results.render import format_amount, print_summary
from basis_actors.results.summary import RunContext, RunSummary, summarise


def summary(**changes: Any) -> RunSummary:
    empty = summarise(
        RunStatistics(),
        RunContext(
            mode="btc_basis", share_class="usdt_stable", currency="USDT", decimals=6, correlation_id="c",
            run_dir="/var/lib/basis/logs/btc_basis-20240101-000000-0123456789abcdef/12345", seconds=0.5,
            data_origin="/data",
        ),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "start": datetime(2024, 1, 1, tzinfo=UTC),
        "end": datetime(2025, 1, 1, tzinfo=UTC),
        "equity_start": 100_000.0,
        "equity_end": 110_936.88,
        "total_pnl": 10_936.88,
        "total_return": 0.1093688,
        "annualised_return": 0.109,
        "sharpe": 5.444,
        "volatility": 0.019,
        "max_drawdown": 0.0123,
        "max_drawdown_intraday": 0.0234,
        "time_invested": 0.875,
        "attribution": {"price": -0.13, "funding": 11_522.64, "fees": -439.25, "slippage": -146.38, "staking": 0.0},
        "residual": 0.0,
        "max_residual": 1e-15,
        "ticks": 8785,
        "ticks_per_second": 16_894.2,
        "decisions": {"hold": 8784, "entry": 1},
    }
    return type(empty)(**{name: getattr(empty, name) for name in empty.__struct_fields__} | fields | changes)


def shown(result: RunSummary, width: int = 80) -> str:
    console = Console(width=width, record=True, force_terminal=False, color_system=None, quiet=False, file=_Nowhere())
    print_summary(result, console)
    return console.export_text()


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


WARNED = summary(
    failure="STRAT-001: strategy_manager failed while handling BookView: TypeError: unsupported operand type(s)",
    errors={"RISK-005": 1, "STRAT-006": 720},
    liquidations=1,
    rejections=2,
    orders_by_status={"confirmed": 345, "failed": 2},
    data_gaps={"cex/okx/ETHUSDT_perp": 1440},
    missed_funding={"okx:ETH-PERP": 12},
    proxies=["bybit mark price: close of its perp bars", "okx BTC perp: not in the data, so okx takes no part " * 3],
    warnings=[
        "EIGEN has no price before 2024-10-05; it is carried at 0",
        "cex/okx/ETHUSDT_perp: 1,440 hours missing",
        "okx:ETH-PERP: 12 funding settlements without a rate",
    ],
    synthetic_seed=7,
    external_flows=-5_000.0,
)


class TestLayout:
    @pytest.mark.parametrize("width", [60, 80, 109, 110, 120, 200])
    @pytest.mark.parametrize("result", [summary(), WARNED], ids=["plain", "warned"])
    def test_the_frame_is_straight_at_every_width(self, result: RunSummary, width: int) -> None:
        lines = shown(result, width).splitlines()
        framed = [line for line in lines if line[:1] in "╭│╰"]
        assert {len(line) for line in framed} == {width}
        assert "".join(line[-1] for line in framed) == "╮" + "│" * (len(framed) - 2) + "╯"

    def test_a_wide_terminal_shows_result_and_attribution_side_by_side(self) -> None:
        assert any(
            "Result in USDT" in line and "Where it came from" in line for line in shown(summary(), 120).splitlines()
        )
        assert len(shown(summary(), 120).splitlines()) < len(shown(summary(), 80).splitlines())

    def test_the_path_of_the_logs_stays_on_one_line(self) -> None:
        last = shown(summary(), 60).splitlines()[-1]
        assert last == f"Logs: {summary().run_dir}"

    def test_amounts_stand_in_one_column(self) -> None:
        lines = [
            line for line in shown(summary()).splitlines() if any(name in line for name in ("funding", "fees", "total"))
        ]
        ends = {line.index(".") for line in lines}
        assert len(lines) == 3
        assert len(ends) == 1

    @pytest.mark.parametrize("width", [60, 66, 72, 80, 110, 120])
    @pytest.mark.parametrize("flows", [0.0, 15_000.0])
    def test_no_number_is_cut_at_any_width(self, width: int, flows: float) -> None:
        parts = {"staking": 14.3802497922142, "borrow": -12_774_146.0977599, "rewards": -0.00003}
        eth = summary(currency="ETH", decimals=18, attribution=parts, equity_start=40.0, external_flows=flows)
        text = shown(eth, width)
        for expected in ("14.38024979", "-12,774,146.09775990", "-0.00003000", "-0.00 %", "+35.95 %", "40.00000000"):
            assert expected in text
        assert "…" not in text


class TestContent:
    def test_a_short_run_says_why_it_has_no_return_of_a_year(self) -> None:
        short = shown(summary(end=datetime(2024, 1, 30, 23, tzinfo=UTC), annualised_return=None))
        assert re.search(r"Annualised +not given under 30 days", short)
        assert "not given" not in shown(summary())

    def test_the_headline_numbers_are_there(self) -> None:
        text = shown(summary())
        for expected in (
            "btc_basis", "usdt_stable", "100,000.000000", "110,936.880000", "+10.94 %", "5.44", "1.23 %", "2.34 %",
            "87.50 %", "2024-01-01 00:00 → 2025-01-01 00:00 UTC", "8,785  (16,894 a second)", "8,784 hold, 1 entry",
            "/data",
        ):  # fmt: skip
            assert expected in text

    def test_the_attribution_is_in_order_of_size_and_leaves_out_what_is_nothing(self) -> None:
        text = shown(summary())
        names = ("funding", "price", "slippage", "fees", "residual", "total")
        assert [name for name in text.split() if name in names] == list(names)
        assert "staking" not in text

    def test_rounding_noise_and_gaps_of_no_length_are_left_out(self) -> None:
        noisy = summary(
            attribution={"price": -1.6e-12, "funding": 10_936.88}, data_gaps={"a": 0}, missed_funding={"b": 0}
        )
        assert "price" not in shown(noisy)
        assert "Warnings" not in shown(noisy)

    def test_a_sum_that_holds_is_marked(self) -> None:
        assert "10,936.880000   +10.94 %   ✓ = equity change" in shown(summary())

    def test_with_flows_the_return_says_what_it_is_and_the_sum_what_it_leaves_out(self) -> None:
        held = summary(equity_end=115_936.88, external_flows=5_000.0)
        for width in (60, 80, 120):
            text = shown(held, width)
            assert re.search(r"Return, time-weighted +\+10\.94 %", text)
            assert "✓ = change − flows" in text
        assert "time-weighted" not in shown(summary())

    @pytest.mark.parametrize(
        ("share", "text"), [(-1e-5, "-0.00 %"), (1e-5, "+0.00 %"), (0.0, " 0.00 %"), (-0.0, " 0.00 %")]
    )
    def test_what_is_too_small_to_be_shown_keeps_its_sign(self, share: float, text: str) -> None:
        line = next(line for line in shown(summary(total_return=share)).splitlines() if "Return" in line)
        assert text in line

    def test_a_sum_that_does_not_hold_is_marked(self) -> None:
        assert "✗ off by -1" in shown(summary(attribution={"funding": 10_937.88}))

    def test_an_unexplained_residual_is_marked(self) -> None:
        text = shown(summary(attribution={"funding": 10_000.0}, residual=936.88, max_residual=0.008))
        assert "936.880000" in text
        assert "unexplained" in text
        assert "unexplained" not in shown(summary())

    def test_what_went_wrong_is_said(self) -> None:
        text = " ".join(shown(WARNED, 120).split())
        for expected in (
            "FAILED", "STRAT-001: strategy_manager failed", "1 × RISK-005 liquidation CRITICAL",
            "720 × STRAT-006 market data stale or not yet known MEDIUM", "Liquidations 1", "Rejections 2",
            "345 confirmed, 2 failed", "cex/okx/ETHUSDT_perp: 1,440 hours missing",
            "okx:ETH-PERP: 12 funding settlements without a rate", "bybit mark price: close of its perp bars",
            "EIGEN has no price", "synthetic, seed 7", "-5,000.000000",
        ):  # fmt: skip
            assert expected in text

    def test_an_error_is_as_bad_as_it_was_said_to_be_whatever_its_code_may_be(self) -> None:
        text = " ".join(shown(summary(errors={"VEN-003": 2}, worst_errors={"VEN-003": "MEDIUM"}), 120).split())
        assert "2 × VEN-003 unavailable MEDIUM" in text

    def test_an_error_says_what_it_was_about(self) -> None:
        about = {"RISK-006": "peg of weETH cannot be computed", "STRAT-006": "spot of binance:BTC is not known\nTrace"}
        text = " ".join(shown(summary(errors={"RISK-006": 1, "STRAT-006": 3}, first_errors=about), 120).split())
        assert "1 × RISK-006 assessment failed HIGH: peg of weETH cannot be computed" in text
        assert "MEDIUM: first spot of binance:BTC is not known" in text
        assert "Trace" not in text

    def test_where_nothing_went_wrong_nothing_is_said(self) -> None:
        text = shown(summary())
        for heading in ("Failure", "Errors", "Warnings", "Stand-ins", "Deposits", "PARTIAL", "FAILED"):
            assert heading not in text

    def test_a_partial_run_says_so(self) -> None:
        assert "PARTIAL: interrupted" in shown(summary(partial=True))

    def test_a_run_that_never_came_to_a_tick_can_be_shown(self) -> None:
        empty = summarise(
            RunStatistics(),
            RunContext(
                mode="btc_basis", share_class="usdt_stable", currency="USDT", decimals=6, correlation_id="c",
                run_dir=None, seconds=0.0, data_origin="/data", failure="ENGINE-001: no tick",
            ),
        )  # fmt: skip
        for width in (80, 160):
            text = shown(empty, width)
            for words in ("No tick came, so nothing was decided", "ENGINE-001: no tick", "no tick"):
                assert words in text
            for words in ("Result in", "Where it came from", "drawdown", "n/a", "Logs:", "→", "a second"):
                assert words not in text


class TestAmounts:
    @pytest.mark.parametrize(
        ("amount", "decimals", "text"),
        [
            (100_000.0, 6, "100,000.000000"),
            (-0.1234567, 6, "-0.123457"),
            (1.5, 8, "1.50000000"),
            (0.0, 6, "0.000000"),
            (-1e-9, 6, "0.000000"),
            (100.0, 18, "100.00000000"),
            (1e10, 6, "10,000,000,000.0000"),
            (1e15, 6, "1,000,000,000,000,000"),
        ],
    )
    def test_they_have_the_decimals_of_the_currency_and_no_false_ones(
        self, amount: float, decimals: int, text: str
    ) -> None:
        assert format_amount(amount, decimals) == text

    def test_amounts_of_one_table_have_the_decimals_of_its_largest(self) -> None:
        assert format_amount(0.5, 6, scale=1e10) == "0.5000"

    @given(st.floats(-1e15, 1e15), st.integers(0, 18))
    def test_what_is_shown_is_the_amount(self, amount: float, decimals: int) -> None:
        value = float(format_amount(amount, decimals).replace(",", ""))
        assert value == pytest.approx(amount, rel=1e-13, abs=0.51 * 10.0 ** -min(decimals, 8))


def test_a_stop_by_risk_is_named_plainly() -> None:
    text = shown(summary(stopped="RISK-001: risk was critical: drawdown 0.06 above the limit 0.05"))
    assert "STOPPED: trading ended before the window did" in text
    assert "Trading was stopped" in text
    assert "drawdown 0.06 above" in text
    assert "FAILED" not in text


def test_what_a_mode_does_not_have_is_left_out() -> None:
    assert "health factor" not in shown(summary())
    text = shown(summary(lowest_health_factor=1.0214, lowest_margin_ratio=0.3689, unhedged_hours=0.0))
    assert "1.0214" in text
    assert "0.3689" in text
    assert "Hours unhedged" in text
