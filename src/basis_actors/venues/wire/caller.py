"""Asks an exchange one thing, once, and says what came of it in the four classes of error that orders are judged by.

Nothing here asks twice, whatever comes back.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from basis_actors.config.secrets import variables_of
from basis_actors.errors import UNREADABLE, AuthFailed, LeftAlone, Rejected, Transient, UnknownOutcome, VenueError
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.answers import Answer, ApiCall, Dialect, Endpoint, Fate, Lost, Params, Pause, Refusal
from basis_actors.venues.wire.ccxt_client import CcxtClient
from basis_actors.venues.wire.exchange_clock import ExchangeClock
from basis_actors.venues.wire.request_budget import RequestBudget

__all__ = ["Caller"]

T = TypeVar("T")
_NS_PER_MS: Final = 1_000_000
_READINGS: Final = 3
"""Of a clock that is not known yet. The first pays for the connection; the quickest is the most exact."""
_LONGEST_WAIT_NS: Final = 5 * NS_PER_SECOND
_NONE: Final[frozenset[str]] = frozenset()


class Caller:
    """Everything between an adapter and the wire: keys, clock, budget, verdict, record."""

    def __init__(
        self,
        venue: str,
        client: CcxtClient,
        dialect: Dialect,
        clock: ExchangeClock,
        budget: RequestBudget,
        *,
        clock_refresh_seconds: float,
        longest_pause_seconds: float,
        record: Callable[[ApiCall], None],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.clock = clock
        self.budget = budget
        self._venue = venue
        self._client = client
        self._dialect = dialect
        self._refresh_ns = int(clock_refresh_seconds * NS_PER_SECOND)
        self._longest_pause = longest_pause_seconds
        self._record = record
        self._sleep = sleep

    async def ask(self, endpoint: Endpoint, params: Params, shape: type[T], *, urgent: bool = False) -> T:
        """Send one request and read its answer as `shape`; `urgent` may use the reserved share of the budget.

        Raises what the error classes in `errors` say of a request that was refused, did nothing, may have done
        something, or is not allowed; one that only reads is Transient where it is not AuthFailed.
        """
        found = await self.find(endpoint, params, shape, absent=_NONE, urgent=urgent)
        assert found is not None
        return found

    async def find(
        self,
        endpoint: Endpoint,
        params: Params,
        shape: type[T],
        *,
        absent: frozenset[str],
        urgent: bool = False,
    ) -> T | None:
        """The same; None when the exchange answers with one of the codes `absent`."""
        if endpoint.signed:
            await self._make_ready(endpoint, urgent=urgent)
        delivery, refusal = await self._send(endpoint, params, urgent=urgent)
        if refusal is not None and refusal.code in absent:
            return None
        if refusal is not None and refusal.fate is Fate.LATE:
            # Nothing was done; whoever asks again does so by the right time.
            await self.read_clock()
        if isinstance(delivery, Lost):
            raise self._of_lost(endpoint, delivery)
        if refusal is not None:
            raise self._of_refusal(endpoint, refusal)
        try:
            payload = delivery.text if endpoint.whole else self._dialect.payload(delivery)
            return msgspec.json.decode(payload, type=shape, strict=False)
        except UNREADABLE as error:
            problem = str(error)
        raise self.unreadable(endpoint, problem)

    def require_room(self, wanted: Iterable[tuple[Endpoint, bool]]) -> None:
        """Whether all these requests would be sent now; of each, whether it is urgent. Nothing is sent.

        Raises Transient as `RequestBudget.require`.
        """
        weights: dict[tuple[str, bool], int] = {}
        for endpoint, urgent in wanted:
            weights[endpoint.host, urgent] = weights.get((endpoint.host, urgent), 0) + endpoint.weight
        clock = self.clock
        exchange_ns = clock.now_ns() if clock.is_set else None
        for (host, urgent), weight in weights.items():
            self.budget.require(host, weight, exchange_ns=exchange_ns, elapsed_ns=clock.elapsed_ns, urgent=urgent)

    async def now_ns(self) -> int:
        """The exchange's time, asked for if it is not known yet."""
        if not self.clock.is_set:
            await self.read_clock()
        return self.clock.now_ns()

    async def read_clock(self) -> None:
        """Ask the exchange for its time. Raises Transient when it does not say."""
        endpoint = self._dialect.clock
        clock = self.clock
        quickest: tuple[int, int, int, int] | None = None
        for _ in range(1 if clock.is_set else _READINGS):
            asked = clock.elapsed_ns
            delivery, refusal = await self._send(endpoint, {}, urgent=True)
            answered = clock.elapsed_ns
            if isinstance(delivery, Lost):
                raise self._of_lost(endpoint, delivery)
            if refusal is not None:
                raise self._of_refusal(endpoint, refusal)
            try:
                server = self._dialect.time_ns(delivery)
            except UNREADABLE as error:
                problem = str(error)
            else:
                reading = (answered - asked, server, asked, answered)
                quickest = reading if quickest is None else min(quickest, reading)
                continue
            raise self.unreadable(endpoint, problem)
        assert quickest is not None
        clock.set(*quickest[1:])

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _make_ready(self, endpoint: Endpoint, *, urgent: bool) -> None:
        if not self._client.has_keys:
            raise AuthFailed("VEN-005", f"{self._venue} has no key; set {', '.join(variables_of(self._venue))}")
        # An order does not wait for a clock that is merely old; what only reads keeps it young.
        may_wait = not endpoint.changes and not urgent
        if not self.clock.is_set or (may_wait and self.clock.age_ns() > self._refresh_ns):
            await self.read_clock()

    async def _send(self, endpoint: Endpoint, params: Params, *, urgent: bool) -> tuple[Answer | Lost, Refusal | None]:
        clock, budget = self.clock, self.budget
        if endpoint.may_wait or not endpoint.changes:
            await self._wait_for_room(endpoint, urgent=urgent)
        exchange_ns = clock.now_ns() if clock.is_set else None
        asked = clock.elapsed_ns
        budget.take(endpoint.host, endpoint.weight, exchange_ns=exchange_ns, elapsed_ns=asked, urgent=urgent)
        try:
            delivery = await self._client.send(endpoint.call, params)
        except CancelledError:
            self._note(endpoint, params, Lost("cancelled while waiting for the answer", left=True), None, asked)
            raise
        answered = clock.elapsed_ns
        refusal = None
        if isinstance(delivery, Answer):
            refusal = self._dialect.refusal(endpoint, delivery)
            used = self._dialect.used_weight(delivery)
            if used is not None:
                budget.used(endpoint.host, used, clock.now_ns() if clock.is_set else None)
            if refusal is not None and refusal.fate in (Fate.LIMITED, Fate.BANNED):
                refusal = self._leave_alone(endpoint, refusal, delivery, answered)
        self._note(endpoint, params, delivery, refusal, asked)
        return delivery, refusal

    def _leave_alone(self, endpoint: Endpoint, refusal: Refusal, answer: Answer, answered: int) -> Refusal:
        """Ask nothing for as long as the exchange says and a limit may last; the refusal, with what is odd there."""
        pause, longest = self._dialect.pause(refusal, answer), self._longest_pause
        if refusal.fate is Fate.BANNED:
            self.budget.ban(answered, pause.seconds)
        else:
            if pause.seconds > longest:
                text = f"it asks for {pause.seconds:g} s, of which longest_pause_seconds allows {longest:g}"
                pause = Pause(longest, text)
            self.budget.pause(endpoint.host, answered, pause.seconds)
        return replace(refusal, text=f"{refusal.text} ({pause.remark})") if pause.remark else refusal

    async def _wait_for_room(self, endpoint: Endpoint, *, urgent: bool) -> None:
        """Let a moment pass where that is all it takes: a long list is read at the pace that the exchange allows.

        What changes something does not wait. Its moment may be gone by then, and whoever wants it knows better.
        """
        while True:
            wait_ns = self.budget.wait_ns(endpoint.host, endpoint.weight, self.clock.elapsed_ns, urgent=urgent)
            if not 0 < wait_ns <= _LONGEST_WAIT_NS:
                return
            await self._sleep(wait_ns / NS_PER_SECOND)

    def _note(
        self,
        endpoint: Endpoint,
        params: Params,
        delivery: Answer | Lost,
        refusal: Refusal | None,
        asked: int,
    ) -> None:
        method, path = self._client.route(endpoint.call)
        self._record(
            ApiCall(
                venue=self._venue,
                call=endpoint.call,
                method=method,
                path=path,
                weight=endpoint.weight,
                host=endpoint.host,
                used_weight=self._dialect.used_weight(delivery) if isinstance(delivery, Answer) else None,
                params={name: str(value) for name, value in params.items()},
                status=delivery.status if isinstance(delivery, Answer) else None,
                code=None if refusal is None else refusal.code,
                text=delivery.reason if isinstance(delivery, Lost) else "" if refusal is None else refusal.text,
                duration_ms=(self.clock.elapsed_ns - asked) / _NS_PER_MS,
            )
        )

    def _of_lost(self, endpoint: Endpoint, lost: Lost) -> VenueError:
        what = f"{self._venue} {endpoint.call}: {lost.reason}"
        if not lost.left:
            return Transient("VEN-003", f"{what}; it was not sent")
        if endpoint.changes:
            return UnknownOutcome("VEN-002", f"{what}; no answer came, so it may have been carried out")
        return Transient("VEN-003", f"{what}; no answer came")

    def unreadable(self, endpoint: Endpoint, problem: str) -> VenueError:
        """The error for an answer that came, but does not say what it has to."""
        what = f"{self._venue} {endpoint.call}: the answer cannot be read: {problem}"
        if endpoint.changes:
            return UnknownOutcome("VEN-002", f"{what}; it may have been carried out")
        return Transient("VEN-001", what)

    def _of_refusal(self, endpoint: Endpoint, refusal: Refusal) -> VenueError:
        what = f"{self._venue} {endpoint.call}: {refusal.code} {refusal.text}"
        fate = refusal.fate
        if fate is Fate.UNAUTHORISED:
            return AuthFailed("VEN-005", f"{what}; check key, permissions and address list")
        if fate in (Fate.LIMITED, Fate.BANNED):
            found = self.budget.left_alone(endpoint.host, self.clock.elapsed_ns)
            if found is None:
                return Transient("VEN-006", f"{what}; it was not carried out")
            text = f"{what}; it was not carried out, and {found.message}"
            return LeftAlone(found.code, text, found.wait_seconds, found.until_ns)
        if fate is Fate.LATE:
            return Transient("VEN-001", f"{what}; it was not carried out, the clock has been read again")
        if fate is Fate.PASSING or (fate is Fate.UNKNOWN and not endpoint.changes):
            return Transient("VEN-003", f"{what}; it was not carried out")
        if fate is Fate.UNKNOWN:
            return UnknownOutcome("VEN-002", f"{what}; it may have been carried out")
        return Rejected(endpoint.refused_as, what) if endpoint.changes else Transient("VEN-001", what)
