"""Limits come out of the effective configuration, in either form that it is written in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from basis_actors.config import load_mode, mode_names
from basis_actors.errors import BasisError
from basis_actors.results.report.effective import read_effective


@pytest.mark.parametrize("mode", mode_names())
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_it_says_what_the_configuration_says(mode: str, form: str, tmp_path: Path) -> None:
    run = load_mode(mode)
    values = run.model_dump(mode="json")
    text = json.dumps(values) if form == "json" else yaml.safe_dump(values)
    (tmp_path / f"config.{form}").write_text(text)
    found = read_effective(tmp_path)
    assert found is not None
    limits = run.mode.risk_limits
    assert found.mode.risk_limits.max_delta_drift == limits.max_delta_drift
    assert found.mode.risk_limits.max_drawdown == limits.max_drawdown
    assert found.mode.risk_limits.margin_ratio_reduce == limits.margin_ratio_reduce
    assert found.mode.risk_limits.health_factor_reduce == limits.health_factor_reduce
    assert found.mode.strategy_config.dust_delta == getattr(run.mode.strategy_config, "dust_delta", None)
    assert (found.share_class.currency, found.share_class.decimals) == (
        run.share_class.currency,
        run.share_class.decimals,
    )


@pytest.mark.parametrize(("name", "text"), [("config.json", '{"mode": 3}'), ("config.yaml", "mode: 3")])
def test_another_document_is_refused(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BasisError, match=rf"LOG-004: .*{name} cannot be read: .*expected the effective configuration"):
        read_effective(tmp_path)


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read_effective(tmp_path) is None


@pytest.mark.parametrize("text", ["[" * 50_000, "mode:\n" + "".join(f"{' ' * depth}- \n" for depth in range(60))])
def test_what_nests_without_end_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(BasisError, match=r"CONFIG-003: .*config\.yaml:\d+: more than 50 lists or mappings"):
        read_effective(tmp_path)
