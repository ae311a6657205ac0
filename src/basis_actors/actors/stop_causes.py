"""Defines what stops trading by itself: critical risk, a ledger that disagrees with the venues again and again, a key
that is refused, a venue that is lost while something is open there, an engine without a sign of life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from basis_actors.config import KillSwitchConfig
from basis_actors.finance.keys import STABLE, is_exposed, parse_key
from basis_actors.messages.book import PositionsView, RiskLevel, RiskView
from basis_actors.messages.safety import KeyRefused, LedgerCompared, Pulse, VenueSeen
from basis_actors.times import utc_from_ns, utc_text

__all__ = ["StopCause", "StopCauses"]


class StopCause(NamedTuple):
    """One thing that stops trading."""

    code: str
    text: str
    who: str
    """The part of the engine that found it."""


class _Silence(NamedTuple):
    """A domain that does not answer."""

    since_ns: int
    asked_ns: int
    """When it was asked last."""
    left_alone_until_ns: int | None
    """Until when it is not asked; None where it is."""

    @property
    def why(self) -> str:
        """As it goes on in a sentence; empty where the domain does not say."""
        until = self.left_alone_until_ns
        return "" if until is None else f" (it wants to be left alone until {utc_text(utc_from_ns(until))})"


class StopCauses:
    """Evidence, and what follows from it at a moment.

    `span` turns real seconds into nanoseconds of the engine's clock; `domains` gives the account domain of each name
    that position keys begin with; `currency` is that of the share class. With `enforce` false risk is only reported.
    """

    def __init__(
        self,
        config: KillSwitchConfig,
        span: Callable[[float], int],
        domains: Mapping[str, str],
        currency: str,
        *,
        enforce: bool,
    ) -> None:
        self._config = config
        self._span = span
        self._domains = domains
        self._cash = (STABLE, currency)
        self._enforce = enforce
        self.risk: RiskView | None = None
        """The last assessment; None before the first tick."""
        self.book: PositionsView | None = None
        """The last view of the ledger; None before the first tick."""
        self._lost: dict[str, _Silence] = {}
        self._refused: dict[str, str] = {}
        """Why each domain refuses our key."""
        self._disagreeing: dict[str, str] = {}
        self.mismatches: tuple[int, ...] = ()
        """When ledger and venues disagreed within the window, oldest first."""
        self._alive_ns: int | None = None
        self._ticks = -1

    # Evidence

    def see_venue(self, seen: VenueSeen, now: int) -> None:
        """An account answers, or does not. What counts is how long it has not when it is asked, which is at each tick
        and, while it does not, with each heartbeat."""
        if seen.lost_since_ns is None:
            self._lost.pop(seen.domain, None)
        else:
            self._lost[seen.domain] = _Silence(seen.lost_since_ns, now, seen.left_alone_until_ns)

    def see_key(self, seen: KeyRefused) -> None:
        """A domain refuses our key, or takes it again."""
        if seen.problem is None:
            self._refused.pop(seen.domain, None)
        else:
            self._refused[seen.domain] = seen.problem

    @property
    def lost(self) -> tuple[str, ...]:
        """Domains that do not answer, or not us."""
        return tuple(dict.fromkeys((*self._lost, *self._refused)))

    def compare(self, compared: LedgerCompared, now: int) -> None:
        """Ledger and venue agree, or do not."""
        if compared.differences is None:
            self._disagreeing.pop(compared.place, None)
            return
        self._disagreeing[compared.place] = compared.differences
        since = now - self._span(self._config.mismatch_window_seconds)
        # What an earlier process noted may be of a clock that was ahead; no moment counts for longer than the window.
        before = (min(moment, now) for moment in self.mismatches)
        self.mismatches = (*(moment for moment in before if moment > since), now)

    def see_pulse(self, pulse: Pulse, now: int) -> None:
        """The engine answers. That it is at work on the same tick as before is no sign of life."""
        if not pulse.at_work or pulse.ticks != self._ticks:
            self._alive_ns, self._ticks = now, pulse.ticks

    # What follows

    def is_alive(self, now: int) -> bool:
        """Whether the engine has given a sign of life lately."""
        return self._alive_ns is not None and now - self._alive_ns <= self._span(self._config.dead_man_seconds)

    def stops(self, now: int) -> StopCause | None:
        """The first thing that stops trading now."""
        repeated = self._repeated() if len(self.mismatches) >= self._config.mismatches else None
        found = next(self._critical(), None) or repeated or next(self._refusing_venues(), None)
        return found or next(self._lost_venues(), None) or self._dead(now)

    def hold(self, now: int) -> tuple[StopCause, ...]:
        """Everything that keeps trading from being resumed."""
        found = [*self._critical(), *self._refusing_venues(), *self._lost_venues()]
        if self.risk is None:
            found.append(StopCause("RISK-006", "risk was not assessed yet; wait for the first tick", "risk_monitor"))
        for place, differences in self._disagreeing.items():
            text = f"ledger and {place} disagree since they were last compared: {differences}"
            found.append(StopCause("POS-005", text, "position_update_handler"))
        dead = self._dead(now)
        return tuple(found if dead is None else [*found, dead])

    def _critical(self) -> Iterator[StopCause]:
        risk = self.risk
        if risk is not None and self._enforce and risk.level is RiskLevel.CRITICAL:
            yield StopCause(risk.code or "RISK-006", f"risk is critical: {'; '.join(risk.breaches)}", "risk_monitor")

    def _repeated(self) -> StopCause:
        config = self._config
        last = "; ".join(self._disagreeing.values()) or "they agree now"
        text = (
            f"ledger and venues disagreed {len(self.mismatches)} times within {config.mismatch_window_seconds:g} s,"
            f" {config.mismatches} stop trading: {last}"
        )
        return StopCause("POS-005", text, "position_update_handler")

    def _refusing_venues(self) -> Iterator[StopCause]:
        for domain, problem in self._refused.items():
            yield StopCause("VEN-005", f"{domain} does not take our key: {problem}", f"venue_{domain}")

    def _lost_venues(self) -> Iterator[StopCause]:
        for domain, silence in self._lost.items():
            silent, limit = silence.asked_ns - silence.since_ns, self._config.venue_lost_seconds
            exposed = "" if domain in self._refused else self._open_at(domain)
            if exposed and silent > self._span(limit):
                seconds = silent / self._span(1.0)
                lost = f"{domain} has not answered for {seconds:.0f} s{silence.why}"
                text = f"{lost}, {limit:g} s stop trading, with {exposed} open"
                yield StopCause("VEN-003", text, f"venue_{domain}")

    def _open_at(self, domain: str) -> str:
        """What is exposed at a domain, by key: perps, debt, and whatever is not cash."""
        if self.book is None:
            return ""
        found = []
        for key, amount in self.book.positions.items():
            if amount and self._domains.get(parse_key(key).venue) == domain and is_exposed(key, self._cash):
                found.append(key)
        return ", ".join(found)

    def _dead(self, now: int) -> StopCause | None:
        if self._alive_ns is None or self.is_alive(now):
            return None
        seconds = (now - self._alive_ns) / self._span(1.0)
        limit = self._config.dead_man_seconds
        text = f"the engine has given no sign of life for {seconds:.0f} s, {limit:g} s stop trading"
        return StopCause("ENGINE-003", text, "engine")
