"""What an exchange, or whatever stands before it, says of an answer beside its text."""

from __future__ import annotations

import pytest
from aiohttp import web
from tests.exchange.server import LocalExchange
from tests.exchange.worlds import EXCHANGES, connected
from tests.venues.wire.tickets import buy

from basis_actors.errors import UnknownOutcome

ORDERS = {"binance": "POST /fapi/v1/order", "bybit": "POST /v5/order/create", "okx": "POST /api/v5/trade/order"}


@pytest.fixture(params=sorted(EXCHANGES))
def venue(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def orders_at(exchange: LocalExchange) -> int:
    return len(exchange.journal.of(ORDERS[exchange.venue]))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_an_order_is_not_sent_on_to_another_address(venue: str, status: int) -> None:
    async with EXCHANGES[venue]() as exchange, EXCHANGES[venue]() as elsewhere, connected(exchange) as api:
        await api.prepare({})
        there = {"Location": f"http://127.0.0.1:{elsewhere.port}{ORDERS[venue].partition(' ')[2]}"}
        exchange.faults.answer(ORDERS[venue], status, "", there, carried_out=True)
        with pytest.raises(UnknownOutcome, match=f"RedirectError status {status}, which is not followed"):
            await api.place(buy("BTC-PERP", "0.02"))
        assert (orders_at(exchange), elsewhere.journal.requests) == (1, [])
        found = await api.order("BTC-PERP", "order1")
        assert found is not None
        assert found.has_ended


async def test_an_order_that_is_sent_on_to_where_nobody_is_may_have_been_carried_out(venue: str) -> None:
    async with EXCHANGES[venue]() as gone:
        nobody = f"http://127.0.0.1:{gone.port}/"
    async with EXCHANGES[venue]() as exchange, connected(exchange) as api:
        await api.prepare({})
        exchange.faults.answer(ORDERS[venue], 307, "", {"Location": nobody}, carried_out=True)
        with pytest.raises(UnknownOutcome):
            await api.place(buy("BTC-PERP", "0.02"))


@pytest.mark.parametrize("charset", ["rot13", "base64", "idna", "punycode", "undefined", "utf-16", "klingon"])
async def test_an_answer_in_an_alphabet_that_is_none_is_read_as_json_is(
    venue: str, charset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with EXCHANGES[venue]() as exchange, connected(exchange) as api:
        await api.prepare({})
        answer = exchange.answer

        def in_it(*asked: object) -> web.Response:
            given = answer(*asked)  # type: ignore[arg-type]
            kind = {"Content-Type": f"application/json; charset={charset}"}
            return web.Response(status=given.status, body=given.body, headers=kind)

        monkeypatch.setattr(exchange, "answer", in_it)
        assert (await api.place(buy("BTC-PERP", "0.02"))).has_ended
        assert (await api.account()).pairs
