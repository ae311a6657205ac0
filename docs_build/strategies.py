"""What the documents say of strategies: their families, the rules of each in the order they are tried, their base."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Final

from basis_actors.config.strategies import STRATEGY_CONFIGS
from basis_actors.strategies.base import Strategy
from basis_actors.strategies.registry import STRATEGIES
from docs_build.docstrings import in_a_cell, opening, told
from docs_build.modes import SPECS, family_of

__all__ = ["contract", "families", "rules"]

_LISTS: Final = {
    "_RULES": "At each tick",
    "_REDUCING": "While only what reduces may be sent",
    "_CLOSING": "Closing for good",
}


def families() -> str:
    """A row for each family: its class, its modes, what it is."""
    rows = []
    for family, kind in STRATEGIES.items():
        modes = [name for name in SPECS if family_of(name) == family]
        pages = ", ".join(f"[`{name}`](specs/strategies/{SPECS[name]}.md)" for name in modes)
        settings = STRATEGY_CONFIGS[family]
        link = f"[`{settings.__name__}`](reference/strategy_settings.md#{settings.__name__.lower()})"
        rows.append(f"| `{family}` | {opening(kind)} | {pages} | {link} |")
    return "\n".join(["| family | | modes | settings |", "| --- | --- | --- | --- |", *rows, ""])


def rules(family: str) -> str:
    """The rules of a family, each list in the order in which it is tried."""
    module = vars(sys.modules[STRATEGIES[family].__module__])
    parts = []
    for name, words in _LISTS.items():
        tried: tuple[Callable[..., object], ...] = module.get(name, ())
        if tried:
            rows = [f"| {n} | `{rule.__name__}` | {opening(rule)} |" for n, rule in enumerate(tried, start=1)]
            parts.append("\n".join([f"**{words}**", "", "| | rule | |", "| --- | --- | --- |", *rows, ""]))
    return "\n".join(parts)


def contract() -> str:
    """What a strategy is asked, and what it says of itself; whether it has to is in the second column."""
    rows = []
    for name, member in vars(Strategy).items():
        if name.startswith("_"):
            continue
        abstract = getattr(member, "__isabstractmethod__", False)
        if isinstance(member, FunctionType):
            call = f"`{name}({', '.join(list(inspect.signature(member).parameters)[1:])})`"
            rows.append(f"| {call} | {'yes' if abstract else 'no'} | {opening(member)} |")
        elif isinstance(member, property):
            rows.append(f"| `{name}` | {'yes' if abstract else 'no'} | {opening(member)} |")
    rows += [
        f"| `{name}` | {'no' if hasattr(Strategy, name) else 'yes'} | {in_a_cell(text)} |"
        for name in ("hedged", "brings_stops")
        if (text := told(Strategy, name))
    ]
    return "\n".join(["| member | has to be there | |", "| --- | --- | --- |", *rows, ""])
