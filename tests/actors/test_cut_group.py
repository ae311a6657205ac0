"""A group that the end of its process cut in two: undone, or finished where that is refused, to the last lot."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.actors.desk import buy, group, short
from tests.venues.worlds import at_once

from basis_actors.actors.cut_group import CutGroup
from basis_actors.errors import BasisError, Rejected
from basis_actors.messages.exchange import OrderTicket
from basis_actors.messages.journal import Intent, IntentState
from basis_actors.messages.orders import Order, OrderType, Side
from basis_actors.venues.journal.memory import MemoryJournal

SHARES = st.sampled_from([0.0, 0.25, 0.5, 1.0])
OUTCOMES = st.one_of(
    SHARES,
    st.just(Rejected("EXEC-001", "refused")),
    st.just(KeyboardInterrupt()),
)
LOT = Decimal("0.001")
LEGS = group(buy("a", 0.5), short("b", 0.5))
CLOSING = group(short("a", 0.5, side=Side.LONG, reduce_only=True), buy("b", 0.5, Side.SELL))
"""A short is bought back, and the spot against it sold."""


class Market:
    """Where trades of a group end in the journal, each as its script says: the share that is filled, or an error."""

    def __init__(self, script: Iterable[float | BaseException] = ()) -> None:
        self.journal = MemoryJournal("test")
        self.script = list(script)
        self.sent: list[Order] = []
        self.said: list[str] = []

    def trade(self, order: Order, share: float = 1.0) -> None:
        """Fill so much of an order, in whole lots."""
        journal = self.journal
        name = f"c{len(journal.entries)}"
        amount = Decimal(repr(order.amount))
        filled = Decimal(round(amount * Decimal(share) / LOT)) * LOT
        ticket = OrderTicket(
            client_id=name, pair=str(order.pair), buys=order.side in (Side.BUY, Side.LONG), amount=amount
        )
        intent = Intent(
            client_id=name,
            order=order,
            ticket=ticket,
            domain=order.venue,
            incarnation=journal.incarnation,
            attempt=0,
            created_ns=0,
        )
        at_once(journal.intend(intent))
        at_once(journal.advance(name, IntentState.SENT, Decimal(0), "sent", 0))
        end = IntentState.FILLED if filled == amount else IntentState.CANCELLED
        at_once(journal.advance(name, end, filled, "ended", 0))

    async def carry_out(self, order: Order) -> None:
        """What recovery does with an order."""
        self.sent.append(order)
        outcome = self.script.pop(0) if self.script else 1.0
        if isinstance(outcome, BaseException):
            raise outcome
        self.trade(order, outcome)

    def kill(self) -> None:
        """The process is gone."""
        self.journal = self.journal.reopened()
        self.sent.clear()

    def mend(self, orders: tuple[Order, ...] = LEGS, incarnation: int = 1) -> None:
        """Bring a group of an earlier process to its end."""
        cut = CutGroup(incarnation, orders, self.journal, self.carry_out, lambda _name, text: self.said.append(text))
        at_once(cut.mend())

    def trades(self) -> list[tuple[str, Side | None, float]]:
        """What was sent."""
        return [(order.operation_id, order.side, order.amount) for order in self.sent]

    def in_force(self, order: Order) -> Decimal:
        """What all trades of a leg add up to, by their direction alone."""
        total = Decimal(0)
        for entry in self.journal.entries:
            other = entry.intent.order
            if (other.venue, other.pair) == (order.venue, order.pair):
                total += entry.filled if other.side is order.side else -entry.filled
        return total


def cut(*shares: float, script: Iterable[float | BaseException] = (), legs: tuple[Order, ...] = LEGS) -> Market:
    """A group whose process filled so much of each leg, and was killed."""
    market = Market(script)
    for leg, share in zip(legs, shares, strict=False):
        market.trade(leg, share)
    market.kill()
    return market


def test_a_group_that_is_whole_stays() -> None:
    market = cut(1.0, 1.0)
    market.mend()
    assert market.trades() == []


def test_a_group_whose_amounts_are_not_to_the_last_digit_what_was_filled_is_whole() -> None:
    legs = group(buy("a", 0.5680000000000001), short("b", 0.568))
    market = Market()
    for leg in legs:
        market.trade(leg)
    market.kill()
    market.mend(legs)
    assert market.trades() == []


@pytest.mark.parametrize("shares", [(), (0.0,), (0.0, 0.0)])
def test_a_group_of_which_nothing_is_done_stays(shares: tuple[float, ...]) -> None:
    market = cut(*shares)
    market.mend()
    assert market.trades() == []


def test_a_leg_without_the_other_is_undone() -> None:
    market = cut(1.0)
    market.mend()
    assert market.trades() == [("a-undone-1-0", Side.SELL, 0.5)]
    assert "was cut in two by the end of an earlier process; nothing of 0.5 BTC/USDT is left to do" in market.said[0]


def test_legs_are_undone_newest_first_as_far_as_they_are_filled() -> None:
    market = cut(1.0, 0.4)
    market.mend()
    assert market.trades() == [("b-undone-1-0", Side.LONG, 0.2), ("a-undone-1-0", Side.SELL, 0.5)]
    assert [market.in_force(leg) for leg in LEGS] == [0, 0]


def test_what_its_own_process_undid_is_not_undone_again() -> None:
    market = Market()
    market.trade(LEGS[0])
    market.trade(LEGS[1], 0.4)
    market.trade(replace(short("b-unwind", 0.2), side=Side.LONG))
    market.kill()
    market.mend()
    assert market.trades() == [("a-undone-1-0", Side.SELL, 0.5)]


def test_a_trade_that_is_filled_in_part_is_followed_by_another() -> None:
    market = cut(1.0, script=[0.5, 0.5, 1.0])
    market.mend()
    assert market.trades() == [
        ("a-undone-1-0", Side.SELL, 0.5),
        ("a-undone-1-1", Side.SELL, 0.25),
        ("a-undone-1-2", Side.SELL, 0.125),
    ]
    assert market.in_force(LEGS[0]) == 0


def test_a_leg_that_does_not_come_to_its_end_is_a_matter_for_a_person() -> None:
    market = cut(1.0, script=[0.1] * 5)
    with pytest.raises(
        BasisError, match=r"EXEC-006: a of group group, .* 0\.29\d of 0\.5 BTC/USDT are left; trade them"
    ):
        market.mend()
    assert len(market.sent) == 5


def test_what_cannot_be_undone_is_finished() -> None:
    market = cut(1.0, 0.4, script=[1.0, Rejected("EXEC-001", "margin is insufficient")])
    market.mend()
    assert market.trades() == [
        ("b-undone-1-0", Side.LONG, 0.2),
        ("a-undone-1-0", Side.SELL, 0.5),
        ("b-finished-1-0", Side.SHORT, 0.5),
    ]
    assert [market.in_force(leg) for leg in LEGS] == [Decimal("0.5")] * 2
    assert "cannot be undone, so it is finished: margin is insufficient" in market.said


def test_where_neither_works_the_refusal_is_raised() -> None:
    refusal = Rejected("EXEC-001", "margin is insufficient")
    market = cut(1.0, script=[refusal, refusal])
    with pytest.raises(Rejected, match="margin is insufficient"):
        market.mend()
    assert market.trades() == [("a-undone-1-0", Side.SELL, 0.5), ("b-finished-1-0", Side.SHORT, 0.5)]


@pytest.mark.parametrize(
    ("shares", "trades"),
    [
        pytest.param((1.0,), [("b-finished-1-0", Side.SELL, 0.5)], id="bought back and not sold"),
        pytest.param((0.4,), [("b-finished-1-0", Side.SELL, 0.2)], id="bought back in part"),
        pytest.param((1.0, 0.4), [("b-finished-1-0", Side.SELL, 0.3)], id="sold in part"),
        pytest.param((0.4, 0.4), [], id="as far as each other"),
        pytest.param((), [], id="nothing done"),
    ],
)
def test_what_was_done_of_a_group_that_only_reduces_stays_done_and_the_other_leg_follows(
    shares: tuple[float, ...], trades: list[tuple[str, Side, float]]
) -> None:
    market = cut(*shares, legs=CLOSING)
    market.mend(CLOSING)
    assert market.trades() == trades
    assert all(order.reduce_only for order in market.sent)
    assert market.in_force(CLOSING[0]) == market.in_force(CLOSING[1])


def test_what_its_own_process_did_of_a_leg_in_further_trades_is_not_done_again() -> None:
    market = Market()
    market.trade(CLOSING[0])
    market.trade(CLOSING[1], 0.4)
    market.trade(replace(CLOSING[1], operation_id="b-rest-1", amount=0.3))
    market.kill()
    market.mend(CLOSING)
    assert market.trades() == []


def test_a_sale_that_is_refused_leaves_what_was_bought_back_as_it_is() -> None:
    market = cut(1.0, script=[Rejected("EXEC-004", "insufficient balance")], legs=CLOSING)
    with pytest.raises(Rejected, match="insufficient balance"):
        market.mend(CLOSING)
    assert market.trades() == [("b-finished-1-0", Side.SELL, 0.5)]


@given(first=SHARES, second=SHARES, script=st.lists(OUTCOMES, max_size=12))
def test_whatever_happens_a_group_that_only_reduces_ends_even_and_no_smaller(
    first: float, second: float, script: list[float | BaseException]
) -> None:
    market = cut(first, second, script=script, legs=CLOSING)
    before = max(market.in_force(leg) for leg in CLOSING)
    for _ in range(20):
        try:
            market.mend(CLOSING)
            break
        except (KeyboardInterrupt, BasisError):
            market.kill()
    whole = [market.in_force(leg) for leg in CLOSING]
    assert whole == [before, before]


def test_what_is_too_small_to_trade_stays() -> None:
    market = cut(1.0, 0.002, script=[Rejected("EXEC-009", "below the minimum")])
    market.mend()
    assert market.trades() == [("b-undone-1-0", Side.LONG, 0.001), ("a-undone-1-0", Side.SELL, 0.5)]
    assert any("0.001 BTC-PERP stay as they are: below the minimum" in text for text in market.said)


def test_a_limit_leg_is_brought_to_its_end_at_the_market() -> None:
    legs = tuple(
        replace(leg, order_type=OrderType.LIMIT, operation_details={"post_only": True, "time_in_force": "gtc"})
        for leg in LEGS
    )
    market = cut(1.0, script=[Rejected("EXEC-001", "no margin")])
    market.mend(legs)
    assert [(order.order_type, order.operation_details) for order in market.sent] == [(OrderType.MARKET, {})] * 2
    assert market.trades()[-1] == ("b-finished-1-0", Side.SHORT, 0.5)


def test_a_finishing_trade_expects_its_share() -> None:
    market = cut(1.0, 0.4, script=[Rejected("EXEC-001", "no")])
    market.mend()
    finished = market.sent[-1]
    assert finished.amount == 0.3
    for mine, whole in zip(finished.expected_deltas, LEGS[1].expected_deltas, strict=True):
        assert mine.delta_amount == pytest.approx(0.6 * whole.delta_amount)
    assert finished.atomic_group_id is None


@pytest.mark.parametrize("done", range(3))
def test_a_process_that_is_killed_while_it_mends_is_followed_by_one_that_goes_on(done: int) -> None:
    market = cut(1.0, 0.4, script=[*[1.0] * done, KeyboardInterrupt()])
    if done < 2:
        with pytest.raises(KeyboardInterrupt):
            market.mend()
    else:
        market.mend()
    market.kill()
    market.script.clear()
    market.mend()
    assert [market.in_force(leg) for leg in LEGS] == [0, 0]
    assert len(market.sent) == 2 - done


@given(first=SHARES, second=SHARES, script=st.lists(OUTCOMES, max_size=12))
def test_whatever_happens_a_group_ends_whole_or_undone(
    first: float, second: float, script: list[float | BaseException]
) -> None:
    """Kills, refusals and partial fills in any order; then all goes well."""
    market = cut(first, second, script=script)
    for _ in range(20):
        try:
            market.mend()
            break
        except (KeyboardInterrupt, BasisError):
            market.kill()
    whole = [market.in_force(leg) for leg in LEGS]
    assert whole in ([0, 0], [Decimal("0.5")] * 2)
