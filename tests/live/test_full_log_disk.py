"""A disk that takes no more events halts what adds risk and ends nothing; with room again the log is whole."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from tests.live.street import Street
from tests.live.test_lost_places import OFTEN
from tests.live.test_trading import LEGS, UNHEDGED, ask, entered, errors, net

from basis_actors.logs.replay import replay

pytestmark = [pytest.mark.anyio, pytest.mark.long]


@pytest.fixture
def small_logs(there: Street) -> Iterator[Path]:
    """A log folder on a file system of its own, of a few megabytes."""
    logs = there.folder / "logs"
    logs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(logs)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield logs
    there.end()
    subprocess.run(["umount", "--lazy", logs], check=True)


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 512):
            pass
    return filler


async def until_status(there: Street, word: str, *, shown: bool) -> str:
    while (word in (text := ask(there, "status"))) != shown:
        await anyio.sleep(0.2)
    return text


def ticks_of(there: Street) -> int:
    return int(json.loads(ask(there, "status", "--json"))["status"]["ticks"])


async def test_a_full_disk_under_the_log_halts_what_adds_risk_and_ends_nothing(there: Street, small_logs: Path) -> None:
    process = await entered(there, *OFTEN)
    filler = fill(small_logs)
    shown = " ".join((await until_status(there, "is not sent:", shown=True)).split())
    assert "No space left on device" in shown
    there.exchanges["bybit"].account.trade_by_hand("BTC-PERP", "0.1")
    await there.until(process, lambda: there.orders > LEGS)
    assert abs(net(there)) < UNHEDGED, "spot that nothing hedges any more is sold"
    ticks = ticks_of(there)
    while ticks_of(there) < ticks + 2:
        await anyio.sleep(0.2)
    assert there.orders == LEGS + 1, "and no money is put to work"
    filler.unlink()
    await until_status(there, "is not sent:", shown=False)
    await there.until(process, lambda: there.orders > LEGS + 1)
    assert there.twice == {}
    told = [event for event in errors(there, process, "LOG-001") if event.component == "event_logger"]
    assert [event.severity for event in told] == ["HIGH", "MEDIUM"]
    assert told[1].message.endswith("; events lost: none")
    code, stdout, stderr = await there.stopped(process)
    assert (code, json.loads(stdout)["failure"], "Traceback" in stderr) == (0, None, False), stderr
    assert "Warning: LOG-001: the event log takes nothing" in stderr
    assert replay(there.run_dir(process)).findings == []


async def test_a_stop_with_a_full_disk_names_what_is_not_written(there: Street, small_logs: Path) -> None:
    process = await entered(there, *OFTEN)
    fill(small_logs)
    await until_status(there, "is not sent:", shown=True)
    code, _, stderr = await there.stopped(process)
    assert (code, "Traceback" in stderr) == (1, False), stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("Failed: ")]
    assert "LOG-001" in line
    assert "not on disk yet, in lines: " in line
    assert "Still open" in stderr
