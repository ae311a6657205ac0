"""No order and no sequence of orders gets past a limit, what lowers risk does, and a refusal has both numbers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.actors.desk import (
    NO_LIMITS,
    PRICE,
    START,
    Desk,
    FakeVenue,
    buy,
    desk,
    group,
    market,
    short,
    supply,
    transfer,
)
from tests.actors.test_loss_marks import view as valued

from basis_actors.actors.order_limits import Standing, check_limits, target_of
from basis_actors.bus import SimBus, VirtualClock, complete
from basis_actors.bus.testkit import Runtimes
from basis_actors.config import OrderLimits
from basis_actors.finance.valuation import value_book
from basis_actors.messages.book import PositionsView, TickSettled, TickStarted, Trigger, Valuation
from basis_actors.messages.commands import OrdersDone
from basis_actors.messages.events import OperationExecutionEvent
from basis_actors.messages.execution import DeltaSource, ExecutionStatus, PositionDelta, Settlement
from basis_actors.messages.market import StakingQuote
from basis_actors.messages.orders import ExecutionMode, OperationType, Order, Side
from basis_actors.strategies.expected import inverse_trade_deltas, repay_deltas, stake_deltas

pytestmark = pytest.mark.anyio
EQUITY = 210_000.0
"""What the accounts of a desk hold, in USDT."""
BYBIT, BINANCE = "bybit:PerpPosition:BTC-PERP", "binance:PerpPosition:BTC-PERP"


def limits(**given: float | int) -> OrderLimits:
    return NO_LIMITS.model_copy(update=given)


def cover(name: str, amount: float) -> Order:
    return replace(short(name, amount, side=Side.LONG), reduce_only=True)


# One limit at a time

BROKEN = [
    ({"max_order_notional": 39_999.0}, (buy("a"),), "is worth 40000, the limit for one order is 39999"),
    ({"max_order_equity": 0.19}, (buy("a"),), "is worth 0.190476 of equity, the limit for one order is 0.19"),
    ({"max_venue_share": 0.25}, (transfer("a", 5_000.0),), "would leave 0.261905 of equity at bybit, the limit for"),
    ({"max_venue_share": 0.004}, (supply("a"),), "would leave 0.0047619 of equity at aave, the limit for one venue"),
    ({"max_asset_exposure": 0.19}, (buy("a"),), "an exposure to BTC of 0.190476 of equity, the limit is 0.19"),
    ({"max_asset_exposure": 0.19}, (short("a"),), "an exposure to BTC of 0.190476 of equity, the limit is 0.19"),
    ({"max_leverage": 0.19}, (short("a"),), "would leave perps and debt of 0.190476 of equity, the limit is 0.19"),
    ({"max_leverage": 0.19}, group(short("a"), buy("b")), "would leave perps and debt of 0.190476 of equity"),
    ({"max_orders_per_minute": 1}, group(short("a"), buy("b")), "2 orders would be sent within 60 s, the limit is 1"),
]
KEPT = [
    ({"max_order_notional": 40_000.0}, (buy("a"),)),
    ({"max_order_equity": 0.1905}, (buy("a"),)),
    ({"max_venue_share": 0.2620}, (transfer("a", 5_000.0),)),
    ({"max_venue_share": 0.25}, (buy("a"),)),
    ({"max_asset_exposure": 0.1905}, (buy("a"),)),
    ({"max_asset_exposure": 1e-9}, group(short("a"), buy("b"))),
    ({"max_leverage": 1e-9}, (buy("a"),)),
    ({"max_leverage": 0.1905}, group(short("a"), buy("b"))),
    ({"max_orders_per_minute": 2}, group(short("a"), buy("b"))),
    ({"max_daily_loss": 0.0, "max_drawdown": 0.0}, (buy("a"),)),
]


@pytest.mark.parametrize(("given_limits", "orders", "text"), BROKEN)
async def test_an_order_beyond_a_limit_is_refused_with_both_numbers(
    runtime: Runtimes, given_limits: dict[str, Any], orders: tuple[Order, ...], text: str
) -> None:
    async with desk(runtime, limits=limits(**given_limits)) as d:
        done = await d.execute(*orders)
        assert {(r.succeeded, r.error_code) for r in done.results} == {(False, "RISK-007")}
        assert d.binance.sent == d.bybit.sent == d.chain.sent == []
        assert text in (d.logged(OperationExecutionEvent)[0].error_message or "")


@pytest.mark.parametrize(("given_limits", "orders"), KEPT)
async def test_an_order_within_a_limit_is_sent(
    runtime: Runtimes, given_limits: dict[str, Any], orders: tuple[Order, ...]
) -> None:
    async with desk(runtime, limits=limits(**given_limits)) as d:
        done = await d.execute(*orders)
        assert [r.succeeded for r in done.results] == [True] * len(orders)


async def test_small_orders_together_do_not_get_past_a_limit(runtime: Runtimes) -> None:
    async with desk(runtime, limits=limits(max_asset_exposure=0.5, max_leverage=0.5)) as d:
        for number in range(6):
            await d.execute(short(f"s{number}", 0.5))
        assert d.bybit.sent == [f"s{number}" for number in range(5)], "2.5 BTC are 0.476 of equity, 3 would be 0.571"
        for number in range(7):
            await d.execute(buy(f"b{number}", 0.4))
        # Each purchase hedges the short: the exposure falls first, and there is money for six of them.
        assert len(d.binance.sent) == 6


async def test_every_order_of_a_sequence_counts_on_its_own(runtime: Runtimes) -> None:
    """A sequence ends at its first failure, so what its first order leaves may stay."""
    legs = group(short("a"), buy("b"), mode=ExecutionMode.SEQUENTIAL)
    async with desk(runtime, limits=limits(max_asset_exposure=0.1)) as d:
        done = await d.execute(*legs)
        assert {r.error_code for r in done.results} == {"RISK-007"}
        done = await d.execute(*group(short("c"), buy("d")))
        assert all(r.succeeded for r in done.results)


def to(venue: str, name: str, amount: float) -> Order:
    keys = {"source_key": "wallet:BaseToken:USDT", "target_key": f"{venue}:BaseToken:USDT"}
    return replace(transfer(name, amount), target_venue=venue, operation_details=keys)


async def test_what_is_on_its_way_to_a_venue_counts_there_and_nowhere_else(runtime: Runtimes) -> None:
    async with desk(runtime, limits=limits(max_venue_share=0.03)) as d:
        done = await d.execute(to("okx", "a", 6_000.0), to("okx", "b", 1_000.0))
        assert [r.succeeded for r in done.results] == [True, False]
        text = d.logged(OperationExecutionEvent)[-1].error_message or ""
        assert "would leave 0.0333333 of equity at okx, the limit for one venue is 0.03" in text
        done = await d.execute(to("kraken", "c", 1_000.0))
        assert done.results[0].succeeded, "nothing of it is under way there"


async def test_what_has_arrived_is_not_under_way_any_more(runtime: Runtimes) -> None:
    async with desk(runtime, limits=limits(max_venue_share=0.03)) as d:
        await d.execute(to("okx", "a", 6_000.0))
        rows = (PositionDelta("transit:BaseToken:USDT", -6_000.0), PositionDelta("wallet:BaseToken:USDT", 6_000.0))
        d.chain.balances["wallet:BaseToken:USDT"] += 6_000.0
        settled = Settlement(DeltaSource.TRANSFER, d.tick.market.timestamp, "test", 0, rows, "a")
        d.bus.post("position_monitor", TickSettled(d.tick, (settled,)))
        await d.bus.settled()
        assert (await d.execute(to("okx", "b", 6_000.0))).results[0].succeeded, "the first was sent back"


def test_what_is_in_transit_to_nobody_knows_where_counts_everywhere() -> None:
    """An earlier process has sent it."""
    positions = {"wallet:BaseToken:USDT": 500.0, "bybit:BaseToken:USDT": 100.0, "transit:BaseToken:USDT": 400.0}
    state, order = Standing("USDT", 0.0, 0.0, 0, {}), transfer("a", 50.0)
    assert broken(order, positions, 0.56, state) is None
    assert (
        broken(order, positions, 0.54, state) == "would leave 0.55 of equity at bybit, the limit for one venue is 0.54"
    )
    # Of what is known to go elsewhere it is not said here.
    state = state._replace(under_way={"okx": {"USDT": 300.0}})
    assert broken(order, positions, 0.26, state) is None
    assert broken(order, positions, 0.24, state) is not None


def broken(order: Order, positions: dict[str, float], share: float, state: Standing) -> str | None:
    found = check_limits(limits(max_venue_share=share), (order,), book(positions), state)
    return None if found is None else found[1].reason


def book(positions: dict[str, float], **changes: Any) -> PositionsView:
    state = replace(market(), staking={"weETH": StakingQuote(1.05, 1.05, True, True)}, **changes)
    prices = state.prices
    entries = {key: PRICE for key in positions if "Perp" in key}
    return PositionsView(
        TickStarted(0, state),
        Trigger.TICK,
        positions,
        entries,
        (),
        prices,
        value_book(positions, entries, state, prices),
    )


# What lowers risk

LEGS = {"max_asset_exposure": 0.1, "max_leverage": 0.1, "max_order_equity": 0.01, "max_order_notional": 1.0}


@pytest.mark.parametrize("tight", [*({name: value} for name, value in LEGS.items()), {"max_orders_per_minute": 2}])
async def test_what_reduces_passes_the_limits_that_guard_new_risk(runtime: Runtimes, tight: dict[str, Any]) -> None:
    async with desk(runtime) as d:
        await d.execute(*group(short("a"), buy("b")))
        held = d.binance.balances, d.bybit.balances
    async with desk(runtime, limits=limits(**tight)) as d:
        d.binance.balances, d.bybit.balances = ({**held[0]}, {**held[1]})
        await reopen(d)
        orders = (cover("c", 0.6), buy("d", 0.7, Side.SELL), cover("e", 0.4), buy("f", 0.3, Side.SELL))
        done = await d.execute(*orders)
        assert [r.succeeded for r in done.results] == [True] * 4
        done = await d.execute(short("g"))
        assert done.results[0].error_code == "RISK-007"


async def reopen(d: Desk) -> None:
    """Show the ledger what the fake accounts hold beyond what they were opened with."""
    rows = (
        PositionDelta("binance:BaseToken:BTC", 1.0),
        PositionDelta("binance:BaseToken:USDT", -PRICE),
        PositionDelta(BYBIT, -1.0, PRICE),
    )
    settled = Settlement(DeltaSource.OPENING, d.tick.market.timestamp, "test", 0, rows)
    d.bus.post("position_monitor", TickSettled(d.tick, (settled,)))
    await d.bus.settled()


@pytest.mark.parametrize(
    ("name", "state", "text"),
    [
        ("max_daily_loss", {"daily_loss": 0.0501}, "the loss since 00:00 UTC is 0.0501 of equity, the limit for new"),
        ("max_drawdown", {"drawdown": 0.0501}, "the drawdown is 0.0501 of equity, the limit for new risk is 0.05"),
        ("max_daily_loss", {"daily_loss": None}, "the loss since 00:00 UTC cannot be computed: equity is not known"),
        ("max_drawdown", {"drawdown": None}, "the drawdown cannot be computed: equity is not known; its limit is 0.05"),
    ],
)
def test_after_a_loss_there_is_no_new_risk_and_every_reduction(name: str, state: dict[str, Any], text: str) -> None:
    standing = Standing("USDT", 0.0, 0.0, 0, {})
    positions = {"bybit:BaseToken:USDT": 50_000.0, "binance:BaseToken:USDT": 50_000.0, BYBIT: -1.0}
    here, only = book(positions), limits(**{name: 0.05})
    assert check_limits(only, (short("a"),), here, standing) is None
    lost = standing._replace(**state)
    found = check_limits(only, (cover("c", 0.5), short("a")), here, lost)
    assert found is not None
    assert (found[0].operation_id, found[1].code) == ("a", "RISK-007")
    assert text in found[1].reason
    assert check_limits(only, (cover("a", 1.0), transfer("b")), here, lost) is None


def test_a_limit_that_is_broken_already_lets_through_what_brings_the_book_back() -> None:
    """Not only reduce-only orders: also one that hedges."""
    here = book({"binance:BaseToken:USDT": 1_000.0, "binance:BaseToken:BTC": 1.0})
    standing, only = Standing("USDT", 0.0, 0.0, 0, {}), limits(max_asset_exposure=0.1)
    assert check_limits(only, (short("a", 0.3),), here, standing) is None
    assert check_limits(only, (buy("a", 0.01),), here, standing) is not None
    assert check_limits(only, (short("a", 2.5),), here, standing) is not None, "short is exposed as well"


# What cannot be computed

UNKNOWN = [
    (book({"wallet:BaseToken:USDT": 1e5, "wallet:BaseToken:DOGE": 1.0}), "wallet:BaseToken:DOGE has no price"),
    (book({"wallet:BaseToken:USDT": 100.0, "aave:debtToken:debtUSDT": 100.0}), "equity is 0, more than 0 was expected"),
    (book({"wallet:BaseToken:USDT": 1e5, "okx:PerpPosition:BTC-PERP": 1.0}), "okx:PerpPosition:BTC-PERP has no price"),
]


@pytest.mark.parametrize(("here", "text"), UNKNOWN)
@pytest.mark.parametrize("name", ["max_order_equity", "max_venue_share", "max_asset_exposure", "max_leverage"])
def test_what_cannot_be_computed_counts_as_broken(here: PositionsView, text: str, name: str) -> None:
    standing = Standing("USDT", 0.0, 0.0, 0, {})
    found = check_limits(limits(**{name: 1e9}), (buy("a"),), here, standing)
    assert found is not None
    assert found[1].code == "RISK-007"
    assert found[1].reason == f"limits cannot be computed: {found[1].reason.partition(': ')[2]}"
    assert text in found[1].reason
    assert check_limits(NO_LIMITS, (buy("a"),), here, standing) is None


@pytest.mark.parametrize(("here", "text"), UNKNOWN)
def test_an_exit_does_not_wait_for_what_cannot_be_computed(here: PositionsView, text: str) -> None:
    standing = Standing("USDT", None, None, 10**6, {})
    every = OrderLimits(**dict.fromkeys(OrderLimits.model_fields, 1))
    assert check_limits(every, (buy("a", side=Side.SELL),), here, standing) is None
    found = check_limits(every, (transfer("a"),), here, standing)
    assert found is not None, "money that goes to a venue is not an exit"


def test_an_order_without_a_price_for_what_it_brings_is_refused() -> None:
    here = book({"wallet:BaseToken:ETH": 10.0, "wallet:BaseToken:USDT": 1e5})
    order = replace(
        supply("stake"), operation=OperationType.STAKE, expected_deltas=stake_deltas("lido", "wstETH", 1.0, 0.9)
    )
    found = check_limits(limits(max_order_equity=1.0), (order,), here, Standing("USDT", 0.0, 0.0, 0, {}))
    assert found is not None
    assert "the price of wstETH is not known" in found[1].reason


# How things are counted


def test_leverage_counts_debt_and_perps_of_either_kind() -> None:
    """Half an ether of debt at 2,000, 20,000 USD of a coin-margined perp: 21,000 of an equity of 100,000."""
    positions = {
        "wallet:BaseToken:USDT": 61_000.0,
        "aave:debtToken:debtWETH": 0.5,
        "binance:Margin:BTC": 1.0,
        "binance:InversePerp:BTCUSD-PERP": -20_000.0,
    }
    quote = market().perps["binance:BTC-PERP"]
    here = book(positions, perps={**market().perps, "binance:BTCUSD-PERP": quote})
    assert here.valuation.equity == pytest.approx(100_000.0)
    deltas = inverse_trade_deltas(
        "binance", "BTCUSD-PERP", Side.SHORT, 9_000.0, PRICE, size=0.0, entry=None, cash_key="binance:Margin:BTC"
    )
    order = replace(short("i", venue="binance"), pair="BTCUSD-PERP", amount=9_000.0, expected_deltas=deltas)
    standing = Standing("USDT", 0.0, 0.0, 0, {})
    assert check_limits(limits(max_leverage=0.301), (order,), here, standing) is None
    found = check_limits(limits(max_leverage=0.299), (order,), here, standing)
    assert found is not None
    assert "perps and debt of 0.3 of equity, the limit is 0.299" in found[1].reason
    less = replace(supply("r"), operation=OperationType.REPAY, amount=0.1, expected_deltas=repay_deltas("WETH", 0.1))
    assert check_limits(limits(max_leverage=0.01), (less,), here, standing) is None


def test_holding_the_share_class_is_no_exposure() -> None:
    """In an ETH share class all of 10 ether is none; what a stake turns into its token stays ether."""
    prices = {"USDT": 1 / 2_000.0, "ETH": 1.0, "BTC": 20.0}
    here = book({"wallet:BaseToken:ETH": 10.0})
    here = replace(here, prices=prices, valuation=Valuation({}, {"ETH": 10.0}, 10.0, 0.0, ()))
    order = replace(
        supply("stake"),
        operation=OperationType.STAKE,
        amount=8.0,
        expected_deltas=stake_deltas("etherfi", "weETH", 8.0, 1 / 1.05),
    )
    standing = Standing("ETH", 0.0, 0.0, 0, {})
    assert check_limits(limits(max_asset_exposure=1e-6), (order,), here, standing) is None
    found = check_limits(limits(max_venue_share=0.79), (order,), here, standing)
    assert found is not None
    assert "would leave 0.8 of equity at etherfi" in found[1].reason


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "bybit"),
        ({"target_venue": "wallet"}, "bybit"),
        ({"operation_details": {"target_key": "wallet:BaseToken:USDT"}}, "bybit"),
        ({"operation_details": {}}, "bybit"),
        ({"target_venue": "wallet", "operation_details": {"target_key": "wallet:BaseToken:USDT"}}, None),
        ({"target_venue": "wallet", "operation_details": {"target_key": "gas:Payable:USDT"}}, None),
        ({"target_venue": "external", "operation_details": {"target_key": "external:BaseToken:USDT"}}, None),
        ({"target_venue": "wallet", "operation_details": {"target_key": 5}}, "5"),
    ],
)
def test_where_a_transfer_goes_is_the_venue_that_it_names(changes: dict[str, Any], expected: str | None) -> None:
    assert target_of(replace(transfer("a"), **changes)) == expected
    assert target_of(buy("a")) is None


async def test_the_rate_is_counted_on_the_clock_of_the_engine(runtime: Runtimes) -> None:
    async with desk(runtime, limits=limits(max_orders_per_minute=3)) as d:
        for number in range(3):
            assert (await d.execute(buy(f"a{number}", 0.01))).results[0].succeeded
        assert (await d.execute(buy("b", 0.01))).results[0].error_code == "RISK-007"
        await d.bus.advance(59.0)
        assert (await d.execute(buy("c", 0.01))).results[0].error_code == "RISK-007"
        # What was refused was not sent, and does not count; what reduces is sent, and does.
        await d.bus.advance(1.0)
        assert (await d.execute(buy("d", 0.01), buy("e", 0.01, Side.SELL), buy("f", 0.01))).results[2].succeeded
        assert (await d.execute(buy("g", 0.01))).results[0].error_code == "RISK-007"
        assert (await d.execute(buy("h", 0.01, Side.SELL))).results[0].succeeded


async def test_losses_that_the_ledger_shows_reach_the_gate(runtime: Runtimes) -> None:
    async with desk(runtime, limits=limits(max_daily_loss=0.1)) as d:
        d.bus.publish(valued(2, 0.89 * EQUITY))
        await d.bus.settled()
        done = await d.execute(buy("a", 0.01))
        assert done.results[0].error_code == "RISK-007"
        text = d.logged(OperationExecutionEvent)[0].error_message or ""
        assert "the loss since 00:00 UTC is 0.11 of equity, the limit for new risk is 0.1" in text
        d.bus.publish(valued(25, 0.89 * EQUITY))
        await d.bus.settled()
        assert (await d.execute(buy("b", 0.01))).results[0].succeeded, "another day"


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (replace(buy("a"), amount=5.0), "changes binance:BaseToken:BTC by 5, but a change of 1 is expected"),
        (replace(short("a"), side=Side.LONG), f"changes {BYBIT} by 1, but a change of -1 is expected"),
        (replace(supply("a"), amount=5_000.0), "changes any position by 5000, but a change of 1000 is expected"),
    ],
)
async def test_an_order_that_asks_for_something_else_than_it_expects_is_refused(
    runtime: Runtimes, order: Order, text: str
) -> None:
    """Limits look at what is expected, so it has to be what is asked for."""
    async with desk(runtime) as d:
        done = await d.execute(order)
        assert done.results[0].error_code == "STRAT-002"
        assert text in (d.logged(OperationExecutionEvent)[0].error_message or "")


# Any sequence

SIZES = st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.8, 1.0, 1.5])
STEPS = st.tuples(
    st.sampled_from(["buy", "sell", "short", "long", "cover", "uncover", "hedge", "unhedge", "send", "supply", "wait"]),
    SIZES,
    st.sampled_from(["binance", "bybit"]),
)
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "max_order_notional": st.sampled_from([5_000.0, 25_000.0, 50_000.0]),
        "max_order_equity": st.sampled_from([0.05, 0.1, 0.3]),
        "max_venue_share": st.sampled_from([0.01, 0.24, 0.3]),
        "max_asset_exposure": st.sampled_from([0.01, 0.1, 0.3]),
        "max_leverage": st.sampled_from([0.05, 0.2, 0.5]),
        "max_orders_per_minute": st.sampled_from([1, 2, 5]),
    },
)


def orders_of(name: str, step: tuple[str, float, str]) -> tuple[Order, ...]:
    """What a strategy that keeps no limits asks for."""
    what, size, venue = step
    perp = lambda side, **more: replace(short(name, size, venue, side), **more)  # noqa: E731
    match what:
        case "buy" | "sell":
            return (buy(name, size, Side.BUY if what == "buy" else Side.SELL),)
        case "short" | "long":
            return (perp(Side.SHORT if what == "short" else Side.LONG),)
        case "cover" | "uncover":
            return (perp(Side.LONG if what == "cover" else Side.SHORT, reduce_only=True),)
        case "hedge":
            return group(perp(Side.SHORT), buy(f"{name}-spot", size))
        case "unhedge":
            return group(perp(Side.LONG, reduce_only=True), buy(f"{name}-spot", size, Side.SELL))
        case "send":
            return (transfer(name, size * 4_000.0),)
        case "supply":
            return (supply(name, size * 4_000.0),)
    return ()


class Books:
    """The accounts of a desk, counted by hand: prices never move and nothing costs anything."""

    def __init__(self, d: Desk) -> None:
        self.d = d
        self.sent_to_bybit = 0.0

    def held(self, venue: FakeVenue, key: str) -> float:
        return venue.balances.get(key, 0.0)

    def measured(self) -> dict[str, float]:
        d, held = self.d, self.held
        spot, one, two = held(d.binance, "binance:BaseToken:BTC"), held(d.binance, BINANCE), held(d.bybit, BYBIT)
        cash = held(d.binance, "binance:BaseToken:USDT") + held(d.binance, "binance:Margin:USDT")
        return {
            "max_asset_exposure": abs(spot + one + two) * PRICE / EQUITY,
            "max_leverage": (abs(one) + abs(two)) * PRICE / EQUITY,
            "binance": (cash + spot * PRICE) / EQUITY,
            "bybit": (held(d.bybit, "bybit:BaseToken:USDT") + self.sent_to_bybit) / EQUITY,
            "aave": held(d.chain, "aave:aToken:aUSDT") / EQUITY,
        }

    def grows(self, order: Order, before: dict[str, float]) -> bool:
        """Whether an order that was done has made a position larger than it was."""
        if order.operation in (OperationType.TRANSFER, OperationType.SPOT_TRADE):
            return order.side is Side.BUY
        if order.operation is OperationType.SUPPLY:
            return True
        key = f"{order.venue}:PerpPosition:BTC-PERP"
        venue = self.d.binance if order.venue == "binance" else self.d.bybit
        now, then = self.held(venue, key), before[key]
        return abs(now) > abs(then) + 1e-9 or now * then < -1e-9


@settings(max_examples=120, deadline=None)
@given(given_limits=GIVEN, steps=st.lists(STEPS, min_size=1, max_size=12))
def test_no_sequence_of_orders_gets_past_a_limit(
    given_limits: dict[str, Any], steps: list[tuple[str, float, str]]
) -> None:
    complete(trade(limits(**given_limits), given_limits, steps))


async def trade(only: OrderLimits, given_limits: dict[str, Any], steps: list[tuple[str, float, str]]) -> None:
    bus = SimBus(VirtualClock(START), log_sink="event_logger")
    d = Desk(bus, limits=only)
    done_at: list[int] = []
    async with bus:
        await d.open()
        books = Books(d)
        for number, step in enumerate(steps):
            if step[0] == "wait":
                await bus.advance(step[1] * 60.0)
                continue
            orders = orders_of(f"o{number}", step)
            perps = {BINANCE: books.held(d.binance, BINANCE), BYBIT: books.held(d.bybit, BYBIT)}
            before = books.measured()
            result = await d.execute(*orders)
            done = [order for order, r in zip(orders, result.results, strict=True) if r.succeeded]
            assert len(done) in (0, len(orders))
            books.sent_to_bybit += sum(o.amount for o in done if o.operation is OperationType.TRANSFER)
            adds = [order for order in done if books.grows(order, perps)]
            judge(given_limits, before, books.measured(), adds)
            now = bus.clock.now()
            done_at += [now] * len(done)
            recent = [moment for moment in done_at if moment > now - 60 * 10**9]
            if adds and "max_orders_per_minute" in given_limits:
                assert len(recent) <= given_limits["max_orders_per_minute"]
        assert not [e for e in d.logged(OperationExecutionEvent) if e.status is ExecutionStatus.UNKNOWN]
        assert len(d.engine.of(OrdersDone)) == sum(step[0] != "wait" for step in steps)


def judge(given_limits: dict[str, Any], before: dict[str, float], after: dict[str, float], adds: list[Order]) -> None:
    """Nothing is above its limit that was not above it before, and then it has not risen."""
    for name in ("max_asset_exposure", "max_leverage"):
        if adds and name in given_limits:
            assert after[name] <= max(given_limits[name], before[name]) + 1e-9, name
    if "max_venue_share" in given_limits:
        for venue in ("binance", "bybit", "aave"):
            assert after[venue] <= max(given_limits["max_venue_share"], before[venue]) + 1e-9, venue
    for order in adds:
        worth = order.amount * (1.0 if order.operation is OperationType.SUPPLY else PRICE)
        assert worth <= given_limits.get("max_order_notional", 1e18)
        assert worth <= given_limits.get("max_order_equity", 1e18) * EQUITY
