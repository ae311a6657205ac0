"""Builds HTML out of text that may hold anything: whatever is not markup already is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any, Final

__all__ = ["Html", "embedded_json", "joined", "plain", "table", "tag"]

_VOID: Final = ("meta", "wbr")
_SCRIPT_ESCAPES: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


class Html(str):
    """Text that is markup already, made by this module."""

    __slots__ = ()


def tag(element: str, *children: str, **attributes: str | bool | None) -> Html:
    """One element. Children that are not Html are escaped; attributes that are None or False are left out.

    `class_` and `for_` stand for words that Python keeps, `aria_label` for `aria-label`.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items() if value not in (None, False))
    if element in _VOID:
        return Html(f"<{element}{written}>")
    return Html(f"<{element}{written}>{joined(children)}</{element}>")


def joined(parts: Iterable[str]) -> Html:
    """Parts one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part, quote=False) for part in parts))


def table(caption: str, head: Iterable[str], rows: Iterable[Iterable[str]], *, class_: str | None = None) -> Html:
    """A table in a frame that scrolls sideways where there is no room; the first cell of a row names it.

    A row that is Html already is taken as it is.
    """
    columns = tag("tr", *(tag("th", name, scope="col") for name in head))
    body = (row if isinstance(row, Html) else _row(row) for row in rows)
    return tag(
        "div",
        tag("table", tag("caption", caption), tag("thead", columns), tag("tbody", *body), class_=class_),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def plain(text: str) -> str:
    """`text` for plotly, which takes what looks like a tag in a label for one."""
    return escape(text, quote=False)


def embedded_json(value: Any) -> Html:
    """JSON that can stand inside a script element, whatever it holds."""
    return Html(json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_SCRIPT_ESCAPES))


def _row(cells: Iterable[str]) -> Html:
    first, *others = (cell if isinstance(cell, Html) and cell.startswith("<td") else tag("td", cell) for cell in cells)
    return tag("tr", Html(f'<th scope="row">{first.removeprefix("<td>").removesuffix("</td>")}</th>'), *others)


def _attribute(name: str, value: str | bool | None) -> str:  # noqa: FBT001 - an attribute that is there or not
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
