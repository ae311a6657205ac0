"""Defines the commands `results list`, `show`, `compare`, `make` and `delete`. `result_tables` says how they look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from basis_actors.cli.terminal import BAD_INPUT, DONE, FAILED, complain
from basis_actors.cli.terminal import results as console
from basis_actors.logs.locate import RESULTS_ROOT

if TYPE_CHECKING:
    from basis_actors.results.store import StoredResult

__all__ = ["results"]

results = typer.Typer(no_args_is_help=True, help="Look at the results of runs.")

_NAMED = 5
"""Missing files that a note names."""

Name = Annotated[str, typer.Argument(metavar="ID", help="Of a result, or its folder.")]
Root = Annotated[Path, typer.Option("--root", metavar="DIR", help="Folder of the results.")]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]


@results.callback()
def _results() -> None:
    """Look at the results of runs."""


@results.command("list")
def list_results(*, root: Root = RESULTS_ROOT, as_json: Json = False) -> None:
    """List the results, the newest run first: what each came to, how it ended, and its size on disk.

    A result of which files are missing is named on standard error.
    Exit code 2 when a folder there looks like a result and cannot be read.
    """
    from basis_actors.cli.result_tables import print_list
    from basis_actors.results.store import ResultStore

    store = ResultStore(root)
    found = store.list()[::-1]
    if as_json:
        _print([_row(result) for result in found])
    elif found:
        print_list(found)
    else:
        console().print(f"no results in {root}", soft_wrap=True)
    for result in found:
        _note_missing(result)
    for problem in store.damaged:
        complain(str(problem))
    raise typer.Exit(BAD_INPUT if store.damaged else DONE)


@results.command("show")
def show(name: Name, *, root: Root = RESULTS_ROOT, as_json: Json = False) -> None:
    """Show the summary of a result as the run printed it, and which files the result has."""
    import msgspec

    from basis_actors.cli.result_tables import print_files
    from basis_actors.results.render import print_summary
    from basis_actors.results.store import ResultStore

    result, files = ResultStore(root).show(name)
    summary = msgspec.structs.replace(result.summary, run_dir=str(result.run_dir), result_dir=str(result.path))
    if as_json:
        sizes = {file.name: file.bytes for file in files}
        _print({**_row(result), "summary": summary, "metadata": result.metadata, "files": sizes})
    else:
        print_summary(summary, console())
        console().print()
        print_files(files, console())
    _note_missing(result)


@results.command("compare")
def compare(
    name: Annotated[str, typer.Argument(metavar="A", help="The result that is compared with.")],
    other: Annotated[str, typer.Argument(metavar="B", help="The result that is set against it.")],
    *,
    root: Root = RESULTS_ROOT,
    as_json: Json = False,
) -> None:
    """Set two results side by side: numbers, attribution, and what differs in configuration and data."""
    from basis_actors.cli.result_tables import print_comparison
    from basis_actors.results.store import ResultStore

    comparison = ResultStore(root).compare(name, other)
    if as_json:
        _print(comparison)
    else:
        print_comparison(comparison, console())


@results.command("make")
def make(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory, or the name of one.")],
    *,
    root: Root = RESULTS_ROOT,
    as_json: Json = False,
) -> None:
    """Make the result of a run that has none: it was run without, it could not be written, or it was deleted.

    Also of a run that failed or was interrupted. Prints where it is.
    """
    from basis_actors.cli.progress import result_display
    from basis_actors.logs.locate import find_run
    from basis_actors.results.store import ResultStore

    with result_display(wanted=not as_json) as update:
        made = ResultStore(root).make(find_run(run), update)
    if as_json:
        _print(_row(made))
    else:
        typer.echo(made.path)


@results.command("delete")
def delete(
    name: Name,
    *,
    root: Root = RESULTS_ROOT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a result. The run directory that it was made of stays where it is.

    Exit code 1 when the answer is no.
    """
    from rich.filesize import decimal

    from basis_actors.results.store import ResultStore

    store = ResultStore(root)
    path, size = store.locate(name)
    if not yes and not typer.confirm(f"Delete {path} ({decimal(size)})?", err=True):
        complain("nothing was deleted", "Left")
        raise typer.Exit(FAILED)
    store.delete(path.name)
    if as_json:
        _print({"deleted": path.name, "path": str(path), "bytes": size})
    else:
        console().print(f"Deleted {path}; the run directory that it was made of stays", soft_wrap=True)


def _note_missing(result: StoredResult) -> None:
    if result.missing:
        names = ", ".join(result.missing[:_NAMED])
        more = f" and {len(result.missing) - _NAMED} more" if len(result.missing) > _NAMED else ""
        lacks = f"{result.path} is not as it was made: {names}{more} missing"
        complain(f"{lacks}; delete it, and make it again with `results make`", "Note")


def _row(result: StoredResult) -> dict[str, Any]:
    """What `list` tells of a result."""
    summary, metadata = result.summary, result.metadata
    return {
        "id": result.id,
        "path": str(result.path),
        "mode": summary.mode,
        "share_class": summary.share_class,
        "start": summary.start,
        "end": summary.end,
        "total_return": summary.total_return,
        "max_drawdown": summary.max_drawdown,
        "sharpe": summary.sharpe,
        "status": metadata.status,
        "failure": metadata.failure,
        "run_at": metadata.started_at,
        "bytes": result.bytes,
        "missing": result.missing,
    }


def _print(value: object) -> None:
    import msgspec

    typer.echo(msgspec.json.encode(value))
