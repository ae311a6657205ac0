"""Reads the staleness limits of a configuration as nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from basis_actors.times import NS_PER_SECOND

if TYPE_CHECKING:
    from basis_actors.config.models import DataConfig

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """For how long after it became known a value counts as fresh, in nanoseconds."""

    spot: int
    perp: int
    mark: int
    reserve: int
    staking: int
    oracle: int
    gas: int

    @classmethod
    def from_config(cls, data: DataConfig) -> Limits:
        """The limits of `data.staleness_seconds`."""
        seconds = data.staleness_seconds
        return cls(
            spot=_ns(seconds.spot),
            perp=_ns(seconds.perp),
            mark=_ns(seconds.mark),
            reserve=_ns(seconds.reserve),
            staking=_ns(seconds.staking),
            oracle=_ns(seconds.oracle),
            gas=_ns(seconds.gas),
        )


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_SECOND)
