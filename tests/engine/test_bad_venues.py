"""A venue that refuses everything harms its own leg only; small capital sends nothing that a venue would refuse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace
from tests.engine.play import ALWAYS_IN, Played, utc

from basis_actors.data import HistoricalFeed
from basis_actors.errors import Rejected
from basis_actors.messages.book import TickStarted
from basis_actors.messages.events import (
    ExecutionDeltaEvent,
    ExposureSnapshot,
    OperationExecutionEvent,
    PositionSnapshot,
    StrategyDecision,
)
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import Order
from basis_actors.ports import Settling, VenueClient
from basis_actors.times import ns_from_utc

Play = Callable[..., Played]
SEED = 3
CLOSED_FROM = utc("2024-01-06")
PAYS_UNTIL = utc("2024-01-20")
END = "2024-02-25"
REDUCE = 0.30


class Refusing:
    """A venue that refuses every order from a moment on, and otherwise goes on as it was."""

    def __init__(self, client: VenueClient) -> None:
        self._client = client
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def settle(self, tick: TickStarted) -> Settling:
        self._closed = tick.market.timestamp >= CLOSED_FROM
        return self._client.settle(tick)

    async def execute(self, order: Order) -> ExecutionHandshake:
        if self._closed:
            raise Rejected("EXEC-004", "the venue takes no orders")
        return await self._client.execute(order)


class FundingTurns:
    """A feed whose funding is received by longs from a moment on."""

    def __init__(self, feed: HistoricalFeed) -> None:
        self._feed = feed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)

    def take(self, ns: int) -> MarketState:
        market = self._feed.take(ns)
        if ns < ns_from_utc(PAYS_UNTIL):
            return market
        return replace(market, funding=tuple(replace(stamp, rate=-0.001) for stamp in market.funding))


def closing(domain: str) -> Callable[[VenueClient], VenueClient]:
    """Wraps the client of one domain."""
    return lambda client: Refusing(client) if client.domain == domain else client


def perp_trades(run: Played, after: datetime = CLOSED_FROM) -> list[OperationExecutionEvent]:
    return [o for o in run.of(OperationExecutionEvent) if o.operation_type == "perp_trade" and o.timestamp >= after]


def is_hedged_and_not_liquidated(run: Played, refusing: str) -> None:
    """No other leg was liquidated or traded to and fro, and the net delta never left the dust."""
    assert run.failure is None
    liquidated = {e.domain for e in run.of(ExecutionDeltaEvent) if e.source == "liquidation"}
    assert liquidated <= {refusing}
    assert not [o.operation_id for o in run.of(OperationExecutionEvent) if "unwind" in o.operation_id]
    done = perp_trades(run)
    assert {o.status for o in done if o.venue == refusing} <= {"failed"}
    assert {o.status for o in done if o.venue != refusing} == {"confirmed"}
    late = [e for e in run.of(ExposureSnapshot) if e.timestamp >= CLOSED_FROM]
    assert late
    assert all(abs(e.net_delta_usd or 0.0) <= 0.002 * e.share_class_value for e in late)


def topped_up(run: Played, but: str) -> set[str]:
    """Venues that margin was moved to after the other had closed."""
    return {
        o.target_venue
        for o in run.of(OperationExecutionEvent)
        if o.operation_type == "transfer" and o.status == "confirmed" and o.timestamp >= CLOSED_FROM
    } - {but}


@pytest.mark.parametrize("refusing", ["bybit", "okx"])
def test_the_other_legs_keep_their_margin_while_one_venue_refuses_everything(refusing: str, played: Play) -> None:
    run = played(
        "btc_basis", seed=SEED, start="2024-01-01", end=END, settings=[ALWAYS_IN], wrap_venue=closing(refusing)
    )
    is_hedged_and_not_liquidated(run, refusing)
    others = {"binance", "bybit", "okx"} - {refusing}
    assert topped_up(run, refusing) >= others
    for decision in run.of(StrategyDecision):
        for venue, ratio in decision.portfolio_state.get("margin_ratio", {}).items():
            assert venue == refusing or ratio > REDUCE, (venue, decision.timestamp)


@pytest.mark.parametrize("refusing", ["bybit", "okx"])
def test_the_other_legs_leave_as_they_would_while_one_venue_refuses_everything(refusing: str, played: Play) -> None:
    options: dict[str, Any] = {
        "seed": SEED,
        "start": "2024-01-01",
        "end": "2024-02-05",
        "settings": ["strategy_config.funding_threshold=-0.0005", "strategy_config.exit_threshold=-0.0005"],
        "wrap_feed": FundingTurns,
    }
    healthy = played("btc_basis", **options)
    run = played("btc_basis", wrap_venue=closing(refusing), **options)
    is_hedged_and_not_liquidated(run, refusing)

    def exit_time(of: Played) -> datetime:
        return next(d.timestamp for d in of.of(StrategyDecision) if d.action_taken == "exit_full")

    assert exit_time(run) == exit_time(healthy) > PAYS_UNTIL
    held = run.of(PositionSnapshot)[-1].positions
    shorts = {key.split(":")[0]: size for key, size in held.items() if ":PerpPosition:" in key and size}
    assert set(shorts) == {refusing}, "all others are closed"
    assert held["binance:BaseToken:BTC"] == pytest.approx(-shorts[refusing], abs=1e-9), "what stays is hedged"


@pytest.mark.parametrize(
    ("mode", "capital"), [("btc_basis", 200.0), ("btc_basis", 300.0), ("btc_basis", 500.0), ("eth_basis", 300.0)]
)
def test_small_capital_on_the_synthetic_market_sends_nothing_that_is_refused(
    mode: str, capital: float, played: Play
) -> None:
    run = played(mode, always_in=True, capital=capital)
    assert run.failure is None
    assert {order.status for order in run.of(OperationExecutionEvent)} == {"confirmed"}
    assert run.codes == set()


def test_a_spot_venue_that_refuses_everything_for_weeks_does_not_end_the_run(played: Play) -> None:
    """Nothing can be traded in pairs without it, and nothing is opened."""
    run = played("btc_basis", seed=1, start="2024-01-01", end=END, settings=[ALWAYS_IN], wrap_venue=closing("binance"))
    assert run.failure is None
    assert {o.status for o in perp_trades(run) if o.venue == "binance"} == {"failed"}
    actions = {d.action_taken for d in run.of(StrategyDecision) if d.timestamp >= CLOSED_FROM}
    assert not actions & {"entry_full"}
