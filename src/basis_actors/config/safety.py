"""Defines the limits that an order has to keep before it is sent, and when the kill switch acts by itself.

Every key has to be there: a limit that is switched off says so, as null.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import model_validator

from basis_actors.config.model import Count, CountOfSeconds, Fraction, Model, Positive, Problem, Seconds, refuse

__all__ = ["KillSwitchConfig", "OrderLimits"]


class OrderLimits(Model):
    """What the risk gate lets through. Null is no such limit; a limit that cannot be computed counts as broken."""

    max_order_notional: Positive | None
    """Value of one order, in tokens of the share class. The one limit that a wrong equity cannot raise."""
    max_order_equity: Positive | None
    """The same, as a multiple of equity."""
    max_venue_share: Positive | None
    """What stands at one exchange or protocol after the order, what is on its way there included, as a multiple of
    equity; the wallet itself is no such place."""
    max_asset_exposure: Positive | None
    """|net exposure to one asset| after the order, as a multiple of equity."""
    max_leverage: Positive | None
    """(notional of perps + debt) after the order, as a multiple of equity."""
    max_daily_loss: Fraction | None
    """Flow-adjusted loss since 00:00 UTC, as a fraction of the equity then."""
    max_drawdown: Fraction | None
    """Flow-adjusted loss from the highest equity, as a fraction of it."""
    max_orders_per_minute: Count | None
    """Orders let through in any 60 seconds of engine time."""


class KillSwitchConfig(Model):
    """When trading stops by itself, in a live process. Times are real seconds."""

    mismatches: Count
    """How often ledger and venues may disagree within the window; this many stop trading."""
    mismatch_window_seconds: Seconds
    venue_lost_seconds: Seconds
    """How long a venue may not answer, whenever it is asked, while something is open there."""
    heartbeat_seconds: Seconds
    """How often the engine is asked for a sign of life, and exchanges are told to wait with their countdown."""
    dead_man_seconds: Seconds
    """Without a sign of life; a tick that takes longer counts as none."""
    countdown_seconds: CountOfSeconds | None
    """After how long without word from here an exchange cancels open orders by itself; null leaves it alone."""
    flatten_ticks: Count
    """Ticks between those of the market that closing the book may have; after that it takes a step at each of them."""
    flatten_pause_seconds: Seconds
    """Before the next of them, when nothing could be done in the last one."""

    @model_validator(mode="after")
    def _check(self) -> KillSwitchConfig:
        refuse(self._beats())
        return self

    def _beats(self) -> Iterator[Problem]:
        least = 2.0 * self.heartbeat_seconds
        text = f"at least two heartbeats, {least:g} s, were expected"
        if self.dead_man_seconds < least:
            yield Problem(("dead_man_seconds",), f"is {self.dead_man_seconds:g} s; {text}")
        if self.countdown_seconds is not None and self.countdown_seconds < least:
            yield Problem(("countdown_seconds",), f"is {self.countdown_seconds} s; {text}")
