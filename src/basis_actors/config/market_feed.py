"""Defines how the market is watched in live trading, where nobody plays it back."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import model_validator

from basis_actors.config.model import Fraction, Model, NonNegative, Problem, Seconds, SecondsOrZero, refuse

__all__ = ["GasAssumption", "MarketFeedConfig"]


class GasAssumption(Model):
    """What gas is taken to cost: no chain is read live."""

    base_fee_gwei: NonNegative
    priority_fee_gwei: NonNegative


class MarketFeedConfig(Model):
    """Ticks, patience with exchanges, and which prices are believed. Times are real seconds."""

    tick_delay_seconds: SecondsOrZero
    """How long after the full interval a tick begins, so that what was settled then has been published."""
    request_seconds: Seconds
    """What a tick waits for exchanges; then it begins with what is known."""
    poll_seconds: Seconds
    """Between two questions for prices while a stream is down."""
    silence_seconds: Seconds
    """A stream that shows nothing for so long is connected anew."""
    fresh_seconds: Seconds
    """A price that was not seen for so long is stale: it blocks new risk."""
    max_jump: Fraction
    """A price that is further than this from the one before is not believed before it has held for a while."""
    confirm_seconds: Seconds
    """For so long."""
    max_departure: Fraction
    """A price that is further than this from what every other exchange shows of its asset is never believed."""
    max_funding_rate: Fraction
    """Funding of more than this a payment, either way, is not believed: it counts as missing."""
    reconnect_seconds: Seconds
    """Pause before the first new connection; doubled by each that fails."""
    longest_reconnect_seconds: Seconds
    reconnect_jitter: Fraction
    """Pauses are longer by a random share of up to this, so that streams do not come back in step."""
    assumed_gas: GasAssumption

    @model_validator(mode="after")
    def _check(self) -> MarketFeedConfig:
        refuse(self._order())
        return self

    def _order(self) -> Iterator[Problem]:
        for name, least in (("fresh_seconds", "silence_seconds"), ("longest_reconnect_seconds", "reconnect_seconds")):
            value, bound = getattr(self, name), getattr(self, least)
            if value < bound:
                yield Problem((name,), f"is {value:g}; {least} {bound:g} or more was expected")
