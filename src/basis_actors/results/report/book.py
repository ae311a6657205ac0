"""Draws what was held and what was traded: positions by value, perpetuals by notional, orders on the price."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from basis_actors.finance.keys import REWARD_TOKENS, STABLE, parse_key
from basis_actors.messages.events import OperationExecutionEvent
from basis_actors.messages.execution import ExecutionStatus
from basis_actors.messages.orders import OperationType
from basis_actors.results.report.charts import Chart, canvas, line, milliseconds, stack
from basis_actors.results.report.markup import plain
from basis_actors.results.report.palette import BAD, GOOD, MAIN, OTHER, WARN, by_name
from basis_actors.results.report.record import RunRecord
from basis_actors.results.report.wording import Money, change, key_label, plural

__all__ = ["order_charts", "perpetuals_chart", "positions_chart"]

_MOST_KEYS: Final = 7
_MINOR: Final = 0.002
"""Share of the largest below which a position is drawn with the others; both on average over time."""
_MOST_MARKS: Final = 2_000
_MOST_STORIES: Final = 6
_TRADES: Final = (OperationType.SPOT_TRADE, OperationType.PERP_TRADE)
_MARKS: Final = {
    "spot buy": ("triangle-up", GOOD),
    "spot sell": ("triangle-down", BAD),
    "perpetual buy": ("triangle-up-open", GOOD),
    "perpetual sell": ("triangle-down-open", BAD),
    "on chain": ("diamond-open", MAIN),
    "not settled": ("circle-open", WARN),
    "rolled back": ("hourglass-open", WARN),
    "failed": ("x", "#b3261e"),
}


def positions_chart(record: RunRecord, money: Money) -> Iterator[Chart]:
    """What each position was worth, on each other; the line is equity."""
    values = record.values
    values = values[[name for name in values.columns if values[name].any()]]
    if values.empty:
        return
    size = {str(name): float(values[name].abs().mean()) for name in values.columns}
    ranked = sorted(size, key=lambda name: (-size[name], name))
    named = [name for name in ranked[:_MOST_KEYS] if size[name] >= _MINOR * size[ranked[0]]]
    drawn = values[named].rename(columns=_label)
    if len(named) < len(ranked):
        drawn["others"] = values[ranked[len(named) :]].sum(axis=1)
    colours = {**by_name(map(str, drawn.columns)), "others": OTHER}
    figure = canvas(money.currency, showlegend=True)
    hover = f"%{{y:{money.d3}}} {money.currency}"
    stack(figure, drawn, colours, hover)
    equity = values.sum(axis=1)
    figure.add_trace(line(equity, "equity", "#000000", hover, lines=len(drawn.columns) + 1, width=2.2, meta="ink"))
    last = [f"{name} {money.text(float(drawn[name].iloc[-1]))}" for name in drawn.columns if drawn[name].iloc[-1]]
    text = (
        f"Value of each position in {money.currency} at the end of each tick: what is owned above zero, what is owed"
        " below, the line is equity."
        + (" Perpetuals count with their unrealised profit, all together." if record.has_perps else "")
        + " At the end: "
        f"{', '.join(last) or 'nothing'}."
    )
    yield Chart("positions", "Positions", text, figure, tall=True)


def _label(name: str) -> str:
    return "perpetuals, unrealised" if name == "perpetuals" else key_label(name)


def perpetuals_chart(record: RunRecord) -> Iterator[Chart]:
    """Signed notional of every perpetual; nothing without any."""
    marks, positions = record.marks, record.positions
    rows = positions.index.intersection(marks.index)
    sizes: dict[str, pd.Series[Any]] = {}
    for name in map(str, positions.columns):
        info = parse_key(name)
        if info.contract is None or not positions[name].any():
            continue
        mark = marks[info.perp].loc[rows] if info.perp in marks else float("nan")
        size = positions[name].loc[rows]
        sizes[key_label(name)] = size if info.inverse else (size * mark).where(size != 0.0, 0.0)
    if not sizes:
        return
    frame = pd.DataFrame(sizes).fillna(0.0)
    figure = canvas("USD notional", showlegend=True)
    stack(figure, frame, by_name(sizes), "%{y:,.0f} USD")
    total = frame.sum(axis=1)
    text = (
        "Size of open perpetuals at their mark in USD, longs above zero, shorts below:"
        f" between {total.min():,.0f} and {total.max():,.0f} USD together, {total.iloc[-1]:,.0f} USD at the end."
    )
    yield Chart("perpetuals", "Perpetual positions", text.replace("-", "−"), figure)


def order_charts(record: RunRecord) -> Iterator[Chart]:
    """The price of each asset that orders were about, with the orders on it; nothing without such orders."""
    by_asset: dict[str, list[OperationExecutionEvent]] = {}
    for order in record.operations:
        asset = _asset(order)
        if asset is not None:
            by_asset.setdefault(asset, []).append(order)
    for asset, orders in sorted(by_asset.items()):
        mark = f"S:{asset}"
        if mark in record.marks and record.marks[mark].notna().sum() > 1:
            yield _orders_on_price(asset, orders, record.marks[mark].dropna())


def _asset(order: OperationExecutionEvent) -> str | None:
    """The asset whose price an order is about; None for one that only moves tokens, or cash alone."""
    if order.operation_type is OperationType.TRANSFER:
        return None
    keys = {*order.actual_deltas, *(delta.position_key for delta in order.expected_deltas)}
    assets = {parse_key(key).asset for key in keys} - {STABLE, *REWARD_TOKENS}
    return min(assets, default=None)


def _orders_on_price(asset: str, orders: list[OperationExecutionEvent], price: pd.Series[Any]) -> Chart:
    unit = STABLE
    figure = canvas(f"{unit} per {asset}", showlegend=True, hovermode="closest")
    figure.add_trace(
        line(price, f"{asset} price", OTHER, f"%{{y:,.2f}} {unit}<extra>{asset}</extra>", lines=2, width=1.2)
    )
    places: dict[str, dict[int, list[str]]] = {}
    for order in orders:
        place = min(int(price.index.searchsorted(pd.Timestamp(order.timestamp))), len(price) - 1)
        places.setdefault(_kind(order), {}).setdefault(place, []).append(_story(order))
    for name in sorted(places, key=list(_MARKS).index):
        symbol, colour = _MARKS[name]
        marked = list(places[name])[:: max(1, -(-len(places[name]) // _MOST_MARKS))]
        figure.add_scatter(
            x=milliseconds(price.index[marked]),
            y=price.iloc[marked].to_numpy(float),
            mode="markers",
            cliponaxis=False,
            name=name,
            text=["<br>".join(map(plain, _shortened(places[name][place]))) for place in marked],
            marker={
                "symbol": symbol,
                "size": 13 if symbol.endswith("open") else 8,
                "color": colour,
                "line": {"width": 1.3, "color": colour},
            },
            hovertemplate="%{x|%d %b %Y, %H:%M UTC}<br>%{text}<extra>" + name + "</extra>",
        )
    counted = ", ".join(
        f"{sum(map(len, places[name].values())):,} {name}" for name in sorted(places, key=list(_MARKS).index)
    )
    text = (
        f"Reference price of {asset} in {unit} and {plural(len(orders), 'order')} on it: {counted}. A mark stands for"
        " all orders of its kind at one tick; transfers are left out."
    )
    if max(map(len, places.values())) > _MOST_MARKS:
        text += f" Where there are more than {_MOST_MARKS:,} marks of a kind, only every second or later one is drawn."
    return Chart(f"orders-{asset.lower()}", f"Orders on the price of {asset}", text, figure, tall=True)


def _shortened(stories: list[str]) -> list[str]:
    more = len(stories) - _MOST_STORIES
    return stories if more <= 0 else [*stories[:_MOST_STORIES], f"and {more:,} more"]


def _kind(order: OperationExecutionEvent) -> str:
    if order.status is ExecutionStatus.ROLLED_BACK:
        return "rolled back"
    if order.status is not ExecutionStatus.CONFIRMED:
        return "failed" if order.status is ExecutionStatus.FAILED else "not settled"
    if order.operation_type not in _TRADES:
        return "on chain"
    perp = order.operation_type is OperationType.PERP_TRADE
    sizes = [
        amount
        for key, amount in order.actual_deltas.items()
        if parse_key(key).asset != STABLE and (parse_key(key).contract is not None) == perp
    ]
    side = "buy" if sum(sizes) > 0.0 else "sell"
    return f"{'perpetual' if perp else 'spot'} {side}"


def _story(order: OperationExecutionEvent) -> str:
    parts = [f"{order.operation_id} at {order.venue}"]
    parts += [change(amount, key) for key, amount in list(order.actual_deltas.items())[:2]]
    price = order.operation_details.get("executed_price")
    if isinstance(price, float | int):
        parts.append(f"price {price:,.6g}")
    if order.fee_amount:
        parts.append(f"fee {order.fee_amount:,.4g} {order.fee_currency or ''}")
    if order.error_code:
        parts.append(order.error_code)
    return ", ".join(parts)
