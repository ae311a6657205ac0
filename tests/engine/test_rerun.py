"""A finished run, run again from what it recorded, writes the same log; what cannot be the same is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.engine.play import flow

from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.errors import BasisError
from basis_actors.logs.redaction import HIDDEN
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.rerun import prepare_again

START = datetime(2024, 1, 1, tzinfo=UTC)


def request(out: Path, **more: object) -> BacktestRequest:
    """Ten days with everything that is not in the configuration: capital, flows, switches."""
    return replace(
        BacktestRequest(
            mode="btc_basis",
            start=START,
            end=datetime(2024, 1, 11, tzinfo=UTC),
            capital=50_000.0,
            flows=(flow("2024-01-04", 5_000.0), flow("2024-01-08", -2_000.0)),
            always_in=True,
            settings=("strategy_config.leverage=1.5",),
            out=out,
            correlation_id="once",
            fixed_clock=True,
        ),
        **more,
    )


def played(wanted: BacktestRequest) -> Path:
    """The directory of a run that has ended."""
    run = Backtest(prepare(wanted))
    assert run.run().failure is None
    return run.run_dir


def again(run_dir: Path, out: Path, data: Path | None = None) -> Path:
    """The directory of the second run, on a fixed clock as the first."""
    prepared = prepare_again(run_dir, out, data=data)
    run = Backtest(replace(prepared, request=replace(prepared.request, fixed_clock=True)))
    assert run.run().failure is None
    return run.run_dir


def events(run_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run_dir / "events").iterdir()}


def unsealed(run_dir: Path) -> dict[str, bytes]:
    return {name: content for name, content in events(run_dir).items() if name != "seals.jsonl"}


def configured(run_dir: Path) -> str:
    return str(json.loads((run_dir / "metadata.json").read_text())["config_hash"])


@pytest.mark.parametrize("more", [{}, {"frictionless": True}, {"seed": 23}, {"runtime": "live"}])
def test_a_run_is_the_same_the_second_time(tmp_path: Path, more: dict[str, object]) -> None:
    first = played(request(tmp_path / "first", **more))
    second = again(first, tmp_path / "second")
    assert configured(first) == configured(second)
    assert events(first) == events(second)
    assert (first / "config.yaml").read_bytes() == (second / "config.yaml").read_bytes()


def test_the_data_are_found_where_they_were_and_where_they_moved(tmp_path: Path) -> None:
    generator = SyntheticGenerator(3, 3600)
    write_dataset(generator.generate(generator.epoch_ns, generator.epoch_ns + 11 * DAY), tmp_path / "market")
    first = played(request(tmp_path / "first", data=tmp_path / "market"))
    assert events(again(first, tmp_path / "second")) == events(first)
    shutil.move(tmp_path / "market", tmp_path / "moved")
    third = again(first, tmp_path / "third", tmp_path / "moved")
    assert unsealed(third) == unsealed(first), "the seal covers the data report, which names the folder"
    write_dataset(
        SyntheticGenerator(4, 3600).generate(generator.epoch_ns, generator.epoch_ns + 11 * DAY), tmp_path / "other"
    )
    with pytest.raises(BasisError, match=r"DATA-002: .*BTCUSDT.*are not what the run read: their sha256 differs"):
        prepare_again(first, tmp_path, data=tmp_path / "other")


def test_a_synthetic_market_has_no_folder(tmp_path: Path) -> None:
    first = played(request(tmp_path / "first"))
    with pytest.raises(BasisError, match=r"CONFIG-003: .*synthetic market, and --data"):
        prepare_again(first, tmp_path, data=tmp_path)


def test_a_secret_that_was_not_written_down_is_named(tmp_path: Path) -> None:
    first = played(request(tmp_path / "first"))
    path = first / "config.yaml"
    path.write_text(path.read_text().replace("mode: btc_basis", f"mode: '{HIDDEN}'"))
    with pytest.raises(BasisError, match=r"CONFIG-003: .*config\.yaml: mode\.mode is a secret"):
        prepare_again(first, tmp_path / "second")


@pytest.mark.parametrize("harm", ["no configuration", "another configuration", "no options"])
def test_what_does_not_say_enough_is_refused(tmp_path: Path, harm: str) -> None:
    first = played(request(tmp_path / "first"))
    config, metadata = first / "config.yaml", first / "metadata.json"
    if harm == "no configuration":
        config.unlink()
    elif harm == "another configuration":
        config.write_text(config.read_text().replace("leverage: 1.5", "leverage: much"))
    else:
        metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"options": {}}))
    with pytest.raises(BasisError, match=r"(LOG|CONFIG)-003: .*first"):
        prepare_again(first, tmp_path / "second")
