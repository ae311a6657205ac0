"""Defines hand-made situations for strategies on a chain: a market, a ledger, and what orders would make of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from basis_actors.config import RunConfig, load_mode
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.book import (
    BookView,
    ExposureView,
    PositionsView,
    RiskLevel,
    RiskView,
    TickStarted,
    Trigger,
)
from basis_actors.messages.market import GasQuote, MarketState, ReserveState, StakingQuote
from basis_actors.messages.orders import Order
from basis_actors.strategies.base import Situation
from basis_actors.times import utc_from_ns

HOUR = 3600 * 1_000_000_000
START = 1_704_067_200 * 1_000_000_000
"""2024-01-01 00:00 UTC."""
ETH_PRICE = 2_000.0
RATE = 1.05
"""eth_per_lst of both tokens."""
GAS_PRICE = 10.0
"""Gwei, tip included."""
KEPT = 0.05
ETH = "wallet:BaseToken:ETH"
WEETH = "etherfi:LST:weETH"
CLAIM = "etherfi:UnstakeClaim:ETH"
COLLATERAL = "aave:aToken:aweETH"
DEBT = "aave:debtToken:debtWETH"


def run_of(mode: str, *settings: str) -> RunConfig:
    """A mode of the package, with settings `a.b=c`."""
    return load_mode(mode, {}, settings=settings)


def gas(*units: float) -> float:
    """What so many units of gas cost, ETH."""
    return sum(units) * GAS_PRICE * 1e-9


def market(
    hour: int = 0,
    *,
    rate: float = RATE,
    market_rate: float | None = RATE,
    fresh: bool = True,
    market_fresh: bool | None = None,
    oracle: Mapping[str, float] = {},
    prices: Mapping[str, float] = {},
    stale: tuple[str, ...] = (),
    supply_apr: float = 0.0,
    borrow_apr: float = 0.02,
    reserves_fresh: bool = True,
    gas_price: float | None = GAS_PRICE,
    available: Mapping[str, float] = {},
) -> MarketState:
    """The market `hour` hours after the start; the oracle prices the tokens at their rate unless told otherwise.

    `fresh` is that of both rates of the tokens where `market_fresh` does not tell the market's apart; `available` has
    the reserves whose pools have a size.
    """
    ns = START + hour * HOUR
    sellable = market_rate is not None and (fresh if market_fresh is None else market_fresh)
    quote = StakingQuote(rate, market_rate, fresh, sellable)
    return MarketState(
        timestamp=utc_from_ns(ns),
        ns=ns,
        prices={"USDT": 1.0, "ETH": ETH_PRICE, **prices},
        stale_prices=stale,
        spot={},
        perps={},
        funding=(),
        funding_missed={},
        reserves={
            "WETH": ReserveState(1.05, 1.10, 0.01, borrow_apr, 0.9, reserves_fresh, available.get("WETH")),
            "weETH": ReserveState(1.001, 1.002, supply_apr, 0.02, 0.1, reserves_fresh, available.get("weETH")),
            "wstETH": ReserveState(1.001, 1.002, supply_apr, 0.02, 0.1, reserves_fresh),
        },
        staking={"weETH": quote, "wstETH": quote},
        oracle_usd={"WETH": ETH_PRICE, "weETH": ETH_PRICE * rate, "wstETH": ETH_PRICE * rate, **oracle},
        gas=None if gas_price is None else GasQuote(gas_price, 0.0, True),
    )


def situation(
    positions: Mapping[str, float],
    state: MarketState,
    *,
    wanted: float = 0.0,
    flows: float = 0.0,
    carried_out: bool = True,
    number: int = 0,
) -> Situation:
    """A ledger in a market, valued in ETH; `wanted` is what the owner waits for."""
    prices = share_class_prices(state, "ETH")
    valuation = value_book(positions, {}, state, prices)
    book = PositionsView(TickStarted(number, state), Trigger.TICK, dict(positions), {}, (), prices, valuation)
    risk = RiskView(ExposureView(book, 0.0), RiskLevel.LOW, {}, {}, None, None, ())
    return Situation(BookView(risk, valuation.equity, flows, 0.0), wanted, 0.0, carried_out)


def after(positions: Mapping[str, float], orders: Iterable[Order]) -> dict[str, float]:
    """The ledger once every order has made its expected deltas: without fees and gas."""
    held = dict(positions)
    for order in orders:
        for delta in order.expected_deltas:
            held[delta.position_key] = held.get(delta.position_key, 0.0) + delta.delta_amount
    return held


def operations(orders: Iterable[Order]) -> list[str]:
    """What orders do, in order."""
    return [order.operation.value for order in orders]
