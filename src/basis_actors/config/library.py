"""Defines where configuration files are and how one is found by name or path.

`config_root` decides which folder is read; nothing else knows where files are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from basis_actors.config.documents import Document, read_document
from basis_actors.config.model import Problem
from basis_actors.config.spelling import hint
from basis_actors.errors import ConfigError

__all__ = [
    "config_root",
    "find",
    "mode_names",
    "read",
    "read_named",
    "scenario_names",
    "share_class_names",
    "venue_names",
]

_WHAT: Final = {
    "modes": ("mode", "CONFIG-001"),
    "venues": ("venue", "CONFIG-004"),
    "share_classes": ("share class", "CONFIG-003"),
    "scenarios": ("scenario", "CONFIG-003"),
}
_NAME_KEY: Final = {"modes": "mode", "venues": "venue", "share_classes": "name", "scenarios": "scenario"}
"""The key in which a file of each folder repeats its own name."""


def config_root() -> Path:
    """The configuration folder: the one inside the installed package, or else the checkout's top-level `configs`.

    Raises ConfigError CONFIG-003 when neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "configs", package.parents[1] / "configs"):
        if (folder / "modes").is_dir():
            return folder
    raise ConfigError("CONFIG-003", f"no configuration beside {package}: the package is incomplete; install it again")


def mode_names() -> tuple[str, ...]:
    """Names of all modes, sorted."""
    return _names("modes")


def venue_names() -> tuple[str, ...]:
    """Names of all venues, sorted."""
    return _names("venues")


def share_class_names() -> tuple[str, ...]:
    """Names of all share classes, sorted."""
    return _names("share_classes")


def scenario_names() -> tuple[str, ...]:
    """Names of all stress scenarios, sorted."""
    return _names("scenarios")


def _names(folder: str) -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in (config_root() / folder).glob("*.yaml")))


def find(name_or_path: str | Path, folder: str) -> Path:
    """The file of a name in `folder`, or the file at a path (a Path, or text with a slash or a YAML suffix).

    Raises ConfigError when there is none: CONFIG-001 for a mode, CONFIG-004 for a venue, CONFIG-003 otherwise.
    """
    text = str(name_or_path)
    what, code = _WHAT[folder]
    names = _names(folder)
    if isinstance(name_or_path, Path) or "/" in text or text.endswith((".yaml", ".yml")):
        file = Path(name_or_path)
        if not file.is_file():
            raise ConfigError(code, f"no file {text}; give a file that exists or a {what}: {', '.join(names)}")
        return file
    if text not in names:
        raise ConfigError(code, f"unknown {what} {text!r}{hint(text, names)}; there are: {', '.join(names)}")
    return config_root() / folder / f"{text}.yaml"


def read(file: Path) -> Document:
    """Read a file; one of the library's own is called by its path from `configs/` on in messages."""
    root = config_root().resolve()
    place = file.resolve()
    return read_document(file, str(place.relative_to(root.parent)) if place.is_relative_to(root) else str(file))


def read_named(name_or_path: str | Path, folder: str) -> Document:
    """Find and read a file of `folder`. One of the library's own must carry the name of its file."""
    file = find(name_or_path, folder)
    document = read(file)
    key = _NAME_KEY[folder]
    given = document.values.get(key)
    if file.resolve().parent != (config_root() / folder).resolve() or given in (None, file.stem):
        return document
    problem = Problem((key,), f"is {given!r}; the name of its file, {file.stem!r}, was expected")
    return Document(document.values, document.origins, (*document.problems, problem))
