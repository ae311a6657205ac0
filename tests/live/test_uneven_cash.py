"""Cash that lies unevenly, where no withdrawal address is configured: the process enters with what lies where."""

from __future__ import annotations

import pytest
from tests.live.street import Street
from tests.live.test_trading import UNHEDGED, bought, decisions, net

from basis_actors.logs.reader import EventLog
from basis_actors.messages.events import SystemErrorEvent

pytestmark = [pytest.mark.anyio, pytest.mark.long]


async def test_it_enters_with_what_lies_where_and_says_what_would_have_to_be_moved(there: Street) -> None:
    there.exchanges["okx"].account.purses["unified"]["USDT"] -= 9000
    there.exchanges["bybit"].account.fund("unified", "USDT", "9000")
    process = there.start("--state", str(there.state))
    await there.until(process, lambda: there.orders >= 4)
    await there.until(process, lambda: bool(decisions(there, process)))
    (first, *_) = decisions(there, process)
    assert first.decision_type == "entry"
    assert first.constraints_violated[0].startswith("EXEC-004: ")
    assert " USDT from bybit to okx would have to be moved by hand" in first.constraints_violated[0]
    assert abs(net(there)) < UNHEDGED
    assert bought(there) > 0.6
    assert there.position("okx") == 0
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert list(EventLog(there.run_dir(process)).events(SystemErrorEvent)) == []
