"""An actor engine that backtests and trades yield and market-neutral strategies over exchanges and protocols.

    import basis_actors

    result = basis_actors.backtest("btc_basis", start="2024-01-01", end="2024-03-31")
    print(result)

What `__all__` names is loaded when it is first used, so importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basis_actors.config import mode_names
    from basis_actors.errors import BasisError, ConfigError, DataError
    from basis_actors.results.store import ResultStore
    from basis_actors.services.api import BacktestResult, ResultFailed, RunFailed, backtest
    from basis_actors.services.backtest import Progress
    from basis_actors.services.service import BacktestService

    __version__: str

__all__ = [
    "BacktestResult",
    "BacktestService",
    "BasisError",
    "ConfigError",
    "DataError",
    "Progress",
    "ResultFailed",
    "ResultStore",
    "RunFailed",
    "__version__",
    "backtest",
    "mode_names",
]

_HOME = {
    "BacktestResult": "basis_actors.services.api",
    "BacktestService": "basis_actors.services.service",
    "BasisError": "basis_actors.errors",
    "ConfigError": "basis_actors.errors",
    "DataError": "basis_actors.errors",
    "Progress": "basis_actors.services.backtest",
    "ResultFailed": "basis_actors.services.api",
    "ResultStore": "basis_actors.results.store",
    "RunFailed": "basis_actors.services.api",
    "backtest": "basis_actors.services.api",
    "mode_names": "basis_actors.config",
}
"""The module that each public name is taken from."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("basis-actors")
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'basis_actors' has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
