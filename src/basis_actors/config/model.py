"""Defines the base of every configuration model, the number types they share, and how a model reports its problems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Count",
    "Fraction",
    "Model",
    "NonNegative",
    "Positive",
    "Problem",
    "Problems",
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
Count = Annotated[int, Field(ge=1)]
"""A whole number, 1 or more."""


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
