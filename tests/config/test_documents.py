"""YAML is read as the 1.2 core schema has it, and every value remembers its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.config.documents import read_document, read_value
from basis_actors.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100_000.0),
        ("-.5", -0.5),
        ("4.", 4.0),
        ("+7", 7),
        ("007", 7),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("n", "n"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ('"2"', "2"),
        ("'true'", "true"),
        ("2024-01-01", "2024-01-01"),
        ("[1, a, [x]]", (1, "a", ("x",))),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_a_scalar_is_what_a_reader_would_take_it_for(text: str, value: object) -> None:
    found = read_value(text, "--set x")
    assert found == value
    assert type(found) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_python_writes_is_read_back_exactly(number: float) -> None:
    assert read_value(repr(number), "--set x") == number


@given(st.integers())
def test_whole_numbers_stay_whole(number: int) -> None:
    found = read_value(str(number), "--set x")
    assert (found, type(found)) == (number, int)


def test_origins_name_the_line_of_each_key(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("top: 1\n\nnested:\n  # a comment\n  inner: [5, 6]\n")
    document = read_document(file, "a.yaml")
    assert document.values == {"top": 1, "nested": {"inner": (5, 6)}}
    assert str(document.origin(("nested", "inner"))) == "a.yaml:5"
    assert str(document.origin(("nested", "not there", "at all"))) == "a.yaml:3"
    assert str(document.origin(())) == "a.yaml"


def test_keys_that_stand_twice_are_reported_at_every_depth(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    document = read_document(file, "a.yaml")
    assert [(problem.path, problem.text.split(";")[0]) for problem in document.problems] == [
        (("b", "c"), "stands twice in a.yaml, on lines 3 and 4"),
        (("a",), "stands twice in a.yaml, on lines 1 and 5"),
    ]


def test_merge_keys_and_keys_that_are_not_words_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("base: &base {x: 1}\nother:\n  <<: *base\n? [1, 2]\n: 3\n")
    assert len(read_document(file, "a.yaml").problems) == 2


def test_aliases_of_aliases_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    file.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"a\.yaml:\d+: more than 10,000 values; write what is meant"):
        read_document(file, "a.yaml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_document(file, "a.yaml")


def test_a_setting_with_a_key_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="stands twice"):
        read_value("{a: 1, a: 2}", "--set x")
