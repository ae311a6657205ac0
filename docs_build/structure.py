"""What the documents say of the code as a whole: its layers, its packages and modules, its ports."""

from __future__ import annotations

import ast
import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from basis_actors import ports
from docs_build.components import sources
from docs_build.docstrings import in_a_cell, opening

__all__ = ["layers", "modules", "port_table"]

_ROOT: Final = Path(ports.__file__).parent


def layers() -> str:
    """The layers of the package, the highest first, as the contract that CI checks has them."""
    project = tomllib.loads((_ROOT.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    names = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rows = []
    for layer in names:
        parts = [part.strip(" ()") for part in layer.split(":")]
        told = [_about(part) if len(parts) == 1 else f"`{part}`: {_about(part)}" for part in parts]
        rows.append(f"| {', '.join(f'`{part}`' for part in parts)} | {'<br>'.join(told)} |")
    return "\n".join(["| layer | |", "| --- | --- |", *rows, ""])


def modules() -> str:
    """Every package, with what it says of itself and of each of its modules."""
    blocks = []
    for folder in sorted({path.parent for path in sources()}):
        name = ".".join(("basis_actors", *folder.relative_to(_ROOT).parts))
        level = "##" if folder == _ROOT else "###"
        rows = [
            f"| `{path.name}` | {_first_sentence(path)} |"
            for path in sorted(folder.glob("*.py"))
            if path.name != "__init__.py"
        ]
        table = ["| module | |", "| --- | --- |", *rows, ""] if rows else []
        blocks += [f"{level} {name}", "", _first_sentence(folder / "__init__.py"), "", *table]
    return "\n".join(blocks)


def port_table() -> str:
    """The protocols by which actors reach what is outside."""
    kinds = [kind for name in ports.__all__ if isinstance(kind := getattr(ports, name), type)]
    rows = [f"| `{kind.__name__}` | {', '.join(_verbs(kind))} | {opening(kind)} |" for kind in kinds]
    return "\n".join(["| port | methods | |", "| --- | --- | --- |", *rows, ""])


def _verbs(kind: type) -> Iterator[str]:
    return (f"`{name}`" for name, member in vars(kind).items() if inspect.isfunction(member) and name[0] != "_")


def _about(part: str) -> str:
    package = _ROOT / part / "__init__.py"
    return _first_sentence(package if package.exists() else _ROOT / f"{part}.py")


def _first_sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if text is None:
        raise ValueError(f"{path} has no docstring; a sentence that says what it is for was expected")
    words = " ".join(text.partition("\n\n")[0].split())
    return in_a_cell(words.partition(". ")[0].rstrip(".:") + ".")
