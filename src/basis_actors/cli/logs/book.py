"""Defines the commands `logs at` and `logs positions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.logs.asking import AsJson, Limit, Run, newest, opened, print_rows

if TYPE_CHECKING:
    from basis_actors.cli.logs.tables import Page
    from basis_actors.logs.queries.book import Book
    from basis_actors.logs.queries.positions import Change, Checked

__all__ = ["at", "positions"]

_ROUNDING = 1e-9
"""Of equity: what is smaller is the rounding of sums."""


def at(
    run: Run,
    timestamp: Annotated[str, typer.Argument(metavar="TIMESTAMP", help="UTC unless it has a zone: 2024-01-08T19:00.")],
    *,
    as_json: AsJson = False,
) -> None:
    """The whole book as it was last seen at a time of the engine, with the decision that followed.

    `--json` prints one row: asked, moment, next_tick, holdings, and events by the stem of their file.
    """
    import msgspec

    from basis_actors.logs.queries.book import book_at
    from basis_actors.services.inputs import moment_of

    when = moment_of(timestamp, "TIMESTAMP")
    book = book_at(opened(run), when)
    if as_json:
        events = {one.event.FILE: msgspec.Raw(one.line.rstrip(b"\n")) for one in book.found}
        row = {"asked": when, "moment": book.moment, "next_tick": book.next_tick, "holdings": book.holdings}
        print_rows([row | {"events": events}])
    else:
        _print_book(book)


def _print_book(book: Book) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page, moment

    page = Page()
    when = "the last snapshot of the log"
    if book.next_tick is not None:
        when = f"the next snapshot is of {moment(book.next_tick)}, {book.next_tick - book.moment} later"
    page.print(Text.assemble(("Book of ", ""), (moment(book.moment), "bold"), f" UTC; {when}"))
    if book.asked != book.moment:
        page.print(Text(f"Asked for {moment(book.asked)}, {book.asked - book.moment} after it", style="dim"))
    page.print("")
    _print_holdings(page, book)
    _print_exposure(page, book)
    _print_risk(page, book)
    _print_pnl(page, book)
    if book.decision is not None:
        event = book.decision.event
        what = f"{event.decision_type} ({event.action_taken}), {event.orders_generated} orders, of "
        page.print(Text.assemble(("\nDecision ", "bold"), what, moment(event.timestamp)), Text(event.reasoning))


def _print_holdings(page: Page, book: Book) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import number

    grid = page.grid(("position",), ("amount",), ("price",), ("value USDT",), right=("amount", "price", "value USDT"))
    for holding in book.holdings:
        value = "–" if holding.value is None else f"{holding.value:,.2f}"
        grid.row(
            (holding.position_key,),
            (number(holding.amount),),
            (number(holding.price),),
            (Text(value if holding.in_equity else f"({value})", style="" if holding.in_equity else "dim"),),
        )
    page.print(grid if book.holdings else "No positions.")
    if any(not holding.in_equity for holding in book.holdings):
        page.print(Text("(notional of a perpetual; in equity by its unrealised PnL alone)", style="dim"))


def _print_exposure(page: Page, book: Book) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import number

    if book.exposure is None:
        return
    event = book.exposure.event
    grid = page.grid(("exposure",), ("net amount",), ("USD",), ("of equity",), right=("net amount", "USD", "of equity"))
    for asset, exposure in sorted(event.asset_exposures.items()):
        grid.row(
            (asset,),
            (number(exposure.quantity if abs(exposure.percentage) > _ROUNDING else 0.0),),
            (f"{exposure.usd_value:,.2f}",),
            (f"{exposure.percentage:.2%}",),
        )
    page.print("", grid)
    delta = "not known" if event.net_delta_usd is None else f"{event.net_delta_usd:,.2f} USD"
    page.print(Text(f"Net delta {delta}"))


def _print_risk(page: Page, book: Book) -> None:
    from rich.text import Text

    if book.risk is None:
        return
    event = book.risk.event
    parts = [f"{name} {ratio:.4f}" for name, ratio in event.margin_ratio.items()]
    said = [f"margin ratio {', '.join(parts)}"] if parts else []
    named = (("health factor", event.health_factor), ("LTV", event.ltv_ratio), ("drawdown", event.drawdown))
    said += [f"{name} {value:.4f}" for name, value in named if value is not None]
    page.print(Text.assemble(("\nRisk ", "bold"), event.risk_level, "".join(f"; {text}" for text in said)))
    for text, style in (*((one, "red") for one in event.breaches), *((one, "yellow") for one in event.warnings)):
        page.print(Text(f"• {text}", style=style))


def _print_pnl(page: Page, book: Book) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import number, signed

    if book.pnl is None:
        return
    event = book.pnl.event
    least = _ROUNDING * abs(event.equity)
    parts = ", ".join(
        f"{name} {number(value)}" for name, value in event.attribution_total.items() if abs(value) > least
    )
    since = f"PnL since the start {signed(event.total_pnl)}"
    made_of = f"realised {signed(event.realized_pnl)}, unrealised {signed(event.unrealized_pnl)}"
    page.print(Text.assemble(("\nEquity ", "bold"), f"{number(event.equity)}; {since}: {made_of}"))
    page.print(Text(parts or "nothing to attribute yet"))


def positions(
    run: Run,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="A position key, its beginning (`aave`), or with `*`: 'aave:*'.")
    ],
    *,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """The history of a position: each change and the balance after it, which is checked against the snapshots.

    `--json` prints rows: sequence, timestamp, position_key, source, delta, balance, operation_id, price, index.
    Exit code 0 also where snapshots differ; that is said on standard error.
    """
    from basis_actors.cli.terminal import complain
    from basis_actors.logs.queries.positions import Checked, history

    checked = Checked()
    changes = history(opened(run), key, checked)
    if as_json:
        print_rows(changes)
    else:
        total, kept = newest(changes, limit)
        _print_history(list(kept), total, checked)
    if checked.differing:
        complain(
            f"{checked.differing:,} of {checked.snapshots:,} snapshots differ from the sum of the deltas; first:"
            f" {checked.first}",
            "Note",
        )


def _print_history(kept: list[Change], total: int, checked: Checked) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page, moment, number, signed

    page = Page()
    grid = page.grid(
        ("time", "source"), ("position", "operation"), ("change", "at price", "at index"), ("balance", "event"),
        right=("change", "at price", "at index", "balance", "event"),
    )  # fmt: skip
    for change in kept:
        grid.row(
            (moment(change.timestamp), Text(change.source.value, style="dim")),
            (change.position_key, Text(change.operation_id or "", style="dim")),
            (
                Text(signed(change.delta), style="green" if change.delta > 0.0 else "red"),
                Text("" if change.price is None else f"at {number(change.price)}", style="dim"),
                Text("" if change.index is None else f"index {number(change.index)}", style="dim"),
            ),
            (Text(number(change.balance), style="bold"), Text(f"#{change.sequence}", style="dim")),
        )
    page.print(grid)
    shown = f", the last {len(kept):,} shown" if len(kept) < total else ""
    page.print(Text(f"\n{total:,} changes{shown}"))
    for name, balance in sorted(checked.balances.items()):
        page.print(Text(f"{number(balance):>24}  {name}"))
    agree = checked.snapshots - checked.differing
    exactly = "" if checked.largest else " to the last digit"
    off = f" (largest difference {checked.largest:.1g} of the balance)" if checked.largest else ""
    said = f"{agree:,} of {checked.snapshots:,} snapshots agree{exactly}{off}"
    page.print(Text(said if checked.snapshots else "There are no sealed snapshots yet to check this against."))
