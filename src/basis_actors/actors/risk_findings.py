"""Defines what one look at the risks of a book finds: broken limits, warnings, and the level they add up to."""

from __future__ import annotations

import msgspec

from basis_actors.messages.book import RiskLevel

__all__ = ["RANKS", "Breach", "Findings"]

RANKS = {level: rank for rank, level in enumerate(RiskLevel)}
"""Levels by gravity, 0 the lowest."""


class Breach(msgspec.Struct, frozen=True, gc=False):
    """One broken limit."""

    level: RiskLevel
    code: str
    """Registered RISK code."""
    subject: str
    """What it is about; with the code it names an episode: `margin of binance`."""
    text: str


class Findings(msgspec.Struct):
    """Collects the breaches and warnings of one assessment.

    `warning_share` is how close to a limit, as a fraction of it, counts as medium risk.
    """

    warning_share: float
    level: RiskLevel = RiskLevel.LOW
    warnings: list[str] = []
    breaches: list[Breach] = []

    def warn(self, text: str) -> None:
        """Something to know before it becomes a breach."""
        self.warnings.append(text)
        if self.level is RiskLevel.LOW:
            self.level = RiskLevel.MEDIUM

    def breach(self, level: RiskLevel, code: str, subject: str, text: str) -> None:
        """A limit is broken, or cannot be computed."""
        self.breaches.append(Breach(level, code, subject, f"{subject} {text}"))
        if RANKS[level] > RANKS[self.level]:
            self.level = level

    def at_most(self, value: float, limit: float, subject: str, level: RiskLevel, code: str = "RISK-001") -> None:
        """Compare a value that should stay below `limit`; close to it is a warning."""
        if value > limit:
            self.breach(level, code, subject, f"{value:.6g} above the limit {limit:g}")
        elif value > limit * (1.0 - self.warning_share):
            self.warn(f"{subject} {value:.4g} close to the limit {limit:g}")

    @property
    def gravest(self) -> Breach | None:
        """The first breach of the highest level; None without any."""
        return max(self.breaches, key=_rank) if self.breaches else None


def _rank(breach: Breach) -> int:
    return RANKS[breach.level]
