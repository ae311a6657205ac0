"""Defines what must hold when a story is over, whatever failed in it, and says what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from basis_actors.actors.execution_units import only_reduces
from basis_actors.bus.sim import complete
from basis_actors.logs.reader import EventLog
from basis_actors.messages.book import Trigger
from basis_actors.messages.events import ExecutionDeltaEvent, PnLCalculation
from basis_actors.messages.exchange import OrderTicket, TransferState, TransferTicket
from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.journal import IntentState
from basis_actors.messages.orders import Order, Side
from basis_actors.messages.safety import TradingState
from basis_actors.results.verification import verify
from basis_actors.services.simulation.stop_verdict import Stops, stop_verdict
from basis_actors.services.simulation.story import Ended, Story
from basis_actors.services.simulation.stranger import MARK
from basis_actors.times import NS_PER_SECOND, utc_text

__all__ = ["verdict"]

_ROUNDING = 1e-8
"""Relative; exchanges are compared with the ledger no more closely."""
_UNEXPLAINED = 1e-9
"""Of equity."""
_AT_ONCE = 130 * NS_PER_SECOND
"""The time that an order may take that is on its way, and a moment; less than it takes to call a venue lost."""
_TICKS_ADRIFT = 4
"""Ticks in a row."""


def verdict(story: Story) -> list[str]:
    """Everything that is wrong with a story that has been told; empty when nothing is."""
    stops = Stops(story)
    problems = [
        *_comes_to_rest(story),
        *_one_order_each(story),
        *_known_as_it_was(story),
        *_withdrawals_known(story),
        *_halts_without_keys(story, stops),
        *_waits_for_answers(story),
        *_whole_groups(story),
        *_nothing_lost(story),
        *_hedged(story, stops),
        *stop_verdict(story, stops),
    ]
    for number, ended in enumerate(story.ended):
        problems += [f"process {number}: {problem}" for problem in _log_is_whole(ended)]
    return problems


def _comes_to_rest(story: Story) -> list[str]:
    last = story.ended[-1]
    if last.killed or last.failure is not None:
        return [f"does not come to rest: {len(story.ended)} processes, the last ended of {last.failure!r}"]
    return [
        f"{entry.intent.client_id} of {entry.intent.order.operation_id} is still {entry.state}: {entry.evidence}"
        for domain in story.world.exchanges
        for entry in complete(story.journal.unresolved(domain))
    ]


def _one_order_each(story: Story) -> list[str]:
    """No operation of a process was carried out twice, and nothing at an exchange is without an intent."""
    problems, carried_out = [], Counter[tuple[int, str]]()
    intents = {entry.intent.client_id: entry.intent for entry in story.journal.entries}
    for name, exchange in story.world.exchanges.items():
        for client_id in exchange.carried_out:
            if client_id.startswith(MARK):
                continue
            intent = intents.get(client_id)
            if intent is None:
                problems.append(f"{name} carried out {client_id}, which the journal does not know")
            else:
                carried_out[intent.incarnation, intent.order.operation_id] += 1
    problems += [
        f"{operation} of process {incarnation - 1} was carried out {count} times"
        for (incarnation, operation), count in carried_out.items()
        if count > 1
    ]
    return problems


def _known_as_it_was(story: Story) -> list[str]:
    """What the journal says of each trade is what the exchange did."""
    return [
        f"{entry.intent.order.operation_id} is {entry.state} with {entry.filled} filled, {done} was done"
        for entry in story.journal.entries
        if isinstance(entry.intent.ticket, OrderTicket)
        and entry.filled
        != (done := story.world.exchanges[entry.intent.domain].carried_out.get(entry.intent.client_id, Decimal(0)))
    ]


def _withdrawals_known(story: Story) -> list[str]:
    """What the journal says of each transfer is what became of it."""
    problems = []
    for entry in story.journal.entries:
        ticket = entry.intent.ticket
        if not isinstance(ticket, TransferTicket):
            continue
        report = complete(story.world.exchanges[entry.intent.domain].moved(ticket, 0))
        done = report is not None and report.state is TransferState.DONE
        if done != (entry.state is IntentState.FILLED):
            shown = "never arrived" if report is None else f"is {report.state}"
            problems.append(f"{entry.intent.order.operation_id} is {entry.state}, the transfer {shown}")
    return problems


def _halts_without_keys(story: Story, stops: Stops) -> list[str]:
    """A process whose keys are revoked somewhere sends nothing there, and stops trading at once: what it still sends
    elsewhere is for `stop_verdict` to judge."""
    problems = []
    for number, ended in enumerate(story.ended):
        for venue, since, until in ended.revoked:
            problems += [
                f"process {number} sent {entry.intent.order.operation_id} to {venue} while its keys were revoked"
                for entry in story.journal.entries
                if (entry.intent.incarnation, entry.intent.domain) == (number + 1, venue)
                and since < entry.intent.created_ns < until
                and entry.state is not IntentState.REJECTED
            ]
            if since + _AT_ONCE < min(until, ended.ended_ns) and stops.at(since + _AT_ONCE) is None:
                problems.append(f"process {number} goes on although its keys were revoked at {venue}")
    return problems


def _waits_for_answers(story: Story) -> list[str]:
    """Nothing is sent to an exchange that has not said what became of an order before."""
    return [
        f"process {number} sent {entry.intent.order.operation_id} to {venue}, which owed an answer to another order"
        for number, ended in enumerate(story.ended)
        for venue, since, until in ended.halts
        for entry in story.journal.entries
        if (entry.intent.incarnation, entry.intent.domain) == (number + 1, venue)
        and since < entry.intent.created_ns < (until or ended.ended_ns)
    ]


def _whole_groups(story: Story) -> list[str]:
    """Of each compensated group all legs are done, or none is, but for what is too small to be traded and for what
    somebody else has undone. One that only reduces may be done in part, each leg as far as the first; one that is said
    to be one-sided is the strategy's, and so is one of which became known late what had become of a leg."""
    filled: dict[tuple[int, str], Decimal] = {}
    for entry in story.journal.entries:
        operation = (entry.intent.incarnation, entry.intent.order.operation_id)
        filled[operation] = filled.get(operation, Decimal(0)) + entry.filled
    problems = []
    for incarnation, orders in story.journal.groups:
        left = [(order, _left_of(order, incarnation, filled)) for order in orders]
        whole = all(float(amount) >= order.amount * (1.0 - _ROUNDING) for order, amount in left)
        if whole or all(
            _is_dust(story, order, amount - _done_by_hand(story, order, along=False)) for order, amount in left
        ):
            continue
        if (only_reduces(orders) and _is_even(story, left)) or _was_handed_on(story, incarnation, orders):
            continue
        legs = ", ".join(f"{amount} of {order.amount!r} {order.pair} at {order.venue}" for order, amount in left)
        problems.append(f"group {orders[0].atomic_group_id} of process {incarnation - 1} is in two parts: {legs}")
    return problems


def _is_even(story: Story, legs: Sequence[tuple[Order, Decimal]]) -> bool:
    """Whether each leg is done as far as the first: the same share of it, by us or where a stranger was first."""
    share = legs[0][1] / Decimal(repr(legs[0][0].amount))
    for order, amount in legs:
        left = share * Decimal(repr(order.amount)) - amount
        if not _is_dust(story, order, max(-left, left - _done_by_hand(story, order, along=True))):
            return False
    return True


def _was_handed_on(story: Story, incarnation: int, orders: Sequence[Order]) -> bool:
    """Whether its process, or one that was to mend it, could not make a group whole and left it to the strategy, which
    `_hedged` sees to: it has said so or learnt late what became of a leg, or an exchange has refused the order that it
    took and the log is lost."""
    legs = tuple(order.operation_id for order in orders)
    mending = legs[1:] if only_reduces(orders) else tuple(f"{leg}-unwind" for leg in legs)
    later = tuple(f"{leg}-{what}-{incarnation}-" for leg in legs for what in ("undone", "finished"))
    for entry in story.journal.entries:
        mended = mending if entry.intent.incarnation == incarnation else later
        if entry.state is IntentState.REJECTED and entry.intent.order.operation_id.startswith(mended):
            return True
    for number in range(incarnation - 1, len(story.ended)):
        for said in _errors_said(story.ended[number].run_dir):
            if said.operation_id is None or not said.operation_id.startswith(legs):
                continue
            is_own = number == incarnation - 1
            mends = said.event.startswith(f"group {orders[0].atomic_group_id} of an earlier process")
            if said.error_code == "EXEC-006" and said.operation_id in legs and (mends or is_own):
                return True
            if said.error_code == "VEN-002" and is_own and " after all" in said.event:
                return True
    return False


class _Said(msgspec.Struct):
    """A line of the log of a component."""

    event: str
    error_code: str | None = None
    operation_id: str | None = None


def _errors_said(run_dir: Path) -> Iterator[_Said]:
    """What the components of a process have said in logs of their own, which a kill leaves whole: the last events may
    be lost with it."""
    for log in sorted(run_dir.glob("*.log")):
        yield from map(msgspec.json.Decoder(_Said).decode, log.read_bytes().splitlines())


def _left_of(order: Order, incarnation: int, filled: Mapping[tuple[int, str], Decimal]) -> Decimal:
    """What is in force of a leg: filled by its process or finished by a later one, less what either undid."""
    leg = order.operation_id
    amount = filled.get((incarnation, leg), Decimal(0))
    for (process, operation), done in filled.items():
        further = process == incarnation and operation.startswith(f"{leg}-rest-")
        if further or operation.startswith(f"{leg}-finished-{incarnation}-"):
            amount += done
        own = process == incarnation and operation.startswith(f"{leg}-unwind")
        if own or operation.startswith(f"{leg}-undone-{incarnation}-"):
            amount -= done
    return amount


def _done_by_hand(story: Story, order: Order, *, along: bool) -> Decimal:
    """What a stranger traded like a leg (`along`), or against it."""
    exchange = story.world.exchanges[order.venue]
    found = [
        placed.ticket.client_id
        for placed in exchange.placed
        if placed.ticket.client_id.startswith(MARK)
        and placed.ticket.pair == order.pair
        and (placed.ticket.buys is (order.side in (Side.BUY, Side.LONG))) is along
    ]
    return sum((exchange.carried_out[name] for name in found), Decimal(0))


def _is_dust(story: Story, order: Order, amount: Decimal) -> bool:
    filters = complete(story.world.exchanges[order.venue].filters())[order.pair or ""]
    worth = amount if (order.pair or "").endswith("USD-PERP") else amount * Decimal(repr(order.price or 0.0))
    return amount < filters.min_amount or worth < filters.min_notional


def _nothing_lost(story: Story) -> list[str]:
    """The ledger is what the accounts hold."""
    held, shown = story.ended[-1].held, complete(story.world.holdings())
    problems = []
    for key in sorted({*held, *shown}):
        booked, there = held.get(key, 0.0), shown.get(key, 0.0)
        if abs(booked - there) > _ROUNDING * max(abs(booked), abs(there), 1.0):
            problems.append(f"{key} is {booked!r} in the ledger, {there!r} in the accounts")
    return problems


def _hedged(story: Story, stops: Stops) -> list[str]:
    """A mode that means to be neutral does not stay out of its drift: an order that failed or was filled in part is
    made good by the next decisions, unless somebody has seen to it that there are none."""
    if not story.hedged:
        return []
    share = story.setting.run.mode.risk_limits.max_delta_drift
    hours = {state.ns for state in story.setting.states}
    problems = []
    for number, ended in enumerate(story.ended):
        adrift = 0
        for view in ended.views:
            book, delta = view.risk.exposure.book, view.risk.exposure.net_delta
            ns = book.tick.market.ns
            if book.trigger is not Trigger.TICK or view.equity <= 0.0 or ns not in hours:
                continue
            hold = stops.at(ns)
            if hold is not None and hold.state is TradingState.KILLED and not hold.flatten:
                adrift = 0
                continue
            adrift = adrift + 1 if delta is None or abs(delta) > share * view.equity else 0
            if adrift > _TICKS_ADRIFT:
                moment = utc_text(book.tick.market.timestamp)
                problems.append(f"process {number} has a net delta of {delta} at {moment}, for {adrift} ticks by then")
    return problems


def _log_is_whole(ended: Ended) -> list[str]:
    """What a process did can be rebuilt from its log, every cent of it is explained, and nothing had to be guessed."""
    problems = [f"{finding.check}, {finding.where}: {finding.what}" for finding in verify(ended.run_dir).findings]
    for event in EventLog(ended.run_dir).all():
        if isinstance(event, PnLCalculation) and abs(event.residual) > _UNEXPLAINED * abs(event.equity):
            problems.append(f"{event.residual!r} of equity is unexplained at {event.timestamp}")
        if isinstance(event, ExecutionDeltaEvent) and event.source is DeltaSource.ADJUSTMENT:
            problems.append(f"had to believe {event.domain} at {event.timestamp}: {event.deltas}")
    return problems
