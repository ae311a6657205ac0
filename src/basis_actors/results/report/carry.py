"""Draws what positions are paid and pay for being held: funding of perpetuals, rates of lending, borrowing, staking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pandas as pd

from basis_actors.finance.keys import parse_key
from basis_actors.finance.metrics import DAYS_PER_YEAR
from basis_actors.results.report.charts import SHARE_TICKS, Chart, canvas, line
from basis_actors.results.report.palette import DASHES, by_name
from basis_actors.results.report.record import RunRecord
from basis_actors.results.report.wording import Money, percent

__all__ = ["funding_charts", "rates_chart"]

_WINDOW: Final = 7
"""Days over which a rate is averaged."""


def funding_charts(record: RunRecord, money: Money) -> Iterator[Chart]:
    """What funding paid by venue, and its rate; nothing without a settlement."""
    if not record.funding:
        return
    table = pd.DataFrame(
        [(row.moment, row.venue, row.asset, row.amount, row.rate) for row in record.funding],
        columns=["moment", "venue", "asset", "amount", "rate"],
    )
    table["worth"] = _in_share_class(record, table)
    venues = sorted(table["venue"].unique())
    yield _received(table, venues, money, record)
    if len(rates := _funding_rates(table)) > 1:
        yield _rates_of_funding(rates, venues)


def _in_share_class(record: RunRecord, table: pd.DataFrame) -> pd.Series[Any]:
    """Payments at the prices of their tick."""
    marks, units = record.marks, record.unit.to_numpy(float)
    prices = {asset: marks[f"S:{asset}"].to_numpy(float) for asset in table["asset"].unique() if f"S:{asset}" in marks}
    worth = []
    for moment, asset, amount in table[["moment", "asset", "amount"]].itertuples(index=False):
        if asset == record.summary.currency:
            worth.append(amount)
        else:
            row = min(int(marks.index.searchsorted(moment)), len(marks) - 1)
            worth.append(amount * prices[asset][row] / units[row])
    return pd.Series(worth, index=table.index)


def _received(table: pd.DataFrame, venues: list[str], money: Money, record: RunRecord) -> Chart:
    colours = by_name(venues)
    figure = canvas(money.currency, showlegend=True)
    hover = f"%{{y:{money.d3}}} {money.currency}"
    ends = []
    for place, venue in enumerate(venues):
        rows = table[table["venue"] == venue]
        total = rows.groupby("moment")["worth"].sum().cumsum()
        ends.append(f"{venue} {money.text(float(total.iloc[-1]), sign=True)}")
        total = _from_start(total, record)
        figure.add_trace(
            line(
                total,
                venue,
                colours[venue],
                hover,
                lines=len(venues) + 1,
                line_shape="hv",
                dash=DASHES[place % len(DASHES)],
            )
        )
    if len(venues) > 1:
        total = _from_start(table.groupby("moment")["worth"].sum().cumsum(), record)
        figure.add_trace(
            line(total, "total", "#000000", hover, lines=len(venues) + 1, width=2.2, line_shape="hv", meta="ink")
        )
    text = f"Funding received less paid since the start, in {money.currency}, by venue: {', '.join(ends)}."
    return Chart("funding", "Funding received", text, figure)


def _from_start(total: pd.Series[Any], record: RunRecord) -> pd.Series[Any]:
    """A sum that is 0 when the run begins and holds until it ends."""
    first, last = record.marks.index[0], record.marks.index[-1]
    ends = pd.Series([0.0, float(total.iloc[-1])], index=[first, last])
    whole: pd.Series[Any] = pd.concat([ends[:1], total, ends[1:]])
    return whole


def _funding_rates(table: pd.DataFrame) -> pd.DataFrame:
    """Rates of a day added up, by venue, averaged over the days of a week that had any, as a yearly rate."""
    known = table.dropna(subset="rate")
    daily = known.groupby([known["moment"].dt.floor("D"), "venue"])["rate"].sum().unstack()
    if daily.empty:
        return daily
    daily = daily.asfreq("D")
    smooth = daily.rolling(_WINDOW, min_periods=1).mean().where(daily.notna())
    yearly: pd.DataFrame = smooth * DAYS_PER_YEAR
    return yearly


def _rates_of_funding(rates: pd.DataFrame, venues: list[str]) -> Chart:
    colours = by_name(venues)
    figure = canvas("a year", tickformat=SHARE_TICKS, showlegend=True)
    for place, venue in enumerate(venues):
        if venue in rates:
            figure.add_trace(
                line(
                    rates[venue],
                    venue,
                    colours[venue],
                    "%{y:.2%} a year",
                    lines=len(venues),
                    dash=DASHES[place % len(DASHES)],
                )
            )
    means = ", ".join(f"{venue} {percent(float(rates[venue].mean()), sign=True)}" for venue in venues if venue in rates)
    text = (
        f"Funding rate by venue while a perpetual was open there, a mean of {_WINDOW} days as a yearly rate; above zero"
        f" longs pay shorts. On average: {means}."
    )
    return Chart("funding-rates", "Funding rates", text, figure)


def rates_chart(record: RunRecord) -> Iterator[Chart]:
    """What was earned on what was lent and staked and paid on what was borrowed; nothing where none of it was held."""
    rates = _rates(record)
    if not rates:
        return
    colours = by_name(rates)
    figure = canvas("a year", tickformat=SHARE_TICKS, showlegend=True)
    for place, (name, rate) in enumerate(rates.items()):
        figure.add_trace(
            line(rate, name, colours[name], "%{y:.2%} a year", lines=len(rates), dash=DASHES[place % len(DASHES)])
        )
    means = ", ".join(f"{name} {percent(float(rate.mean()), sign=True)}" for name, rate in rates.items())
    text = (
        f"Growth of lending and borrowing indices and of the staking rate over {_WINDOW} days, as a yearly rate. On"
        f" average: {means}."
    )
    yield Chart("rates", _title(rates), text, figure)


def _title(names: Iterable[str]) -> str:
    words = {"lend": "lending", "borrow": "borrowing", "stake": "staking"}
    kinds = [words[kind] for kind in words if any(name.startswith(kind) for name in names)]
    return f"{' and '.join([', '.join(kinds[:-1]), kinds[-1]] if kinds[1:] else kinds).capitalize()} rates"


def _rates(record: RunRecord) -> dict[str, pd.Series[Any]]:
    found: dict[str, pd.Series[Any]] = {}
    for key, index in sorted(record.indices.items()):
        info = parse_key(key)
        word, token = (
            ("lend", info.symbol[1:]) if info.kind == "aToken" else ("borrow", info.symbol.removeprefix("debt"))
        )
        found[f"{word} {token} at {info.venue}"] = _yearly(index)
    held = {info.lst for info in map(parse_key, map(str, record.positions.columns)) if info.lst is not None}
    for token in sorted(held):
        mark = f"rate:{token}"
        if mark in record.marks:
            found[f"stake {token}"] = _yearly(record.marks[mark].dropna())
    return {name: rate for name, rate in found.items() if rate.notna().sum() > 1}


def _yearly(index: pd.Series[Any]) -> pd.Series[Any]:
    """Growth over a window that ends at each day, as a simple yearly rate."""
    daily = index.groupby(pd.DatetimeIndex(index.index).floor("D")).last()
    if len(daily) < 2:
        return daily.iloc[:0]
    daily = daily.asfreq("D").ffill()
    days = min(_WINDOW, len(daily) - 1)
    growth: pd.Series[Any] = ((daily / daily.shift(days)) - 1.0).dropna()
    return growth * DAYS_PER_YEAR / days
