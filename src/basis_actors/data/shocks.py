"""Defines what a stress scenario does to a data set: a changed copy, in which nothing known before a shock differs.

A shock over (S, E] changes only what becomes known in there, but for moves that last. All prices of an asset move by
one factor, bars keep `low <= open, close <= high`, and the indices of a reserve grow by the rates they are shown with.
Of an outage, only the missing bars are its business here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

import numpy as np
from numpy.typing import NDArray

from basis_actors.config.model import Problem
from basis_actors.config.scenarios import (
    FundingShock,
    GasShock,
    LstShock,
    OutageShock,
    PriceShock,
    ReserveShock,
    Scenario,
    Shock,
    StaleShock,
)
from basis_actors.config.synthetic import AaveReserve
from basis_actors.data.calibration import load_calibration
from basis_actors.data.columns import delay_of
from basis_actors.data.dataset import Dataset, Series
from basis_actors.data.stamps import HOUR

__all__ = ["shocked", "span_of", "without_rows"]

_Array = NDArray[np.float64]
_Rows = NDArray[np.bool_]

_HOURS_PER_YEAR: Final = 8760.0


def span_of(shock: Shock, start_ns: int) -> tuple[int, int]:
    """When a shock begins and ends (ns), counted from `start_ns`; the move of a price has no way back."""
    if isinstance(shock, PriceShock):
        hours = shock.over_hours
    elif isinstance(shock, LstShock):
        hours = shock.over_hours + shock.hours + shock.recovery_hours
    else:
        hours = shock.hours
    begin_ns = start_ns + round(shock.start_hours * HOUR)
    return begin_ns, begin_ns + round(hours * HOUR)


def shocked(dataset: Dataset, scenario: Scenario, start_ns: int) -> Dataset:
    """A copy of `dataset` in which the shocks of `scenario` happen, their hours counted from `start_ns`.

    Raises ConfigError CONFIG-003, with file and key, for a shock that changes no row of the data. One that finds no row
    because an earlier one has taken them, an outage within an outage, is none of those.
    """
    series = dict(dataset.series)
    for index, shock in enumerate(scenario.config.shocks):
        changed = _all_changed(shock, series, start_ns)
        if not changed and not _all_changed(shock, dataset.series, start_ns):
            scenario.refuse([_without_effect(shock, index, dataset)])
        series |= changed
    return replace(dataset, series=series, origin=f"{dataset.origin}, scenario {scenario.name}")


def without_rows(dataset: Dataset, scenario: Scenario, start_ns: int) -> Iterator[Problem]:
    """Each outage or stale shock that takes the last row of a series."""
    series = dict(dataset.series)
    for index, shock in enumerate(scenario.config.shocks):
        changed = _all_changed(shock, series, start_ns)
        taken = sorted(name for name, new in changed.items() if not len(new.ns))
        if taken and isinstance(shock, OutageShock | StaleShock):
            text = (
                f"is {shock.hours:g}; from start_hours {shock.start_hours:g} on that leaves no row of {taken[0]}"
                f"{f' and {len(taken) - 1} more series' if len(taken) > 1 else ''}: a later start_hours or fewer hours"
                " were expected"
            )
            yield Problem(("shocks", str(index), "hours"), text)
        series |= changed


def _all_changed(shock: Shock, series: Mapping[str, Series], start_ns: int) -> dict[str, Series]:
    """The series that a shock changes, as it leaves them."""
    begin_ns, end_ns = span_of(shock, start_ns)
    changed: dict[str, Series] = {}
    for name in _touched(shock, series):
        new = _changed(shock, series[name], begin_ns, end_ns)
        if new is not None:
            changed[name] = new
    return changed


def _without_effect(shock: Shock, index: int, dataset: Dataset) -> Problem:
    at = ("shocks", str(index))
    there = ", ".join(sorted(dataset.series))
    if isinstance(shock, StaleShock):
        text = f"is {shock.series!r}, and no series of that name has a row then ({dataset.origin}); there are: {there}"
        return Problem((*at, "series"), text)
    if isinstance(shock, FundingShock):
        there = ", ".join(perp for name in sorted(dataset.series) if (perp := _perp_of(name)) is not None)
        text = f"is {shock.perps!r}, and no perpetual of that name is settled then; there are: {there}"
        return Problem((*at, "perps"), text)
    return Problem(at, f"changes no row of the data ({dataset.origin}); choose start_hours within the window")


def _perp_of(name: str) -> str | None:
    """`binance:BTC-PERP` for the funding series of that perpetual; None for any other series."""
    found = re.fullmatch(r"cex/([^/]+)/(\w+)USDT_funding", name)
    return None if found is None else f"{found[1]}:{found[2]}-PERP"


def _touched(shock: Shock, names: Iterable[str]) -> list[str]:
    """Names of the series that a shock has to do with."""
    if isinstance(shock, FundingShock):
        return [name for name in names if (perp := _perp_of(name)) is not None and fnmatchcase(perp, shock.perps)]
    if isinstance(shock, StaleShock):
        return [name for name in names if fnmatchcase(name, shock.series)]
    if isinstance(shock, PriceShock):
        assets = f"({'|'.join(shock.assets)})"
        pattern = rf"cex/[^/]+/{assets}USDT_\w+|dex/[^/]+/W?{assets}USDT_spot|oracle/(W|we|wst)?{assets}_USD"
    elif isinstance(shock, OutageShock):
        pattern = rf"cex/{re.escape(shock.venue)}/\w+_(spot|perp|mark)"
    elif isinstance(shock, LstShock):
        pattern = f"staking/{shock.lst}_market_rate"
    elif isinstance(shock, ReserveShock):
        pattern = f"aave_v3/{shock.token}_rates"
    else:
        pattern = r"gas/\w+_gas"
    return [name for name in names if re.fullmatch(pattern, name)]


def _changed(shock: Shock, series: Series, begin_ns: int, end_ns: int) -> Series | None:
    """The series as the shock leaves it; None when that is as it was."""
    known_ns = series.ns + delay_of(series)
    if isinstance(shock, PriceShock):
        return _moved(shock, series, begin_ns)
    if isinstance(shock, ReserveShock):
        return _reserve(shock, series, begin_ns, end_ns)
    within = (known_ns > begin_ns) & (known_ns <= end_ns)
    if not within.any():
        return None
    if isinstance(shock, OutageShock | StaleShock):
        kept = {name: values[~within] for name, values in series.columns.items()}
        return replace(series, ns=series.ns[~within], columns=kept)
    if isinstance(shock, FundingShock):
        rate = series.columns["funding_rate"]
        new = np.full_like(rate, shock.set) if shock.set is not None else rate + (shock.add or 0.0)
        return _with(series, funding_rate=np.where(within, new, rate))
    if isinstance(shock, LstShock):
        away = _share(known_ns, begin_ns, shock.over_hours)
        back = _share(known_ns, begin_ns + round((shock.over_hours + shock.hours) * HOUR), shock.recovery_hours)
        factor = np.exp(np.log1p(shock.change) * (away - back))
        return _with(series, market_rate_median_24h=series.columns["market_rate_median_24h"] * factor)
    return _gas(shock, series, within)


def _with(series: Series, **columns: _Array) -> Series:
    return replace(series, columns={**series.columns, **columns})


def _share(ns: NDArray[np.int64], begin_ns: int, hours: float) -> _Array:
    """How much of something that takes `hours` from `begin_ns` on is done, from 0 to 1."""
    share: _Array = np.clip((ns - begin_ns) / (hours * HOUR), 0.0, 1.0)
    return share


def _moved(shock: PriceShock, series: Series, begin_ns: int) -> Series | None:
    """Prices after a move; inside a bar the extremes take the larger or smaller factor of its two ends."""

    def factor(ns: NDArray[np.int64]) -> _Array:
        moved: _Array = np.exp(np.log1p(shock.change) * _share(ns, begin_ns, shock.over_hours))
        return moved

    columns = series.columns
    at_open, at_close = factor(series.ns), factor(series.ns + delay_of(series))
    if not (at_close != 1.0).any():
        return None
    if "close" in columns:
        return _with(
            series,
            open=columns["open"] * at_open,
            high=columns["high"] * np.maximum(at_open, at_close),
            low=columns["low"] * np.minimum(at_open, at_close),
            close=columns["close"] * at_close,
        )
    for name in ("price", "mark_price"):
        if name in columns:
            return _with(series, **{name: columns[name] * at_open})
    return None


def _gas(shock: GasShock, series: Series, within: _Rows) -> Series:
    base = np.where(within, shock.gwei, series.columns["base_fee_gwei"])
    if "gas_price_gwei" not in series.columns:
        return _with(series, base_fee_gwei=base)
    price = np.where(within, base + series.columns["priority_fee_p50_gwei"], series.columns["gas_price_gwei"])
    return _with(series, base_fee_gwei=base, gas_price_gwei=price)


def _reserve(shock: ReserveShock, series: Series, begin_ns: int, end_ns: int) -> Series | None:
    """Rates at the stamps inside the shock, and indices that grow by the same rates while it lasts.

    A row at its very end shows what holds from then on. Debt grows continuously and supply by the hour, as in
    `ReservePaths`.
    """
    columns = series.columns
    within = (series.ns > begin_ns) & (series.ns < end_ns)
    here = np.concatenate(([0.0], _overlap_hours(series.ns, begin_ns, end_ns)))
    if not here.any():
        return None
    reserve = load_calibration().lending.reserves[shock.token]
    utilization, borrow, supply = _rates(shock, columns, reserve)
    indices = {}
    for name, hourly in (
        ("liquidity_index", np.log1p(supply / _HOURS_PER_YEAR)),
        ("variable_borrow_index", borrow / _HOURS_PER_YEAR),
    ):
        index = columns[name]
        usual = np.diff(np.log(index)) / (np.diff(series.ns) / HOUR)
        more = here * np.concatenate(([0.0], hourly[:-1] - usual))
        indices[name] = index * np.exp(np.cumsum(more))
    shown = {
        "utilization": np.where(within, utilization, columns["utilization"]),
        "variable_borrow_rate_apr": np.where(within, borrow, columns["variable_borrow_rate_apr"]),
        "liquidity_rate_apr": np.where(within, supply, columns["liquidity_rate_apr"]),
    }
    if "total_variable_debt" in columns:
        shown["total_variable_debt"] = np.where(
            within, columns["total_supplied"] * utilization, columns["total_variable_debt"]
        )
    return _with(series, **indices, **shown)


def _rates(shock: ReserveShock, columns: dict[str, _Array], reserve: AaveReserve) -> tuple[_Array, _Array, _Array]:
    """Utilization, borrow and supply rate under the shock, for every row; what is not given follows from what is."""
    curve = reserve.curve
    utilization, borrow = columns["utilization"], columns["variable_borrow_rate_apr"]
    if shock.utilization is not None:
        utilization = np.full_like(utilization, shock.utilization)
        below = min(shock.utilization / curve.optimal, 1.0)
        above = max(shock.utilization - curve.optimal, 0.0) / (1.0 - curve.optimal)
        borrow = np.full_like(borrow, curve.base + curve.slope1 * below + curve.slope2 * above)
    if shock.borrow_apr is not None:
        borrow = np.full_like(borrow, shock.borrow_apr)
    supply: _Array = borrow * utilization * (1.0 - reserve.reserve_factor)
    if shock.supply_apr is not None:
        supply = np.full_like(supply, shock.supply_apr)
    return utilization, borrow, supply


def _overlap_hours(ns: NDArray[np.int64], begin_ns: int, end_ns: int) -> _Array:
    """Hours of the shock between each stamp and the next."""
    overlap: _Array = np.maximum(np.minimum(ns[1:], end_ns) - np.maximum(ns[:-1], begin_ns), 0) / HOUR
    return overlap
