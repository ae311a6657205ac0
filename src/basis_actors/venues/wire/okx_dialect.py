"""Defines what OKX's answers mean: the code of the envelope or of a row, by its documentation, else the status."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from basis_actors.errors import UNREADABLE
from basis_actors.venues.wire.answers import Answer, Endpoint, Fate, Pause, Refusal, fate_at_the_door
from basis_actors.venues.wire.okx_endpoints import CLOCK
from basis_actors.venues.wire.okx_rows import Clock

__all__ = ["OkxDialect"]

_NS_PER_MS: Final = 1_000_000
_SERVER_FAULT: Final = 500
_SHOWN: Final = 200
"""Characters of a body that says nothing readable."""
_PAUSE_SECONDS: Final = 2.0
"""After which a rate that counts the last two seconds has begun anew."""
_DOOR_SECONDS: Final = 60.0
"""For what stands before the exchange and says no without a code."""
_SUCCESS: Final = "0"
_ALL_FAILED, _SOME_FAILED = "1", "2"
"""Codes that leave it to the rows to say what is wrong."""

_UNKNOWN: Final = dict.fromkeys(
    (
        "50004",  # timeout: "does not mean that the request was successful or failed"
        "50026",  # system error
        "50042",  # repeated request: whether of this one, only asking tells
        "51011",  # an order of that number is there already
        "51016",  # an order of that id is there already
        "51054",  # request timed out
        "51149",  # order timed out
        "58007",  # the assets cannot be reached
        "58112",  # the transfer failed, for a reason that is not said
        "58124",  # a transfer of that id is being processed
        _ALL_FAILED,  # and no row says why
        _SOME_FAILED,
    ),
    Fate.UNKNOWN,
)
_UNAUTHORISED: Final = dict.fromkeys(
    (
        "50007",  # user blocked
        "50008",  # no such user
        "50012",  # account status
        "50027",  # account restricted from trading
        "50028",
        "50029",  # risk control
        "50030",  # permission
        "50035",  # the key must be bound to an address
        "50041",
        "50060",  # identity
        "50100",  # key frozen
        "50101",  # key of another environment
        "50103",
        "50104",
        "50105",  # passphrase
        "50106",
        "50107",
        "50110",  # address that the key is not bound to
        "50111",  # key
        "50113",  # signature: the secret does not belong to the key
        "50114",
        "50119",  # no such key
        "50120",  # permission
        "50121",  # address
        "51009",  # orders blocked
        "51024",  # account suspended
    ),
    Fate.UNAUTHORISED,
)
_PASSING: Final = dict.fromkeys(
    (
        "50001",  # service unavailable
        "50005",  # API offline
        "50013",  # busy: the request was not taken
        "50017",  # frozen for deleveraging or liquidation
        "50018",
        "50019",
        "50020",
        "50021",
        "50022",
        "50023",  # frozen for funding
        "50046",
        "50062",
        "51022",  # market suspended
        "51029",  # settlement
        "51030",  # funding is being settled
        "51290",  # the engine is being upgraded
        "58101",  # transfers suspended
    ),
    Fate.PASSING,
)
_FATES: Final[dict[str, Fate]] = {
    **_UNKNOWN,
    **_UNAUTHORISED,
    **_PASSING,
    "50036": Fate.LATE,  # its deadline is over before it came
    "50037": Fate.LATE,  # its deadline was over when its turn came
    "50102": Fate.LATE,
    "50112": Fate.LATE,
    "50011": Fate.LIMITED,
    "50040": Fate.LIMITED,
    "50061": Fate.LIMITED,  # too many orders
    "58102": Fate.LIMITED,
}
_UNREADABLE: Final[dict[int, Fate]] = {
    HTTPStatus.UNAUTHORIZED: Fate.UNAUTHORISED,
    HTTPStatus.FORBIDDEN: Fate.LIMITED,
    HTTPStatus.TOO_MANY_REQUESTS: Fate.LIMITED,
}
"""By status, for answers whose body says nothing."""
_UNCLEAR: Final = ("timeout", "timed out", "system error", "internal", "busy", "try again")
"""What the text of a code that is not listed may say; then nobody knows."""


class _Envelope(msgspec.Struct):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Result(msgspec.Struct, rename="camel"):
    s_code: str = _SUCCESS
    s_msg: str = ""


class OkxDialect:
    """Reads OKX's envelopes."""

    @property
    def clock(self) -> Endpoint:
        """Where it is asked for its time."""
        return CLOCK

    def time_ns(self, answer: Answer) -> int:
        """The time that it says."""
        (clock,) = msgspec.json.decode(self.payload(answer), type=tuple[Clock], strict=False)
        return clock.ts * _NS_PER_MS

    def refusal(self, endpoint: Endpoint, answer: Answer) -> Refusal | None:
        """What is wrong; None for a success."""
        envelope = _envelope_of(answer.text)
        if envelope is None:
            # A success that cannot be read is one still, until somebody wants to know what it says.
            if answer.status < HTTPStatus.BAD_REQUEST:
                return None
            fate = fate_at_the_door(endpoint, answer.status, _UNREADABLE)
            return Refusal(fate, str(answer.status), _beginning(answer.text))
        code, text = _verdict(envelope)
        if code == _SUCCESS and answer.status < HTTPStatus.BAD_REQUEST:
            return None
        return Refusal(_fate(answer.status, code, text), code, text)

    def payload(self, answer: Answer) -> str | bytes:
        """The rows."""
        return bytes(msgspec.json.decode(answer.text, type=_Envelope).data)

    def used_weight(self, answer: Answer) -> int | None:  # noqa: ARG002 (part of the protocol)
        """None: it does not say."""
        return None

    def pause(self, refusal: Refusal, answer: Answer) -> Pause:  # noqa: ARG002 (it does not say how long)
        """As long as its rates count back, a minute where something else than the exchange has spoken."""
        return Pause(_PAUSE_SECONDS if refusal.code in _FATES else _DOOR_SECONDS)


def _verdict(envelope: _Envelope) -> tuple[str, str]:
    """Code and text; those of the first row that failed where there is one."""
    try:
        rows = msgspec.json.decode(envelope.data, type=tuple[_Result, ...])
    except UNREADABLE:
        rows = ()
    for row in rows:
        if row.s_code not in ("", _SUCCESS):
            return row.s_code, row.s_msg
    return envelope.code, envelope.msg


def _fate(status: int, code: str, text: str) -> Fate:
    if code in _FATES:
        return _FATES[code]
    unclear = status >= _SERVER_FAULT or code == _SUCCESS or any(word in text.lower() for word in _UNCLEAR)
    return Fate.UNKNOWN if unclear else Fate.REFUSED


def _envelope_of(text: str) -> _Envelope | None:
    try:
        return msgspec.json.decode(text, type=_Envelope)
    except UNREADABLE:
        return None


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
