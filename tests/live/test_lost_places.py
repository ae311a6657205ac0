"""A process whose state or log directory is deleted goes on with what reduces alone, says so, and stops in order."""

from __future__ import annotations

import json
import shutil

import anyio
import pytest
from tests.live.street import Street
from tests.live.test_trading import LEGS, UNHEDGED, ask, decisions, entered, errors, net

from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import OperationExecutionEvent

pytestmark = [pytest.mark.anyio, pytest.mark.long]
OFTEN = (
    *("--set", "component_config.kill_switch.heartbeat_seconds=0.5"),
    *("--set", "tick_interval_seconds=5"),
    *("--set", "component_config.strategy_manager.time_throttle_interval=2.0"),
    *("--set", "component_config.strategy_manager.failure_pause_seconds=2.0"),
    *("--set", "component_config.market_feed.tick_delay_seconds=0.5"),
)


@pytest.mark.parametrize("what", ["btc_basis", "btc_basis/orders.sqlite"])
async def test_a_state_that_is_deleted_is_noticed_and_a_second_process_refused(there: Street, what: str) -> None:
    process = await entered(there, *OFTEN)
    gone = there.state / what
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    await there.until(process, lambda: bool(errors(there, process, "ENGINE-006")))
    said = [event for event in errors(there, process, "ENGINE-006") if event.component == "place_watch"]
    assert [event.severity for event in said] == ["CRITICAL"]
    assert str(gone) in said[0].message
    code, _, stderr = await there.ended(there.start("--state", str(there.state)))
    assert (code, f"is taken by process {process.pid}" in stderr) == (2, True), stderr
    there.exchanges["bybit"].account.trade_by_hand("BTC-PERP", "0.1")
    await there.until(process, lambda: there.orders > LEGS)
    assert abs(net(there)) < UNHEDGED, "spot that nothing hedges any more is sold"
    await there.until(process, lambda: _refused(there, process) > 0)
    assert there.orders == LEGS + 1, "and no money is put to work"
    assert there.twice == {}
    code, _, stderr = await there.stopped(process)
    assert (code, "ENGINE-006" in stderr, "Traceback" in stderr) == (1, True, False), stderr
    assert "Still open" in stderr
    lines = [line for line in stderr.splitlines() if "nothing that adds risk is sent" in line]
    assert len(lines) == 1, stderr
    assert str(gone) in lines[0]


async def test_a_log_directory_that_is_deleted_is_said_and_the_stop_is_no_traceback(there: Street) -> None:
    process = await entered(there, *OFTEN)
    shutil.rmtree(there.folder / "logs")
    shown = ""
    while "is not sent:" not in shown:
        shown = ask(there, "status")
        await anyio.sleep(0.1)
    code, stdout, stderr = await there.stopped(process)
    assert (code, "Traceback" in stderr) == (1, False), stderr
    assert "HIGH LOG-001: the log directory is lost: " in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("Failed: ")]
    assert line.startswith("Failed: LOG-001: ")
    assert "is gone: No such file or directory; what this run has logged is lost" in line
    assert json.loads(stdout)["failure"].startswith("LOG-001: ")
    assert there.orders == LEGS
    second = there.start("--state", str(there.state))
    await there.until(second, lambda: bool(list(there.folder.glob(f"logs/*/{second.pid}/events/positions.jsonl"))))
    await there.until(second, lambda: bool(decisions(there, second)))
    assert (await there.stopped(second))[0] == 0
    assert (there.orders, there.twice) == (LEGS, {})


def _refused(there: Street, process: object) -> int:
    """Orders that the gate has refused because of the disk."""
    events = EventLog(there.run_dir(process)).events(OperationExecutionEvent)  # type: ignore[arg-type]
    return sum(1 for event in events if event.error_code == "ENGINE-006")
