"""Makes the connections to an exchange, account and market data, from its configuration.

Importing this needs the extra `live`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple, Protocol

import anyio

from basis_actors.config import ExchangeVenue
from basis_actors.config.secrets import ExchangeKeys
from basis_actors.errors import ConfigError
from basis_actors.ports import ExchangeApi
from basis_actors.venues.wire.adapter import Surroundings, api_of, connect
from basis_actors.venues.wire.answers import ApiCall, Dialect
from basis_actors.venues.wire.binance import BinanceApi
from basis_actors.venues.wire.binance_dialect import BinanceDialect
from basis_actors.venues.wire.binance_quotes import BinanceQuotes
from basis_actors.venues.wire.bybit import BybitApi
from basis_actors.venues.wire.bybit_dialect import BybitDialect
from basis_actors.venues.wire.bybit_endpoints import RATES as BYBIT_RATES
from basis_actors.venues.wire.bybit_quotes import BybitQuotes
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.market_data import ExchangeMarketData
from basis_actors.venues.wire.okx import OkxApi
from basis_actors.venues.wire.okx_dialect import OkxDialect
from basis_actors.venues.wire.okx_endpoints import RATES as OKX_RATES
from basis_actors.venues.wire.okx_quotes import OkxQuotes
from basis_actors.venues.wire.pauses import Pauses
from basis_actors.venues.wire.quotes import Quotes

__all__ = ["KEEP_STOPS", "ExchangeConnection", "build_exchange", "build_market_data"]


class _Public(NamedTuple):
    """How an exchange is asked for its market data."""

    dialect: Callable[[], Dialect]
    quotes: Callable[[Caller, Iterable[str], Mapping[str, str]], Quotes]
    rates: Mapping[str, tuple[int, int]]
    """Where it does not say them itself."""


_EXCHANGES: Final = {"binance": BinanceApi, "bybit": BybitApi, "okx": OkxApi}
"""By venue; a new exchange is one line here."""
KEEP_STOPS: Final = frozenset({("binance", False)})
"""Where stops are kept for us: exchange, and whether for inverse perpetuals. Binance's documentation knows conditional
orders of USD-M alone."""
_MARKETS: Final = {
    "binance": _Public(BinanceDialect, BinanceQuotes, {}),
    "bybit": _Public(BybitDialect, BybitQuotes, BYBIT_RATES),
    "okx": _Public(OkxDialect, OkxQuotes, OKX_RATES),
}
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
    pauses: Pauses,
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    identified: Callable[[str], object] = lambda _: None,
) -> ExchangeConnection:
    """The account of `keys` at an exchange, for the markets `pairs`; `record` is told of every request, `identified`
    what the exchange calls the account, before anything is changed there. `pauses` is the same for all connections of
    a process.

    Raises ConfigError CONFIG-004 for an exchange that cannot be traded live, or for a name of no market.
    """
    adapter = _EXCHANGES.get(config.venue)
    if adapter is None:
        known = ", ".join(_EXCHANGES)
        raise ConfigError("CONFIG-004", f"{config.venue} cannot be traded live yet; there are: {known}")
    return adapter(config, pairs, keys, Surroundings(record, monotonic_ns, sleep, pauses, identified))


def build_market_data(
    config: ExchangeVenue,
    pairs: Iterable[str],
    *,
    record: Callable[[ApiCall], None],
    pauses: Pauses,
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> ExchangeMarketData:
    """What an exchange publishes of the markets `pairs`, without any key; `record` and `pauses` as of `build_exchange`.

    Raises ConfigError CONFIG-004 as `build_exchange`.
    """
    public = _MARKETS.get(config.venue)
    if public is None:
        known = ", ".join(_MARKETS)
        raise ConfigError("CONFIG-004", f"{config.venue} has no live market data yet; there are: {known}")
    caller = connect(config, None, Surroundings(record, monotonic_ns, sleep, pauses), public.dialect(), {})
    for host, (requests, length_ns) in public.rates.items():
        caller.budget.set_rate(host, requests, length_ns)
    wanted = tuple(pairs)
    quotes = public.quotes(caller, wanted, config.urls)
    return ExchangeMarketData(config.venue, wanted, caller, quotes, timeout_seconds=api_of(config).timeout_seconds)
