"""Defines the basis trade: long spot on one exchange, short the same amount in perpetuals over several.

What to do is read off the ledger at every tick, so a stage that takes several ticks (money on its way, then the legs)
needs no memory. Rules are tried in the order of `_RULES`; the first that wants something decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from basis_actors.config import BasisConfig, RunConfig
from basis_actors.messages.market import FundingStamp, MarketSpec
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.basis_moves import BasisMoves, Found
from basis_actors.strategies.funding_window import FundingWindow
from basis_actors.strategies.hedge_book import read_hedge_book
from basis_actors.strategies.order_writer import OrderWriter, exchange

__all__ = ["Basis"]


class Basis(Strategy):
    """Carries the funding that longs of a perpetual pay, without exposure to the price.

    Its only memory is the funding window and the equity at the last rebalance.
    """

    hedged: ClassVar[bool] = True

    def __init__(self, run: RunConfig, *, frictionless: bool) -> None:
        super().__init__(run, frictionless=frictionless)
        assert isinstance(run.mode.strategy_config, BasisConfig)
        self._config = run.mode.strategy_config
        self._window = FundingWindow(self._config.funding_window, self._config.funding_minimum)
        self._reference: float | None = None
        """Flow-adjusted equity at the last rebalance."""

    @property
    def market_spec(self) -> MarketSpec:
        """Spot, one perp a venue, and gas with the price it is paid in."""
        asset, config = self._config.asset, self._config
        return MarketSpec(
            assets=tuple(dict.fromkeys((asset, "ETH"))),
            spot=(f"{config.spot_venue}:{asset}",),
            perps=tuple(
                f"{venue}:{asset}-PERP"
                for venue in config.hedge_allocation
                if (section := exchange(self.run, venue).perp) is not None and asset in section.markets
            ),
            gas=True,
        )

    @property
    def funding_history(self) -> int:
        """As many rates as the window holds."""
        return self._config.funding_window

    def warm_up(self, stamps: tuple[FundingStamp, ...]) -> None:
        """Funding settled before the first tick fills the window."""
        self._window.add(stamps)

    def decide(self, situation: Situation) -> Decision:
        """The first rule that wants something decides, otherwise hold."""
        self._window.add(situation.market.funding)
        config = self._config
        book = read_hedge_book(self.run, situation, config.asset, config.spot_venue, config.hedge_allocation)
        if book is None:
            return Decision.hold(
                f"the spot price of {config.asset} is not known yet", invested=False, constraints=("STRAT-006",)
            )
        weights = {f"{venue}:{config.asset}-PERP": share for venue, share in book.weights.items()}
        funding = self._window.mean(weights)
        writer = OrderWriter(self.run, situation, config.slippage_tolerance, frictionless=self.frictionless)
        adjusted = situation.book.equity - situation.book.external_flows
        moves = BasisMoves(
            self.run,
            config,
            book,
            writer,
            frictionless=self.frictionless,
            funding=funding,
            wanted=situation.pending_withdrawal,
            maintenance=situation.book.risk.maintenance_ratio,
            drift=None if self._reference is None else adjusted / self._reference - 1.0,
        )
        found = next((found for rule in _RULES if (found := rule(moves)) is not None), _NOTHING)
        decision_type, action, reasoning, orders = found
        if action in ("entry_full", "exit_full", "rebalance_full"):
            self._reference = None if action == "exit_full" else adjusted
            action = "entry_partial" if action == "rebalance_full" else action
        return Decision(
            decision_type=decision_type,
            action=action,
            reasoning=reasoning,
            invested=not book.flat,
            orders=orders,
            market_conditions={"spot": book.price, "funding_mean": funding, "left_out": book.left_out},
            portfolio_state={
                "spot_held": book.spot,
                "short": book.short,
                "margin_ratio": {venue: leg.ratio for venue, leg in book.legs.items() if leg.short},
            },
        )


_NOTHING: Final[Found] = ("hold", "none", "within all bands", ())

_RULES: Final[tuple[Callable[[BasisMoves], Found | None], ...]] = (
    BasisMoves.level_delta,
    BasisMoves.obey_margin_limits,
    BasisMoves.wait_for_arrivals,
    BasisMoves.pay_out,
    BasisMoves.leave,
    BasisMoves.enter,
    BasisMoves.top_up_margin,
    BasisMoves.release_margin,
    BasisMoves.resize,
    BasisMoves.deploy,
)
"""Risk first, then the owner, then the position. Only the first two act while money is on its way."""
