"""Defines which strategies there are: one line each."""

from __future__ import annotations

from typing import Final

from basis_actors.config import RunConfig
from basis_actors.config.plugins import is_reference, strategy_class
from basis_actors.errors import BasisError, ConfigError
from basis_actors.strategies.base import Strategy
from basis_actors.strategies.basis import Basis
from basis_actors.strategies.leveraged_staking import LeveragedStaking
from basis_actors.strategies.market_neutral import MarketNeutral
from basis_actors.strategies.ml_directional import MlDirectional
from basis_actors.strategies.pure_lending import PureLending
from basis_actors.strategies.staking import Staking

__all__ = ["STRATEGIES", "build_strategy"]

STRATEGIES: Final[dict[str, type[Strategy]]] = {
    "pure_lending": PureLending,
    "basis": Basis,
    "staking": Staking,
    "leveraged_staking": LeveragedStaking,
    "market_neutral": MarketNeutral,
    "ml_directional": MlDirectional,
}


def build_strategy(run: RunConfig) -> Strategy:
    """The strategy of a mode: that of its family, or the class outside the package that it names.

    Raises BasisError STRAT-003 for a family that cannot be run yet, ConfigError CONFIG-003 for a class that does not
    derive from `Strategy`.
    """
    if is_reference(run.mode.strategy):
        return _own(run)
    kind = STRATEGIES.get(run.mode.strategy)
    if kind is None:
        raise BasisError(
            "STRAT-003",
            f"mode {run.mode.mode!r} uses the strategy {run.mode.strategy!r}, which cannot be run yet; strategies that"
            f" can be run: {', '.join(STRATEGIES)}",
        )
    return kind(run)


def _own(run: RunConfig) -> Strategy:
    kind = strategy_class(run.mode.strategy)
    if not issubclass(kind, Strategy):
        raise ConfigError(
            "CONFIG-003",
            f"mode {run.mode.mode!r}: strategy is {run.mode.strategy!r}, which is {kind!r}; a subclass of"
            " basis_actors.strategies.base.Strategy was expected",
        )
    return kind(run)
