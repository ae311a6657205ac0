"""Puts on a bus what asks an endpoint for signals, and refuses such signals where nothing answers."""

from __future__ import annotations

from basis_actors.actors.signal_poller import SignalPoller, polling
from basis_actors.bus import Bus
from basis_actors.config import DirectionalConfig, HttpSignals, RunConfig
from basis_actors.errors import ConfigError

__all__ = ["add_signal_poller", "refuse_live_signals"]

_EXTRA_LIVE = ("httpx", "tenacity")


def add_signal_poller(bus: Bus, run: RunConfig) -> None:
    """Have the endpoint of a mode asked, if it has one; the strategy manager must be on the bus.

    Raises ConfigError CONFIG-003 when the extra `live` is needed and not installed.
    """
    config = _endpoint_of(run)
    if config is None:
        return
    try:
        from basis_actors.signals.endpoint import HttpSignalEndpoint
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in _EXTRA_LIVE:
            raise
        raise ConfigError(
            "CONFIG-003",
            f"strategy_config.signal.source http needs {package}, which is not installed; install the extra live"
            " (pip install 'basis-actors[live]') or choose source file",
        ) from missing
    poller = SignalPoller()
    bus.add(poller)
    bus.add_source(poller.name, polling(HttpSignalEndpoint(config), config.poll_seconds))


def refuse_live_signals(run: RunConfig) -> None:
    """Raise ConfigError CONFIG-003 for a mode whose signals come from an endpoint: it knows nothing of the past."""
    config = _endpoint_of(run)
    if config is not None:
        raise ConfigError(
            "CONFIG-003",
            f"strategy_config.signal.source is http ({config.url}), which answers in live trading only; a backtest"
            " needs source file or walk_forward_logistic",
        )


def _endpoint_of(run: RunConfig) -> HttpSignals | None:
    strategy = run.mode.strategy_config
    if not isinstance(strategy, DirectionalConfig) or strategy.signal.source != "http":
        return None
    return strategy.signal.http
