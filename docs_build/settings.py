"""The reference of the configuration: every key of mode and venue files, from the models that read them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from basis_actors.config.model import Model
from basis_actors.config.models import ModeConfig, ShareClassConfig
from basis_actors.config.scenarios import SHOCK_KINDS, ScenarioConfig
from basis_actors.config.strategies import STRATEGY_CONFIGS
from basis_actors.config.venues import VENUE_KINDS
from docs_build.docstrings import in_a_cell, told

__all__ = ["reference"]

_ROOTS: Final[dict[str, list[type[Model]]]] = {
    "mode": [ModeConfig, ShareClassConfig],
    "strategies": list(dict.fromkeys(STRATEGY_CONFIGS.values())),
    "venues": list(dict.fromkeys(VENUE_KINDS.values())),
    "scenarios": [ScenarioConfig, *dict.fromkeys(SHOCK_KINDS.values())],
}
_LIMITS: Final = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}", "min_length": "at least {}"}
_YAML: Final = {str: "text", float: "number", int: "whole number", bool: "true or false", type(None): "null"}
_SHARED: Final = set(_ROOTS["strategies"])


def reference(part: str) -> str:
    """A section for each model of one part, and for each model that stands within it."""
    seen: dict[type[Model], None] = {}
    for root in _ROOTS[part]:
        _collect(root, seen, apart=_SHARED if part == "mode" else set())
    return "\n".join(_section(model) for model in seen)


def _collect(model: type[Model], seen: dict[type[Model], None], apart: set[Any]) -> None:
    if model in seen or model in apart or not model.model_fields:
        return
    seen[model] = None
    for field in model.model_fields.values():
        for inner in _models(field.annotation):
            _collect(inner, seen, apart)


def _models(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _section(model: type[Model]) -> str:
    about = " ".join((inspect.getdoc(model) or "").split())
    rows = [
        f"| `{field.alias or name}` | {_type(field)} | {told(model, name)} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join([f"### {model.__name__}", "", about, "", "| key | value | |", "| --- | --- | --- |", *rows, ""])


def _type(field: FieldInfo) -> str:
    limits = [
        told_limit.format(f"{value:,}" if isinstance(value, int) else value)
        for metadata in field.metadata
        for name, told_limit in _LIMITS.items()
        if (value := getattr(metadata, name, None)) is not None
    ]
    return in_a_cell(", ".join([f"`{_words(field.annotation)}`", *limits]))


def _words(annotation: Any) -> str:
    """A type as YAML knows it, without the limits of what stands within it."""
    outer, inner = get_origin(annotation), get_args(annotation)
    if outer is Annotated:
        return _words(inner[0])
    if outer in (Union, UnionType):
        return " or ".join("null" if one is type(None) else _words(one) for one in inner)
    if outer is Literal:
        return " or ".join(map(str, inner))
    if outer is tuple:
        return f"list of {_words(inner[0])}"
    if outer is dict:
        return f"{_words(inner[0])}: {_words(inner[1])}"
    return str(_YAML.get(annotation, getattr(annotation, "__name__", annotation)))
