"""What the types promise, checked by mypy: an ask has the type of its answer, a handler must return it."""

import re
import subprocess
import sys
from pathlib import Path

SNIPPET = """
from typing_extensions import reveal_type

import msgspec

from basis_actors.bus import Actor, Bus, LiveBus, Request, SimBus, on


class Count(Request[int], frozen=True):
    of: str


class Note(msgspec.Struct):
    text: str


class Right(Actor):
    @on(Count)
    def count(self, message: Count) -> int:
        return 1

    @on(Note)
    async def note(self, message: Note) -> None:
        reveal_type(await self.ask("other", Count("x")))  # reveal: int

    async def pre_start(self) -> None:
        pass


class AlsoRight(Actor):
    @on(Count)
    async def count(self, message: Count) -> int:
        return 1

    @on(object)
    def rest(self, message: object) -> None:
        pass


class Wrong(Actor):
    @on(Count)  # error: arg-type
    def says_text(self, message: Count) -> str:
        return "1"

    @on(Count)  # error: arg-type
    async def says_text_later(self, message: Count) -> str:
        return "1"

    @on(Count)  # error: arg-type
    def says_nothing(self, message: Count) -> None:
        pass

    @on(Count)  # error: arg-type
    def takes_another(self, message: Note) -> int:
        return 1

    @on(Note)  # error: type-var
    def answers_unasked(self, message: Note) -> int:
        return 1

    @on(Note)  # error: type-var
    async def answers_unasked_later(self, message: Note) -> int:
        return 1

    @on(Note)
    async def asks_for_what_is_no_request(self, message: Note) -> None:
        await self.ask("other", message)  # error: arg-type


async def outside(bus: Bus) -> None:
    reveal_type(await bus.ask("right", Count("x")))  # reveal: int


either: tuple[Bus, Bus] = (SimBus(), LiveBus())
"""


ROOT = Path(__file__).parents[2]


def test_mypy_accepts_what_is_right_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SNIPPET)
    # The cache of `make types`: what the snippet imports has not changed since, as a rule.
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--cache-dir", str(ROOT / ".mypy_cache"), str(snippet)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = re.findall(r"snippet\.py:(\d+): (?:error: .*\[([a-z-]+)\]|note: Revealed type is \"(.*)\")", run.stdout)
    found = {(int(line), error or f"reveal {kind.removeprefix('builtins.')}") for line, error, kind in said}
    expected: set[tuple[int, str]] = set()
    for number, line in enumerate(SNIPPET.splitlines(), start=1):
        if match := re.search(r"# (error|reveal): ([\w-]+)", line):
            expected.add((number, match[2] if match[1] == "error" else f"reveal {match[2]}"))
    assert found == expected, run.stdout + run.stderr
