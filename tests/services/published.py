"""An exchange that publishes what a test says, for a live market: prices, funding, a stream that does as it is told."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import anyio

from basis_actors.errors import VenueError
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.quotes import Price, PriceKind


class Published:
    """One exchange. What is in `broken` is raised by the call of that name; `None` in its place lets it pass."""

    def __init__(self, venue: str, pairs: tuple[str, ...], now: Callable[[], int]) -> None:
        self.venue = venue
        self.now = now
        self.last: dict[str, float] = dict.fromkeys(pairs, 100.0)
        self.mark: dict[str, float] = {pair: 100.0 for pair in pairs if pair.endswith("-PERP")}
        self.rates: dict[str, list[FundingStamp]] = {pair: [] for pair in self.mark}
        self.ranges: dict[str, tuple[float, float] | None] = dict.fromkeys(self.mark)
        self.broken: dict[str, list[VenueError | None]] = {}
        self.asked: list[str] = []
        self.hangs: anyio.Event | None = None
        """Set what is not to answer before a test says so."""
        self.connections = 0
        self.open_streams = 0
        self.closed = 0
        self._seen: Callable[[Price], object] | None = None
        self._broke = anyio.Event()
        self._reason: VenueError | None = None
        self._moments = count(1)

    async def _asked(self, name: str) -> None:
        self.asked.append(name)
        if self.hangs is not None:
            await self.hangs.wait()
        errors = self.broken.get(name)
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error

    def _price(self, pair: str, kind: PriceKind) -> Price:
        prices = self.last if kind is PriceKind.LAST else self.mark
        return Price(pair, kind, prices[pair], next(self._moments))

    async def open(self) -> None:
        await self._asked("open")

    async def prices(self) -> tuple[Price, ...]:
        await self._asked("prices")
        last = tuple(self._price(pair, PriceKind.LAST) for pair in self.last)
        return (*last, *(self._price(pair, PriceKind.MARK) for pair in self.mark))

    async def funding(self, pair: str, since_ns: int) -> tuple[FundingStamp, ...]:
        await self._asked("funding")
        return tuple(stamp for stamp in self.rates[pair] if since_ns <= stamp.ns <= self.now())

    async def mark_range(self, pair: str, since_ns: int) -> tuple[float, float] | None:
        await self._asked("mark_range")
        return self.ranges[pair]

    async def watch(self, seen: Callable[[Price], object]) -> None:
        self.connections += 1
        await self._asked("watch")
        self.open_streams += 1
        self._seen, self._broke = seen, anyio.Event()
        try:
            await self._broke.wait()
            if self._reason is not None:
                raise self._reason
        finally:
            self._seen = None
            self.open_streams -= 1

    def show(self, pair: str, price: float, kind: PriceKind = PriceKind.LAST) -> None:
        """Publish a price by the stream."""
        assert self._seen is not None, "nobody listens"
        self._seen(Price(pair, kind, price, next(self._moments)))

    def drop(self, reason: VenueError | None) -> None:
        """End the stream."""
        self._reason = reason
        self._broke.set()

    async def close(self) -> None:
        self.closed += 1
