"""Defines who answers commands to a process, from the moment at which it has its state directory to its end.

Once the kill switch runs, it answers. Before and after that the latch on disk is what can be told and changed.
Who may connect is whoever runs the process, and root.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
import msgspec
from anyio.abc import SocketAttribute, SocketListener, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from basis_actors.actors.latch_file import killed_for, read_latch, write_latch
from basis_actors.bus import AskTimeout, BusError, Lane, LiveBus, Phase
from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.messages.commands import GetStatus, Kill, Resume, SwitchAnswer
from basis_actors.messages.safety import Latch, SwitchStatus, TradingState
from basis_actors.services.control.protocol import (
    LONGEST_LINE,
    Answer,
    AskStatus,
    KillRequest,
    Refused,
    Request,
    ResumeRequest,
)
from basis_actors.services.state import StateDirectory
from basis_actors.times import utc_from_ns

__all__ = ["ControlServer", "answering"]

_PATIENCE_SECONDS: Final = 5.0
"""How long a connection may take to ask, and the kill switch to answer."""
_NO_ROOM_SECONDS: Final = 0.2
"""Before a connection is accepted that could not be."""
_SWITCH: Final = "kill_switch"
_CREDENTIALS: Final = struct.Struct("3i")


@asynccontextmanager
async def answering(state: StateDirectory, bus: LiveBus) -> AsyncIterator[ControlServer]:
    """While it is entered, commands to the process are answered."""
    server = ControlServer(state, bus)
    task = asyncio.get_running_loop().create_task(server.serve(), name="control")
    try:
        yield server
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class ControlServer:
    """Answers one request a connection, on the socket of a state directory that this process holds."""

    def __init__(self, state: StateDirectory, bus: LiveBus) -> None:
        self._state = state
        self._bus = bus
        self.instead: str | None = "starting"
        """What the process does instead of trading, as long as nobody on the bus knows better; None while it trades."""
        self.run_dir: str | None = None
        """Where the process logs, once whoever runs it has said so."""

    async def serve(self) -> None:
        """Answer until cancelled."""
        async with (
            await SocketListener.from_socket(self._state.listen()) as listener,
            anyio.create_task_group() as connections,
        ):
            while True:
                try:
                    stream = await listener.accept()
                except anyio.BrokenResourceError:
                    # All descriptors are in use, perhaps by others who ask for /health: whoever connects is kept
                    # waiting, as a process that nobody can kill any more is worse.
                    await anyio.sleep(_NO_ROOM_SECONDS)
                else:
                    connections.start_soon(self._serve, stream)

    async def _serve(self, stream: SocketStream) -> None:
        """One connection. One that breaks or says nothing is nobody's error here."""
        try:
            async with stream:
                with anyio.fail_after(_PATIENCE_SECONDS):
                    answer = await self._answer(stream)
                    await stream.send(msgspec.json.encode(answer) + b"\n")
        except (TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            return

    async def _answer(self, stream: SocketStream) -> Answer | Refused:
        raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
        pid, user, _ = _CREDENTIALS.unpack(raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        # Read in any case: a connection that is closed with something unread in it loses the answer.
        request = await _request(stream)
        if user not in (os.geteuid(), 0):
            return Refused(f"user {user} may not command a process of user {os.geteuid()}")
        if isinstance(request, Refused):
            return request
        try:
            done = await self._carry_out(request, f"{_name(user)} (uid {user}, pid {pid})")
        except AskTimeout as error:
            return Refused(f"the kill switch does not answer: {error}")
        status = msgspec.structs.replace(done.status, instead=done.status.instead or self.instead)
        return Answer(process=self._state.holder, status=status, refusal=done.refusal, run_dir=self.run_dir)

    async def _carry_out(self, request: Request, who: str) -> SwitchAnswer:
        bus = self._bus
        begun = _SWITCH in bus.actors and bus.stats(_SWITCH).phase is Phase.RUNNING
        if begun and not bus.draining and bus.failure is None:
            # What starts has no other lane yet: its first message is that it is to start.
            lane = Lane.MESSAGES if self.instead is not None else Lane.CONTROL
            try:
                match request:
                    case KillRequest(reason=reason, flatten=flatten):
                        return await bus.ask(_SWITCH, Kill(reason, who, flatten), lane=lane)
                    case ResumeRequest():
                        return await bus.ask(_SWITCH, Resume(who), lane=lane)
                    case AskStatus():
                        return SwitchAnswer(await bus.ask(_SWITCH, GetStatus(), lane=lane))
            except AskTimeout:
                raise
            except BusError:
                pass  # it has come to its end meanwhile
        return self._on_disk(request, who)

    def _on_disk(self, request: Request, who: str) -> SwitchAnswer:
        """What the kill switch, which does not run yet or any more, will find or leave."""
        now = utc_from_ns(self._bus.clock.now())
        latch, refusal = read_latch(self._state, now), None
        starts = _SWITCH not in self._bus.actors or self._bus.stats(_SWITCH).phase in (Phase.NEW, Phase.STARTING)
        match request:
            case KillRequest(reason=reason, flatten=flatten):
                latch, refusal = self._kill(latch, Kill(reason, who, flatten))
            case ResumeRequest() if starts and latch.state is TradingState.KILLED and latch.cause is None:
                latch, refusal = self._take_back(latch, Resume(who))
            case ResumeRequest() if latch.state is not TradingState.RUNNING:
                refusal = f"RISK-006: the process is {self.instead}, so risk was not assessed; resume it once it trades"
            case _:
                pass
        return SwitchAnswer(SwitchStatus(latch=latch), refusal)

    def _kill(self, latch: Latch, kill: Kill) -> tuple[Latch, str | None]:
        if latch.state is TradingState.KILLED and (latch.flatten or not kill.flatten):
            return latch, None
        killed = Latch(
            state=TradingState.KILLED,
            reason=killed_for(kill.reason, latch),
            who=kill.who,
            since=utc_from_ns(self._bus.clock.now()),
            flatten=kill.flatten,
            mismatches=latch.mismatches,
            over=latch.cause,
        )
        return killed, self._write(killed, kill)

    def _take_back(self, latch: Latch, resume: Resume) -> tuple[Latch, str | None]:
        """What only a person has stopped, before anybody has traded."""
        now = utc_from_ns(self._bus.clock.now())
        running = Latch(
            state=TradingState.RUNNING, reason="resumed", who=resume.who, since=now, mismatches=latch.mismatches
        )
        return running, self._write(running, resume)

    def _write(self, latch: Latch, command: Kill | Resume) -> str | None:
        """Returns what kept it from being written."""
        if not self._bus.closed:
            # For a kill switch that has yet to start, or is about to stop: what it writes last says so as well.
            self._bus.post(_SWITCH, command)
        try:
            write_latch(self._state, latch)
        except BasisError as error:
            return f"{error.code}: the latch is not on disk, only this process knows of it: {error.message}"
        return None


async def _request(stream: SocketStream) -> Request | Refused:
    try:
        line = await BufferedByteReceiveStream(stream).receive_until(b"\n", LONGEST_LINE)
        request: Request = msgspec.json.decode(line, type=Request)
    except (anyio.IncompleteRead, anyio.DelimiterNotFound, *UNREADABLE) as error:
        return Refused(f"one line of JSON with a known request was expected: {error}")
    return request


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return "somebody"
