"""Generates ether.fi distributions in the published form: weekly EIGEN rows and occasional ETHFI top-ups.

Days are counted from the origin; date columns hold seconds since 1970, as the data layout has them in memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from basis_actors.config.synthetic import EigenRewards, EthfiRewards
from basis_actors.data.synthetic_paths import Array, Paths

__all__ = ["eigen_weekly", "ethfi_topups"]

Days = NDArray[np.int64]
_WEEK = 7
_TOPUP_DELAY = 5
"""Days from the end of a period to its top-up."""


def eigen_weekly(
    model: EigenRewards, paths: Paths, saturday: int, seconds: Callable[[Days], Array]
) -> tuple[Days, dict[str, Array]]:
    """Days and columns of `rewards/eigen_weekly` since the origin.

    `paths` start at the origin, `saturday` is its first Saturday, `seconds` turns days into seconds since 1970.
    """
    days = np.arange(saturday, paths.days, _WEEK)
    restaked = model.restaked * np.exp(model.restaked_sd * paths.midnights("eigen/restaked", model.days)[days])
    idle = model.idle * np.exp(model.idle_sd * paths.midnights("eigen/idle", model.days)[days])
    share = np.round(model.per_eeth_weekly * np.exp(model.sd * paths.midnights("eigen/share", model.days)[days]), 3)
    restaked, idle = np.round(restaked), np.round(idle)
    columns = {
        "period_start": seconds(days - (_WEEK - 1)),
        "eigen_per_eeth_weekly": share,
        "eigen_earned": np.round(share * (restaked + idle)),
        "eth_restaked": restaked,
        "eth_not_restaked": idle,
    }
    return days, columns


def ethfi_topups(
    model: EthfiRewards, paths: Paths, saturday: int, seconds: Callable[[Days], Array]
) -> tuple[Days, dict[str, Array]]:
    """Days and columns of `rewards/ethfi_topups` since the origin; arguments as for `eigen_weekly`."""
    ends = np.arange(saturday, paths.days - _TOPUP_DELAY, _WEEK)
    pick = paths.draws.normal("ethfi/pick", 0, paths.days, 1).ravel()[ends]
    chosen = _uniform(pick) < model.share_of_weeks
    ends = ends[chosen]
    size = paths.draws.normal("ethfi/size", 0, paths.days, 1).ravel()[ends]
    share = np.round(model.per_eeth * np.exp(model.sd * size), 3)
    columns = {
        "period_start": seconds(ends - (_WEEK - 1)),
        "period_end": seconds(ends),
        "ethfi_amount": np.round(share * model.eeth),
        "ethfi_per_eeth_distributed": share,
    }
    return ends + _TOPUP_DELAY, columns


def _uniform(score: Array) -> Array:
    """Values between 0 and 1 of standard normal scores."""
    from math import erf

    return np.array([(1.0 + erf(value / 2.0**0.5)) / 2.0 for value in score.tolist()])
