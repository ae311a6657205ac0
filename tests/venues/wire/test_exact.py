"""What does not fit is not sent, and what is sent arrives digit by digit as the ticket has it."""

from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.exchange.binance import LocalBinance
from tests.exchange.server import LocalExchange
from tests.exchange.worlds import connected
from tests.venues.wire.speech import SPEECHES, Speech
from tests.venues.wire.tickets import buy

from basis_actors.errors import Rejected
from basis_actors.messages.exchange import MarketFilters, OrderTicket
from basis_actors.venues.wire.adapter import Adapter
from basis_actors.venues.wire.binance import BinanceApi
from basis_actors.venues.wire.exact import plain_text, require_whole

FILTERS = MarketFilters(
    pair="BTC-PERP",
    lot=Decimal("0.001"),
    tick=Decimal("0.1"),
    min_amount=Decimal("0.002"),
    max_market_amount=Decimal(120),
    min_notional=Decimal(5),
    trading=True,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.00000100", "0.000001"), ("1E-8", "0.00000001"), ("1E+3", "1000"), ("120", "120"), ("1.10", "1.1"), ("0", "0")],
)
def test_numbers_are_written_without_exponent(value: str, text: str) -> None:
    assert plain_text(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_not_written(value: str) -> None:
    with pytest.raises(ValueError, match="a finite number was expected"):
        plain_text(Decimal(value))


@pytest.mark.parametrize(
    ("ticket", "told"),
    [
        (buy("BTC-PERP", "0.0025"), "amount 0.0025 is no whole number of lots of 0.001"),
        (buy("BTC-PERP", "0"), "amount 0 is no whole number of lots"),
        (buy("BTC-PERP", "-1"), "amount -1 is no whole number of lots"),
        (buy("BTC-PERP", "NaN"), "amount NaN is no whole number of lots"),
        (buy("BTC-PERP", "0.001"), "amount 0.001 is less than the least amount 0.002"),
        (buy("BTC-PERP", "121"), "amount 121 is more than the largest market order 120"),
        (buy("BTC-PERP", "1", "60000.05"), "price 60000.05 is no whole number of ticks of 0.1"),
        (buy("BTC-PERP", "1", "0"), "price 0 is no whole number of ticks of 0.1"),
        (buy("BTC-PERP", "0.0025", "0.05"), "lots of 0.001; price 0.05 is no whole number of ticks"),
    ],
)
def test_what_the_exchange_would_refuse_is_refused_here(ticket: OrderTicket, told: str) -> None:
    with pytest.raises(Rejected, match="was not sent") as caught:
        require_whole(ticket, FILTERS)
    assert told in caught.value.message
    assert caught.value.code == "EXEC-004"


def test_limit_orders_may_be_larger_and_reducing_ones_smaller() -> None:
    require_whole(buy("BTC-PERP", "121", "60000.1"), FILTERS)
    require_whole(buy("BTC-PERP", "0.001", reduce_only=True), FILTERS)


MARKETS = {"BTC/USDT": ("0.00001", "0.01"), "BTC-PERP": ("0.001", "0.1"), "BTCUSD-PERP": ("100", "0.1")}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pair=st.sampled_from(sorted(MARKETS)),
    lots=st.integers(min_value=1, max_value=300),
    ticks=st.integers(min_value=1, max_value=500_000),
    serial=st.uuids(),
)
async def test_what_arrives_is_exactly_what_the_ticket_says(
    exchange: LocalBinance, api: BinanceApi, pair: str, lots: int, ticks: int, serial: object
) -> None:
    lot, tick = (Decimal(text) for text in MARKETS[pair])
    client_id = str(serial).replace("-", "")
    sent = buy(pair, str(lots * lot), str(ticks * tick), client_id)
    for purse, token in (("spot", "USDT"), ("linear", "USDT"), ("inverse", "BTC")):
        exchange.account.fund(purse, token, "1e12")
    exchange.account.market("BTC/USDT").min_notional = Decimal(0)
    exchange.account.market("BTC-PERP").min_notional = Decimal(0)
    report = await api.place(sent)
    params = exchange.journal.requests[-1].params
    unit = 100 if pair == "BTCUSD-PERP" else 1
    assert params["quantity"] == plain_text(sent.amount / unit)
    assert Decimal(params["quantity"]) * unit == sent.amount
    assert params["price"] == plain_text(ticks * tick)
    assert params["newClientOrderId"] == client_id
    assert "e" not in params["quantity"].lower() + params["price"].lower()
    assert (report.amount, report.client_id, report.pair) == (sent.amount, client_id, pair)
    await api.cancel(pair, client_id)


NUMBERS = count()


@pytest.fixture(scope="module", params=SPEECHES)
async def elsewhere(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Speech, LocalExchange, Adapter]]:
    """Each other exchange in turn, rich, and with no least value of an order."""
    speech = SPEECHES[request.param]
    async with speech.funded() as running, connected(running) as api:
        running.account.fund("unified", "USDT", "1e12")
        for market in running.account.markets.values():
            market.min_notional = Decimal(0)
        yield speech, running, api


@settings(max_examples=60, deadline=None)
@given(data=st.data(), lots=st.integers(1, 300), ticks=st.integers(1, 500_000))
async def test_what_arrives_at_any_exchange_is_exactly_what_the_ticket_says(
    elsewhere: tuple[Speech, LocalExchange, Adapter], data: st.DataObject, lots: int, ticks: int
) -> None:
    speech, exchange, api = elsewhere
    pair = data.draw(st.sampled_from(sorted(speech.lots)))
    lot, tick = (Decimal(text) for text in speech.lots[pair])
    # An id serves once, whatever else an example has in common with one before.
    client_id = f"exact{next(NUMBERS)}"
    sent = buy(pair, str(lots * lot), str(ticks * tick), client_id)
    exchange.clock.advance(1)
    report = await api.place(sent)
    params = exchange.journal.of(speech.place)[-1].params
    amount, price = params[speech.amount_name], params[speech.price_name]
    unit = Decimal(speech.units.get(pair, "1"))
    assert amount == plain_text(sent.amount / unit)
    assert Decimal(amount) * unit == sent.amount
    assert price == plain_text(ticks * tick)
    assert "e" not in (amount + price).lower()
    assert params[speech.id_name] == client_id
    assert (report.amount, report.client_id, report.pair) == (sent.amount, client_id, pair)
    await api.cancel(pair, client_id)
