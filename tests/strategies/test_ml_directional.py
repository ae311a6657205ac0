"""The directional strategy on hand-made books: when it opens, with what around it, when it closes and how it pays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_actors.config import load_mode
from basis_actors.errors import BasisError, ConfigError
from basis_actors.messages.book import (
    BookView,
    ExposureView,
    PositionsView,
    RiskLevel,
    RiskView,
    TickStarted,
    Trigger,
    Valuation,
)
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import GasQuote, MarketState, PerpQuote
from basis_actors.messages.orders import ExecutionMode, OperationType, Order, Side
from basis_actors.messages.signals import Signal, SignalReceived
from basis_actors.messages.stops import BracketRecalled, StopKind
from basis_actors.strategies.base import Decision, Situation
from basis_actors.strategies.ml_directional import MlDirectional
from basis_actors.times import utc_from_ns

HOUR = 3600 * 10**9
START = 1_704_067_200 * 10**9
PRICE = 40_000.0
USDT, BTC = "ml_btc_directional_usdt_margin", "ml_btc_directional_btc_margin"
ENDPOINT = "poll_seconds: 60, timeout_seconds: 5, retries: 0, retry_seconds: 1, staleness_seconds: 3599}"
HTTP = (
    "strategy_config.signal.source=http",
    f"strategy_config.signal.http={{url: 'http://localhost/', {ENDPOINT}",
)
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Desk:
    """A strategy, and the ledger it is shown. Perps are `size` at `entry`, money in the wallet and on the exchange."""

    def __init__(self, mode: str = USDT, *settings: str, **overlay: Path) -> None:
        self.run = load_mode(mode, settings=(*HTTP, *settings), overlays=tuple(overlay.values()))
        self.strategy = MlDirectional(self.run)
        self.inverse = mode == BTC
        self.currency = "BTC" if self.inverse else "USDT"
        self.perp = "binance:BTCUSD-PERP" if self.inverse else "binance:BTC-PERP"
        self.key = "binance:InversePerp:BTCUSD-PERP" if self.inverse else "binance:PerpPosition:BTC-PERP"
        self.positions: dict[str, float] = {self.margin: 2.0 if self.inverse else 100_000.0}
        self.entry = PRICE

    @property
    def margin(self) -> str:
        return f"binance:Margin:{self.currency}"

    @property
    def wallet(self) -> str:
        return f"wallet:BaseToken:{self.currency}"

    def hold(self, size: float, entry: float = PRICE) -> None:
        """Have a position."""
        self.positions[self.key] = size
        self.entry = entry

    def situation(self, hour: int, price: float, **changes: Any) -> Situation:
        fresh, missed = changes.get("fresh", True), changes.get("missed", 0)
        quote = PerpQuote(price, fresh, changes.get("mark", price), fresh, price, price)
        market = MarketState(
            timestamp=utc_from_ns(START + hour * HOUR),
            ns=START + hour * HOUR,
            prices={"USDT": 1.0, "BTC": price, "ETH": 2_000.0},
            stale_prices=(),
            spot={},
            perps={self.perp: quote},
            funding=(),
            funding_missed={self.perp: missed},
            reserves={},
            staking={},
            oracle_usd={},
            gas=GasQuote(10.0, 0.0, True),
        )
        size = self.positions.get(self.key, 0.0)
        cash = sum(amount for key, amount in self.positions.items() if key != self.key)
        profit = size * (1 / self.entry - 1 / price) if self.inverse else size * (price - self.entry)
        equity = cash + profit
        notional = abs(size) / price if self.inverse else abs(size) * price
        ratio = {"binance": (self.positions.get(self.margin, 0.0) + profit) / notional} if size else {}
        view = PositionsView(
            TickStarted(hour, market), Trigger.TICK, self.positions, {self.key: self.entry} if size else {},
            changes.get("settlements", ()), market.prices, Valuation({}, {}, equity, 0.0, ()),
        )  # fmt: skip
        risk = RiskView(ExposureView(view, 0.0), RiskLevel.LOW, ratio, dict.fromkeys(ratio, 0.004), None, None, ())
        return Situation(
            BookView(risk, equity, 0.0, 0.0), changes.get("wanted", 0.0), 0.0, changes.get("carried_out", True)
        )

    def say(self, hour: int, rise: float, confidence: float = 0.9, sd: float = 0.02) -> None:
        """Have the endpoint send a signal."""
        self.strategy.receive(SignalReceived(Signal(START + hour * HOUR, rise, confidence, sd)))

    def decide(self, hour: int, rise: float | None = None, price: float = PRICE, **changes: Any) -> Decision:
        if rise is not None:
            self.say(hour, rise, changes.get("confidence", 0.9), changes.get("sd", 0.02))
        return self.strategy.decide(self.situation(hour, price, **changes))


def only(decision: Decision) -> Order:
    (order,) = decision.orders
    return order


@pytest.mark.parametrize(
    ("rise", "confidence", "action"),
    [
        (0.65, 0.8, "entry_full"),
        (0.35, 0.8, "entry_full"),
        (0.649999, 0.9, "none"),
        (0.350001, 0.9, "none"),
        (0.99, 0.799999, "none"),
        (0.5, 1.0, "none"),
    ],
)
def test_an_entry_needs_probability_and_confidence_at_their_thresholds(
    rise: float, confidence: float, action: str
) -> None:
    decision = Desk().decide(0, rise, confidence=confidence)
    assert decision.action == action
    if action == "none":
        assert "0.65 and 0.8 are needed" in decision.reasoning
    else:
        assert only(decision).side is (Side.LONG if rise > 0.5 else Side.SHORT)


@pytest.mark.parametrize("mode", [USDT, BTC])
@pytest.mark.parametrize("rise", [0.9, 0.1])
def test_an_entry_is_as_large_as_the_equity_in_whole_lots_with_target_and_stop_two_deviations_away(
    mode: str, rise: float
) -> None:
    order = only(Desk(mode).decide(0, rise, price=41_234.5))
    direction = 1 if rise > 0.5 else -1
    amount = 82_400.0 if mode == BTC else 2.425
    assert amount in (100 * (2.0 * 41_234.5 // 100), round(100_000.0 / 41_234.5 // 0.001 * 0.001, 3))
    fill = 41_234.5 * (1 + direction * 4e-4)
    assert order.amount == amount
    assert order.price == pytest.approx(fill, rel=1e-12)
    assert order.take_profit == pytest.approx(fill * (1 + direction * 0.04), rel=1e-12)
    assert order.stop_loss == pytest.approx(fill * (1 - direction * 0.04), rel=1e-12)
    assert not order.reduce_only
    (delta,) = order.expected_deltas
    assert delta.delta_amount == direction * amount


@settings(max_examples=40, deadline=None)
@given(sd=st.floats(min_value=1e-6, max_value=5.0), rise=st.sampled_from([0.9, 0.1]))
def test_target_and_stop_are_as_far_as_the_clipped_deviation_says(sd: float, rise: float) -> None:
    order = only(Desk().decide(0, rise, sd=sd))
    assert order.price is not None
    assert order.take_profit is not None
    assert order.stop_loss is not None
    distance = 2 * min(max(sd, 0.001), 0.1)
    assert abs(order.take_profit / order.price - 1) == pytest.approx(distance, rel=1e-9)
    assert abs(order.stop_loss / order.price - 1) == pytest.approx(distance, rel=1e-9)


def test_nothing_is_opened_where_the_mark_has_passed_the_stop_already() -> None:
    decision = Desk().decide(0, 0.9, sd=0.001, mark=PRICE * 0.997)
    assert decision.orders == ()
    assert "beyond the target or the stop already" in decision.reasoning


def test_a_signal_in_the_held_direction_holds_and_at_the_end_of_the_candle_begins_another() -> None:
    desk = Desk()
    desk.decide(0, 0.9)
    desk.hold(2.5)
    for hour in range(1, 49):
        decision = desk.decide(hour, 0.8 if hour in (24, 48) else 0.5)
        assert decision.orders == (), hour
    assert desk.decide(71, 0.5).orders == ()
    close = desk.decide(72, 0.5)
    assert (close.action, only(close).reduce_only, only(close).amount) == ("exit_full", True, 2.5)
    assert close.reasoning.startswith("the horizon has ended")


def test_a_position_is_held_to_the_end_of_its_horizon_without_any_signal() -> None:
    desk = Desk()
    desk.decide(0, 0.1)
    desk.hold(-2.5)
    assert desk.decide(23).reasoning.startswith("the position is held, no signal")
    close = only(desk.decide(24))
    assert (close.side, close.amount, close.reduce_only) == (Side.LONG, 2.5, True)


@pytest.mark.parametrize("mode", [USDT, BTC])
def test_an_opposite_signal_closes_and_then_opens_in_one_sequence(mode: str) -> None:
    desk = Desk(mode)
    size = 80_000.0 if mode == BTC else 2.5
    desk.decide(0, 0.9)
    desk.hold(size)
    decision = desk.decide(5, 0.1)
    first, second = decision.orders
    assert decision.action == "entry_full"
    assert (first.side, first.amount, first.reduce_only) == (Side.SHORT, size, True)
    assert (second.side, second.reduce_only) == (Side.SHORT, False)
    assert second.amount < size, "after the cost of the close a lot less is carried"
    assert [order.sequence_in_group for order in decision.orders] == [0, 1]
    assert {order.execution_mode for order in decision.orders} == {ExecutionMode.SEQUENTIAL}
    assert len(first.expected_deltas) == 2, "the close realises"
    assert len(second.expected_deltas) == 1, "the opening does not"
    desk.hold(-second.amount)
    assert desk.decide(28, 0.5).orders == (), "the candle began with the flip"
    assert desk.decide(29, 0.5).action == "exit_full"


@pytest.mark.parametrize("reason", ["carried_out", "missed", "wanted"])
def test_an_opposite_signal_only_closes_where_new_risk_may_not_be_taken(reason: str) -> None:
    desk = Desk()
    desk.decide(0, 0.9)
    desk.hold(2.5)
    changes: dict[str, Any] = {"carried_out": False, "missed": 3, "wanted": 10.0}
    decision = desk.decide(5, 0.1, **{reason: changes[reason]})
    assert (decision.action, only(decision).reduce_only) == ("exit_full", True)


def bracket(entry: Order, kind: str) -> Settlement:
    """What the exchange books when it has closed the position of `entry`."""
    delta = PositionDelta("binance:PerpPosition:BTC-PERP", -entry.amount, 38_400.0)
    return Settlement(DeltaSource.EXECUTION, utc_from_ns(START), "binance", 7, (delta,), f"{entry.operation_id}-{kind}")


@pytest.mark.parametrize(
    "name", ["", "-passed", "-passed-of-1-2"], ids=["fired", "passed", "closed by another process"]
)
@pytest.mark.parametrize("kind", ["stop_loss", "take_profit"])
@pytest.mark.parametrize("seen", [True, False], ids=["after some ticks", "on the first bar"])
def test_after_a_stop_nothing_is_opened_until_the_candle_has_ended(kind: str, seen: bool, name: str) -> None:
    desk = Desk()
    entry = only(desk.decide(0, 0.9))
    if seen:
        desk.hold(2.5)
        desk.decide(1, 0.9)
        desk.positions.pop(desk.key)
    decision = desk.decide(2, 0.9, settlements=(bracket(entry, f"{kind}{name}"),))
    assert decision.orders == ()
    assert decision.reasoning == f"closed by its {kind}: nothing is opened before the candle has ended"
    assert desk.decide(23, 0.1).orders == (), "whatever the direction"
    assert desk.decide(24, 0.9).action == "entry_full"


def test_a_stop_that_closes_between_two_decisions_counts_as_well() -> None:
    desk = Desk()
    entry = only(desk.decide(0, 0.9))
    desk.strategy.see((bracket(entry, "stop_loss"),))
    assert "closed by its stop_loss" in desk.decide(1, 0.9).reasoning
    assert desk.decide(24, 0.9).action == "entry_full"


@pytest.mark.parametrize("name", ["unprotected", "signal", "1-stop_loss", "0-stop_loss"])
def test_what_closes_a_position_otherwise_blocks_nothing(name: str) -> None:
    desk = Desk()
    entry = only(desk.decide(0, 0.9))
    desk.hold(2.5)
    desk.decide(1, 0.9)
    desk.positions.pop(desk.key)
    assert desk.decide(2, 0.9, settlements=(bracket(entry, name),)).action == "entry_full"


def recalled(desk: Desk, closed_by: StopKind | None, *, key: str | None = None) -> None:
    """The process before had opened a long 20 s into the second tick, hour 1."""
    opened = START + HOUR + 20 * 10**9
    desk.strategy.recall(BracketRecalled(key or desk.key, "before-1", 1, opened, closed_by))


@pytest.mark.parametrize("kind", StopKind)
def test_what_a_stop_has_closed_while_nobody_was_there_blocks_its_candle(kind: StopKind) -> None:
    desk = Desk()
    recalled(desk, kind)
    decision = desk.decide(3, 0.9)
    assert decision.orders == ()
    assert decision.reasoning == f"closed by its {kind}: nothing is opened before the candle has ended"
    assert desk.decide(24, 0.1).orders == (), "whatever the direction"
    assert desk.decide(25, 0.9).action == "entry_full", "one horizon after the tick that it was opened at"


def test_the_candle_of_a_position_goes_on_in_the_next_process() -> None:
    desk = Desk()
    recalled(desk, None)
    desk.hold(2.5)
    for hour in range(3, 25):
        assert desk.decide(hour, 0.5).orders == (), hour
    assert desk.decide(25, 0.5).action == "exit_full"
    unknown = Desk()
    unknown.hold(2.5)
    assert unknown.decide(3, 0.5).action == "exit_full", "of a position that nobody recalls the candle is over"


def test_a_stop_that_fires_in_the_next_process_blocks_the_candle_it_was_opened_in() -> None:
    desk = Desk()
    recalled(desk, None)
    desk.hold(2.5)
    desk.decide(3, 0.9)
    desk.positions.pop(desk.key)
    delta = PositionDelta(desk.key, -2.5, 38_400.0)
    fired = Settlement(DeltaSource.EXECUTION, utc_from_ns(START), "binance", 7, (delta,), "before-1-stop_loss")
    assert "closed by its stop_loss" in desk.decide(4, 0.9, settlements=(fired,)).reasoning
    assert desk.decide(25, 0.9).action == "entry_full"


def test_what_was_closed_in_another_market_is_nothing_to_it() -> None:
    desk = Desk()
    recalled(desk, StopKind.STOP_LOSS, key="binance:PerpPosition:ETH-PERP")
    assert desk.decide(3, 0.9).action == "entry_full"


def test_an_entry_that_was_not_carried_out_is_tried_again() -> None:
    desk = Desk()
    assert desk.decide(0, 0.9).action == "entry_full"
    assert desk.decide(1, 0.9, carried_out=False).action == "entry_full"


def test_a_liquidation_ends_the_candle_as_a_stop_does() -> None:
    desk = Desk()
    desk.decide(0, 0.9)
    desk.hold(2.5)
    desk.decide(1, 0.9)
    desk.positions.pop(desk.key)
    gone = Settlement(DeltaSource.LIQUIDATION, utc_from_ns(START), "binance", 7, (PositionDelta(desk.key, -2.5, 1.0),))
    assert "closed by its liquidation" in desk.decide(2, 0.9, settlements=(gone,)).reasoning


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"fresh": False}, "may not take new risk"),
        ({"missed": 3}, "may not take new risk"),
        ({"rise": None}, "no signal: the endpoint has not answered yet"),
    ],
)
def test_without_fresh_prices_funding_or_a_signal_nothing_is_opened(changes: dict[str, Any], word: str) -> None:
    decision = Desk().decide(0, **{"rise": 0.9, **changes})
    assert decision.orders == ()
    assert word in decision.reasoning


def test_capital_is_sent_to_the_margin_account_after_what_gas_is_owed() -> None:
    desk = Desk()
    desk.positions = {desk.wallet: 50_000.0, "gas:Payable:USDT": -3.0}
    gas, moved = desk.decide(0, 0.9).orders
    assert (gas.strategy_intent, gas.amount) == ("settle_gas", 3.0)
    assert moved.operation_details == {"source_key": desk.wallet, "target_key": desk.margin}
    assert moved.amount == 49_997.0
    desk.positions = {"transit:BaseToken:USDT": 49_997.0}
    assert desk.decide(1, 0.9).reasoning == "waiting for a transfer to arrive"


def arrival(desk: Desk, amount: float) -> Settlement:
    """What the exchange books when money of the wallet has come; the ledger has it."""
    desk.positions[desk.margin] += amount
    deltas = (PositionDelta(f"transit:BaseToken:{desk.currency}", -amount), PositionDelta(desk.margin, amount))
    return Settlement(DeltaSource.TRANSFER, utc_from_ns(START), "binance", 8, deltas, "sent")


@pytest.mark.parametrize("mode", [USDT, BTC])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_deposit_adds_to_the_position_in_proportion_once_it_has_arrived(mode: str, direction: int) -> None:
    desk = Desk(mode)
    unit, size = (2.0, 80_000.0) if mode == BTC else (100_000.0, 2.5)
    desk.decide(0, 0.9 if direction > 0 else 0.1)
    desk.hold(direction * size)
    assert desk.decide(1, 0.5).orders == ()
    decision = desk.decide(2, 0.5, settlements=(arrival(desk, 0.4 * unit),))
    order = only(decision)
    assert (decision.decision_type, decision.action) == ("rebalance", "entry_partial")
    assert order.side is (Side.LONG if direction > 0 else Side.SHORT)
    assert (order.amount, order.reduce_only) == (pytest.approx(0.4 * size, rel=1e-12), False)
    assert (order.take_profit, order.stop_loss) == (None, None), "those of the entry stay"
    assert len(order.expected_deltas) == 1
    assert desk.decide(3, 0.5, carried_out=False).orders[0].amount == order.amount, "until it is carried out"
    desk.hold(direction * 1.4 * size)
    assert desk.decide(4, 0.5).orders == (), "once"
    assert desk.decide(23, 0.5).orders == ()
    assert desk.decide(24, 0.5).action == "exit_full", "the candle is still that of the entry"


def test_profit_adds_nothing_and_a_deposit_no_more_than_the_margin_carries() -> None:
    desk = Desk()
    desk.decide(0, 0.1)
    desk.hold(-2.5)
    assert desk.decide(1, 0.5, price=36_000.0).orders == (), "the margin would carry more than is held"
    arrived = arrival(desk, 50_000.0)
    order = only(desk.decide(2, 0.5, price=44_000.0, settlements=(arrived,)))
    # 140,000 of margin carry 3.1818 BTC, in proportion to 50,000 on 90,000 it would be 3.8889.
    assert order.amount == pytest.approx(0.681, rel=1e-12)


@pytest.mark.parametrize("changes", [{"wanted": 10.0}, {"missed": 3}, {"fresh": False}])
def test_a_deposit_waits_where_new_risk_may_not_be_taken(changes: dict[str, Any]) -> None:
    desk = Desk()
    desk.decide(0, 0.9)
    desk.hold(2.5)
    desk.decide(1, 0.5)
    waiting = desk.decide(2, 0.5, settlements=(arrival(desk, 40_000.0),), **changes)
    assert all(order.reduce_only or order.operation is OperationType.TRANSFER for order in waiting.orders)
    added = only(desk.decide(3, 0.5))
    assert added.amount == pytest.approx(0.999 if "wanted" in changes else 1.0, abs=1.1e-3)


def test_a_deposit_too_small_for_an_order_waits_for_the_next_one() -> None:
    desk = Desk()
    desk.decide(0, 0.9)
    desk.hold(2.5)
    desk.decide(1, 0.5)
    assert desk.decide(2, 0.5, settlements=(arrival(desk, 30.0),)).orders == ()
    assert only(desk.decide(3, 0.5, settlements=(arrival(desk, 30.0),))).amount == 0.001


def test_what_arrived_before_a_flip_is_in_the_position_that_it_opened() -> None:
    desk = Desk()
    desk.decide(0, 0.9)
    desk.hold(2.5)
    desk.decide(1, 0.5)
    flipped = desk.decide(2, 0.1, settlements=(arrival(desk, 40_000.0),))
    assert flipped.orders[1].amount == pytest.approx(3.497, abs=2e-3)
    desk.hold(-flipped.orders[1].amount)
    assert desk.decide(3, 0.1).orders == ()


@pytest.mark.parametrize("mode", [USDT, BTC])
def test_a_withdrawal_shrinks_the_position_to_what_the_rest_carries(mode: str) -> None:
    desk = Desk(mode)
    unit = 2.0 if mode == BTC else 100_000.0
    desk.hold(80_000.0 if mode == BTC else 2.5)
    cut, moved = desk.decide(0, 0.9, wanted=0.25 * unit).orders
    assert cut.reduce_only
    assert cut.side is Side.SHORT
    share = cut.amount / (80_000.0 if mode == BTC else 2.5)
    assert 0.25 <= share < 0.2525, "a quarter, rounded up to a lot, with the fee of the transfer"
    assert moved.amount == pytest.approx(0.25 * unit, rel=1e-12)
    assert cut.execution_mode is ExecutionMode.SEQUENTIAL


def test_a_withdrawal_is_paid_from_the_wallet_and_one_that_is_too_large_is_named() -> None:
    desk = Desk()
    desk.positions[desk.wallet] = 500.0
    paid = only(desk.decide(0, wanted=400.0))
    assert paid.operation_details["target_key"] == "external:BaseToken:USDT"
    assert paid.amount == 400.0
    decision = desk.decide(1, wanted=200_000.0)
    assert decision.constraints[0].startswith("EXEC-004: a withdrawal of 200000.000000 is more than there is")


@pytest.mark.parametrize(("mode", "unit"), [(USDT, 1.0), (BTC, 1 / PRICE)])
def test_what_is_owed_for_gas_is_not_the_owners(mode: str, unit: float) -> None:
    """500 USDT, or as much in BTC, less 3 owed and 65,000 units at 10 gwei and 2,000 USDT: 495.70."""
    desk = Desk(mode)
    desk.positions = {desk.wallet: 500.0 * unit, f"gas:Payable:{desk.currency}": -3.0 * unit}
    assert only(desk.decide(0, wanted=495.69 * unit)).amount == 495.69 * unit
    decision = desk.decide(1, wanted=495.71 * unit)
    assert decision.orders == ()
    assert "is more than there is" in decision.constraints[0]


@pytest.mark.parametrize(("mode", "unit"), [(USDT, 1.0), (BTC, 1 / PRICE)])
def test_capital_stays_in_the_wallet_when_the_gas_of_sending_it_leaves_no_order(mode: str, unit: float) -> None:
    """The smallest order is 10 USD, a transfer takes 1.30 of gas."""
    desk = Desk(mode)
    desk.positions = {desk.wallet: 11.29 * unit}
    assert desk.decide(0).orders == ()
    desk.positions = {desk.wallet: 11.31 * unit}
    assert only(desk.decide(1)).amount == pytest.approx(11.31 * unit)


@pytest.mark.parametrize(
    ("price", "decision_type", "share"),
    [(37_000.0, "rebalance", None), (33_000.0, "exit", 0.5), (27_000.0, "emergency_exit", 1.0)],
)
def test_the_margin_ratio_decides_how_much_is_closed(price: float, decision_type: str, share: float | None) -> None:
    """7.5 BTC on 100,000 USDT: at 37,000 the ratio is 0.279, at 33,000 0.192, at 27,000 0.0054 with 1,400 less."""
    desk = Desk(USDT, "strategy_config.max_position_size=3.0")
    desk.hold(7.5)
    if price == 27_000.0:
        desk.positions[desk.margin] = 98_600.0
    decision = desk.decide(0, 0.9, price=price)
    order = only(decision)
    assert decision.decision_type == decision_type
    assert order.reduce_only
    if share is None:
        margin = 100_000.0 - 7.5 * 3_000.0
        assert (7.5 - order.amount) * price <= 3.0 * margin < (7.5 - order.amount + 0.0011) * price
    else:
        assert order.amount == pytest.approx(share * 7.5, abs=1e-3)


def test_de_risk_never_opens_and_close_all_closes_then_pays_gas() -> None:
    desk = Desk()
    desk.say(0, 0.9)
    assert desk.strategy.de_risk(desk.situation(0, PRICE)).orders == ()
    desk.hold(2.5)
    desk.say(1, 0.1)
    assert only(desk.strategy.de_risk(desk.situation(1, PRICE))).reduce_only
    closing = desk.strategy.close_all(desk.situation(2, PRICE))
    assert closing.invested
    assert only(closing).amount == 2.5
    stale = desk.strategy.close_all(desk.situation(3, PRICE, fresh=False))
    assert stale.orders == ()
    assert stale.constraints == ("STRAT-006",)
    desk.positions.pop(desk.key)
    desk.positions |= {desk.wallet: 10.0, "gas:Payable:USDT": -3.0}
    last = desk.strategy.close_all(desk.situation(4, PRICE))
    assert not last.invested
    assert only(last).operation is OperationType.TRANSFER
    desk.positions["gas:Payable:USDT"] = 0.0
    assert desk.strategy.close_all(desk.situation(5, PRICE)).orders == ()


def test_a_signal_is_refused_where_none_is_expected() -> None:
    strategy = MlDirectional(load_mode(USDT))
    with pytest.raises(BasisError, match="STRAT-001: a signal was received, and WalkForwardSource has signals of"):
        strategy.receive(SignalReceived(None, "none"))


def test_the_ninth_strategy_is_the_usdt_mode_with_a_higher_threshold() -> None:
    overlay = EXAMPLES / "ml_usdt_directional.yaml"
    usual = load_mode(USDT).mode.model_dump()
    ninth = load_mode(USDT, overlays=[overlay]).mode.model_dump()
    assert ninth["strategy_config"].pop("signal_threshold") == 0.70
    assert usual["strategy_config"].pop("signal_threshold") == 0.65
    assert ninth == usual
    assert Desk(overlay=overlay).decide(0, 0.69).action == "none"
    assert Desk(overlay=overlay).decide(0, 0.70).action == "entry_full"


def test_a_file_laid_over_a_mode_switches_the_source_of_signals() -> None:
    signal = load_mode(BTC, overlays=[EXAMPLES / "ml_signals_of_a_file.yaml"]).mode.strategy_config.model_dump()[
        "signal"
    ]
    assert signal["source"] == "file"
    assert signal["file"] == {"path": "signals.csv", "staleness_seconds": 86_400.0}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("strategy_config.max_position_size=4.0", ("opened at a margin ratio of 0.25", "margin_ratio_reduce 0.3")),
        ("strategy_config.stop_loss_sd=10.0", ("x sd_cap_bps 1000 it would be 1 of the entry price", "less than 1")),
        ("strategy_config.signal.source=file", ("strategy_config.signal.file", "missing key; source file needs it")),
        ("strategy_config.signal.source=radio", ("strategy_config.signal.source", "'radio'")),
        ("strategy_config.signal.walk_forward_logistic.warm_up_days=5", ("is 5; at least 10 horizons of 24 h",)),
        ("strategy_config.signal.walk_forward_logistic.sd_days=400", ("is 400; at most training_days 365",)),
        ("tick_interval_seconds=7000", ("horizon_hours", "86400 s; a multiple of tick_interval_seconds 7000")),
        (f"strategy_config.signal.http={{url: 'ftp://x', {ENDPOINT}", ("'ftp://x'", "http:// or https://")),
    ],
)
def test_what_cannot_work_is_refused_with_both_numbers(setting: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mode(USDT, settings=(setting,))
    for word in words:
        assert word in caught.value.message
