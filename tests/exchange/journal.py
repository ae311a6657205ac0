"""Defines the list of every request that the local exchange got, by which a test knows what was sent and how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Request:
    """One request."""

    method: str
    path: str
    params: dict[str, str]
    time_ns: int
    status: int | None = None
    """HTTP status of the answer; None where there was none."""
    carried_out: bool = False
    query: str = ""
    """As it was written."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def route(self) -> str:
        """`POST /fapi/v1/order`."""
        return f"{self.method} {self.path}"


@dataclass
class Journal:
    """Requests in the order of their arrival."""

    requests: list[Request] = field(default_factory=list)

    def of(self, route: str) -> list[Request]:
        """Requests of one route; an ending `*` stands for the rest."""
        if route.endswith("*"):
            return [request for request in self.requests if request.route.startswith(route[:-1])]
        return [request for request in self.requests if request.route == route]

    def orders_sent(self, id_name: str = "newClientOrderId") -> Counter[str]:
        """How often an order of each id was sent."""
        posted = [request for request in self.requests if request.method == "POST" and id_name in request.params]
        return Counter(request.params[id_name] for request in posted)
