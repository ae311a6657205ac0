"""Generates Ethereum fees every two hours: a level that follows demand for months, a daily cycle, short bursts."""

from __future__ import annotations

import math

import numpy as np

from basis_actors.config.synthetic import Gas
from basis_actors.data.synthetic_paths import Array, Paths, blend, quantile_map

__all__ = ["gas_columns"]


def gas_columns(model: Gas, paths: Paths, demand: Array) -> dict[str, Array]:
    """The fee columns of `gas/ethereum_gas` in gwei, at even hours; `paths` and `demand` are hourly."""
    own = paths.wander("gas/level", model.own_days)
    level = model.demand * demand + math.sqrt(1.0 - model.demand**2) * own
    burst = paths.wander("gas/burst", model.fast.days)
    score = blend([(1.0 - model.fast.share, level), (model.fast.share, burst)])[::2]
    base = np.exp(quantile_map(score, model.log_base_fee) + np.tile(model.cycle, paths.days))

    slow = paths.wander("gas/tip", model.own_days)[::2]
    lower, upper, flicker = (paths.white(f"gas/tip/{name}")[::2] for name in ("lower", "upper", "flicker"))
    share = model.tip_slow_share
    tip = np.exp(quantile_map(blend([(share, slow), (1.0 - share, flicker)]), model.log_tip))
    # |z| has its median at 0.6745, so the spreads are the medians of the distances.
    low = tip * np.exp(-model.tip_spread.low * np.abs(lower) / 0.6745)
    high = tip * np.exp(model.tip_spread.high * np.abs(upper) / 0.6745)
    base, low, tip, high = (np.round(fee, 4) for fee in (np.maximum(base, 0.01), low, tip, high))
    return {
        "base_fee_gwei": base,
        "priority_fee_p25_gwei": low,
        "priority_fee_p50_gwei": tip,
        "priority_fee_p75_gwei": high,
        "gas_price_gwei": base + tip,
    }
