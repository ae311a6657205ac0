"""Defines what a chart of the report is, and the parts that all charts share: axes, lines, areas, limits."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go  # type: ignore[import-untyped]

from basis_actors.results.report.markup import plain
from basis_actors.results.report.palette import LIMIT, faded
from basis_actors.results.report.thinning import thinned, thinned_stack

__all__ = ["SHARE_TICKS", "Chart", "area", "canvas", "limit_line", "line", "milliseconds", "stack", "unit_axis"]


SHARE_TICKS: Final = ".3~%"
"""Of an axis of shares: as many decimals of a percent as the ticks need, three at most."""


class Chart(NamedTuple):
    """One chart with what people need who do not see it."""

    id: str
    """Of the element on the page, the same in every run."""
    title: str
    text: str
    """What is drawn, in which unit, and what the numbers come to."""
    figure: go.Figure
    tall: bool = False


def canvas(unit: str, *, tickformat: str | None = None, ticksuffix: str = "", **layout: Any) -> go.Figure:
    """A figure over time whose values are in `unit`. Colours of ground, text and grid are the page's."""
    figure = go.Figure(
        layout={
            "template": go.layout.Template(),
            "hovermode": "x unified",
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
            "margin": {"l": 64, "r": 16, "t": 8, "b": 36},
            "xaxis": {"type": "date", "hoverformat": "%d %b %Y, %H:%M UTC"},
            **layout,
        }
    )
    unit_axis(figure, unit, tickformat=tickformat, ticksuffix=ticksuffix)
    return figure


def unit_axis(
    figure: go.Figure, unit: str, *, tickformat: str | None = None, ticksuffix: str = "", axis: str = "yaxis"
) -> None:
    """Say what the values of an axis are; a line where they are 0."""
    figure.update_layout(
        {axis: {"title": {"text": unit}, "tickformat": tickformat, "ticksuffix": ticksuffix, "zeroline": True}}
    )


def milliseconds(index: pd.Index[Any]) -> Any:
    """Moments as plotly takes them without words: milliseconds since 1970, UTC."""
    return pd.DatetimeIndex(index).as_unit("ms").asi8.astype(float)


def line(
    series: pd.Series[Any], name: str, colour: str, hover: str, *, lines: int = 1, width: float = 1.8, **more: Any
) -> go.Scatter:
    """One line of a chart of `lines`; `hover` says value and unit."""
    shown = thinned(series, lines)
    alone = _alone(shown.to_numpy(dtype=float))
    style = {"color": colour, "width": width, "dash": more.pop("dash", "solid")}
    return go.Scatter(
        x=milliseconds(shown.index),
        y=shown.to_numpy(dtype=float),
        mode="lines+markers" if alone.any() else "lines",
        marker={"size": np.where(alone, 4.0, 0.0)} if alone.any() else None,
        name=plain(name),
        line=style,
        hovertemplate=hover,
        **more,
    )


def _alone(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which points are between two gaps, where no line shows them."""
    known = np.pad(~np.isnan(values), 1)
    alone: npt.NDArray[np.bool_] = known[1:-1] & ~known[:-2] & ~known[2:]
    return alone


def area(series: pd.Series[Any], name: str, colour: str, hover: str, *, lines: int = 1, **more: Any) -> go.Scatter:
    """A line with everything between it and 0 filled."""
    return line(
        series, name, colour, hover, lines=lines, width=1.2, fill="tozeroy", fillcolor=faded(colour, 0.25), **more
    )


def stack(figure: go.Figure, frame: pd.DataFrame, colours: dict[str, str], hover: str) -> None:
    """Areas on each other: what is above 0 upwards, what is below downwards. Each name is once in the legend."""
    shown = thinned_stack(frame)
    moments = milliseconds(shown.index)
    for name in map(str, shown.columns):
        values = shown[name].to_numpy(dtype=float)
        listed = False
        for side, part in (("above", values.clip(min=0.0)), ("below", values.clip(max=0.0))):
            if not part.any():
                continue
            figure.add_scatter(
                x=moments,
                y=part,
                mode="lines",
                name=plain(name),
                legendgroup=plain(name),
                showlegend=not listed,
                stackgroup=side,
                line={"width": 0.5, "color": colours[name]},
                fillcolor=faded(colours[name], 0.7),
                hovertemplate=hover,
            )
            listed = True


def limit_line(figure: go.Figure, value: float | None, text: str, *, colour: str = LIMIT, **more: Any) -> None:
    """A limit that is always in view, with its name on it; nothing when there is none."""
    if value is None:
        return
    figure.add_hline(
        y=value,
        line={"color": colour, "width": 1.2, "dash": "dash"},
        annotation={
            "text": text,
            "font": {"color": colour, "size": 11},
            "xanchor": "right",
            "yanchor": "bottom",
            "x": 1,
            "showarrow": False,
        },
        **more,
    )
