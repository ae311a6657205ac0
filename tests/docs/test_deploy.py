"""What `deploy/` has is whole, and the page that says how to use it names the same places."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
UNIT = CHECKOUT / "deploy" / "basis-actors@.service"
PAGE = (CHECKOUT / "docs" / "tutorials" / "paper_then_live.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    text, times = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text(encoding="utf-8"))
    assert times == 1
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / UNIT.name], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, UNIT.name in done.stderr or "@i.service" in done.stderr) == (0, False), done.stderr


def test_the_page_makes_what_the_unit_needs() -> None:
    unit = dict(re.findall(r"(?m)^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8")))
    program = unit["ExecStart"].split()[0]
    environment = Path(unit["EnvironmentFile"].replace("%i", "btc_basis"))
    state, logs = f"/var/lib/{unit['StateDirectory']}", f"/var/log/{unit['LogsDirectory']}"
    for said in (
        rf"# useradd .* {unit['User']}\n",
        rf"# python3 -m venv {Path(program).parents[1]}\n",
        rf"# install -d -m 0700 {environment.parent}\n",
        rf"# echo 'OPTIONS=--paper' > {environment}\n",
        rf"-u {unit['User']} -- {program} status btc_basis --state {state}\n",
        rf"state in `{state}`\nand logs in `{logs}`",
    ):
        assert re.search(said, PAGE), said
