"""Secrets that stand in an exception reach neither a file of the run nor the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from basis_actors.cli import main
from basis_actors.logs.redaction import HIDDEN
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.pure_lending import PureLending

Run = Callable[..., Result]
NAMED, KNOWN = "NAMED123VALUE", "plainlookingvalue"
VARIABLE = "BASIS_ACTORS_BINANCE__API_SECRET"
TEXT = f"api_key={NAMED} was refused with {KNOWN}"


class Leaking(PureLending):
    """Quotes its credentials in a decision, then fails with them."""

    def decide(self, situation: Situation) -> Decision:
        if situation.book.risk.exposure.book.tick.number > 5:
            raise RuntimeError(TEXT)
        return Decision.hold(TEXT, invested=False, constraints=(TEXT,), market_conditions={"said": {"by": TEXT}})


@pytest.mark.parametrize("runtime", ["sim", "live"])
def test_no_file_and_no_stream_has_a_secret_of_an_exception(
    run: Run, register: Callable[[str, type[Strategy]], None], monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    register("pure_lending", Leaking)
    monkeypatch.setenv(VARIABLE, KNOWN)
    result = run("backtest", "pure_lending_usdt", "--end", "2024-01-03", "--runtime", runtime, "--json")
    assert result.exit_code == 1
    written = {path.name: path.read_text() for path in Path("logs").rglob("*") if path.is_file()}
    told = {**written, "stdout": result.stdout, "stderr": result.stderr}
    for secret in (NAMED, KNOWN):
        assert not [name for name, text in told.items() if secret in text]
    places = ("summary.json", "metadata.json", "system_errors.jsonl", "strategy_decisions.jsonl", "stdout", "stderr")
    assert not [name for name in places if HIDDEN not in told[name]], "what is left says that something was hidden"


def test_a_crash_of_the_command_is_shown_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError(TEXT)

    monkeypatch.setenv(VARIABLE, KNOWN)
    monkeypatch.setattr("basis_actors.cli.app.app", broken)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    error = capsys.readouterr().err
    assert NAMED not in error
    assert KNOWN not in error
    assert f"RuntimeError: api_key={HIDDEN} was refused with {HIDDEN}" in error
