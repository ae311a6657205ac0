"""A Bybit account is brought into the state that trading needs, and read back; one that stays otherwise is refused."""

import pytest
from tests.exchange.bybit import LocalBybit
from tests.exchange.market import Kind
from tests.exchange.worlds import connected, venue_of

from basis_actors.errors import AuthFailed, ConfigError, Rejected, Transient
from basis_actors.venues.wire.build import build_exchange
from basis_actors.venues.wire.bybit import BybitApi
from basis_actors.venues.wire.pauses import Pauses

LEVERAGE = {"BTC-PERP": 3, "ETH-PERP": 2}
DONE = {"retCode": 0, "retMsg": "OK", "result": {}}


async def test_the_name_of_the_account_is_told_before_anything_is_changed(exchange: LocalBybit) -> None:
    told: list[tuple[str, int]] = []

    def note(account: str) -> None:
        told.append((account, len(exchange.journal.of("POST *"))))

    async with connected(exchange, identified=note) as api:
        await api.prepare(LEVERAGE)
    assert told == [("24617703", 0)]


async def test_one_way_positions_cross_margin_and_leverage_are_set(exchange: LocalBybit, api: BybitApi) -> None:
    account = exchange.account
    account.two_way[Kind.LINEAR] = True
    exchange.house.margin_mode = "ISOLATED_MARGIN"
    await api.prepare(LEVERAGE)
    assert (account.two_way[Kind.LINEAR], exchange.house.margin_mode) == (False, "REGULAR_MARGIN")
    assert {pair: account.market(pair).leverage for pair in LEVERAGE} == LEVERAGE


async def test_what_is_right_already_is_not_set_again(exchange: LocalBybit, api: BybitApi) -> None:
    await api.prepare(LEVERAGE)
    changes = len(exchange.journal.of("POST *"))
    await api.prepare(LEVERAGE)
    assert len(exchange.journal.of("POST *")) == changes == len(LEVERAGE)


async def test_leverage_that_was_set_meanwhile_is_no_error(exchange: LocalBybit, api: BybitApi) -> None:
    def somebody_sets_it() -> None:
        exchange.account.market("BTC-PERP").leverage = 3

    exchange.faults.happen_before("POST /v5/position/set-leverage", somebody_sets_it)
    await api.prepare({"BTC-PERP": 3})


async def test_two_way_positions_that_cannot_be_changed_are_refused(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.account.trade_by_hand("BTC-PERP", "1")
    exchange.account.two_way[Kind.LINEAR] = True
    with pytest.raises(Rejected, match="110024 You have an existing position") as caught:
        await api.prepare(LEVERAGE)
    assert caught.value.code == "VEN-001"


async def test_isolated_margin_that_cannot_be_changed_is_refused(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.account.trade_by_hand("BTC-PERP", "1")
    exchange.house.margin_mode = "ISOLATED_MARGIN"
    with pytest.raises(Rejected, match="3400045 Set margin mode failed"):
        await api.prepare(LEVERAGE)


async def test_leverage_that_the_exchange_does_not_grant_is_refused(exchange: LocalBybit, api: BybitApi) -> None:
    with pytest.raises(Rejected, match="110013 Cannot set leverage"):
        await api.prepare({"BTC-PERP": 51})


async def test_a_setting_that_is_confirmed_but_does_not_hold_is_refused(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.house.margin_mode, exchange.house.keeps_margin_mode = "PORTFOLIO_MARGIN", True
    with pytest.raises(Rejected, match="keeps PORTFOLIO_MARGIN although REGULAR_MARGIN was set"):
        await api.prepare({})
    exchange.house.margin_mode = "REGULAR_MARGIN"
    exchange.account.two_way[Kind.LINEAR] = True
    exchange.faults.answer("POST /v5/position/switch-mode", 200, DONE)
    with pytest.raises(Rejected, match="BTC-PERP keeps two-way positions although one-way ones were set"):
        await api.prepare({})
    exchange.account.two_way[Kind.LINEAR] = False
    exchange.faults.answer("POST /v5/position/set-leverage", 200, DONE)
    with pytest.raises(Rejected, match="BTC-PERP is at leverage 20; 5 was set and expected"):
        await api.prepare({"BTC-PERP": 5})


async def test_a_classic_account_is_refused(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.house.status = 1
    with pytest.raises(Rejected, match="upgrade it to a unified trading account"):
        await api.prepare(LEVERAGE)
    assert not exchange.journal.of("POST *")


async def test_a_key_that_only_reads_is_refused(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.house.read_only = True
    with pytest.raises(AuthFailed, match="the key lacks the right to writing") as caught:
        await api.prepare(LEVERAGE)
    assert caught.value.code == "VEN-005"
    assert not exchange.journal.of("POST *")


async def test_only_the_rights_that_are_needed_are_asked_for(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.house.rights |= {"ContractTrade": [], "Derivatives": []}
    with pytest.raises(AuthFailed, match="lacks the right to derivatives orders"):
        await api.prepare({})
    async with connected(exchange, pairs=("BTC/USDT",)) as spot:
        await spot.prepare({})
    exchange.house.rights |= {"Derivatives": ["DerivativesTrade"], "Spot": []}
    with pytest.raises(AuthFailed, match="lacks the right to spot trading"):
        await api.prepare({})
    async with connected(exchange, pairs=("BTC-PERP",)) as perps:
        await perps.prepare({"BTC-PERP": 3})


async def test_without_a_key_nothing_signed_is_sent(exchange: LocalBybit) -> None:
    async with connected(exchange, signs=False) as api:
        with pytest.raises(AuthFailed, match="set BASIS_ACTORS_BYBIT__API_KEY"):
            await api.prepare(LEVERAGE)
        assert "BTC-PERP" in await api.filters()
    assert {request.path for request in exchange.journal.requests} <= {
        "/v5/market/time",
        "/v5/market/instruments-info",
    }


@pytest.mark.parametrize("pairs", [("BTC/USDT", "DOGE/USDT"), ("BTC-PERP", "DOGE-PERP")])
async def test_a_market_that_the_exchange_does_not_have_is_named(exchange: LocalBybit, pairs: tuple[str, str]) -> None:
    async with connected(exchange, pairs=pairs) as api:
        assert set(await api.filters()) == {pairs[0]}
        with pytest.raises(Rejected, match=rf"bybit has no market DOGEUSDT \({pairs[1]}\)"):
            await api.prepare({})


@pytest.mark.parametrize(
    ("leverage", "code", "told"),
    [({"BTC/USDT": 2}, "VEN-001", "is no perpetual"), ({"SOL-PERP": 2}, "VEN-004", "'SOL-PERP' is not configured")],
)
async def test_leverage_of_what_has_none_is_refused(
    api: BybitApi, leverage: dict[str, int], code: str, told: str
) -> None:
    with pytest.raises(Rejected, match=told) as caught:
        await api.prepare(leverage)
    assert caught.value.code == code


async def test_a_perpetual_that_is_not_spoken_of_is_not_prepared(exchange: LocalBybit, api: BybitApi) -> None:
    body = DONE | {"result": {"list": [], "nextPageCursor": ""}}
    exchange.faults.answer("GET /v5/position/list", 200, body)
    with pytest.raises(Transient, match="it says nothing of BTCUSDT"):
        await api.prepare({})


@pytest.mark.parametrize("pair", ["BTCUSDT", "BTC/EUR", "/USDT", "-PERP", "BTCUSD-PERP", "BTC-PERPX", ""])
async def test_a_name_of_no_market_is_refused_at_once(exchange: LocalBybit, pair: str) -> None:
    with pytest.raises(ConfigError, match="bybit: no market is named") as caught:
        build_exchange(venue_of(exchange), (pair,), None, record=lambda _call: None, pauses=Pauses())
    assert caught.value.code == "CONFIG-004"
