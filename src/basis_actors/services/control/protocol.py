"""Defines what goes over the control socket: one line of JSON each way."""

from __future__ import annotations

import msgspec

from basis_actors.messages.safety import SwitchStatus
from basis_actors.services.state import Holder

__all__ = ["LONGEST_LINE", "Answer", "AskStatus", "KillRequest", "Refused", "Request", "ResumeRequest"]

LONGEST_LINE = 65_536
"""Bytes of a request."""


class KillRequest(msgspec.Struct, frozen=True, kw_only=True, tag="kill", forbid_unknown_fields=True):
    """Stop trading."""

    reason: str
    """Empty where none is given."""
    flatten: bool = False


class ResumeRequest(msgspec.Struct, frozen=True, tag="resume", forbid_unknown_fields=True):
    """Let trading go on."""


class AskStatus(msgspec.Struct, frozen=True, tag="status", forbid_unknown_fields=True):
    """Tell how things stand."""


Request = KillRequest | ResumeRequest | AskStatus


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """What came of a request."""

    process: Holder
    status: SwitchStatus
    refusal: str | None = None
    """Why it was not done, or not all of it; None when it was."""
    run_dir: str | None = None
    """Where the process logs; None before it has a place for that."""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The request was not understood, or came from somebody else."""

    message: str
