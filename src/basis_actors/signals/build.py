"""Makes the source of signals that a configuration asks for. What a source needs is loaded when it is made."""

from __future__ import annotations

from pathlib import Path

from basis_actors.config import DirectionalConfig
from basis_actors.errors import ConfigError
from basis_actors.signals.source import SignalSource
from basis_actors.times import NS_PER_SECOND

__all__ = ["build_signal_source"]

_EXTRA_ML = ("sklearn", "threadpoolctl")


def build_signal_source(config: DirectionalConfig, *, perp: str, step_ns: int) -> SignalSource:
    """The source that `config.signal` names, for the perpetual `perp` and ticks `step_ns` apart.

    Raises DataError for a file that cannot be used, ConfigError CONFIG-003 when the extra `ml` is needed and not
    installed.
    """
    signal = config.signal
    if signal.file is not None and signal.source == "file":
        from basis_actors.signals.file import FileSignalSource

        return FileSignalSource(Path(signal.file.path), signal.file.staleness_seconds)
    if signal.http is not None and signal.source == "http":
        from basis_actors.signals.received import ReceivedSignals

        return ReceivedSignals(signal.http.staleness_seconds)
    assert signal.walk_forward_logistic is not None, "configuration has the section of its source"
    try:
        from basis_actors.signals.walk_forward import WalkForwardSource
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in _EXTRA_ML:
            raise
        raise ConfigError(
            "CONFIG-003",
            f"strategy_config.signal.source walk_forward_logistic needs {package}, which is not installed; install"
            " the extra ml (pip install 'basis-actors[ml]') or choose source file",
        ) from missing
    return WalkForwardSource(
        signal.walk_forward_logistic,
        perp=perp,
        asset=config.asset,
        step_ns=step_ns,
        horizon_ns=signal.horizon_hours * 3600 * NS_PER_SECOND,
    )
