"""What the adapter asked, in api.log: where it went, what it cost, what came of it, and no secret."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.exchange.binance import KEY, SECRET, LocalBinance
from tests.exchange.worlds import connected, impatient
from tests.venues.wire.tickets import buy

from basis_actors.errors import VenueError
from basis_actors.logs.api_log import ApiLog
from basis_actors.logs.component import ComponentLogs

pytestmark = pytest.mark.anyio
PLACE = "POST /fapi/v1/order"


async def placed(exchange: LocalBinance, folder: Path) -> tuple[dict[str, Any], str]:
    """The line of an order that was sent, and the whole file."""
    components = ComponentLogs(folder, "live-1", 9)
    async with connected(exchange, record=ApiLog(components).note) as api:
        await api.prepare({"BTC-PERP": 5})
        with suppress(VenueError), impatient(api):
            await api.place(buy("BTC-PERP", "0.5"))
    components.close()
    text = (folder / "api.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    (line,) = [line for line in lines if line["event"] == PLACE]
    assert "GET /fapi/v1/exchangeInfo" in {line["event"] for line in lines}
    return line, text


async def test_an_order_is_a_line(exchange: LocalBinance, tmp_path: Path) -> None:
    line, _ = await placed(exchange, tmp_path)
    assert (line["level"], line["venue"], line["status"], line["host"]) == ("info", "binance", 200, "fapi")
    assert line["client_order_id"] == "order1"
    assert line["params"]["symbol"] == "BTCUSDT"
    assert line["weight"] >= 0


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (lambda exchange: exchange.faults.hang(PLACE, carried_out=True), "none"),
        (lambda exchange: exchange.faults.drop_after(PLACE, 4), "none"),
        (lambda exchange: exchange.faults.answer(PLACE, 502, f"<p>{KEY} {SECRET}</p>"), 502),
        (lambda exchange: exchange.faults.answer(PLACE, 400, f'{{"code":-1022,"msg":"{KEY} {SECRET}"}}'), 400),
    ],
    ids=["silence", "broken connection", "page", "refusal"],
)
async def test_what_fails_is_a_line_too_and_shows_no_secret(
    exchange: LocalBinance, tmp_path: Path, fault: Any, status: object
) -> None:
    fault(exchange)
    line, text = await placed(exchange, tmp_path)
    assert line["status"] == status
    assert line["level"] == ("warning" if status == 400 else "error")
    assert line["error"]
    assert line["client_order_id"] == "order1"
    assert KEY not in text
    assert SECRET not in text
    assert "signature" not in text
