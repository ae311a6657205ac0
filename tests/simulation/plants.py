"""Defines errors that live trading is known for, each put in where our code keeps it out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import pytest

from basis_actors.actors import kill_switch
from basis_actors.actors.exchange_adapter import ExchangeAdapter
from basis_actors.actors.execution_manager import ExecutionManager
from basis_actors.actors.risk_gate import RiskGate
from basis_actors.actors.risk_override import RiskOverride
from basis_actors.errors import Transient, UnknownOutcome, VenueError
from basis_actors.messages.commands import StopTrading
from basis_actors.messages.execution import ExecutionHandshake
from basis_actors.messages.journal import IntentState, JournalEntry
from basis_actors.messages.orders import Order
from basis_actors.messages.safety import Latch, TradingState
from basis_actors.ports import StateStore
from basis_actors.services.simulation.frail_journal import FrailJournal
from basis_actors.strategies.base import Decision, Situation
from basis_actors.venues.journal.memory import JournalBook, MemoryJournal
from basis_actors.venues.live.account import ExchangeAccount
from basis_actors.venues.live.answers import failed
from basis_actors.venues.live.contact import Contact
from basis_actors.venues.live.intents import Intents
from basis_actors.venues.live.last_known import LastKnown
from basis_actors.venues.live.left_orders import LeftOrders
from basis_actors.venues.live.mirror import shown_by
from basis_actors.venues.live.order_desk import OrderDesk
from basis_actors.venues.live.transfer_desk import TransferDesk

Plant = Callable[[pytest.MonkeyPatch], None]


def resend_on_timeout(patch: pytest.MonkeyPatch) -> None:
    """An order without an answer is taken for not arrived, and sent again under a new id."""
    send = OrderDesk.send

    async def resending(desk: OrderDesk, order: Order) -> ExecutionHandshake:
        try:
            return await send(desk, order)
        except UnknownOutcome:
            entry = (await desk._intents.attempts(order))[-1]
            await desk._intents.advance(entry, IntentState.REJECTED, "no answer")
            return await send(desk, order)

    patch.setattr(OrderDesk, "send", resending)


def count_a_fill_twice(patch: pytest.MonkeyPatch) -> None:
    """A trade that is shown again is new again."""

    async def always_new(_journal: FrailJournal, _domain: str, _fill: Any) -> bool:
        return True

    patch.setattr(FrailJournal, "book_fill", always_new)


def forget_intents(patch: pytest.MonkeyPatch) -> None:
    """A restart begins with an empty journal."""

    def reopened(journal: MemoryJournal) -> MemoryJournal:
        return MemoryJournal(journal.deployment, JournalBook(journal.incarnation + 1))

    patch.setattr(MemoryJournal, "reopened", reopened)


def forget_one_intent(patch: pytest.MonkeyPatch) -> None:
    """A restart takes what was handed over and not answered for never sent."""
    unresolved = MemoryJournal.unresolved

    async def without_sent(journal: MemoryJournal, domain: str) -> tuple[JournalEntry, ...]:
        return tuple(entry for entry in await unresolved(journal, domain) if entry.state is not IntentState.SENT)

    patch.setattr(MemoryJournal, "unresolved", without_sent)


def forget_groups(patch: pytest.MonkeyPatch) -> None:
    """A restart does not know that a group was cut in two."""
    reopened = MemoryJournal.reopened

    def without_groups(journal: MemoryJournal) -> MemoryJournal:
        found = reopened(journal)
        found._book.groups = []
        return found

    patch.setattr(MemoryJournal, "reopened", without_groups)


def call_a_filled_order_refused(patch: pytest.MonkeyPatch) -> None:
    """An order that was filled is called refused when its trades cannot be read."""
    follow = OrderDesk._follow

    async def refusing(desk: OrderDesk, entry: JournalEntry, report: Any) -> ExecutionHandshake:
        try:
            return await follow(desk, entry, report)
        except VenueError as error:
            return failed(entry, desk._clock.now(), "EXEC-001", error.message)

    patch.setattr(OrderDesk, "_follow", refusing)


def believe_one_answer(patch: pytest.MonkeyPatch) -> None:
    """An order that is not found once never arrived."""

    def at_once(_intents: Intents, _entry: JournalEntry) -> bool:
        return True

    patch.setattr(Intents, "is_absent", at_once)


def go_on_without_keys(patch: pytest.MonkeyPatch) -> None:
    """A key that was revoked is taken for an exchange that cannot be reached for a while."""
    lose = Contact.lose

    def patiently(contact: Contact, error: VenueError) -> None:
        lose(contact, Transient("VEN-003", str(error)))

    patch.setattr(Contact, "lose", patiently)


def forget_what_came_back(patch: pytest.MonkeyPatch) -> None:
    """A withdrawal that was accepted is done."""
    patch.setattr(TransferDesk, "_bring_back", lambda *_arguments, **_more: None)


def believe_the_first_look(patch: pytest.MonkeyPatch) -> None:
    """Whatever an account shows is true."""

    async def look(account: ExchangeAccount) -> dict[str, float]:
        await account._parts.transfers.watch()
        await account._parts.intake.read()
        state = await account._parts.reader.state()
        shown = shown_by(account._terms, state)
        found = account._parts.mirror.differences(shown)
        if found:
            account._parts.comparison.take(state, found, account._market)
        return shown

    patch.setattr(ExchangeAccount, "_catch_up", look)


def believe_what_a_start_shows(patch: pytest.MonkeyPatch) -> None:
    """What the last process knew of an account is not asked."""

    async def forget(_known: LastKnown, _shown: object) -> None:
        return

    patch.setattr(LastKnown, "unless_shown", forget)


def write_a_deposit_in_two_steps(patch: pytest.MonkeyPatch) -> None:
    """First that it is there, then that it is no longer on its way."""
    book_payment = FrailJournal.book_payment

    async def in_two_steps(journal: FrailJournal, domain: str, payment: Any, arrived: Any = None) -> bool:
        is_new = await book_payment(journal, domain, payment)
        if is_new and arrived is not None:
            await journal.arrived(domain, arrived)
        return is_new

    patch.setattr(FrailJournal, "book_payment", in_two_steps)


def forget_the_latch(patch: pytest.MonkeyPatch) -> None:
    """A restart begins as if nothing had stopped trading."""

    def running(_store: StateStore, now: datetime) -> Latch:
        return Latch(state=TradingState.RUNNING, reason="nothing has stopped trading", who="kill_switch", since=now)

    patch.setattr(kill_switch, "read_latch", running)


def ignore_a_kill(patch: pytest.MonkeyPatch) -> None:
    """Whoever sends orders goes on with the decision that it is at work on."""

    def ignore(_manager: ExecutionManager, _command: object) -> None:
        return

    for name in ("stop_trading", "reduce_only", "close_book"):
        patch.setattr(ExecutionManager, name, ignore)


def do_not_ask_the_switch(patch: pytest.MonkeyPatch) -> None:
    """The gate lets everything through whatever was said."""

    async def nothing(_gate: RiskGate, _request: object, _view: object) -> None:
        return

    patch.setattr(RiskGate, "_check_latch", nothing)


def write_no_latch(patch: pytest.MonkeyPatch) -> None:
    """A kill is answered and not on disk."""

    def nothing(_store: StateStore, _latch: Latch) -> None:
        return

    patch.setattr(kill_switch, "write_latch", nothing)


def close_the_first_step_only(patch: pytest.MonkeyPatch) -> None:
    """A flatten is over once the first orders of it are done."""
    close = RiskOverride._close

    def once(override: RiskOverride, situation: Situation, cause: StopTrading) -> Decision:
        decision = close(override, situation, cause)
        if decision.orders:
            override.finished = cause
        return decision

    patch.setattr(RiskOverride, "_close", once)


def send_to_who_owes_an_answer(patch: pytest.MonkeyPatch) -> None:
    """An exchange that has not said what became of an order gets the next one."""

    def nothing(_actor: object, _about: object) -> None:
        return

    patch.setattr(ExchangeAdapter, "_halted", nothing)
    patch.setattr(RiskGate, "note_undecided", nothing)


def forget_what_nobody_knows(patch: pytest.MonkeyPatch) -> None:
    """An order that its exchange does not answer is left, and never asked for."""

    def nothing(_left: LeftOrders, *_about: object) -> None:
        return

    patch.setattr(LeftOrders, "add", nothing)


PLANTS: Final[dict[str, Plant]] = {
    plant.__name__: plant
    for plant in (
        resend_on_timeout,
        count_a_fill_twice,
        forget_intents,
        forget_one_intent,
        forget_groups,
        call_a_filled_order_refused,
        believe_one_answer,
        go_on_without_keys,
        forget_what_came_back,
        believe_the_first_look,
        believe_what_a_start_shows,
        write_a_deposit_in_two_steps,
        forget_the_latch,
        ignore_a_kill,
        do_not_ask_the_switch,
        write_no_latch,
        close_the_first_step_only,
        send_to_who_owes_an_answer,
        forget_what_nobody_knows,
    )
}
