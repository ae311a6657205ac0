"""Writes `api.log`: one line for every request to a venue, whether or not an answer came, secrets taken out."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from basis_actors.logs.component import ComponentLogs
from basis_actors.venues.wire.answers import ApiCall

__all__ = ["ApiLog"]

_CLIENT_IDS: Final = (
    "newClientOrderId",
    "origClientOrderId",
    "withdrawOrderId",
    "orderLinkId",
    "clOrdId",
    "transferId",
    "clientId",
)
"""How exchanges call our own id of an order, a transfer or a withdrawal."""


class ApiLog:
    """Notes requests in a component log. What got no answer or a server's error is an error, a refusal a warning.

    `counted` is called with each request as well, to count it.
    """

    def __init__(self, components: ComponentLogs, counted: Callable[[ApiCall], object] = lambda _: None) -> None:
        self._logger = components.logger("api")
        self._counted = counted

    def note(self, call: ApiCall) -> None:
        """Write one request down. Raises BasisError LOG-001 when that is not possible."""
        status = call.status
        if status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            write = self._logger.error
        elif status >= HTTPStatus.BAD_REQUEST:
            write = self._logger.warning
        else:
            write = self._logger.info
        write(
            f"{call.method} {call.path}".strip() or call.call,
            venue=call.venue,
            status="none" if status is None else status,
            ms=round(call.duration_ms, 3),
            weight=call.weight,
            host=call.host,
            used_weight=call.used_weight,
            client_order_id=next((call.params[name] for name in _CLIENT_IDS if name in call.params), None),
            params=call.params,
            venue_code=call.code,
            error=call.text or None,
        )
        self._counted(call)
