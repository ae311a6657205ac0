"""Whatever key of whatever mode is left out or misspelt, the error names exactly that key."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from basis_actors.config import config_root, load_mode, mode_names
from basis_actors.config.documents import read_document
from basis_actors.errors import ConfigError

FREE_KEYS = "hedge_allocation"
"""Its keys are names of venues, so leaving one out is an allocation that does not sum to 1."""


def values_of(mode: str) -> dict[str, Any]:
    return read_document(config_root() / "modes" / f"{mode}.yaml", mode).values


def paths(values: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in values.items():
        found.append((*above, key))
        if isinstance(value, dict) and key != FREE_KEYS:
            found += paths(value, (*above, key))
    return found


GIVEN_ELSEWHERE = ("risk_limits", "max_drawdown")
"""The share class gives it where a mode does not."""
PLACES = [(mode, path) for mode in mode_names() for path in paths(values_of(mode)) if path != GIVEN_ELSEWHERE]


def without(mode: str, path: tuple[str, ...], instead: str | None = None) -> str:
    values = values_of(mode)
    level = values
    for key in path[:-1]:
        level = level[key]
    value = level.pop(path[-1])
    if instead is not None:
        level[instead] = value
    return json.dumps(values)


def refusal(file: Path, text: str) -> ConfigError:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_mode(file)
    return caught.value


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES))
def test_a_key_that_is_left_out_is_named(tmp_path: Path, place: tuple[str, tuple[str, ...]]) -> None:
    mode, path = place
    error = refusal(tmp_path / "mode.yaml", without(mode, path))
    assert f": {'.'.join(path)}: missing key; " in error.message
    assert error.code == "CONFIG-002"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), at=st.integers(min_value=0, max_value=100))
def test_a_key_that_is_misspelt_is_named_with_the_right_one(
    tmp_path: Path, place: tuple[str, tuple[str, ...]], at: int
) -> None:
    mode, path = place
    key = path[-1]
    cut = at % len(key)
    wrong = key[:cut] + key[cut] * 2 + key[cut + 1 :]
    error = refusal(tmp_path / "mode.yaml", without(mode, path, wrong))
    assert error.message.endswith(f".{wrong}: unknown key; nearest valid key: {key}") or error.message.endswith(
        f": {wrong}: unknown key; nearest valid key: {key}"
    )
    assert error.code == "CONFIG-003"


def test_an_allocation_without_one_of_its_venues_does_not_sum(tmp_path: Path) -> None:
    text = without("btc_basis", ("strategy_config", "hedge_allocation", "okx"))
    assert "sums to 0.7; the shares must sum to 1" in refusal(tmp_path / "mode.yaml", text).message
