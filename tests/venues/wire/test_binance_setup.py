"""An account is brought into the state that trading needs, and read back; one that stays otherwise is refused."""

import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.worlds import connected, venue_of

from basis_actors.config import load_venue
from basis_actors.config.exchange_api import ApiConfig
from basis_actors.errors import AuthFailed, ConfigError, Rejected, Transient
from basis_actors.venues.wire.binance import BinanceApi
from basis_actors.venues.wire.build import build_exchange
from basis_actors.venues.wire.pauses import Pauses

LEVERAGE = {"BTC-PERP": 3, "ETH-PERP": 2, "BTCUSD-PERP": 4}


async def test_one_way_positions_cross_margin_and_leverage_are_set(exchange: LocalBinance, api: BinanceApi) -> None:
    account = exchange.account
    account.two_way = dict.fromkeys(account.two_way, True)
    for pair in LEVERAGE:
        account.market(pair).cross = False
    await api.prepare(LEVERAGE)
    assert not any(account.two_way.values())
    assert {pair: account.market(pair).leverage for pair in LEVERAGE} == LEVERAGE
    assert all(account.market(pair).cross for pair in LEVERAGE)


async def test_what_is_right_already_is_not_set_again(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.prepare(LEVERAGE)
    changes = len(exchange.journal.of("POST *"))
    await api.prepare(LEVERAGE)
    assert len(exchange.journal.of("POST *")) == changes == len(LEVERAGE)


async def test_the_name_of_the_account_is_told_before_anything_is_changed(exchange: LocalBinance) -> None:
    told: list[tuple[str, int]] = []

    def note(account: str) -> None:
        told.append((account, len(exchange.journal.of("POST *"))))

    async with connected(exchange, identified=note) as api:
        await api.prepare(LEVERAGE)
    assert told == [("354937868", 0)]


@pytest.mark.parametrize("pair", ["BTC-PERP", "BTCUSD-PERP"])
async def test_two_way_positions_that_cannot_be_changed_are_refused(
    exchange: LocalBinance, api: BinanceApi, pair: str
) -> None:
    exchange.account.trade_by_hand(pair, "1")
    exchange.account.two_way = dict.fromkeys(exchange.account.two_way, True)
    with pytest.raises(Rejected, match="-4068 Position side cannot be changed") as caught:
        await api.prepare(LEVERAGE)
    assert caught.value.code == "VEN-001"


@pytest.mark.parametrize("pair", ["BTC-PERP", "BTCUSD-PERP"])
async def test_isolated_margin_that_cannot_be_changed_is_refused(
    exchange: LocalBinance, api: BinanceApi, pair: str
) -> None:
    exchange.account.trade_by_hand(pair, "1")
    exchange.account.market(pair).cross = False
    with pytest.raises(Rejected, match="-4048"):
        await api.prepare(LEVERAGE)


async def test_leverage_that_the_exchange_does_not_grant_is_refused(exchange: LocalBinance, api: BinanceApi) -> None:
    with pytest.raises(Rejected, match="-4028 Leverage 51 is not valid"):
        await api.prepare({"BTC-PERP": 51})


@pytest.mark.parametrize(("pair", "path"), [("BTC-PERP", "/fapi"), ("BTCUSD-PERP", "/dapi")])
async def test_a_setting_that_is_confirmed_but_does_not_hold_is_refused(
    exchange: LocalBinance, api: BinanceApi, pair: str, path: str
) -> None:
    exchange.account.two_way = dict.fromkeys(exchange.account.two_way, True)
    exchange.faults.answer(f"POST {path}/v1/positionSide/dual", 200, {"code": 200, "msg": "success"})
    with pytest.raises(Rejected, match="keeps two-way positions although one-way ones were set"):
        await api.prepare({pair: 3})
    exchange.account.market(pair).cross = False
    exchange.faults.answer(f"POST {path}/v1/marginType", 200, {"code": 200, "msg": "success"})
    with pytest.raises(Rejected, match=f"{pair} is at leverage 3 with isolated margin; 3 with cross margin was set"):
        await api.prepare({pair: 3})
    exchange.faults.answer(f"POST {path}/v1/leverage", 200, {"leverage": 5})
    with pytest.raises(Rejected, match=f"{pair} is at leverage 3 with cross margin; 5 with cross margin was set"):
        await api.prepare({pair: 5})


async def test_any_token_as_collateral_is_refused(exchange: LocalBinance, api: BinanceApi) -> None:
    exchange.account.multi_assets = True
    with pytest.raises(Rejected, match="multi-assets mode"):
        await api.prepare(LEVERAGE)


@pytest.mark.parametrize(
    ("right", "told"),
    [
        ("enableReading", "reading"),
        ("enableSpotAndMarginTrading", "spot trading"),
        ("enableFutures", "futures"),
    ],
)
async def test_a_key_without_a_right_is_refused(exchange: LocalBinance, api: BinanceApi, right: str, told: str) -> None:
    exchange.wallet.rights[right] = False
    with pytest.raises(AuthFailed, match=f"the key lacks the right to {told}") as caught:
        await api.prepare(LEVERAGE)
    assert caught.value.code == "VEN-005"
    assert not exchange.journal.of("POST *")


async def test_only_the_rights_that_are_needed_are_asked_for(exchange: LocalBinance) -> None:
    exchange.wallet.rights["enableFutures"] = False
    async with connected(exchange, pairs=("BTC/USDT",)) as api:
        await api.prepare({})
    exchange.wallet.rights |= {"enableFutures": True, "enableSpotAndMarginTrading": False}
    async with connected(exchange, pairs=("BTC-PERP",)) as api:
        await api.prepare({"BTC-PERP": 3})


@pytest.mark.parametrize("pair", ["BTC/USDT", "BTC-PERP", "BTCUSD-PERP"])
async def test_an_account_that_may_not_trade_is_refused(exchange: LocalBinance, pair: str) -> None:
    exchange.account.may_trade = False
    async with connected(exchange, pairs=(pair,)) as api:
        with pytest.raises(AuthFailed, match="the account may not trade"):
            await api.prepare({})


async def test_without_a_key_nothing_signed_is_sent(exchange: LocalBinance) -> None:
    async with connected(exchange, signs=False) as api:
        with pytest.raises(AuthFailed, match="set BASIS_ACTORS_BINANCE__API_KEY") as caught:
            await api.prepare(LEVERAGE)
        assert caught.value.code == "VEN-005"
        with pytest.raises(AuthFailed):
            await api.account()
        assert "BTC-PERP" in await api.filters()
    assert {request.path.rpartition("/")[2] for request in exchange.journal.requests} <= {"time", "exchangeInfo"}


async def test_a_wrong_key_is_refused(exchange: LocalBinance, api: BinanceApi) -> None:
    exchange.revoked = True
    with pytest.raises(AuthFailed, match="-2015"):
        await api.prepare(LEVERAGE)


@pytest.mark.parametrize(
    "pairs", [("BTC/USDT", "DOGE/USDT"), ("BTC-PERP", "DOGE-PERP"), ("BTCUSD-PERP", "DOGEUSD-PERP")]
)
async def test_a_market_that_the_exchange_does_not_have_is_named(
    exchange: LocalBinance, pairs: tuple[str, str]
) -> None:
    async with connected(exchange, pairs=pairs) as api:
        assert set(await api.filters()) == {pairs[0]}
        with pytest.raises(Rejected, match=rf"binance has no market DOGE\w* \({pairs[1]}\)"):
            await api.prepare({})


@pytest.mark.parametrize(
    ("leverage", "code", "told"),
    [({"BTC/USDT": 2}, "VEN-001", "is no perpetual"), ({"SOL-PERP": 2}, "VEN-004", "'SOL-PERP' is not configured")],
)
async def test_leverage_of_what_has_none_is_refused(
    api: BinanceApi, leverage: dict[str, int], code: str, told: str
) -> None:
    with pytest.raises(Rejected, match=told) as caught:
        await api.prepare(leverage)
    assert caught.value.code == code


async def test_an_exchange_in_maintenance_is_waited_for(exchange: LocalBinance, api: BinanceApi) -> None:
    shut = {"code": -1016, "msg": "This service is no longer available."}
    exchange.faults.answer("GET /sapi/v1/account/apiRestrictions", 503, shut)
    with pytest.raises(Transient):
        await api.prepare(LEVERAGE)
    await api.prepare(LEVERAGE)


@pytest.mark.parametrize("pair", ["BTCUSDT", "BTC/EUR", "/USDT", "-PERP", "USD-PERP", "BTC-PERPX", ""])
async def test_a_name_of_no_market_is_refused_at_once(exchange: LocalBinance, pair: str) -> None:
    with pytest.raises(ConfigError, match="no market is named") as caught:
        build_exchange(venue_of(exchange), (pair,), None, record=lambda _call: None, pauses=Pauses())
    assert caught.value.code == "CONFIG-004"


async def test_a_venue_without_a_section_for_it_is_not_traded_live(exchange: LocalBinance) -> None:
    venue = venue_of(exchange).model_copy(update={"api": None})
    with pytest.raises(ConfigError, match="binance: missing section api"):
        build_exchange(venue, ("BTC/USDT",), None, record=lambda _call: None, pauses=Pauses())


async def test_an_exchange_without_an_adapter_is_not_traded_live(exchange: LocalBinance) -> None:
    venue = venue_of(exchange).model_copy(update={"venue": "kraken"})
    with pytest.raises(ConfigError, match="kraken cannot be traded live yet; there are: binance"):
        build_exchange(venue, ("BTC/USDT",), None, record=lambda _call: None, pauses=Pauses())


def test_every_exchange_of_the_library_says_how_it_is_asked() -> None:
    for name in ("binance", "bybit", "okx"):
        assert isinstance(getattr(load_venue(name), "api", None), ApiConfig)
