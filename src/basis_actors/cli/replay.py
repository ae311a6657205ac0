"""Defines the command `replay`: holds a run against its own log, or runs it again and compares the two."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from basis_actors.cli.output import output_may_fail
from basis_actors.cli.terminal import DONE, FAILED, complain, messages, results

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from basis_actors.logs.replay import Replay

__all__ = ["replay"]

_CHECKS: Final = (
    ("line", "lines", "{events:,} events, each a whole line of its type"),
    ("number", "numbers", "from 0 without a gap"),
    ("seal", "seals", "every file is what was sealed"),
    ("ledger", "ledger", "{snapshots:,} snapshots are the sum of {deltas:,} deltas, to the last bit"),
    ("pnl", "PnL", "{calculations:,} calculations follow from ledger and marks"),
    ("summary", "summary", "says what the events come to"),
)
_OF_EVENTS: Final = ("line", "number", "ledger", "pnl")
"""What there is nothing to say of where there are no events."""


def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory, a result, or the name of one.")],
    *,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Run it again, from the configuration and the market that it recorded.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --rerun: where the market data are now, if they moved.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --rerun: keep the log of the second run there.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON; with --rerun then one for each event file.")
    ] = False,
) -> None:
    """Rebuild the ledger of a run from its deltas alone, and check every snapshot, every PnL and every seal against it.

    That proves a log that agrees with itself and its seals: no accident changed it. Seals are no signature, and who
    redoes them with the numbers can forge a log. With --rerun the strategy decides once more on the recorded market,
    and the first event at which the two runs part is shown: that finds a forged backtest.
    Exit code 0 without a finding, and for a second run that is the same; 1 otherwise: each finding names file and
    lines, or the event. 2 for a run that kept no event log, and for a second one of a live process whose market did
    not wait for it, which cannot be the same.
    """
    from basis_actors.errors import ConfigError
    from basis_actors.logs.locate import find_run

    run_dir = find_run(run)
    if not rerun:
        for option, value in (("--data", data), ("--out", out)):
            if value is not None:
                raise ConfigError("CONFIG-003", f"{option} {value} is for a second run; add --rerun or leave it out")
    if out is not None and out.resolve() == run_dir.resolve().parents[1]:
        raise ConfigError(
            "CONFIG-003", f"--out {out} holds {run_dir}, and would hold two runs of one name then; give another folder"
        )
    # A second run can be the same as a log in which nobody looked at the sums; it vouches for less than they do.
    code = _check(run_dir, as_json=as_json)
    if rerun:
        code = max(code, _run_again(run_dir, data, out, as_json=as_json))
    raise typer.Exit(code)


def _check(run_dir: Path, *, as_json: bool) -> int:
    import msgspec

    from basis_actors.results.verification import verify

    progress = messages()
    with progress.status(f"replaying {run_dir}") if progress.is_terminal else nullcontext():
        found = verify(run_dir)
    with output_may_fail():
        if as_json:
            sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        else:
            _show(found, results())
    if found.findings:
        count = len(found.findings) + sum(found.more.values())
        complain(f"{_findings(count)}: the log in {found.run_dir} is not what its run wrote", "Not verified")
        return FAILED
    return DONE


def _run_again(run_dir: Path, data: Path | None, out: Path | None, *, as_json: bool) -> int:
    from tempfile import TemporaryDirectory

    from basis_actors.cli.logs.comparison import show_difference
    from basis_actors.cli.progress import progress_display
    from basis_actors.services.rerun import rerun

    with TemporaryDirectory(prefix="basis-actors-") as folder:
        with progress_display(f"{run_dir.parent.name} again", wanted=True) as display:
            display.loading()
            files = rerun(run_dir, out or Path(folder), data=data, progress=display.update)
        parted = any(entry.line is not None for entry in files)
        show_difference(files, as_json=as_json)
    if parted:
        complain(f"the second run of {run_dir} (B) is not the first (A)", "Not the same")
    return FAILED if parted else DONE


def _show(found: Replay, console: Console) -> None:
    from rich.text import Text

    console.print(Text.assemble((found.run_dir, "bold"), "  ", (found.status, "dim")), soft_wrap=True)
    console.print(_verdicts(found))
    for finding in found.findings:
        console.print(
            Text.assemble((f"{finding.check}: ", "red"), (finding.where, "bold"), f": {finding.what}"), soft_wrap=True
        )
    for check, count in found.more.items():
        console.print(Text(f"{check}: and {count:,} more", style="red"))
    for note in found.notes:
        console.print(Text(f"Note: {note}", style="yellow"), soft_wrap=True)
    if found.positions:
        console.print(_ledger(found))


def _verdicts(found: Replay) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for mark, name, text in _rows(found):
        table.add_row(Text(mark, style={"✓": "green", "✗": "bold red"}.get(mark, "dim")), name, text)
    return table


def _rows(found: Replay) -> Iterator[tuple[str, str, str]]:
    numbers = {name: getattr(found, name) for name in ("events", "deltas", "snapshots", "calculations")}
    for check, name, text in _CHECKS:
        count = sum(finding.check == check for finding in found.findings) + found.more.get(check, 0)
        if count:
            yield "✗", name, _findings(count)
        elif check == "summary" and not found.has_summary:
            yield "–", name, "there is none"
        elif check == "seal" and not found.sealed:
            yield "–", name, "there is none yet"
        elif check in _OF_EVENTS and not found.events:
            yield "–", name, "there are no events"
        else:
            yield "✓", name, text.format(**numbers)


def _findings(count: int) -> str:
    return "1 finding" if count == 1 else f"{count:,} findings"


def _ledger(found: Replay) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("sum of all deltas", no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True)
    for key, amount in sorted(found.positions.items()):
        table.add_row(Text(key), f"{amount:,.12g}")
    return table
