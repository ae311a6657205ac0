"""A whole process of the command line while one of its three exchanges takes every connection and answers nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.exchange.faults import FOREVER
from tests.live.street import Street, street
from tests.live.test_trading import UNHEDGED, ask, decisions, net

from basis_actors.logs.reader import EventLog
from basis_actors.logs.replay import replay
from basis_actors.messages.events import OperationExecutionEvent

pytestmark = [pytest.mark.anyio, pytest.mark.long]
QUICK = (
    "--set", "component_config.execution_manager.unanswered_seconds=8",
    "--set", "component_config.kill_switch.heartbeat_seconds=1",
)  # fmt: skip


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Street]:
    """The exchanges, as they trade; OKX carries out its first order and hangs from then on."""
    async with street(tmp_path) as exchanges, anyio.create_task_group() as tasks:
        tasks.start_soon(exchanges.publish)
        faults = exchanges.exchanges["okx"].faults
        faults.hang("POST /api/v5/trade/order", times=FOREVER, carried_out=True)
        yield exchanges
        tasks.cancel_scope.cancel()


async def hangs(there: Street) -> subprocess.Popen[str]:
    """A process of which OKX has an order."""
    process = there.start("--state", str(there.state), *QUICK)
    faults = there.exchanges["okx"].faults
    await there.until(process, faults.hanging.is_set)
    for method in ("GET", "POST", "DELETE"):
        faults.hang(f"{method} /*", times=FOREVER, carried_out=False)
    return process


def comes_back(there: Street) -> None:
    faults = there.exchanges["okx"].faults
    faults.clear()
    faults.released.set()


def shown(there: Street) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(ask(there, "status", "--json"))["status"]
    return status


async def test_the_others_go_on_and_status_says_what_nobody_knows_until_the_exchange_says_it(there: Street) -> None:
    process = await hangs(there)
    await there.until(process, lambda: any("okx: perp_trade" in each for each in shown(there)["tick"]["waits_for"]))
    assert "waits for okx" in " ".join(ask(there, "status").split())
    await there.until(process, lambda: bool(shown(there)["undecided"]))
    await there.until(process, lambda: shown(there)["tick"] is None)
    status = shown(there)
    (order,) = status["undecided"]
    assert (order["symbol"], order["side"], order["venue"]) == ("BTC-PERP", "short", "okx")
    assert order["amount"] == -float(there.position("okx"))
    assert [venue["domain"] for venue in status["silent"]] == ["okx"]
    assert status["latch"]["state"] == "running"
    text = " ".join(ask(there, "status").split())
    assert f"{order['client_id']}" in text.replace(" ", "")
    assert "no answer okx, since " in text
    assert there.position("bybit") < 0, "the other two hedges are there"
    assert there.position("binance") < 0
    comes_back(there)
    await there.until(process, lambda: not shown(there)["undecided"])
    await there.until(process, lambda: abs(net(there)) < UNHEDGED)
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert "Undecided" not in stderr
    assert there.twice == {}
    events = EventLog(there.run_dir(process)).events(OperationExecutionEvent)
    told = [event.status for event in events if event.operation_id == order["operation_id"]]
    assert told == ["unknown", "confirmed"]
    assert replay(there.run_dir(process)).findings == []


async def test_a_stop_meanwhile_says_what_nobody_knows_and_the_next_process_asks(there: Street) -> None:
    process = await hangs(there)
    code, stdout, stderr = await there.stopped(process)
    assert code == 1, "somebody has to see to it"
    assert "Undecided: short " in stderr
    assert json.loads(stdout)["failure"].startswith("VEN-002: 1 order is left undecided: btc_basis-"), stderr
    assert there.position("okx") < 0
    comes_back(there)
    second = there.start("--state", str(there.state))
    await there.until(second, lambda: bool(list(there.folder.glob(f"logs/*/{second.pid}/events/positions.jsonl"))))
    await there.until(second, lambda: bool(decisions(there, second)) and abs(net(there)) < UNHEDGED)
    code, _, stderr = await there.stopped(second)
    assert code == 0, stderr
    assert there.twice == {}
