"""Defines what one rule of a strategy wants of a tick. A strategy tries its rules in order; the first one decides."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from basis_actors.messages.orders import Order

__all__ = ["Found"]


class Found(msgspec.Struct, frozen=True):
    """What a rule wants."""

    decision_type: str
    action: str
    reasoning: str
    orders: tuple[Order, ...] = ()
    resets: bool = False
    """Whether the position is set anew, so that drift counts from here."""
    constraints: tuple[str, ...] = ()
    """What kept the rule from doing more, with a code of the registry."""
    figures: Mapping[str, float] = {}
    """What the decision was weighed with, such as the cost of an unwind, for the log."""
