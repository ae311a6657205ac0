"""Defines ``on``, which makes a method a message handler, and how an actor class's handlers are found.

Type checkers hold a handler of a ``Request[R]`` to returning ``R``, and every other handler to returning nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, overload

A = TypeVar("A")
M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Nothing = TypeVar("Nothing", bound=Coroutine[Any, Any, None] | None)
"""What a handler of a message may return: nothing, now or later. A request is answered instead."""

Handler = Callable[[Any], Any]
"""A bound handler: takes the message, returns a result or a coroutine of it."""

_MARK = "__handles__"


class _RequestType(Protocol[M_co, R_co]):
    """The class object of a ``Request``, seen as: builds an ``M``, is answered with an ``R``."""

    def __call__(self, *args: Any, **kwargs: Any) -> M_co: ...
    def __reply__(self) -> R_co: ...


class _OnRequest(Protocol[M, R]):
    @overload
    def __call__(
        self, handler: Callable[[A, M], Coroutine[Any, Any, R]]
    ) -> Callable[[A, M], Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, handler: Callable[[A, M], R]) -> Callable[[A, M], R]: ...


class _OnMessage(Protocol[M]):
    def __call__(self, handler: Callable[[A, M], Nothing]) -> Callable[[A, M], Nothing]: ...


@overload
def on(message_type: _RequestType[M, R]) -> _OnRequest[M, R]: ...
@overload
def on(message_type: type[M]) -> _OnMessage[M]: ...
def on(message_type: Any) -> Any:
    """Make the decorated method (``def`` or ``async def``) the handler of exactly ``message_type``.

    Subclasses of the type are other types. ``@on(object)`` is the one exception: it takes whatever has no handler of
    its own (a log sink, a probe), and it does not subscribe to anything published.
    """

    def mark(function: Any) -> Any:
        setattr(function, _MARK, message_type)
        return function

    return mark


def handler_names(actor_class: type) -> dict[type, str]:
    """Map each handled message type to the name of its method. A subclass's handler replaces its base's.

    Raises:
        TypeError: one class has two handlers of the same type.
    """
    names: dict[type, str] = {}
    for owner in reversed(actor_class.__mro__):
        own: dict[type, str] = {}
        for name, attribute in vars(owner).items():
            message_type = getattr(attribute, _MARK, None)
            if message_type is None or not callable(attribute):
                continue
            if message_type in own:
                raise TypeError(
                    f"{owner.__name__} has two handlers of {message_type.__name__}: {own[message_type]} and {name}"
                )
            own[message_type] = name
        names.update(own)
    return names
