"""What a unified account holds and what changed it, as the local Bybit shows it; what is not shown is not flat."""

from decimal import Decimal
from typing import Any

import pytest
from tests.exchange.account import Income
from tests.exchange.bybit import LocalBybit
from tests.exchange.market import Kind
from tests.exchange.worlds import HOME, connected
from tests.venues.wire.tickets import buy, sell

from basis_actors.errors import Transient
from basis_actors.messages.exchange import PaymentKind, Wallet
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.bybit import BybitApi

PERPS = {"BTC-PERP", "ETH-PERP"}
DAY = 86_400
POSITIONS, LOG = "GET /v5/position/list", "GET /v5/account/transaction-log"


def enveloped(result: Any) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "time": 0}


def listed(*rows: Any) -> dict[str, Any]:
    return enveloped({"list": list(rows), "nextPageCursor": ""})


def position(exchange: LocalBybit, symbol: str = "BTCUSDT") -> dict[str, Any]:
    (row,) = exchange.house.positions({"category": "linear", "symbol": symbol})["list"]
    return row


async def test_balances_are_by_purse_and_without_unrealised_profit(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    await api.place(buy("BTC/USDT", "0.1", "50000", "waiting"))
    exchange.account.set_price("BTC-PERP", "61000")
    found = {(row.wallet, row.token): (row.total, row.free) for row in (await api.account()).balances}
    assert found == {
        (Wallet.UNIFIED, "BTC"): (2, 2),
        # 15 of fee; 5,000 wait for a purchase and a twentieth of 30,500 is bound.
        (Wallet.UNIFIED, "USDT"): (199_985, 193_460),
        (Wallet.FUNDING, "USDT"): (1000, 1000),
    }


async def test_a_loss_that_is_not_realised_may_not_leave(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.account.set_price("BTC-PERP", "50000")
    (balance,) = [row for row in (await api.account()).balances if (row.wallet, row.token) == (Wallet.UNIFIED, "USDT")]
    assert (balance.total, balance.free) == (199_985, 199_985 - 5000 - 1250)


async def test_positions_are_signed(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(sell("BTC-PERP", "0.5"))
    await api.place(buy("ETH-PERP", "2", client_id="order2"))
    exchange.account.set_price("BTC-PERP", "61000")
    state = await api.account()
    held = {row.pair: (row.size, row.entry, row.mark, row.liquidation) for row in state.holdings}
    assert held == {
        "BTC-PERP": (Decimal("-0.5"), 60_000, 61_000, 122_000),
        "ETH-PERP": (2, 3000, 3000, 1500),
    }
    assert (state.pairs, state.time_ns) == (PERPS, exchange.clock.ns)


async def test_a_liquidation_price_that_is_not_estimated_is_none(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(sell("BTC-PERP", "0.5"))
    row = position(exchange) | {"liqPrice": ""}
    exchange.faults.answer(POSITIONS, 200, listed(row), times=2)
    (held,) = (await api.account()).holdings
    assert held.liquidation is None


async def test_a_flat_account_is_known_to_be_flat(api: BybitApi) -> None:
    state = await api.account()
    assert (state.holdings, state.pairs) == ((), PERPS)


async def test_positions_of_markets_that_are_not_configured_are_shown(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.account.trade_by_hand("SOL-PERP", "-20")
    exchange.account.trade_by_hand("BTC-FUTURE", "0.1")
    state = await api.account()
    assert {row.pair: row.size for row in state.holdings} == {"SOL-PERP": -20, "BTCUSDT-27DEC24": Decimal("0.1")}
    assert state.pairs == PERPS


@pytest.mark.parametrize("number", [0, 1])
async def test_an_empty_list_of_positions_is_not_read_as_flat(exchange: LocalBybit, api: BybitApi, number: int) -> None:
    """First all positions are asked for, then each market by its name."""
    await api.place(buy("BTC-PERP", "0.5"))
    before = [row.route for row in exchange.journal.of(POSITIONS)]
    for _ in range(number):
        exchange.faults.happen_before(POSITIONS, lambda: None)
    exchange.faults.answer(POSITIONS, 200, listed())
    state = await api.account()
    assert "BTC-PERP" not in {row.pair for row in state.holdings}
    assert state.pairs == PERPS - {"BTC-PERP"}
    assert (await api.account()).pairs == PERPS
    assert len(exchange.journal.of(POSITIONS)) == len(before) + 6


async def test_a_market_that_no_answer_speaks_of_is_not_known(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.faults.answer(POSITIONS, 200, listed(), times=2)
    state = await api.account()
    assert (state.holdings, state.pairs) == ((), PERPS - {"BTC-PERP"})


async def test_a_fill_between_two_answers_is_not_known_yet(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.faults.happen_before(POSITIONS, lambda: None)
    exchange.faults.happen_before(POSITIONS, lambda: exchange.account.trade_by_hand("BTC-PERP", "3"))
    state = await api.account()
    assert (state.holdings, state.pairs) == ((), PERPS - {"BTC-PERP"})
    assert (await api.account()).pairs == PERPS


@pytest.mark.parametrize(
    "body", ["", "null", "{}", '{"retCode": 0}', '{"retCode": 0, "result": {"list": [{"symbol": 1}]}}']
)
async def test_positions_that_cannot_be_read_are_no_answer(exchange: LocalBybit, api: BybitApi, body: str) -> None:
    exchange.faults.answer(POSITIONS, 200, body)
    with pytest.raises(Transient, match="PositionList: the answer cannot be read"):
        await api.account()


@pytest.mark.parametrize(
    "changed",
    [
        {"size": "NaN"},
        {"size": "many"},
        {"size": ""},
        {"avgPrice": "Infinity"},
        {"avgPrice": ""},
        {"markPrice": "1,000"},
        {"markPrice": ""},
        {"side": "None"},
    ],
)
async def test_a_position_that_makes_no_sense_is_no_answer(
    exchange: LocalBybit, api: BybitApi, changed: dict[str, str]
) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.faults.answer(POSITIONS, 200, listed(position(exchange) | changed), times=2)
    with pytest.raises(Transient, match="the answer cannot be read"):
        await api.account()


async def test_two_way_positions_are_not_added_up(exchange: LocalBybit, api: BybitApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.account.two_way[Kind.LINEAR] = True
    with pytest.raises(Transient, match="BTCUSDT is held Buy in two-way mode; the account must hold one-way positions"):
        await api.account()


async def test_a_liquidation_shows_as_a_fill_that_is_not_ours(exchange: LocalBybit, api: BybitApi) -> None:
    since = exchange.clock.ns
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.clock.advance(1)
    exchange.account.set_price("BTC-PERP", "59000")
    exchange.account.liquidate("BTC-PERP", "0")
    first, second = await api.fills("BTC-PERP", since)
    assert (second.amount, second.buys, second.price) == (first.amount, False, 59_000)
    assert (await api.account()).holdings == ()
    assert await api.payments(since) == ()


async def test_funding_is_told_once_and_nothing_else_of_trades_and_transfers(
    exchange: LocalBybit, api: BybitApi
) -> None:
    since = exchange.clock.ns
    await api.place(sell("BTC-PERP", "0.5"))
    await api.place(buy("BTC/USDT", "0.1", client_id="order2"))
    exchange.account.move("unified", "funding", "UNIFIED>FUND", "USDT", Decimal(10))
    exchange.clock.advance(60)
    exchange.account.pay_funding("BTC-PERP", "0.0001")
    exchange.account.pay_funding("ETH-PERP", "0.0001")
    (paid,) = await api.payments(since)
    assert (paid.kind, paid.wallet, paid.token, paid.amount) == (PaymentKind.FUNDING, Wallet.UNIFIED, "USDT", 3)
    assert (paid.pair, paid.time_ns) == ("BTC-PERP", exchange.clock.ns)
    assert await api.payments(exchange.clock.ns) == (paid,)
    assert await api.payments(exchange.clock.ns + 1) == ()


async def test_interest_is_a_payment_of_no_perpetual(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.account.income.append(
        Income("INTEREST", Kind.LINEAR, "", "USDT", Decimal("-0.5"), exchange.clock.ms, exchange.account.number())
    )
    (paid,) = await api.payments(exchange.clock.ns)
    assert (paid.kind, paid.amount, paid.pair) == (PaymentKind.OTHER, Decimal("-0.5"), None)


async def test_a_long_statement_is_read_at_the_pace_that_the_exchange_allows(
    exchange: LocalBybit, api: BybitApi
) -> None:
    since = exchange.clock.ns
    await api.place(sell("BTC-PERP", "0.5"))
    for number in range(1300):
        exchange.clock.advance(0.001 * (number % 10 == 0))
        exchange.account.pay_funding("BTC-PERP", "0.0001")
    asked = exchange.clock.ns
    found = await api.payments(since)
    assert len({row.payment_id for row in found}) == len(found) == 1300
    assert sum(row.amount for row in found) == 3900
    # Twenty-seven pages of fifty with the trade, and three quarters of thirty a second.
    assert len(exchange.journal.of(LOG)) == 27
    assert exchange.clock.ns - asked >= NS_PER_SECOND


async def test_a_statement_of_months_is_read_week_by_week(exchange: LocalBybit, api: BybitApi) -> None:
    since = exchange.clock.ns
    await api.place(sell("BTC-PERP", "0.5"))
    for _ in range(10):
        exchange.clock.advance(8 * DAY)
        exchange.account.pay_funding("BTC-PERP", "0.0001")
    assert len(await api.payments(since)) == 10


async def test_what_came_and_what_the_owner_sent_away_is_told(exchange: LocalBybit, api: BybitApi) -> None:
    since = exchange.clock.ns
    arrived = exchange.account.deposit("USDT", "500")
    exchange.clock.advance(100 * DAY)
    elsewhere = exchange.account.withdraw("", "USDT", "ETH", "0xelsewhere", Decimal(50))
    exchange.account.withdraw("ours1", "USDT", "ETH", HOME.address, Decimal(60))
    found = await api.payments(since)
    assert [(row.kind, row.wallet, row.token, row.amount) for row in found] == [
        (PaymentKind.DEPOSIT, Wallet.FUNDING, "USDT", Decimal(500)),
        (PaymentKind.WITHDRAWAL, Wallet.FUNDING, "USDT", Decimal(-50)),
    ]
    assert [row.payment_id for row in found] == [f"deposit:{arrived.name}", elsewhere.name]
    assert [row.time_ns for row in found] == [since, exchange.clock.ns]


@pytest.mark.parametrize("status", ["Reject", "Fail", "CancelByUser"])
async def test_a_withdrawal_that_comes_back_is_told_as_that(exchange: LocalBybit, api: BybitApi, status: str) -> None:
    since = exchange.clock.ns
    sent = exchange.account.withdraw("", "USDT", "ETH", "0xelsewhere", Decimal(70))
    (told,) = await api.payments(since)
    sent.status = status
    first, back = await api.payments(since)
    assert first == told
    assert (back.payment_id, back.kind, back.amount) == (f"{sent.name}:returned", told.kind, -told.amount)


@pytest.mark.parametrize(("status", "told"), [(1, False), (2, False), (3, True), (10012, True), (4, False)])
async def test_a_deposit_counts_when_it_is_credited(
    exchange: LocalBybit, api: BybitApi, status: int, told: bool
) -> None:
    exchange.account.deposit("USDT", "500")
    (row,) = exchange.wallet.deposits({})["rows"]
    body = enveloped({"rows": [row | {"status": status}], "nextPageCursor": ""})
    exchange.faults.answer("GET /v5/asset/deposit/query-record", 200, body)
    assert bool(await api.payments(exchange.clock.ns)) == told


async def test_a_deposit_is_told_from_the_time_on_that_it_is_credited_at(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.account.deposit("USDT", "500")
    assert len(await api.payments(exchange.clock.ns)) == 1
    assert await api.payments(exchange.clock.ns + NS_PER_SECOND) == ()


async def test_spot_alone_asks_for_no_position(exchange: LocalBybit) -> None:
    async with connected(exchange, pairs=("BTC/USDT",)) as api:
        state = await api.account()
        assert (state.holdings, state.pairs) == ((), frozenset())
    assert not exchange.journal.of(POSITIONS)


async def test_what_the_market_requires_is_asked_anew(exchange: LocalBybit, api: BybitApi) -> None:
    first = await api.filters()
    assert set(first) == {"BTC/USDT", "ETH/USDT", *PERPS}
    spot, linear = first["BTC/USDT"], first["BTC-PERP"]
    assert (spot.lot, spot.tick, spot.min_amount) == (Decimal("0.00001"), Decimal("0.01"), Decimal("0.00001"))
    assert (spot.min_notional, spot.max_market_amount, spot.trading) == (5, 120, True)
    assert (linear.lot, linear.tick, linear.min_amount) == (Decimal("0.001"), Decimal("0.1"), Decimal("0.001"))
    assert (linear.min_notional, linear.max_market_amount) == (5, 120)
    exchange.account.market("BTC-PERP").trading = False
    assert [pair for pair, rules in (await api.filters()).items() if not rules.trading] == ["BTC-PERP"]


@pytest.mark.parametrize("missing", ["lotSizeFilter", "priceFilter"])
async def test_a_market_without_lot_or_tick_is_not_guessed(exchange: LocalBybit, api: BybitApi, missing: str) -> None:
    (row,) = exchange.desk.rules({"category": "linear", "symbol": "BTCUSDT"})["list"]
    exchange.faults.answer("GET /v5/market/instruments-info", 200, listed(row | {missing: {}}), times=3)
    with pytest.raises(Transient, match="BTCUSDT has no lot or no tick"):
        await api.filters()


async def test_digits_survive(exchange: LocalBybit, api: BybitApi) -> None:
    exchange.account.purses["unified"]["BTC"] = Decimal("12345678.12345678")
    await api.place(buy("BTC-PERP", "0.5"))
    row = position(exchange) | {"avgPrice": "60000.123456789012345678901", "markPrice": "6.1e4"}
    exchange.faults.answer(POSITIONS, 200, listed(row), times=2)
    state = await api.account()
    (held,) = state.holdings
    assert (held.entry, held.mark) == (Decimal("60000.123456789012345678901"), 61_000)
    assert Decimal("12345678.12345678") in {row.total for row in state.balances}
