"""Defines what counts as an address on the web: one that whoever looks it up can make something of."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

__all__ = ["web_address"]


def web_address(text: str) -> SplitResult | None:
    """The parts of an address that begins with `http://` or `https://`; None for any other text."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna").decode("idna")  # as whoever looks it up does
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        return None
    return parts
