"""Has the result of a run made: here, or in a process of its own for whoever must not be kept waiting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from basis_actors.errors import BasisError, ConfigError
from basis_actors.logs.directory import check_correlation_id
from basis_actors.results.store import ResultStore
from basis_actors.services.preparation import BacktestRequest

__all__ = ["make_result", "make_result_apart", "require_results"]


class _Told(msgspec.Struct):
    """What `python -m basis_actors.results` says."""

    path: Path | None = None
    code: str = "LOG-001"
    message: str = ""


def require_results(root: Path | None, request: BacktestRequest) -> None:
    """Refuse, before anything is run, a result that could not be made in the end. None asks for no result.

    Raises ConfigError CONFIG-003 for a run that writes no events, or its log to the same folder, BasisError LOG-003
    when the name that is asked for is none, or has a result already.
    """
    if request.correlation_id is not None:
        check_correlation_id(request.correlation_id)
    if root is None:
        return
    if not request.write_events:
        raise ConfigError(
            "CONFIG-003", f"a result in {root} is made of the event log, and none is to be written; leave one out"
        )
    if root.resolve() == request.out.resolve():
        raise ConfigError(
            "CONFIG-003",
            f"{root} is to hold both the log and the result, and each would be {root}/<name>; give --out and --results"
            " two folders",
        )
    if request.correlation_id is not None:
        ResultStore(root).require_free(request.correlation_id)


def make_result(run_dir: Path, root: Path) -> Path:
    """Make the result of a run in the folder `root` and say where it is. Raises BasisError as `ResultStore.make`."""
    return ResultStore(root).make(run_dir).path


def make_result_apart(run_dir: Path, root: Path) -> Path:
    """`make_result` in another process, while which other threads of this one go on undisturbed.

    Tables and charts are made by Python code, which in a thread would keep an event loop waiting again and again.
    """
    command = [sys.executable, "-P", "-m", "basis_actors.results", str(run_dir), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
    try:
        told = msgspec.json.decode(done.stdout, type=_Told, dec_hook=lambda _kind, value: Path(value))
    except msgspec.MsgspecError as error:
        said = done.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise BasisError(
            "LOG-001",
            f"the result of {run_dir} was not made: its process ended with code {done.returncode} and said {said[0]};"
            f" make it with `basis-actors results make {run_dir} --root {root}`",
        ) from error
    if told.path is None:
        raise BasisError(told.code, told.message)
    return told.path
