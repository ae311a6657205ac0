"""Shows the summary of a run to people, on a terminal of any width from 60 columns up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import floor, fsum, log10

import msgspec
from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from basis_actors.errors import REGISTRY, Severity
from basis_actors.results.summary import RunSummary, too_short_to_annualise

__all__ = ["format_amount", "print_place", "print_summary", "render_summary", "summary_json"]

_SIGNIFICANT = 15
_DECIMALS = 8
"""More than these are noise to a person; the JSON form has them all."""
_WIDE = 110
_FRAME = 6
"""Columns that border and padding of the panel take."""
_APART = 4
"""Columns between result and attribution where they stand side by side."""
_BETWEEN = 3
"""Columns between two of the attribution."""
_BAR = 18
_SHORTEST_BAR = 6
_SEVERITY_STYLE = {"LOW": "dim", "MEDIUM": "yellow", "HIGH": "red", "CRITICAL": "bold red"}


def summary_json(summary: RunSummary) -> bytes:
    """The summary as one line of JSON; `results.summary.summary_schema` describes it."""
    return msgspec.json.encode(summary)


def format_amount(amount: float, decimals: int, *, scale: float | None = None) -> str:
    """`amount` with thousands separators and the currency's decimals, but at most 8 of them.

    No digit is shown that a float of size `scale` lacks: it has 15, so 10 billion USDT have 4 of USDT's 6 decimals.
    """
    size = max(abs(amount if scale is None else scale), 1.0)
    shown = max(0, min(decimals, _DECIMALS, _SIGNIFICANT - 1 - floor(log10(size))))
    text = f"{amount:,.{shown}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0.0 else text


def print_summary(summary: RunSummary, console: Console) -> None:
    """Print the summary, and below it where the logs and the result are."""
    console.print(render_summary(summary, console.width))
    if summary.run_dir is not None:
        print_place("Logs", summary.run_dir, console)
    if summary.result_dir is not None:
        print_place("Result", summary.result_dir, console)


def print_place(what: str, place: str, console: Console) -> None:
    """Print where something is, on one line that can be copied."""
    console.print(Text.assemble((f"{what}: ", "dim"), place), soft_wrap=True)


def render_summary(summary: RunSummary, width: int = 80) -> RenderableType:
    """The summary as something `rich` can print, laid out for `width` columns; no number is cut from 60 on."""
    title, style = _verdict(summary)
    return Panel(
        Group(*_result(summary, width), _activity(summary), *_notes(summary)),
        title=title,
        subtitle=_subtitle(summary),
        border_style=style,
        box=ROUNDED,
        padding=(1, 2),
    )


def _result(summary: RunSummary, width: int) -> list[RenderableType]:
    """What the run came to and from what; one sentence where there was nothing to come to anything."""
    if not summary.ticks:
        return [Text("No tick came, so nothing was decided and there is no result.")]
    rows = _result_rows(summary)
    result = _pairs(rows, f"Result in {summary.currency}")
    beside = width - _FRAME - _APART - sum(max(len(cell) + 2 for cell in column) for column in zip(*rows, strict=True))
    if width < _WIDE:
        return [result, Padding(_attribution(summary, width - _FRAME), (1, 0, 0, 0))]
    body = Table.grid(padding=(0, _APART, 0, 0))
    body.add_row(result, _attribution(summary, beside))
    return [body]


def _verdict(summary: RunSummary) -> tuple[Text, str]:
    name = Text(summary.mode, style="bold")
    if summary.failure is not None:
        return Text.assemble(name, " · ", ("FAILED", "bold red")), "red"
    if summary.partial:
        return Text.assemble(name, " · ", ("PARTIAL: interrupted", "bold yellow")), "yellow"
    if summary.stopped is not None:
        return Text.assemble(name, " · ", ("STOPPED: trading ended before the window did", "bold yellow")), "yellow"
    return Text.assemble(name, " · ", (summary.share_class, "cyan")), "cyan"


def _subtitle(summary: RunSummary) -> Text:
    if summary.start is None:
        return Text(_moment(None), style="dim")
    return Text(f"{_moment(summary.start)} → {_moment(summary.end)} UTC", style="dim")


def _moment(moment: datetime | None) -> str:
    return "no tick" if moment is None else moment.strftime("%Y-%m-%d %H:%M")


def _amount(summary: RunSummary, amount: float | None) -> str:
    if amount is None:
        return "n/a"
    return format_amount(amount, summary.decimals, scale=summary.equity_end or summary.equity_start or 1.0)


def _percent(share: float | None, *, sign: bool = False) -> str:
    if share is None:
        return "n/a"
    # What is too small to be shown keeps its sign: -0.00 % is a loss.
    return f"{share * 100 + 0.0:{'+' if sign and share else ''}.2f} %"


def _tone(value: float | None) -> str:
    return "" if not value else ("green" if value > 0.0 else "red")


def _pairs(rows: Iterable[tuple[str, str | Text]], title: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title=title, title_justify="left")
    table.title_style = "bold"
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for name, value in rows:
        table.add_row(name, value)
    return table


def _result_rows(summary: RunSummary) -> list[tuple[str, str | Text]]:
    rows: list[tuple[str, str | Text]] = [
        ("Equity at start", _amount(summary, summary.equity_start)),
        ("Equity at end", Text(_amount(summary, summary.equity_end), style="bold")),
    ]
    if summary.external_flows:
        rows.append(("Deposits − withdrawals", _amount(summary, summary.external_flows)))
    rows += [
        (
            "Return, time-weighted" if summary.external_flows else "Return",
            Text(_percent(summary.total_return, sign=True), style=f"bold {_tone(summary.total_return)}"),
        ),
        (
            "Annualised",
            too_short_to_annualise(summary.start, summary.end) or _percent(summary.annualised_return, sign=True),
        ),
        ("Sharpe", "n/a" if summary.sharpe is None else f"{summary.sharpe:.2f}"),
        ("Volatility", _percent(summary.volatility)),
        ("Max drawdown, daily", _percent(summary.max_drawdown)),
        ("  intraday", _percent(summary.max_drawdown_intraday)),
        ("Time invested", _percent(summary.time_invested)),
    ]
    if summary.lowest_health_factor is not None:
        rows.append(("Lowest health factor", f"{summary.lowest_health_factor:.4f}"))
    if summary.lowest_margin_ratio is not None:
        rows.append(("Lowest margin ratio", f"{summary.lowest_margin_ratio:.4f}"))
    if summary.unhedged_hours is not None:
        rows.append(("Hours unhedged", f"{summary.unhedged_hours:,.0f}"))
    return rows


def _attribution(summary: RunSummary, width: int) -> RenderableType:
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        title="Where it came from",
        title_justify="left",
    )
    table.title_style = "bold"
    nothing, start = _amount(summary, 0.0), summary.equity_start
    parts = {name: amount for name, amount in summary.attribution.items() if _amount(summary, amount) != nothing}
    total = fsum((*summary.attribution.values(), summary.residual))
    shares = {name: "" if not start else _percent(amount / start, sign=True) for name, amount in parts.items()}
    of_start = "" if not start else _percent(total / start, sign=True)
    amounts = [_amount(summary, amount) for amount in (*parts.values(), summary.residual, total)]
    columns = (("component", *parts), (summary.currency, *amounts), ("of start", *shares.values(), of_start))
    room = width - sum(max(map(len, column)) + _BETWEEN for column in columns)
    bar = min(_BAR, room) if room >= _SHORTEST_BAR else 0
    table.add_column("component", style="dim", no_wrap=True)
    table.add_column(summary.currency, justify="right", no_wrap=True)
    table.add_column("of start", justify="right", no_wrap=True)
    if bar:
        table.add_column("", width=bar, no_wrap=True)
    largest = max(map(abs, parts.values()), default=0.0)
    for name, amount in sorted(parts.items(), key=lambda part: -part[1]):
        table.add_row(name, _amount(summary, amount), shares[name], *([_bar(amount, largest, bar)] if bar else []))
    table.add_row("residual", _amount(summary, summary.residual))
    table.add_section()
    check = _check(summary)
    fits = len(check) <= bar
    table.add_row(
        Text("total", style="bold"),
        Text(_amount(summary, total), style="bold"),
        of_start,
        *([check] if fits else []),
    )
    notes = [] if fits else [check]
    if summary.max_residual is None or summary.max_residual > 1e-9:
        notes.append(Text("the residual is unexplained", style="bold red"))
    return Group(table, *notes)


def _check(summary: RunSummary) -> Text:
    """Whether the table sums to the change of equity."""
    if summary.total_pnl is None:
        return Text("")
    scale = max(abs(summary.equity_end or 0.0), 1.0)
    if abs(summary.unexplained) <= 1e-9 * scale:
        return Text("✓ = change − flows" if summary.external_flows else "✓ = equity change", style="green")
    return Text(f"✗ off by {summary.unexplained:.3g}", style="bold red")


def _bar(amount: float, largest: float, width: int) -> Text:
    length = round(abs(amount) / largest * width)
    return Text("█" * length or "▏", style=_tone(amount))


def _activity(summary: RunSummary) -> RenderableType:
    speed = "" if not summary.ticks_per_second else f"  ({summary.ticks_per_second:,.0f} a second)"
    rows: list[tuple[str, str | Text]] = [
        ("Ticks", f"{summary.ticks:,}{speed}"),
        ("Decisions", _counts(summary.decisions)),
        ("Orders", _counts(summary.orders_by_status)),
        ("Groups", _counts(summary.groups_by_status)),
        ("Rejections", _alarm(summary.rejections)),
        ("Liquidations", _alarm(summary.liquidations)),
        ("Market", _market(summary)),
    ]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return Padding(Group(Text("What happened", style="bold"), table), (1, 0, 0, 0))


def _counts(counts: Mapping[str, int]) -> str:
    if not counts:
        return "none"
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _alarm(count: int) -> Text:
    return Text("none") if not count else Text(f"{count:,}", style="bold red")


def _market(summary: RunSummary) -> Text:
    if summary.synthetic_seed is None:
        return Text(summary.data_origin)
    return Text.assemble(("synthetic", "yellow"), f", seed {summary.synthetic_seed}: generated prices, not history")


def _notes(summary: RunSummary) -> list[RenderableType]:
    """What a person should know before believing the numbers; nothing when there is nothing to say."""
    blocks: list[RenderableType] = []
    if summary.failure is not None:
        blocks.append(_note("Failure", [Text(summary.failure, style="red")]))
    if summary.stopped is not None:
        blocks.append(_note("Trading was stopped", [Text(summary.stopped, style="yellow")]))
    if summary.errors:
        blocks.append(_note("Errors", [_error_line(summary, code) for code in summary.errors]))
    if summary.warnings:
        blocks.append(_note("Warnings", [Text(warning, style="yellow") for warning in summary.warnings]))
    if summary.proxies:
        blocks.append(_note("Stand-ins", [Text(proxy) for proxy in summary.proxies]))
    return blocks


def _note(title: str, lines: Iterable[Text]) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(style="dim", width=1)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row("•", line)
    return Padding(Group(Text(title, style="bold"), table), (1, 0, 0, 0))


def _error_line(summary: RunSummary, code: str) -> Text:
    """How often, what the code means, and what it was about."""
    count, row, message = summary.errors[code], REGISTRY.get(code), summary.first_errors.get(code)
    worst = summary.worst_errors.get(code, Severity.CRITICAL if row is None else row.severity)
    line = Text(f"{count:,} × {code}", style=_SEVERITY_STYLE.get(worst, "red"))
    if row is not None:
        line.append(f" {row.meaning}")
    line.append_text(Text.assemble(" ", (worst, "dim")))
    if message is not None:
        line.append_text(Text.assemble((": " if count == 1 else ": first ", "dim"), message.partition("\n")[0]))
    return line
