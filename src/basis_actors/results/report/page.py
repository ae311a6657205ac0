"""Puts the report together: one HTML document with styles, scripts and data inside, allowed to load nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any, Final

from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from basis_actors.results.report.book import order_charts, perpetuals_chart, positions_chart
from basis_actors.results.report.carry import funding_charts, rates_chart
from basis_actors.results.report.charts import Chart, milliseconds
from basis_actors.results.report.days import day_returns, worst_days
from basis_actors.results.report.headline import banners, cards, head_line
from basis_actors.results.report.markup import Html, embedded_json, joined, tag
from basis_actors.results.report.performance import attribution_chart, distribution_chart, equity_chart
from basis_actors.results.report.proof import proofs_of
from basis_actors.results.report.record import RunRecord
from basis_actors.results.report.risk import exposure_chart, health_chart, ltv_chart, margin_chart, peg_chart
from basis_actors.results.report.tables import (
    attribution_table,
    bullets,
    day_sections,
    error_table,
    gap_table,
    month_table,
    worst_table,
)
from basis_actors.results.report.wording import Money
from basis_actors.results.summary import RunSummary

__all__ = ["report_page"]

_WORST: Final = 5
_ROOT: Final = files("basis_actors.results.report")


class _Section:
    """A part of the page with a heading; it is left out when nothing is in it."""

    def __init__(self, id_: str, title: str, record: RunRecord) -> None:
        self.id, self.title = id_, title
        self._has_course = record.has_course
        self.parts: list[Html] = []
        self.charts: list[Chart] = []

    def draw(self, charts: Iterable[Chart]) -> None:
        if not self._has_course:
            return
        for chart in charts:
            self.charts.append(chart)
            self.parts.append(_figure(chart))

    def add(self, *parts: Html | None) -> None:
        self.parts += [part for part in parts if part]

    def markup(self) -> Html:
        return tag("section", tag("h2", self.title), *self.parts, id=self.id)


def report_page(record: RunRecord) -> str:
    """The whole document. Raises BasisError LOG-004 for a log that cannot be read."""
    summary = record.summary
    money = Money.of(summary.currency, summary.decimals, summary.equity_start or record.metadata.capital)
    sections = [section for section in _sections(record, money) if section.parts]
    charts = [chart for section in sections for chart in section.charts]
    for chart in charts:
        window = milliseconds(record.pnl.index[[0, -1]])
        chart.figure.update_xaxes(range=list(window), selector={"type": "date"})
    scripts = [Html(get_plotlyjs()), Html(_text("page.js"))] if charts else [Html(_text("page.js"))]
    navigation = tag("nav", *(tag("a", part.title, href=f"#{part.id}") for part in sections), aria_label="Parts")
    body = [
        tag("header", *head_line(record)),
        *banners(record),
        cards(record, money),
        *([navigation] if len(sections) > 1 else []),
        tag("main", *(section.markup() for section in sections)),
        _footer(record),
        tag("script", embedded_json([_data(chart) for chart in charts]), type="application/json", id="charts"),
        *(tag("script", script) for script in scripts),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{summary.mode}: {summary.correlation_id}"),
        tag("style", Html(_text("page.css"))),
    ]
    return f"<!doctype html>\n{tag('html', tag('head', *head), tag('body', *body), lang='en')}\n"


def _sections(record: RunRecord, money: Money) -> Iterator[_Section]:
    days = day_returns(record)
    result = _Section("result", "Result", record)
    result.draw(equity_chart(record, money))
    if days:
        result.add(month_table(days))
    result.draw(distribution_chart(days))
    yield result
    sources = _Section("attribution", "Attribution", record)
    sources.draw(attribution_chart(record, money))
    if record.summary.attribution or record.last_calculation is not None:
        sources.add(attribution_table(record, money))
    yield sources
    risk = _Section("risk", "Risk", record)
    for charts in (exposure_chart, health_chart, ltv_chart, margin_chart, peg_chart):
        risk.draw(charts(record))
    yield risk
    carry = _Section("carry", "Funding and rates", record)
    carry.draw(funding_charts(record, money))
    carry.draw(rates_chart(record))
    yield carry
    book = _Section("book", "Positions and orders", record)
    book.draw(positions_chart(record, money))
    book.draw(perpetuals_chart(record))
    book.draw(order_charts(record))
    yield book
    yield _worst(record, money, days)
    yield from _notes(record)


def _worst(record: RunRecord, money: Money, days: list[Any]) -> _Section:
    section = _Section("days", "Worst days", record)
    worst = worst_days(days, _WORST)
    if worst:
        proofs = proofs_of(record, [day.begins.date() for day in worst], money)
        section.add(worst_table(worst, proofs, money), *day_sections(worst, proofs, money))
    elif days:
        section.add(tag("p", "No day ended below the one before.", class_="box"))
    return section


def _notes(record: RunRecord) -> Iterator[_Section]:
    summary = record.summary
    data = _Section("data", "Data", record)
    data.add(tag("p", f"Market: {summary.data_origin}.", class_="box"))
    no_gaps = tag("p", "No gaps inside the window.", class_="box") if record.has_summary else None
    data.add(gap_table(record) or no_gaps)
    if summary.proxies:
        data.add(bullets("Stand-ins", summary.proxies))
    yield data
    trouble = _Section("trouble", "Errors and warnings", record)
    errors = error_table(record)
    trouble.add(errors or tag("p", "No system errors.", class_="box"))
    damage = [*record.damage]
    damage += [f"sequence numbers {gap.first:,} to {gap.last:,} are in no file" for gap in record.log.missing]
    if damage:
        trouble.add(bullets("Damage to the log", damage))
    if warnings := _other_than_gaps(summary):
        trouble.add(bullets("Warnings", warnings))
    yield trouble


def _other_than_gaps(summary: RunSummary) -> list[str]:
    """Warnings but for those that say again what the table of gaps says."""
    said = {f"{name}: {hours:,.0f} hours missing" for name, hours in summary.data_gaps.items()}
    said |= {f"{perp}: {count:,} funding settlements without a rate" for perp, count in summary.missed_funding.items()}
    return [warning for warning in summary.warnings if warning not in said]


def _figure(chart: Chart) -> Html:
    label = f"{chart.title}. {chart.text}"
    return tag(
        "figure",
        tag("h3", chart.title, id=f"{chart.id}-title"),
        tag(
            "div", id=f"chart-{chart.id}", class_="chart tall" if chart.tall else "chart", role="img", aria_label=label
        ),
        tag("figcaption", chart.text),
    )


def _data(chart: Chart) -> dict[str, Any]:
    drawn: dict[str, Any] = json.loads(chart.figure.to_json())
    drawn["layout"].pop("template", None)
    return {"id": f"chart-{chart.id}", "data": drawn["data"], "layout": drawn["layout"]}


def _policy(scripts: list[Html]) -> str:
    """Only these very scripts may run, and nothing may be fetched: not even what a log might smuggle in."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:;"
        " base-uri 'none'; form-action 'none'"
    )


def _footer(record: RunRecord) -> Html:
    metadata = record.metadata
    parts = [f"basis-actors {metadata.package_version}", f"run {metadata.correlation_id}, process {metadata.pid}"]
    if metadata.config_hash:
        parts.append(f"configuration {metadata.config_hash[:12]}")
    return tag(
        "footer",
        tag("p", " · ".join(parts)),
        tag("p", "All of this page is in this file; it loads nothing. Amounts are in the share class, times are UTC."),
        joined([tag("noscript", "The charts need JavaScript; all numbers are in the texts and tables.")]),
    )


def _text(name: str) -> str:
    return (_ROOT / name).read_text(encoding="utf-8")
