"""Defines the actor that has an endpoint asked for signals, and tells the strategy what came of it."""

from __future__ import annotations

from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, Outlet, Source, on
from basis_actors.errors import DataError
from basis_actors.messages.signals import EndpointAnswered, EndpointFailed, SignalReceived
from basis_actors.ports import SignalEndpoint
from basis_actors.signals.received import read_answer
from basis_actors.times import utc_from_ns

__all__ = ["SignalPoller", "polling"]


def polling(endpoint: SignalEndpoint, poll_seconds: float) -> Source:
    """A source that asks `endpoint` again and again, `poll_seconds` after each answer, and posts what it says to its
    owner.
    """

    async def ask(outlet: Outlet) -> None:
        while True:
            await outlet.room(outlet.owner)
            try:
                said: EndpointAnswered | EndpointFailed = EndpointAnswered(await endpoint.fetch(outlet.sleep))
            except DataError as failure:
                said = EndpointFailed(failure.code, failure.message)
            outlet.post(outlet.owner, said)
            await outlet.sleep(poll_seconds)

    return ask


class SignalPoller(Actor):
    """Owns the source that asks. What cannot be used counts as no signal, and is logged once as long as it lasts."""

    def __init__(self) -> None:
        super().__init__("signal_poller")
        self._told: str | None = None

    @on(EndpointAnswered)
    def read(self, answer: EndpointAnswered) -> None:
        """Pass a usable signal on, refuse any other."""
        try:
            signal = read_answer(answer.body, self.now)
        except DataError as error:
            self._refuse(error.code, error.message)
            return
        self._told = None
        self.tell("strategy_manager", SignalReceived(signal))

    @on(EndpointFailed)
    def note_failure(self, failure: EndpointFailed) -> None:
        """No answer is no signal."""
        self._refuse(failure.code, failure.message)

    def _refuse(self, code: str, message: str) -> None:
        if message != self._told:
            self.log(error_event(utc_from_ns(self.now), self.name, code, message))
        self._told = message
        self.tell("strategy_manager", SignalReceived(None, f"{code}: {message}"))
