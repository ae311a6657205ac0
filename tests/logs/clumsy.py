"""Defines a run in which orders come off, are refused and are rolled back: what questions to a log are asked about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from basis_actors.messages.market import MarketSpec
from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.order_writer import OrderWriter
from basis_actors.strategies.registry import STRATEGIES

MODE = "eth_leveraged"
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 4, tzinfo=UTC)


def stake(writer: OrderWriter) -> Sequence[Order]:
    """A group that comes off: a loan on staked ether."""
    orders = [writer.stake("etherfi", "weETH", 20.0), writer.supply("weETH", 10.0), writer.borrow("WETH", 5.0)]
    return writer.group(orders, ExecutionMode.SEQUENTIAL)


def overdraw(writer: OrderWriter) -> Sequence[Order]:
    """A transaction whose last step the pool refuses, so that the first is rolled back."""
    return writer.group([writer.stake("etherfi", "weETH", 1.0), writer.borrow("WETH", 50.0)], ExecutionMode.ATOMIC)


def too_much(writer: OrderWriter) -> Sequence[Order]:
    """An order for more than there is."""
    return [writer.stake("etherfi", "weETH", 5000.0)]


PLANS: dict[int, Callable[[OrderWriter], Sequence[Order]]] = {5: stake, 30: overdraw, 40: too_much, 50: too_much}
"""By hour of the run."""


class Clumsy(Strategy):
    """Does at each hour what is planned."""

    hedged: ClassVar[bool] = False

    def __init__(self, run: Any) -> None:
        super().__init__(run)
        self._hour = -1

    @property
    def market_spec(self) -> MarketSpec:
        tokens = ("WETH", "weETH")
        return MarketSpec(assets=("ETH",), reserves=tokens, staking=("weETH",), oracle=tokens, gas=True)

    def decide(self, situation: Situation) -> Decision:
        self._hour += 1
        plan = PLANS.get(self._hour)
        if plan is None:
            return Decision.hold("nothing is planned", invested=False)
        orders = tuple(plan(OrderWriter(self.run, situation, 0.005)))
        return Decision(
            decision_type="rebalance", action="entry_partial", reasoning=plan.__name__, invested=True, orders=orders
        )

    def close_all(self, situation: Situation) -> Decision:
        return Decision.hold("plans are kept to", invested=False)


def clumsy_run(out: Path, **request: Any) -> Path:
    """Run it, three days of the synthetic market, and give the run directory."""
    before = STRATEGIES["leveraged_staking"]
    STRATEGIES["leveraged_staking"] = Clumsy
    try:
        run = Backtest(prepare(BacktestRequest(mode=MODE, start=START, end=END, out=out, **request)))
        run.run()
    finally:
        STRATEGIES["leveraged_staking"] = before
    return run.run_dir
