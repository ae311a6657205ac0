"""Defines a signal on the direction of a price, and how one travels to the strategy that asked for it."""

from __future__ import annotations

from math import isfinite

import msgspec

__all__ = ["EndpointAnswered", "EndpointFailed", "Signal", "SignalReceived"]


class Signal(msgspec.Struct, frozen=True, gc=False):
    """What a model says about the price one horizon ahead.

    Raises ValueError on construction for a number outside its range; the text names the field.
    """

    ns: int
    """When it was known."""
    rise: float
    """Probability that the price is higher at the end of the horizon, 0 to 1; 1 - rise is that of a fall."""
    confidence: float
    """How sure the model is of the direction, 0 to 1."""
    sd: float
    """Standard deviation of the log return over the horizon, greater than 0."""

    def __post_init__(self) -> None:
        for name, value in (("signal", self.rise), ("confidence", self.confidence)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value}; a number from 0 to 1 was expected")
        if not (isfinite(self.sd) and self.sd > 0.0):
            raise ValueError(f"sd is {self.sd}; a finite number greater than 0 was expected")


class EndpointAnswered(msgspec.Struct, frozen=True):
    """What an endpoint said, not looked at yet."""

    body: bytes


class EndpointFailed(msgspec.Struct, frozen=True):
    """An endpoint did not answer."""

    code: str
    """Registered code."""
    message: str


class SignalReceived(msgspec.Struct, frozen=True):
    """What came of asking an endpoint: its signal, or why there is none."""

    signal: Signal | None
    refusal: str | None = None
    """Code and reason when there is no signal."""
