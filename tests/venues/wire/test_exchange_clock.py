"""The exchange's time: read at half the round trip, carried on by a counter, read again when it is old or wrong."""

from itertools import count

import pytest
from tests.exchange.binance import LocalBinance
from tests.venues.wire.tickets import buy

from basis_actors.errors import Transient
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.binance import BinanceApi
from basis_actors.venues.wire.exchange_clock import ExchangeClock

TIME = "GET /api/v3/time"
MS = 1_000_000


def test_a_reading_holds_for_the_middle_of_the_round_trip() -> None:
    counter = [0]
    clock = ExchangeClock(lambda: counter[0])
    clock.set(1_000_000, asked_ns=100, answered_ns=300)
    counter[0] = 200
    assert clock.now_ns() == 1_000_000
    counter[0] = 750
    assert (clock.now_ns(), clock.age_ns()) == (1_000_550, 450)


def test_a_clock_that_was_never_read_tells_no_time() -> None:
    clock = ExchangeClock(count().__next__)
    assert not clock.is_set
    with pytest.raises(RuntimeError, match="read its clock first"):
        clock.now_ns()


async def test_requests_carry_the_exchanges_time_and_not_the_computers(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.account()
    exchange.clock.advance(12.5)
    await api.order("BTC-PERP", "nobody")
    assert exchange.journal.requests[-1].params["timestamp"] == str(exchange.clock.ms)


async def test_of_the_first_readings_the_quickest_holds(exchange: LocalBinance, api: BinanceApi) -> None:
    # Opening the connection takes three seconds, of which the exchange's answer is the last moment.
    exchange.faults.happen_before(TIME, lambda: exchange.clock.advance(3))
    await api.account()
    assert len(exchange.journal.of(TIME)) == 3
    assert exchange.journal.requests[-1].params["timestamp"] == str(exchange.clock.ms)


async def test_a_slow_round_trip_is_halved(exchange: LocalBinance, api: BinanceApi) -> None:
    for _ in range(3):
        exchange.faults.happen_before(TIME, lambda: exchange.clock.advance(0.8))
    await api.account()
    # The way there took 800 ms and the way back nothing: half of it is wrong, and no more.
    assert int(exchange.journal.requests[-1].params["timestamp"]) - exchange.clock.ms == 400


@pytest.mark.parametrize("seconds", [60, -60])
async def test_a_clock_that_is_off_is_read_again_and_the_order_may_be_sent_again(
    exchange: LocalBinance, api: BinanceApi, seconds: int
) -> None:
    await api.prepare({})
    exchange.clock.drift(seconds)
    readings = len(exchange.journal.of(TIME))
    with pytest.raises(Transient, match=r"-1021 .* it was not carried out, the clock has been read again"):
        await api.place(buy("BTC-PERP", "0.5"))
    assert len(exchange.journal.of(TIME)) == readings + 1
    assert (await api.place(buy("BTC-PERP", "0.5"))).has_ended
    assert len(exchange.account.orders) == 1


async def test_minus_1021_is_no_proof_that_an_order_is_not_there(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.clock.drift(60)
    with pytest.raises(Transient):
        await api.order("BTC-PERP", "order1")
    assert await api.order("BTC-PERP", "order1") is not None


async def test_what_reads_renews_an_old_reading_and_an_order_does_not_wait_for_it(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    await api.prepare({})
    readings = len(exchange.journal.of(TIME))
    exchange.clock.advance(601)
    await api.place(buy("BTC-PERP", "0.5"))
    await api.cancel("BTC-PERP", "order1")
    assert len(exchange.journal.of(TIME)) == readings
    await api.payments(exchange.clock.ns - NS_PER_SECOND)
    assert len(exchange.journal.of(TIME)) == readings + 1


@pytest.mark.parametrize("body", ["{}", "garbage", '{"serverTime": "soon"}'])
async def test_an_exchange_that_tells_no_time_is_not_traded(exchange: LocalBinance, api: BinanceApi, body: str) -> None:
    exchange.faults.answer(TIME, 200, body)
    with pytest.raises(Transient, match="publicGetTime: the answer cannot be read"):
        await api.place(buy("BTC-PERP", "0.5"))
    assert not exchange.journal.orders_sent()
