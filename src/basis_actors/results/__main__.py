"""Makes one result in a process of its own: `python -m basis_actors.results RUN_DIR ROOT`.

Standard output gets one line of JSON: where the result is, or the code and the text of what kept it from being made.
`services.results` is who calls it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from basis_actors.errors import BasisError
from basis_actors.results.store import ResultStore


def _main(run_dir: str, root: str) -> int:
    try:
        told = {"path": str(ResultStore(Path(root)).make(Path(run_dir)).path)}
    except BasisError as error:
        told = {"code": error.code, "message": error.message}
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    return 0 if "path" in told else 1


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
