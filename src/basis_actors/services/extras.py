"""Says what to install where a part of the package that not everybody needs is missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from basis_actors.errors import ConfigError

__all__ = ["require_monitoring"]

_MONITORING: Final = ("aiohttp", "prometheus_client", "tenacity")


def require_monitoring() -> None:
    """Raise ConfigError CONFIG-003 unless everything that `services.monitoring` imports is there."""
    missing = [package for package in _MONITORING if find_spec(package) is None]
    if missing:
        raise ConfigError(
            "CONFIG-003",
            f"live trading needs {', '.join(missing)}, which is not installed; install the extra live"
            " (pip install 'basis-actors[live]')",
        )
