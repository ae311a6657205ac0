"""What the documents say of one component: an event as it logs it, the error codes it names, the settings it has."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args

import basis_actors
from basis_actors.config import load_mode, mode_table
from basis_actors.config.model import Model
from basis_actors.config.models import ModeConfig
from basis_actors.errors import REGISTRY
from basis_actors.messages.events import EVENT_TYPES, DomainEvent
from docs_build.docstrings import told
from docs_build.events import example_lines

__all__ = ["error_codes", "example", "settings", "sources"]

_PACKAGE: Final = Path(basis_actors.__file__).parent
_LEFT_OUT: Final = frozenset(DomainEvent.__struct_fields__) - {"timestamp", "sequence"}
"""What every event has, and what tells nothing about this one."""
_LONGEST: Final = 2
"""Entries of a dictionary or list that a short example shows."""
_MOST_VALUES: Final = 3
"""Values of a setting that are told one by one."""


def example(name: str) -> str:
    """Where events of a type are, and one of them, shortened, on a line as in the log."""
    kind = next(kind for kind in EVENT_TYPES if kind.__name__ == name)
    event = {key: value for key, value in example_lines()[kind].items() if key not in _LEFT_OUT}
    shown = json.dumps({key: _short(value) for key, value in event.items()}, ensure_ascii=False)
    where = f"`events/{kind.FILE}.jsonl`, fields in [{name}](docs:LOGGING_GUIDE.md#{name.lower()}):"
    return f"{where}\n\n```json\n{shown}\n```\n"


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        rows = list(value.items())
        shown = {key: _short(inner) for key, inner in rows[:_LONGEST]}
        return shown | ({"…": f"{len(rows) - _LONGEST} more"} if len(rows) > _LONGEST else {})
    if isinstance(value, list):
        more = [f"… {len(value) - _LONGEST} more"] if len(value) > _LONGEST else []
        return [*(_short(inner) for inner in value[:_LONGEST]), *more]
    return value


def error_codes(*modules: str) -> str:
    """The registered codes that some modules, as `actors.risk_monitor`, name.

    A module that ends in `.` stands for all that is below it.
    """
    named = {code for module in modules for path in _files(module) for code in _codes_in(path)}
    rows = [f"| `{code.code}` | {code.severity} | {code.meaning} |" for name, code in REGISTRY.items() if name in named]
    return "\n".join(["| code | severity | meaning |", "| --- | --- | --- |", *rows, ""])


def sources() -> list[Path]:
    """Every module of the package."""
    return sorted(_PACKAGE.rglob("*.py"))


def _files(module: str) -> list[Path]:
    path = _PACKAGE.joinpath(*module.rstrip(".").split("."))
    found = sorted(path.rglob("*.py")) if module.endswith(".") else [path.with_suffix(".py")]
    if not found or not all(file.is_file() for file in found):
        raise FileNotFoundError(f"there is no module {module} in {_PACKAGE}")
    return found


def _codes_in(path: Path) -> Iterator[str]:
    """Codes that a module names itself or by a constant."""
    if path.name in ("errors.py", "error_guide.py") and path.parent == _PACKAGE:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = _shared_constants() | dict(_constants(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in REGISTRY:
            yield str(node.value)
        elif isinstance(node, ast.Name) and node.id in constants and isinstance(node.ctx, ast.Load):
            yield constants[node.id]


@cache
def _shared_constants() -> dict[str, str]:
    """Public constants of all modules that are a code, by name."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in sources())
    return {name: code for tree in trees for name, code in _constants(tree) if not name.startswith("_")}


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(code))) if code in REGISTRY:
                yield name, code


def settings(path: str) -> str:
    """The keys of a section of mode files, as `component_config.kill_switch`, with what the package's modes say."""
    model: type[Model] = ModeConfig
    for key in path.split("."):
        model = _section(model, key)
    rows = [f"| `{name}` | {_said(path, name)} | {told(model, name)} |" for name in model.model_fields]
    where = f"`{path}` ([types and bounds](docs:reference/mode_settings.md#{model.__name__.lower()})):"
    return "\n".join([where, "", "| key | in the package's modes | |", "| --- | --- | --- |", *rows, ""])


def _section(model: type[Model], key: str) -> type[Model]:
    annotation = model.model_fields[key].annotation
    kinds = [kind for kind in (annotation, *get_args(annotation)) if kind is not NoneType]
    return next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Model))


def _said(path: str, name: str) -> str:
    values: dict[str, None] = {}
    for mode in _modes():
        section: Any = mode
        for key in path.split("."):
            section = getattr(section, key)
        values.setdefault(_yaml(getattr(section, name)))
    shown = list(values)
    if len(shown) > _MOST_VALUES:
        return f"{len(shown)} values"
    return ", ".join(f"`{value}`" for value in shown)


def _yaml(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{}" if not value else "{…}"
    return f"{value:g}" if isinstance(value, float) else str(value)


@cache
def _modes() -> tuple[ModeConfig, ...]:
    return tuple(load_mode(row.mode).mode for row in mode_table())
