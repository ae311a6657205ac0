"""What the documents say of modes: what each is, what it earned, and how their settings differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from basis_actors.config import RunConfig, load_mode, mode_names
from docs_build.results import recorded

__all__ = ["SPECS", "behaviour", "earnings", "family_of", "overview"]

SPECS: Final = {
    "pure_lending_usdt": "01_PURE_LENDING_STRATEGY",
    "pure_lending_eth": "01_PURE_LENDING_STRATEGY",
    "btc_basis": "02_BTC_BASIS_STRATEGY",
    "eth_basis": "03_ETH_BASIS_STRATEGY",
    "eth_staking_only": "04_ETH_STAKING_ONLY_STRATEGY",
    "eth_leveraged": "05_ETH_LEVERAGED_STRATEGY",
    "usdt_market_neutral_no_leverage": "06_USDT_MARKET_NEUTRAL_NO_LEVERAGE_STRATEGY",
    "usdt_market_neutral": "07_USDT_MARKET_NEUTRAL_STRATEGY",
    "ml_btc_directional_btc_margin": "08_ML_BTC_DIRECTIONAL_STRATEGY",
    "ml_btc_directional_usdt_margin": "08_ML_BTC_DIRECTIONAL_STRATEGY",
}
"""The page that a mode is described on, in the order of the pages."""
_SHOWN: Final = 5e-4
"""Share of the capital from which a component of PnL is named."""
_TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "funding": (
        "strategy_config.always_in", "strategy_config.funding_threshold", "strategy_config.exit_threshold",
        "strategy_config.funding_window", "strategy_config.funding_minimum",
    ),
    "signal": (
        "strategy_config.signal_threshold", "strategy_config.confidence_threshold",
        "strategy_config.signal.source", "strategy_config.signal.horizon_hours",
    ),
    "sizes": (
        "strategy_config.leverage", "strategy_config.stake_allocation_percentage", "strategy_config.loop.target_ltv",
        "strategy_config.max_position_size",
    ),
    "dust": (
        "strategy_config.dust_delta", "strategy_config.position_deviation_threshold",
        "strategy_config.gas_reserve_eth",
    ),
    "hedge": (
        "strategy_config.hedge_allocation", "strategy_config.margin_band_low", "strategy_config.margin_band_high",
        "strategy_config.delta_drift_threshold",
    ),
    "loop": (
        "strategy_config.loop.max_ltv", "strategy_config.loop.target_ltv", "strategy_config.loop.ltv_band",
        "strategy_config.loop.rebalance", "strategy_config.loop.min_hold_days",
    ),
    "staking": (
        "strategy_config.lst_type", "strategy_config.unwind_route", "strategy_config.reward_venue",
        "strategy_config.dex_venue",
    ),
    "stops": (
        "strategy_config.take_profit_sd", "strategy_config.stop_loss_sd", "strategy_config.sd_floor_bps",
        "strategy_config.sd_cap_bps",
    ),
    "risk": (
        "risk_limits.max_drawdown", "risk_limits.max_venue_share", "risk_limits.max_asset_exposure",
        "risk_limits.escalation_ticks",
    ),
    "margin": (
        "risk_limits.margin_ratio_reduce", "risk_limits.margin_ratio_exit_half",
        "risk_limits.margin_emergency_multiple", "risk_limits.max_delta_drift",
    ),
    "loan": (
        "risk_limits.health_factor_reduce", "risk_limits.health_factor_emergency", "risk_limits.max_peg_deviation",
    ),
    "orders": (
        "order_limits.max_order_equity", "order_limits.max_venue_share", "order_limits.max_asset_exposure",
        "order_limits.max_leverage",
    ),
    "losses": (
        "order_limits.max_daily_loss", "order_limits.max_drawdown", "order_limits.max_orders_per_minute",
    ),
}  # fmt: skip
"""Keys of a mode file by what they are about."""
_OF_PERPS: Final = ("margin_ratio_reduce", "margin_ratio_exit_half", "margin_emergency_multiple", "max_delta_drift")
"""Limits that every mode file has, and that only say something where perpetuals are held."""
_ABSENT: Final = "–"


def overview() -> str:
    """A row for each mode: what it is."""
    missing = set(mode_names()) - set(SPECS)
    if missing:
        raise RuntimeError(f"modes without a page: {', '.join(sorted(missing))}")
    modes = [(name, _run(name).mode) for name in SPECS]
    rows = [
        (
            f"`{name}`",
            f"`{mode.share_class}`",
            f"[`{mode.strategy}`](STRATEGY_MODES.md#{mode.strategy})",
            f"{mode.tick_interval_seconds / 3600:g} h",
            ", ".join(mode.venues),
        )
        for name, mode in modes
    ]
    return _table(("mode", "share class", "family", "tick", "venues"), rows)


def earnings() -> str:
    """A row for each mode: what it earned on the history, and where that is told."""
    rows = []
    for name, page in SPECS.items():
        result = recorded()[name]
        rows.append(
            (
                f"`{name}`",
                *_components(result),
                f"{result['annualised_return']:+.2%}",
                f"{result['max_drawdown']:.2%}",
                f"[{page[:2]}](specs/strategies/{page}.md), [result](specs/strategies/{page}.md#result-on-real-data)",
            )
        )
    return _table(("mode", "earns", "pays", "a year", "drawdown", "spec"), rows)


def family_of(name: str) -> str:
    """The family of strategies that a mode names."""
    return _run(name).mode.strategy


def _components(result: Mapping[str, Any]) -> tuple[str, str]:
    """Components of PnL, the largest first: what came in, and what went out."""
    shares = {name: amount / result["equity_start"] for name, amount in result["attribution"].items()}
    largest = sorted((name for name in shares if abs(shares[name]) >= _SHOWN), key=lambda name: -abs(shares[name]))
    earned, paid = ([name for name in largest if (shares[name] > 0.0) is sign] for sign in (True, False))
    return ", ".join(earned) or _ABSENT, ", ".join(paid) or _ABSENT


def behaviour(topic: str) -> str:
    """The settings of one topic; modes that have the same share a row, those that have none are left out."""
    paths = _TOPICS[topic]
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in SPECS:
        found = [_at(_run(name), path) for path in paths]
        if any(value is not None for value in found):
            alike.setdefault(tuple(_ABSENT if value is None else _word(value) for value in found), []).append(name)
    rows = [(", ".join(f"`{name}`" for name in names), *values) for values, names in alike.items()]
    return _table(("mode", *(f"`{path.rpartition('.')[2]}`" for path in paths)), rows)


def _at(run: RunConfig, path: str) -> Any:
    """A setting of a mode; None where it has none, or no use for it."""
    key = path.rpartition(".")[2]
    if path.startswith("risk_limits.") and key in _OF_PERPS:
        hedged = hasattr(run.mode.strategy_config, "hedge_allocation")
        trades = any(venue.kind == "exchange" for venue in run.venues.values())
        if not (hedged if key == "max_delta_drift" else trades):
            return None
    value: Any = run.mode
    for part in path.split("."):
        value = getattr(value, part, None)
    return value


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ", ".join(f"{name} {share:g}" for name, share in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


@cache
def _run(name: str) -> RunConfig:
    return load_mode(name, {})
