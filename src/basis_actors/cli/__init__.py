"""The command line. `main` is the console script `basis-actors`; what a command needs is loaded when it is used."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names, and exit with its code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    from basis_actors.cli.interruption import remember_interruptions
    from basis_actors.cli.output import broken_output, complaint, forget_no_width, guard_streams

    if not guard_streams():
        sys.stderr.write("Error: LOG-001: standard output is closed; send it to a file, or to /dev/null\n")
        sys.exit(2)
    forget_no_width()
    remember_interruptions()
    code = _run()
    broken = broken_output()
    said = None if broken is None else complaint(broken)
    if said is not None:
        from basis_actors.cli.terminal import complain

        complain(said)
        code = code or 1
    sys.exit(code)


def _run() -> int:
    from basis_actors.cli.output import broken_output

    try:
        from basis_actors.cli.app import app

        app()
    except KeyboardInterrupt:
        # Ctrl-C while the commands themselves were being loaded.
        return 130
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            # Help is printed by a console that ends like this when its reader has gone.
            from basis_actors.cli.terminal import UNREAD

            return UNREAD
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # noqa: BLE001 - it is shown as Python would show it, but for secrets
        from basis_actors.cli.terminal import FAILED, crash

        if broken_output() is not error:
            crash(error)
        return FAILED
    return 0
