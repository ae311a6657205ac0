"""Defines where alerts go: an address for each route, secret because whoever knows it can post there.

`BASIS_ACTORS_ALERTS__<ROUTE>` in the environment or the secrets file. Only live trading reads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import SecretStr

from basis_actors.config.environment import NEXT, PREFIX, file_variables
from basis_actors.config.spelling import hint
from basis_actors.config.web_address import web_address
from basis_actors.errors import ConfigError

__all__ = ["WEBHOOK_PREFIX", "load_webhooks"]

WEBHOOK_PREFIX: Final = f"{PREFIX}ALERTS{NEXT}"
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def load_webhooks(routes: Iterable[str]) -> Mapping[str, SecretStr]:
    """The address of every route.

    Raises ConfigError CONFIG-002 for a variable that is missing or empty, CONFIG-003 for one that is no address or
    belongs to no route, and for a secrets file that cannot be used. The message names the variable, never its value.
    """
    given = {**file_variables(), **os.environ}
    variables = {route: f"{WEBHOOK_PREFIX}{route.upper()}" for route in routes}
    known = tuple(variables.values())
    for name in sorted(given):
        if name.startswith(WEBHOOK_PREFIX) and name not in known:
            there = ", ".join(known) or "none, as component_config.alerts.routes is empty"
            raise ConfigError(
                "CONFIG-003", f"environment: {name} belongs to no alert route; expected: {there}{hint(name, known)}"
            )
    return {route: _address(route, variable, given.get(variable, "")) for route, variable in variables.items()}


def _address(route: str, variable: str, value: str) -> SecretStr:
    if not value:
        raise ConfigError(
            "CONFIG-002",
            f"environment: {variable} missing or empty; set it to the webhook address of route {route!r}, or take the"
            " route out of component_config.alerts.routes",
        )
    if not _is_safe(value):
        raise ConfigError(
            "CONFIG-003",
            f"environment: {variable} is no webhook address; https://host/path was expected, http to this machine only",
        )
    return SecretStr(value)


def _is_safe(value: str) -> bool:
    """Whether it is an address, and nobody on the way can read it."""
    parts = web_address(value)
    return parts is not None and (parts.scheme == "https" or parts.hostname in _LOOPBACK)
