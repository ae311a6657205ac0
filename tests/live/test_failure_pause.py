"""Orders that failed keep the processes that come after from sending more of them at once, until a person resumes."""

from __future__ import annotations

import pytest
from tests.exchange.faults import FOREVER
from tests.live.street import Street
from tests.live.test_stops import MODE, decided, killed, start
from tests.live.test_trading import decisions
from typer.testing import CliRunner

from basis_actors.cli.app import app

pytestmark = [pytest.mark.anyio, pytest.mark.long]
ORDER = "POST /fapi/v1/order"


def say(there: Street, command: str) -> str:
    """What a command about the process prints at 80 columns."""
    wide = {"COLUMNS": "80", "NO_COLOR": "1"}
    result = CliRunner(env=wide).invoke(app, [command, MODE, "--state", str(there.state)])
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    return " ".join(result.stdout.split())


async def test_a_process_that_is_started_again_waits_as_the_one_before_would_have(there: Street) -> None:
    exchange = there.exchanges["binance"]
    exchange.faults.answer(ORDER, 400, {"code": -2019, "msg": "Margin is insufficient."}, times=FOREVER)
    first = start(there, tick_seconds=10)
    await there.until(first, (there.state / MODE / "failures.json").exists)
    await decided(there, first)
    shown = say(there, "status")
    assert "new risk waits until 20" in shown
    assert "as orders failed once since it was last taken; `resume` ends that" in shown
    await killed(first)
    exchange.faults.clear()
    sent = len(exchange.journal.of(ORDER))
    second = start(there, tick_seconds=10)
    await decided(there, second)
    (decision, *_) = decisions(there, second)
    assert decision.reasoning.startswith("orders failed 1 times since new risk was last taken; it waits until ")
    assert "new risk waits until 20" in say(there, "status")
    assert len(exchange.journal.of(ORDER)) == sent
    assert "new risk" not in say(there, "resume")
    await there.until(second, lambda: there.position("binance") != 0)
    assert not (there.state / MODE / "failures.json").read_bytes().count(b'"failures":1')
    code, _, stderr = await there.stopped(second)
    assert code == 0, stderr
    assert there.twice == {}
