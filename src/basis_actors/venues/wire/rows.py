"""Defines what all answers have in common as they are read: decimals stay exact, and a number may not be there."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeAlias

import msgspec

__all__ = ["Number", "Row", "number"]

Number: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?)?$")]
"""A number as text; nothing at all where there is none."""


class Row(msgspec.Struct, rename="camel"):
    """A part of an answer. What is not named in it is passed over."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not value.is_finite():
                raise ValueError(f"{name} is {value}; a finite number was expected")


def number(text: Number) -> Decimal | None:
    """What it says; None where it says nothing."""
    return Decimal(text) if text else None
