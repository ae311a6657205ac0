"""A book that is to be closed while the owner's order binds the spot: closed as far as it can be, and hedged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from tests.exchange.faults import FOREVER
from tests.live.street import Street, street
from tests.live.test_trading import ask, bought, decisions, entered, errors, net
from typer.testing import CliRunner

from basis_actors.cli.app import app

pytestmark = [pytest.mark.anyio, pytest.mark.long]
UNHEDGED = Decimal("0.002")
"""Whole lots of three exchanges."""


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
    assert errors(there, process, "VEN-001") == [], "no address is configured, so nothing is sent home"
    said = [event.message for event in errors(there, process, "RISK-008")]
    assert len([text for text in said if "USDT at binance, USDT at bybit, USDT at okx" in text]) == 1


async def test_after_a_stop_that_could_not_close_everything_the_next_process_closes_the_rest_and_waits(
    there: Street,
) -> None:
    there.settings["kill_switch"]["flatten_ticks"] = 3
    first = await entered(there, "--flatten")
    account = there.exchanges["binance"].account
    order = account.place(account.market("BTC/USDT"), "web_1", buys=False, amount=Decimal("0.5"), limit=Decimal(70_000))
    code, _, stderr = await there.stopped(first)
    assert code == 1
    assert "trades only after `basis-actors resume`" in " ".join(stderr.split())
    assert abs(net(there)) < UNHEDGED
    sent = there.orders
    there.settings["kill_switch"]["flatten_ticks"] = 60
    second = there.start("--state", str(there.state))
    await there.until(second, lambda: len(list(there.folder.glob(f"logs/*/{second.pid}/events/positions.jsonl"))) == 1)
    await there.until(second, lambda: bool(decisions(there, second)))
    assert "the book is closed before the process ends" in decisions(there, second)[0].reasoning
    assert there.orders == sent
    account.cancel(order)
    await there.until(second, lambda: json.loads(ask(there, "status", "--json"))["status"]["book_closed"])
    assert [there.position(venue) for venue in there.exchanges] == [0, 0, 0]
    code, _, stderr = await there.stopped(second)
    assert code == 0, stderr
    assert "killed" in CliRunner().invoke(app, ["status", "btc_basis", "--state", str(there.state)]).stdout


async def test_a_stop_that_an_exchange_keeps_from_closing_the_book_names_it(there: Street) -> None:
    there.settings["kill_switch"]["flatten_ticks"] = 3
    process = await entered(there, "--flatten")
    binance = there.exchanges["binance"]
    for method in ("GET", "POST", "DELETE"):
        too_many = {"code": -1003, "msg": "Too many requests."}
        binance.faults.answer(f"{method} /*", 418, too_many, {"Retry-After": "259200"}, times=FOREVER)
    code, _, stderr = await there.stopped(process)
    assert (code, there.twice) == (1, {})
    assert "the ticks that it may take, were too few; binance wants to be left alone until 2" in " ".join(
        stderr.split()
    )
    assert abs(net(there)) < UNHEDGED
