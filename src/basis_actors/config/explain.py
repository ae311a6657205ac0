"""Defines how a validation error becomes problems that a person can mend: path, what was found, what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from basis_actors.config.model import Problem, Problems

__all__ = ["explain", "nearest"]

_RENAMED: Final = {"venue_manager": "execution_manager"}
"""Words that other versions of these files used, and the word to use."""
_PREFIX: Final = "Input should be "
_WORDS: Final = {
    "a valid tuple": "a list",
    "a valid dictionary": "a mapping",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
}


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that `word` was most likely meant to be; None when nothing is close."""
    found = get_close_matches(word.lower(), list(choices), n=1, cutoff=0.6)
    return found[0] if found else None


def explain(error: ValidationError, model: type[BaseModel], variants: Mapping[str, type[BaseModel]]) -> list[Problem]:
    """Every problem that `error` reports for `model`.

    `variants` names the model that holds where a field of `model` is a choice of several, by field. A missing key
    that an unknown key was meant to be is told once, as the unknown key.
    """
    problems: list[Problem] = []
    meant: set[tuple[str, ...]] = set()
    for detail in error.errors(include_url=False):
        path = tuple(str(part) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            keys = _keys_at(model, path[:-1], variants)
            word = _RENAMED.get(path[-1]) or nearest(path[-1], keys)
            problems.append(Problem(path, _unknown_key(path[-1], word, keys)))
            if word is not None:
                meant.add((*path[:-1], word))
        else:
            problems.extend(_problems(detail, path))
    return [problem for problem in problems if not (problem.missing and problem.path in meant)]


def _unknown_key(key: str, word: str | None, keys: tuple[str, ...]) -> str:
    if key in _RENAMED:
        return f"is the old name of this section; use {_RENAMED[key]!r}"
    if word is not None:
        return f"unknown key; nearest valid key: {word}"
    return f"unknown key; valid keys here: {', '.join(keys)}"


def _problems(detail: ErrorDetails, path: tuple[str, ...]) -> Iterator[Problem]:
    context = detail.get("ctx", {})
    kind = detail["type"]
    if kind == "missing":
        yield Problem(path, "missing key; nothing is assumed in its place: add it", missing=True)
        return
    cause = context.get("error")
    if isinstance(cause, Problems):
        for problem in cause.found:
            yield Problem((*path, *problem.path), problem.text, problem.missing)
        return
    if kind == "unchecked":
        return
    yield Problem(path, _mismatch(detail, context))


def _mismatch(detail: ErrorDetails, context: Mapping[str, Any]) -> str:
    message = detail["msg"]
    if not message.startswith(_PREFIX):
        return message
    expected = message.removeprefix(_PREFIX)
    for technical, word in _WORDS.items():
        if expected.startswith(technical):
            expected = word
    given = detail["input"]
    text = f"is {_shown(given)}; {expected} was expected"
    choices = context.get("expected")
    if detail["type"] == "literal_error" and isinstance(given, str) and isinstance(choices, str):
        near = nearest(given, choices.replace(" or ", ", ").replace("'", "").split(", "))
        text += f"; nearest: {near}" if near else ""
    return text


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _keys_at(model: type[BaseModel], path: tuple[str, ...], variants: Mapping[str, type[BaseModel]]) -> tuple[str, ...]:
    annotation: Any = model
    for depth, key in enumerate(path):
        if depth == 0 and key in variants:
            annotation = variants[key]
            continue
        annotation = _step(annotation, key)
    reached = _model_in(annotation)
    return tuple(reached.model_fields) if reached else ()


def _step(annotation: Any, key: str) -> Any:
    model = _model_in(annotation)
    if model is not None:
        field = model.model_fields.get(key)
        return field.annotation if field else None
    inside = get_args(annotation)
    return inside[-1] if get_origin(annotation) is dict else inside[0] if inside else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Annotated, Union, UnionType):
        for member in get_args(annotation):
            found = _model_in(member)
            if found is not None:
                return found
    return None
