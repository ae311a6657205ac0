"""Defines what all answers have in common as they are read: decimals stay exact, and a number may not be there.

With a number that cannot be meant an answer cannot be read: whatever is reckoned with it would fail somewhere else.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Final, TypeAlias, TypeGuard

import msgspec

__all__ = ["Milliseconds", "MillisecondsText", "Number", "Row", "is_step", "number"]

_MAGNITUDE: Final = 40
"""No amount, price or rate has more digits before its point, or more zeros after it."""
_FINEST: Final = Decimal("1e-18")
"""No lot or tick is smaller: orders would be more of them than decimals are reckoned exactly with."""

Number: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=rf"^(-?[0-9]{{1,{_MAGNITUDE}}}(\.[0-9]{{1,{_MAGNITUDE}}})?([eE][+-]?[0-9]{{1,2}})?)?$")
]
"""A number as text; nothing at all where there is none."""
Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=99_999_999_999_999)]
"""Since the epoch, until the year 5138: every one is a date."""
MillisecondsText: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9]{0,14}$")]
"""The same as text; nothing at all where there is none."""


class Row(msgspec.Struct, rename="camel"):
    """A part of an answer. What is not named in it is passed over."""

    not_negative: ClassVar[frozenset[str]] = frozenset()
    """Fields whose direction another one says: below 0 they would turn it round."""
    positive: ClassVar[frozenset[str]] = frozenset()
    """The same of what has happened: at 0 it has not."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not (value.is_finite() and abs(value.adjusted()) <= _MAGNITUDE):
                text = f"a finite number between 1e-{_MAGNITUDE} and 1e{_MAGNITUDE} was expected"
                raise ValueError(f"{name} is {value:.6e}; {text}")
            if name in self.not_negative and value < 0:
                raise ValueError(f"{name} is {value}; 0 or more was expected")
            if name in self.positive and value <= 0:
                raise ValueError(f"{name} is {value}; more than 0 was expected")


def is_step(value: Decimal | None) -> TypeGuard[Decimal]:
    """Whether it is a lot or a tick that orders can be whole numbers of."""
    return value is not None and value >= _FINEST


def number(text: Number) -> Decimal | None:
    """What it says; None where it says nothing."""
    return Decimal(text) if text else None
