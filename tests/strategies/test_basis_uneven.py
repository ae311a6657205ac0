"""Cash that lies unevenly and cannot be sent: the position is sized by what lies where, and the rest is said."""

from __future__ import annotations

import pytest
from tests.strategies.hedged_books import CASH, SHORT, SPOT, SPOT_CASH, P, hedged, net_delta
from tests.strategies.situations import after, operations, run_of

from basis_actors.messages.orders import OperationType
from basis_actors.strategies.base import Decision
from basis_actors.strategies.basis import Basis

EVEN = {SPOT_CASH: 66_000.0, CASH["binance"]: 14_000.0, CASH["bybit"]: 10_000.0, CASH["okx"]: 10_000.0}
NOWHERE: frozenset[tuple[str, str]] = frozenset()


def decided(book: dict[str, float], routes: frozenset[tuple[str, str]] | None, *, closing: bool = False) -> Decision:
    strategy = Basis(run_of("eth_basis", "strategy_config.always_in=true"))
    if routes is not None:
        strategy.restrict_transfers(routes)
    return strategy.close_all(hedged(book)) if closing else strategy.decide(hedged(book))


def sent(decision: Decision) -> list[tuple[str | None, str | None]]:
    transfers = [order for order in decision.orders if order.operation is OperationType.TRANSFER]
    return [(order.source_venue, order.target_venue) for order in transfers]


def uneven(**cash: float) -> dict[str, float]:
    return {**EVEN, **{CASH.get(name, SPOT_CASH): amount for name, amount in cash.items()}}


@pytest.mark.parametrize(
    "cash",
    [
        {"bybit": 1_000.0, "okx": 1_000.0},
        {"bybit": 0.0, "okx": 0.0},
        {"bybit": 90_000.0, "okx": 5.0},
        {"spot": 5_000.0, "binance": 0.0, "bybit": 60_000.0},
        {"spot": 0.0, "binance": 20_000.0, "bybit": 40_000.0},
    ],
)
def test_a_position_is_opened_that_each_side_carries_and_is_hedged(cash: dict[str, float]) -> None:
    book = uneven(**cash)
    decision = decided(book, NOWHERE)
    if decision.action == "transfer":
        book = after(book, decision.orders)
        assert set(sent(decision)) == {("binance", "binance")}
        decision = decided(book, NOWHERE)
    assert (decision.action, set(operations(decision.orders)) - {"transfer"}) == (
        "entry_full",
        {"perp_trade", "spot_trade"},
    )
    assert set(sent(decision)) <= {("binance", "binance")}, "within an exchange money can always be moved"
    (told,) = decision.constraints
    assert told.startswith("EXEC-004: ")
    assert told.endswith(" would have to be moved by hand: no withdrawal address leads there")
    left = after(book, decision.orders)
    assert net_delta(left) == pytest.approx(0.0, abs=0.05), "a lot of each leg"
    assert all(amount >= 0.0 for key, amount in left.items() if key in EVEN), left


def test_where_too_little_lies_to_open_anything_it_says_what_it_waits_for() -> None:
    decision = decided(uneven(spot=0.0, binance=0.0, bybit=50_000.0, okx=0.0), NOWHERE)
    assert (decision.decision_type, decision.orders) == ("hold", ())
    assert decision.reasoning == "what lies at each exchange is too little to open the smallest position"
    assert "USDT from bybit to binance" in decision.constraints[0]
    assert "USDT from bybit to okx" in decision.constraints[0]


def test_what_can_be_sent_is_sent_first() -> None:
    book = uneven(bybit=0.0, okx=0.0)
    assert set(sent(decided(book, None))) == {("binance", "bybit"), ("binance", "okx")}
    assert decided(book, None).constraints == ()
    some = decided(book, frozenset({("binance", "okx")}))
    assert (some.action, set(sent(some))) == ("transfer", {("binance", "okx")})
    assert "from binance to bybit would" in some.constraints[0]
    assert "okx" not in some.constraints[0]


def test_cash_that_lies_idle_beside_a_position_and_cannot_be_shared_out_is_left_and_said() -> None:
    book = {SPOT: 10.0, SHORT["binance"]: -10.0, SPOT_CASH: 50_000.0, CASH["binance"]: 5.0 * P}
    assert {("binance", "bybit"), ("binance", "okx")} <= set(sent(decided(book, None)))
    decision = decided(book, NOWHERE)
    assert (decision.decision_type, decision.orders) == ("hold", ())
    assert decision.reasoning == "50000.00 USDT lies idle"
    assert "USDT from binance to bybit" in decision.constraints[0]


def test_margin_that_no_cash_can_be_sent_to_is_restored_by_shrinking() -> None:
    book = {SPOT: 20.0, SPOT_CASH: 30_000.0, SHORT["bybit"]: -20.0, CASH["bybit"]: 0.35 * 20.0 * P}
    sending, staying = decided(book, None), decided(book, NOWHERE)
    assert (sent(sending), operations(sending.orders)) == ([("binance", "bybit")], ["transfer"])
    assert sorted(operations(staying.orders)) == ["perp_trade", "spot_trade"]
    left = after(book, staying.orders)
    assert net_delta(left) == pytest.approx(0.0, abs=0.05)
    ratio = left[CASH["bybit"]] / (-left[SHORT["bybit"]] * P)
    assert ratio == pytest.approx(0.5, rel=0.01), "the target at twofold leverage"
