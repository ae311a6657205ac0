"""Takes a README apart: its fenced blocks by section, what each of them is said to print, and what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).parents[2] / "README.md"

_BLOCK = re.compile(
    r'^## (?P<heading>[^\n]*)$|^```(?P<kind>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
_MARK = "@@ block"
_VARIES = (
    (re.compile(r"\([\d,]+ a second\) *"), "(N a second) "),
    (re.compile(r"\w+-\d{8}T\d{6}-[0-9a-f]{4}(?:/\d+)?"), "RUN"),
)
"""What differs from run to run: speed, with the blanks that fill its line up, and the names runs give themselves."""


class Snippet(NamedTuple):
    """A block that can be run."""

    kind: str
    text: str
    said: str | None
    """What the README says it prints; None when it does not say."""


def sections(text: str) -> dict[str, list[Snippet]]:
    """The `sh` and `python` blocks by section. A `text` block right after one of them is what it prints.

    A block with a title is a file of that name, which is there for the blocks below it.
    """
    found: dict[str, list[Snippet]] = {}
    heading, previous = "", None
    for match in _BLOCK.finditer(text):
        if match["heading"] is not None:
            heading, previous = match["heading"], None
            continue
        snippets = found.setdefault(heading, [])
        if match["title"] is not None:
            snippets.append(Snippet("sh", _writes(match["title"], match["text"]), None))
            previous = None
            continue
        if match["kind"] in ("sh", "python"):
            snippets.append(Snippet(match["kind"], match["text"], None))
        elif match["kind"] == "text" and previous in ("sh", "python"):
            snippets[-1] = snippets[-1]._replace(said=match["text"])
        previous = match["kind"]
    return {heading: snippets for heading, snippets in found.items() if snippets}


def _writes(file: str, text: str) -> str:
    return f"mkdir -p \"$(dirname '{file}')\"\ncat > '{file}' <<'END-OF-FILE'\n{text}END-OF-FILE\n"


def run(snippets: list[Snippet], folder: Path) -> list[str]:
    """What each block of one section prints, run one after the other in one shell, in `folder`; each must succeed."""
    script = ["set -eu"]
    for snippet in snippets:
        code = snippet.text if snippet.kind == "sh" else f"python - <<'END-OF-BLOCK'\n{snippet.text}END-OF-BLOCK"
        script += [code, f"echo '{_MARK}'"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "80", "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.split(f"{_MARK}\n")[:-1]


def matches(said: str, printed: str) -> bool:
    """Whether `printed` is what was said: a line `…` stands for any lines, `…` in a line for any text.

    Text of another length may break its line elsewhere, so a line with `…` may be broken between any two words; and it
    makes columns of another width, so two spaces or more stand for any number from two on.
    """
    for pattern, name in _VARIES:
        said, printed = pattern.sub(name, said), pattern.sub(name, printed)
    return re.fullmatch("".join(map(_pattern, said.splitlines())), printed) is not None


def _pattern(line: str) -> str:
    if line == "…":
        return r"(?:.*\n)*?"
    words = re.split(r"(?<! ) (?! )", line) if "…" in line else [line]
    text = r"(?: |\n +)".join(re.escape(word).replace("…", ".*") for word in words)
    return re.sub(r"(?:\\ ){2,}", " {2,}", text) + r"\n"
