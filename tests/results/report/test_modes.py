"""The report of every mode, held against its log by other ways of computing the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from math import fsum
from pathlib import Path

import numpy as np
import pytest
from tests.results.report.conftest import Make, Page

from basis_actors.config import mode_names
from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import ExecutionDeltaEvent, PnLCalculation, StrategyDecision
from basis_actors.messages.execution import DeltaSource
from basis_actors.results.report import write_report

MODES = tuple(mode_names())
EVERYWHERE = {"equity", "distribution", "attribution", "positions"}
PERPETUALS = {"exposure", "margin", "funding", "funding-rates", "perpetuals"}
LOAN = {"health", "ltv"}
CHARTS = {
    "btc_basis": PERPETUALS | {"orders-btc"},
    "eth_basis": PERPETUALS | {"orders-eth"},
    "eth_leveraged": LOAN | {"peg", "rates", "orders-eth"},
    "eth_staking_only": {"peg", "rates", "orders-eth"},
    "ml_btc_directional_btc_margin": PERPETUALS | {"orders-btc"},
    "ml_btc_directional_usdt_margin": PERPETUALS | {"orders-btc"},
    "pure_lending_eth": {"rates", "orders-eth"},
    "pure_lending_usdt": {"rates"},
    "usdt_market_neutral": PERPETUALS | LOAN | {"peg", "rates", "orders-eth"},
    "usdt_market_neutral_no_leverage": PERPETUALS | {"peg", "rates", "orders-eth"},
}

Read = Callable[[str], Page]


@pytest.fixture(scope="module")
def read(page_of: Make) -> Read:
    pages: dict[str, Page] = {}

    def of(mode: str) -> Page:
        if mode not in pages:
            pages[mode] = Page(page_of(mode))
        return pages[mode]

    return of


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


@pytest.mark.parametrize("mode", MODES)
def test_it_has_the_charts_that_apply_and_none_is_empty(mode: str, read: Read) -> None:
    charts = read(mode).charts
    assert set(charts) == EVERYWHERE | CHARTS[mode]
    for name, chart in charts.items():
        assert chart["data"], name
        for trace in chart["data"]:
            values = np.asarray(trace["y"], dtype=float)
            assert len(trace["x"]) == len(values) > 0, (name, trace["name"])
            assert np.isfinite(values).any(), (name, trace["name"])
        # 10,000 points a chart; both sides of a stack are drawn.
        assert sum(len(trace["y"]) for trace in chart["data"]) <= 20_000


@pytest.mark.parametrize("mode", MODES)
def test_attribution_is_the_sum_of_the_log(mode: str, read: Read, run_of: Make) -> None:
    """The table against the sum of what every single calculation of the log explained, not of its running totals."""
    amounts: dict[str, list[float]] = {"residual": []}
    equity: list[float] = []
    for event in EventLog(run_of(mode)).events(PnLCalculation):
        for name, amount in event.attribution.items():
            amounts.setdefault(name, []).append(amount)
        amounts["residual"].append(event.residual)
        equity.append(event.equity)
    sums = {name: fsum(parts) for name, parts in amounts.items()}
    table = {row[0]: row[1] for row in read(mode).rows if row[0] in {*sums, "total"}}
    decimals = len(table["total"].split(".")[1])
    for name, total in sums.items():
        if name in table:
            assert number(table[name]) == pytest.approx(total, abs=10**-decimals), name
        else:
            assert abs(total) < 1e-9 * equity[-1], name
    assert number(table["total"]) == pytest.approx(equity[-1] - equity[0], abs=10**-decimals)
    assert "✓ the change of equity" in read(mode).text


@pytest.mark.parametrize("mode", MODES)
def test_what_is_drawn_is_what_the_log_says(mode: str, read: Read, run_of: Make) -> None:
    charts, log = read(mode).charts, EventLog(run_of(mode))
    last = list(log.events(PnLCalculation))[-1]
    close = 1e-9 * abs(last.equity)
    ends = {trace["name"]: trace["y"][-1] for trace in charts["positions"]["data"]}
    assert ends["equity"] == pytest.approx(last.equity, abs=close)
    assert charts["equity"]["data"][0]["y"][-1] == last.equity
    for name, line in (("positions", "equity"), ("attribution", "total")):
        traces = charts[name]["data"]
        areas = [trace for trace in traces if "stackgroup" in trace]
        drawn = next(trace for trace in traces if trace["name"] == line)
        stacked = dict(zip(areas[0]["x"], np.sum([area["y"] for area in areas], axis=0), strict=True))
        for moment, value in zip(drawn["x"], drawn["y"], strict=True):
            if moment in stacked:
                assert stacked[moment] == pytest.approx(value, abs=close)
    if "funding" in charts:
        paid = [trace["y"][-1] for trace in charts["funding"]["data"] if trace["name"] != "total"]
        assert fsum(paid) == pytest.approx(last.funding_received, abs=close)


@pytest.mark.parametrize("mode", MODES)
def test_months_and_worst_days_follow_from_the_log(mode: str, read: Read, run_of: Make) -> None:
    page = read(mode)
    equity: dict[str, float] = {}
    last = 0.0
    for event in EventLog(run_of(mode)).events(PnLCalculation):
        equity.setdefault(f"{event.timestamp:%Y-%m-%d %H}", event.equity)
        last = event.equity
    midnights = [value for moment, value in equity.items() if moment.endswith(" 00")]
    midnights[-1] = last
    returns = [after / before - 1.0 for before, after in pairwise(midnights)]
    worst = [row for row in page.rows if len(row) == 5 and row[0].startswith("2024-01-") and "event" in row[3]]
    shown = [number(row[1].removesuffix("\u00a0%")) / 100 for row in worst]
    assert shown == pytest.approx(sorted(value for value in returns if value < 0.0)[:5], abs=6e-6)
    january = next(row for row in page.rows if row[0] == "2024")
    assert number(january[1].removesuffix("\u00a0%")) / 100 == pytest.approx(last / midnights[0] - 1.0, abs=6e-5)


@pytest.mark.parametrize("mode", MODES)
def test_it_needs_nothing_but_itself_and_every_link_leads_somewhere(mode: str, read: Read) -> None:
    page = read(mode)
    policy = next(attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert "connect-src" not in policy, "what is not named is not allowed"
    ids = page.ids()
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        assert "src" not in attributes, tag
        link = attributes.get("href")
        assert link is None or link.removeprefix("#") in ids, link


@pytest.mark.parametrize("mode", MODES)
def test_who_does_not_see_the_charts_is_told(mode: str, read: Read) -> None:
    page = read(mode)
    images = [attributes for _, attributes in page.elements if attributes.get("role") == "img"]
    assert len(images) == len(page.charts)
    assert all(len(attributes["aria-label"] or "") > 80 for attributes in images)
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tables = sum(tag == "table" for tag, _ in page.elements)
    assert tables == sum(tag == "caption" for tag, _ in page.elements) > 0


def test_the_same_run_gives_the_same_bytes(run_of: Make, page_of: Make, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    write_report(run_of("usdt_market_neutral"), again)
    assert again.read_bytes() == page_of("usdt_market_neutral").read_bytes()


def test_funding_is_told_apart_by_venue(read: Read, run_of: Make) -> None:
    received: dict[str, float] = {}
    for event in EventLog(run_of("btc_basis")).events(ExecutionDeltaEvent):
        if event.source is DeltaSource.FUNDING:
            for delta in event.deltas:
                venue = delta.position_key.split(":")[0]
                received[venue] = received.get(venue, 0.0) + delta.delta_amount
    traces = read("btc_basis").charts["funding"]["data"]
    assert {trace["name"]: trace["y"][-1] for trace in traces if trace["name"] != "total"} == pytest.approx(received)


def test_limits_of_the_mode_are_drawn(read: Read) -> None:
    charts = read("usdt_market_neutral").charts

    def drawn(name: str) -> dict[str, float]:
        layout = charts[name]["layout"]
        return {note["text"]: note["y"] for note in layout.get("annotations", [])}

    assert drawn("health") == {"reduce": 1.03, "unwind everything": 1.015, "liquidation": 1.0}
    assert drawn("margin") == {"reduce": 0.3, "close half": 0.2}
    assert drawn("ltv") == {"may borrow up to": 0.93, "target": 0.909}
    assert sorted(drawn("exposure").values()) == [-0.02, 0.02]
    band = next(shape for shape in charts["exposure"]["layout"]["shapes"] if shape["type"] == "rect")
    assert (band["y0"], band["y1"]) == (-0.002, 0.002)


def test_a_day_is_explained_by_its_events(read: Read, run_of: Make) -> None:
    """Everything decided on the first day, which cost fees, is there by number, with the command that shows it."""
    page = read("usdt_market_neutral")
    decided = {
        event.sequence
        for event in EventLog(run_of("usdt_market_neutral")).events(StrategyDecision)
        if event.decision_type != "hold" and f"{event.timestamp:%Y-%m-%d}" == "2024-01-10"
    }
    shown = {
        int(row[3].split()[0]): row for row in page.rows if len(row) == 4 and row[3].endswith("strategy_decisions")
    }
    assert decided
    assert decided <= set(shown)
    commands = [attributes["title"] or "" for tag, attributes in page.elements if tag == "button"]
    number_ = min(decided)
    assert f"zcat -f $RUN/events/strategy_decisions*.jsonl* | jq 'select(.sequence == {number_})'" in commands


def test_a_drawdown_says_at_which_moments_it_was_looked_for(read: Read, run_of: Make) -> None:
    summary = json.loads((run_of("btc_basis") / "summary.json").read_text())
    daily, ever = (f"{summary[name] * 100:.2f} %" for name in ("max_drawdown", "max_drawdown_intraday"))
    text = " ".join(read("btc_basis").text.replace("\u202f", " ").replace("\xa0", " ").split())
    assert f"Max drawdown, daily{daily}{ever} intraday" in text
    assert f"{ever} intraday, at every calculation, {daily} daily, at 00:00 UTC alone" in text


def test_exposure_is_said_to_be_known_after_each_group(read: Read) -> None:
    assert "before the orders of each tick and after each of its groups" in read("btc_basis").text


def test_nine_days_have_no_return_of_a_year_and_say_why(page_of: Make) -> None:
    assert "not given under 30 days" in page_of("pure_lending_eth").read_text()
