"""An open order in a state that is not known: it keeps nobody from ending the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from tests.exchange.journal import Request
from tests.exchange.worlds import EXCHANGES, connected
from tests.venues.wire.tickets import buy

from basis_actors.messages.exchange import OrderState

LISTS = {
    "binance": ("GET /fapi/v1/openOrders", '"status": "NEW"', '"status": "SLEEPING"'),
    "bybit": ("GET /v5/order/realtime", '"orderStatus": "New"', '"orderStatus": "Sleeping"'),
    "okx": ("GET /api/v5/trade/orders-pending", '"state": "live"', '"state": "sleeping"'),
}


@pytest.mark.parametrize("venue", sorted(LISTS))
async def test_it_is_shown_as_open(venue: str) -> None:
    route, known, unknown = LISTS[venue]
    async with EXCHANGES[venue]() as exchange, connected(exchange) as api:
        await api.prepare({})
        await api.place(buy("BTC-PERP", "0.02", "59000"))
        answer = exchange.answer

        def altered(seen: Request, http: web.Request, signed: str, params: dict[str, Any]) -> web.Response:
            given = answer(seen, http, signed, params)
            if seen.route != route:
                return given
            text = json.dumps(json.loads(given.text or "")).replace(known, unknown)
            return web.Response(text=text, content_type="application/json")

        exchange.answer = altered  # type: ignore[method-assign]
        (order,) = await api.open_orders()
        assert (order.client_id, order.state) == ("order1", OrderState.OPEN)
        await api.cancel(order.pair, order.client_id)
        assert await api.open_orders() == ()
