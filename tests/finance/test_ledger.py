"""Keys name positions, and the ledger is the sum of its settlements with average-cost entries."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

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
    ],
)
def test_a_key_says_what_it_carries(
    key: str, asset: str, lst: str | None, perp: str | None, reserve: str | None, sign: float
) -> None:
    info = parse_key(key)
    assert (info.asset, info.lst, info.perp, info.reserve, info.sign) == (asset, lst, perp, reserve, sign)


@pytest.mark.parametrize(
    "key", ["", "wallet", "wallet:BaseToken", "wallet:Nothing:USDT", "aave:aToken:USDT", "a:b:c:d"]
)
def test_what_names_no_position_is_refused(key: str) -> None:
    with pytest.raises(BasisError, match="POS-002"):
        parse_key(key)


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


def test_a_perp_delta_without_a_price_is_refused() -> None:
    with pytest.raises(BasisError, match=r"POS-001: .* without a fill price"):
        book_settlement(settlement(PositionDelta(PERP, 1.0)), {}, {})


def test_a_closed_perp_has_no_entry_left() -> None:
    opened, entries = book_settlement(settlement(PositionDelta(PERP, -0.3, 50_000.0)), {}, {})
    closed, entries = book_settlement(settlement(PositionDelta(PERP, 0.1 + 0.2, 49_000.0)), opened, entries)
    assert closed == {PERP: 0.0}
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
        assert positions[PERP] == float(size)
        if size:
            assert entries[PERP] == pytest.approx(float(entry), rel=1e-12)
        else:
            assert PERP not in entries
