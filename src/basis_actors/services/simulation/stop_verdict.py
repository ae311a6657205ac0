"""Defines what must hold of a story in which trading was stopped: what was sent afterwards, and what came of closing.

Judged is what the exchanges carried out and what they held before it, not what the engine says of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from basis_actors.actors.latch_file import LATCH_FILE, read_latch
from basis_actors.bus.sim import complete
from basis_actors.finance.keys import REWARD_TOKENS, STABLE, parse_key
from basis_actors.messages.exchange import OrderTicket
from basis_actors.messages.journal import Intent
from basis_actors.messages.orders import ExecutionMode
from basis_actors.messages.safety import Latch, TradingState
from basis_actors.services.simulation.story import Story
from basis_actors.times import utc_from_ns, utc_text

__all__ = ["Stops", "stop_verdict"]

_MENDING: Final = ("-unwind", "-undone-", "-finished-", "-rest-")
"""Parts of the ids of trades that bring a group to its end."""
_ROUNDING: Final = 1e-9
"""Relative."""
_LEFT: Final = 1e-3
"""Fraction of the capital that a closed book may still have at work: what is too small to be traded."""


class Hold(NamedTuple):
    """What may be sent from a moment on."""

    ns: int
    state: TradingState
    flatten: bool

    def __str__(self) -> str:
        closing = " and closing" if self.flatten else ""
        return f"{self.state}{closing} since {utc_text(utc_from_ns(self.ns))}"


class Stops:
    """When trading was stopped and went on, as the latch on disk and the operator know it.

    Only the operator lets trading go on, so a latch that says by itself that it runs is not believed.
    """

    def __init__(self, story: Story) -> None:
        self._story = story

    @cached_property
    def holds(self) -> tuple[Hold, ...]:
        """Oldest first."""
        person = self._story.person
        found = [Hold(stop.ns, TradingState.KILLED, stop.flatten) for stop in person.stops]
        found += [Hold(ns, TradingState.RUNNING, flatten=False) for ns in person.resumed]
        for ns, name, content in self._story.files.written:
            if name != LATCH_FILE:
                continue
            latch = msgspec.json.decode(content, type=Latch)
            if latch.state is not TradingState.RUNNING:
                found.append(Hold(ns, latch.state, latch.flatten))
        return tuple(sorted(found, key=lambda hold: hold.ns))

    @property
    def times(self) -> int:
        """How often trading came to a stop."""
        states = [TradingState.RUNNING, *(hold.state for hold in self.holds)]
        return sum(before is TradingState.RUNNING is not after for before, after in pairwise(states))

    def at(self, ns: int) -> Hold | None:
        """What was in force right before a moment; None while everything may be sent."""
        last = None
        for hold in self.holds:
            if hold.ns >= ns:
                break
            last = hold
        return None if last is None or last.state is TradingState.RUNNING else last


def stop_verdict(story: Story, stops: Stops) -> list[str]:
    """Everything that is wrong with what came after a stop; empty when nothing is."""
    return [*_only_what_reduces(story, stops), *_latch_is_kept(story, stops), *_is_closed(story, stops)]


def _only_what_reduces(story: Story, stops: Stops) -> Iterator[str]:
    """After a kill nothing is sent, after any other stop only what reduces what the exchange holds."""
    intents = {entry.intent.client_id: entry.intent for entry in story.journal.entries}
    for name, exchange in story.world.exchanges.items():
        held = {placed.ticket.client_id: placed.held for placed in exchange.placed}
        for client_id, done in exchange.carried_out.items():
            intent = intents.get(client_id)
            hold = None if intent is None else stops.at(intent.created_ns)
            if intent is None or hold is None or _mends_a_group(intent, hold, intents.values()):
                continue
            what = f"{intent.order.operation_id} of process {intent.incarnation - 1} was carried out by {name}"
            if hold.state is TradingState.KILLED and not hold.flatten:
                yield f"{what}, but trading was {hold}"
            elif isinstance(intent.ticket, OrderTicket) and not _reduces(intent.ticket, held[client_id], done):
                yield f"{what}, which held {held[client_id]!r} of it, but trading was {hold}"


def _reduces(ticket: OrderTicket, held: float, done: Decimal) -> bool:
    if not ticket.pair.endswith("-PERP"):
        return not ticket.buys
    towards_nothing = held < 0.0 if ticket.buys else held > 0.0
    return towards_nothing and float(done) <= abs(held) * (1.0 + _ROUNDING)


def _mends_a_group(intent: Intent, hold: Hold, intents: Iterable[Intent]) -> bool:
    """Whether an order brings a compensated group to its end of which a leg was sent before the stop."""
    order = intent.order
    if any(mark in order.operation_id for mark in _MENDING):
        return True
    if order.execution_mode is not ExecutionMode.COMPENSATED or not order.sequence_in_group:
        return False
    return any(
        other.order.atomic_group_id == order.atomic_group_id
        and other.incarnation == intent.incarnation
        and other.created_ns <= hold.ns
        for other in intents
    )


def _latch_is_kept(story: Story, stops: Stops) -> Iterator[str]:
    """What was answered is on disk, and is what the next process begins with."""
    last = stops.at(story.world.now_ns + 1)
    latch = read_latch(story.files, utc_from_ns(story.world.now_ns))
    if last is not None and latch.state is not last.state:
        yield f"trading is {last}, the latch says {latch.state}"


def _is_closed(story: Story, stops: Stops) -> Iterator[str]:
    """A book that was to be closed while there were still hours without a fault to come is closed."""
    last = stops.at(story.world.now_ns + 1)
    if last is None or not last.flatten or last.ns > story.fate.until_ns:
        return
    if not story.ended[-1].closed:
        yield f"trading is {last}, and the book was not said to be closed"
    prices = story.setting.states[-1].prices
    for key, amount in complete(story.world.holdings()).items():
        info = parse_key(key)
        if info.asset in REWARD_TOKENS:
            continue  # paid out long after what they were earned with is gone
        at_work = info.contract is not None or info.sign < 0.0 or info.asset != STABLE
        worth = abs(amount) if info.inverse else abs(amount) * prices[info.asset]
        if at_work and worth > _LEFT * story.setting.capital:
            yield f"trading is {last}, and {amount!r} of {key} is left"
