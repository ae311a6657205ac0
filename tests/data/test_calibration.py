"""The calibration file is read strictly: what is wrong in it is named with its line and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from basis_actors.config import config_root
from basis_actors.data.calibration import load_calibration
from basis_actors.errors import ConfigError


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes the project's calibration with one text replaced."""

    def write(old: str, new: str) -> Path:
        text = (config_root() / "synthetic.yaml").read_text(encoding="utf-8")
        assert text.count(old) == 1
        file = tmp_path / "synthetic.yaml"
        file.write_text(text.replace(old, new), encoding="utf-8")
        return file

    return write


def test_the_project_s_own_calibration_is_valid() -> None:
    calibration = load_calibration()
    assert calibration.prices.assets["BTC"].volatility == 0.515
    assert calibration.funding.band == 5.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("volatility: 0.515,", "volatilty: 0.515,", "volatilty"),
        ("correlation: 0.83", "correlation: 1.83", "prices.correlation"),
        ("[0.05, -30.6]", "[0.95, -30.6]", "quantile rows must rise"),
        ("  band: 5.0\n", "", "funding.band"),
        ('epoch: "2024-01-01T00:00:00Z"', 'epoch: "2024-01-01T12:00:00Z"', "epoch"),
    ],
)
def test_a_wrong_entry_is_named(changed: Callable[[str, str], Path], old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_calibration(changed(old, new))
    assert message in str(caught.value)
    assert "synthetic.yaml" in str(caught.value)
    assert caught.value.code in ("CONFIG-002", "CONFIG-003")
