"""What ccxt's own methods do wrong on this exchange, next to what the adapter makes of the same.

When a newer ccxt does one of these right, its test fails and says so: the pin and the detour are then looked at anew.
"""

import tomllib
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest
from ccxt.base import errors
from tests.exchange.binance import LocalBinance
from tests.exchange.customers import ccxt_customer
from tests.exchange.worlds import HOME, connected
from tests.venues.wire.tickets import buy

from basis_actors.errors import AuthFailed, Rejected, Transient
from basis_actors.venues.wire.binance import BinanceApi

ROOT = Path(__file__).parents[3]
REVOKED = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}


def test_ccxt_is_pinned_to_the_version_that_is_tested() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pin = f"ccxt=={version('ccxt')}"
    assert pin in extras["live"]
    assert pin in extras["dev"]
    assert pin in (ROOT / "constraints.txt").read_text().splitlines()


async def test_nobody_outside_one_file_knows_ccxt() -> None:
    source = ROOT / "src" / "basis_actors"
    users = {
        str(file.relative_to(source))
        for file in source.rglob("*.py")
        for line in file.read_text().splitlines()
        if line.startswith(("import ccxt", "from ccxt"))
    }
    assert users == {"venues/wire/ccxt_client.py"}


async def test_a_tag_is_no_longer_the_fourth_argument_of_a_withdrawal(exchange: LocalBinance) -> None:
    async with ccxt_customer(exchange) as customer:
        with pytest.raises(TypeError):
            await customer.withdraw("USDT", 50, HOME.address, None, {"network": "ETH"})


async def test_inverse_positions_are_silently_not_found(exchange: LocalBinance, api: BinanceApi) -> None:
    exchange.account.trade_by_hand("BTCUSD-PERP", "-10")
    async with ccxt_customer(exchange) as customer:
        assert await customer.fetch_positions(["BTC/USD:BTC"]) == []
    (held,) = (await api.account()).holdings
    assert (held.pair, held.size) == ("BTCUSD-PERP", -1000)


async def test_a_revoked_key_looks_like_a_rate_limit(exchange: LocalBinance, api: BinanceApi) -> None:
    async with ccxt_customer(exchange) as customer:
        await customer.privateGetAccount()
        exchange.faults.answer("GET /api/v3/account", 401, REVOKED)
        with pytest.raises(errors.DDoSProtection):
            await customer.privateGetAccount()
    await api.account()
    exchange.faults.answer("GET /api/v3/account", 401, REVOKED)
    with pytest.raises(AuthFailed):
        await api.account()


async def test_the_meaning_of_an_error_depends_on_the_address(exchange: LocalBinance, api: BinanceApi) -> None:
    path = "/fapi/v1/order"
    async with ccxt_customer(exchange) as customer:
        assert customer.get_exceptions_by_url(f"https://fapi.binance.com{path}", "exact")
        assert not customer.get_exceptions_by_url(f"{exchange.urls['linear']}{path}", "exact")
    exchange.faults.answer("POST /fapi/v1/order", 400, {"code": -4131, "msg": "PERCENT_PRICE"})
    with pytest.raises(Rejected, match="-4131"):
        await api.place(buy("BTC-PERP", "0.5"))


async def test_503_is_neither_a_network_error_nor_an_exchange_error(exchange: LocalBinance) -> None:
    exchange.faults.answer("POST /api/v3/order", 503, {"code": -1000, "msg": "Unknown error"})
    async with ccxt_customer(exchange) as customer:
        with pytest.raises(errors.OperationFailed) as caught:
            await customer.create_order("BTC/USDT", "market", "buy", 0.1)
    assert not isinstance(caught.value, errors.NetworkError | errors.ExchangeError)


async def test_numbers_become_floats(exchange: LocalBinance, api: BinanceApi) -> None:
    exchange.account.purses["spot"]["BTC"] = Decimal("12345678.12345678")
    async with ccxt_customer(exchange) as customer:
        assert isinstance((await customer.fetch_balance())["BTC"]["total"], float)
        exchange.faults.answer("GET /api/v3/account", 200, '{"balances": [{"free": 0.1000000000000000055}]}')
        assert (await customer.privateGetAccount())["balances"][0]["free"] == 0.1
    (balance,) = [row for row in (await api.account()).balances if (row.wallet, row.token) == ("spot", "BTC")]
    assert balance.total == Decimal("12345678.12345678")


async def test_an_order_without_an_id_gets_one_of_ccxts(exchange: LocalBinance, api: BinanceApi) -> None:
    async with ccxt_customer(exchange) as customer:
        await customer.create_order("BTC/USDT", "market", "buy", 0.1)
    await api.place(buy("BTC/USDT", "0.1", client_id="ours1"))
    first, second = exchange.journal.orders_sent()
    assert first.startswith("x-")
    assert second == "ours1"


async def test_the_clock_is_not_adjusted_and_the_window_is_long(exchange: LocalBinance, api: BinanceApi) -> None:
    async with ccxt_customer(exchange) as customer:
        assert not customer.options["adjustForTimeDifference"]
        await customer.privateGetAccount()
        assert exchange.journal.requests[-1].params["recvWindow"] == "10000"
    await api.account()
    assert {request.params["recvWindow"] for request in exchange.journal.requests[-6:] if request.params} == {"5000"}


async def test_markets_are_read_by_the_thousand(exchange: LocalBinance) -> None:
    async with ccxt_customer(exchange) as customer:
        await customer.load_markets()
        asked = len(exchange.journal.requests)
    async with connected(exchange, pairs=("BTC/USDT",)) as api:
        await api.filters()
    assert (asked, len(exchange.journal.requests) - asked) == (4, 1)
    assert "symbols" in exchange.journal.requests[-1].params


async def test_an_order_is_truncated_rather_than_refused(exchange: LocalBinance, api: BinanceApi) -> None:
    async with ccxt_customer(exchange) as customer:
        order = await customer.create_order("BTC/USDT:USDT", "market", "buy", 0.0129)
        assert order["amount"] == 0.012
    with pytest.raises(Rejected, match=r"amount 0.0129 is no whole number of lots"):
        await api.place(buy("BTC-PERP", "0.0129"))


async def test_headers_are_those_of_whichever_answer_came_last(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.prepare({})
    exchange.faults.answer("GET /fapi/v1/order", 429, {"code": -1003, "msg": "slow"}, {"Retry-After": "33"})
    with pytest.raises(Transient):
        await api.order("BTC-PERP", "nobody")
    await api.order("BTC/USDT", "nobody")
    with pytest.raises(Transient, match="until 2024-05-01T00:00:33Z"):
        await api.order("BTC-PERP", "nobody")
