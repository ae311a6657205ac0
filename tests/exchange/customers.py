"""Defines ccxt itself as a customer of the local exchange: whoever wrote it knows nothing of our adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.exchange.server import KEY, PASSPHRASE, SECRET, LocalExchange

from basis_actors.venues.wire.addresses import replaced


@asynccontextmanager
async def ccxt_customer(exchange: LocalExchange, *, streams: bool = False, **options: Any) -> AsyncIterator[Any]:
    """ccxt's own class of the exchange, with its ideas of markets, numbers and errors; its clock is put right."""
    if streams:
        from ccxt import pro as ccxt
    else:
        from ccxt import async_support as ccxt
    venue = exchange.venue
    config = {"apiKey": KEY, "secret": SECRET, "enableRateLimit": False, "timeout_on_exit": 0, "timeout": 2000}
    config |= {"password": PASSPHRASE} if venue == "okx" else {}
    customer = getattr(ccxt, venue)(config | {"options": {"fetchMargins": False} | options})
    customer.urls["api"] = replaced(venue, customer.urls["api"], exchange.urls)
    customer.milliseconds = lambda: exchange.clock.ms
    try:
        yield customer
    finally:
        await customer.close()
