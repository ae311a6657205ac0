"""Defines the actor that computes profit and loss, and explains every change of equity component by component."""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, on
from basis_actors.finance.attribution import BOOKED, COMPONENTS, Attribution, PricedBook, attribute
from basis_actors.finance.keys import parse_key
from basis_actors.messages.book import BookView, PositionsView, RiskView, Valuation
from basis_actors.messages.events import PnLCalculation
from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.market import MarketState

__all__ = ["PnLMonitor"]


class PnLMonitor(Actor):
    """Closes the chain of monitors: what it publishes is what the strategy decides on.

    `residual_tolerance` is the share of equity that may stay unexplained in one step before PNL-005 is raised;
    `booked` names the components that are what was settled.
    """

    def __init__(self, residual_tolerance: float, booked: Mapping[DeltaSource, str] = BOOKED) -> None:
        super().__init__("pnl_monitor")
        self._booked = booked
        self._tolerance = residual_tolerance
        self._before: PricedBook | None = None
        self._equity = 0.0
        self._start: float | None = None
        self._flows = 0.0
        self._residual = 0.0
        self._totals = dict.fromkeys(COMPONENTS, 0.0)
        self._by_venue: dict[str, float] = {}
        self._by_asset: dict[str, float] = {}

    @on(RiskView)
    def calculate(self, risk: RiskView) -> None:
        """Equity, PnL and attribution since the last view."""
        book = risk.exposure.book
        valuation = book.valuation
        after = PricedBook(book.positions, book.entries, book.tick.market, book.prices)
        before = self._before or PricedBook({}, {}, book.tick.market, book.prices)
        step = attribute(before, after, book.settlements, self._booked)
        flows = step.flows
        if self._start is None and valuation.equity != 0.0:
            self._start = step.flows
            flows = 0.0
        residual = valuation.equity - self._equity - step.flows - step.explained()
        self._take(step, flows, residual, valuation, after)
        total = valuation.equity - (self._start or 0.0) - self._flows
        self._report(book, valuation, step, residual, total)
        self.publish(BookView(risk, valuation.equity, self._flows, total))

    def _take(self, step: Attribution, flows: float, residual: float, valuation: Valuation, after: PricedBook) -> None:
        """Carry the state on to this view."""
        for component, amount in step.components.items():
            self._totals[component] += amount
        for totals, parts in ((self._by_venue, step.by_venue), (self._by_asset, step.by_asset)):
            for name, amount in parts.items():
                totals[name] = totals.get(name, 0.0) + amount
        self._flows += flows
        self._residual += residual
        self._equity = valuation.equity
        self._before = after

    def _report(
        self, book: PositionsView, valuation: Valuation, step: Attribution, residual: float, total: float
    ) -> None:
        market, totals = book.tick.market, self._totals
        self.log(
            PnLCalculation(
                market.timestamp,
                valuation.equity,
                total,
                total - valuation.unrealized,
                valuation.unrealized,
                step.components,
                totals.copy(),
                residual,
                self._residual,
                self._flows,
                0.0 - totals["fees"],
                totals["funding"],
                self._by_venue.copy(),
                self._by_asset.copy(),
                _marks(market, book.entries),
                book.trigger,
            )
        )
        if abs(residual) > self._tolerance * abs(valuation.equity):
            text = (
                f"{residual:.6g} of the change of equity to {valuation.equity:.12g} is not explained by any component;"
                f" the tolerance is {self._tolerance:g} of equity"
            )
            self.log(error_event(market.timestamp, self.name, "PNL-005", text))


def _marks(market: MarketState, entries: Mapping[str, float]) -> dict[str, float]:
    """Every price behind the valuation; `entries` are those of the perps that are open."""
    marks: dict[str, float] = {}
    for asset, price in market.prices.items():
        marks[f"S:{asset}"] = price
    perps = market.perps
    for key in entries:
        perp = parse_key(key).perp
        assert perp is not None
        quote = perps.get(perp)
        if quote is not None and quote.mark is not None:
            marks[perp] = quote.mark
    for lst, staking in market.staking.items():
        marks[f"rate:{lst}"] = staking.eth_per_lst
    return marks
