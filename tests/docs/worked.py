"""Worked examples of the strategy specs: their tables as printed, and the markets and ledgers that they describe."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.strategies.situations import START

from basis_actors.config import RunConfig, load_mode
from basis_actors.finance.keys import parse_key
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.book import BookView, ExposureView, PositionsView, RiskLevel, RiskView, TickStarted, Trigger
from basis_actors.messages.market import GasQuote, MarketState, PerpQuote, ReserveState, SpotQuote, StakingQuote
from basis_actors.messages.orders import Order
from basis_actors.strategies.base import Situation
from basis_actors.times import utc_from_ns

SPECS = Path(__file__).parents[2] / "docs" / "specs" / "strategies"
_NUMBER = re.compile(r"[+−-]?[\d,]+(?:\.\d+)?")
Delta = tuple[str, str, float]
"""Operation, position key, amount."""
Given = Mapping[str, float]
Numbers = dict[str, float]


class Example(NamedTuple):
    """One page: what the project makes of the given numbers, what a pencil does, and what the configuration says."""

    by_project: Callable[[Given], tuple[Numbers, list[Delta]]]
    by_hand: Callable[[Given], tuple[Numbers, list[Delta]]]
    configured: Callable[[], Numbers]


class Printed(NamedTuple):
    """A number as a page shows it."""

    text: str

    @property
    def value(self) -> float:
        return float(self.text.replace(",", "").replace("−", "-"))

    def shows(self, exact: float) -> bool:
        """Whether an exact number, rounded to as many digits, is what is printed."""
        digits = len(self.text.partition(".")[2])
        return exact == pytest.approx(self.value, abs=0.5 * 10.0**-digits * (1.0 + 1e-9), rel=0.0)


class Page(NamedTuple):
    """The tables of a worked example."""

    given: dict[str, float]
    computed: dict[str, Printed]
    orders: list[tuple[str, str, Printed]]
    """Operation, key, delta; in the order of the orders."""


def read_page(name: str) -> Page:
    """The tables of a spec, told apart by the first word of their heads."""
    given: dict[str, float] = {}
    computed: dict[str, Printed] = {}
    orders: list[tuple[str, str, Printed]] = []
    for head, rows in _tables((SPECS / name).read_text(encoding="utf-8")):
        for row in rows:
            if head == "given":
                given[row[0]] = Printed(_number(row[1])).value
            elif head == "computed":
                computed[row[0]] = Printed(_number(row[2]))
            elif head == "order":
                operation = row[0] or orders[-1][0]
                orders.append((operation.split()[0], row[1], Printed(_number(row[2]))))
    return Page(given, computed, orders)


def _number(cell: str) -> str:
    found = _NUMBER.fullmatch(cell)
    assert found, f"{cell!r} is no number"
    return found[0]


def _tables(text: str) -> Iterable[tuple[str, list[list[str]]]]:
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        head, _, *rows = ([cell.strip(" `*") for cell in line[1:-1].split("|")] for line in block.splitlines())
        yield head[0], rows


def run_of(mode: str, *settings: str) -> RunConfig:
    return load_mode(mode, {}, settings=settings)


def market(
    prices: Mapping[str, float],
    *,
    gwei: float,
    perps: Mapping[str, float] = {},
    reserves: Mapping[str, ReserveState] = {},
    staking: Mapping[str, StakingQuote] = {},
    oracle: Mapping[str, float] = {},
) -> MarketState:
    """A market in which everything is fresh; spot of Binance is at the reference prices, marks are last prices."""
    return MarketState(
        timestamp=utc_from_ns(START),
        ns=START,
        prices={"USDT": 1.0, **prices},
        stale_prices=(),
        spot={f"binance:{asset}": SpotQuote(price, True) for asset, price in prices.items()},
        perps={perp: PerpQuote(last, True, last, True, last, last) for perp, last in perps.items()},
        funding=(),
        funding_missed=dict.fromkeys(perps, 0),
        reserves=dict(reserves),
        staking=dict(staking),
        oracle_usd=dict(oracle),
        gas=GasQuote(gwei, 0.0, True),
    )


def situation(
    run: RunConfig,
    state: MarketState,
    positions: Mapping[str, float],
    *,
    entries: Mapping[str, float] = {},
    ltv: float | None = None,
) -> Situation:
    """A ledger in a market, as the strategy manager shows it."""
    prices = share_class_prices(state, run.share_class.currency)
    valuation = value_book(positions, entries, state, prices)
    book = PositionsView(TickStarted(0, state), Trigger.TICK, dict(positions), dict(entries), (), prices, valuation)
    maintenance = {parse_key(key).venue: 0.004 for key in entries}
    risk = RiskView(ExposureView(book, 0.0), RiskLevel.LOW, {}, maintenance, None, ltv, ())
    return Situation(BookView(risk, valuation.equity, 0.0, 0.0), 0.0, 0.0)


def deltas_of(orders: Iterable[Order]) -> list[Delta]:
    """What orders are expected to change, one by one."""
    return [
        (order.operation.value, delta.position_key, delta.delta_amount)
        for order in orders
        for delta in order.expected_deltas
    ]


def cost(fee: float, bps: float) -> float:
    """What a buyer pays beyond the price, as a fraction of it."""
    return (1 + fee) * (1 + bps / 10_000) - 1


def down(amount: float, lots_per_unit: int) -> float:
    """Rounded down to whole lots."""
    return math.floor(amount * lots_per_unit + 1e-6) / lots_per_unit
