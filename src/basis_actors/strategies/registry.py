"""Defines which strategies there are: one line each."""

from __future__ import annotations

from typing import Final

from basis_actors.config import RunConfig
from basis_actors.errors import BasisError
from basis_actors.strategies.base import Strategy
from basis_actors.strategies.basis import Basis
from basis_actors.strategies.pure_lending import PureLending

__all__ = ["STRATEGIES", "build_strategy"]

STRATEGIES: Final[dict[str, type[Strategy]]] = {
    "pure_lending": PureLending,
    "basis": Basis,
}


def build_strategy(run: RunConfig) -> Strategy:
    """The strategy of a mode. Raises BasisError STRAT-003 for a family that cannot be run yet."""
    kind = STRATEGIES.get(run.mode.strategy)
    if kind is None:
        raise BasisError(
            "STRAT-003",
            f"mode {run.mode.mode!r} uses the strategy {run.mode.strategy!r}, which cannot be run yet; strategies that"
            f" can be run: {', '.join(STRATEGIES)}",
        )
    return kind(run)
