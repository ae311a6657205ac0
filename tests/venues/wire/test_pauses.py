"""Exchanges limit and ban an address: what one connection of a process is told holds for all of them."""

import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.worlds import connected, listening
from tests.venues.wire.tickets import buy

from basis_actors.errors import LeftAlone
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.pauses import EVERYTHING, Pauses

ACCOUNT = "GET /fapi/v3/account"
MARKS = "GET /fapi/v1/premiumIndex"
TOO_MANY = {"code": -1003, "msg": "Too many requests."}


@pytest.fixture
def pauses(exchange: LocalBinance) -> Pauses:
    """What both connections share."""
    return Pauses(lambda: exchange.clock.ns)


async def test_a_ban_that_the_market_is_told_of_halts_the_account(exchange: LocalBinance, pauses: Pauses) -> None:
    async with connected(exchange, pauses=pauses) as api, listening(exchange, pauses=pauses) as market:
        await api.prepare({})
        await market.prices()
        exchange.faults.answer(MARKS, 418, TOO_MANY, {"Retry-After": "259200"})
        with pytest.raises(LeftAlone, match="bans this address"):
            await market.prices()
        sent = len(exchange.journal.requests)
        exchange.clock.advance(259_199)
        for ask in (api.account(), api.place(buy("BTC/USDT", "0.1")), api.countdown_cancel(60), market.prices()):
            with pytest.raises(LeftAlone, match="bans this address and wants to be left alone until 2024-05-04T00:0"):
                await ask
        assert len(exchange.journal.requests) == sent, "no probing"
        exchange.clock.advance(1)
        assert (await api.account()).pairs
        assert await market.prices()


async def test_a_pause_that_the_account_is_told_of_holds_for_the_market_at_that_host(
    exchange: LocalBinance, pauses: Pauses
) -> None:
    async with connected(exchange, pauses=pauses) as api, listening(exchange, pauses=pauses) as market:
        await api.prepare({})
        exchange.faults.answer(ACCOUNT, 429, TOO_MANY, {"Retry-After": "17"})
        with pytest.raises(LeftAlone):
            await api.account()
        asked = len(exchange.journal.of("GET /fapi/*"))
        with pytest.raises(LeftAlone, match=r"binance \(fapi\) wants to be left alone until 2024-05-01T00:00:17Z"):
            await market.prices()
        assert len(exchange.journal.of("GET /fapi/*")) == asked
        assert (await api.place(buy("BTC/USDT", "0.1"))).has_ended, "spot is another host"
        exchange.clock.advance(17)
        assert await market.prices()


def test_exchanges_do_not_share_and_the_longer_pause_holds() -> None:
    pauses = Pauses(lambda: 1)
    pauses.begin("okx", "place", 0, 2.0)
    pauses.begin("okx", "place", 0, 1.0)
    pauses.begin("bybit", EVERYTHING, 0, 600.0)
    assert pauses.of("binance", "place", 0) is None
    assert pauses.of("okx", "orders", 0) is None
    place, banned = pauses.of("okx", "place", NS_PER_SECOND), pauses.of("bybit", "place", 0)
    assert place is not None
    assert banned is not None
    assert (place.code, place.wait_seconds, place.until_ns) == ("VEN-006", 1.0, 3 * NS_PER_SECOND), "no second too soon"
    assert (banned.code, banned.wait_seconds) == ("VEN-003", 600.0)
    assert pauses.of("okx", "place", 2 * NS_PER_SECOND) is None
