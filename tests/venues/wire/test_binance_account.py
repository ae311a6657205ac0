"""What the account holds and what changed it, as the local Binance shows it; what is not shown is not flat."""

from decimal import Decimal

import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.worlds import HOME, connected
from tests.venues.wire.tickets import buy, sell

from basis_actors.errors import Transient
from basis_actors.messages.exchange import PaymentKind, Wallet
from basis_actors.venues.wire.binance import BinanceApi

PERPS = {"BTC-PERP", "ETH-PERP", "BTCUSD-PERP"}
DAY = 86_400
RISK = {"BTC-PERP": "GET /fapi/v3/positionRisk", "BTCUSD-PERP": "GET /dapi/v1/positionRisk"}
ACCOUNT = {"BTC-PERP": "GET /fapi/v3/account", "BTCUSD-PERP": "GET /dapi/v1/account"}
SIZE = {"BTC-PERP": "0.5", "BTCUSD-PERP": "1000"}
EVERYWHERE = pytest.mark.parametrize("pair", sorted(RISK))


async def test_balances_are_by_purse_and_without_unrealised_profit(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    await api.place(buy("BTC/USDT", "0.1", "50000", "waiting"))
    exchange.account.set_price("BTC-PERP", "61000")
    found = {(row.wallet, row.token): (row.total, row.free) for row in (await api.account()).balances}
    assert found == {
        (Wallet.SPOT, "BTC"): (2, 2),
        (Wallet.SPOT, "USDT"): (100_000, 95_000),
        # 15 of fee; a twentieth of 30,500 is bound.
        (Wallet.LINEAR, "USDT"): (99_985, 98_460),
        (Wallet.INVERSE, "BTC"): (2, 2),
    }


async def test_positions_are_signed_and_in_the_ledgers_units(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(sell("BTC-PERP", "0.5"))
    await api.place(buy("BTCUSD-PERP", "1000", client_id="order2"))
    exchange.account.set_price("BTC-PERP", "61000")
    state = await api.account()
    held = {row.pair: (row.size, row.entry, row.mark, row.liquidation) for row in state.holdings}
    assert held == {
        "BTC-PERP": (Decimal("-0.5"), 60_000, 61_000, 122_000),
        "BTCUSD-PERP": (1000, 60_000, 60_000, 30_000),
    }
    assert (state.pairs, state.time_ns) == (PERPS, exchange.clock.ns)


async def test_a_flat_account_is_known_to_be_flat(api: BinanceApi) -> None:
    state = await api.account()
    assert (state.holdings, state.pairs) == ((), PERPS)


async def test_positions_of_markets_that_are_not_configured_are_shown(exchange: LocalBinance, api: BinanceApi) -> None:
    exchange.account.fund("inverse", "ETH", "1")
    exchange.account.trade_by_hand("SOL-PERP", "-20")
    exchange.account.trade_by_hand("ETHUSD-PERP", "3")
    state = await api.account()
    assert {row.pair: row.size for row in state.holdings} == {"SOL-PERP": -20, "ETHUSD-PERP": 30}
    assert state.pairs == PERPS


async def test_a_position_that_no_pair_can_name_keeps_the_exchanges_name(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    exchange.account.trade_by_hand("BTC-FUTURE", "0.1")
    assert [row.pair for row in (await api.account()).holdings] == ["BTCUSDT_241227"]


@EVERYWHERE
async def test_an_empty_list_of_positions_is_not_read_as_flat(
    exchange: LocalBinance, api: BinanceApi, pair: str
) -> None:
    await api.place(buy(pair, SIZE[pair]))
    exchange.faults.answer(RISK[pair], 200, [])
    state = await api.account()
    assert pair not in {row.pair for row in state.holdings}
    assert pair not in state.pairs
    assert (await api.account()).pairs == PERPS


async def test_a_position_that_only_the_list_shows_is_not_known(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.faults.answer(ACCOUNT["BTC-PERP"], 200, {"assets": [], "positions": []})
    state = await api.account()
    assert (state.holdings, state.pairs) == ((), PERPS - {"BTC-PERP"})


async def test_margin_that_is_held_for_no_position_makes_every_position_doubtful(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.faults.answer(RISK["BTC-PERP"], 200, [])
    assets = exchange.linear.account_info({})["assets"]
    exchange.faults.answer(ACCOUNT["BTC-PERP"], 200, {"assets": assets, "positions": []})
    assert (await api.account()).pairs == {"BTCUSD-PERP"}


@EVERYWHERE
async def test_a_fill_between_two_answers_is_not_known_yet(exchange: LocalBinance, api: BinanceApi, pair: str) -> None:
    exchange.faults.happen_before(RISK[pair], lambda: exchange.account.trade_by_hand(pair, "3"))
    assert (await api.account()).pairs == PERPS - {pair}
    assert (await api.account()).pairs == PERPS


@EVERYWHERE
@pytest.mark.parametrize("body", ["", "null", "{}", '[{"symbol": "BTCUSDT"}]', '[{"symbol": 1}]'])
async def test_positions_that_cannot_be_read_are_no_answer(
    exchange: LocalBinance, api: BinanceApi, pair: str, body: str
) -> None:
    exchange.faults.answer(RISK[pair], 200, body)
    with pytest.raises(Transient, match="PositionRisk: the answer cannot be read"):
        await api.account()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "many", ""])
async def test_a_number_that_is_none_is_no_answer(exchange: LocalBinance, api: BinanceApi, number: str) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    (row,) = exchange.linear.positions({})
    exchange.faults.answer(RISK["BTC-PERP"], 200, [row | {"entryPrice": number}])
    with pytest.raises(Transient, match="the answer cannot be read"):
        await api.account()


async def test_two_way_positions_are_not_added_up(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    (row,) = exchange.linear.positions({})
    exchange.faults.answer(RISK["BTC-PERP"], 200, [row | {"positionSide": "LONG"}])
    with pytest.raises(Transient, match="BTCUSDT is held LONG; the account must hold one-way positions"):
        await api.account()


async def test_a_liquidation_shows_as_a_fill_that_is_not_ours_and_its_fee(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    since = exchange.clock.ns
    await api.place(buy("BTC-PERP", "0.5"))
    exchange.clock.advance(1)
    exchange.account.set_price("BTC-PERP", "59000")
    exchange.account.liquidate("BTC-PERP")
    first, second = await api.fills("BTC-PERP", since)
    assert (second.amount, second.buys, second.price) == (first.amount, False, 59_000)
    assert (await api.account()).holdings == ()
    (fee,) = await api.payments(since)
    assert (fee.kind, fee.amount, fee.pair) == (PaymentKind.LIQUIDATION_FEE, Decimal("-368.75"), "BTC-PERP")
    assert await api.order("BTC-PERP", "order1") is not None


async def test_deleveraging_and_a_trade_by_hand_change_the_position(exchange: LocalBinance, api: BinanceApi) -> None:
    since = exchange.clock.ns
    await api.place(sell("BTC-PERP", "0.5"))
    exchange.account.deleverage("BTC-PERP", "0.2")
    exchange.account.trade_by_hand("BTC-PERP", "0.1")
    (held,) = (await api.account()).holdings
    assert held.size == Decimal("-0.2")
    assert [fill.amount for fill in await api.fills("BTC-PERP", since)] == [
        Decimal("0.5"),
        Decimal("0.2"),
        Decimal("0.1"),
    ]


async def test_funding_is_paid_in_the_currency_of_its_perpetual(exchange: LocalBinance, api: BinanceApi) -> None:
    since = exchange.clock.ns
    await api.place(sell("BTC-PERP", "0.5"))
    await api.place(buy("BTCUSD-PERP", "6000", client_id="order2"))
    exchange.clock.advance(60)
    exchange.account.pay_funding("BTC-PERP", "0.0001")
    exchange.account.pay_funding("BTCUSD-PERP", "0.0002")
    exchange.account.pay_funding("ETH-PERP", "0.0001")
    found = await api.payments(since)
    assert [(row.kind, row.wallet, row.token, row.amount, row.pair) for row in found] == [
        (PaymentKind.FUNDING, Wallet.INVERSE, "BTC", Decimal("-0.00002"), "BTCUSD-PERP"),
        (PaymentKind.FUNDING, Wallet.LINEAR, "USDT", Decimal(3), "BTC-PERP"),
    ]
    assert {row.time_ns for row in found} == {exchange.clock.ns}
    assert await api.payments(exchange.clock.ns) == found
    assert await api.payments(exchange.clock.ns + 1) == ()


async def test_payments_are_read_page_by_page(exchange: LocalBinance, api: BinanceApi) -> None:
    since = exchange.clock.ns
    await api.place(sell("BTC-PERP", "0.5"))
    for number in range(2300):
        exchange.clock.advance(0.001 * (number % 10 == 0))
        exchange.account.pay_funding("BTC-PERP", "0.0001")
    found = await api.payments(since)
    assert len({row.payment_id for row in found}) == len(found) == 2300
    assert sum(row.amount for row in found) == 6900


async def test_a_statement_that_cannot_be_paged_through_is_no_statement(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    await api.place(sell("BTC-PERP", "0.5"))
    for _ in range(1001):
        exchange.account.pay_funding("BTC-PERP", "0.0001")
    with pytest.raises(Transient, match="more than 1000 entries at"):
        await api.payments(exchange.clock.ns)


async def test_what_came_and_what_the_owner_sent_away_is_told(exchange: LocalBinance, api: BinanceApi) -> None:
    since = exchange.clock.ns
    arrived = exchange.account.deposit("USDT", "500")
    exchange.clock.advance(100 * DAY)
    exchange.account.withdraw("", "USDT", "ETH", HOME.address, Decimal(50))
    exchange.account.withdraw("ours1", "USDT", "ETH", HOME.address, Decimal(60))
    found = await api.payments(since)
    assert [(row.kind, row.token, row.amount) for row in found] == [
        (PaymentKind.DEPOSIT, "USDT", Decimal(500)),
        (PaymentKind.WITHDRAWAL, "USDT", Decimal(-50)),
    ]
    assert found[0].payment_id == f"deposit:{arrived.name}"
    assert [row.time_ns for row in found] == [since, exchange.clock.ns]


@pytest.mark.parametrize("status", [1, 3, 5])
async def test_a_withdrawal_that_comes_back_is_told_as_that(
    exchange: LocalBinance, api: BinanceApi, status: int
) -> None:
    since = exchange.clock.ns
    sent = exchange.account.withdraw("", "USDT", "ETH", HOME.address, Decimal(70))
    (told,) = await api.payments(since)
    sent.status = status
    first, back = await api.payments(since)
    assert first == told
    assert (back.payment_id, back.kind, back.amount) == (f"{told.payment_id}:returned", told.kind, -told.amount)


async def test_spot_alone_asks_no_perpetual_account(exchange: LocalBinance) -> None:
    async with connected(exchange, pairs=("BTC/USDT",)) as api:
        state = await api.account()
        assert {row.wallet for row in state.balances} == {Wallet.SPOT}
        assert await api.payments(exchange.clock.ns) == ()
    assert not exchange.journal.of("GET /fapi/*") + exchange.journal.of("GET /dapi/*")


async def test_what_the_market_requires_is_asked_anew(exchange: LocalBinance, api: BinanceApi) -> None:
    first = await api.filters()
    assert set(first) == {"BTC/USDT", "ETH/USDT", *PERPS}
    spot, linear, inverse = (first[pair] for pair in ("BTC/USDT", "BTC-PERP", "BTCUSD-PERP"))
    assert (spot.lot, spot.tick, spot.min_amount) == (Decimal("0.00001"), Decimal("0.01"), Decimal("0.00001"))
    assert (spot.min_notional, spot.max_market_amount, spot.trading) == (5, 120, True)
    assert (linear.lot, linear.tick, linear.min_notional) == (Decimal("0.001"), Decimal("0.1"), 5)
    # Contracts of 100 USD; ten thousand of them at once.
    assert (inverse.lot, inverse.min_amount, inverse.max_market_amount, inverse.min_notional) == (100, 100, 1e6, 0)
    exchange.account.market("BTC-PERP").trading = False
    assert [pair for pair, rules in (await api.filters()).items() if not rules.trading] == ["BTC-PERP"]


async def test_a_market_without_lot_or_tick_is_not_guessed(exchange: LocalBinance, api: BinanceApi) -> None:
    rules = exchange.linear.rules({})
    rules["symbols"][0]["filters"] = []
    exchange.faults.answer("GET /fapi/v1/exchangeInfo", 200, rules)
    with pytest.raises(Transient, match="BTCUSDT has no contract, no lot or no tick"):
        await api.filters()


async def test_digits_survive_where_the_exchange_writes_plain_numbers(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(buy("BTC-PERP", "0.5"))
    body = (
        '[{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":0.5,"entryPrice":60000.123456789012345678901,'
        '"markPrice":6.1e4,"liquidationPrice":0}]'
    )
    exchange.faults.answer(RISK["BTC-PERP"], 200, body)
    (held,) = (await api.account()).holdings
    assert (held.entry, held.mark, held.liquidation) == (Decimal("60000.123456789012345678901"), 61_000, None)
