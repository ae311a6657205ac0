"""Defines what Binance's answers mean: error codes, by the documentation of spot and of futures, and headers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from basis_actors.errors import UNREADABLE
from basis_actors.venues.wire.answers import Answer, Endpoint, Fate, Pause, Refusal, fate_at_the_door
from basis_actors.venues.wire.binance_endpoints import FUTURES, SPOT_TIME
from basis_actors.venues.wire.binance_rows import Clock
from basis_actors.venues.wire.headers import number_in, pause_asked

__all__ = ["BinanceDialect"]

_NS_PER_MS: Final = 1_000_000
_SERVER_FAULT: Final = 500
_BANNED: Final = 418
_WINDOW_SECONDS: Final = 60.0
"""Of the limits on requests; by then they are counted anew."""
_SHORTEST_BAN_SECONDS: Final = 120.0
"""Bans last from two minutes to three days."""

_FATES: Final[dict[int, Fate]] = {
    -1000: Fate.UNKNOWN,  # "an unknown error occurred while processing the request"
    -1001: Fate.UNKNOWN,  # "internal error; unable to process your request"
    -1002: Fate.UNAUTHORISED,
    -1003: Fate.LIMITED,  # too many requests
    -1006: Fate.UNKNOWN,  # "unexpected response from the message bus; execution status unknown"
    -1007: Fate.UNKNOWN,  # "timeout waiting for the backend; send status unknown; execution status unknown"
    -1008: Fate.PASSING,  # overloaded: the request was not taken
    -1015: Fate.LIMITED,  # too many orders
    -1016: Fate.PASSING,  # shut down for maintenance
    -1021: Fate.LATE,
    -1022: Fate.UNAUTHORISED,  # wrong signature: the secret does not belong to the key
    -2014: Fate.UNAUTHORISED,
    -2015: Fate.UNAUTHORISED,  # key, address or permission; also when a key that has served is revoked
    -4116: Fate.UNKNOWN,  # an order of that id is there already: whether it is this one, only asking tells
}
_DUPLICATE: Final = "duplicate order sent"
"""What spot says where futures say -4116."""
_DISCONNECTED: Final = -1001
_UNAVAILABLE: Final = "service unavailable"
"""Code and text that the futures documentation calls a failure, to be tried again, and that of spot does not."""
_TOO_MANY_ORDERS: Final = "-1015"
_SHOWN: Final = 200
"""Characters of a body that says nothing readable."""
_UNREADABLE: Final = {
    HTTPStatus.UNAUTHORIZED: Fate.UNAUTHORISED,
    HTTPStatus.FORBIDDEN: Fate.LIMITED,  # the firewall before the exchange
    HTTPStatus.TOO_MANY_REQUESTS: Fate.LIMITED,
    _BANNED: Fate.BANNED,
}
"""By status, for answers whose body says nothing."""


class _Problem(msgspec.Struct):
    code: int
    msg: str = ""


class BinanceDialect:
    """Reads Binance's refusals."""

    @property
    def clock(self) -> Endpoint:
        """Where it is asked for its time."""
        return SPOT_TIME

    def time_ns(self, answer: Answer) -> int:
        """The time that it says."""
        return msgspec.json.decode(answer.text, type=Clock).server_time * _NS_PER_MS

    def refusal(self, endpoint: Endpoint, answer: Answer) -> Refusal | None:
        """What is wrong; None for a success."""
        problem = _problem_of(answer.text)
        if answer.status < HTTPStatus.BAD_REQUEST and (problem is None or problem.code >= 0):
            return None
        if problem is None or problem.code == 0:
            fate = fate_at_the_door(endpoint, answer.status, _UNREADABLE)
            return Refusal(fate, str(answer.status), _beginning(answer.text))
        return Refusal(_fate(endpoint, answer.status, problem), str(problem.code), problem.msg)

    def payload(self, answer: Answer) -> str | bytes:
        """All of it."""
        return answer.text

    def used_weight(self, answer: Answer) -> int | None:
        """What has been counted in this minute."""
        return number_in(answer, "x-mbx-used-weight-1m")

    def pause(self, refusal: Refusal, answer: Answer) -> Pause:
        """As long as it says; not at all for too many orders, which can still be cancelled and found out about."""
        if refusal.code == _TOO_MANY_ORDERS:
            return Pause(0.0)
        return pause_asked(answer, _SHORTEST_BAN_SECONDS if refusal.fate is Fate.BANNED else _WINDOW_SECONDS)


def _fate(endpoint: Endpoint, status: int, problem: _Problem) -> Fate:
    if status == _BANNED:
        return Fate.BANNED
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Fate.LIMITED
    failed = problem.code == _DISCONNECTED or (status >= _SERVER_FAULT and problem.msg.lower().startswith(_UNAVAILABLE))
    if failed and endpoint.host in FUTURES:
        return Fate.PASSING
    if problem.code in _FATES:
        return _FATES[problem.code]
    unclear = status >= _SERVER_FAULT or _DUPLICATE in problem.msg.lower()
    return Fate.UNKNOWN if unclear else Fate.REFUSED


def _problem_of(text: str) -> _Problem | None:
    try:
        return msgspec.json.decode(text, type=_Problem)
    except UNREADABLE:
        return None


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
