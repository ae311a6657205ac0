"""Keys name positions, and the ledger is the sum of its settlements with average-cost entries."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.errors import BasisError
from basis_actors.finance.keys import parse_key
from basis_actors.finance.ledger import book_settlement
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement

NOW = datetime(2024, 1, 1, tzinfo=UTC)
PERP = "binance:PerpPosition:BTC-PERP"
CASH = "binance:Margin:USDT"


def settlement(*deltas: PositionDelta, source: DeltaSource = DeltaSource.EXECUTION) -> Settlement:
    return Settlement(source, NOW, "binance", 0, deltas, "op")


def test_gas_that_is_less_than_dust_of_a_huge_balance_is_still_paid_out_of_what_is_left() -> None:
    """What is left of 1e12 ETH is 1e-15 of it, and no rounding: forgotten, the gas after it made a debt."""
    wallet, gas = "wallet:BaseToken:ETH", 0.001953125
    held, _ = book_settlement(settlement(PositionDelta(wallet, -(1e12 - gas))), {wallet: 1e12}, {})
    assert held == {wallet: gas}
    paid, _ = book_settlement(settlement(PositionDelta(wallet, -gas), source=DeltaSource.GAS), held, {})
    assert paid == {}
    rounded, _ = book_settlement(settlement(PositionDelta(wallet, -(1e12 - 2.0**-13))), {wallet: 1e12}, {})
    assert rounded == {}, "one unit in the last place is rounding"


@pytest.mark.parametrize(
    ("key", "asset", "lst", "perp", "reserve", "sign"),
    [
        ("wallet:BaseToken:USDT", "USDT", None, None, None, 1.0),
        ("aave:aToken:aWETH", "ETH", None, None, "WETH", 1.0),
        ("aave:aToken:aweETH", "ETH", "weETH", None, "weETH", 1.0),
        ("aave:debtToken:debtWETH", "ETH", None, None, "WETH", -1.0),
        ("lido:LST:wstETH", "ETH", "wstETH", None, None, 1.0),
        ("binance:PerpPosition:BTC-PERP", "BTC", None, "binance:BTC-PERP", None, 1.0),
        ("gas:Payable:USDT", "USDT", None, None, None, 1.0),
        ("transit:BaseToken:BTC", "BTC", None, None, None, 1.0),
        ("morpho:aToken:awstETH", "ETH", "wstETH", None, "morpho:wstETH", 1.0),
        ("morpho:debtToken:debtWETH", "ETH", None, None, "morpho:WETH", -1.0),
        ("morpho:flashDebt:WETH", "ETH", None, None, None, -1.0),
        ("etherfi:UnstakeClaim:ETH", "ETH", None, None, None, 1.0),
        ("binance:InversePerp:BTCUSD-PERP", "BTC", None, "binance:BTCUSD-PERP", None, 1.0),
        ("wallet:BaseToken:EIGEN", "EIGEN", None, None, None, 1.0),
    ],
)
def test_a_key_says_what_it_carries(
    key: str, asset: str, lst: str | None, perp: str | None, reserve: str | None, sign: float
) -> None:
    info = parse_key(key)
    assert (info.asset, info.lst, info.perp, info.reserve, info.sign) == (asset, lst, perp, reserve, sign)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "wallet",
        "wallet:BaseToken",
        "wallet:Nothing:USDT",
        "aave:aToken:USDT",
        "a:b:c:d",
        "binance:InversePerp:BTC-PERP",
        "binance:InversePerp:USD-PERP",
        "binance:PerpPosition:BTC",
        "binance:PerpPosition:-PERP",
    ],
)
def test_what_names_no_position_is_refused(key: str) -> None:
    with pytest.raises(BasisError, match="POS-002"):
        parse_key(key)


def test_a_contract_says_what_it_is_paid_in() -> None:
    linear, inverse = parse_key(PERP), parse_key("binance:InversePerp:BTCUSD-PERP")
    assert (linear.paid_in, linear.inverse, linear.signed) == ("USDT", False, True)
    assert (inverse.paid_in, inverse.inverse, inverse.signed) == ("BTC", True, True)
    assert parse_key("wallet:BaseToken:ETH").contract is None


def test_an_inverse_entry_is_the_mean_of_what_a_usd_bought() -> None:
    """10,000 USD at 40,000 and 30,000 at 60,000 hold 0.75 coins: 40,000 / 0.75."""
    key = "binance:InversePerp:BTCUSD-PERP"
    held, entries = book_settlement(settlement(PositionDelta(key, 10_000.0, 40_000.0)), {}, {})
    held, entries = book_settlement(settlement(PositionDelta(key, 30_000.0, 60_000.0)), held, entries)
    assert held == {key: 40_000.0}
    assert entries[key] == pytest.approx(40_000.0 / 0.75)
    held, entries = book_settlement(settlement(PositionDelta(key, -40_000.0, 50_000.0)), held, entries)
    assert (held, entries) == ({}, {})


def test_a_flash_loan_cannot_be_repaid_beyond_what_was_borrowed() -> None:
    key = "morpho:flashDebt:WETH"
    with pytest.raises(BasisError, match="POS-004"):
        book_settlement(settlement(PositionDelta(key, -10.5)), {key: 10.0}, {})


def test_an_order_that_takes_more_than_there_is_is_refused_and_changes_nothing() -> None:
    held = {"wallet:BaseToken:USDT": 10.0}
    taken = PositionDelta("wallet:BaseToken:USDT", -10.5)
    with pytest.raises(BasisError, match=r"POS-004: .* takes 10\.5 .* holds 10: -0\.5 is left"):
        book_settlement(settlement(taken), held, {})
    assert held == {"wallet:BaseToken:USDT": 10.0}


def test_funding_may_overdraw_a_margin_account() -> None:
    paid = settlement(PositionDelta(CASH, -3.0), source=DeltaSource.FUNDING)
    booked, _ = book_settlement(paid, {CASH: 1.0}, {})
    assert booked == {CASH: -2.0}


def test_an_overdrawn_margin_account_can_be_topped_up_by_less_than_it_owes_and_nothing_can_be_taken_from_it() -> None:
    def moved(amount: float) -> Settlement:
        legs = PositionDelta("binance:BaseToken:USDT", -amount), PositionDelta(CASH, amount)
        return settlement(*legs, source=DeltaSource.TRANSFER)

    held = {CASH: -2.0, "binance:BaseToken:USDT": 5.0}
    booked, _ = book_settlement(moved(1.5), held, {})
    assert booked == {CASH: -0.5, "binance:BaseToken:USDT": 3.5}
    with pytest.raises(BasisError, match="POS-004"):
        book_settlement(moved(-0.5), held, {})


def test_a_perp_delta_without_a_price_is_refused() -> None:
    with pytest.raises(BasisError, match=r"POS-001: .* without a fill price"):
        book_settlement(settlement(PositionDelta(PERP, 1.0)), {}, {})


def test_a_closed_perp_has_no_entry_left() -> None:
    opened, entries = book_settlement(settlement(PositionDelta(PERP, -0.3, 50_000.0)), {}, {})
    closed, entries = book_settlement(settlement(PositionDelta(PERP, 0.1 + 0.2, 49_000.0)), opened, entries)
    assert closed == {}
    assert entries == {}


fills = st.lists(
    st.tuples(st.integers(-50, 50).filter(bool), st.integers(100, 1000)),
    min_size=1,
    max_size=12,
)


@given(fills)
def test_entries_are_average_cost_in_exact_arithmetic(trades: list[tuple[int, int]]) -> None:
    positions: dict[str, float] = {}
    entries: dict[str, float] = {}
    size, entry = Fraction(0), Fraction(0)
    for lots, price in trades:
        quantity = Fraction(lots, 8)  # exact in binary, so that a position closes to zero
        positions, entries = book_settlement(
            settlement(PositionDelta(PERP, float(quantity), float(price))), positions, entries
        )
        after = size + quantity
        if size == 0 or size * after < 0:
            entry = Fraction(price)
        elif abs(after) > abs(size):
            entry = (size * entry + quantity * price) / after
        size = after
        assert positions.get(PERP, 0.0) == float(size)
        if size:
            assert entries[PERP] == pytest.approx(float(entry), rel=1e-12)
        else:
            assert PERP not in entries


@given(st.lists(st.integers(1, 3_000_000_000), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_transfers_of_one_token_that_have_all_arrived_leave_nothing_under_way(cents: list[int], chances: Any) -> None:
    key, amounts = "transit:BaseToken:USDT", [cent / 100 for cent in cents]
    held: dict[str, float] = {}
    for amount in amounts:
        held, _ = book_settlement(settlement(PositionDelta(key, amount), source=DeltaSource.TRANSFER), held, {})
    arrivals = amounts.copy()
    chances.shuffle(arrivals)
    for amount in arrivals:
        held, _ = book_settlement(settlement(PositionDelta(key, -amount), source=DeltaSource.TRANSFER), held, {})
    assert held == {}
