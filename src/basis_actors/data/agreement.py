"""Compares what series say of the same asset: a price in another unit, or that of another asset, passes every other
check and makes a result that is wrong without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from basis_actors.data.dataset import Series
from basis_actors.data.stamps import iso
from basis_actors.data.validation import Problem

__all__ = ["disagreements"]

_PRICES: Final = re.compile(r"cex/[a-z0-9]+/([A-Z0-9]+)_(?:spot|perp|mark)")
_FACTOR: Final = 5.0
"""No two markets of an asset closed an hour this far apart; the units and assets that are confused are further."""


def disagreements(series: Mapping[str, Series]) -> Iterator[tuple[str, Problem]]:
    """Yield series whose closes are not those of the first series of the same asset, by name, each with its first row
    where that shows. Stamps that only one of the two has are not compared.
    """
    firsts: dict[str, Series] = {}
    for name in sorted(series):
        found = _PRICES.fullmatch(name)
        if found is None:
            continue
        ours, first = series[name], firsts.setdefault(found[1], series[name])
        stamps, rows, theirs = np.intersect1d(ours.ns, first.ns, assume_unique=True, return_indices=True)
        closes, others = ours.columns["close"][rows], first.columns["close"][theirs]
        apart = np.flatnonzero((closes > others * _FACTOR) | (closes < others / _FACTOR))
        if apart.size:
            at = int(apart[0])
            text = (
                f"{float(closes[at])!r}, and {float(others[at])!r} in {first.name}; prices of one asset within a factor"
                f" of {_FACTOR:g} were expected: one of them is in another unit, or of another asset"
            )
            yield name, Problem(int(rows[at]) + 1, iso(int(stamps[at])), "close", text, int(apart.size))
