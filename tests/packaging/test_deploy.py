"""What is deployed fits the program: options that exist, a stop that waits for orders, files that are there."""

from __future__ import annotations

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
from typer.main import get_command

from basis_actors.cli.app import app
from basis_actors.config import load_mode
from basis_actors.config.library import mode_names
from basis_actors.services.live import LiveRun

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "basis-actors@.service"
DRAIN_SECONDS = 10.0


@pytest.fixture(scope="module")
def unit() -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    return parser


def test_the_unit_starts_a_command_with_options_that_exist(unit: ConfigParser) -> None:
    program, command, mode, *options = unit["Service"]["ExecStart"].split()
    live = get_command(app).commands[command]  # type: ignore[attr-defined]
    known = {name for parameter in live.params for name in parameter.opts}
    assert (Path(program).name, mode) == ("basis-actors", "%i")
    assert {option for option in options if option.startswith("--")} <= known


@pytest.mark.parametrize("mode", mode_names())
def test_a_stop_waits_for_the_orders_of_a_tick_and_for_the_log(mode: str, unit: ConfigParser) -> None:
    limit = load_mode(mode).mode.component_config.execution_manager.tight_loop_timeout
    closing = limit
    assert float(unit["Service"]["TimeoutStopSec"]) >= limit + LiveRun.BEYOND_SECONDS + closing + 2 * DRAIN_SECONDS


def test_bad_input_is_not_tried_again_and_a_failure_is(unit: ConfigParser) -> None:
    service = unit["Service"]
    assert (service["Restart"], service["RestartPreventExitStatus"], service["KillSignal"]) == (
        "on-failure",
        "2",
        "SIGTERM",
    )


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / "basis-actors@btc_basis.service"
    # Program and user of the target machine are not on this one.
    text = UNIT.read_text().replace("/opt/basis-actors/bin/basis-actors", "/bin/true").replace("User=basis-actors", "")
    copy.write_text(text)
    said = subprocess.run([verify, "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr.strip()) == (0, "")


def test_the_container_is_built_from_files_that_are_there() -> None:
    copied = [
        line.split()[1:-1]
        for line in (ROOT / "deploy" / "Containerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
    ]
    sources = [source for sources in copied for source in sources]
    assert "pyproject.toml" in sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
