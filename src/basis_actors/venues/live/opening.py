"""Defines how a live account begins: what an earlier process left is found out, then the ledger begins."""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.errors import Transient
from basis_actors.messages.exchange import OrderTicket
from basis_actors.messages.execution import Settlement
from basis_actors.messages.stops import BracketRecalled, StopTicket
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.live.mirror import shown_by
from basis_actors.venues.live.parts import AccountParts
from basis_actors.venues.live.tickets import is_ours

__all__ = ["Opening"]


class Opening:
    """The steps before trading, in this order: `prepare`, `conclude_earlier`, `open`."""

    def __init__(self, parts: AccountParts) -> None:
        self._parts = parts

    async def prepare(self, leverage: Mapping[str, int]) -> None:
        """Bring the exchange into the state that trading needs. Raises a VenueError when that is not possible."""
        parts = self._parts
        began_ns = parts.clock.now()
        self._require_same_time(began_ns, await parts.api.prepare(dict(leverage)))
        await parts.rules.begin()
        await parts.intake.skip()

    def _require_same_time(self, began_ns: int, exchange_ns: int) -> None:
        """Raises Transient VEN-003 where the clock here is not that of the exchange: trades are asked for by it, and an
        order whose trades are left out would count as never arrived."""
        parts, allowed = self._parts, self._parts.terms.patience.absence_seconds
        # What it took to ask is no difference.
        ahead, behind = began_ns - exchange_ns, exchange_ns - parts.clock.now()
        if max(ahead, behind) > round(allowed * NS_PER_SECOND):
            side = "ahead of" if ahead > behind else "behind"
            raise Transient(
                "VEN-003",
                f"the clock of this computer is {max(ahead, behind) / NS_PER_SECOND:.0f} s {side} that of"
                f" {parts.terms.venue}, {allowed:g} s are allowed: trades would be looked for at another time than"
                " theirs; set it",
            )

    async def conclude_earlier(self) -> None:
        """Find out what became of everything that earlier processes sent, and say so. Raises a VenueError when that
        cannot be found out."""
        parts, venue = self._parts, self._parts.terms.venue
        for entry in await parts.journal.unresolved(venue):
            if isinstance(entry.intent.ticket, StopTicket):
                await parts.stop_book.conclude(entry)
                continue
            desk = parts.orders if isinstance(entry.intent.ticket, OrderTicket) else parts.transfers
            ended = await desk.conclude(entry)
            text = f"{entry.intent.client_id} of an earlier process is {ended.state}: {ended.evidence}"
            operation_id = entry.intent.order.operation_id
            parts.findings.error(parts.clock.now(), "VEN-002", text, operation_id, passes=True)
        await self._see_to_what_is_open()
        if parts.terms.keeps_stops:
            await parts.stop_book.survey()

    async def _see_to_what_is_open(self) -> None:
        """Leave orders of others alone, and end those of ours that nobody waits for: the journal has lost them, as one
        does that was restored from a copy, or has written them off."""
        parts, venue = self._parts, self._parts.terms.venue
        awaited = {entry.intent.client_id for entry in await parts.journal.unresolved(venue)}
        for order in await parts.api.open_orders():
            text = f"{venue} has an open order {order.venue_order_id} in {order.pair} ({order.client_id})"
            if not is_ours(parts.journal.deployment, order.client_id):
                parts.findings.error(parts.clock.now(), "VEN-007", f"{text}, which is not ours; it is left alone")
            elif order.client_id not in awaited:
                await parts.orders.end(order.pair, order.client_id)
                text = f"{text} of an earlier process, which nobody waits for any more; it is cancelled"
                parts.findings.error(parts.clock.now(), "VEN-002", text, passes=True)

    async def open(self) -> tuple[tuple[Settlement, ...], tuple[BracketRecalled, ...]]:
        """Begin the ledger with what the account holds; or, where that is not what it held when it was last known and
        what happened since, with that: what nothing explains is then judged as at any other time.

        Returns how it begins, and what earlier processes knew of positions with stops. Raises Transient when the
        account does not come to rest.
        """
        parts = self._parts
        patience = parts.terms.patience
        await parts.transfers.strike_out()
        await parts.transfers.forget_ended()
        for _ in range(patience.steady_reads + 1):
            before = await parts.intake.skip()
            began_ns = parts.clock.now()
            state = await parts.reader.steady()
            at_rest = await parts.intake.skip() == before and not await parts.transfers.forget_ended()
            if state is not None and at_rest:
                # What was booked before, while an unfinished group was unwound, is in what was read now.
                parts.findings.settlements = []
                expected = await parts.last_known.unless_shown(shown_by(parts.terms, state), parts.intake.meanwhile)
                if expected is None:
                    parts.intake.begin(began_ns)
                under_way = await parts.transfers.under_way()
                opened = parts.mirror.open(state, under_way, parts.intake.meanwhile, expected)
                parts.is_open = True
                await parts.stops.revive()
                await parts.stops.watch()
                await parts.stops.tend_all()
                return opened, await parts.stops.recall()
            await parts.clock.sleep(patience.read_pause_seconds)
        venue = parts.terms.venue
        raise Transient("VEN-003", f"{venue} goes on trading while its account is read; somebody else uses it")
