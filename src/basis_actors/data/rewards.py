"""Defines when season rewards are paid and how much an ETH earns, from the distributions that ether.fi publishes.

A row is paid at the first Monday 00:00 UTC strictly after its last day + 1 day, a top-up at its own stamp if that is
later; both are after the row is known. Periods are whole days, the last one included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from basis_actors.data.dataset import Series
from basis_actors.data.stamps import DAY, iso
from basis_actors.errors import DataError
from basis_actors.messages.market import RewardStamp

__all__ = ["due_rewards"]

_WEEK: Final = 7 * DAY
_FIRST_MONDAY: Final = 4 * DAY
"""1970-01-05, in nanoseconds."""
_LONGEST_PUBLISHED: Final = 2 * _WEEK
"""Published figures are those of a week; the first EIGEN row covers 52 days and publishes a sixth of their sum."""


def due_rewards(lst: str, series: Series) -> tuple[RewardStamp, ...]:
    """Every payment to holders of `lst` that the rows of `series` announce, in their order.

    `series` is `rewards/eigen_weekly` or `rewards/ethfi_topups`. Raises DataError DATA-002 for a row whose period
    ends before it starts, or whose total is to be shared among nobody; ValueError for another series.
    """
    if series.name == "rewards/eigen_weekly":
        return tuple(_eigen(lst, series))
    if series.name == "rewards/ethfi_topups":
        return tuple(_ethfi(lst, series))
    raise ValueError(f"{series.name} holds no rewards; expected rewards/eigen_weekly or rewards/ethfi_topups")


def _eigen(lst: str, series: Series) -> Iterator[RewardStamp]:
    starts = _nanoseconds(series, "period_start")
    share = series.columns["eigen_per_eeth_weekly"].tolist()
    earned = series.columns["eigen_earned"].tolist()
    pool = (series.columns["eth_restaked"] + series.columns["eth_not_restaked"]).tolist()
    for row, ns in enumerate(series.ns.tolist()):
        last_day = ns - ns % DAY
        _check_period(series, row, starts[row], last_day)
        per_eth = share[row]
        if last_day + DAY - starts[row] > _LONGEST_PUBLISHED:
            if pool[row] <= 0.0:
                raise DataError(
                    "DATA-002",
                    f"{series.name}: row {row + 1} ({iso(ns)}): {earned[row]:g} EIGEN were earned by eth_restaked + "
                    f"eth_not_restaked = {pool[row]:g} ETH; expected more than 0",
                )
            per_eth = earned[row] / pool[row]
        yield RewardStamp(_monday_after(last_day + DAY), lst, "EIGEN", per_eth, starts[row], last_day + DAY)


def _ethfi(lst: str, series: Series) -> Iterator[RewardStamp]:
    starts, ends = _nanoseconds(series, "period_start"), _nanoseconds(series, "period_end")
    share = series.columns["ethfi_per_eeth_distributed"].tolist()
    for row, ns in enumerate(series.ns.tolist()):
        _check_period(series, row, starts[row], ends[row])
        paid_ns = max(_monday_after(ends[row] + DAY), ns)
        yield RewardStamp(paid_ns, lst, "ETHFI", share[row], starts[row], ends[row] + DAY)


def _monday_after(ns: int) -> int:
    """The first Monday 00:00 UTC after `ns`, never `ns` itself."""
    return ((ns - _FIRST_MONDAY) // _WEEK + 1) * _WEEK + _FIRST_MONDAY


def _nanoseconds(series: Series, column: str) -> list[int]:
    days: list[int] = (np.round(series.columns[column]).astype(np.int64) * 10**9).tolist()
    return days


def _check_period(series: Series, row: int, first_day: int, last_day: int) -> None:
    if first_day > last_day:
        raise DataError(
            "DATA-002",
            f"{series.name}: row {row + 1} ({iso(series.ns[row])}): the period starts on {iso(first_day)[:10]} and "
            f"ends on {iso(last_day)[:10]}; expected an end on or after its start",
        )
