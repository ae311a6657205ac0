"""An OKX account is brought into the state that trading needs, and read back; one that stays otherwise is refused."""

from typing import Any

import pytest
from tests.exchange.market import Kind
from tests.exchange.okx import LocalOkx
from tests.exchange.worlds import connected, venue_of

from basis_actors.errors import AuthFailed, ConfigError, Rejected, Transient
from basis_actors.venues.wire.build import build_exchange
from basis_actors.venues.wire.okx import OkxApi
from basis_actors.venues.wire.pauses import Pauses

LEVERAGE = {"BTC-PERP": 3, "ETH-PERP": 2}
CONFIG, LEVER = "GET /api/v5/account/config", "GET /api/v5/account/leverage-info"


def enveloped(*rows: Any) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": list(rows)}


async def test_the_name_of_the_account_is_told_before_anything_is_changed(exchange: LocalOkx) -> None:
    told: list[tuple[str, int]] = []

    def note(account: str) -> None:
        told.append((account, len(exchange.journal.of("POST *"))))

    async with connected(exchange, identified=note) as api:
        await api.prepare(LEVERAGE)
    assert told == [("1", 0)]


async def test_net_positions_and_leverage_are_set(exchange: LocalOkx, api: OkxApi) -> None:
    account = exchange.account
    account.two_way[Kind.LINEAR] = True
    await api.prepare(LEVERAGE)
    assert not account.two_way[Kind.LINEAR]
    assert {pair: account.market(pair).leverage for pair in LEVERAGE} == LEVERAGE
    assert {request.params["mgnMode"] for request in exchange.journal.of("POST /api/v5/account/set-leverage")} == {
        "cross"
    }


async def test_what_is_right_already_is_not_set_again(exchange: LocalOkx, api: OkxApi) -> None:
    await api.prepare(LEVERAGE)
    assert len(exchange.journal.of("POST *")) == len(LEVERAGE)
    await api.prepare(LEVERAGE)
    assert len(exchange.journal.of("POST *")) == len(LEVERAGE)


async def test_two_way_positions_that_cannot_be_changed_are_refused(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.account.trade_by_hand("BTC-PERP", "1")
    exchange.account.two_way[Kind.LINEAR] = True
    with pytest.raises(Rejected, match=r"59000 Setting failed\. Cancel any open orders") as caught:
        await api.prepare(LEVERAGE)
    assert caught.value.code == "VEN-001"


async def test_leverage_that_the_exchange_does_not_grant_is_refused(api: OkxApi) -> None:
    with pytest.raises(Rejected, match="59102 Leverage exceeds the maximum limit"):
        await api.prepare({"BTC-PERP": 51})


async def test_a_setting_that_is_confirmed_but_does_not_hold_is_refused(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.account.two_way[Kind.LINEAR] = True
    exchange.faults.answer("POST /api/v5/account/set-position-mode", 200, enveloped({"posMode": "net_mode"}))
    with pytest.raises(Rejected, match="the account keeps long_short_mode although net_mode was set"):
        await api.prepare({})
    exchange.account.two_way[Kind.LINEAR] = False
    exchange.faults.answer("POST /api/v5/account/set-leverage", 200, enveloped({"lever": "5"}))
    with pytest.raises(Rejected, match="BTC-PERP is at leverage 20; 5 was set and expected"):
        await api.prepare({"BTC-PERP": 5})


@pytest.mark.parametrize(
    ("level", "told"),
    [("1", "spot mode"), ("3", "multi-currency margin"), ("4", "portfolio margin"), ("9", "9")],
)
async def test_an_account_in_another_mode_is_refused(exchange: LocalOkx, api: OkxApi, level: str, told: str) -> None:
    exchange.house.level = level
    with pytest.raises(Rejected, match=f"okx: the account is in {told}; set futures mode") as caught:
        await api.prepare(LEVERAGE)
    assert caught.value.code == "VEN-001"
    assert not exchange.journal.of("POST *")


@pytest.mark.parametrize(("rights", "told"), [("read_only", "read_only"), ("", "do nothing"), ("trades", "trades")])
async def test_a_key_that_may_not_trade_is_refused(exchange: LocalOkx, api: OkxApi, rights: str, told: str) -> None:
    exchange.house.rights = rights
    with pytest.raises(AuthFailed, match=f"okx: the key may {told}; grant it trade") as caught:
        await api.prepare(LEVERAGE)
    assert caught.value.code == "VEN-005"
    assert not exchange.journal.of("POST *")


async def test_without_a_key_nothing_signed_is_sent(exchange: LocalOkx) -> None:
    async with connected(exchange, signs=False) as api:
        with pytest.raises(AuthFailed, match="set BASIS_ACTORS_OKX__API_KEY"):
            await api.prepare(LEVERAGE)
        assert "BTC-PERP" in await api.filters()
    assert {request.path for request in exchange.journal.requests} <= {
        "/api/v5/public/time",
        "/api/v5/public/instruments",
    }


async def test_a_wrong_passphrase_is_refused(exchange: LocalOkx, api: OkxApi) -> None:
    api._caller._client._exchange.password = "another"
    with pytest.raises(AuthFailed, match="50105 OK-ACCESS-PASSPHRASE incorrect"):
        await api.prepare(LEVERAGE)
    assert not exchange.journal.of("POST *")


async def test_a_market_that_the_exchange_does_not_have_is_named(exchange: LocalOkx) -> None:
    async with connected(exchange, pairs=("BTC-PERP", "DOGE-PERP")) as api:
        assert set(await api.filters()) == {"BTC-PERP"}
        with pytest.raises(Rejected, match=r"okx has no market DOGE-USDT-SWAP \(DOGE-PERP\)"):
            await api.prepare({})


async def test_leverage_of_what_is_not_configured_is_refused(api: OkxApi) -> None:
    with pytest.raises(Rejected, match="'SOL-PERP' is not configured") as caught:
        await api.prepare({"SOL-PERP": 2})
    assert caught.value.code == "VEN-004"


@pytest.mark.parametrize("rows", [0, 2])
async def test_an_account_is_one(exchange: LocalOkx, api: OkxApi, rows: int) -> None:
    (row,) = exchange.house.config({})
    exchange.faults.answer(CONFIG, 200, enveloped(*[row] * rows))
    with pytest.raises(Transient, match=f"it has {rows} rows, one was expected"):
        await api.prepare({})


@pytest.mark.parametrize("changed", [{"instId": "ETH-USDT-SWAP"}, {"mgnMode": "isolated"}])
async def test_leverage_that_is_not_spoken_of_is_not_guessed(
    exchange: LocalOkx, api: OkxApi, changed: dict[str, str]
) -> None:
    (row,) = exchange.house.leverage({"instId": "BTC-USDT-SWAP", "mgnMode": "cross"})
    exchange.faults.answer(LEVER, 200, enveloped(row | changed))
    with pytest.raises(Transient, match="it says nothing of BTC-USDT-SWAP"):
        await api.prepare({"BTC-PERP": 20})


@pytest.mark.parametrize("pair", ["BTCUSDT", "BTC/USDT", "-PERP", "BTCUSD-PERP", "BTC-PERPX", ""])
async def test_a_name_of_no_market_is_refused_at_once(exchange: LocalOkx, pair: str) -> None:
    with pytest.raises(ConfigError, match="okx: no market is named") as caught:
        build_exchange(venue_of(exchange), (pair,), None, record=lambda _call: None, pauses=Pauses())
    assert caught.value.code == "CONFIG-004"
