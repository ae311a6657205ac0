"""Defines the market-neutral strategy: part of the equity as staked ether, hedged by shorts that the rest margins.

What to do is read off the ledger at every tick, so an entry in stages (money to the venues, all legs at once, ether to
the wallet, stake or loop) and the way back need no memory. Rules are tried in order; the first that wants something
decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from basis_actors.config import MarketNeutralConfig, RunConfig
from basis_actors.messages.execution import Settlement
from basis_actors.messages.market import FundingStamp, MarketSpec
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.equity_reference import EquityReference
from basis_actors.strategies.found import Found
from basis_actors.strategies.funding_window import FundingWindow
from basis_actors.strategies.growth_window import GrowthWindow
from basis_actors.strategies.hedge_moves import Tick
from basis_actors.strategies.market_neutral_book import neutral_terms, read_neutral_book
from basis_actors.strategies.market_neutral_moves import NeutralMoves
from basis_actors.strategies.market_neutral_tools import NeutralTools
from basis_actors.strategies.pool_limits import PoolLimits

__all__ = ["MarketNeutral"]

Rule = Callable[[NeutralMoves], Found | None]


class MarketNeutral(Strategy):
    """Earns staking, with or without leverage, and funding, without exposure to the price of ether.

    Its only memory is what funding and the staking rate were, the equity at the last rebalance, and what it has
    withdrawn of a pool.
    """

    hedged: ClassVar[bool] = True

    def __init__(self, run: RunConfig) -> None:
        super().__init__(run)
        assert isinstance(run.mode.strategy_config, MarketNeutralConfig)
        self._config = config = run.mode.strategy_config
        self._limits = run.mode.risk_limits
        self._terms = neutral_terms(run, config)
        self._window = FundingWindow(config.funding_window, config.funding_minimum)
        self._growth = None if config.loop is None else GrowthWindow(config.loop.min_hold_days)
        self._reference = EquityReference()
        self._pools = PoolLimits(run)
        self._tools = NeutralTools(run, self._terms, config.loop, self._growth, self._pools)

    @property
    def market_spec(self) -> MarketSpec:
        """Spot, one perp a venue, the staking token with its rewards, gas, and what a loan needs."""
        hedge, lst, loop = self._terms.hedge, self._terms.lst, self._terms.loop
        return MarketSpec(
            assets=(self._config.asset, *lst.rewards),
            spot=(hedge.spot_market, *(f"{lst.reward_venue}:{reward.token}" for reward in self._terms.rewards)),
            perps=tuple(leg.perp for leg in hedge.legs.values()),
            staking=(lst.lst,),
            rewards=(lst.lst,) if lst.rewards else (),
            reserves=() if loop is None else loop.reserves,
            oracle=() if loop is None else (lst.lst, "WETH"),
            gas=True,
        )

    @property
    def funding_history(self) -> int:
        """As many rates as the window holds."""
        return self._config.funding_window

    def warm_up(self, stamps: tuple[FundingStamp, ...]) -> None:
        """Funding settled before the first tick fills the window."""
        self._window.add(stamps)

    def see(self, settlements: Sequence[Settlement]) -> None:
        """Count what is withdrawn of a pool."""
        self._pools.see(settlements)

    def decide(self, situation: Situation) -> Decision:
        """The first rule that wants something decides, otherwise hold."""
        return self._decide(situation, _RULES)

    def de_risk(self, situation: Situation) -> Decision:
        """The rules that only reduce."""
        return self._decide(situation, _REDUCING)

    def close_all(self, situation: Situation) -> Decision:
        """Sell all ether, close every short, gather the cash in the wallet; `invested` until nothing is left to do."""
        return self._decide(situation, _CLOSING)

    def _decide(self, situation: Situation, rules: tuple[Rule, ...]) -> Decision:
        config, terms, closing = self._config, self._terms, rules is _CLOSING
        market = situation.market
        self._window.add(market.funding)
        book = read_neutral_book(terms, situation)
        if book is None:
            return Decision.hold(
                f"the price of {config.asset} or the rate of {config.lst_type} is not known yet",
                invested=closing,
                constraints=("STRAT-006",),
            )
        if self._growth is not None:
            self._growth.add(market.ns, book.eth_per_lst)
        hedge = book.hedge
        funding = self._window.mean(hedge.shares.by_perp)
        tick = Tick(self.run, situation, funding, self._reference.drift(situation))
        moves = NeutralMoves(config, self._limits, terms, book, tick, self._tools)
        found = _NOTHING
        for rule in rules:
            wanted = rule(moves)
            if wanted is not None:
                found = self._pools.withheld(situation, wanted)
                break
        if found.resets:
            self._reference.reset(situation, leaves=found.action == "exit_full")
        return Decision(
            decision_type=found.decision_type,
            action=found.action,
            reasoning=found.reasoning,
            invested=not moves.at_rest or (closing and found is not _NOTHING),
            orders=found.orders,
            constraints=(*found.constraints, *moves.unpayable()),
            market_conditions={
                "spot": book.price,
                "funding_mean": funding,
                "eth_per_lst": book.eth_per_lst,
                "market_rate": book.market_rate,
                "left_out": hedge.shares.left_out,
                **found.figures,
            },
            portfolio_state={
                "staked": book.staked,
                "debt": book.debt,
                "on_exchange": hedge.spot,
                "in_wallet": book.in_wallet,
                "in_transit": book.in_transit,
                "claimed": book.claimed,
                "short": hedge.short,
                "net_delta": book.gap,
                "margin_ratio": hedge.ratios,
                "ltv": book.ltv,
                "health_factor": book.health_factor,
            },
        )


_NOTHING: Final = Found("hold", "none", "within all bands")

_RULES: Final[tuple[Rule, ...]] = (
    NeutralMoves.sell_longs,
    NeutralMoves.level_delta,
    NeutralMoves.keep_loan_healthy,
    NeutralMoves.obey_margin_limits,
    NeutralMoves.keep_ltv_band,
    NeutralMoves.wait_for_arrivals,
    NeutralMoves.leave,
    NeutralMoves.empty_purses,
    NeutralMoves.shift_shorts,
    NeutralMoves.top_up_margin,
    NeutralMoves.pay_out,
    NeutralMoves.settle_gas,
    NeutralMoves.sell_dust,
    NeutralMoves.place,
    NeutralMoves.enter,
    NeutralMoves.restore_leverage,
    NeutralMoves.release_margin,
    NeutralMoves.resize,
    NeutralMoves.deploy,
)
"""Risk first, then the owner, then the position. Only the first five act while money is on its way."""

_REDUCING: Final[tuple[Rule, ...]] = (
    NeutralMoves.sell_longs,
    NeutralMoves.reduce_delta,
    NeutralMoves.keep_loan_healthy,
    NeutralMoves.obey_margin_limits,
    NeutralMoves.keep_ltv_band,
    NeutralMoves.wait_for_arrivals,
    NeutralMoves.leave,
    NeutralMoves.top_up_margin,
    NeutralMoves.pay_out,
    NeutralMoves.settle_gas,
    NeutralMoves.sell_dust,
    NeutralMoves.release_margin,
    NeutralMoves.resize,
)
"""The same without what builds: net delta is levelled by cutting back whichever side is too large."""

_CLOSING: Final[tuple[Rule, ...]] = (
    NeutralMoves.sell_longs,
    NeutralMoves.reduce_delta,
    NeutralMoves.close,
    NeutralMoves.sell_dust,
    NeutralMoves.gather,
)
