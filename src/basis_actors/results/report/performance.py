"""Draws what came of a run: equity and drawdown, where it came from, and how its days were spread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
from plotly.subplots import make_subplots  # type: ignore[import-untyped]

from basis_actors.results.report.charts import SHARE_TICKS, Chart, area, canvas, line, milliseconds, stack, unit_axis
from basis_actors.results.report.days import DayReturn
from basis_actors.results.report.palette import BAD, COMPONENT_COLOURS, GOOD, MAIN, OTHER
from basis_actors.results.report.record import RunRecord
from basis_actors.results.report.wording import Money, percent

__all__ = ["attribution_chart", "distribution_chart", "equity_chart"]

_MINOR: Final = 0.01
"""Share of the largest below which a component is drawn with the others of its kind."""
_FEWEST_DAYS: Final = 5
"""Below which there is no distribution to speak of."""


def equity_chart(record: RunRecord, money: Money) -> Iterator[Chart]:
    """Equity and, below it, how far it was from its peak."""
    pnl, growth = record.pnl, record.growth
    equity = pnl["equity"]
    drawdown = growth / growth.cummax().clip(lower=1.0) - 1.0
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.06)
    figure.update_layout(canvas(money.currency).layout)
    figure.add_trace(
        line(equity, "Equity", MAIN, f"%{{y:{money.d3}}} {money.currency}", lines=2, width=2), row=1, col=1
    )
    _add_flows(figure, pnl, money)
    figure.add_trace(area(drawdown, "Drawdown", BAD, "%{y:.3%}", lines=2, showlegend=False), row=2, col=1)
    unit_axis(figure, "drawdown", tickformat=SHARE_TICKS, axis="yaxis2")
    figure.update_layout({"xaxis2": {"type": "date", "hoverformat": "%d %b %Y, %H:%M UTC"}, "showlegend": False})
    low, high = equity.min(), equity.max()
    worst = -float(drawdown.min())
    limit = record.limits.max_drawdown
    text = (
        f"Equity in {money.currency}, from {money.text(equity.iloc[0])} to {money.text(equity.iloc[-1])}; lowest"
        f" {money.text(low)}, highest {money.text(high)}. Below it the fall from the highest equity so far, deposits"
        f" and withdrawals taken out: {percent(worst)} intraday, at every calculation,"
        f" {percent(record.summary.max_drawdown)} daily, at 00:00 UTC alone"
        + (f"; the limit is {percent(limit, decimals=0)}." if limit is not None else ".")
    )
    yield Chart("equity", "Equity and drawdown", text, figure, tall=True)


def _add_flows(figure: Any, pnl: pd.DataFrame, money: Money) -> None:
    """Marks where the owner added or took money."""
    moved = pnl["external_flows"].diff().fillna(0.0)
    for name, places, symbol, colour in (
        ("Deposit", moved > 0.0, "triangle-up", GOOD),
        ("Withdrawal", moved < 0.0, "triangle-down", BAD),
    ):
        if places.any():
            figure.add_scatter(
                x=milliseconds(pnl.index[places]),
                y=pnl["equity"][places].to_numpy(float),
                customdata=moved[places].abs().to_numpy(float),
                mode="markers",
                cliponaxis=False,
                name=name,
                marker={"symbol": symbol, "size": 10, "color": colour},
                hovertemplate=f"%{{customdata:{money.d3}}} {money.currency}",
                row=1,
                col=1,
            )


def attribution_chart(record: RunRecord, money: Money) -> Iterator[Chart]:
    """Every component since the start, on each other, and their sum."""
    components = record.components
    if not components.to_numpy().any():
        return
    figure = canvas(money.currency)
    hover = f"%{{y:{money.d3}}} {money.currency}"
    drawn = _without_minor(components)
    stack(figure, drawn, {name: COMPONENT_COLOURS.get(name, OTHER) for name in drawn.columns}, hover)
    total = components.sum(axis=1)
    trace = line(total, "total", "#000000", hover, lines=len(drawn.columns) + 1, width=2.2, meta="ink")
    figure.add_trace(trace)
    last = components.iloc[-1]
    best, worst = str(last.idxmax()), str(last.idxmin())
    text = (
        f"Profit and loss since the start in {money.currency}, by component: gains above zero, costs below, the line is"
        f" their sum, {money.text(float(total.iloc[-1]), sign=True)} at the end. Most came from {best},"
        f" {money.text(float(last[best]), sign=True)}; least from {worst}, {money.text(float(last[worst]), sign=True)}."
    )
    if "other" in drawn:
        text += " Components that never reached a hundredth of the largest are drawn together as other."
    yield Chart("attribution", "Profit and loss by component, over time", text, figure, tall=True)


def _without_minor(components: pd.DataFrame) -> pd.DataFrame:
    size = {str(name): float(components[name].abs().max()) for name in components.columns}
    minor = {name for name in size if size[name] < _MINOR * max(size.values())}
    major: list[str] = sorted(size.keys() - minor)
    major.sort(key=lambda name: -size[name])
    drawn = components[major]
    rest = components[sorted(minor)].sum(axis=1)
    return drawn.assign(other=rest) if rest.any() else drawn


def distribution_chart(days: list[DayReturn]) -> Iterator[Chart]:
    """How often a whole day came to what."""
    returns = np.array([day.change for day in days if day.whole])
    moved = returns[returns != 0.0]
    if len(moved) < _FEWEST_DAYS or float(np.ptp(moved)) == 0.0:
        return
    counts, edges = np.histogram(moved, bins=_edges(moved))
    centres = (edges[:-1] + edges[1:]) / 2
    figure = canvas(
        "days", hovermode="closest", bargap=0.06, showlegend=False, margin={"l": 64, "r": 16, "t": 22, "b": 48}
    )
    figure.add_bar(
        x=centres,
        y=counts,
        marker={"color": [GOOD if centre >= 0.0 else BAD for centre in centres]},
        customdata=np.stack([edges[:-1], edges[1:]], axis=1),
        hovertemplate="%{y} days between %{customdata[0]:.3%} and %{customdata[1]:.3%}<extra></extra>",
    )
    figure.update_layout(
        {
            "xaxis": {
                "type": "linear",
                "hoverformat": None,
                "title": {"text": "return of a day"},
                "tickformat": SHARE_TICKS,
            }
        }
    )
    mean, median, best, worst = (
        percent(float(value), sign=True, decimals=3)
        for value in (returns.mean(), np.median(returns), returns.max(), returns.min())
    )
    figure.add_vline(
        x=float(returns.mean()),
        line={"color": OTHER, "width": 1.5, "dash": "dot"},
        annotation={"text": f"mean {mean}", "yanchor": "bottom", "xanchor": "center"},
    )
    still, gains = len(returns) - len(moved), percent(float((returns > 0.0).mean()), decimals=0)
    text = (
        f"Returns of {len(returns):,} whole days, 00:00 to 00:00 UTC: {gains} of them"
        f" above zero, mean {mean}, median {median}, best {best}, worst {worst}."
        + (f" Days on which nothing changed are not drawn: {still:,}." if still else "")
    )
    yield Chart("distribution", "Distribution of daily returns", text, figure)


def _edges(returns: Any) -> Any:
    """Of bins of equal width, one of which begins at 0, so that none holds gains and losses."""
    width = float(np.ptp(returns)) / min(40, max(8, round(len(returns) ** 0.5 * 1.6)))
    first, last = np.floor(returns.min() / width), np.floor(returns.max() / width) + 1
    return np.arange(first, last + 1) * width
