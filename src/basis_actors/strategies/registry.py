"""Defines which strategies there are: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from basis_actors.config import RunConfig
from basis_actors.config.plugins import is_reference, outside_code, strategy_class
from basis_actors.errors import BasisError, ConfigError
from basis_actors.messages.market import MarketSpec
from basis_actors.strategies.base import Strategy
from basis_actors.strategies.basis import Basis
from basis_actors.strategies.leveraged_staking import LeveragedStaking
from basis_actors.strategies.market_neutral import MarketNeutral
from basis_actors.strategies.ml_directional import MlDirectional
from basis_actors.strategies.pure_lending import PureLending
from basis_actors.strategies.staking import Staking

__all__ = ["STRATEGIES", "build_strategy", "who"]

STRATEGIES: Final[dict[str, type[Strategy]]] = {
    "pure_lending": PureLending,
    "basis": Basis,
    "staking": Staking,
    "leveraged_staking": LeveragedStaking,
    "market_neutral": MarketNeutral,
    "ml_directional": MlDirectional,
}

_EXPECTED: Final = {
    "hedged": "true or false",
    "market_spec": "a basis_actors.messages.market.MarketSpec, whose parts are tuples of names,",
    "funding_history": "a whole number, 0 or more,",
    "input_hashes": "a mapping from paths to sha256 texts",
}
"""What a strategy says of itself before the first tick, and what it has to be."""


def build_strategy(run: RunConfig) -> Strategy:
    """The strategy of a mode: that of its family, or the class outside the package that it names.

    Raises BasisError STRAT-003 for a family that cannot be run yet, ConfigError CONFIG-003 for a class that does not
    derive from `Strategy`, cannot be made, or says something of itself that nothing can be done with.
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


def who(run: RunConfig) -> str:
    """How an error names a strategy from outside the package."""
    return f"mode {run.mode.mode!r}: strategy {run.mode.strategy}"


def _own(run: RunConfig) -> Strategy:
    kind = strategy_class(run.mode.strategy)
    if not issubclass(kind, Strategy):
        raise ConfigError(
            "CONFIG-003",
            f"mode {run.mode.mode!r}: strategy is {run.mode.strategy!r}, which is {kind!r}; a subclass of"
            " basis_actors.strategies.base.Strategy was expected",
        )
    with outside_code(f"{who(run)}: making it from the run's configuration, {kind.__name__}(run),"):
        strategy = kind(run)
    _require_usable(strategy, run)
    return strategy


def _require_usable(strategy: Strategy, run: RunConfig) -> None:
    """What is asked of a strategy before the first tick is there and of the right type."""
    said: dict[str, object] = {}
    for name in _EXPECTED:
        with outside_code(f"{who(run)}: {name}"):
            said[name] = getattr(strategy, name)
    history, hashes = said["funding_history"], said["input_hashes"]
    right = {
        "hedged": isinstance(said["hedged"], bool),
        "market_spec": isinstance(said["market_spec"], MarketSpec) and _of_names(said["market_spec"]),
        "funding_history": isinstance(history, int) and not isinstance(history, bool) and history >= 0,
        "input_hashes": isinstance(hashes, Mapping)
        and all(isinstance(text, str) for pair in hashes.items() for text in pair),
    }
    for name, expected in _EXPECTED.items():
        if not right[name]:
            raise ConfigError("CONFIG-003", f"{who(run)}: {name} is {said[name]!r}; {expected} was expected")


def _of_names(spec: MarketSpec) -> bool:
    """Whether the parts of a spec are tuples of names; Python does not look, and a text is taken apart letter by
    letter."""
    parts = (getattr(spec, name) for name in spec.__struct_fields__)
    return all(
        isinstance(part, bool) or (isinstance(part, tuple) and all(isinstance(name, str) for name in part))
        for part in parts
    )
