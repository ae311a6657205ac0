"""What the documents say of speed: the rows that the benchmarks have written to `docs/assets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from docs_build.docstrings import in_a_cell

__all__ = ["table"]

_ASSETS: Final = Path("docs/assets")


def table(name: str) -> str:
    """A row for each measure in `docs/assets/NAME.json`, which `benchmarks/suite.py --json` or another script wrote."""
    answer = json.loads((_ASSETS / f"{name}.json").read_text(encoding="utf-8"))
    if answer["quick"]:
        raise ValueError(f"{name}.json is of a quick run, which measures nothing; run the benchmark without --quick")
    rows = [
        f"| {in_a_cell(row['measure'])} | {_number(row['value'])} {row['unit']} | {_ratio(row['ratio'])} "
        f"| {in_a_cell(row['compared_with']) or '–'} |"
        for row in answer["rows"]
    ]
    return "\n".join(["| measure | value | ratio | to |", "| --- | --- | --- | --- |", *rows, ""])


def _number(value: Any) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _ratio(value: Any) -> str:
    return "–" if value is None else f"{value:.2g}×"
