"""What counts as reducing is what an order does to the ledger, not what it says of itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.actors.desk import buy, flash, short, supply, transfer

from basis_actors.actors.risk_reduction import all_reduce, reduces, which_reduce
from basis_actors.messages.orders import OperationType, Order, Side
from basis_actors.strategies.expected import swap_deltas

SHORT, LONG = "bybit:PerpPosition:BTC-PERP", "bybit:PerpPosition:BTC-PERP"
DEBT = {"aave:debtToken:debtWETH": 1.0}


def cover(amount: float, side: Side = Side.LONG) -> Order:
    return replace(short("cover", amount, side=side), reduce_only=True)


def swap(source: str, target: str) -> Order:
    return replace(
        supply("swap"),
        operation=OperationType.SWAP,
        source_token=source,
        target_token=target,
        expected_deltas=swap_deltas("uniswap_v3", f"wallet:BaseToken:{source}", f"wallet:BaseToken:{target}", 1.0, 1.0),
    )


@pytest.mark.parametrize(
    ("order", "held", "expected"),
    [
        (buy("sell", side=Side.SELL), {}, True),
        (buy("buy"), {}, False),
        (short("open"), {}, False),
        (cover(1.0), {SHORT: -1.0}, True),
        (cover(0.4), {SHORT: -1.0}, True),
        (cover(1.0 + 1e-12), {SHORT: -1.0}, True),
        (cover(1.001), {SHORT: -1.0}, False),
        (cover(1.0), {}, False),
        (cover(1.0), {SHORT: 1.0}, False),
        (cover(1.0, Side.SHORT), {LONG: 1.0}, True),
        (cover(1.0, Side.SHORT), {LONG: -1.0}, False),
        (cover(1.0, Side.SHORT), {}, False),
        (supply("collateral"), DEBT, True),
        (supply("collateral"), {"morpho:debtToken:debtWETH": 1.0}, False),
        (supply("investment"), {}, False),
        (flash("loan"), {}, True),
        (flash("loan", repay=True), {}, True),
        (replace(supply("loan"), operation=OperationType.BORROW), DEBT, False),
        (replace(supply("stake"), operation=OperationType.STAKE), {}, False),
        (replace(supply("unstake"), operation=OperationType.UNSTAKE), {}, True),
        (replace(supply("repay"), operation=OperationType.REPAY), {}, True),
        (replace(supply("withdraw"), operation=OperationType.WITHDRAW), {}, True),
        (transfer("top up"), {}, True),
        (swap("weETH", "WETH"), {}, True),
        (swap("EIGEN", "WETH"), {}, True),
        (swap("WETH", "USDT"), {}, True),
        (swap("WETH", "weETH"), {}, False),
        (swap("USDT", "WETH"), {}, False),
        (swap("weETH", "wstETH"), {}, False),
    ],
)
def test_what_counts_as_reducing(order: Order, held: dict[str, float], expected: bool) -> None:
    assert reduces(order, held) is expected


def test_each_order_is_looked_at_on_what_those_before_it_leave() -> None:
    held = {SHORT: -1.0}
    assert which_reduce([cover(0.6), cover(0.6)], held) == (True, False)
    assert all_reduce([cover(0.6), cover(0.4)], held)
    assert not all_reduce([buy("sell", side=Side.SELL), buy("buy")], held)
