"""Defines which of ccxt's addresses each name under a venue's `urls` stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["replaced", "stream_address"]

_LEAVES: Final[dict[str, dict[str, str]]] = {
    "binance": {
        "public": "spot",
        "private": "spot",
        "v1": "spot",
        "sapi": "wallet",
        "fapi": "linear",
        "dapi": "inverse",
        "ws.spot": "spot_stream",
        "ws.margin": "spot_stream",
        "ws.linear": "linear_stream",
        "ws.inverse": "inverse_stream",
        "ws.option": "linear_stream",
        "ws.ws-api.spot": "spot_session",
        "ws.ws-api.linear": "linear_session",
        "ws.ws-api.inverse": "inverse_session",
    },
    "bybit": {"ws.public": "public_stream", "ws.private": "private_stream", "": "rest"},
    "okx": {"ws": "stream", "": "rest"},
}
"""By exchange and beginning of the path in ccxt's tree of addresses; the longest that fits holds."""

_STREAMS: Final[dict[str, dict[str, str]]] = {
    "binance": {
        "spot_stream": "wss://stream.binance.com:9443",
        "linear_stream": "wss://fstream.binance.com",
        "inverse_stream": "wss://dstream.binance.com",
    },
    "bybit": {"public_stream": "wss://stream.bybit.com"},
    "okx": {"stream": "wss://ws.okx.com:443"},
}
"""Where market data is streamed from, without paths: a test says that ccxt knows them by the same names."""


def stream_address(venue: str, name: str, urls: Mapping[str, str]) -> str:
    """Scheme, host and port of a stream, or what `urls` names in their place."""
    return urls.get(name, _STREAMS[venue][name])


def replaced(venue: str, tree: Mapping[str, Any], urls: Mapping[str, str]) -> dict[str, Any]:
    """ccxt's tree of addresses with what `urls` names in place of scheme, host and port; paths are kept.

    ccxt's streams tell Binance's spot markets from others by `/stream` somewhere in the address: one that takes the
    place of `spot_stream` needs it too.
    """
    return {key: _replaced(venue, key, branch, urls) for key, branch in tree.items()}


def _replaced(venue: str, path: str, branch: Any, urls: Mapping[str, str]) -> Any:
    if isinstance(branch, Mapping):
        return {key: _replaced(venue, f"{path}.{key}", inner, urls) for key, inner in branch.items()}
    fitting = [beginning for beginning in _LEAVES[venue] if path.startswith(beginning)]
    name = _LEAVES[venue][max(fitting, key=len)] if fitting else None
    if name is None or name not in urls:
        return branch
    return urls[name] + urlsplit(branch).path
