"""Reads what the code says of itself: the text under a field, the first sentence of a class."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType

__all__ = ["in_a_cell", "opening", "told"]


def told(kind: type, name: str) -> str:
    """What the docstring under a field says, of the class itself or of one it inherits from; empty where none does."""
    for base in kind.__mro__:
        if base.__module__.startswith("basis_actors.") and name in (said := _docstrings(base)):
            return in_a_cell(said[name])
    return ""


def opening(kind: object) -> str:
    """First sentence of a docstring."""
    text = " ".join((inspect.getdoc(kind) or "").split())
    return in_a_cell(text.partition(". ")[0].removesuffix(".") + ".")


def in_a_cell(text: str) -> str:
    """Text as a cell of a Markdown table takes it."""
    return text.replace("|", "\\|")


@cache
def _docstrings(kind: type) -> dict[str, str]:
    module: ModuleType = sys.modules[kind.__module__]
    return dict(_fields_with_text(ast.parse(inspect.getsource(module)), kind.__name__))


def _fields_with_text(tree: ast.Module, name: str) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for field, after in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(after, ast.Expr)
                    and isinstance(after.value, ast.Constant)
                ):
                    yield field.target.id, " ".join(str(after.value.value).split())
