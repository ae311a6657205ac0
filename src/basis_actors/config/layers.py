"""Defines how one document is laid over another, and how single settings are put on top."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from basis_actors.config.documents import Document, KeyPath, Origin, plain, read_value
from basis_actors.config.model import Problem
from basis_actors.errors import ConfigError

__all__ = ["apply_settings", "branch", "document_of", "lay_over", "put"]


def lay_over(base: Document, over: Document) -> Document:
    """`over` on top of `base`: mappings are joined key by key, anything else and what `over` replaces is replaced.

    An empty mapping that would be joined to one with keys changes nothing, which nobody writes on purpose: a problem.
    """
    values, origins = dict(base.values), dict(base.origins)
    empty = tuple(_join(values, origins, over.values, over, ()))
    return Document(values, origins, base.problems + over.problems + empty, base.replaced)


def _join(
    values: dict[str, Any],
    origins: dict[KeyPath, Origin],
    over: Mapping[str, Any],
    document: Document,
    path: KeyPath,
) -> Iterator[Problem]:
    for key, value in over.items():
        here = (*path, key)
        present = values.get(key)
        if isinstance(present, dict) and isinstance(value, dict) and here not in document.replaced:
            if present and not value:
                origins[here] = document.origin(here)
                text = "is empty, which changes nothing: mappings are joined key by key; name the keys to change, or"
                yield Problem(here, f"{text} empty all of it with --set and the whole key")
            values[key] = dict(present)
            yield from _join(values[key], origins, value, document, here)
            continue
        values[key] = value
        _drop(origins, here)
        origins.update({place: origin for place, origin in document.origins.items() if place[: len(here)] == here})


def _drop(origins: dict[KeyPath, Origin], path: KeyPath) -> None:
    for place in [place for place in origins if place[: len(path)] == path]:
        del origins[place]


def put(document: Document, path: KeyPath, value: Any, origin: Origin) -> Document:
    """`document` with the value at `path` replaced, mappings included.

    A key on the way that does not exist is made, so that validation names it with the nearest valid one. Raises
    ConfigError CONFIG-003 when a key on the way holds a single value.
    """
    values, origins = dict(document.values), dict(document.origins)
    level = values
    for depth, key in enumerate(path[:-1], start=1):
        inside = level.get(key, {})
        if not isinstance(inside, dict):
            where = ".".join(path[:depth])
            text = f"{origin}: {'.'.join(path)}: {where} is {inside!r}, which has no keys inside; set {where} itself"
            raise ConfigError("CONFIG-003", text)
        level[key] = dict(inside)
        origins.setdefault(path[:depth], origin)
        level = level[key]
    level[path[-1]] = value
    _drop(origins, path)
    origins[path] = origin
    return Document(values, origins, document.problems, document.replaced | {path})


def branch(document: Document, path: KeyPath) -> Document:
    """The mapping at `path` as a document of its own, empty when there is none."""
    value: Any = document.values
    for key in path:
        value = value.get(key, {}) if isinstance(value, dict) else {}
    inside = {place[len(path) :]: origin for place, origin in document.origins.items() if place[: len(path)] == path}
    inside.setdefault((), document.origin(path))
    replaced = frozenset(place[len(path) :] for place in document.replaced if place[: len(path)] == path)
    return Document(value if isinstance(value, dict) else {}, inside, replaced=replaced)


def document_of(overrides: Mapping[str, object], source: str) -> tuple[Document, list[tuple[KeyPath, Any]]]:
    """Overrides given in Python: nested mappings to lay over, and dotted keys to put on top of them."""
    nested = {key: plain(value) for key, value in overrides.items() if "." not in key}
    dotted = [(tuple(key.split(".")), plain(value)) for key, value in overrides.items() if "." in key]
    origin = Origin(source, None)
    origins = dict.fromkeys(_paths(nested, ()), origin)
    return Document(nested, {(): origin, **origins}), dotted


def _paths(values: Mapping[str, Any], path: KeyPath) -> Iterator[KeyPath]:
    for key, value in values.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from _paths(value, (*path, key))


def apply_settings(document: Document, settings: Sequence[str]) -> Document:
    """Put `a.b=c` settings on top, each value read as YAML would read it.

    Raises ConfigError CONFIG-003 for a setting without `=`, without a key, or with a value that is not YAML.
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or not all(path):
            example = "data.funding_missed_limit=5"
            raise ConfigError("CONFIG-003", f"--set {setting}: key.path=value was expected, as in {example}")
        source = f"--set {key.strip()}"
        document = put(document, path, read_value(text.strip(), source), Origin(source, None))
    return document
