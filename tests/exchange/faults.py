"""Defines what can go wrong between an exchange and its customer, one switch a fault.

A fault waits for a route, `POST /fapi/v1/order`, strikes so many times and is gone.
"""

from __future__ import annotations

import json
from asyncio import Event
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

FOREVER = 1_000_000_000


@dataclass
class Fault:
    """One thing that goes wrong."""

    route: str
    """Method and path; a path that ends in `*` stands for all that begin so, `*` alone for everything."""
    times: int = 1
    carried_out: bool = False
    """Whether the exchange does what was asked."""
    later: bool = False
    """Whether it does so only when the test lets it."""
    hangs: bool = False
    """Whether it says nothing until the test lets it, or the customer goes away."""
    answer: tuple[int, str, dict[str, str]] | None = None
    """Status, body and headers of what it says instead; None: it closes the connection without a word."""
    before: Callable[[], object] | None = None
    """What happens just before the request is looked at, as if it had been a moment earlier."""
    passes: bool = False
    """Whether the request is answered as if nothing were wrong."""
    having: str | None = None
    """Name of a parameter without which it leaves a request alone."""

    def strikes(self, route: str, params: Mapping[str, Any]) -> bool:
        """Whether it is about this request."""
        if self.times <= 0 or (self.having is not None and self.having not in params):
            return False
        return route == self.route or (self.route.endswith("*") and route.startswith(self.route[:-1]))


@dataclass
class Faults:
    """What is switched on."""

    armed: list[Fault] = field(default_factory=list)
    released: Event = field(default_factory=Event)
    """Set when what hangs may go on."""
    hanging: Event = field(default_factory=Event)
    """Set when something hangs."""

    def take(self, route: str, params: Mapping[str, Any]) -> Fault | None:
        """The fault that strikes a request, one strike used up."""
        for fault in self.armed:
            if fault.strikes(route, params):
                fault.times -= 1
                return fault
        return None

    def clear(self) -> None:
        """Switch everything off."""
        self.armed.clear()

    def drop_before(self, route: str, times: int = 1) -> None:
        """The connection breaks, and nothing was done."""
        self.armed.append(Fault(route, times))

    def drop_after(self, route: str, times: int = 1) -> None:
        """The connection breaks, and what was asked was done."""
        self.armed.append(Fault(route, times, carried_out=True))

    def arrive_late(self, route: str, times: int = 1) -> None:
        """The connection breaks; what was asked is done at `LocalExchange.deliver`."""
        self.armed.append(Fault(route, times, carried_out=True, later=True))

    def hang(self, route: str, times: int = 1, *, carried_out: bool) -> None:
        """No answer comes."""
        self.armed.append(Fault(route, times, carried_out=carried_out, hangs=True))

    def answer(
        self,
        route: str,
        status: int,
        body: Any,
        headers: dict[str, str] | None = None,
        *,
        times: int = 1,
        carried_out: bool = False,
        having: str | None = None,
    ) -> None:
        """Say something else; text goes as it is, anything else as JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        self.armed.append(Fault(route, times, carried_out, answer=(status, text, headers or {}), having=having))

    def happen_before(self, route: str, what: Callable[[], object]) -> None:
        """Something happens a moment before a request is looked at: a fill before a cancel."""
        self.armed.append(Fault(route, passes=True, before=what))
