"""Defines a book of scaled balances: what one side of a lending account (supply or debt) holds, by token.

Scaled balances are the state; what is shown grows with the index. Each line also keeps the sum of the deltas it gave
out, so that a ledger which adds them up never drifts from the pool, and ends at exactly zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Self

import msgspec

from basis_actors.finance.lending import scaled_amount, shown_amount
from basis_actors.messages.execution import PositionDelta
from basis_actors.messages.market import ReserveState

__all__ = ["ScaledBook"]


class _Line(msgspec.Struct, gc=False):
    key: str
    reserve: str
    """As the market names it."""
    scaled: float
    told: float
    """Sum of every delta that was given out: scaled x index up to rounding."""
    told_at: float
    """Index of the last delta."""


class ScaledBook(dict[str, _Line]):
    """Scaled balances by token. `key_prefix` + token is the position key, `reserve_prefix` + token the reserve as the
    market names it; `index_of` reads the index of a reserve.
    """

    __slots__ = ("_index_of", "_key_prefix", "_reserve_prefix")

    def __init__(self, key_prefix: str, reserve_prefix: str, index_of: Callable[[ReserveState], float]) -> None:
        self._key_prefix = key_prefix
        self._reserve_prefix = reserve_prefix
        self._index_of = index_of

    def copy(self) -> Self:
        """An independent book with the same lines."""
        twin = type(self)(self._key_prefix, self._reserve_prefix, self._index_of)
        for token, line in self.items():
            twin[token] = copy(line)
        return twin

    def amount(self, token: str) -> float:
        """Underlying units shown at the last accrual or change; 0.0 for a token without a line."""
        line = self.get(token)
        return 0.0 if line is None else line.told

    def accrue(self, reserves: Mapping[str, ReserveState]) -> list[PositionDelta]:
        """Balance now minus balance before, for each line whose index moved, with that index."""
        deltas = []
        index_of = self._index_of
        for line in self.values():
            index = index_of(reserves[line.reserve])
            if index != line.told_at:
                grown = line.scaled * index - line.told
                line.told += grown
                line.told_at = index
                deltas.append(PositionDelta(line.key, grown, None, index))
        return deltas

    def change(self, token: str, amount: float, reserve: ReserveState) -> PositionDelta:
        """Add `amount` underlying units (signed); taking exactly what is shown leaves nothing, not even scaled dust."""
        index = self._index_of(reserve)
        scaled = scaled_amount(amount, index)
        line = self.get(token)
        if line is None:
            line = self[token] = _Line(self._key_prefix + token, self._reserve_prefix + token, 0.0, 0.0, index)
        line.scaled += scaled
        line.told += amount
        line.told_at = index
        if line.told == 0.0:
            del self[token]
        return PositionDelta(line.key, amount, None, index)

    def report(self, reserves: Mapping[str, ReserveState]) -> dict[str, float]:
        """Scaled balance x index of every line, by position key."""
        index_of = self._index_of
        return {line.key: shown_amount(line.scaled, index_of(reserves[line.reserve])) for line in self.values()}
