"""Pins, make targets and lint rules are what the project says they are."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

RULED = ("actors", "strategies", "signals", "finance", "venues/simulated")


def pins(checkout: Path) -> dict[str, str]:
    lines = (checkout / "constraints.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("==") for line in lines if not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in rows}


def test_pins_hold_no_address_and_no_path(checkout: Path) -> None:
    text = (checkout / "constraints.txt").read_text(encoding="utf-8")
    for word in ("://", "@", "/", "--", "-e ", "index", "file:"):
        assert word not in text, f"constraints.txt holds {word!r}"
    for line in text.splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_no_project_file_names_a_package_registry(checkout: Path) -> None:
    for name in ("pyproject.toml", "constraints.txt", "Makefile", ".ci/run"):
        text = (checkout / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "index-url" not in text
        assert "find-links" not in text


def wanted(checkout: Path, *extras: str) -> set[str]:
    """Names of what the project depends on, by default and for some extras."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    names = {re.split(r"[<>=~! \[;]", line, maxsplit=1)[0].lower() for line in lines}
    return {re.sub(r"[-_.]+", "-", name) for name in names}


def test_every_default_dev_and_docs_dependency_is_pinned(checkout: Path) -> None:
    assert wanted(checkout, "dev", "docs") <= pins(checkout).keys()


def test_the_pins_are_what_is_installed(checkout: Path) -> None:
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    frozen = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    installed = dict(line.split("==") for line in frozen.splitlines() if "==" in line)
    here = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in installed.items()}
    # What only the documents need is there once they have been built.
    pinned = {name: version for name, version in pins(checkout).items() if name in here}
    assert {name: here[name] for name in pinned} == pinned
    assert wanted(checkout, "dev") <= pinned.keys()


def test_the_pins_can_be_installed_with_the_oldest_python_that_is_promised(checkout: Path) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = Version(project["requires-python"].removeprefix(">="))
    here = {re.sub(r"[-_.]+", "-", found.name).lower(): found for found in distributions()}
    for name in pins(checkout).keys() & here.keys():
        needed = here[name].metadata["Requires-Python"] or ""
        assert SpecifierSet(needed).contains(oldest), f"{name} needs Python {needed}"


def test_ignored_log_folders_are_anchored_to_the_root(checkout: Path) -> None:
    lines = (checkout / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "/logs/" in lines
    assert "/results/" in lines
    assert not {"logs/", "logs", "results/", "results", "*.log"} & set(lines)


def planted(checkout: Path, file: str, code: str) -> list[str]:
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--output-format", "concise", "--no-cache"]
    done = subprocess.run(
        [*command, "--stdin-filename", str(checkout / "src" / "basis_actors" / file), "-"],
        input=code,
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    return [line for line in done.stdout.splitlines() if "TID251" in line]


@pytest.mark.parametrize("folder", RULED)
def test_planted_imports_are_refused_where_they_are_banned(checkout: Path, folder: str) -> None:
    code = (
        "import asyncio\nimport anyio\nimport time\nimport random\nimport uuid\nimport pandas as pd\n"
        "from time import monotonic\nfrom anyio.abc import TaskGroup\nfrom datetime import datetime, date\n"
        "import numpy as np\na = datetime.now()\nb = date.today()\nc = np.random.rand()\n"
    )
    refused = {int(line.split(":")[1]) for line in planted(checkout, f"{folder}/planted.py", code)}
    assert refused == {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13}


@pytest.mark.parametrize("folder", ["bus", "services", "data", "venues/live", "logs"])
def test_the_same_imports_are_allowed_elsewhere(checkout: Path, folder: str) -> None:
    assert planted(checkout, f"{folder}/planted.py", "import time\nimport anyio\nimport pandas\n") == []


def test_the_bus_imports_the_standard_library_anyio_and_msgspec_only_its_test_kit_pytest_too(checkout: Path) -> None:
    allowed = {"anyio", "msgspec", *sys.stdlib_module_names}
    more = {"testkit.py": {"pytest"}}
    for file in (checkout / "src" / "basis_actors" / "bus").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                own = name.startswith("basis_actors.bus")
                known = allowed | more.get(file.name, set())
                assert own or name.split(".")[0] in known, f"{file.name} imports {name}"


def test_importing_the_package_is_light() -> None:
    heavy = ("pandas", "numpy", "pydantic_settings", "structlog", "rich", "typer", "plotly")
    script = f"import sys, basis_actors; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_loading_a_configuration_is_light() -> None:
    heavy = ("pandas", "numpy", "pydantic_settings", "structlog", "rich", "typer", "plotly")
    script = (
        "import sys\nfrom basis_actors.config import load_mode\nload_mode('btc_basis')\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
