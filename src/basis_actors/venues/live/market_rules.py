"""Defines what an exchange requires of orders, read when a process begins and again as it grows old."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from basis_actors.errors import Rejected, VenueError
from basis_actors.messages.exchange import MarketFilters
from basis_actors.ports import ExchangeApi
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.terms import AccountTerms, LiveClock

__all__ = ["MarketRules"]


class MarketRules:
    """The rules of the configured markets, as they were read last."""

    def __init__(self, terms: AccountTerms, api: ExchangeApi, findings: Findings, clock: LiveClock) -> None:
        self._terms = terms
        self._api = api
        self._findings = findings
        self._clock = clock
        self._due_ns = 0
        self._failed = False
        self.by_pair: Mapping[str, MarketFilters] = {}

    async def begin(self) -> None:
        """Read them. Raises a VenueError as the exchange, and Rejected VEN-004 for a market that it does not have."""
        self.by_pair = await self._read()
        missing = sorted(set(self._terms.pairs) - self.by_pair.keys())
        if missing:
            text = f"{self._terms.venue} has no market {', '.join(missing)}; correct the venue's configuration"
            raise Rejected("VEN-004", text)

    async def renew(self) -> None:
        """Read them again once they are old. What cannot be read stays as it is, which is said once."""
        if self._clock.now() < self._due_ns:
            return
        try:
            found = await self._read()
        except VenueError as error:
            if not self._failed:
                text = (
                    f"{self._terms.venue} does not say what it requires of orders: {error.message}; they are sent as"
                    " before, and it is asked again"
                )
                self._findings.error(self._clock.now(), error.code, text, passes=True)
            self._failed = True
            return
        self._failed = False
        gone = {pair: replace(rules, trading=False) for pair, rules in self.by_pair.items() if pair not in found}
        self.by_pair = found | gone

    async def renew_closed(self, pair: str | None) -> None:
        """Read them again now where a market took no orders when they were read: it may have opened since."""
        rules = self.by_pair.get(pair or "")
        if rules is not None and not rules.trading:
            self._due_ns = 0
            await self.renew()

    async def _read(self) -> dict[str, MarketFilters]:
        found = await self._api.filters()
        self._due_ns = self._clock.now() + round(self._terms.patience.market_rules_seconds * NS_PER_SECOND)
        return found
