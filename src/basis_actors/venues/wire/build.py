"""Makes the connection to an exchange from its configuration. Importing this needs the extra `live`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

import anyio

from basis_actors.config import ExchangeVenue
from basis_actors.config.secrets import ExchangeKeys
from basis_actors.errors import ConfigError
from basis_actors.ports import ExchangeApi
from basis_actors.venues.wire.adapter import Surroundings
from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.binance import BinanceApi
from basis_actors.venues.wire.bybit import BybitApi
from basis_actors.venues.wire.okx import OkxApi

__all__ = ["ExchangeConnection", "build_exchange"]

_EXCHANGES: Final = {"binance": BinanceApi, "bybit": BybitApi, "okx": OkxApi}
"""By venue; a new exchange is one line here."""


class ExchangeConnection(ExchangeApi, Protocol):
    """The port, and the end of it."""

    async def close(self) -> None:
        """Close the connections; nothing is asked after that."""
        ...


def build_exchange(
    config: ExchangeVenue,
    pairs: Iterable[str],
    keys: ExchangeKeys | None,
    *,
    record: Callable[[ApiCall], None],
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> ExchangeConnection:
    """The account of `keys` at an exchange, for the markets `pairs`; `record` is told of every request.

    Raises ConfigError CONFIG-004 for an exchange that cannot be traded live, or for a name of no market.
    """
    adapter = _EXCHANGES.get(config.venue)
    if adapter is None:
        known = ", ".join(_EXCHANGES)
        raise ConfigError("CONFIG-004", f"{config.venue} cannot be traded live yet; there are: {known}")
    return adapter(config, pairs, keys, Surroundings(record, monotonic_ns, sleep))
