"""Defines hand-made books for the market-neutral strategy: ether, shorts and cash over three exchanges, in USDT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec
from tests.strategies.situations import COLLATERAL, DEBT, ETH_PRICE, RATE, WEETH, market, operations, run_of

from basis_actors.finance.keys import parse_key
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.book import BookView, ExposureView, PositionsView, RiskLevel, RiskView, TickStarted, Trigger
from basis_actors.messages.market import MarketState, PerpQuote, SpotQuote
from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.strategies.base import Decision, Situation
from basis_actors.strategies.market_neutral import MarketNeutral

P = ETH_PRICE
USDT = "wallet:BaseToken:USDT"
SPOT = "binance:BaseToken:ETH"
SPOT_CASH = "binance:BaseToken:USDT"
CASH = {"binance": "binance:Margin:USDT", "bybit": "bybit:BaseToken:USDT", "okx": "okx:BaseToken:USDT"}
SHORT = {venue: f"{venue}:PerpPosition:ETH-PERP" for venue in CASH}
SHARES = {"binance": 0.4, "bybit": 0.3, "okx": 0.3}
MAINTENANCE = 0.004


def hedged_market(
    *, price: float = P, venues: Iterable[str] = CASH, marks: Mapping[str, float] = {}, **more: Any
) -> MarketState:
    """The market of `situations`, with ETH at `price` on spot and on the perps of `venues`."""
    state = market(prices={"ETH": price}, **more)
    spot = {"binance:ETH": SpotQuote(price, True), "binance:EIGEN": SpotQuote(3.0, True)}
    perps = {}
    for venue in venues:
        mark = marks.get(venue, price)
        perps[f"{venue}:ETH-PERP"] = PerpQuote(mark, True, mark, True, mark, mark)
    return msgspec.structs.replace(state, spot=spot, perps=perps, funding_missed=dict.fromkeys(perps, 0))


def position(
    eth: float = 25.0, *, at: str = WEETH, margin: float = 1.0, cash: Mapping[str, float] = {}
) -> dict[str, float]:
    """`eth` of ether at one place, hedged over three venues whose margin is `margin` times their notional at P."""
    amount = eth / RATE if at in (WEETH, COLLATERAL) else eth
    book = {at: amount}
    for venue, share in SHARES.items():
        book[SHORT[venue]] = -eth * share
        book[CASH[venue]] = eth * share * P * margin
    return {**book, **cash}


def looped(eth: float = 25.0, ltv: float = 0.909, **more: Any) -> dict[str, float]:
    """The same with the ether as the equity of a loop."""
    book = position(eth, **more)
    del book[WEETH]
    return {**book, COLLATERAL: eth / (1.0 - ltv) / RATE, DEBT: eth * ltv / (1.0 - ltv)}


def hedged(
    positions: Mapping[str, float],
    state: MarketState | None = None,
    *,
    entry: float = P,
    wanted: float = 0.0,
    flows: float = 0.0,
    ltv: float | None = None,
    health: float | None = None,
    number: int = 0,
) -> Situation:
    """A ledger in a market, valued in USDT; every short was opened at `entry`."""
    state = hedged_market() if state is None else state
    entries = {key: entry for key, size in positions.items() if parse_key(key).perp is not None and size}
    prices = share_class_prices(state, "USDT")
    valuation = value_book(positions, entries, state, prices)
    book = PositionsView(TickStarted(number, state), Trigger.TICK, dict(positions), entries, (), prices, valuation)
    maintenance = {parse_key(key).venue: MAINTENANCE for key in entries}
    risk = RiskView(ExposureView(book, 0.0), RiskLevel.LOW, {}, maintenance, health, ltv, ())
    return Situation(BookView(risk, valuation.equity, flows, 0.0), wanted, 0.0, True)


def net_delta(positions: Mapping[str, float]) -> float:
    """ETH: everything that is ether, less debt, with the perps."""
    total = 0.0
    for key, amount in positions.items():
        info = parse_key(key)
        if info.asset == "ETH":
            total += amount * info.sign * (RATE if info.lst else 1.0)
    return total


def of(orders: Iterable[Order], kind: str) -> list[Order]:
    """Orders of one operation."""
    return [order for order in orders if order.operation == kind]


def route(order: Order) -> tuple[str, str]:
    """Where a transfer leads."""
    return order.operation_details["source_key"], order.operation_details["target_key"]


PLAIN, LEVERED = "usdt_market_neutral_no_leverage", "usdt_market_neutral"
DUST = 0.002
"""Of equity, as the modes have it."""
SPOT_COST = 1.001 * 1.0007 - 1.0
"""Taker fee and the impact of a size up to 100,000 USDT, the class that the books of these tests fall into."""
LTV = 0.909
"""Target loan to value of the mode."""


def strategy(mode: str = PLAIN, *extra: str) -> MarketNeutral:
    """The strategy of a mode, with settings on top."""
    return MarketNeutral(_run(mode, *extra))


_run = cache(run_of)


def decide(positions: Mapping[str, float], *extra: str, mode: str = PLAIN, **more: Any) -> Decision:
    """What a new strategy decides on a book."""
    return strategy(mode, *extra).decide(hedged(positions, **more))


def transaction(decision: Decision) -> list[str]:
    """What the atomic groups of a decision do."""
    return operations(order for order in decision.orders if order.execution_mode is ExecutionMode.ATOMIC)
