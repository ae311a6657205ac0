"""A process that starts on an account that has changed without a line in its history, over real sockets."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal

import pytest
from tests.live.street import Street
from tests.live.test_trading import LEGS, ask, bought, decisions, entered, errors, net

from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import ExecutionDeltaEvent, PositionSnapshot
from basis_actors.messages.execution import DeltaSource

pytestmark = pytest.mark.anyio
COIN = "binance:BaseToken:BTC"


async def killed(there: Street, process: subprocess.Popen[str]) -> None:
    """As by the machine: nothing is said."""
    process.kill()
    await there.ended(process)


async def decided(there: Street, process: subprocess.Popen[str]) -> None:
    """Wait for its first tick."""
    await there.until(process, lambda: bool(list(there.folder.glob(f"logs/*/{process.pid}/events/positions.jsonl"))))
    await there.until(process, lambda: bool(decisions(there, process)))


async def test_an_account_that_shows_no_spot_at_the_start_is_not_traded_upon(there: Street) -> None:
    first = await entered(there)
    coins, unhedged = bought(there), net(there)
    await killed(there, first)
    purse = there.exchanges["binance"].account.purses["spot"]
    purse["BTC"] = Decimal(0)
    second = there.start("--state", str(there.state))
    await decided(there, second)
    snapshots = list(EventLog(there.run_dir(second)).events(PositionSnapshot))
    assert [each.positions[COIN] for each in snapshots] == pytest.approx([float(coins)] * len(snapshots), rel=1e-12)
    await there.until(second, lambda: bool(errors(there, second, "VEN-009")))
    (said,) = errors(there, second, "VEN-009")
    assert f"{COIN} is 0, {float(coins):.12g} is booked" in said.message
    assert "shows what nothing in its history explains" in ask(there, "status")
    assert [each.decision_type for each in decisions(there, second)] == ["hold"]
    purse["BTC"] = coins
    ask(there, "kill", "--flatten")
    await there.until(second, lambda: json.loads(ask(there, "status", "--json"))["status"]["book_closed"])
    assert abs(unhedged) > abs(net(there)), "what was there is sold"
    assert (there.orders, there.twice) == (2 * LEGS, {})
    assert (await there.stopped(second))[0] == 0


@pytest.mark.long
async def test_what_it_goes_on_showing_is_the_owners_doing_and_no_loss(there: Street) -> None:
    there.account_terms["unexplained_seconds"] = 0.5
    first = await entered(there)
    await killed(there, first)
    there.exchanges["okx"].account.purses["unified"]["USDT"] -= 2_000
    second = there.start("--state", str(there.state))
    await decided(there, second)
    await there.until(second, lambda: bool(errors(there, second, "VEN-009")))
    ask(there, "kill", "--flatten")
    await there.until(second, lambda: json.loads(ask(there, "status", "--json"))["status"]["book_closed"])
    assert (await there.stopped(second))[0] == 0
    booked = EventLog(there.run_dir(second)).events(ExecutionDeltaEvent)
    unexplained = [each for each in booked if each.source is DeltaSource.UNEXPLAINED]
    assert [(each.deltas[0].position_key, each.deltas[0].delta_amount) for each in unexplained] == [
        ("okx:BaseToken:USDT", pytest.approx(-2_000.0))
    ]
    marks = json.loads((there.state / "btc_basis" / "losses.json").read_bytes())
    assert marks["growth"] > 0.995, "fees alone; 2,000 would be a loss of two percent"
