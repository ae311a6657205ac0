"""Signals of a file: known at their timestamp, counted until they are too old, refused when anything is wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest
from tests.signals.markets import HOUR, START, market

from basis_actors.errors import DataError
from basis_actors.messages.signals import Signal
from basis_actors.signals.file import FileSignalSource, read_signals

HEADER = "timestamp,signal,confidence,sd\n"
ROWS = "2024-01-01T02:00:00Z,0.7,0.9,0.02\n2024-01-01T05:30:00Z,0.2,0.85,0.03\n"
FIRST = Signal(START + 2 * HOUR, 0.7, 0.9, 0.02)
SECOND = Signal(START + 5 * HOUR + HOUR // 2, 0.2, 0.85, 0.03)


def written(folder: Path, text: str = HEADER + ROWS, name: str = "signals.csv") -> Path:
    file = folder / name
    raw = text.encode()
    file.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return file


@pytest.mark.parametrize("head", [b"", HEADER.encode()])
def test_what_is_no_text_is_refused_as_such(tmp_path: Path, head: bytes) -> None:
    """A carriage return inside a line and a field of more than 128 KiB are what Python's csv stumbles over."""
    file = tmp_path / "signals.csv"
    for binary in (b"\x00\x89PNG\r\x1a" * 40_000, b'"' + b"\x89a" * 100_000, bytes(range(256))):
        file.write_bytes(head + binary)
        with pytest.raises(DataError, match=r"DATA-002: .*signals\.csv"):
            read_signals(file)


@pytest.mark.parametrize(
    "row", ['"2024-01-01T02:00:00Z,0.7,0.9,0.02\n', '2024-01-01T02:00:00Z,"0.7,0.9,0.02\n', "x" * 5000 + ",1,1,1\n"]
)
def test_what_is_wrong_is_shown_in_a_line_that_a_person_reads(tmp_path: Path, row: str) -> None:
    with pytest.raises(DataError, match="row 1") as caught:
        read_signals(written(tmp_path, HEADER + row + ROWS * 100))
    assert len(caught.value.message) < 1000
    assert "\n" not in caught.value.message


def test_a_name_that_no_file_can_have_is_not_there() -> None:
    with pytest.raises(DataError, match=r"DATA-003: signals 'a\\x00\.csv' cannot be read .*: embedded null byte"):
        read_signals(Path("a\0.csv"))


@pytest.mark.parametrize("name", ["signals.csv", "signals.csv.gz", "signals.parquet"])
def test_every_form_of_a_file_gives_the_same_signals(tmp_path: Path, name: str) -> None:
    if name.endswith(".parquet"):
        frame = pd.read_csv(written(tmp_path), parse_dates=["timestamp"])
        frame["timestamp"] = frame["timestamp"].astype("datetime64[ns, UTC]")
        file = tmp_path / name
        frame.to_parquet(file, index=False)
    else:
        file = written(tmp_path, name=name)
    assert read_signals(file)[0] == [FIRST, SECOND]


def test_a_signal_is_known_from_its_timestamp_on_and_not_before(tmp_path: Path) -> None:
    source = FileSignalSource(written(tmp_path), 24 * 3600.0)
    found = [source.at(market(START + hour * HOUR)) for hour in range(8)]
    assert found == [None, None, FIRST, FIRST, FIRST, FIRST, SECOND, SECOND]


def test_a_signal_counts_until_its_limit_and_says_when_it_is_too_old(tmp_path: Path) -> None:
    source = FileSignalSource(written(tmp_path), 2 * 3600.0)
    assert source.at(market(START)) is None
    assert "has no signal yet: it begins at 2024-01-01T02:00:00Z" in source.silence
    assert source.at(market(START + 4 * HOUR)) == FIRST
    assert source.silence == ""
    assert source.at(market(START + 5 * HOUR)) is None
    assert source.silence.endswith("2024-01-01T02:00:00Z, is older than 7200 s")


def test_a_file_without_rows_never_has_a_signal(tmp_path: Path) -> None:
    source = FileSignalSource(written(tmp_path, HEADER), 3600.0)
    assert source.at(market(START)) is None
    assert source.silence.endswith("it has no rows")


ROW = "2024-01-01T02:00:00Z,0.7,0.9,0.02\n"
BAD = {
    "missing column": ("timestamp,signal,sd\n2024-01-01T00:00:00Z,0.7,0.02\n", "'confidence'", "column is missing"),
    "further column": (HEADER.replace("sd", "sd,side") + ROW.replace("\n", ",1\n"), "'side'", "not a column"),
    "unsorted": (
        HEADER + ROW + "2024-01-01T01:00:00Z,0.7,0.9,0.02\n",
        "row 2 (2024-01-01T01:00:00Z)",
        "sorted by time",
    ),
    "twice": (HEADER + ROW + ROW, "row 2 (2024-01-01T02:00:00Z)", "each stamp once"),
    "blank": (HEADER + "2024-01-01T02:00:00Z,,0.9,0.02\n", "row 1", "column 'signal': blank or not a number"),
    "nan": (HEADER + "2024-01-01T02:00:00Z,0.7,nan,0.02\n", "row 1", "column 'confidence': blank or not a number"),
    "text": (HEADER + "2024-01-01T02:00:00Z,long,0.9,0.02\n", "column 'signal'", "'long' is not a number"),
    "no stamp": (HEADER + "yesterday,0.7,0.9,0.02\n", "row 1", "'yesterday' is not a stamp"),
    "signal above 1": (HEADER + ROW + "2024-01-01T03:00:00Z,1.5,0.9,0.02\n", "row 2", "1.5; a probability from 0 to 1"),
    "negative signal": (HEADER + "2024-01-01T02:00:00Z,-0.7,0.9,0.02\n", "column 'signal'", "-0.7; a probability"),
    "confidence above 1": (HEADER + "2024-01-01T02:00:00Z,0.7,80,0.02\n", "column 'confidence'", "80.0; a probability"),
    "sd of 0": (
        HEADER + "2024-01-01T02:00:00Z,0.7,0.9,0\n",
        "column 'sd'",
        "0.0; expected a finite number greater than 0",
    ),
    "empty": ("", "signals.csv", "the file is empty"),
}


@pytest.mark.parametrize(("text", "place", "found"), BAD.values(), ids=BAD)
def test_what_is_wrong_in_a_file_is_named_with_file_row_and_value(
    tmp_path: Path, text: str, place: str, found: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        FileSignalSource(file, 3600.0)
    assert caught.value.code == "DATA-002"
    for part in (str(file), place, found):
        assert part in caught.value.message


def test_a_file_that_is_not_there_is_looked_for_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=rf"DATA-003: signals 'nowhere.csv' cannot be read \(working directory {tmp_path}\)"
    ):
        read_signals(Path("nowhere.csv"))
    written(tmp_path)
    assert len(read_signals(Path("signals.csv"))[0]) == 2


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"DATA-003: .*signals.xlsx is no file of signals; a name that ends in \.csv"):
        read_signals(written(tmp_path, name="signals.xlsx"))
