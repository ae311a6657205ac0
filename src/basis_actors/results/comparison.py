"""Sets two results side by side: numbers, attribution, configuration and data, with what differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from basis_actors.logs.directory import RunStatus
from basis_actors.results.loaded import LoadedResult
from basis_actors.results.summary import RunSummary

__all__ = [
    "AMOUNTS",
    "COUNTS",
    "RATIOS",
    "SHARES",
    "Comparison",
    "Difference",
    "NumberPair",
    "Side",
    "compare",
]

ABSENT: Final = "(absent)"
"""Stands for what one of two results does not have."""
AMOUNTS: Final = ("equity_start", "equity_end", "external_flows", "total_pnl", "fees_paid", "funding_received")
"""Fields of `RunSummary` that are in the share class."""
SHARES: Final = (
    "total_return", "annualised_return", "volatility", "max_drawdown", "max_drawdown_intraday", "time_invested",
)  # fmt: skip
"""Those that are fractions."""
RATIOS: Final = ("sharpe", "lowest_health_factor", "lowest_margin_ratio", "unhedged_hours")
COUNTS: Final = ("ticks", "orders", "rejections", "groups", "liquidations", "error_count")
_NUMBERS: Final = (*AMOUNTS, *SHARES, *RATIOS, *COUNTS)
"""What is compared; what depends on the machine is not."""


def _about(text: str) -> Meta:
    return Meta(description=text)


class NumberPair(msgspec.Struct, frozen=True):
    """One number of two results."""

    name: str
    first: float | None
    second: float | None
    difference: Annotated[
        float | None, _about("second - first; null when one is not known, and for amounts in different currencies.")
    ]


class Difference(msgspec.Struct, frozen=True):
    """Something that is not the same in two results."""

    name: str
    first: Any
    second: Any


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two results."""

    id: str
    mode: str
    status: RunStatus
    start: datetime | None
    end: datetime | None
    currency: Annotated[str, _about("What its amounts are in.")]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two results. Amounts are in the share class of each, rates and shares are fractions."""

    first: Side
    second: Side
    numbers: Annotated[list[NumberPair], _about("Numbers of the summaries, also those that are equal.")]
    attribution: Annotated[
        list[NumberPair], _about("PnL by component, residual included; 0 where one of them lacks a component.")
    ]
    config: Annotated[
        list[Difference],
        _about(
            "Keys of the configuration that differ, as dotted paths, and under options. how the runs were asked for"
            " (window, capital and flows, runtime); (absent) where one lacks it."
        ),
    ]
    data: Annotated[
        list[Difference],
        _about(
            "Files whose sha256 differ, (absent) where one of the runs did not read the file; synthetic markets, by"
            " their seed."
        ),
    ]


def compare(first: LoadedResult, second: LoadedResult) -> Comparison:
    """Set `second` against `first`. Raises as reading their configurations does."""
    one, other = first.summary, second.summary
    return Comparison(
        first=_side(first),
        second=_side(second),
        numbers=list(_numbers(one, other)),
        attribution=list(_attribution(one, other)),
        config=list(_differences(_settings(first), _settings(second))),
        data=list(_differences(_data(first), _data(second))),
    )


def _side(result: LoadedResult) -> Side:
    summary = result.summary
    return Side(
        id=result.id,
        mode=summary.mode,
        status=result.metadata.status,
        start=summary.start,
        end=summary.end,
        currency=summary.currency,
    )


def _settings(result: LoadedResult) -> dict[str, object]:
    """Keys of the configuration and how the run was asked for. What was set on the command line is left out: it is in
    the configuration already, under the keys that it changed.
    """
    options = {name: value for name, value in result.metadata.options.items() if name != "settings"}
    return {"options": options, **result.config}


def _data(result: LoadedResult) -> dict[str, str]:
    seed = result.summary.synthetic_seed
    market = {} if seed is None else {"market": result.metadata.data_origin or f"synthetic, seed {seed}"}
    return market | result.metadata.data_hashes


def _numbers(one: RunSummary, other: RunSummary) -> Iterator[NumberPair]:
    for name in _NUMBERS:
        comparable = name not in AMOUNTS or one.currency == other.currency
        yield _pair(name, getattr(one, name), getattr(other, name), comparable=comparable)


def _pair(name: str, first: float | None, second: float | None, *, comparable: bool) -> NumberPair:
    difference = second - first if comparable and first is not None and second is not None else None
    return NumberPair(name, first, second, difference)


def _attribution(one: RunSummary, other: RunSummary) -> Iterator[NumberPair]:
    parts = ({**summary.attribution, "residual": summary.residual} for summary in (one, other))
    first, second = parts
    comparable = one.currency == other.currency
    for name in dict.fromkeys(chain(first, second)):
        yield _pair(name, first.get(name, 0.0), second.get(name, 0.0), comparable=comparable)


def _differences(first: object, second: object, path: str = "") -> Iterator[Difference]:
    """Where two nested values part, a branch that only one of them has as a whole."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys(chain(first, second)):
            inside = first.get(key, ABSENT), second.get(key, ABSENT)
            yield from _differences(*inside, f"{path}.{key}" if path else str(key))
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        for index, pair in enumerate(zip(first, second, strict=True)):
            yield from _differences(*pair, f"{path}.{index}")
    elif first != second:
        yield Difference(path, first, second)
