"""`import basis_actors` is light, and gives everything that it names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import basis_actors

HEAVY = ("pandas", "numpy", "pyarrow", "pydantic_settings", "structlog", "rich", "typer", "plotly")


def loaded_by(code: str) -> list[str]:
    """Which heavy packages a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stderr.split()


def test_the_import_loads_nothing_heavy() -> None:
    assert loaded_by("import basis_actors") == []
    assert loaded_by("import basis_actors.cli") == []
    assert loaded_by("from basis_actors import BasisError, __version__") == []


def test_listing_modes_loads_no_market_data_libraries() -> None:
    code = "import sys\nsys.argv = ['basis-actors', 'modes']\nfrom basis_actors.cli import main\n"
    loaded = loaded_by(code + "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0")
    assert set(loaded) == {"rich", "typer"}


def test_looking_at_results_loads_no_market_data_libraries(tmp_path: Path) -> None:
    code = f"import sys\nsys.argv = ['basis-actors', 'results', 'list', '--root', {str(tmp_path)!r}]\n"
    code += "from basis_actors.cli import main\nfrom basis_actors.cli.result_tables import print_list\n"
    loaded = loaded_by(code + "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0")
    assert set(loaded) == {"rich", "typer"}


def test_every_public_name_is_there_and_listed() -> None:
    for name in basis_actors.__all__:
        assert getattr(basis_actors, name) is not None
    assert set(basis_actors.__all__) <= set(dir(basis_actors))


def test_what_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'backtst'; it has .*backtest"):
        basis_actors.backtst  # type: ignore[attr-defined]  # noqa: B018
