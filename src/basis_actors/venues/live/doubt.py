"""Defines how much an exchange may show that nothing explains before it is believed only after a while.

An answer that is wrong for a minute would be a return or a loss otherwise, and close or open positions elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from math import inf
from typing import Final

from basis_actors.finance.keys import STABLE, parse_key
from basis_actors.messages.market import MarketState
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.terms import AccountTerms

__all__ = ["Belief", "Doubt"]

_SAME: Final = 1e-6
"""Relative to a difference: how much it may change and be the same one, as cash is rounded."""


class Belief(Enum):
    """What becomes of a difference that nothing explains."""

    AT_ONCE = auto()
    """It is worth little beside what the account holds."""
    NOT_YET = auto()
    AT_LAST = auto()
    """It is large, and the account has shown nothing else for long enough."""


class Doubt:
    """What one account shows and is not believed yet."""

    def __init__(self, terms: AccountTerms, findings: Findings) -> None:
        self._terms = terms
        self._findings = findings
        self._apart: dict[str, float] = {}
        self._since_ns = 0
        self.problem: str | None = None
        """What is shown and what is booked; None while the account is believed."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Positions on which the account is not believed."""
        return tuple(self._apart)

    def judge(
        self,
        now_ns: int,
        found: Mapping[str, tuple[float, float]],
        positions: Mapping[str, float],
        market: MarketState | None,
    ) -> Belief:
        """Whether what is `found`, booked and shown by key, is believed now, beside the `positions` that are booked."""
        allowed, waits = self._terms.patience.max_unexplained, self._terms.patience.unexplained_seconds
        worth = sum(self._worth(key, shown - booked, market, inf) for key, (booked, shown) in found.items())
        base = sum(self._worth(key, amount, market, 0.0) for key, amount in positions.items())
        if worth <= allowed * base:
            self.end(now_ns)
            return Belief.AT_ONCE
        apart = {key: shown - booked for key, (booked, shown) in found.items()}
        if not self._is_known(apart):
            self._since_ns = now_ns
        self._apart = apart
        if now_ns - self._since_ns >= round(waits * NS_PER_SECOND):
            self._apart, self.problem = {}, None
            return Belief.AT_LAST
        if self.problem is None:
            what = "; ".join(
                f"{key} is {shown:.12g}, {booked:.12g} is booked" for key, (booked, shown) in found.items()
            )
            text = f"{self._terms.venue} shows what nothing in its history explains: {what}"
            self.problem = text
            say = f"{text}; that is worth {worth:.6g} USDT beside {base:.6g}, more than the {allowed:g} of it that is"
            say = f"{say} booked at once. Nothing that adds risk is sent there until it shows something else, or has"
            self._findings.error(now_ns, "VEN-009", f"{say} shown this for {waits:g} s. Look at the account")
        return Belief.NOT_YET

    def end(self, now_ns: int) -> None:
        """The account shows what is booked, or nearly so."""
        if self.problem is not None:
            text = f"{self._terms.venue} shows what is booked again: it was not believed, and nothing was booked"
            self._findings.error(now_ns, "VEN-009", text, passes=True)
        self._apart, self.problem = {}, None

    def _is_known(self, apart: Mapping[str, float]) -> bool:
        return apart.keys() == self._apart.keys() and all(
            abs(amount - self._apart[key]) <= _SAME * abs(amount) for key, amount in apart.items()
        )

    def _worth(self, key: str, amount: float, market: MarketState | None, unknown: float) -> float:
        """USDT, whatever the sign; `unknown` where a price is not known. An inverse perpetual is counted in USD."""
        info = parse_key(key)
        if info.inverse or info.asset == STABLE:
            return abs(amount)
        if market is None:
            return unknown
        if info.contract is not None:
            quote = market.perps.get(info.perp or "")
            price = None if quote is None else quote.mark
        else:
            price = market.prices.get(info.asset)
        return unknown if price is None else abs(amount) * price
