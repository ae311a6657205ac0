"""Defines the command `logs diff`: where two runs part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.logs.asking import AsJson, opened, print_rows
from basis_actors.cli.output import output_may_fail
from basis_actors.cli.terminal import DONE, FAILED

if TYPE_CHECKING:
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page
    from basis_actors.logs.queries.difference import FileDifference, Value

__all__ = ["diff", "show_difference"]

_FIELDS_SHOWN = 20


def diff(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="As RUN of the other commands.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B")],
    *,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare sequence, wall clock, run id, pid and durations as well.")
    ] = False,
    rel: Annotated[
        float, typer.Option(metavar="SHARE", help="How much numbers may differ, as a share of the larger one.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Where two runs part: for each event file, the first line that differs, field by field.

    Files are compared each for itself: only the Sim runtime promises an order over all of them. `--json` prints a row
    for each: file, same (equal lines), line (null where the files are the same), fields (path to both values), a and b
    (the events). Exit code 1 when the runs differ.
    """
    from basis_actors.logs.queries.difference import difference

    found = list(difference(opened(run_a), opened(run_b), exact=exact, rel=rel))
    show_difference(found, as_json=as_json)
    raise typer.Exit(FAILED if any(entry.line is not None for entry in found) else DONE)


def show_difference(found: list[FileDifference], *, as_json: bool) -> None:
    """Print how two runs compare, as a table or a row of JSON for each event file."""
    with output_may_fail():  # the exit code tells which of the two it is, also where nobody reads on
        if as_json:
            print_rows(found)
        else:
            _print(found)


def _print(found: list[FileDifference]) -> None:
    from rich.text import Text

    from basis_actors.cli.logs.tables import Page
    from basis_actors.logs.queries.difference import first_parting

    page = Page()
    grid = page.grid(("file",), ("same lines",), ("",), right=("same lines",))
    for entry in found:
        state = Text("identical", style="green") if entry.line is None else _state(entry)
        grid.row((entry.file,), (f"{entry.same:,}",), (state,))
    page.print(grid)
    first = first_parting(found)
    if first is None:
        page.print(Text("\nThe runs are the same.", style="bold green"))
        return
    ordered = [first, *(entry for entry in found if entry.line is not None and entry is not first)]
    for entry in ordered:
        title = "First to part" if entry is first else "Parts as well"
        page.print(Text.assemble((f"\n{title}: ", "bold"), f"{entry.file}, line {entry.line:,}"))
        _print_fields(page, entry)


def _state(entry: FileDifference) -> Text:
    from rich.text import Text

    if entry.a is None or entry.b is None:
        ended, other = ("A", "B") if entry.a is None else ("B", "A")
        return Text(f"{ended} ends, {other} has line {entry.line:,}", style="red")
    return Text(f"parts at line {entry.line:,}, in {len(entry.fields)} fields", style="red")


def _shown(value: Value) -> str:
    """A value as JSON. An object or a list comes as JSON already, and is not put between quotation marks again."""
    import json

    if isinstance(value, str) and value.startswith(("{", "[")):
        return value
    return json.dumps(value, ensure_ascii=False)


def _print_fields(page: Page, entry: FileDifference) -> None:
    import json

    from rich.text import Text

    if entry.a is None or entry.b is None:
        ended, line = ("A", entry.b) if entry.a is None else ("B", entry.a)
        page.print(Text(f"{ended} has ended; the other one has {bytes(line or b'').decode()}"))
        return
    event = json.loads(bytes(entry.a))
    page.print(Text(f"A: event {event.get('sequence')} of {event.get('timestamp')}", style="dim"))
    grid = page.grid(("field",), ("A",), ("B",))
    for path, (one, other) in list(entry.fields.items())[:_FIELDS_SHOWN]:
        grid.row((path,), (_shown(one),), (_shown(other),))
    page.print(grid)
    if len(entry.fields) > _FIELDS_SHOWN:
        page.print(Text(f"and {len(entry.fields) - _FIELDS_SHOWN} fields more (--json)", style="dim"))
