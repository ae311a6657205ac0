"""Defines where secrets stand in the environment, for those who read them and for those who must not show them."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["NEXT", "PREFIX", "secret_values"]

PREFIX: Final = "BASIS_ACTORS_"
NEXT: Final = "__"
"""Between the venue and the name of the secret."""
_SHORTEST: Final = 4
"""Characters. Anything shorter protects nothing, and hiding it would take words apart."""


def secret_values() -> tuple[str, ...]:
    """Values of all variables `BASIS_ACTORS_<VENUE>__<NAME>`, also of those that no venue knows or that are incomplete.

    Whatever leaves the process is searched for them, whether or not anything reads them.
    """
    return tuple(
        value
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and NEXT in name and len(value) >= _SHORTEST
    )
