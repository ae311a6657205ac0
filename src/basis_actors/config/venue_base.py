"""Defines what every venue has, whatever its kind."""

from __future__ import annotations

from basis_actors.config.model import Model, NonNegative

__all__ = ["ImpactSteps", "VenueBase"]

ImpactSteps = tuple[NonNegative, NonNegative, NonNegative]
"""Price impact in bps for sizes up to 10,000 USD, up to 100,000 USD, and larger."""


class VenueBase(Model):
    """What all venues have."""

    venue: str
    """Name in orders, equal to the file's name."""
    domain: str
    """Account domain that carries out its orders: an exchange, or a chain for all protocols on it."""
    proxies: tuple[str, ...]
    """What stands in for something the venue does not publish; shown in the data report and the summary."""
    sources: tuple[str, ...]
    """Where the numbers are from."""
