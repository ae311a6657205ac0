"""Defines the source that listens for commands to a running process. Who may connect is whoever runs it, and root."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from typing import Final

import anyio
import msgspec
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from basis_actors.bus import AskError, Lane, Outlet, Source, UnknownActor
from basis_actors.messages.commands import GetStatus, Kill, Resume, SwitchAnswer
from basis_actors.services.control.protocol import (
    LONGEST_LINE,
    Answer,
    AskStatus,
    KillRequest,
    Refused,
    Request,
    ResumeRequest,
)
from basis_actors.services.state import StateDirectory, socket_of

__all__ = ["control_server"]

_PATIENCE_SECONDS: Final = 5.0
"""How long a connection may take to ask, and the kill switch to answer."""
_FRESH: Final = ".control.new"
_SWITCH: Final = "kill_switch"
_CREDENTIALS: Final = struct.Struct("3i")


def control_server(state: StateDirectory) -> Source:
    """A source that answers one request a connection, on the socket of a state directory that this process holds."""

    async def listen(outlet: Outlet) -> None:
        path = socket_of(state.path)
        fresh = path.with_name(_FRESH)
        # Whatever is there is left over: the lock says that nobody else listens.
        fresh.unlink(missing_ok=True)
        listener = await anyio.create_unix_listener(fresh, mode=0o600)
        # Whoever finds the socket finds somebody who listens, and nobody finds it before its mode is set.
        fresh.replace(path)
        try:
            async with listener:
                await listener.serve(lambda stream: _serve(stream, outlet, state))
        finally:
            path.unlink(missing_ok=True)

    return listen


async def _serve(stream: SocketStream, outlet: Outlet, state: StateDirectory) -> None:
    """One connection. One that breaks or says nothing is nobody's error here."""
    try:
        async with stream:
            with anyio.fail_after(_PATIENCE_SECONDS):
                answer = await _answer(stream, outlet, state)
                await stream.send(msgspec.json.encode(answer) + b"\n")
    except (TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
        return


async def _answer(stream: SocketStream, outlet: Outlet, state: StateDirectory) -> Answer | Refused:
    raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
    pid, user, _ = _CREDENTIALS.unpack(raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    # Read in any case: a connection that is closed with something unread in it loses the answer.
    request = await _request(stream)
    if user not in (os.geteuid(), 0):
        return Refused(f"user {user} may not command a process of user {os.geteuid()}")
    if isinstance(request, Refused):
        return request
    try:
        done = await _carry_out(request, f"{_name(user)} (uid {user}, pid {pid})", outlet)
    except (AskError, UnknownActor) as error:
        return Refused(f"the kill switch does not answer: {error}")
    return Answer(process=state.holder, status=done.status, refusal=done.refusal)


async def _request(stream: SocketStream) -> Request | Refused:
    try:
        line = await BufferedByteReceiveStream(stream).receive_until(b"\n", LONGEST_LINE)
        request: Request = msgspec.json.decode(line, type=Request)
    except (anyio.IncompleteRead, anyio.DelimiterNotFound, msgspec.DecodeError) as error:
        return Refused(f"one line of JSON with a known request was expected: {error}")
    return request


async def _carry_out(request: Request, who: str, outlet: Outlet) -> SwitchAnswer:
    match request:
        case KillRequest(reason=reason, flatten=flatten):
            command: Kill | Resume = Kill(reason, who, flatten)
        case ResumeRequest():
            command = Resume(who)
        case AskStatus():
            return SwitchAnswer(await outlet.ask(_SWITCH, GetStatus(), lane=Lane.CONTROL))
    return await outlet.ask(_SWITCH, command, lane=Lane.CONTROL)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return "somebody"
