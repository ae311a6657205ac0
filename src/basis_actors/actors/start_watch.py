"""Defines the actor that says what a start waits for, and what is open meanwhile as far as that is on disk. It asks no
exchange anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from basis_actors.actors.reporting import error_event
from basis_actors.bus import Actor, on
from basis_actors.finance.keys import STABLE, is_exposed
from basis_actors.messages.operations import ProcessFails, TradingPhase, TradingStatus
from basis_actors.messages.orders import Order
from basis_actors.messages.safety import AwaitedVenue, StartReport, StartWaits, UndecidedOrder
from basis_actors.ports import OrderJournal
from basis_actors.times import utc_from_ns
from basis_actors.venues.live.left_orders import undecided_orders

__all__ = ["StartWatch", "cut_groups"]

_CODE: Final = "VEN-003"


class StartWatch(Actor):
    """Publishes a StartReport whenever that changes, until the process trades.

    Where something is open or undecided, that a start begins to wait is an error of its own, and so is the end of it.
    `held` is what the last process held that knew, by position key, at `held_at`.
    """

    def __init__(
        self, journal: OrderJournal, currency: str, held: Mapping[str, float], held_at: datetime | None
    ) -> None:
        super().__init__("start_watch")
        self._journal = journal
        self._cash = (STABLE, currency)
        self._report = StartReport(held={key: amount for key, amount in held.items() if amount}, held_at=held_at)
        self._said = False
        """Whether it is in the log that the start waits."""

    @property
    def exposed(self) -> Mapping[str, float]:
        """What an earlier process held that is not cash, by position key; nobody has read it since."""
        return {key: amount for key, amount in self._report.held.items() if is_exposed(key, self._cash)}

    @property
    def held_at(self) -> datetime | None:
        """When that was so."""
        return self._report.held_at

    async def left(self) -> str:
        """What earlier processes have left, as far as it is on disk; empty where that is nothing. May be asked before
        the start."""
        return self._left(await self._read(self._report))

    async def pre_start(self) -> None:
        """Say what is open."""
        await self._tell(self._report)

    @on(StartWaits)
    async def note_wait(self, wait: StartWaits) -> None:
        """An exchange lets the start wait, or has answered."""
        known = {venue.domain: venue for venue in self._report.waits_for}
        answered = tuple(domain for domain in self._report.answered if domain != wait.venue)
        if wait.why is None:
            known.pop(wait.venue, None)
            answered = (*answered, wait.venue)
        else:
            since = known[wait.venue].since if wait.venue in known else utc_from_ns(self.now)
            known[wait.venue] = AwaitedVenue(wait.venue, wait.why, since)
        await self._tell(replace(self._report, waits_for=tuple(known.values()), answered=answered))
        if self._report.waits_for and not self._said and (left := self._left(self._report)):
            self._said = True
            venues = "; ".join(f"{venue.domain}: {venue.why}" for venue in self._report.waits_for)
            self._say(f"the process waits for {venues}; it trades nothing before that is over, and there is {left}")

    @on(TradingStatus)
    def note_phase(self, status: TradingStatus) -> None:
        """From now on the accounts say themselves what they wait for."""
        if status.phase is TradingPhase.TRADING and self._said:
            self._said = False
            self._say("every exchange has answered, and the accounts are in order: the process no longer waits")

    @on(ProcessFails)
    def note_failure(self, _end: ProcessFails) -> None:
        """It does not end for what it waits for, and that is said by whoever says why."""
        self._said = False

    def post_stop(self) -> None:
        """Whoever was told that the process waits is told that nobody does any more."""
        if self._said:
            venues = ", ".join(venue.domain for venue in self._report.waits_for)
            self._say(f"the process ends before it has traded: {venues or 'an account'} kept it waiting")

    async def _tell(self, report: StartReport) -> None:
        self._report = await self._read(report)
        self.publish(self._report)

    async def _read(self, report: StartReport) -> StartReport:
        """The same, with what the journal holds now."""
        return replace(
            report,
            undecided=await undecided_orders(self._journal),
            cut_groups=await cut_groups(self._journal),
        )

    def _left(self, report: StartReport) -> str:
        """What a person should know of; empty where there is nothing."""
        found = [f"undecided: {_wanted(order)} ({order.client_id})" for order in report.undecided]
        found += [f"cut in two: {group}" for group in report.cut_groups]
        found += [f"held: {key} {amount:.12g}" for key, amount in self.exposed.items()]
        return "; ".join(found)

    def _say(self, text: str) -> None:
        self.log(error_event(utc_from_ns(self.now), self.name, _CODE, text))


async def cut_groups(journal: OrderJournal) -> tuple[str, ...]:
    """Groups that were begun and not brought to their end, as a person is told of them."""
    return tuple(_described(orders) for _, orders in await journal.open_groups())


def _wanted(order: UndecidedOrder) -> str:
    return f"{order.side} {order.amount:.12g} {order.symbol} on {order.venue}"


def _described(orders: tuple[Order, ...]) -> str:
    legs = (
        f"{'transfer' if order.side is None else order.side.value.lower()} {order.amount:.12g}"
        f" {order.pair or order.source_token} on {order.venue}"
        for order in orders
    )
    return f"{orders[0].atomic_group_id} ({', '.join(legs)})"
