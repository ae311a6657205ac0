"""What an order becomes on the wire: exact decimals, whole lots and ticks, purses, addresses, ids."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.live.books import Book, account_terms

from basis_actors.errors import Rejected
from basis_actors.messages.exchange import MarketFilters, OrderTicket, TimeInForce, TransferTicket, Wallet
from basis_actors.messages.orders import OperationType, Order, OrderType, Side
from basis_actors.venues.live.tickets import client_id_of, is_ours, ticket_of

TERMS = account_terms()
UNIFIED = account_terms("bybit", split=False)


def filters(pair: str = "BTC-PERP", **more: Any) -> dict[str, MarketFilters]:
    fields: dict[str, Any] = {
        "pair": pair,
        "lot": Decimal("0.001"),
        "tick": Decimal("0.1"),
        "min_amount": Decimal("0.001"),
        "max_market_amount": Decimal(120),
        "min_notional": Decimal(5),
        "trading": True,
    }
    return {pair: MarketFilters(**(fields | more))}


def trade(amount: float, pair: str = "BTC-PERP", side: Side = Side.SHORT, **more: Any) -> Order:
    return Book().trade(pair, side, amount, **more)


def ticket(order: Order, **rules: Any) -> OrderTicket:
    made = ticket_of(order, "id", TERMS, filters(order.pair or "", **rules))
    assert isinstance(made, OrderTicket)
    return made


LOTS = st.sampled_from(
    [Decimal(1), Decimal("0.1"), Decimal("0.001"), Decimal("0.00001"), Decimal("1e-8"), Decimal(100)]
)


@given(lots=st.integers(1, 10**9), lot=LOTS)
def test_an_amount_goes_out_digit_by_digit_as_it_was_meant(lots: int, lot: Decimal) -> None:
    """A float is the nearest to its decimal; what is sent is that decimal, not the float's binary digits."""
    meant = lots * lot
    made = ticket(trade(float(meant)), lot=lot, min_amount=lot, max_market_amount=None)
    assert made.amount == meant
    assert made.amount % lot == 0


@given(lots=st.integers(1, 10**6), part=st.floats(0.001, 0.999))
def test_an_amount_between_two_lots_is_refused(lots: int, part: float) -> None:
    amount = (lots + part) * 0.001
    with pytest.raises(Rejected) as caught:
        ticket(trade(amount), max_market_amount=None)
    assert caught.value.code == "EXEC-004"
    assert f"amount {amount!r} is not a multiple of the lot 0.001" in caught.value.message


@given(amounts=st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_sums_of_floats_are_lots_all_the_same(amounts: list[int]) -> None:
    total = sum(amount * 0.001 for amount in amounts)
    assert ticket(trade(total), max_market_amount=None).amount == Decimal(sum(amounts)) / 1000


@given(price=st.floats(0.5, 1e6), side=st.sampled_from([Side.LONG, Side.SHORT]))
def test_a_limit_is_a_whole_tick_and_never_worse_than_what_was_asked(price: float, side: Side) -> None:
    limit = ticket(trade(100.0, side=side, price=price, order_type=OrderType.LIMIT), min_notional=Decimal(0)).limit
    assert limit is not None
    assert limit % Decimal("0.1") == 0
    asked = Decimal(repr(price))
    assert asked - Decimal("0.1") < limit <= asked if side is Side.LONG else asked <= limit < asked + Decimal("0.1")


def test_a_market_order_has_no_limit_whatever_price_it_assumes() -> None:
    made = ticket(trade(0.5, price=40_000.0, reduce_only=True))
    assert (made.limit, made.buys, made.reduce_only, made.post_only) == (None, False, True, False)
    assert made.time_in_force is TimeInForce.GTC


def test_how_a_limit_order_waits_is_in_its_details() -> None:
    details = {"post_only": True, "time_in_force": "ioc"}
    made = ticket(trade(0.5, side=Side.LONG, price=40_000.0, order_type=OrderType.LIMIT, operation_details=details))
    assert (made.buys, made.post_only, made.time_in_force) == (True, True, TimeInForce.IOC)


REFUSED = [
    (trade(0.0004), {}, "EXEC-004", "amount 0.0004 is not a multiple of the lot 0.001"),
    (trade(0.002), {"min_amount": Decimal("0.005")}, "EXEC-009", "amount 0.002 is below the minimum 0.005 of BTC-PERP"),
    (trade(0.002, price=2_000.0), {}, "EXEC-009", "4.0000 USD is below the minimum order of 5 in BTC-PERP"),
    (trade(121.0), {}, "EXEC-004", "amount 121 is above the largest market order 120 of BTC-PERP"),
    (
        trade(0.5, side=Side.LONG, price=0.04, order_type=OrderType.LIMIT),
        {"min_notional": Decimal(0)},
        "EXEC-004",
        "price 0.04 is less than the tick 0.1",
    ),
    (trade(0.5), {"trading": False}, "VEN-003", "binance takes no orders in BTC-PERP at present"),
    (trade(0.5, stop_loss=50_000.0), {}, "EXEC-003", "take_profit and stop_loss are not sent to binance"),
    (trade(0.5, take_profit=30_000.0), {}, "EXEC-003", "take_profit and stop_loss are not sent to binance"),
    (
        trade(0.5, operation_details={"time_in_force": "fok"}),
        {},
        "EXEC-003",
        "time_in_force is 'fok'; gtc or ioc was expected",
    ),
]


@pytest.mark.parametrize(("order", "rules", "code", "text"), REFUSED)
def test_what_the_exchange_would_not_take_is_refused_with_both_numbers(
    order: Order, rules: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(Rejected) as caught:
        ticket(order, **rules)
    assert (caught.value.code, text in caught.value.message) == (code, True), caught.value.message
    assert order.operation_id in caught.value.message


def test_what_closes_may_be_worth_less_than_the_minimum() -> None:
    assert ticket(trade(0.002, price=2_000.0, reduce_only=True)).amount == Decimal("0.002")
    assert ticket(trade(0.002)).amount == Decimal("0.002"), "without a price its worth is not known here"


def test_selling_from_spot_closes_nothing() -> None:
    sale = {"pair": "BTC/USDT", "side": Side.SELL, "price": 2_000.0, "reduce_only": True}
    assert not ticket(trade(0.003, **sale)).reduce_only
    with pytest.raises(Rejected, match=r"EXEC-009: .* is below the minimum order of 5 in BTC/USDT"):
        ticket(trade(0.002, **sale))


def test_a_large_limit_order_is_no_market_order() -> None:
    assert ticket(trade(121.0, price=40_000.0, order_type=OrderType.LIMIT)).amount == 121


def test_an_inverse_order_counts_in_usd() -> None:
    rules = {"lot": Decimal(100), "min_amount": Decimal(100), "min_notional": Decimal(200), "max_market_amount": None}
    assert ticket(trade(1_200.0, "BTCUSD-PERP", price=40_000.0), **rules).amount == 1_200
    with pytest.raises(Rejected, match=r"EXEC-009: .* 100 USD is below the minimum order of 200 in BTCUSD-PERP"):
        ticket(trade(100.0, "BTCUSD-PERP", price=40_000.0), **rules)


def test_a_market_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(Rejected, match=r"VEN-004: .* binance has no market 'SOL-PERP'; there are \['BTC-PERP'\]"):
        ticket_of(trade(0.5, "SOL-PERP"), "id", TERMS, filters())


def test_an_exchange_only_trades_and_transfers() -> None:
    order = Book().order(OperationType.SUPPLY, 5.0)
    with pytest.raises(Rejected, match="VEN-004: supply 'op-1': an exchange does spot_trade, perp_trade and transfer"):
        ticket_of(order, "id", TERMS, filters())


def transfer(source: str, target: str, amount: float = 10.0) -> TransferTicket:
    terms = UNIFIED if source.startswith("bybit") else TERMS
    made = ticket_of(Book(split=terms.split).transfer(source, target, amount), "id", terms, {})
    assert isinstance(made, TransferTicket)
    return made


@pytest.mark.parametrize(
    ("source", "target", "purses"),
    [
        ("binance:BaseToken:USDT", "binance:Margin:USDT", (Wallet.SPOT, Wallet.LINEAR)),
        ("binance:Margin:USDT", "binance:BaseToken:USDT", (Wallet.LINEAR, Wallet.SPOT)),
        ("binance:BaseToken:BTC", "binance:Margin:BTC", (Wallet.SPOT, Wallet.INVERSE)),
        ("binance:BaseToken:USDT", "wallet:BaseToken:USDT", (Wallet.SPOT, None)),
        ("binance:Margin:BTC", "bybit:BaseToken:BTC", (Wallet.INVERSE, None)),
        ("bybit:BaseToken:USDT", "wallet:BaseToken:USDT", (Wallet.UNIFIED, None)),
    ],
)
def test_a_transfer_goes_from_purse_to_purse_or_to_an_address(
    source: str, target: str, purses: tuple[Wallet, Wallet | None]
) -> None:
    made = transfer(source, target)
    token = source.rsplit(":", 1)[-1]
    assert (made.source, made.target, made.token) == (*purses, token)
    outside = (f"{target.split(':')[0]}:BaseToken:{token}", "ERC20") if purses[1] is None else (None, None)
    assert (made.address, made.network) == outside


@given(amount=st.floats(1e-8, 1e7))
def test_a_transfer_never_sends_more_than_was_asked(amount: float) -> None:
    sent = transfer("binance:BaseToken:USDT", "wallet:BaseToken:USDT", amount).amount
    asked = Decimal(repr(amount))
    assert asked - Decimal("1e-8") < sent <= asked


def test_a_withdrawal_without_an_address_on_the_list_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        transfer("binance:BaseToken:ETH", "wallet:BaseToken:ETH")
    assert caught.value.code == "VEN-001"
    assert "may not withdraw ETH to wallet; on the list: BTC to bybit, USDT to bybit, BTC to wallet" in str(
        caught.value
    )


def test_less_than_can_be_sent_is_refused() -> None:
    with pytest.raises(Rejected, match=r"EXEC-004: .* 9e-09 USDT is less than can be sent, 1e-8"):
        transfer("binance:BaseToken:USDT", "wallet:BaseToken:USDT", 9e-9)


@pytest.mark.parametrize("details", [{}, {"source_key": "binance:BaseToken:USDT"}, {"source_key": 1, "target_key": 2}])
def test_a_transfer_without_its_keys_is_refused(details: dict[str, Any]) -> None:
    order = Book().order(OperationType.TRANSFER, 10.0, target_venue="wallet", operation_details=details)
    with pytest.raises(Rejected, match=r"EXEC-003: .* a transfer names source_key and target_key"):
        ticket_of(order, "id", TERMS, {})


@pytest.mark.parametrize(
    "keys",
    [
        ("wallet:BaseToken:USDT", "wallet:BaseToken:USDT"),
        ("binance:PerpPosition:BTC-PERP", "binance:BaseToken:USDT"),
        ("binance:BaseToken:BTC", "binance:BaseToken:USDT"),
        ("binance:BaseToken:USDT", "binance:BaseToken:USDT"),
        ("binance:BaseToken:USDT", "bybit:BaseToken:USDT"),
        ("nonsense", "binance:BaseToken:USDT"),
    ],
)
def test_a_transfer_from_what_is_no_purse_of_the_account_is_refused(keys: tuple[str, str]) -> None:
    details = {"source_key": keys[0], "target_key": keys[1]}
    order = Book().order(OperationType.TRANSFER, 10.0, operation_details=details)
    with pytest.raises(Rejected, match="EXEC-003: transfer 'op-1': "):
        ticket_of(order, "id", TERMS, {})


IDS = st.tuples(st.text(min_size=1), st.integers(1, 10**6), st.text(min_size=1), st.integers(0, 20), st.integers(0))


@given(first=IDS, second=IDS)
def test_every_attempt_has_an_id_of_its_own(first: tuple[Any, ...], second: tuple[Any, ...]) -> None:
    one, other = client_id_of(*first), client_id_of(*second)
    assert (one == other) == (first == second)
    assert len(one) == 32
    assert one.isalnum()
    assert one.isascii()


def test_ids_tell_whose_they_are() -> None:
    mine = client_id_of("mine", 3, "op", 0, 1)
    assert is_ours("mine", mine)
    assert not is_ours("theirs", mine)
    assert not is_ours("mine", None)
    assert not is_ours("mine", "x-TKT5PX2F123")
    assert mine == "ba" + mine[2:], "ids begin with two letters of ours"
