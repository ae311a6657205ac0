"""What a start that waits prints: each reason once, and ever less often that it still waits."""

from __future__ import annotations

import pytest

from basis_actors.cli.waiting import WaitingLines

CLOSED = "okx publicGetPublicInstruments: no connection to www.okx.com:443: Name or service not known; it was not sent"


class Hours:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def said_at(
    reasons: dict[float, str | None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[float, str]]:
    """What is printed, and when, if an exchange says this after so many seconds."""
    monkeypatch.setenv("COLUMNS", "80")
    clock = Hours()
    lines, found = WaitingLines(now=clock), []
    for after, why in reasons.items():
        clock.seconds = 1000.0 + after
        lines.note("okx", why)
        printed = capsys.readouterr().err
        assert max(map(len, printed.splitlines()), default=0) <= 80
        if printed:
            found.append((after, printed))
    return found


def test_a_reason_is_said_once_and_then_at_growing_distances_that_it_still_waits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = {float(after): CLOSED for after in range(0, 20_000, 10)}
    first, *later = said_at(hours, capsys, monkeypatch)
    assert first[1].splitlines() == [
        "Waiting: okx publicGetPublicInstruments: no connection to www.okx.com:443: Name",
        "  or service not known; it was not sent",
    ]
    times = [10.0, 30.0, 70.0, 150.0, 310.0, 630.0, 1270.0, 2550.0, 5110.0, 8710.0, 12_310.0]
    assert later[: len(times)] == [(after, f"still waiting for okx, {after:,.0f} s\n") for after in times]
    assert len(later) == len(times) + (19_990 - 12_310) // 3600


def test_another_reason_is_said_at_once_and_one_with_other_numbers_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons: dict[float, str | None] = {
        0.0: CLOSED,
        1.0: "it is late by 1200 ms",
        2.0: "it is late by 1201 ms",
        3.0: CLOSED,
        12.0: None,
        13.0: None,
        14.0: "it is late by 1200 ms",
    }
    (_, closed), *later = said_at(reasons, capsys, monkeypatch)
    assert closed.startswith("Waiting: okx publicGetPublicInstruments: ")
    assert later == [
        (1.0, "Waiting: okx: it is late by 1200 ms\n"),
        (12.0, "okx has answered, after 12 s\n"),
        (14.0, "Waiting: okx: it is late by 1200 ms\n"),
    ]


def test_an_exchange_that_answers_at_once_is_not_spoken_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said_at({0.0: None}, capsys, monkeypatch) == []
