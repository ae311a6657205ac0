"""Defines ccxt itself as a customer of the local exchange: whoever wrote it knows nothing of our adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.exchange.binance import KEY, SECRET, LocalBinance

from basis_actors.venues.wire.addresses import replaced


@asynccontextmanager
async def ccxt_customer(exchange: LocalBinance, *, streams: bool = False, **options: Any) -> AsyncIterator[Any]:
    """ccxt's Binance, with its own ideas of markets, numbers and errors; its clock is put right."""
    if streams:
        from ccxt import pro as ccxt
    else:
        from ccxt import async_support as ccxt
    config = {"apiKey": KEY, "secret": SECRET, "enableRateLimit": False, "timeout_on_exit": 0, "timeout": 2000}
    customer = ccxt.binance(config | {"options": {"fetchMargins": False} | options})
    customer.urls["api"] = replaced("binance", customer.urls["api"], exchange.urls)
    customer.milliseconds = lambda: exchange.clock.ms
    try:
        yield customer
    finally:
        await customer.close()
