"""Lists of Binance that do not go on: a page that comes again, whatever is asked for, cannot be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from tests.exchange.binance import LocalBinance
from tests.exchange.journal import Request

from basis_actors.errors import Transient
from basis_actors.messages.exchange import TransferTicket, Wallet
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.binance import BinanceApi

Ask = Callable[[BinanceApi, int], Awaitable[Any]]
AT_MOST = 50
"""Pages of one list; whoever asks for more of them does not end."""


def trades(at_ms: int) -> list[dict[str, Any]]:
    """A full page of trades."""
    alike = {"symbol": "BTCUSDT", "orderId": 1, "price": "1", "qty": "1", "buyer": True, "time": at_ms}
    return [{**alike, "id": number, "commission": "0", "commissionAsset": "USDT"} for number in range(1000)]


def deposits(at_ms: int) -> list[dict[str, Any]]:
    """A full page of deposits."""
    alike = {"amount": "1", "coin": "USDT", "status": 1, "insertTime": at_ms}
    return [{**alike, "txId": str(number), "id": str(number)} for number in range(1000)]


def transfers(at_ms: int) -> dict[str, Any]:
    """A full page of transfers."""
    alike = {"asset": "USDT", "amount": "1", "status": "CONFIRMED", "timestamp": at_ms}
    return {"total": 1000, "rows": [{**alike, "tranId": number} for number in range(100)]}


def moved(api: BinanceApi, since_ns: int) -> Awaitable[Any]:
    ticket = TransferTicket(
        client_id="move1", token="USDT", amount=Decimal(5), source=Wallet.SPOT, target=Wallet.LINEAR
    )
    return api.moved(ticket, since_ns)


@pytest.mark.parametrize(
    ("ask", "route", "page"),
    [
        (lambda api, since_ns: api.fills("BTC-PERP", since_ns), "GET /fapi/v1/userTrades", trades),
        (lambda api, since_ns: api.payments(since_ns), "GET /sapi/v1/capital/deposit/hisrec", deposits),
        (moved, "GET /sapi/v1/asset/transfer", transfers),
    ],
    ids=["trades", "deposits", "transfers"],
)
async def test_a_page_that_comes_again_ends_the_list(
    exchange: LocalBinance, api: BinanceApi, ask: Ask, route: str, page: Callable[[int], Any]
) -> None:
    answer, at_ms = exchange.answer, exchange.clock.ns // 1_000_000

    def altered(seen: Request, http: web.Request, signed: str, params: dict[str, Any]) -> web.Response:
        if seen.route == route:
            asked = len(exchange.journal.of(route))
            return web.json_response(page(at_ms)) if asked <= AT_MOST else web.Response(status=404)
        return answer(seen, http, signed, params)

    exchange.answer = altered  # type: ignore[method-assign]
    with pytest.raises(Transient, match="the answer cannot be read"):
        await ask(api, exchange.clock.ns - NS_PER_SECOND)
    assert len(exchange.journal.of(route)) == 2
