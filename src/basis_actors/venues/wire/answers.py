"""Defines what comes back from an exchange, or does not, and what an answer that is no success says of the request."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from http import HTTPStatus
from typing import Protocol, TypeAlias

import msgspec

__all__ = ["Answer", "ApiCall", "Dialect", "Endpoint", "Fate", "Lost", "Params", "Pause", "Refusal", "fate_at_the_door"]

Params: TypeAlias = Mapping[str, str | int | bool]
"""What a request says. Amounts and prices are text: no digit of theirs passes through a float."""


class Endpoint(msgspec.Struct, frozen=True):
    """One thing that an exchange can be asked."""

    call: str
    """Name of ccxt's method for it."""
    host: str
    """Whose budget it uses."""
    weight: int
    """What it costs there, by the exchange's documentation."""
    signed: bool = True
    changes: bool = False
    """Whether it changes anything: then nobody knows what became of it when no answer comes."""
    refused_as: str = "VEN-001"
    """Error code of a refusal."""
    may_wait: bool = False
    """Whether what it changes is as good a moment later, so that it waits for room as what only reads does."""
    whole: bool = False
    """Whether its answers are read with what the exchange puts around every one, not `Dialect.payload` alone."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer. The text is kept as it came: parsed by a type that knows no floats, it loses no digit."""

    status: int
    headers: dict[str, str]
    """By name in small letters."""
    text: str


class Lost(msgspec.Struct, frozen=True):
    """No answer."""

    reason: str
    left: bool
    """Whether the request may have reached the exchange."""


class Fate(StrEnum):
    """What an answer that is no success says of the request."""

    REFUSED = auto()
    """Nothing was done, and the same request is refused again."""
    PASSING = auto()
    """Nothing was done, for a reason that passes."""
    UNKNOWN = auto()
    """Nobody knows."""
    UNAUTHORISED = auto()
    """The key does not serve."""
    LATE = auto()
    """Nothing was done, because the two clocks differ."""
    LIMITED = auto()
    """Nothing was done; the host wants to be left alone for a while."""
    BANNED = auto()
    """Nothing was done; the exchange does not talk to this address for a while."""


def fate_at_the_door(endpoint: Endpoint, status: int, fates: Mapping[int, Fate]) -> Fate:
    """What a status of 400 or more means whose body is none of the exchange's; `fates` says what each means there.

    Whatever stands before the exchange and forbids a request may have done so on the way back, when an order had been
    carried out: only the exchange's own words say that it was not.
    """
    if endpoint.changes and status == HTTPStatus.FORBIDDEN:
        return Fate.UNKNOWN
    return fates.get(status, Fate.UNKNOWN)


class Refusal(msgspec.Struct, frozen=True):
    """An answer that is no success, as its exchange means it."""

    fate: Fate
    code: str
    """The exchange's own; its HTTP status where it gives none."""
    text: str


class Pause(msgspec.Struct, frozen=True):
    """How long an exchange wants to be left alone."""

    seconds: float
    """Finite, 0 or more."""
    remark: str = ""
    """Why it is not what the exchange has said; empty where it is."""


class ApiCall(msgspec.Struct, frozen=True, kw_only=True):
    """One request, for the log: everything but key and signature, which it never had."""

    venue: str
    call: str
    """Name of ccxt's method."""
    method: str
    path: str
    """Method and path of the request, without what is signed; empty when it was never made."""
    weight: int
    """What it costs of the budget of its host."""
    host: str
    """Whose budget that is."""
    used_weight: int | None
    """What the exchange has counted of that budget; None where it does not say."""
    params: dict[str, str]
    status: int | None
    """HTTP status; None without an answer."""
    code: str | None
    """The exchange's error code; None for a success."""
    text: str
    """What went wrong; empty for a success."""
    duration_ms: float


class Dialect(Protocol):
    """How one exchange says things that all of them say."""

    @property
    def clock(self) -> Endpoint:
        """Where it is asked for its time."""
        ...

    def time_ns(self, answer: Answer) -> int:
        """The time that it says. Raises msgspec.ValidationError or msgspec.DecodeError when it says none."""
        ...

    def refusal(self, endpoint: Endpoint, answer: Answer) -> Refusal | None:
        """What is wrong; None for a success."""
        ...

    def payload(self, answer: Answer) -> str | bytes:
        """What of a success is the answer to the question. Raises msgspec.DecodeError when there is nothing such."""
        ...

    def used_weight(self, answer: Answer) -> int | None:
        """What the exchange has counted of the host's budget; None where it does not say."""
        ...

    def pause(self, refusal: Refusal, answer: Answer) -> Pause:
        """How long to leave a host alone that limits, or an exchange that bans."""
        ...
