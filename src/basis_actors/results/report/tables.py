"""Makes the tables of the report: components, months, worst days with what explains them, gaps, errors, warnings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from math import fsum
from typing import Final

from basis_actors.errors import REGISTRY
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.results.data_report import MissingRows
from basis_actors.results.report.days import DayReturn, month_returns
from basis_actors.results.report.markup import Html, joined, table, tag
from basis_actors.results.report.proof import MOST_A_DAY, Proof, command_for_one, command_for_span
from basis_actors.results.report.record import RunRecord
from basis_actors.results.report.wording import Money, day, moment, percent, plural

__all__ = ["attribution_table", "bullets", "day_sections", "error_table", "gap_table", "month_table", "worst_table"]

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SHADES: Final = 3
_FLAT: Final = 5e-5
"""A return that is shown as 0.00 %."""
_MOST_ERRORS: Final = 200
_MOST_GAPS: Final = 3
_CLOSED: Final = 1e-9
"""Of equity: what sums up to less is rounding."""


def attribution_table(record: RunRecord, money: Money) -> Html:
    """Every component at the end of the log, their sum, and whether that is the change of equity."""
    summary = record.summary
    parts, residual, total = _attribution(record)
    start = summary.equity_start
    largest = max(map(abs, parts.values()), default=0.0)
    rows = [
        (
            name,
            _number(money.text(amount, sign=True, unit=False)),
            _number(_share(amount, start)),
            _bar(amount, largest),
        )
        for name, amount in sorted(parts.items(), key=lambda part: -part[1])
        if amount
    ]
    rows.append(
        (
            "residual",
            _number(money.text(residual, sign=True, unit=False)),
            _number(_share(residual, start)),
            Html("<td></td>"),
        )
    )
    summed = fsum((*parts.values(), residual))
    scale = max(abs(summary.equity_end or 0.0), abs(start or 0.0), 1.0)
    closes = total is not None and abs(summed - total) <= _CLOSED * scale
    if closes and record.damage:
        words, tone = "the log is not whole", "bad"
    elif closes:
        words, tone = "✓ the change of equity" + (" less flows" if summary.external_flows else ""), "good"
    else:
        words, tone = "✗ not the change of equity", "bad"
    verdict = tag("td", words, class_=tone)
    foot = tag(
        "tr",
        Html('<th scope="row">total</th>'),
        _number(money.text(summed, sign=True, unit=False)),
        _number(_share(summed, start)),
        verdict,
        class_="total",
    )
    return table(
        f"Profit and loss by component, {money.currency}",
        ("component", money.currency, "of start", ""),
        [*rows, foot],
        class_="numbers",
    )


def _attribution(record: RunRecord) -> tuple[dict[str, float], float, float | None]:
    """Components, residual and profit as the last calculation has them; those of the summary where no log is."""
    summary = record.summary
    last = record.last_calculation
    if last is None:
        return dict(summary.attribution), summary.residual, summary.total_pnl
    return dict(last.attribution_total), last.residual_total, last.total_pnl


def month_table(days: list[DayReturn]) -> Html:
    """Returns by month and year, shaded by size."""
    months = month_returns(days)
    largest = max(map(abs, months.values()), default=0.0)
    rows = []
    for year in sorted({year for year, _ in months}):
        growth = 1.0
        cells = []
        for month in range(1, 13):
            change = months.get((year, month))
            if change is None:
                cells.append(tag("td", "", class_="none"))
                continue
            growth *= 1.0 + change
            cells.append(tag("td", percent(change, sign=True), class_=_shade(change, largest)))
        rows.append([str(year), *cells, tag("td", percent(growth - 1.0, sign=True), class_="sum")])
    return table("Returns by month", ("year", *_MONTHS, "year’s return"), rows, class_="months")


def _shade(change: float, largest: float) -> str:
    if abs(change) < _FLAT:
        return "flat"
    level = min(_SHADES, 1 + int(abs(change) / largest * _SHADES))
    return f"{'up' if change > 0.0 else 'down'}{level}"


def worst_table(days: list[DayReturn], proofs: dict[date, list[Proof]], money: Money) -> Html:
    """The worst days, each with a link to what explains it."""
    rows = []
    for worst in days:
        name = day(worst.begins)
        events = proofs[worst.begins.date()]
        link = tag("a", plural(len(events), "event"), href=f"#day-{name}")
        rows.append(
            (
                name + ("" if worst.whole else " (part)"),
                _number(percent(worst.change, sign=True, decimals=3)),
                _number(money.text(worst.pnl, sign=True, unit=False)),
                tag("td", link, class_="fixed"),
                tag("td", _largest(worst, money), class_="wide"),
            )
        )
    return table(
        "Worst days, 00:00 to 00:00 UTC",
        ("day", "return", money.currency, "explained by", "mostly from"),
        rows,
        class_="numbers days",
    )


def _largest(worst: DayReturn, money: Money) -> str:
    ordered = sorted(worst.components.items(), key=lambda part: part[1])[:3]
    return ", ".join(f"{name} {money.text(amount, sign=True, unit=False)}" for name, amount in ordered if amount < 0.0)


def day_sections(days: list[DayReturn], proofs: dict[date, list[Proof]], money: Money) -> Iterator[Html]:
    """What happened on each of the worst days, folded away until somebody asks."""
    for worst in sorted(days, key=lambda worst: worst.begins):
        name, rows = day(worst.begins), proofs[worst.begins.date()]
        title = tag(
            "summary",
            tag("strong", name),
            f" {percent(worst.change, sign=True, decimals=3)}, {money.text(worst.pnl, sign=True)}:"
            f" {plural(len(rows), 'event')}",
        )
        parts = ", ".join(
            f"{component} {money.text(amount, sign=True, unit=False)}"
            for component, amount in sorted(worst.components.items(), key=lambda part: part[1])
        )
        body = [tag("p", f"By component, {money.currency}: {parts or 'nothing'}.")]
        if rows:
            body.append(_proof_table(name, rows[:MOST_A_DAY]))
            if rows[MOST_A_DAY:]:
                body.append(tag("p", f"{len(rows) - MOST_A_DAY:,} more are in the log."))
            body.append(tag("p", "In the log ($RUN is the run directory):"))
            body.append(tag("pre", tag("code", _command(rows))))
        else:
            body.append(tag("p", "The log has no event of this day that explains it."))
        yield tag("details", title, *body, id=f"day-{name}", class_="day")


def _command(proofs: list[Proof]) -> str:
    today = [proof for proof in proofs if proof.kind != "decision before"]
    return command_for_span(today) if today else command_for_one(proofs[0])


def _proof_table(name: str, proofs: list[Proof]) -> Html:
    rows = [
        (
            moment(proof.moment) if proof.kind == "decision before" else f"{proof.moment:%H:%M}",
            tag("td", proof.kind, class_=_tone(proof.kind)),
            tag("td", proof.text, class_="story"),
            tag(
                "td",
                tag(
                    "button",
                    f"{proof.sequence}",
                    type="button",
                    class_="proof",
                    title=command_for_one(proof),
                    aria_label=f"Copy the command that shows event {proof.sequence} of {proof.file}",
                ),
                tag("span", f" {proof.file}", class_="dim"),
            ),
        )
        for proof in proofs
    ]
    return table(
        f"Events of {name} that explain it", ("UTC", "what", "in words", "sequence and file"), rows, class_="events"
    )


def _tone(kind: str) -> str | None:
    return "bad" if kind in ("failed order", "liquidation", "limit", "error") else None


def gap_table(record: RunRecord) -> Html | None:
    """What the data lacked, None where nothing."""
    summary = record.summary
    stretches = {used.name: used.gaps for used in record.data.series} if record.data is not None else {}
    rows = [
        (name, _number(f"{hours:,.0f} h"), tag("td", _stretches(stretches.get(name, [])), class_="wide"))
        for name, hours in sorted(summary.data_gaps.items())
        if hours
    ]
    rows += [
        (f"{perp}: funding without a rate", _number(plural(count, "settlement")), Html("<td></td>"))
        for perp, count in sorted(summary.missed_funding.items())
        if count
    ]
    return (
        table("Gaps inside the window", ("series", "missing", "longest gaps, UTC"), rows, class_="gaps")
        if rows
        else None
    )


def _stretches(gaps: list[MissingRows]) -> str:
    longest = sorted(gaps, key=lambda gap: (-gap.hours, gap.first))[:_MOST_GAPS]
    told = [
        f"{moment(gap.first)} to {moment(gap.last)}" if gap.rows > 1 else moment(gap.first)
        for gap in sorted(longest, key=lambda gap: gap.first)
    ]
    more = [f"and {len(gaps) - _MOST_GAPS:,} more"] if len(gaps) > _MOST_GAPS else []
    return "; ".join((*told, *more))


def error_table(record: RunRecord) -> Html | None:
    """System errors one by one as far as there is room, None where there were none."""
    rows: list[tuple[str, ...]] = []
    more = 0
    for error in record.log.events(SystemErrorEvent):
        if len(rows) == _MOST_ERRORS:
            more += 1
            continue
        known = REGISTRY.get(error.error_code)
        rows.append(
            (
                moment(error.timestamp),
                tag("td", f"{error.severity} {error.error_code}", class_="bad"),
                tag("td", "" if known is None else known.meaning),
                tag("td", f"{error.component}: {error.message}", class_="story"),
                _number(f"{error.sequence}"),
            )
        )
    if not rows:
        return None
    note = [tag("p", f"{more:,} more are in events/system_errors.jsonl.")] if more else []
    return joined(
        [table("System errors", ("UTC", "code", "meaning", "in words", "sequence"), rows, class_="events"), *note]
    )


def bullets(title: str, lines: list[str]) -> Html:
    """One line each, under a heading."""
    return tag("div", tag("h3", title), tag("ul", *(tag("li", text) for text in lines)), class_="box")


def _number(text: str) -> Html:
    return tag("td", text, class_="number")


def _share(amount: float, start: float | None) -> str:
    return "" if not start else percent(amount / start, sign=True)


def _bar(amount: float, largest: float) -> Html:
    width = 0.0 if not largest else abs(amount) / largest * 100
    return tag(
        "td",
        tag("span", class_=f"bar {'up' if amount > 0.0 else 'down'}", style=f"width:{max(width, 0.5):.1f}%"),
        class_="bars",
        aria_hidden="true",
    )
