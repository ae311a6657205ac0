"""Finds what a journal knows to be open without a stop that it has to have. What is done about it is for `StopDesk`."""

from __future__ import annotations

from basis_actors.finance.keys import perp_key
from basis_actors.messages.journal import IntentState, JournalEntry
from basis_actors.messages.stops import StopKind, StopTicket
from basis_actors.ports import OrderJournal
from basis_actors.venues.live.brackets import bracket_of, kind_of, kinds_of

__all__ = ["without_stops"]


async def without_stops(journal: OrderJournal) -> dict[str, tuple[StopKind, ...]]:
    """The stops that are not at the exchange, by key of the position that its order has opened last there."""
    found = {}
    for domain in sorted(await journal.domains()):
        newest: dict[str, list[JournalEntry]] = {}
        for entry in await journal.unresolved(domain):
            if not isinstance(entry.intent.ticket, StopTicket):
                continue
            if not any(sent.filled for sent in await journal.attempts(*bracket_of(entry.intent))):
                continue
            of_pair = newest.setdefault(entry.intent.ticket.pair, [])
            if of_pair and bracket_of(of_pair[0].intent) != bracket_of(entry.intent):
                of_pair.clear()
            of_pair.append(entry)
        for pair, entries in newest.items():
            placed = {kind_of(entry) for entry in entries if entry.state is not IntentState.PENDING}
            missing = tuple(kind for kind in kinds_of(entries[0].intent.order) if kind not in placed)
            if missing:
                found[perp_key(domain, pair)] = missing
    return found
