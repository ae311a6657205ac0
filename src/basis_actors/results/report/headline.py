"""Says the most important first: what was run, how it ended, and its numbers as cards."""

from __future__ import annotations

from collections.abc import Iterator

from basis_actors.logs.directory import RunStatus
from basis_actors.results.report.markup import Html, tag
from basis_actors.results.report.record import RunRecord
from basis_actors.results.report.wording import Money, counts, moment, percent, plural
from basis_actors.results.summary import too_short_to_annualise

__all__ = ["banners", "cards", "head_line"]


def head_line(record: RunRecord) -> Iterator[Html]:
    """Mode, what it is, window, and in one word how it ended."""
    summary, metadata = record.summary, record.metadata
    word, tone = _verdict(record)
    yield tag("h1", *_breakable(summary.mode), tag("span", word, class_=f"chip {tone}"))
    if record.effective is not None and record.effective.mode.description:
        yield tag("p", record.effective.mode.description, class_="lead")
    window = (
        f"{moment(summary.start)} to {moment(summary.end)} UTC"
        if summary.start is not None
        else "no tick with a valued book"
    )
    ticks = plural(summary.ticks, "tick")
    origin = (
        summary.data_origin if summary.synthetic_seed is None else "synthetic market: generated prices, not history"
    )
    yield tag(
        "p",
        " · ".join((window, ticks, summary.share_class or summary.currency, origin, metadata.correlation_id)),
        class_="dim",
    )


def _breakable(name: str) -> Iterator[str]:
    """A name that a narrow page may break after its underscores."""
    for part in name.split("_")[:-1]:
        yield f"{part}_"
        yield tag("wbr")
    yield name.split("_")[-1]


def _verdict(record: RunRecord) -> tuple[str, str]:
    summary, status = record.summary, record.metadata.status
    if summary.failure is not None or status is RunStatus.FAILED:
        return "failed", "bad"
    if not record.has_summary:
        return ("still running", "warn") if record.goes_on else ("killed", "bad")
    if summary.partial or status is RunStatus.PARTIAL:
        return "interrupted", "warn"
    if summary.stopped is not None:
        return "trading was stopped", "warn"
    return "completed", "good"


def banners(record: RunRecord) -> Iterator[Html]:
    """What a person must know before believing any number."""
    summary, metadata = record.summary, record.metadata
    failure = summary.failure or (metadata.failure if metadata.status is RunStatus.FAILED else None)
    if failure is not None:
        yield _banner("bad", "The run failed.", f"{failure}. What follows is what it came to until then.")
    elif record.has_summary and (summary.partial or metadata.status is RunStatus.PARTIAL):
        reason = f": {metadata.failure}" if metadata.failure else ""
        yield _banner("warn", "The run was interrupted", f"after {plural(summary.ticks, 'tick')}{reason}.")
    if summary.stopped is not None:
        yield _banner("warn", "Trading was stopped before the end.", summary.stopped)
    if not record.has_summary:
        title = "The run left no summary."
        if metadata.status is RunStatus.RUNNING:
            title = "The run goes on." if record.goes_on else "The run was killed: it left no summary."
        yield _banner(
            "warn" if record.goes_on else "bad",
            title,
            "All numbers here were worked out from its log"
            + (f", which ends at {moment(summary.end)} UTC" if summary.end is not None else "")
            + "; what had not been written by then is not in them.",
        )
    if record.damage and record.has_summary:
        text = "; ".join(record.damage)
        yield _banner("bad", "The log is not whole.", f"What is drawn here is what is left of it: {text}.")
    if record.last_calculation is None:
        if summary.ticks or summary.events:
            yield _banner("warn", "There is no event log to draw from.", "The numbers are those of the summary.")
        else:
            yield _banner("warn", "The run never came to a tick.", "There is nothing to draw.")
    if summary.synthetic_seed is not None:
        yield _banner("note", "Synthetic market.", f"Prices were generated from seed {summary.synthetic_seed}.")


def _banner(tone: str, title: str, text: str) -> Html:
    return tag("p", tag("strong", title), f" {text}", class_=f"banner {tone}", role="alert" if tone == "bad" else None)


def cards(record: RunRecord, money: Money) -> Html:
    """The numbers that people ask for first. What has no meaning for this run is left out."""
    return tag(
        "dl", *(_card(*found) for found in _numbers(record, money)), class_="cards", aria_label="Headline numbers"
    )


def _card(name: str, value: str, note: str, tone: str = "") -> Html:
    return tag(
        "div",
        tag("dt", name),
        tag("dd", tag("span", value, class_=f"value {tone}".strip()), tag("span", note, class_="dim") if note else ""),
        class_="card",
    )


def _numbers(record: RunRecord, money: Money) -> Iterator[tuple[str, str, str, str]]:
    summary = record.summary
    if summary.total_return is not None:
        yield (
            "Return",
            percent(summary.total_return, sign=True),
            money.text(summary.total_pnl, sign=True),
            _tone(summary.total_return),
        )
    if (short := too_short_to_annualise(summary.start, summary.end)) is not None:
        yield "Annualised", "–", short, ""
    elif summary.annualised_return is not None:
        yield "Annualised", percent(summary.annualised_return, sign=True), "compounded", ""
    if summary.equity_end is not None:
        yield (
            "Equity at the end",
            money.text(summary.equity_end, unit=False),
            f"{money.currency}, from {money.text(summary.equity_start, unit=False)}",
            "",
        )
    if summary.external_flows:
        yield "Deposits − withdrawals", money.text(summary.external_flows, unit=False), money.currency, ""
    if summary.equity_end is not None:
        yield (
            "Max drawdown, daily",
            percent(summary.max_drawdown),
            f"{percent(summary.max_drawdown_intraday)} intraday",
            "",
        )
    if summary.sharpe is not None:
        yield (
            "Sharpe ratio",
            f"{summary.sharpe:.2f}".replace("-", "−"),
            f"volatility {percent(summary.volatility)}; of daily returns",
            "",
        )
    if summary.time_invested is not None:
        yield "Time invested", percent(summary.time_invested), "", ""
    if summary.lowest_health_factor is not None:
        yield "Lowest health factor", f"{summary.lowest_health_factor:.4f}", "1 is liquidation", ""
    if summary.lowest_margin_ratio is not None:
        yield "Lowest margin ratio", percent(summary.lowest_margin_ratio, decimals=1), "of notional", ""
    if summary.unhedged_hours is not None:
        yield "Hours unhedged", f"{summary.unhedged_hours:,.0f}", "", "bad" if summary.unhedged_hours else ""
    yield (
        "Orders",
        f"{summary.orders:,}",
        counts(summary.orders_by_status) if summary.orders else "",
        "bad" if summary.rejections else "",
    )
    yield "Liquidations", f"{summary.liquidations:,}", "", "bad" if summary.liquidations else ""
    yield "Errors", f"{summary.error_count:,}", ", ".join(summary.errors), "bad" if summary.error_count else ""


def _tone(value: float) -> str:
    return "" if not value else "good" if value > 0.0 else "bad"
