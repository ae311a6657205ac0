"""Defines the basis trade: long spot on one exchange, short the same amount in perpetuals over several.

What to do is read off the ledger at every tick, so a stage that takes several ticks (money on its way, then the legs)
needs no memory. Rules are tried in the order of `_RULES`; the first that wants something decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from msgspec.structs import replace

from basis_actors.config import BasisConfig, RunConfig
from basis_actors.messages.market import FundingStamp, MarketSpec
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.basis_moves import BasisMoves
from basis_actors.strategies.equity_reference import EquityReference
from basis_actors.strategies.found import Found
from basis_actors.strategies.funding_window import FundingWindow
from basis_actors.strategies.hedge_book import read_hedge_book
from basis_actors.strategies.hedge_moves import Tick
from basis_actors.strategies.hedge_terms import hedge_terms

__all__ = ["Basis"]


class Basis(Strategy):
    """Carries the funding that longs of a perpetual pay, without exposure to the price.

    Its only memory is the funding window and the equity at the last rebalance.
    """

    hedged: ClassVar[bool] = True

    def __init__(self, run: RunConfig) -> None:
        super().__init__(run)
        assert isinstance(run.mode.strategy_config, BasisConfig)
        self._config = run.mode.strategy_config
        self._limits = run.mode.risk_limits
        self._terms = hedge_terms(run, self._config)
        self._window = FundingWindow(self._config.funding_window, self._config.funding_minimum)
        self._reference = EquityReference()

    @property
    def market_spec(self) -> MarketSpec:
        """Spot, one perp a venue, and gas with the price it is paid in."""
        return MarketSpec(
            assets=tuple(dict.fromkeys((self._config.asset, "ETH"))),
            spot=(self._terms.spot_market,),
            perps=tuple(leg.perp for leg in self._terms.legs.values()),
            gas=True,
        )

    @property
    def funding_history(self) -> int:
        """As many rates as the window holds."""
        return self._config.funding_window

    def warm_up(self, stamps: tuple[FundingStamp, ...]) -> None:
        """Funding settled before the first tick fills the window."""
        self._window.add(stamps)

    def restrict_transfers(self, routes: frozenset[tuple[str, str]]) -> None:
        """Positions are sized by what lies where, and what would have to be moved by hand is said."""
        self._terms = replace(self._terms, routes=routes)

    def decide(self, situation: Situation) -> Decision:
        """The first rule that wants something decides, otherwise hold."""
        return self._decide(situation, _RULES)

    def close_all(self, situation: Situation) -> Decision:
        """Close every leg, then gather the cash in the wallet; `invested` until nothing is left to do."""
        return self._decide(situation, _CLOSING)

    def _decide(self, situation: Situation, rules: tuple[Rule, ...]) -> Decision:
        self._window.add(situation.market.funding)
        config, terms = self._config, self._terms
        book = read_hedge_book(terms, situation)
        if book is None:
            return Decision.hold(
                f"the spot price of {config.asset} is not known yet",
                invested=rules is _CLOSING,
                constraints=("STRAT-006",),
            )
        funding = self._window.mean(book.shares.by_perp)
        tick = Tick(self.run, situation, funding, self._reference.drift(situation))
        moves = BasisMoves(config, self._limits, terms, book, tick)
        found = _NOTHING
        for rule in rules:
            wanted = rule(moves)
            if wanted is not None:
                found = wanted
                break
        if found.resets:
            self._reference.reset(situation, leaves=found.action == "exit_full")
        return Decision(
            decision_type=found.decision_type,
            action=found.action,
            reasoning=found.reasoning,
            invested=not book.flat or (rules is _CLOSING and found is not _NOTHING),
            orders=found.orders,
            constraints=(*moves.unpayable(), *found.constraints),
            market_conditions={"spot": book.price, "funding_mean": funding, "left_out": book.shares.left_out},
            portfolio_state={
                "spot_held": book.spot,
                "short": book.short,
                "margin_ratio": book.ratios,
            },
        )


Rule = Callable[[BasisMoves], Found | None]

_NOTHING: Final = Found("hold", "none", "within all bands")

_RULES: Final[tuple[Rule, ...]] = (
    BasisMoves.sell_longs,
    BasisMoves.level_delta,
    BasisMoves.obey_margin_limits,
    BasisMoves.wait_for_arrivals,
    BasisMoves.leave,
    BasisMoves.empty_purses,
    BasisMoves.top_up_margin,
    BasisMoves.pay_out,
    BasisMoves.settle_gas,
    BasisMoves.enter,
    BasisMoves.release_margin,
    BasisMoves.resize,
    BasisMoves.deploy,
)
"""Risk first, then the owner, then the position. Only the first three act while money is on its way."""

_CLOSING: Final[tuple[Rule, ...]] = (BasisMoves.sell_longs, BasisMoves.level_delta, BasisMoves.close)
