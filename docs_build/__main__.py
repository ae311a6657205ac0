"""Fills in what the documents take from the code: `python -m docs_build`, or `--check` to see whether it is current.

A document marks such a part with `<!-- generated: NAME -->` and `<!-- end -->`; what stands between them is replaced.
A name may say of what: `<!-- generated: messages position_monitor -->`. A link in such a part begins with `docs:`, the
folder of the documents.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from docs_build import (
    actors,
    commands,
    components,
    events,
    measures,
    modes,
    readmes,
    results,
    settings,
    strategies,
    structure,
)

_PART: Final = re.compile(r"(<!-- generated: ([\w-]+)(?:\s([\w.\s-]+?))?\s-->\n).*?(<!-- end -->)", re.DOTALL)
_MARK: Final = "<!-- generated"

PARTS: Final[Mapping[str, Callable[..., str]]] = {
    "event-schemas": events.schemas,
    "common-fields": events.common_fields,
    "event-parts": events.parts_of_events,
    "error-codes": events.error_codes,
    "measures": measures.table,
    "actors": actors.table,
    "messages": actors.messages,
    "commands": commands.reference,
    "settings": settings.reference,
    "modes": modes.overview,
    "earnings": modes.earnings,
    "behaviour": modes.behaviour,
    "families": strategies.families,
    "rules": strategies.rules,
    "contract": strategies.contract,
    "result": results.table,
    "results": results.all_modes,
    "settings-of": components.settings,
    "example": components.example,
    "errors": components.error_codes,
    "layers": structure.layers,
    "modules": structure.modules,
    "ports": structure.port_table,
    "section": readmes.section,
}


def main(arguments: list[str]) -> int:
    """Write what is generated in the README and the documents, or in those of a folder, or say what is not current."""
    given = [Path(word) for word in arguments if not word.startswith("-")]
    folder = given[0] if given else Path()
    documents = folder.rglob("*.md") if given else [Path("README.md"), *Path("docs").rglob("*.md")]
    root = folder if given else Path("docs")
    stale = []
    for document in sorted(documents):
        text = document.read_text(encoding="utf-8")
        above = "".join(f"{part}/" for part in _path_to(root, document.parent))
        current, parts = _PART.subn(partial(_filled, above), text)
        if parts != text.count(_MARK):
            sys.stderr.write(f"{document}: {text.count(_MARK)} generated parts begin, {parts} have a name and an end\n")
            return 1
        if current != text:
            stale.append(str(document.relative_to(folder)))
            if "--check" not in arguments:
                document.write_text(current, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"not current: {', '.join(stale)}; run `make docs`\n")
        return 1
    return 0


def _path_to(target: Path, folder: Path) -> tuple[str, ...]:
    return Path(os.path.relpath(target, folder)).parts


def _filled(above: str, part: re.Match[str]) -> str:
    head, name, of, end = part.groups()
    return f"{head}{PARTS[name](*(of or '').split()).replace('](docs:', f']({above}')}{end}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
