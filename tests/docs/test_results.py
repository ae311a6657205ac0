"""The results that the documents show: charts and numbers agree, are small, and are what the modes give."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from docs_build.charts import chart
from docs_build.results import CONFIGURATIONS, measured, recorded
from tests.docs.worked import Printed

ASSETS = Path(__file__).parents[2] / "docs" / "assets"
MOST_BYTES = 20_000


def test_every_configuration_has_numbers_and_a_chart_of_them() -> None:
    assert list(recorded()) == list(CONFIGURATIONS)
    for name, run in recorded().items():
        picture = (ASSETS / f"result_{name}.svg").read_text(encoding="utf-8")
        told = f"return {run['total_return']:+.2%}, drawdown {run['max_drawdown']:.2%}"
        assert f"<title>{name}, {run['start'][:10]} to {run['end'][:10]}: {told}</title>" in picture


def test_what_a_run_earned_is_explained() -> None:
    for name, run in recorded().items():
        explained = sum(run["attribution"].values()) + run["residual"]
        assert explained == pytest.approx(run["equity_end"] - run["equity_start"], rel=1e-6), name


def test_assets_of_results_are_small() -> None:
    for path in (*ASSETS.glob("result_*.svg"), ASSETS / "results.json"):
        assert path.stat().st_size < MOST_BYTES, path.name


def test_a_chart_shows_growth_above_and_falls_from_the_peak_below() -> None:
    days = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(5)]
    picture = chart("made", days, [1.0, 1.1, 1.0, 0.99, 1.1])
    assert "return +10.00%, drawdown 10.00%" in picture
    upper, lower = re.findall(r'd="(M[\d.]+ [\d.]+l[^"Vz]+)', picture)
    heights = []
    for path in (upper, lower):
        start, _, steps = path.removeprefix("M").partition("l")
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", steps)]
        y = [float(start.split()[1])]
        for step in numbers[1::2]:
            y.append(y[-1] + step)
        heights.append(y)
    above, below = heights
    assert above[1] == pytest.approx(above[4], abs=0.11)
    assert (min(above), max(above)) == (pytest.approx(24.0, abs=0.11), pytest.approx(190.0, abs=0.11))
    assert above[3] == max(above)
    assert [round(y, 1) for y in below[:2]] == [214.0, 214.0]
    assert below[3] == pytest.approx(268.0, abs=0.11)
    assert below[4] == pytest.approx(214.0, abs=0.11)


def test_a_flat_run_has_a_chart_too() -> None:
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2)]
    assert "return +0.00%, drawdown 0.00%" in chart("flat", days, [1.0, 1.0])


def test_a_printed_number_shows_what_rounds_to_it() -> None:
    assert Printed("−1,049.40").shows(-1049.3999999999999)
    assert Printed("0.37").shows(0.3745)
    assert not Printed("0.37").shows(0.3765)
    assert not Printed("+0.5").shows(-0.5)


@pytest.mark.long
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_mode_still_gives_what_is_shown(name: str, history: Path, tmp_path: Path) -> None:
    numbers, picture = measured(name, history, tmp_path)
    shown = recorded()[name]
    assert numbers.keys() == shown.keys()
    for key, value in shown.items():
        near = pytest.approx(value, rel=1e-6, abs=1e-7) if isinstance(value, float | dict) else value
        assert numbers[key] == near, key
    assert picture == (ASSETS / f"result_{name}.svg").read_text(encoding="utf-8")
