"""Defines how a configuration names a class outside the package, `package.module:Class`, and what such a class must be.

Its module is looked for among the installed packages and in the working directory.
"""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, cast

from basis_actors.config.model import Model, Problem, Problems
from basis_actors.config.spelling import hint
from basis_actors.errors import BasisError, ConfigError
from basis_actors.ports import VenueClient

__all__ = ["PORT", "StrategyClass", "adapter_class", "is_reference", "outside_code", "place_outside", "strategy_class"]

_REFERENCE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_OURS: Final = Path(__file__).parents[1]
"""Folder of the package."""
_STANDARD: Final = Path(traceback.__file__).parent
"""Folder of the standard library."""
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
PORT: Final = ("domain", "venues", "settle", "execute", "execute_group", "resolve", "report", "expect")
"""What `ports.VenueClient` asks of a venue."""


class StrategyClass:
    """Base of everything that a mode file may name as its strategy; `strategies.base.Strategy` is the one to use."""

    Config: ClassVar[type[Model]]
    """What `strategy_config` has to be; needed of classes outside the package."""


def is_reference(name: str) -> bool:
    """Whether `name` is meant to name a class rather than a family of the package."""
    return ":" in name


def strategy_class(reference: str) -> type[StrategyClass]:
    """The class that a mode's `strategy` names. Raises Problems for one that is not there or is no strategy."""
    found = _load(reference)
    with _reading(reference):
        if not issubclass(found, StrategyClass):
            raise _refused(reference, "a subclass of basis_actors.strategies.base.Strategy was expected", found)
        lacking = sorted(getattr(found, "__abstractmethods__", ()))
        if lacking:
            raise _refused(reference, f"it does not define {', '.join(lacking)}; add them", found)
        if not hasattr(found, "hedged"):
            raise _refused(
                reference, "it does not say whether it means to be delta neutral; add hedged = True or False", found
            )
        _config_of(found, reference, "strategy_config")
    return found


@contextmanager
def outside_code(what: str) -> Iterator[None]:
    """Around code from outside the package: what it raises becomes ConfigError CONFIG-003, `what` being who did it.

    Coded errors say everything themselves and pass, and so does KeyboardInterrupt.
    """
    try:
        yield
    except BasisError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError("CONFIG-003", f"{what} raised {_raised(error)}; mend it there") from error


@contextmanager
def _reading(reference: str) -> Iterator[None]:
    """Around looking at a class from outside, whose attributes may be computed."""
    try:
        yield
    except Problems:
        raise
    except (Exception, SystemExit) as error:
        raise _refused(reference, f"reading the class raised {_raised(error)}; mend it there") from error


def place_outside(error: BaseException) -> str | None:
    """`file:line` of the innermost frame that an exception passed outside the package; None where there is none.

    The standard library does not count, and what is installed only where nothing else does: what is wrong is looked
    for in the code that somebody is writing.
    """
    frames = [
        (Path(frame.filename), frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
    ]
    outside = [(file, line) for file, line in frames if not file.is_relative_to(_OURS) and not _is_standard(file)]
    written = [(file, line) for file, line in outside if not _is_installed(file)]
    for file, line in reversed(written or outside):
        shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
        return f"{shown}:{line}"
    return None


def _is_installed(file: Path) -> bool:
    return not _INSTALLED.isdisjoint(file.parts)


def _is_standard(file: Path) -> bool:
    return file.is_relative_to(_STANDARD) and not _is_installed(file)


def _raised(error: BaseException) -> str:
    """An exception and where outside the package it came from."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    place = place_outside(error)
    return text if place is None else f"{text} ({place})"


class _AdapterClass(Protocol):
    def from_config(self, config: Any, clock: Any) -> VenueClient: ...


def adapter_class(reference: str) -> tuple[Callable[..., VenueClient], type[Model]]:
    """How the class that a venue's `adapter` names is made, and what the venue's `settings` have to be.

    It is made from the venue's configuration and a clock, `from_config(config, clock)`. Raises Problems for a class
    that is not there, or does not have that and the methods of `ports.VenueClient`.
    """
    found = _load(reference)
    with _reading(reference):
        lacking = [name for name in (*PORT, "from_config") if not hasattr(found, name)]
        if lacking:
            text = f"it has no {', '.join(lacking)}; the methods of basis_actors.ports.VenueClient and from_config"
            raise _refused(reference, f"{text} were expected", found)
        return cast(_AdapterClass, found).from_config, _config_of(found, reference, "settings")


def _config_of(found: type, reference: str, key: str) -> type[Model]:
    config = getattr(found, "Config", None)
    if not (isinstance(config, type) and issubclass(config, Model)):
        text = f"it has no class attribute Config, a basis_actors.config.Model of what {key} holds; add one"
        raise _refused(reference, text, found)
    return config


def _refused(reference: str, text: str, found: object = None) -> Problems:
    origin = "" if found is None else f", which is {found!r}"
    return Problems((Problem((), f"is {reference!r}{origin}; {text}"),))


def _load(reference: str) -> type:
    if _REFERENCE.fullmatch(reference) is None:
        raise _refused(reference, "package.module:Class was expected")
    module_name, _, class_name = reference.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if missing == module_name or module_name.startswith(f"{missing}."):
            text = f"there is no module {missing!r} in {here} nor among the installed packages; install or write it"
        else:
            text = f"{module_name} imports {missing!r}, which is not installed; install it"
        raise _refused(reference, text) from error
    except (ImportError, SyntaxError) as error:
        raise _refused(reference, f"{module_name} cannot be imported: {error}; mend it there") from error
    except (Exception, SystemExit) as error:
        raise _refused(reference, f"{module_name} cannot be imported: {_raised(error)}; mend it there") from error
    with _reading(reference):
        found = getattr(module, class_name, None)
    if isinstance(found, type):
        return found
    raise _refused(reference, f"{module.__file__} has no class {class_name}{hint(class_name, _classes(vars(module)))}")


def _classes(names: dict[str, object]) -> Iterable[str]:
    return [name for name, value in names.items() if isinstance(value, type)]
