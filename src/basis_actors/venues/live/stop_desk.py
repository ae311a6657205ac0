"""Defines how positions keep their stops: written down before the order that brings them is sent, placed once it is
filled, seen to while the position is open, cancelled when it is closed otherwise.

What has not ended in the journal is what a position has to have. A stop that vanishes is replaced, and a position that
cannot have its stop is closed: by that stop, as it were, where the market has passed its level. Where one takes the
place of another the old one goes first: an exchange keeps one of a kind that closes a whole position.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import NamedTuple

from basis_actors.errors import JournalError, LevelPassed, VenueError
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.journal import IntentState, JournalEntry
from basis_actors.messages.orders import OperationType, Order, Side
from basis_actors.messages.stops import BracketRecalled, StopKind, StopState, StopTicket
from basis_actors.ports import OrderJournal
from basis_actors.venues.live.brackets import (
    Bracket,
    bracket_of,
    kind_of,
    kinds_of,
    sibling,
    stop_order,
    unprotected,
)
from basis_actors.venues.live.closings import Closings
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.intake import Intake
from basis_actors.venues.live.intents import Intents
from basis_actors.venues.live.market_rules import MarketRules
from basis_actors.venues.live.order_desk import OrderDesk
from basis_actors.venues.live.stop_book import StopBook
from basis_actors.venues.live.terms import AccountTerms, LiveClock

__all__ = ["StopDesk"]


class _Seen(NamedTuple):
    entry: JournalEntry
    lost: str
    """Why it protects nothing any more; empty while it may."""


_Close = Callable[[Order, float, VenueError, StopKind | None], Awaitable[str | None]]


class StopDesk:
    """The stops of one account's positions. `held` says how much there is of something, by position key."""

    def __init__(
        self,
        terms: AccountTerms,
        journal: OrderJournal,
        book: StopBook,
        intents: Intents,
        orders: OrderDesk,
        rules: MarketRules,
        intake: Intake,
        held: Callable[[str], Awaitable[float]],
        findings: Findings,
        clock: LiveClock,
    ) -> None:
        self._terms = terms
        self._journal = journal
        self._book = book
        self._intents = intents
        self._orders = orders
        self._rules = rules
        self._closings = Closings(terms, journal, intents, orders, held, clock)
        self._intake = intake
        self._held = held
        self._findings = findings
        self._clock = clock
        self.unprotected: dict[str, str] = {}
        """What is open, by market, and can neither have its stop nor be closed; it is tried again at each look."""
        self.is_closing = False
        """Whether an order is on its way that closes a position."""
        self.is_ending = False
        """Whether a look closes nothing any more, as the process ends."""

    async def plan(self, order: Order) -> None:
        """Write down the stops that an order brings, before it is sent. Raises JournalError when that is not possible:
        then it must not be sent."""
        if not self._terms.keeps_stops or order.pair not in self._rules.by_pair:
            return
        now, incarnation = self._clock.now(), self._journal.incarnation
        for kind in kinds_of(order):
            stop = stop_order(order, kind, incarnation, now)
            planned = await self._journal.attempts(incarnation, stop.operation_id)
            bracket = Bracket(incarnation, order.operation_id)
            if not any(entry.state is IntentState.PENDING and bracket_of(entry.intent) == bracket for entry in planned):
                await self._book.intend(stop, kind, self._tick(order))

    async def see_to(self, order: Order, handshake: ExecutionHandshake) -> ExecutionHandshake:
        """Bring the stops in line with what an order has done. The answer to it: failed where the position that it
        opened had to be closed again."""
        why = await self.tend(order.pair) if order.operation is OperationType.PERP_TRADE and order.pair else None
        if not kinds_of(order) or not handshake.was_successful():
            return handshake
        if why is None and await self._was_closed(Bracket(self._journal.incarnation, order.operation_id)):
            # Whoever asked for the order did not wait for that, and asks what became of it.
            why = f"{order.pair} of {order.operation_id} could not have its stop and was closed"
        return handshake if why is None else unprotected(handshake, why)

    async def drop(self, order: Order) -> None:
        """An order was not sent, or was refused: so far as that is certain, its stops are not wanted."""
        if kinds_of(order) and order.pair is not None:
            await self.tend(order.pair)

    async def watch(self) -> None:
        """See which stops have fired, so that their trades are known for theirs, and what else waits at the exchange.

        Nothing is asked while nothing is kept. Raises a VenueError as the exchange.
        """
        kept = [entry for entry in await self._book.kept() if entry.state is not IntentState.PENDING]
        if not kept:
            return
        shown = await self._book.survey()
        for entry in kept:
            if entry.intent.client_id not in shown:
                await self._book.look(entry)

    async def explain(self, pair: str) -> None:
        """A trade in a market is of no order that is known: it may be of a stop that has just fired."""
        for entry in await self._book.kept(pair):
            if entry.state not in (IntentState.PENDING, IntentState.PARTIALLY_FILLED):
                await self._book.look(entry)

    async def tend_all(self) -> bool:
        """As `tend` in every market; whether anything was closed."""
        pairs = dict.fromkeys(_pair(entry) for entry in await self._book.kept())
        return any([await self._tend(pair, self._close_unless_ending) is not None for pair in pairs])

    async def tend(self, pair: str) -> str | None:
        """Bring the stops of a market in line with its position.

        Returns why the position was closed, None when it was not. What the exchange does not answer is said, and done
        when this is called again.
        """
        return await self._tend(pair, self._close)

    async def _tend(self, pair: str, close: _Close) -> str | None:
        kept = await self._without_void(await self._book.kept(pair))
        if not kept:
            self.unprotected.pop(pair, None)
            return None
        if await self._is_under_way(bracket_of(kept[-1].intent)):
            return None
        newest, order = bracket_of(kept[-1].intent), kept[-1].intent.order
        try:
            seen = [await self._see(entry) for entry in kept]
            size = await self._size_at_rest(pair, seen)
        except VenueError as error:
            text = f"{self._terms.venue} does not say how the stops of {pair} are: {error.message}"
            self._findings.error(self._clock.now(), error.code, text, passes=True)
            return None
        if size == 0.0 and self._orders.awaits_trades:
            return None
        protects = size > 0.0 if order.side is Side.LONG else size < 0.0
        await self._end([entry for entry in kept if not protects or bracket_of(entry.intent) != newest])
        if not protects:
            self.unprotected.pop(pair, None)
            return None
        seen = [each for each in seen if bracket_of(each.entry.intent) == newest]
        for kind in kinds_of(order):
            try:
                await self._keep(sibling(order, kind), kind, [each for each in seen if kind_of(each.entry) is kind])
            except VenueError as error:
                return await close(order, size, error, kind if isinstance(error, LevelPassed) else None)
        self.unprotected.pop(pair, None)
        return None

    async def revive(self) -> None:
        """Before anything else, at a start: want the stops again that an exchange refused to the process before, where
        that one did not come to closing the position."""
        for entries in (await self._last_brackets()).values():
            order, bracket = entries[0].intent.order, bracket_of(entries[0].intent)
            refused = entries[-1].state is IntentState.REJECTED and all(entry.state.has_ended for entry in entries)
            if refused and not await self._was_closed(bracket):
                kind = kinds_of(order)[0]
                await self._book.intend(sibling(order, kind), kind, self._tick(order))

    async def recall(self) -> tuple[BracketRecalled, ...]:
        """What earlier processes knew of the position that they had opened last in each market."""
        found = []
        for pair, entries in (await self._last_brackets()).items():
            key, order = self._terms.position_key(pair), entries[0].intent.order
            fired = [kind_of(entry) for entry in entries if entry.state is IntentState.FILLED]
            closings = await self._closings.of(bracket_of(entries[0].intent))
            fired += [passed for entry, passed in closings if passed is not None and entry.filled]
            if not fired and all(entry.state.has_ended for entry in entries):
                continue
            found.append(
                BracketRecalled(
                    position_key=key,
                    entry_id=order.operation_details["entry_id"],
                    direction=1 if order.side is Side.LONG else -1,
                    opened_ns=order.operation_details["opened_ns"],
                    closed_by=fired[0] if fired and self._orders.is_dust(pair, await self._held(key)) else None,
                )
            )
        return tuple(found)

    async def _last_brackets(self) -> dict[str, list[JournalEntry]]:
        """The stops around the position that earlier processes had opened last in each market."""
        last: dict[str, list[JournalEntry]] = {}
        for entry in await self._journal.stops(self._terms.venue):
            bracket = bracket_of(entry.intent)
            if bracket.incarnation == self._journal.incarnation or not await self._was_filled(bracket):
                continue
            of_pair = last.setdefault(_pair(entry), [])
            if of_pair and bracket_of(of_pair[0].intent) != bracket:
                of_pair.clear()
            of_pair.append(entry)
        return last

    async def _without_void(self, kept: Sequence[JournalEntry]) -> list[JournalEntry]:
        """Stops whose order was filled, or may be; the others are not wanted."""
        found = []
        for entry in kept:
            bracket = bracket_of(entry.intent)
            if entry.state is not IntentState.PENDING or await self._may_hold(bracket):
                found.append(entry)
            else:
                await self._book.strike(entry, "the order that brought it was not filled")
        return found

    async def _may_hold(self, bracket: Bracket) -> bool:
        return await self._is_under_way(bracket) or await self._was_filled(bracket)

    async def _is_under_way(self, bracket: Bracket) -> bool:
        attempts = await self._journal.attempts(*bracket)
        return any(not entry.state.has_ended for entry in attempts)

    async def _was_filled(self, bracket: Bracket) -> bool:
        return any(entry.filled > 0 for entry in await self._journal.attempts(*bracket))

    async def _see(self, entry: JournalEntry) -> _Seen:
        """How a stop is; raises a VenueError where the exchange does not say."""
        if entry.state is IntentState.PENDING:
            return _Seen(entry, "")
        entry, report = await self._book.look(entry)
        if entry.state.has_ended:
            return _Seen(entry, entry.evidence)
        if report is None or report.state is StopState.WAITING:
            return _Seen(entry, "")
        became = await self._book.order_of(report)
        if report.state is StopState.FIRED and (became is None or not became.has_ended):
            return _Seen(entry, "")
        return _Seen(entry, f"it is {report.state}, and the position is still there")

    async def _was_closed(self, bracket: Bracket) -> bool:
        """Whether its position was closed because it could not have its stop, by its own process or by a later one."""
        return any(entry.filled > 0 for entry, _ in await self._closings.of(bracket))

    async def _size_at_rest(self, pair: str, seen: Sequence[_Seen]) -> float:
        """What is held, once the trades of a stop that has fired are booked."""
        key, patience = self._terms.position_key(pair), self._terms.patience
        fired = any(entry.state is IntentState.PARTIALLY_FILLED for entry, _ in seen)
        for read in range(patience.steady_reads if fired else 0):
            if await self._held(key) == 0.0:
                break
            if read:
                await self._clock.sleep(patience.read_pause_seconds)
            await self._intake.read_fills(pair)
        return await self._held(key)

    async def _keep(self, order: Order, kind: StopKind, seen: Sequence[_Seen]) -> None:
        """See that one stop of a position is kept, and only one. `order` is under its name."""
        *_, good = [None, *(entry for entry, lost in seen if not lost)]
        if good is None:
            # The next one is written down before the last is written off: a kill in between forgets none.
            good = await self._book.intend(order, kind, self._tick(order))
            self._say(order, f"stop {order.operation_id} is not at {self._terms.venue} any more; it is placed again")
        for entry, lost in seen:
            if lost or (entry is not good and entry.state is IntentState.PENDING):
                await self._book.strike(entry, lost or "another has its place")
        if good.state is IntentState.PENDING:
            await self._book.place(good, self._tick(order))

    async def _end(self, entries: Sequence[JournalEntry]) -> None:
        for entry in entries:
            try:
                await self._book.end(entry)
            except VenueError as error:
                name = entry.intent.order.operation_id
                text = f"stop {name} protects nothing and is not cancelled yet: {error.message}"
                self._findings.error(self._clock.now(), error.code, text, name, passes=True)

    async def _close_unless_ending(
        self, order: Order, size: float, error: VenueError, passed: StopKind | None
    ) -> str | None:
        """As `_close`, and None where the process ends: then the next one closes it."""
        if not self.is_ending:
            return await self._close(order, size, error, passed)
        await self._want_again(order)
        what = f"{order.pair} of {order.operation_details['entry_id']} cannot have its stop: {error.message}"
        rest = f"{size:.12g} has no stop, and is not closed as the process ends; the next one begins with that"
        self._say(order, f"{what}; {rest}")
        return None

    async def _close(self, order: Order, size: float, error: VenueError, passed: StopKind | None) -> str:
        """Close a position that cannot have its stop, because the market has `passed` its level or for another reason.
        Returns why, and how much of it is closed."""
        pair = order.pair or ""
        what = f"{pair} of {order.operation_details['entry_id']}"
        why, refusal = f"{what} cannot have its stop: {error.message}", ""
        self.is_closing = True
        try:
            left = await self._closings.carry_out(order, size, passed)
        except VenueError as failure:
            refusal = f": {failure.message}"
            left = await self._held(self._terms.position_key(pair))
        finally:
            self.is_closing = False
        if self._orders.is_dust(pair, left):
            self.unprotected.pop(pair, None)
            why = f"{why}; the position is closed"
            await self._end(await self._book.kept(pair))
        else:
            rest = f"{left:.12g} of {size:.12g} has no stop and could not be closed either{refusal}"
            self.unprotected[pair] = f"{what}: {rest}"
            why = f"{why}; {rest}; both are tried again at the next tick"
            await self._want_again(order)
        self._say(order, why)
        return why

    async def _want_again(self, order: Order) -> None:
        """Have the next look find a stop that a position is to have."""
        kept = await self._book.kept(order.pair)
        if not any(entry.state is IntentState.PENDING for entry in kept):
            kind = kinds_of(order)[0]
            with suppress(JournalError):
                await self._book.intend(sibling(order, kind), kind, self._tick(order))

    def _tick(self, order: Order) -> Decimal:
        return self._rules.by_pair[order.pair or ""].tick

    def _say(self, order: Order, text: str) -> None:
        self._findings.error(self._clock.now(), "VEN-010", text, order.operation_id)


def _pair(entry: JournalEntry) -> str:
    assert isinstance(entry.intent.ticket, StopTicket), "a stop has a stop ticket"
    return entry.intent.ticket.pair
