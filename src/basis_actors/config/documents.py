"""Defines how a YAML file becomes plain values that remember their lines.

The scalars are those of the YAML 1.2 core schema: `1e-3` is a number, `off` and `no` are words, `2024-01-01` is text.
A key that stands twice is refused, and so are anchors' merge keys: a file says each thing once, where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

from basis_actors.config.model import Problem
from basis_actors.errors import ConfigError

__all__ = ["Document", "KeyPath", "Origin", "plain", "read_document", "read_value", "require_shallow"]

KeyPath = tuple[str, ...]

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST: Final = 50
"""Mappings and lists within one another; no setting comes near."""
_MOST: Final = 10_000
"""Values of one file. Aliases of aliases make more of a few lines than memory holds."""
_DIGITS: Final = 300
"""Of an integer; Python reads no more than 4,300, and what has more than these is infinite as a number."""
_QUOTED: Final = ("'", '"', "|", ">")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, bool | None]] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written."""

    source: str
    """File as a person would name it, or `--set`."""
    line: int | None
    """Counts from 1; None where there are no lines."""

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping read from somewhere, with the origin of each of its keys."""

    values: dict[str, Any]
    origins: dict[KeyPath, Origin]
    """By path; the empty path stands for the whole."""
    problems: tuple[Problem, ...] = ()
    """What reading already found wrong: keys that stand twice."""
    replaced: frozenset[KeyPath] = frozenset()
    """Paths whose value takes the place of what it is laid over, mappings included."""

    def origin(self, path: KeyPath) -> Origin:
        """Where `path` was written, or else the nearest key above it."""
        while path not in self.origins:
            path = path[:-1]
        return self.origins[path]


class _Reader:
    """Turns the nodes of one file into values."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.origins: dict[KeyPath, Origin] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.origins.setdefault(path, Origin(self.source, node.start_mark.line + 1))
        if len(path) > _DEEPEST:  # of an alias that stands within what it means
            raise _too_deep(str(self.origins[path]))
        if len(self.origins) > _MOST:
            raise ConfigError("CONFIG-003", f"{self.origins[path]}: more than {_MOST:,} values; write what is meant")
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, path))
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.value(item, (*path, str(index))) for index, item in enumerate(node.value))
        return _scalar(cast(yaml.ScalarNode, node))

    def _items(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            here = (*path, key)
            if key == "<<" or not isinstance(key_node, yaml.ScalarNode):
                self.origins.setdefault(here, Origin(self.source, line))
                self.problems.append(Problem(here, "merge keys and keys that are not words are not read; write it out"))
                continue
            if key in seen:
                text = f"stands twice in {self.source}, on lines {seen[key]} and {line}; each is given once: delete one"
                self.problems.append(Problem(here, text))
                continue
            seen[key] = line
            self.origins[here] = Origin(self.source, line)
            yield key, self.value(value_node, here)


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    if node.style in _QUOTED:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and len(text) <= _DIGITS:
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def require_shallow(text: str | bytes, source: str) -> None:
    """Raise ConfigError CONFIG-003 for a text that nests without end: LibYAML composes it on the stack of the process,
    which then dies without a word. What is no YAML is left to who reads it.
    """
    depth = 0
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _DEEPEST:
                mark = event.start_mark
                raise _too_deep(source if mark is None else f"{source}:{mark.line + 1}")


def _too_deep(where: str) -> ConfigError:
    return ConfigError(
        "CONFIG-003", f"{where}: more than {_DEEPEST} lists or mappings within one another; no setting is like that"
    )


def _compose(text: str, source: str) -> yaml.Node | None:
    require_shallow(text, source)
    try:
        return yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = source if mark is None else f"{source}:{mark.line + 1}"
        raise ConfigError("CONFIG-003", f"{where}: not YAML: {error.problem}; mend the syntax there") from error
    except yaml.YAMLError as error:
        raise ConfigError("CONFIG-003", f"{source}: not YAML: {error}") from error


def read_document(file: Path, source: str) -> Document:
    """Read a YAML file that holds one mapping; sequences become tuples.

    Raises ConfigError CONFIG-003 when the file cannot be read, is not YAML or not a mapping.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("CONFIG-003", f"{source}: cannot be read ({error}); a YAML file was expected") from error
    node = _compose(text, source)
    if not isinstance(node, yaml.MappingNode):
        found = "nothing" if node is None else "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise ConfigError("CONFIG-003", f"{source}: holds {found}; a mapping of keys to values was expected")
    reader = _Reader(source)
    values = reader.value(node, ())
    reader.origins[()] = Origin(source, None)
    return Document(values, reader.origins, tuple(reader.problems))


def read_value(text: str, source: str) -> Any:
    """Read one value as YAML would: `2` is a number, `true` a truth value, `{binance: 1}` a mapping.

    Raises ConfigError CONFIG-003 when it is not YAML.
    """
    node = _compose(text, source)
    if node is None:
        return None
    reader = _Reader(source)
    value = reader.value(node, ())
    if reader.problems:
        raise ConfigError("CONFIG-003", f"{source}: {reader.problems[0].path[-1]}: {reader.problems[0].text}")
    return value


def plain(value: object) -> Any:
    """`value` as a file would give it: mappings become dicts with text keys, sequences tuples."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return value
