"""Defines what Bybit's answers mean: the code in their envelope, by its documentation, and where that fails its status.

Almost everything comes with HTTP status 200, refusals as well.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from basis_actors.errors import UNREADABLE
from basis_actors.venues.wire.answers import Answer, Endpoint, Fate, Pause, Refusal, fate_at_the_door
from basis_actors.venues.wire.bybit_endpoints import CLOCK
from basis_actors.venues.wire.bybit_rows import Clock
from basis_actors.venues.wire.headers import LONGEST_SECONDS, number_in

__all__ = ["BybitDialect"]

_MS_PER_SECOND: Final = 1000
_SERVER_FAULT: Final = 500
_SHOWN: Final = 200
"""Characters of a body that says nothing readable."""
_BAN_SECONDS: Final = 600.0
"""Of an address that asked too often: at least ten minutes, then it is over by itself."""
_PAUSE_SECONDS: Final = 1.0
"""After which a rate that counts the last second has begun anew."""

_UNKNOWN: Final = dict.fromkeys(
    (
        10000,  # server timeout
        10014,  # duplicate request: whether of this one, only asking tells
        10016,  # server error
        110072,  # an order of that id is there already
        131001,  # service error
        131003,  # internal error
        131082,  # "do not repeat the request"
        131200,
        131201,
        131214,  # a transfer of that id is there already
        131230,  # busy
        170001,  # internal error
        170007,  # timeout waiting for the backend
        170032,  # network error
        170035,  # "submitted to the system for processing"
        170141,  # an order of that id is there already
        170146,  # order creation timeout
        170147,  # order cancellation timeout
        170149,  # creation failed, for a reason that is not said
        170150,  # cancellation failed, the same
        170212,  # cancellation is being processed
        170234,  # system error
    ),
    Fate.UNKNOWN,
)
_UNAUTHORISED: Final = dict.fromkeys(
    (
        -2015,  # key expired
        10003,  # key
        10004,  # signature: the secret does not belong to the key
        10005,  # permission
        10007,  # authentication
        10008,  # banned
        10010,  # address that the key is not bound to
        10024,  # compliance
        10027,  # trading banned
        10028,  # not a unified account
        33004,  # key expired
        100028,
        170201,  # account restricted
    ),
    Fate.UNAUTHORISED,
)
_FATES: Final[dict[int, Fate]] = {
    **_UNKNOWN,
    **_UNAUTHORISED,
    -1: Fate.LATE,  # expired on its way to the engine
    10002: Fate.LATE,
    429: Fate.PASSING,  # high load
    10019: Fate.PASSING,  # restarting
    110063: Fate.PASSING,  # settlement in progress
    110079: Fate.PASSING,  # the order is being processed
    131097: Fate.PASSING,  # no withdrawals of this token at present
    170191: Fate.PASSING,  # cannot be cancelled just now
    10006: Fate.LIMITED,
    10429: Fate.LIMITED,
    170005: Fate.LIMITED,  # too many orders
    170222: Fate.LIMITED,
    10009: Fate.BANNED,
    10018: Fate.BANNED,  # rate of the address
}
_UNREADABLE: Final[dict[int, Fate]] = {
    HTTPStatus.UNAUTHORIZED: Fate.UNAUTHORISED,
    HTTPStatus.FORBIDDEN: Fate.BANNED,
    HTTPStatus.TOO_MANY_REQUESTS: Fate.LIMITED,
}
"""By status, for answers whose body says nothing."""
_UNCLEAR: Final = ("timeout", "timed out", "internal", "server error", "system error", "service error", "try again")
"""What the text of a code that is not listed may say; then nobody knows."""


class _Envelope(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str = ""
    result: msgspec.Raw = msgspec.Raw(b"null")
    time: int | None = None


class BybitDialect:
    """Reads Bybit's envelopes."""

    @property
    def clock(self) -> Endpoint:
        """Where it is asked for its time."""
        return CLOCK

    def time_ns(self, answer: Answer) -> int:
        """The time that it says."""
        return msgspec.json.decode(self.payload(answer), type=Clock, strict=False).time_nano

    def refusal(self, endpoint: Endpoint, answer: Answer) -> Refusal | None:
        """What is wrong; None for a success."""
        envelope = _envelope_of(answer.text)
        is_forbidden = answer.status == HTTPStatus.FORBIDDEN
        if envelope is None or (is_forbidden and envelope.ret_code == 0):
            # A success that cannot be read is one still, until somebody wants to know what it says.
            if answer.status < HTTPStatus.BAD_REQUEST:
                return None
            fate = fate_at_the_door(endpoint, answer.status, _UNREADABLE)
            return Refusal(fate, str(answer.status), _beginning(answer.text))
        if is_forbidden:
            return Refusal(Fate.BANNED, str(answer.status), _beginning(answer.text))
        if envelope.ret_code == 0 and answer.status < HTTPStatus.BAD_REQUEST:
            return None
        return Refusal(_fate(answer.status, envelope), str(envelope.ret_code), envelope.ret_msg)

    def payload(self, answer: Answer) -> str | bytes:
        """What is in the envelope."""
        return bytes(msgspec.json.decode(answer.text, type=_Envelope).result)

    def used_weight(self, answer: Answer) -> int | None:  # noqa: ARG002 (part of the protocol)
        """None: it counts the last second, which is over when this is read."""
        return None

    def pause(self, refusal: Refusal, answer: Answer) -> Pause:
        """Until the moment that it names; a second where it names none, ten minutes for an address that is banned."""
        if refusal.fate is Fate.BANNED:
            return Pause(_BAN_SECONDS)
        envelope, until = _envelope_of(answer.text), number_in(answer, "x-bapi-limit-reset-timestamp")
        if envelope is None or envelope.time is None or until is None:
            return Pause(_PAUSE_SECONDS)
        left_ms = until - envelope.time
        if left_ms > LONGEST_SECONDS * _MS_PER_SECOND:
            return Pause(_PAUSE_SECONDS, f"the end that it names is far away, so {_PAUSE_SECONDS:g} s are waited")
        return Pause(max(left_ms, int(_PAUSE_SECONDS * _MS_PER_SECOND)) / _MS_PER_SECOND)


def _fate(status: int, envelope: _Envelope) -> Fate:
    if envelope.ret_code in _FATES:
        return _FATES[envelope.ret_code]
    text = envelope.ret_msg.lower()
    unclear = status >= _SERVER_FAULT or envelope.ret_code == 0 or any(word in text for word in _UNCLEAR)
    return Fate.UNKNOWN if unclear else Fate.REFUSED


def _envelope_of(text: str) -> _Envelope | None:
    try:
        return msgspec.json.decode(text, type=_Envelope)
    except UNREADABLE:
        return None


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
