"""Writes down the configuration of a run as it holds, in YAML that people read and that gives the same run again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from basis_actors.config.library import find, read, read_named, venue_names
from basis_actors.config.run import RunConfig

__all__ = ["effective_values", "written_values", "yaml_text"]

_WIDTH: Final = 120
"""Characters up to which a mapping or list of single values stands on one line."""
_NO_BREAKS: Final = 1_000_000
_MAP: Final = "tag:yaml.org,2002:map"
_SEQUENCE: Final = "tag:yaml.org,2002:seq"


def effective_values(run: RunConfig, written: Mapping[str, Any]) -> dict[str, Any]:
    """`run` as plain values: its mode, its venues, its share class, the keys in the order of `written`.

    Keys that `written` lacks come after those it has; limits that neither it nor anything laid over it set are left
    out.
    """
    found: dict[str, Any] = _in_order(run.model_dump(mode="json"), written)
    return found


def written_values(run: RunConfig, mode: str | Path) -> dict[str, Any]:
    """The files of a run, loaded from the name or file `mode`, as they were written.

    Raises ConfigError when a file is gone.
    """
    beside, library = find(mode, "modes").parent / "venues", venue_names()
    venues = {
        name: (read_named(name, "venues") if name in library else read(beside / f"{name}.yaml")).values
        for name in run.venues
    }
    share_class = read_named(run.mode.share_class, "share_classes").values
    return {"mode": read_named(mode, "modes").values, "venues": venues, "share_class": share_class}


def yaml_text(values: Mapping[str, Any]) -> str:
    """`values` as YAML, with what is small on one line."""
    text: str = yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_NO_BREAKS)
    return text


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Sets mappings and lists of single values on one line where they fit, as our files do."""


def _mapping(dumper: Any, values: dict[str, Any]) -> yaml.Node:
    node: yaml.Node = dumper.represent_mapping(_MAP, values, flow_style=_fits(values, values.values()))
    return node


def _sequence(dumper: Any, values: list[Any]) -> yaml.Node:
    node: yaml.Node = dumper.represent_sequence(_SEQUENCE, values, flow_style=_fits(values, values))
    return node


def _fits(whole: object, parts: Iterable[object]) -> bool:
    return len(str(whole)) < _WIDTH and not any(isinstance(part, dict | list) for part in parts)


_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(list, _sequence)


def _in_order(value: Any, written: Any) -> Any:
    """`value` with its keys in the order of `written`, then those that only `value` has and that say something."""
    if isinstance(value, dict):
        known: Mapping[str, Any] = written if isinstance(written, dict) else {}
        keys = [key for key in known if key in value]
        keys += [key for key in value if key not in known and value[key] is not None]
        return {key: _in_order(value[key], known.get(key)) for key in keys}
    if isinstance(value, list):
        rows = written if isinstance(written, tuple) and len(written) == len(value) else [None] * len(value)
        return [_in_order(item, row) for item, row in zip(value, rows, strict=True)]
    return value
