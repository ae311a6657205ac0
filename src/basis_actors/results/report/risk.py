"""Draws what a run risked, each measure with the limits that acted on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from basis_actors.results.report.charts import SHARE_TICKS, Chart, canvas, limit_line, line
from basis_actors.results.report.palette import MAIN, OTHER, WARN, by_name, faded
from basis_actors.results.report.record import RunRecord
from basis_actors.results.report.wording import percent

__all__ = ["exposure_chart", "health_chart", "ltv_chart", "margin_chart", "peg_chart"]

_CASH: Final = ("USDT",)
_USUAL: Final = 0.95
_ROOM: Final = 1.6
"""A margin ratio above this multiple of its 95 % quantile is left out of the picture, which it would flatten."""
_SEEN: Final = 1e-4
"""Of equity: an exposure that never was larger is no line of its own."""


def exposure_chart(record: RunRecord) -> Iterator[Chart]:
    """Net delta and what it is made of; nothing where only the share class or cash is held."""
    frame = record.exposure
    risky = [name for name in frame.columns if name not in (*_CASH, record.summary.currency, "net delta")]
    risky = [name for name in risky if frame[name].abs().max() > _SEEN]
    risky = [name for name in risky if (frame[name] - frame["net delta"]).abs().max() > _SEEN]
    directional = not frame["net delta"].fillna(0.0).any()
    if directional and record.has_perps:
        # An own asset held with a perpetual: its exposure is what the strategy decides on.
        own = record.summary.currency
        risky = [own] if own in frame and (frame[own] - 1.0).abs().max() > _SEEN else []
    elif directional:
        risky = []
    if directional and not risky:
        return
    shown = [] if directional else ["net delta"]
    shown += risky
    colours = {"net delta": MAIN} | dict(zip(risky, list(by_name(("net delta", *risky)).values())[1:], strict=True))
    figure = canvas("of equity", tickformat=SHARE_TICKS)
    dust, limit = record.dust, record.limits.max_delta_drift
    if dust is not None:
        figure.add_hrect(y0=-dust, y1=dust, fillcolor=faded(OTHER, 0.18), line_width=0, layer="below")
        limit_line(figure, limit, f"limit {percent(limit)}")
        limit_line(figure, None if limit is None else -limit, f"limit {percent(-limit if limit else None)}")
    for name in reversed(shown):
        figure.add_trace(
            line(
                frame[name],
                name,
                colours[name],
                "%{y:.3%} of equity",
                lines=len(shown),
                width=2.0 if name == "net delta" else 1.2,
                line_shape="hv",
            )
        )
    figure.update_layout({"legend": {"traceorder": "reversed"}, "showlegend": True})
    main = frame[shown[0]]
    text = (
        f"Net exposure as a share of equity ({', '.join(shown)}), before the orders of each tick and after each of its"
        " groups; not between the orders of a group."
    )
    low, high, end = (percent(float(value)) for value in (main.min(), main.max(), main.iloc[-1]))
    text += f" Between {low} and {high}, {end} at the end."
    if dust is not None:
        text += f" The grey band is ±{percent(dust)}, within which nothing is traded"
        text += f"; beyond ±{percent(limit)} the book counts as unhedged." if limit is not None else "."
    title = f"Exposure to {' and '.join(shown)}" if directional else "Exposure and net delta"
    yield Chart("exposure", title, text, figure)


def health_chart(record: RunRecord) -> Iterator[Chart]:
    """Health factor of the loan closest to liquidation; nothing without a loan."""
    health = record.risk["health_factor"]
    if health.notna().sum() < 2:
        return
    limits = record.limits
    figure = canvas("health factor", tickformat=".3~f", showlegend=False)
    figure.add_trace(line(health, "Health factor", MAIN, "%{y:.4f}"))
    limit_line(figure, 1.0, "liquidation")
    limit_line(figure, limits.health_factor_emergency, "unwind everything")
    limit_line(figure, limits.health_factor_reduce, "reduce", colour=WARN)
    text = (
        "Health factor of the loan that is closest to liquidation, at oracle prices: collateral times its liquidation"
        f" threshold over debt. Lowest {health.min():.4f}, {_ends(health)} at the end."
        + _named(("reduced below", limits.health_factor_reduce), ("unwound below", limits.health_factor_emergency))
    )
    yield Chart("health", "Health factor", text, figure)


def ltv_chart(record: RunRecord) -> Iterator[Chart]:
    """Debt over collateral of the same loan."""
    ltv, threshold = record.risk["ltv_ratio"], record.risk["liquidation_threshold"]
    if ltv.notna().sum() < 2:
        return
    loop = None if record.effective is None else record.effective.mode.strategy_config.loop
    figure = canvas("debt / collateral", tickformat=SHARE_TICKS)
    figure.add_trace(line(ltv, "LTV", MAIN, "%{y:.3%}", lines=2))
    if threshold.notna().any():
        figure.add_trace(
            line(
                threshold,
                "liquidation threshold",
                "#c2452d",
                "%{y:.2%}",
                lines=2,
                width=1.4,
                dash="dash",
                line_shape="hv",
            )
        )
    if loop is not None:
        limit_line(figure, loop.max_ltv, "may borrow up to", colour=WARN)
        limit_line(figure, loop.target_ltv, "target", colour=OTHER)
    text = (
        f"Loan to value of the same loan. Highest {percent(float(ltv.max()))}, {percent(_end(ltv))} at the end;"
        f" liquidation at {percent(_end(threshold))}."
    )
    if loop is not None and loop.target_ltv is not None:
        text += f" The strategy steers for {percent(loop.target_ltv)}."
    yield Chart("ltv", "Loan to value", text, figure)


def margin_chart(record: RunRecord) -> Iterator[Chart]:
    """Margin ratio of every venue with an open perpetual."""
    margin = record.margin
    if not margin.notna().to_numpy().any():
        return
    limits = record.limits
    figure = canvas("margin / notional", tickformat=SHARE_TICKS)
    venues = sorted(map(str, margin.columns))
    colours = by_name(venues)
    for venue in venues:
        figure.add_trace(
            line(
                margin[venue],
                venue,
                colours[venue],
                "%{y:.2%}",
                lines=len(venues),
                width=1.3,
            )
        )
    figure.update_layout({"showlegend": True})
    top, usual = float(margin.max().max()), float(np.nanquantile(margin.to_numpy(float), _USUAL))
    beyond = top > _ROOM * usual
    if beyond:
        figure.update_yaxes(range=[0.0, _ROOM * usual])
    limit_line(figure, limits.margin_ratio_exit_half, "close half")
    limit_line(figure, limits.margin_ratio_reduce, "reduce", colour=WARN)
    lows = ", ".join(f"{venue} {percent(float(margin[venue].min()))}" for venue in venues)
    text = (
        "Cash plus unrealised profit over notional, by venue with an open perpetual; a gap is a time without one."
        f" Lowest: {lows}."
        + _named(
            ("reduced below", limits.margin_ratio_reduce),
            ("half closed below", limits.margin_ratio_exit_half),
            share=True,
        )
    )
    if beyond:
        text += f" The highest, {percent(top, decimals=0)} on what was left of a position, is above the picture."
    yield Chart("margin", "Margin ratios", text, figure)


def peg_chart(record: RunRecord) -> Iterator[Chart]:
    """Discount of the staking token that is held."""
    peg = record.risk["peg_deviation"]
    if peg.notna().sum() < 2:
        return
    figure = canvas("market / protocol rate − 1", tickformat=SHARE_TICKS, showlegend=False)
    figure.add_trace(line(peg, "Discount", MAIN, "%{y:.3%}", line_shape="hv"))
    limit = record.limits.max_peg_deviation
    text = (
        "What the staking token fetches on the market against what its protocol says it is worth, the lowest of those"
        f" held; below zero it sells at a discount. Lowest {percent(float(peg.min()), decimals=3)}"
    )
    near = limit is not None and peg.min() < -limit / 2
    if limit is not None:
        text += f"; the position is reduced at {percent(-limit, decimals=1)}" + (
            "" if near else ", far below the picture"
        )
        limit_line(figure, -limit if near else None, "reduce")
    text += "."
    yield Chart("peg", "Discount of the staking token", text, figure)


def _end(series: pd.Series[Any]) -> float:
    return float(series.dropna().iloc[-1])


def _ends(series: pd.Series[Any]) -> str:
    return f"{_end(series):.4f}"


def _named(*limits: tuple[str, float | None], share: bool = False) -> str:
    known = [
        f"{text} {percent(value, decimals=0) if share else f'{value:g}'}" for text, value in limits if value is not None
    ]
    return f" {', '.join(known).capitalize()}." if known else ""
