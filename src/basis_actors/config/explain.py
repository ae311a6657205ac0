"""Defines how a validation error becomes problems that a person can mend: path, what was found, what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from basis_actors.config.documents import Document
from basis_actors.config.model import Problem, Problems
from basis_actors.config.spelling import hint, nearest
from basis_actors.errors import ConfigError

__all__ = ["explain", "raise_problems", "refusal"]

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


def raise_problems(problems: list[Problem], document: Document, code: str) -> None:
    """Raise `refusal` when there are problems; nothing for none."""
    if problems:
        raise refusal(problems, document, code)


def refusal(problems: list[Problem], document: Document, code: str) -> ConfigError:
    """One error that lists `problems` (one or more) by line, each with file, line and key path.

    Its code is CONFIG-002 in place of CONFIG-003 when all that is wrong is missing keys.
    """
    if code == "CONFIG-003" and all(problem.missing for problem in problems):
        code = "CONFIG-002"
    lines = sorted((_line_of(problem, document) for problem in problems), key=lambda entry: entry[0])
    if len(lines) == 1:
        return ConfigError(code, lines[0][1])
    listed = "".join(f"\n  {text}" for _, text in lines)
    return ConfigError(code, f"{document.origin(()).source}: {len(lines)} problems{listed}")


def _line_of(problem: Problem, document: Document) -> tuple[int, str]:
    origin = document.origin(problem.path)
    path = ".".join(problem.path)
    return origin.line or 0, f"{origin}: {path}: {problem.text}" if path else f"{origin}: {problem.text}"


def explain(error: ValidationError, model: type[BaseModel], variants: Mapping[str, type[BaseModel]]) -> list[Problem]:
    """Every problem that `error` reports for `model`.

    `variants` names the model that holds where a field of `model` is a choice of several, by field. A missing key
    that an unknown key was meant to be is told once, as the unknown key.
    """
    problems: list[Problem] = []
    meant: set[tuple[str, ...]] = set()
    for detail in error.errors(include_url=False):
        path = tuple(str(part) for part in detail["loc"])
        if detail["type"] == "extra_forbidden" or path[-1:] == ("[key]",):
            path = path[:-1] if path[-1] == "[key]" else path
            keys = _keys_of(_annotation_at(model, path[:-1], variants))
            word = _RENAMED.get(path[-1]) or nearest(path[-1], keys)
            problems.append(Problem(path, _unknown_key(path[-1], word, keys)))
            if word is not None:
                meant.add((*path[:-1], word))
        elif detail["type"] == "missing":
            expected = _expected(_annotation_at(model, path, variants))
            problems.append(Problem(path, f"missing key; {expected} was expected", missing=True))
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
        text += hint(given, choices.replace(" or ", ", ").replace("'", "").split(", "))
    return text


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _annotation_at(model: type[BaseModel], path: tuple[str, ...], variants: Mapping[str, type[BaseModel]]) -> Any:
    annotation: Any = model
    for depth, key in enumerate(path):
        annotation = variants[key] if depth == 0 and key in variants else _step(annotation, key)
    return annotation


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


def _keys_of(annotation: Any) -> tuple[str, ...]:
    model = _model_in(annotation)
    if model is not None:
        return tuple(model.model_fields)
    inside = get_args(annotation)
    return get_args(inside[0]) if get_origin(annotation) is dict and get_origin(inside[0]) is Literal else ()


def _expected(annotation: Any) -> str:
    """What a field of this type takes, in words."""
    model = _model_in(annotation)
    origin = get_origin(annotation)
    if model is not None:
        return f"a mapping with keys {', '.join(model.model_fields)}" if model.model_fields else "a mapping"
    if origin in (dict, tuple):
        return "a mapping" if origin is dict else "a list"
    if origin is Literal:
        return f"one of {', '.join(str(choice) for choice in get_args(annotation))}"
    if origin in (Annotated, Union, UnionType):
        return _expected(get_args(annotation)[0])
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(annotation, "text")
