"""A book that is to be closed while the owner's order binds the spot: closed as far as it can be, and hedged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from tests.live.street import Street, street
from tests.live.test_trading import ask, bought, decisions, entered, errors, net

pytestmark = [pytest.mark.anyio, pytest.mark.long]
UNHEDGED = Decimal("0.002")
"""Whole lots of three exchanges."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Street]:
    async with street(tmp_path) as exchanges, anyio.create_task_group() as market:
        market.start_soon(exchanges.publish)
        yield exchanges
        market.cancel_scope.cancel()


async def test_an_owners_order_that_binds_spot_leaves_its_share_hedged_and_the_rest_is_closed(there: Street) -> None:
    process = await entered(there)
    account = there.exchanges["binance"].account
    order = account.place(account.market("BTC/USDT"), "web_1", buys=False, amount=Decimal("0.5"), limit=Decimal(70_000))
    ask(there, "kill", "--flatten")
    await there.until(process, lambda: bought(there) < Decimal("0.51"))
    await there.until(process, lambda: "bound by open orders" in decisions(there, process)[-1].reasoning)
    assert bought(there) >= Decimal("0.5"), "the owner's order still has what it would sell"
    assert abs(net(there)) < UNHEDGED
    assert errors(there, process, "EXEC-006") == []
    shown = " ".join(ask(there, "status").split())
    assert "is being closed" in shown
    assert "BTC at binance are bound by open orders" in shown
    assert [each.client_id for each in account.open_orders()] == ["web_1"]
    account.cancel(order)
    await there.until(process, lambda: json.loads(ask(there, "status", "--json"))["status"]["book_closed"])
    assert [there.position(venue) for venue in there.exchanges] == [0, 0, 0]
    code, _, stderr = await there.stopped(process)
    assert (code, there.twice) == (0, {}), stderr
