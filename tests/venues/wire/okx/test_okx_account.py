"""What an OKX account holds and what changed it, as the local OKX shows it; what is not shown is not flat."""

from decimal import Decimal
from typing import Any

import pytest
from tests.exchange.account import Income
from tests.exchange.market import Kind
from tests.exchange.okx import LocalOkx
from tests.exchange.worlds import HOME
from tests.venues.wire.tickets import buy, sell

from basis_actors.errors import Transient
from basis_actors.messages.exchange import PaymentKind, Wallet
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.okx import OkxApi

BTC, ETH = "BTC-PERP", "ETH-PERP"
PERPS = {BTC, ETH}
HOUR, DAY = 3600, 86_400
BALANCE, POSITIONS = "GET /api/v5/account/balance", "GET /api/v5/account/positions"
RISK, RULES = "GET /api/v5/account/account-position-risk", "GET /api/v5/public/instruments"
BILLS, ARCHIVE = "GET /api/v5/account/bills", "GET /api/v5/account/bills-archive"
PURSE_BILLS, PURSE_HISTORY = "GET /api/v5/asset/bills", "GET /api/v5/asset/bills-history"


def enveloped(*rows: Any) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": list(rows)}


async def usdt(api: OkxApi) -> tuple[Decimal, Decimal]:
    (row,) = [row for row in (await api.account()).balances if (row.wallet, row.token) == (Wallet.UNIFIED, "USDT")]
    return row.total, row.free


async def test_balances_are_by_purse_and_without_unrealised_profit(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5"))
    exchange.account.set_price(BTC, "61000")
    found = {(row.wallet, row.token): (row.total, row.free) for row in (await api.account()).balances}
    assert found == {
        (Wallet.UNIFIED, "BTC"): (2, 2),
        # 15 of fee; a twentieth of 30,500 is bound, and 500 of profit are not realised yet.
        (Wallet.UNIFIED, "USDT"): (199_985, 199_985 - 1525 + 500),
        (Wallet.FUNDING, "USDT"): (1000, 1000),
    }


async def test_a_profit_that_is_not_realised_cannot_leave(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5"))
    exchange.account.set_price(BTC, "80000")
    assert await usdt(api) == (199_985, 199_985)


async def test_a_loss_that_is_not_realised_may_not_leave(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5"))
    exchange.account.set_price(BTC, "50000")
    assert await usdt(api) == (199_985, 199_985 - 5000 - 1250)


@pytest.mark.parametrize(
    ("shown", "free"),
    [
        ({"availEq": "-5"}, 0),
        ({"availEq": "0"}, 0),
        ({"availEq": ""}, 70),
        ({"availEq": "", "availBal": ""}, 0),
        ({"cashBal": "-3"}, 0),
    ],
)
async def test_what_may_leave_is_what_is_shown_and_nothing_where_nothing_is(
    exchange: LocalOkx, api: OkxApi, shown: dict[str, str], free: int
) -> None:
    row = {"ccy": "USDT", "cashBal": "100", "availEq": "80", "availBal": "70", "imr": ""} | shown
    exchange.faults.answer(BALANCE, 200, enveloped({"details": [row]}))
    assert await usdt(api) == (Decimal(row["cashBal"]), free)


async def test_positions_are_signed_and_in_base_units(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(sell(BTC, "0.5"))
    await api.place(buy(ETH, "2", client_id="order2"))
    exchange.account.set_price(BTC, "61000")
    assert {row["instId"]: row["pos"] for row in exchange.house.positions({})} == {
        "BTC-USDT-SWAP": "-50",
        "ETH-USDT-SWAP": "20",
    }
    state = await api.account()
    held = {row.pair: (row.size, row.entry, row.mark, row.liquidation) for row in state.holdings}
    assert held == {BTC: (Decimal("-0.5"), 60_000, 61_000, 122_000), ETH: (2, 3000, 3000, 1500)}
    assert (state.pairs, state.time_ns) == (PERPS, exchange.clock.ns)


@pytest.mark.parametrize("said", ["", "0"])
async def test_a_liquidation_price_that_is_not_estimated_is_none(exchange: LocalOkx, api: OkxApi, said: str) -> None:
    await api.place(sell(BTC, "0.5"))
    (row,) = exchange.house.positions({})
    exchange.faults.answer(POSITIONS, 200, enveloped(row | {"liqPx": said}))
    (held,) = (await api.account()).holdings
    assert held.liquidation is None


async def test_a_flat_account_is_known_to_be_flat(api: OkxApi) -> None:
    state = await api.account()
    assert (state.holdings, state.pairs) == ((), PERPS)


async def test_a_position_of_nothing_is_flat(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(sell(BTC, "0.5"))
    (row,) = exchange.house.positions({})
    await api.place(buy(BTC, "0.5", client_id="order2"))
    exchange.faults.answer(POSITIONS, 200, enveloped(row | {"pos": "0", "avgPx": ""}))
    state = await api.account()
    assert (state.holdings, state.pairs) == ((), PERPS)


async def test_positions_of_markets_that_are_not_configured_are_shown(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.account.trade_by_hand("SOL-PERP", "-20")
    exchange.account.trade_by_hand("BTC-FUTURE", "0.1")
    state = await api.account()
    assert {row.pair: row.size for row in state.holdings} == {"SOL-PERP": -20, "BTC-USDT-241227": Decimal("0.1")}
    assert state.pairs == PERPS


async def test_a_contract_that_the_exchange_says_nothing_of_is_not_guessed(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.account.trade_by_hand("SOL-PERP", "-20")
    exchange.faults.answer(RULES, 200, enveloped())
    with pytest.raises(Transient, match="it says nothing of SOL-USDT-SWAP, which the account has"):
        await api.account()


@pytest.mark.parametrize("kind", ["MARGIN", "OPTION"])
async def test_what_is_held_in_other_units_is_no_answer(exchange: LocalOkx, api: OkxApi, kind: str) -> None:
    exchange.account.trade_by_hand("SOL-PERP", "-20")
    (row,) = exchange.house.positions({})
    exchange.faults.answer(POSITIONS, 200, enveloped(row | {"instType": kind}))
    with pytest.raises(Transient, match=f"SOL-USDT-SWAP is held as {kind}; close it"):
        await api.account()


@pytest.mark.parametrize("route", [POSITIONS, RISK])
async def test_an_empty_list_of_positions_is_not_read_as_flat(exchange: LocalOkx, api: OkxApi, route: str) -> None:
    await api.place(buy(BTC, "0.5"))
    await api.place(buy(ETH, "2", client_id="order2"))
    whole = enveloped(*exchange.house.positions({})), enveloped(*exchange.house.risk({}))
    (first, second), (risk,) = whole[0]["data"], whole[1]["data"]
    assert first["instId"] == "BTC-USDT-SWAP"
    told = enveloped(second) if route == POSITIONS else enveloped(risk | {"posData": risk["posData"][1:]})
    exchange.faults.answer(route, 200, told)
    state = await api.account()
    assert ([row.pair for row in state.holdings], state.pairs) == ([ETH], {ETH})
    assert (await api.account()).pairs == PERPS


async def test_margin_that_is_held_for_no_position_makes_all_doubtful(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5"))
    (risk,) = exchange.house.risk({})
    exchange.faults.answer(POSITIONS, 200, enveloped())
    exchange.faults.answer(RISK, 200, enveloped(risk | {"posData": []}))
    state = await api.account()
    assert (state.holdings, state.pairs) == ((), frozenset())
    assert (await api.account()).pairs == PERPS


async def test_a_fill_between_two_answers_is_not_known_yet(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(buy(BTC, "0.5"))
    exchange.faults.happen_before(RISK, lambda: exchange.account.trade_by_hand(BTC, "3"))
    state = await api.account()
    assert (state.holdings, state.pairs) == ((), {ETH})
    assert (await api.account()).pairs == PERPS


@pytest.mark.parametrize("route", [BALANCE, RISK])
@pytest.mark.parametrize("rows", [0, 2])
async def test_the_account_is_one(exchange: LocalOkx, api: OkxApi, route: str, rows: int) -> None:
    row = {"details": [], "posData": []}
    exchange.faults.answer(route, 200, enveloped(*[row] * rows))
    with pytest.raises(Transient, match=f"it has {rows} rows, one was expected"):
        await api.account()


@pytest.mark.parametrize(
    "body", ["", "null", "{}", '{"code": "0"}', '{"code": "0", "data": {}}', '{"code": "0", "data": [{"instId": 1}]}']
)
async def test_positions_that_cannot_be_read_are_no_answer(exchange: LocalOkx, api: OkxApi, body: str) -> None:
    exchange.faults.answer(POSITIONS, 200, body)
    with pytest.raises(Transient, match="AccountPositions: the answer cannot be read"):
        await api.account()


@pytest.mark.parametrize(
    "changed",
    [
        {"pos": "NaN"},
        {"pos": "many"},
        {"pos": ""},
        {"avgPx": "Infinity"},
        {"avgPx": ""},
        {"markPx": "1,000"},
        {"markPx": ""},
    ],
)
async def test_a_position_that_makes_no_sense_is_no_answer(
    exchange: LocalOkx, api: OkxApi, changed: dict[str, str]
) -> None:
    await api.place(buy(BTC, "0.5"))
    (row,) = exchange.house.positions({})
    exchange.faults.answer(POSITIONS, 200, enveloped(row | changed))
    with pytest.raises(Transient, match="the answer cannot be read"):
        await api.account()


async def test_two_way_or_isolated_positions_are_not_added_up(exchange: LocalOkx, api: OkxApi) -> None:
    await api.place(sell(BTC, "0.5"))
    exchange.account.two_way[Kind.LINEAR] = True
    with pytest.raises(Transient, match="BTC-USDT-SWAP is held short with cross margin; net positions"):
        await api.account()
    exchange.account.two_way[Kind.LINEAR] = False
    exchange.account.market(BTC).cross = False
    with pytest.raises(Transient, match="BTC-USDT-SWAP is held net with isolated margin; net positions"):
        await api.account()


async def test_a_liquidation_shows_as_a_fill_and_what_it_costs_besides_as_a_payment(
    exchange: LocalOkx, api: OkxApi
) -> None:
    since = exchange.clock.ns
    await api.place(buy(BTC, "0.5"))
    await api.place(buy(ETH, "2", client_id="order2"))
    exchange.clock.advance(1)
    exchange.account.set_price(BTC, "59000")
    exchange.account.liquidate(BTC, "0.01")
    exchange.account.deleverage(ETH, "2")
    first, second = await api.fills(BTC, since)
    assert (second.amount, second.buys, second.price) == (first.amount, False, 59_000)
    assert len(await api.fills(ETH, since)) == 2
    assert (await api.account()).holdings == ()
    (paid,) = await api.payments(since)
    assert (paid.kind, paid.amount, paid.pair) == (PaymentKind.LIQUIDATION_FEE, -295, BTC)


async def test_funding_is_told_once_and_nothing_else_of_trades_and_transfers(exchange: LocalOkx, api: OkxApi) -> None:
    since = exchange.clock.ns
    await api.place(sell(BTC, "0.5"))
    exchange.account.move("unified", "funding", "18>6", "USDT", Decimal(10))
    exchange.account.move("funding", "unified", "6>18", "USDT", Decimal(5))
    exchange.clock.advance(60)
    exchange.account.pay_funding(BTC, "0.0001")
    exchange.account.pay_funding(ETH, "0.0001")
    (paid,) = await api.payments(since)
    assert (paid.kind, paid.wallet, paid.token, paid.amount) == (PaymentKind.FUNDING, Wallet.UNIFIED, "USDT", 3)
    assert (paid.pair, paid.time_ns) == (BTC, exchange.clock.ns)
    assert await api.payments(exchange.clock.ns) == (paid,)
    assert await api.payments(exchange.clock.ns + 1) == ()


async def test_interest_is_a_payment_of_no_perpetual(exchange: LocalOkx, api: OkxApi) -> None:
    number, now = exchange.account.number(), exchange.clock.ms
    exchange.account.income.append(Income("INTEREST", Kind.LINEAR, "", "USDT", Decimal("-0.5"), now, number))
    (paid,) = await api.payments(exchange.clock.ns)
    assert (paid.kind, paid.amount, paid.pair) == (PaymentKind.OTHER, Decimal("-0.5"), None)
    exchange.account.income[0].amount = Decimal(0)
    assert await api.payments(exchange.clock.ns) == ()


async def test_a_long_statement_is_read_at_the_pace_that_the_exchange_allows(exchange: LocalOkx, api: OkxApi) -> None:
    since = exchange.clock.ns
    await api.place(sell(BTC, "0.5"))
    for number in range(1300):
        exchange.clock.advance(0.001 * (number % 10 == 0))
        exchange.account.pay_funding(BTC, "0.0001")
    asked = exchange.clock.ns
    found = await api.payments(since)
    assert len({row.payment_id for row in found}) == len(found) == 1300
    assert sum(row.amount for row in found) == 3900
    # Fourteen pages of a hundred with the trade, and three quarters of five a second.
    assert len(exchange.journal.of(BILLS)) == 14
    assert exchange.clock.ns - asked >= 3 * NS_PER_SECOND


@pytest.mark.parametrize(("hours", "asked"), [(166, BILLS), (168, ARCHIVE)])
async def test_a_week_back_the_recent_bills_end(exchange: LocalOkx, api: OkxApi, hours: int, asked: str) -> None:
    await api.place(sell(BTC, "0.5"))
    since = exchange.clock.ns
    exchange.account.pay_funding(BTC, "0.0001")
    exchange.clock.advance(hours * HOUR)
    assert len(await api.payments(since)) == 1
    assert len(exchange.journal.of(asked)) == 1


async def test_what_came_and_what_the_owner_sent_away_is_told(exchange: LocalOkx, api: OkxApi) -> None:
    since = exchange.clock.ns
    exchange.account.deposit("USDT", "1")
    exchange.clock.advance(60)
    arrived = exchange.account.deposit("USDT", "500")
    elsewhere = exchange.account.withdraw("", "USDT", "USDT-ERC20", "0xelsewhere", Decimal(50))
    exchange.account.withdraw("ours1", "USDT", "USDT-ERC20", HOME.address, Decimal(60))
    turned_down = exchange.account.withdraw("", "USDT", "USDT-ERC20", "0xelsewhere", Decimal(70))
    turned_down.status = "-2"
    found = await api.payments(since + 1)
    # One that is turned down is there twice, going and coming back.
    assert sorted((row.kind, row.wallet, row.token, row.amount) for row in found) == [
        (PaymentKind.DEPOSIT, Wallet.FUNDING, "USDT", Decimal(500)),
        (PaymentKind.WITHDRAWAL, Wallet.FUNDING, "USDT", Decimal(-70)),
        (PaymentKind.WITHDRAWAL, Wallet.FUNDING, "USDT", Decimal(-50)),
        (PaymentKind.WITHDRAWAL, Wallet.FUNDING, "USDT", Decimal(70)),
    ]
    assert {f"purse:{arrived.name}", f"purse:{elsewhere.name}"} < {row.payment_id for row in found}
    assert {row.time_ns for row in found} == {exchange.clock.ns}


async def test_one_of_ours_that_is_turned_down_is_not_told_either_way(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.account.withdraw("ours1", "USDT", "USDT-ERC20", HOME.address, Decimal(60)).status = "-1"
    assert await api.payments(exchange.clock.ns) == ()


async def test_what_else_changes_the_purse_is_told(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.account.deposit("USDT", "500")
    (row,) = exchange.wallet.bills({})
    others = [row | {"type": "28", "billId": "one"}, row | {"type": "28", "billId": "two", "balChg": "0"}]
    exchange.faults.answer(PURSE_BILLS, 200, enveloped(row, *others))
    found = await api.payments(exchange.clock.ns)
    assert sorted((paid.payment_id, paid.kind) for paid in found) == [
        (f"purse:{row['billId']}", PaymentKind.DEPOSIT),
        ("purse:one", PaymentKind.OTHER),
    ]


@pytest.mark.parametrize(("days", "asked"), [(27, PURSE_BILLS), (29, PURSE_HISTORY)])
async def test_a_month_back_the_recent_entries_of_the_purse_end(
    exchange: LocalOkx, api: OkxApi, days: int, asked: str
) -> None:
    since = exchange.clock.ns
    exchange.account.deposit("USDT", "500")
    exchange.clock.advance(days * DAY)
    assert len(await api.payments(since)) == 1
    assert len(exchange.journal.of(asked)) == 1


async def test_entries_of_the_purse_are_read_page_by_page_and_no_further_than_needed(
    exchange: LocalOkx, api: OkxApi
) -> None:
    times = []
    for number in range(450):
        # Thirty of them at one moment, across the end of a page.
        exchange.clock.advance(0 if 90 < number % 100 < 120 else 0.001)
        exchange.account.deposit("USDT", "1")
        times.append(exchange.clock.ns)
    found = await api.payments(times[0])
    assert len({row.payment_id for row in found}) == len(found) == 450
    before = len(exchange.journal.of(PURSE_BILLS))
    assert len(await api.payments(times[-50])) == 50
    assert len(exchange.journal.of(PURSE_BILLS)) == before + 1


async def test_more_at_one_moment_than_a_page_holds_is_no_answer(exchange: LocalOkx, api: OkxApi) -> None:
    for _ in range(101):
        exchange.account.deposit("USDT", "1")
    with pytest.raises(Transient, match=r"more than 100 entries after .* cannot be paged through"):
        await api.payments(exchange.clock.ns)


async def test_what_the_market_requires_is_asked_anew_in_base_units(exchange: LocalOkx, api: OkxApi) -> None:
    first = await api.filters()
    assert set(first) == PERPS
    btc, eth = first[BTC], first[ETH]
    assert (btc.lot, btc.tick, btc.min_amount) == (Decimal("0.0001"), Decimal("0.1"), Decimal("0.0001"))
    assert (eth.lot, eth.tick, eth.min_amount) == (Decimal("0.01"), Decimal("0.01"), Decimal("0.01"))
    assert (btc.min_notional, btc.max_market_amount, btc.trading) == (0, 120, True)
    exchange.account.market(BTC).trading = False
    assert [pair for pair, rules in (await api.filters()).items() if not rules.trading] == [BTC]


async def test_a_contract_may_be_a_multiple_and_have_no_largest_order(exchange: LocalOkx, api: OkxApi) -> None:
    (row,) = exchange.desk.rules({"instType": "SWAP", "instId": "BTC-USDT-SWAP"})
    exchange.faults.answer(RULES, 200, enveloped(row | {"ctMult": "10", "minSz": "0.1", "maxMktSz": ""}))
    rules = (await api.filters())[BTC]
    assert (rules.lot, rules.min_amount, rules.max_market_amount) == (Decimal("0.001"), Decimal("0.01"), None)


@pytest.mark.parametrize("changed", [{"ctVal": "0"}, {"ctMult": "0"}, {"lotSz": "0"}, {"tickSz": "-1"}])
async def test_a_market_without_contract_lot_or_tick_is_not_guessed(
    exchange: LocalOkx, api: OkxApi, changed: dict[str, str]
) -> None:
    (row,) = exchange.desk.rules({"instType": "SWAP", "instId": "BTC-USDT-SWAP"})
    exchange.faults.answer(RULES, 200, enveloped(row | changed))
    with pytest.raises(Transient, match="BTC-USDT-SWAP has no contract, no lot or no tick"):
        await api.filters()


@pytest.mark.parametrize("changed", [{"ctType": "inverse"}, {"settleCcy": "USDC"}])
async def test_a_market_of_another_sort_is_not_traded(exchange: LocalOkx, api: OkxApi, changed: dict[str, str]) -> None:
    (row,) = exchange.desk.rules({"instType": "SWAP", "instId": "BTC-USDT-SWAP"})
    exchange.faults.answer(RULES, 200, enveloped(row | changed))
    with pytest.raises(Transient, match="linear in USDT was expected"):
        await api.filters()


async def test_digits_survive(exchange: LocalOkx, api: OkxApi) -> None:
    exchange.account.purses["unified"]["BTC"] = Decimal("12345678.12345678")
    await api.place(buy(BTC, "0.5"))
    (row,) = exchange.house.positions({})
    changed = row | {"avgPx": "60000.123456789012345678901", "markPx": "6.1e4"}
    exchange.faults.answer(POSITIONS, 200, enveloped(changed))
    state = await api.account()
    (held,) = state.holdings
    assert (held.entry, held.mark) == (Decimal("60000.123456789012345678901"), 61_000)
    assert Decimal("12345678.12345678") in {row.total for row in state.balances}
