"""The public market data of an exchange, behind the port: what all exchanges do alike. It has no key and needs none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from basis_actors.errors import Rejected
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.quotes import Price
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.market_streams import watch
from basis_actors.venues.wire.quotes import NS_PER_MS, Quotes

__all__ = ["ExchangeMarketData"]


class ExchangeMarketData:
    """What an exchange publishes of some markets. Close it when it is done with."""

    def __init__(
        self, venue: str, pairs: Iterable[str], caller: Caller, quotes: Quotes, *, timeout_seconds: float
    ) -> None:
        """Made by `build.build_market_data`."""
        self._venue = venue
        self._pairs = tuple(pairs)
        self._caller = caller
        self._quotes = quotes
        self._timeout_seconds = timeout_seconds

    @property
    def venue(self) -> str:
        """Name of the exchange."""
        return self._venue

    async def open(self) -> None:
        """Learn what is traded. Raises Rejected VEN-004 for markets that the exchange does not have, or has closed."""
        listed = await self._quotes.listed()
        missing = [pair for pair in self._pairs if pair not in listed]
        closed = [pair for pair in self._pairs if pair in listed and not listed[pair].trading]
        problems = [
            f"{problem} {', '.join(pairs)}"
            for problem, pairs in (("has no market", missing), ("does not trade at present", closed))
            if pairs
        ]
        if problems:
            raise Rejected("VEN-004", f"{self._venue} {' and '.join(problems)}; mend the configuration")

    async def prices(self) -> tuple[Price, ...]:
        """The last price of every market and the mark price of every perpetual; what is not published is missing."""
        return tuple(await self._quotes.prices())

    async def watch(self, seen: Callable[[Price], object]) -> None:
        """Call `seen` with each price as it is published, until cancelled. Raises Transient when a stream breaks."""
        await watch(self._venue, self._quotes.subscriptions, seen, timeout_seconds=self._timeout_seconds)

    async def funding(self, pair: str, since_ns: int) -> tuple[FundingStamp, ...]:
        """Settled funding of a perpetual at and after `since_ns`, oldest first."""
        self._require_perpetual(pair)
        until_ns = await self._caller.now_ns()
        stamps = await self._quotes.funding(pair, _ms_from(since_ns), until_ns // NS_PER_MS)
        # One from the future would be taken for the newest, and none before it asked for any more.
        by_time = {stamp.ns: stamp for stamp in stamps if since_ns <= stamp.ns <= until_ns}
        return tuple(by_time[ns] for ns in sorted(by_time))

    async def mark_range(self, pair: str, since_ns: int) -> tuple[float, float] | None:
        """Lowest and highest mark price of the minutes that began at or after `since_ns`; None when there is none."""
        self._require_perpetual(pair)
        until_ns, since_ms = await self._caller.now_ns(), _ms_from(since_ns)
        candles = await self._quotes.mark_candles(pair, since_ms, until_ns // NS_PER_MS)
        known = [candle for candle in candles if candle.begin_ms >= since_ms and candle.low and candle.high]
        if not known:
            return None
        return min(float(candle.low) for candle in known), max(float(candle.high) for candle in known)

    async def close(self) -> None:
        """Close the connections that were opened to ask; `watch` closes its own."""
        await self._caller.close()

    def _require_perpetual(self, pair: str) -> None:
        if pair not in self._quotes.perpetuals:
            known = ", ".join(sorted(self._quotes.perpetuals)) or "none"
            raise Rejected("VEN-004", f"{self._venue}: {pair!r} is no configured perpetual; there are: {known}")


def _ms_from(ns: int) -> int:
    """The first millisecond that is not before."""
    return -(-ns // NS_PER_MS)
