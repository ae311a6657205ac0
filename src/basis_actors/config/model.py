"""Defines the base of every configuration model, the number types they share, and how a model reports its problems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Count",
    "CountOfDays",
    "CountOfHours",
    "CountOfSeconds",
    "Days",
    "DaysOrZero",
    "Fraction",
    "Hours",
    "HoursOrZero",
    "Model",
    "NonNegative",
    "Positive",
    "Problem",
    "Problems",
    "Seconds",
    "SecondsOrZero",
    "SmallFraction",
    "refuse",
]

Positive = Annotated[float, Field(gt=0.0)]
"""Greater than 0."""
NonNegative = Annotated[float, Field(ge=0.0)]
"""0 or more."""
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
"""From 0 to 1, both included."""
SmallFraction = Annotated[float, Field(ge=0.0, lt=0.1)]
"""A fee or tolerance: from 0 to below 0.1, so that a percentage written for a fraction is refused."""
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
"""A whole number from 1 to a thousand million."""

_DAYS: Final = 36_500
"""Longest time that a configuration may name: 100 years. Stamps in nanoseconds have room for it."""
_HOURS: Final = 24 * _DAYS
_SECONDS: Final = 3600 * _HOURS

Seconds = Annotated[float, Field(gt=0.0, le=_SECONDS)]
Hours = Annotated[float, Field(gt=0.0, le=_HOURS)]
Days = Annotated[float, Field(gt=0.0, le=_DAYS)]
"""Times above 0, up to 100 years."""
SecondsOrZero = Annotated[float, Field(ge=0.0, le=_SECONDS)]
HoursOrZero = Annotated[float, Field(ge=0.0, le=_HOURS)]
DaysOrZero = Annotated[float, Field(ge=0.0, le=_DAYS)]
"""Times from 0 to 100 years."""
CountOfSeconds = Annotated[int, Field(ge=1, le=_SECONDS)]
CountOfHours = Annotated[int, Field(ge=1, le=_HOURS)]
CountOfDays = Annotated[int, Field(ge=1, le=_DAYS)]
"""Whole times from 1 to 100 years."""


class Model(BaseModel):
    """Configuration as it was read: nothing may be added, left out, converted or changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Problem(NamedTuple):
    """One thing that is wrong in a configuration."""

    path: tuple[str, ...]
    """Keys from the top of the file; empty for the file as a whole."""
    text: str
    """What was found, what was expected and what to do."""
    missing: bool = False
    """Whether a required key is absent."""


class Problems(ValueError):
    """What the fields of one model say together and should not; paths are relative to that model."""

    def __init__(self, found: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{'.'.join(problem.path)}: {problem.text}" for problem in found))
        self.found = found


def refuse(found: Iterable[Problem]) -> None:
    """Raise Problems when there is any."""
    problems = tuple(found)
    if problems:
        raise Problems(problems)
