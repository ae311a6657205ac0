"""Defines how an exchange is reached when it is traded live: addresses, patience, and where tokens may be sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from basis_actors.config.model import Fraction, Model, Problem, Seconds
from basis_actors.config.spelling import hint

__all__ = ["ADDRESSES", "ApiConfig", "WithdrawalAddress", "address_problems"]

ADDRESSES: Final[dict[str, tuple[str, ...]]] = {
    "binance": (
        "spot",
        "wallet",
        "linear",
        "inverse",
        "spot_stream",
        "spot_session",
        "linear_stream",
        "inverse_stream",
        "linear_session",
        "inverse_session",
    ),
    "bybit": ("rest", "public_stream", "private_stream"),
    "okx": ("rest", "stream"),
}
"""What may stand under `urls` of each exchange: the services that it serves from addresses of their own."""
_PLACE: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*")
"""No user and no query: a password has no place in an address."""
_SCHEMES: Final = {True: ("ws://", "wss://"), False: ("http://", "https://")}


class WithdrawalAddress(Model):
    """One place outside the exchange to which tokens may be withdrawn."""

    venue: str
    """Venue of the mode that receives them there: `wallet`, `bybit`."""
    token: str
    network: str
    """As the exchange names it: `ETH`, `TRX`."""
    address: str


class ApiConfig(Model):
    """How the exchange is asked."""

    timeout_seconds: Seconds
    """Longest wait for an answer."""
    clock_refresh_seconds: Seconds
    """How long a reading of the exchange's clock is relied on."""
    reserved_share: Fraction
    """Share of the request budget that is kept for cancelling, for finding out and for reducing risk."""
    longest_pause_seconds: Seconds
    """Longest that a host is left alone which limits, whatever it asks for; how long a ban lasts the exchange says."""
    withdrawal_addresses: tuple[WithdrawalAddress, ...]
    """Nothing is ever withdrawn to any other."""


def address_problems(venue: str, urls: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with the `urls` of a venue: names that it has no use for, addresses of another kind."""
    known = ADDRESSES.get(venue, ())
    for name, url in urls.items():
        if name not in known:
            names = ", ".join(known) or "no address"
            yield Problem(("urls", name), f"is no address of {venue}; {names} was expected{hint(name, known)}")
            continue
        schemes = _SCHEMES[name.endswith(("stream", "session"))]
        if not url.startswith(schemes) or not _PLACE.fullmatch(url.partition("://")[2]):
            text = f"is {url!r}; {schemes[0]} or {schemes[1]} with a host, if need be a port and a path, was expected"
            yield Problem(("urls", name), text)
