"""Defines the commands `kill`, `resume` and `status`: how a running process is told what to do, and asked how it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.terminal import DONE, FAILED, NOT_RUNNING, complain, results

if TYPE_CHECKING:
    from basis_actors.messages.safety import Latch, NewRiskPutOff, SilentVenue, StartReport, SwitchStatus
    from basis_actors.services.control.left_behind import Ending, LastSeen
    from basis_actors.services.control.protocol import Answer

__all__ = ["kill", "resume", "status"]

_Mode = Annotated[
    str | None,
    typer.Argument(metavar="MODE", help="Mode of the process; may be left out where there is only one."),
]
_State = Annotated[
    Path, typer.Option(metavar="DIR", envvar="BASIS_ACTORS_STATE", help="State folder that the process was given.")
]
_Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]
_ROOT = Path("state")
_ON_PAPER = "nothing is open in the world, and the next paper process begins with its own capital"


def _as_text(reason: str) -> str:
    """What a person has typed, even where the terminal writes no UTF-8: a kill is not refused for its reason."""
    return reason.encode(errors="surrogateescape").decode(errors="replace")


def kill(
    mode: _Mode = None,
    *,
    flatten: Annotated[bool, typer.Option("--flatten", help="Have the book closed, step by step.")] = False,
    reason: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Kept with the latch. That of an earlier kill stays without one, and where it asked for as much.",
            callback=_as_text,
        ),
    ] = "",
    state: _State = _ROOT,
) -> None:
    """Stop trading, until somebody resumes it. A restart does not.

    Without --flatten everything stays as it is: the strategy decides nothing any more, and nothing is sent. With it
    the strategy closes the book as in an emergency, with orders that only reduce. The command does not wait for that:
    the line `book` of `status` says "is closed" once it is done. While a start waits for an exchange nothing is closed
    anywhere: the command says so, and the closing begins once every exchange has answered.

    Exit codes: 0 stopped, and closing the book has been asked for; 1 refused in whole or in part, or nothing can be
    closed yet, 2 bad input, 3 no process: the next one will begin killed.
    """
    from basis_actors.services.control.client import NoProcess, ask, find_state
    from basis_actors.services.control.left_behind import only_on_paper
    from basis_actors.services.control.protocol import KillRequest

    path = find_state(state, mode)
    try:
        answer = ask(path, KillRequest(reason=reason, flatten=flatten))
    except NoProcess as nobody:
        latch = _kill_the_next(path, reason, flatten=flatten)
        paper = f"; {_ON_PAPER}" if only_on_paper(path) else ""
        complain(f"{nobody.message}; the next one begins {latch.state}: {latch.reason}{paper}", "No process")
        raise typer.Exit(NOT_RUNNING) from None
    code, why_open = _done(answer), answer.status.unclosed
    if reason and answer.status.latch.reason != reason:
        complain("the reason of that stays", "Killed already")
    if flatten and why_open is not None:
        complain(why_open, "Killed, but")
        code = FAILED
    raise typer.Exit(code)


def resume(mode: _Mode = None, *, state: _State = _ROOT) -> None:
    """Let trading go on, if nothing holds any more that would stop it.

    Where orders have failed new risk does not wait any longer either.

    Exit codes: 0 resumed, or running as it was; 1 refused, 2 bad input, 3 no process.
    """
    from basis_actors.services.control.client import NoProcess, ask, find_state, latch_left_behind
    from basis_actors.services.control.protocol import ResumeRequest

    path = find_state(state, mode)
    try:
        answer = ask(path, ResumeRequest())
    except NoProcess as nobody:
        latch = latch_left_behind(path, datetime.now(UTC))
        kept = f"; the next one begins {latch.state}: {latch.reason}; start it, and resume it then"
        complain(nobody.message + ("" if latch.state == "running" else kept), "No process")
        raise typer.Exit(NOT_RUNNING) from None
    raise typer.Exit(_done(answer))


def status(mode: _Mode = None, *, state: _State = _ROOT, as_json: _Json = False) -> None:
    """Show whether a process trades, and if not why.

    Exit codes: 0 trading; 1 starting, stopping, stopped or killed; 2 bad input, 3 no process.
    """
    import msgspec

    from basis_actors.services.control.client import NoProcess, ask, find_state, latch_left_behind, start_refused
    from basis_actors.services.control.left_behind import last_seen, only_on_paper
    from basis_actors.services.control.protocol import AskStatus

    path = find_state(state, mode)
    try:
        answer = ask(path, AskStatus())
    except NoProcess as nobody:
        paper = only_on_paper(path)
        latch, last = latch_left_behind(path, datetime.now(UTC)), last_seen(path, on_accounts=not paper)
        refused = start_refused(path)
        if as_json:
            said = {"process": None, "next_latch": latch, "last_seen": last, "refused": refused, "only_on_paper": paper}
            typer.echo(msgspec.json.encode(said).decode())
        else:
            _print_left_behind(nobody.message, latch, last, refused, on_paper=paper)
        raise typer.Exit(NOT_RUNNING) from None
    if as_json:
        typer.echo(msgspec.json.encode(answer).decode())
    else:
        _print_status(answer)
    now = answer.status
    trades = now.latch.state == "running" and not (now.halted or now.instead or now.unwritable)
    raise typer.Exit(DONE if trades else FAILED)


def _kill_the_next(path: Path, reason: str, *, flatten: bool) -> Latch:
    import getpass
    import os

    from basis_actors.messages.safety import Latch, TradingState
    from basis_actors.services.control.client import latch_without_process

    who = f"{getpass.getuser()} (uid {os.geteuid()}, pid {os.getpid()})"
    now = datetime.now(UTC)
    latch = Latch(state=TradingState.KILLED, reason=reason, who=who, since=now, flatten=flatten)
    return latch_without_process(path, latch)


def _done(answer: Answer) -> int:
    _print_status(answer)
    if answer.refusal is None:
        return DONE
    complain(answer.refusal, "Refused")
    return FAILED


def _print_status(answer: Answer) -> None:
    now = answer.status
    rows = [("process", str(answer.process)), *_latch_rows(now.latch, now.instead)]
    if now.latch.flatten:
        rows.append(("book", _closing(now)))
    if now.start is not None:
        rows += _start_rows(now.start)
    stopped = now.latch.state != "running" or now.halted is not None
    if now.halted is not None and now.latch.state == "running":
        rows.append(("halted", now.halted))
    rows += [("new risk", f"is not sent: {problem}") for problem in now.unwritable]
    if now.put_off is not None:
        rows.append(
            ("new risk", f"waits until {_moment(now.put_off.until)}, {_failed(now.put_off)}; `resume` ends that")
        )
    rows += [("look at", concern) for concern in now.concerns]
    if stopped:
        rows += [("still holds", cause) for cause in now.causes]
    if now.instead is None:
        rows.append(("decided", now.decided or _awaited(now)))
    rows += _waiting_rows(now)
    equity = "not known" if now.equity is None else f"{now.equity:,.2f}"
    rows.append(("ticks", f"{now.ticks:,}; risk {now.risk_level or 'not known'}, equity {equity}"))
    if answer.run_dir is not None:
        rows.append(("log", answer.run_dir))
    if now.positions_at is not None:
        rows.append(("as of", _age_of_the_book(now)))
    elif now.start is not None:
        rows.append(("held", _held_before(now.start)))
    _print_rows(rows)
    positions = now.positions if now.start is None else now.start.held
    if positions:
        _print_positions(positions)


def _start_rows(start: StartReport) -> list[tuple[str, str]]:
    """What becomes of what is open while the process starts."""
    rows = [("cut in two", group) for group in start.cut_groups]
    if start.waits_for:
        names = ", ".join(venue.domain for venue in start.waits_for)
        there = f"; there are answers of {', '.join(start.answered)}" if start.answered else ""
        rows.append(("until then", f"nothing is sent anywhere before {names} answers{there}"))
    return rows


def _held_before(start: StartReport) -> str:
    """When what is shown was held."""
    if start.held_at is None:
        return "not known before the accounts are read"
    return f"{_moment(start.held_at)}, by an earlier process; not read from the exchanges yet"


def _waiting_rows(now: SwitchStatus) -> list[tuple[str, str]]:
    """What the process waits for, and what nobody knows."""
    rows = [_silent_row(venue) for venue in now.silent]
    rows += [("halted", f"{domain}: {why}") for domain, why in now.halted_venues.items()]
    for order in now.undecided:
        what = f"{order.side} {order.amount:,.6g} {order.symbol} on {order.venue}"
        rows.append(("undecided", f"{what}, sent {_moment(order.since)} as {order.client_id} ({order.operation_id})"))
    if now.tick is not None:
        waits = f"; waits for {'; '.join(now.tick.waits_for)}" if now.tick.waits_for else ""
        rows.append(("at work", f"tick {now.tick.number + 1:,}, since {_moment(now.tick.since)}{waits}"))
    return rows


def _silent_row(venue: SilentVenue) -> tuple[str, str]:
    """Whether an exchange gives no answer, or is not asked for one."""
    since = f"since {_moment(venue.since)}"
    if venue.left_alone_until is None:
        return "no answer", f"{venue.domain}, {since}"
    return "not asked", f"{venue.domain}, {since}: it wants to be left alone until {_moment(venue.left_alone_until)}"


def _age_of_the_book(now: SwitchStatus) -> str:
    """When what is shown was so."""
    assert now.positions_at is not None, "asked only of a book"
    old = "; the tick at work may change it" if now.tick is not None else ""
    return f"{_moment(now.positions_at)}{old}"


def _failed(put_off: NewRiskPutOff) -> str:
    times = "once" if put_off.failures == 1 else f"{put_off.failures:,} times"
    return f"as orders failed {times} since it was last taken"


def _moment(time: datetime) -> str:
    from basis_actors.times import utc_text

    return utc_text(time.replace(microsecond=0))


def _print_left_behind(
    nobody: str, latch: Latch, last: LastSeen | None, refused: str | None, *, on_paper: bool
) -> None:
    """What is known where no process runs: how the next one begins, and what the last one held when it was seen."""

    rows = [("process", nobody)]
    if last is not None:
        rows.append(("ended", _ended(last.ending)))
    if refused is not None:
        rows.append(("next", f"does not start on accounts: {refused}"))
    elif latch.state == "running":
        rows.append(("next", "begins free to trade"))
    if latch.state != "running":
        rows += _latch_rows(latch, None)
        if latch.flatten:
            rows.append(("book", "there is none to close" if on_paper else "is to be closed by the next process"))
    if on_paper:
        rows.append(("paper", _ON_PAPER))
    if last is None or last.at is None or last.positions is None:
        rows.append(("held", "not known" if last is None else f"not known, {last.run_dir} does not say it"))
    else:
        rows.append(("held", f"{_moment(last.at)}, {'on paper, ' if on_paper else ''}by {last.run_dir}"))
    _print_rows(rows)
    if last is not None and last.positions:
        _print_positions(last.positions)


def _ended(ending: Ending) -> str:
    if ending.how is None:
        return f"not known, its log {ending.run_dir} is gone"
    if ending.how == "killed":
        return f"killed: nothing said how it ended, see {ending.run_dir}"
    at = "" if ending.at is None else f", {_moment(ending.at)}"
    return f"{ending.how}{at}" + ("" if ending.failure is None else f": {ending.failure}")


def _print_positions(positions: dict[str, float]) -> None:
    _print_rows([(f"  {key}", f"{amount:,.6g}") for key, amount in sorted(positions.items())])


def _awaited(now: SwitchStatus) -> str:
    from basis_actors.times import utc_text

    at = "" if now.next_tick is None else f", at {utc_text(now.next_tick.replace(microsecond=0))}"
    return f"nothing yet; the next tick is waited for{at}"


def _closing(now: SwitchStatus) -> str:
    if now.book_closed:
        return "is closed"
    if now.unclosed is not None:
        return f"is to be closed, and {now.unclosed}"
    if now.ticks == 0:
        return "is to be closed from the first tick on; nothing is yet"
    return "is still open; a step towards its end at each tick" if now.closing_slowly else "is being closed"


def _latch_rows(latch: Latch, instead: str | None) -> list[tuple[str, str]]:
    """What may be sent, and why; of a process that does something else `instead` that comes first."""
    from basis_actors.times import utc_text

    if instead is not None and latch.state == "running":
        return [("state", instead)]
    also = [] if instead is None else [("now", instead)]
    code = "" if latch.error_code is None else f"{latch.error_code}: "
    return [
        *also,
        ("state", f"{latch.state}, since {utc_text(latch.since.replace(microsecond=0))}"),
        ("reason", f"{code}{latch.reason}"),
        ("by", latch.who),
    ]


def _print_rows(rows: list[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, Text(text))
    results().print(table)
