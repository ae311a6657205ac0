"""Defines what can go wrong on a bus. Every error names the actor and the message it is about."""

from __future__ import annotations

import msgspec


class BusError(Exception):
    """Base of everything the bus raises on its own account."""


class UnknownActor(BusError):
    """A message was addressed to a name that was never added to the bus: a wiring mistake, so it is loud."""


class NotOnABus(BusError):
    """A verb was used on an actor that has not been added to a bus."""


class BusStalled(BusError):
    """Something is being waited for that can no longer happen: nothing is ready and no timer is left."""


class ForeignAwait(BusError):
    """A handler on SimBus awaited something that is not a primitive of the bus (asyncio, anyio, a thread)."""


class AskError(BusError):
    """Base of the three ways an ask can end without a reply."""


class AskTimeout(AskError):
    """The deadline of an ask passed. The receiver is not interrupted; a late reply becomes a dead letter."""


class AskCycle(AskError):
    """The actor asked itself, or an actor that (directly or through others) is waiting for the asking one."""


class AskFailed(AskError):
    """The receiver could not answer: its handler raised (see ``__cause__``), it has stopped, or no handler fits."""


class Lost(msgspec.Struct, frozen=True):
    """What one actor left behind when its time to stop was over."""

    actor: str
    handling: str | None
    """Type of the message whose handler did not return, if there was one."""
    unhandled: dict[str, int]
    """Messages still in the inbox: type name to count."""

    def __str__(self) -> str:
        parts = [f"{self.actor}:"]
        if self.handling is not None:
            parts.append(f"did not finish {self.handling}")
        parts.extend(f"{count} {name} unhandled" for name, count in self.unhandled.items())
        return " ".join((parts[0], ", ".join(parts[1:]) or "did not stop"))


class StopTimeout(BusError):
    """The bus did not drain before its deadline. ``lost`` names actors and messages."""

    def __init__(self, lost: tuple[Lost, ...]) -> None:
        super().__init__("the bus did not drain before its deadline; lost: " + "; ".join(map(str, lost)))
        self.lost = lost


class BusFailed(BusError):
    """An actor failed and its supervision row does not let it live on. ``__cause__`` is the original error."""

    def __init__(self, actor: str, message_type: str, message: object, cause: BaseException) -> None:
        super().__init__(f"actor {actor!r} failed while handling {message_type}: {type(cause).__name__}: {cause}")
        self.actor = actor
        self.message_type = message_type
        self.message = message
        """The message that was being handled, or None for a lifecycle hook or a source."""
        self.lost: tuple[Lost, ...] = ()
        """What the drain after the failure could not finish in time."""
        self.__cause__ = cause
