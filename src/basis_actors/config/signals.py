"""Defines where a directional strategy's signal comes from. Times are in the unit that a key names.

Every source has a section of its own and `source` says which of them is used, so that a file laid over a mode
switches by giving the new section and naming it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, field_validator, model_validator

from basis_actors.config.model import (
    CountOfDays,
    CountOfHours,
    Model,
    Positive,
    Problem,
    Problems,
    Seconds,
    SecondsOrZero,
    refuse,
)
from basis_actors.config.web_address import web_address

__all__ = ["FileSignals", "HttpSignals", "SignalConfig", "SignalSourceName", "WalkForwardSignals"]

SignalSourceName = Literal["walk_forward_logistic", "file", "http"]


class FileSignals(Model):
    """Signals that were made before, in a file with the columns timestamp, signal, confidence, sd."""

    path: str
    """`.csv`, `.csv.gz` or `.parquet`; one that is not absolute is looked for in the working directory."""
    staleness_seconds: Seconds
    """How long a signal counts after its timestamp."""


class HttpSignals(Model):
    """Signals of an endpoint that is asked in live trading; it answers with one JSON object."""

    url: str
    poll_seconds: Seconds
    """Between an answer and the next question."""
    timeout_seconds: Seconds
    """For one try, from the question to the end of the answer."""
    retries: Annotated[int, Field(ge=0, le=10)]
    """Further tries of one question after a failure that may pass."""
    retry_seconds: SecondsOrZero
    """Before the first of them; twice as long before each further one."""
    staleness_seconds: Seconds
    """How long a signal counts after its timestamp."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if web_address(url) is None:
            text = f"is {url!r}; an address such as https://host/path was expected, with http:// or https:// first"
            raise Problems((Problem((), text),))
        return url


class WalkForwardSignals(Model):
    """A logistic regression that is trained inside the run, on nothing but the past."""

    warm_up_days: CountOfDays
    """Days without a signal before the first fit."""
    retrain_days: CountOfDays
    training_days: CountOfDays
    """A fit sees the last so many days at most."""
    sd_days: CountOfDays
    """Days of returns over the horizon that the standard deviation is taken of."""
    penalty: Positive
    """Strength of the L2 penalty on the weights of standardised features; the inverse of scikit-learn's C."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]

    @model_validator(mode="after")
    def _check(self) -> WalkForwardSignals:
        refuse(self._window_rules())
        return self

    def _window_rules(self) -> Iterator[Problem]:
        for name in ("warm_up_days", "sd_days"):
            days = getattr(self, name)
            if days > self.training_days:
                text = f"is {days}; at most training_days {self.training_days} was expected"
                yield Problem((name,), text)


class SignalConfig(Model):
    """Where signals come from, and how far they look ahead."""

    source: SignalSourceName
    """Which of the sections below is used."""
    horizon_hours: CountOfHours
    """How far ahead a signal looks, and how long a position is meant to be held."""
    walk_forward_logistic: WalkForwardSignals | None = None
    file: FileSignals | None = None
    http: HttpSignals | None = None

    @model_validator(mode="after")
    def _has_its_section(self) -> SignalConfig:
        if getattr(self, self.source) is None:
            keys = ", ".join(_SECTIONS[self.source].model_fields)
            text = f"missing key; source {self.source} needs it: a mapping with keys {keys} was expected"
            raise Problems((Problem((self.source,), text, missing=True),))
        walk = self.walk_forward_logistic
        if walk is not None and walk.warm_up_days * 24 < _WARM_UP_HORIZONS * self.horizon_hours:
            text = (
                f"is {walk.warm_up_days}; at least {_WARM_UP_HORIZONS} horizons of {self.horizon_hours} h were"
                " expected, so that there is something to learn from"
            )
            raise Problems((Problem(("walk_forward_logistic", "warm_up_days"), text),))
        return self


_WARM_UP_HORIZONS: Final = 10
"""Features look seven horizons back and labels one ahead; a few rows must be left."""
_SECTIONS: Final[dict[str, type[Model]]] = dict(
    zip(get_args(SignalSourceName), (WalkForwardSignals, FileSignals, HttpSignals), strict=True)
)
