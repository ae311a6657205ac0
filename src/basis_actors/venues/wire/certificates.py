"""Reads the certificates that are trusted, once: it takes longer than all else about a connection."""

from __future__ import annotations

import ssl
from functools import lru_cache

import certifi

__all__ = ["trusted"]


@lru_cache(maxsize=1)
def trusted() -> ssl.SSLContext:
    """What every connection to an exchange is checked against."""
    return ssl.create_default_context(cafile=certifi.where())
