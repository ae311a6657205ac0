"""The account's copy of the ledger: what trades, fees and adjustments make of it, against sums done another way."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.live.books import account_terms
from tests.venues.worlds import START

from basis_actors.errors import BasisError
from basis_actors.finance.ledger import book_settlement
from basis_actors.messages.exchange import AccountState, PerpHolding, VenueFill, Wallet, WalletBalance
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.times import utc_from_ns
from basis_actors.venues.live.mirror import Mirror, shown_by

MOMENT = utc_from_ns(START)
PERP, MARGIN = "binance:PerpPosition:BTC-PERP", "binance:Margin:USDT"
INVERSE, COINS = "binance:InversePerp:BTCUSD-PERP", "binance:Margin:BTC"
SPOT, CASH = "binance:BaseToken:BTC", "binance:BaseToken:USDT"


def fill(pair: str, amount: str, price: str, **more: Any) -> VenueFill:
    """A trade; an amount below 0 sells."""
    size = Decimal(amount)
    fields: dict[str, Any] = {"trade_id": "f", "client_id": None, "venue_order_id": "o", "fee": Decimal(0)}
    return VenueFill(
        pair=pair,
        buys=size > 0,
        amount=abs(size),
        price=Decimal(price),
        fee_currency=more.pop("fee_currency", "USDT"),
        time_ns=START,
        **(fields | more),
    )


def state(cash: Mapping[str, str] = {}, *held: PerpHolding) -> AccountState:
    """What an exchange shows: cash by purse and token, like `linear USDT`."""
    balances = [
        WalletBalance(Wallet(purse), token, Decimal(amount), Decimal(amount))
        for (purse, token), amount in ((name.split(), amount) for name, amount in cash.items())
    ]
    return AccountState(tuple(balances), held, frozenset(), START)


def holding(pair: str, size: str, entry: str, mark: str = "40000") -> PerpHolding:
    return PerpHolding(pair=pair, size=Decimal(size), entry=Decimal(entry), mark=Decimal(mark), liquidation=None)


def mirror(split: bool = True, **positions: float) -> Mirror:
    """A mirror that begins with cash."""
    made = Mirror(account_terms(split=split) if split else account_terms("bybit", split=False))
    deltas = [PositionDelta(key.replace("__", ":"), amount) for key, amount in positions.items()]
    if deltas:
        made.book(DeltaSource.OPENING, MOMENT, deltas)
    return made


def booked(settlements: list[Settlement]) -> tuple[dict[str, float], dict[str, float]]:
    """What the ledger makes of them."""
    positions: dict[str, float] = {}
    entries: dict[str, float] = {}
    for place, settlement in enumerate(settlements):
        assert settlement.sequence == place
        positions, entries = book_settlement(settlement, positions, entries)
    return positions, entries


TRADES = st.lists(
    st.tuples(st.integers(-2_000, 2_000).filter(bool), st.integers(100_000, 900_000)), min_size=1, max_size=25
)


@given(trades=TRADES)
def test_a_linear_perpetual_earns_what_its_trades_and_its_last_price_say(trades: list[tuple[int, int]]) -> None:
    """Average cost and realised profit, against exact cash flows: equity is cash of all trades plus size at a price."""
    made, settlements = mirror(), list[Settlement]()
    flows, size = Fraction(0), Fraction(0)
    for lots, price in trades:
        amount = Decimal(lots) / 1000
        settlements += made.fill(fill("BTC-PERP", str(amount), str(Decimal(price) / 10)), "op")
        flows -= Fraction(amount) * Fraction(price, 10)
        size += Fraction(amount)
    positions, entries = booked(settlements)
    assert (positions, entries) == (made.positions, made.entries)
    assert positions.get(PERP, 0.0) == pytest.approx(float(size), abs=1e-9)
    last = 37_123.4
    unrealised = positions.get(PERP, 0.0) * (last - entries.get(PERP, last))
    exact = float(flows + size * Fraction(last))
    assert positions.get(MARGIN, 0.0) + unrealised == pytest.approx(exact, rel=1e-9, abs=1e-4)


@given(trades=TRADES)
def test_an_inverse_perpetual_earns_coins_as_its_trades_say(trades: list[tuple[int, int]]) -> None:
    """Each contract of one USD earns 1 / entry - 1 / exit coins, whatever average is kept of it."""
    made, settlements = mirror(), list[Settlement]()
    coins, size = Fraction(0), 0
    for lots, price in trades:
        settlements += made.fill(fill("BTCUSD-PERP", str(lots * 100), str(Decimal(price) / 10)), "op")
        coins += Fraction(lots * 100) / Fraction(price, 10)
        size += lots * 100
    positions, entries = booked(settlements)
    assert positions.get(INVERSE, 0.0) == pytest.approx(size)
    last = Fraction(371_234, 10)
    held, entry = positions.get(INVERSE, 0.0), entries.get(INVERSE, float(last))
    unrealised = held / entry - held / float(last)
    assert positions.get(COINS, 0.0) + unrealised == pytest.approx(float(coins - size / last), rel=1e-9, abs=1e-9)


def test_a_flip_closes_at_its_price_and_opens_the_rest_at_it() -> None:
    made = mirror()
    made.fill(fill("BTC-PERP", "1.0", "40000"), "op")
    ((settlement),) = made.fill(fill("BTC-PERP", "-1.5", "41000"), "op")
    assert settlement.deltas == (PositionDelta(PERP, -1.5, 41_000.0), PositionDelta(MARGIN, 1_000.0))
    assert (made.positions[PERP], made.entries[PERP]) == (-0.5, 41_000.0)


def test_a_spot_trade_moves_both_tokens_to_the_last_digit() -> None:
    made = mirror(binance__BaseToken__USDT=10_000.0)
    ((settlement),) = made.fill(fill("BTC/USDT", "0.12345", "40123.45"), "op")
    assert settlement.deltas == (
        PositionDelta(SPOT, 0.12345, 40_123.45),
        PositionDelta(CASH, -float(Decimal("0.12345") * Decimal("40123.45"))),
    )
    assert (settlement.source, settlement.operation_id) == (DeltaSource.EXECUTION, "op")


@pytest.mark.parametrize(
    ("pair", "currency", "split", "key"),
    [
        ("BTC/USDT", "USDT", True, CASH),
        ("BTC/USDT", "BTC", True, SPOT),
        ("BTC-PERP", "USDT", True, MARGIN),
        ("BTCUSD-PERP", "BTC", True, COINS),
        ("BTC-PERP", "USDT", False, "bybit:BaseToken:USDT"),
        ("BTC/USDT", "BTC", False, "bybit:BaseToken:BTC"),
        ("BTC/USDT", "BNB", True, None),
    ],
)
def test_a_fee_is_taken_where_it_is_paid(pair: str, currency: str, split: bool, key: str | None) -> None:
    venue = "binance" if split else "bybit"
    made = mirror(split, **{f"{venue}__BaseToken__USDT": 10_000.0, f"{venue}__BaseToken__BTC": 1.0})
    amount = "100" if pair == "BTCUSD-PERP" else "0.1"
    trade, *fees = made.fill(fill(pair, amount, "40000", fee=Decimal("0.002"), fee_currency=currency), "op")
    assert trade.source is DeltaSource.EXECUTION
    if key is None:
        assert fees == [], "a token that is not booked is not the system's business"
        return
    (fee,) = fees
    assert (fee.source, fee.operation_id, fee.sequence) == (DeltaSource.FEE, "op", trade.sequence + 1)
    assert fee.deltas == (PositionDelta(key, -0.002),)


def test_a_rebate_is_a_fee_that_comes_back() -> None:
    made = mirror()
    _, fee = made.fill(fill("BTC-PERP", "0.1", "40000", fee=Decimal("-0.5")), "op")
    assert fee.deltas == (PositionDelta(MARGIN, 0.5),)


def test_what_was_sold_the_account_had() -> None:
    """A trade that has happened is booked, whatever was known before; what was missing is said."""
    made = mirror(binance__BaseToken__BTC=0.2)
    covered, trade = made.fill(fill("BTC/USDT", "-0.5", "40000"), None)
    assert (covered.source, covered.deltas) == (DeltaSource.ADJUSTMENT, (PositionDelta(SPOT, 0.3),))
    assert trade.deltas == (PositionDelta(SPOT, -0.5, 40_000.0), PositionDelta(CASH, 20_000.0))
    assert made.positions == pytest.approx({CASH: 20_000.0})
    covered, withdrawal = made.book_covered(DeltaSource.WITHDRAWAL, MOMENT, (PositionDelta(CASH, -21_000.0),))
    assert covered.deltas == (PositionDelta(CASH, 1_000.0),)
    assert withdrawal.source is DeltaSource.WITHDRAWAL
    assert made.positions == {}


def test_what_the_ledger_would_refuse_changes_nothing() -> None:
    made = mirror(binance__BaseToken__USDT=100.0)
    before = dict(made.positions)
    deltas = (PositionDelta(CASH, -150.0), PositionDelta(MARGIN, 150.0))
    with pytest.raises(BasisError, match="POS-004"):
        made.book(DeltaSource.TRANSFER, MOMENT, deltas)
    with pytest.raises(BasisError, match="POS-001"):
        made.book_covered(DeltaSource.EXECUTION, MOMENT, (PositionDelta(PERP, 1.0),))
    assert made.positions == before
    assert made.book(DeltaSource.FUNDING, MOMENT, (PositionDelta(MARGIN, 1.0),)).sequence == 1, "and uses no number"


def test_tokens_in_transit_are_no_part_of_it() -> None:
    made = mirror(binance__BaseToken__USDT=100.0)
    settlement = made.book(
        DeltaSource.TRANSFER,
        MOMENT,
        (PositionDelta(CASH, -100.0), PositionDelta("transit:BaseToken:USDT", 100.0)),
    )
    assert len(settlement.deltas) == 2
    assert made.positions == {}


def test_it_opens_with_what_is_shown_and_what_is_under_way() -> None:
    made = mirror()
    made.fill(fill("BTC-PERP", "1.0", "40000"), "op")
    shown = state(
        {"spot USDT": "10.5", "linear USDT": "100", "inverse BTC": "0.5", "spot BNB": "3", "spot ETH": "0"},
        holding("BTC-PERP", "-0.5", "41000"),
        holding("BTCUSD-PERP", "1200", "39000"),
    )
    (opening,) = made.open(shown, {"transit:BaseToken:USDT": 7.0})
    assert (opening.source, opening.sequence) == (DeltaSource.OPENING, 0)
    positions, entries = booked([opening])
    own = {CASH: 10.5, MARGIN: 100.0, COINS: 0.5, PERP: -0.5, INVERSE: 1200.0}
    assert positions == {**own, "transit:BaseToken:USDT": 7.0}
    assert entries == {PERP: 41_000.0, INVERSE: 39_000.0} == made.entries
    assert made.positions == own
    assert mirror().open(state(), {}) == ()


def test_the_funding_purse_is_no_margin() -> None:
    terms = account_terms("bybit", split=False)
    shown = shown_by(terms, state({"unified USDT": "10", "funding USDT": "5", "unified BTC": "0"}))
    assert shown == {"bybit:BaseToken:USDT": 10.0, "bybit:Funding:USDT": 5.0}
    assert terms.wallet_of("bybit:Funding:USDT") is Wallet.FUNDING


@pytest.mark.parametrize(("booked_amount", "shown", "differs"), [(1e6, 1e6 + 0.009, False), (1e6, 1e6 + 0.011, True)])
def test_only_what_is_more_than_rounding_is_a_difference(booked_amount: float, shown: float, differs: bool) -> None:
    made = mirror(binance__BaseToken__USDT=booked_amount)
    assert made.differences({CASH: shown}) == ({CASH: (booked_amount, shown)} if differs else {})


def test_a_position_on_one_side_only_is_a_difference() -> None:
    made = mirror(binance__BaseToken__USDT=5.0)
    assert made.differences({PERP: 0.5}) == {CASH: (5.0, 0.0), PERP: (0.0, 0.5)}


@pytest.mark.parametrize("pair", ["BTC-PERP", "BTCUSD-PERP"])
@pytest.mark.parametrize(
    ("before", "shown", "their_entry", "our_entry"),
    [
        ("0", "300", "41000", 41_000.0),
        ("200", "300", "41000", 41_000.0),
        ("200", "-100", "39000", 39_000.0),
        ("-200", "-500", "42000", 42_000.0),
        ("200", "100", "40000", 40_000.0),
        ("200", "0", "0", None),
        ("200", "400", "200000", None),
    ],
)
def test_an_adjustment_leads_to_what_is_shown_at_the_exchanges_own_entry(
    pair: str, before: str, shown: str, their_entry: str, our_entry: float | None
) -> None:
    key = PERP if pair == "BTC-PERP" else INVERSE
    made, settlements = mirror(), list[Settlement]()
    if before != "0":
        settlements += made.fill(fill(pair, before, "40000"), None)
    held = [holding(pair, shown, their_entry)] if shown != "0" else []
    there = shown_by(account_terms(), state({}, *held))
    settlements.append(made.adjust(state({}, *held), made.differences(there)))
    positions, entries = booked(settlements)
    assert positions == (pytest.approx({key: float(shown)}) if shown != "0" else {})
    assert made.differences(there) == {}
    if our_entry is not None:
        assert entries[key] == pytest.approx(our_entry)


def test_an_entry_that_no_price_leads_to_is_taken_at_the_mark() -> None:
    """Twice the contracts for the same coins: no price of the second half gives that."""
    made = mirror()
    made.fill(fill("BTCUSD-PERP", "100", "20000"), None)
    held = holding("BTCUSD-PERP", "200", "40000", mark="30000")
    settlement = made.adjust(state({}, held), {INVERSE: (100.0, 200.0)})
    assert settlement.deltas == (PositionDelta(INVERSE, 100.0, 30_000.0),)


def test_an_adjustment_of_cash_needs_no_price() -> None:
    made = mirror(binance__BaseToken__USDT=100.0)
    settlement = made.adjust(state({"spot USDT": "90"}), {CASH: (100.0, 90.0)})
    assert (settlement.source, settlement.deltas) == (DeltaSource.ADJUSTMENT, (PositionDelta(CASH, -10.0),))


@pytest.mark.parametrize(
    ("their_entry", "cash", "explains"),
    [("41000", "900", True), ("41000", "900.01", False), ("41000.001", "900", True), ("40000", "900", False)],
)
def test_only_what_the_two_entries_are_worth_is_another_order_of_the_same_trades(
    their_entry: str, cash: str, explains: bool
) -> None:
    """A short of 0.1 whose entry is 1,000 higher is worth 100 more, and cash is that much less."""
    made = mirror(binance__Margin__USDT=1_000.0)
    made.fill(fill("BTC-PERP", "-0.1", "40000"), None)
    there = state({"linear USDT": cash}, holding("BTC-PERP", "-0.1", their_entry))
    settlement = made.turned(there, made.differences(shown_by(account_terms(), there)))
    assert (settlement is not None) is explains
    if settlement is None:
        return
    assert sum(delta.delta_amount for delta in settlement.deltas if delta.position_key == PERP) == 0.0
    assert made.entries[PERP] == 41_000.0
    assert made.differences(shown_by(account_terms(), there)) == {}


def test_a_difference_in_more_than_one_thing_is_no_matter_of_order() -> None:
    made = mirror(binance__Margin__USDT=1_000.0, binance__BaseToken__USDT=1.0)
    made.fill(fill("BTC-PERP", "-0.1", "40000"), None)
    there = state({"linear USDT": "900"}, holding("BTC-PERP", "-0.1", "41000"))
    assert made.turned(there, made.differences(shown_by(account_terms(), there))) is None
