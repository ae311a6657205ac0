"""A position and its stops at the local Binance, through restarts and whatever goes wrong between the two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import anyio
import pytest
from tests.exchange.binance import LocalBinance
from tests.venues.wire.accounts import account_at, explained, trade

from basis_actors.actors.execution_units import MOST_TRADES
from basis_actors.errors import Rejected, Transient, UnknownOutcome
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.journal import IntentState
from basis_actors.messages.orders import Order, Side
from basis_actors.messages.stops import StopKind, StopTicket
from basis_actors.venues.journal.memory import MemoryJournal
from basis_actors.venues.live.account import ExchangeAccount
from basis_actors.venues.live.unprotected import without_stops

POST = "POST /fapi/v1/algoOrder"
GET = "GET /fapi/v1/algoOrder"
DELETE = "DELETE /fapi/v1/algoOrder"
ORDER = "POST /fapi/v1/order"
FIND = "GET /fapi/v1/order"


class Desk:
    """Processes that come one after the other, and the exchange that goes on."""

    def __init__(self, exchange: LocalBinance) -> None:
        self.exchange = exchange
        self.journal = MemoryJournal("test")
        self.account: ExchangeAccount

    @asynccontextmanager
    async def process(self) -> AsyncIterator[ExchangeAccount]:
        """One process; when it ends it is killed."""
        async with account_at(self.exchange, self.journal, keeps_stops=True) as account:
            self.account = account
            yield account
        self.journal = self.journal.reopened()

    @property
    def size(self) -> Decimal:
        return self.exchange.account.positions["BTC-PERP"].size

    @property
    def waiting(self) -> dict[str, Decimal]:
        """Triggers of what waits at the exchange, by what it does."""
        waiting = [stop for stop in self.exchange.account.stops if stop.waits]
        found = {"take_profit" if stop.takes_profit else "stop_loss": stop.trigger for stop in waiting}
        assert len(found) == len(waiting), "two of a kind"
        return found

    @property
    def kept(self) -> dict[str, IntentState]:
        """States of the stops in the journal that have not ended, by operation."""
        stops = [entry for entry in self.journal.entries if isinstance(entry.intent.ticket, StopTicket)]
        return {entry.intent.order.operation_id: entry.state for entry in stops if not entry.state.has_ended}

    @property
    def sent_once(self) -> bool:
        """Whether no id was sent twice, of orders and of stops."""
        journal = self.exchange.journal
        counts = [*journal.orders_sent().values(), *journal.orders_sent("clientAlgoId").values()]
        return set(counts) <= {1}

    def said(self) -> list[str]:
        """What the account says, by code and text."""
        events = self.account.findings.take_events()
        return [f"{event.error_code} {event.message}" for event in events if isinstance(event, SystemErrorEvent)]


@pytest.fixture
def desk(exchange: LocalBinance) -> Desk:
    return Desk(exchange)


def entry(name: str = "o1", side: Side = Side.LONG, **levels: float) -> Order:
    if not levels:
        levels = {"stop_loss": 59_000.04, "take_profit": 62_000.0}
    return trade(name, "BTC-PERP", side, 0.5, **levels)


def closing(name: str = "o2", amount: float = 0.5) -> Order:
    return trade(name, "BTC-PERP", Side.SHORT, amount, reduce_only=True)


async def confirmed(account: ExchangeAccount, order: Order) -> ExecutionHandshake:
    handshake = await account.execute(order)
    assert handshake.status is ExecutionStatus.CONFIRMED, handshake.error_message
    return handshake


BOTH = {"stop_loss": Decimal("59000.0"), "take_profit": Decimal(62_000)}


async def test_an_entry_gets_its_stops_and_its_close_takes_them_away(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        assert desk.waiting == BOTH
        assert set(desk.kept.values()) == {IntentState.ACKNOWLEDGED}
        await confirmed(account, closing())
        assert (desk.size, desk.waiting, desk.kept) == (0, {}, {})
        assert desk.said() == []
        await explained(account, desk.exchange)
    assert desk.sent_once


async def test_stops_are_written_down_before_the_order_is_sent(desk: Desk) -> None:
    seen: list[dict[str, IntentState]] = []
    desk.exchange.faults.happen_before(ORDER, lambda: seen.append(desk.kept))
    async with desk.process() as account:
        await confirmed(account, entry())
    assert seen == [{"o1-stop_loss": IntentState.PENDING, "o1-take_profit": IntentState.PENDING}]


async def test_what_is_added_and_taken_off_leaves_the_stops_as_they_are(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        await confirmed(account, trade("o2", "BTC-PERP", Side.LONG, 0.25))
        await confirmed(account, closing("o3", 0.1))
        assert desk.waiting == BOTH
        desk.exchange.account.set_price("BTC-PERP", "58950")
        assert desk.size == 0
        await explained(account, desk.exchange)
        assert (desk.waiting, desk.kept) == ({}, {})
    assert len(desk.exchange.journal.of(POST)) == 2


@pytest.mark.parametrize("side", [Side.LONG, Side.SHORT])
@pytest.mark.parametrize("fires", ["stop_loss", "take_profit"])
async def test_a_stop_that_fires_is_booked_under_its_own_name_and_takes_the_other_with_it(
    desk: Desk, side: Side, fires: str
) -> None:
    up = (side is Side.LONG) == (fires == "take_profit")
    levels = {"stop_loss": 59_000.0, "take_profit": 62_000.0}
    if side is Side.SHORT:
        levels = {"stop_loss": 62_000.0, "take_profit": 59_000.0}
    async with desk.process() as account:
        await confirmed(account, entry("o1", side, **levels))
        desk.exchange.clock.advance(60)
        desk.exchange.account.set_price("BTC-PERP", "62100" if up else "58900")
        assert desk.size == 0
        await account.report()
        names = [settlement.operation_id for settlement in account.findings.settlements]
        assert names == ["o1", "o1", f"o1-{fires}", f"o1-{fires}"], "trade and fee of each"
        assert (desk.waiting, desk.kept) == ({}, {})
        (said,) = desk.said()
        assert said.startswith(f"VEN-010 stop o1-{fires} has fired: order ")
        await explained(account, desk.exchange)
    assert desk.sent_once


async def test_a_stop_that_fires_while_nobody_is_there_is_found_with_its_trades(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
    desk.exchange.clock.advance(600)
    desk.exchange.account.set_price("BTC-PERP", "58900")
    async with desk.process() as account:
        assert (desk.waiting, desk.kept) == ({}, {})
        (said,) = desk.said()
        assert "stop o1-stop_loss of an earlier process has fired: order " in said
        assert "sold 0.5 BTC-PERP at 58900" in said
        (recalled,) = account.recalled
        assert (recalled.entry_id, recalled.direction, recalled.closed_by) == ("o1", 1, StopKind.STOP_LOSS)
        await explained(account, desk.exchange)
    async with desk.process() as account:
        assert account.recalled == (recalled,), "the next process has to know as well"
        assert desk.said() == []


async def test_a_stop_that_waits_outlives_its_process(desk: Desk) -> None:
    opened = desk.exchange.clock.ns
    async with desk.process() as account:
        await confirmed(account, entry())
        opened_by = desk.exchange.clock.ns
    desk.exchange.clock.advance(600)
    async with desk.process() as account:
        assert desk.waiting == BOTH
        (recalled,) = account.recalled
        assert (recalled.position_key, recalled.closed_by) == ("binance:PerpPosition:BTC-PERP", None)
        assert opened <= recalled.opened_ns <= opened_by
        desk.exchange.account.set_price("BTC-PERP", "62100")
        await account.report()
        names = {settlement.operation_id for settlement in account.findings.settlements}
        assert names == {"o1-take_profit"}
        assert not any("VEN-007" in said for said in desk.said())
    assert len(desk.exchange.journal.of(POST)) == 2


async def test_a_kill_between_an_entry_and_its_stops_leaves_them_to_the_next_process(desk: Desk) -> None:
    async with desk.process() as account:
        desk.exchange.faults.answer(ORDER, 504, "", carried_out=True)
        with pytest.raises(UnknownOutcome):
            await account.execute(entry())
        assert (desk.size, desk.waiting) == (Decimal("0.5"), {})
    async with desk.process() as account:
        assert desk.waiting == BOTH
        assert [recalled.closed_by for recalled in account.recalled] == [None]
    assert desk.sent_once


async def test_the_stops_of_an_entry_that_never_happened_are_struck(desk: Desk) -> None:
    async with desk.process() as account:
        desk.exchange.faults.answer(ORDER, 504, "")
        with pytest.raises(UnknownOutcome):
            await account.execute(entry())
        assert set(desk.kept.values()) == {IntentState.PENDING}
    async with desk.process() as account:
        assert (desk.size, desk.waiting, desk.kept, account.recalled) == (0, {}, {}, ())
    async with desk.process() as account:
        desk.exchange.faults.answer(ORDER, 400, {"code": -2019, "msg": "Margin is insufficient."})
        with pytest.raises(Rejected):
            await account.execute(entry())
        assert desk.kept == {}
        desk.exchange.faults.answer(ORDER, 429, {"code": -1003, "msg": "Too many requests."})
        with pytest.raises(Transient):
            await account.execute(entry("o2"))
        assert desk.kept == {}
        desk.exchange.clock.advance(120)
        await confirmed(account, entry("o2"))
        assert desk.waiting == BOTH


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_stop_without_an_answer_is_asked_for_and_never_sent_again(desk: Desk, carried_out: bool) -> None:
    async with desk.process() as account:
        desk.exchange.faults.answer(POST, 504, "", carried_out=carried_out)
        handshake = await account.execute(entry())
        if carried_out:
            assert handshake.status is ExecutionStatus.CONFIRMED
            assert (desk.size, desk.waiting) == (Decimal("0.5"), BOTH)
        else:
            assert (handshake.status, handshake.error_code) == (ExecutionStatus.FAILED, "VEN-010")
            assert (desk.size, desk.waiting) == (0, {})
        again = await account.resolve(entry())
        assert (again.status, again.error_code) == (handshake.status, handshake.error_code), "for whoever did not wait"
        await explained(account, desk.exchange)
    assert desk.sent_once


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(400, -2021, "Order would immediately trigger"), (400, -4130, "is existing"), (401, -2015, "Invalid API-key")],
)
@pytest.mark.parametrize("which", [1, 2])
async def test_a_position_that_cannot_have_its_stop_is_closed_and_it_is_said(
    desk: Desk, status: int, code: int, said: str, which: int
) -> None:
    async with desk.process() as account:
        if which == 2:
            desk.exchange.faults.happen_before(POST, lambda: None)
        desk.exchange.faults.answer(POST, status, {"code": code, "msg": said})
        handshake = await account.execute(entry())
        assert (handshake.status, handshake.error_code, handshake.retryable) == (
            ExecutionStatus.FAILED,
            "VEN-010",
            False,
        )
        assert said in (handshake.error_message or "")
        assert (desk.size, desk.waiting, desk.kept) == (0, {}, {})
        (told,) = desk.said()
        assert "VEN-010 BTC-PERP of o1 cannot have its stop" in told
        assert said in told
        names = [settlement.operation_id for settlement in account.findings.settlements]
        which_passed = "stop_loss" if which == 1 else "take_profit"
        name = f"o1-{which_passed}-passed" if code == -2021 else "o1-unprotected"
        assert names.count(name) == 2, "the trade and its fee"
        await explained(account, desk.exchange)
    assert desk.sent_once


async def test_a_stop_that_the_exchange_is_too_busy_for_is_placed_a_little_later(desk: Desk) -> None:
    async with desk.process() as account:
        busy = {"code": -1008, "msg": "Server is currently overloaded with other requests."}
        desk.exchange.faults.answer(POST, 503, busy, times=3)
        await confirmed(account, entry())
        assert desk.waiting == BOTH
        desk.exchange.faults.answer(POST, 503, busy, times=100)
        await confirmed(account, closing())
        handshake = await account.execute(entry("o3"))
        assert (handshake.status, desk.size) == (ExecutionStatus.FAILED, 0)
    assert desk.sent_once


async def test_what_can_be_neither_protected_nor_closed_is_tried_again_at_the_next_look(desk: Desk) -> None:
    async with desk.process() as account:
        refused = {"code": -2021, "msg": "Order would immediately trigger."}
        desk.exchange.faults.answer(POST, 400, refused)
        desk.exchange.faults.happen_before(ORDER, lambda: None)
        desk.exchange.faults.answer(ORDER, 400, {"code": -4108, "msg": "This contract is closed."})
        handshake = await account.execute(entry("o1", stop_loss=59_000.0))
        assert handshake.error_code == "VEN-010"
        assert desk.size == Decimal("0.5")
        assert any("could not be closed either" in said for said in desk.said())
        await account.report()
        assert (desk.size, desk.waiting) == (Decimal("0.5"), {"stop_loss": Decimal(59_000)})


async def test_a_kill_between_a_refused_stop_and_the_close_leaves_the_close_to_the_next_process(desk: Desk) -> None:
    async with desk.process() as account, anyio.create_task_group() as tasks:
        faults = desk.exchange.faults
        faults.answer(POST, 400, {"code": -2021, "msg": "Order would immediately trigger."}, times=2)
        faults.happen_before(ORDER, lambda: None)
        faults.hang(ORDER, carried_out=False)
        tasks.start_soon(account.execute, entry("o1", stop_loss=59_000.0))
        await faults.hanging.wait()
        assert (desk.size, desk.kept) == (Decimal("0.5"), {})
        tasks.cancel_scope.cancel()
    desk.exchange.faults.released.set()
    async with desk.process() as account:
        assert (desk.size, desk.waiting, desk.kept) == (0, {}, {})
        assert any("cannot have its stop" in said for said in desk.said())
        await explained(account, desk.exchange)
    async with desk.process():
        assert (desk.size, desk.waiting, desk.said()) == (0, {}, [])


async def test_an_entry_is_told_from_that_of_the_last_process_which_this_one_has_closed(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        desk.exchange.account.cancel_stop(desk.exchange.account.find_stop("loss"))
        desk.exchange.account.set_price("BTC-PERP", "58500")
    async with desk.process() as account:
        assert (desk.size, desk.waiting) == (0, {})
        await confirmed(account, entry(stop_loss=57_000.0))
        assert (desk.size, desk.waiting) == (Decimal("0.5"), {"stop_loss": Decimal(57_000)})
    assert desk.sent_once


async def test_a_stop_that_vanished_is_placed_again(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        desk.exchange.account.cancel_stop(desk.exchange.account.find_stop("loss"))
        assert desk.waiting.keys() == {"take_profit"}
        await account.report()
        assert desk.waiting == BOTH
        (said,) = desk.said()
        assert said == "VEN-010 stop o1-stop_loss is not at binance any more; it is placed again"
    desk.exchange.account.cancel_stop(desk.exchange.account.find_stop("profit"))
    async with desk.process() as account:
        assert desk.waiting == BOTH
    assert desk.sent_once


LEVELS = [(StopKind.STOP_LOSS, "loss", "58500"), (StopKind.TAKE_PROFIT, "profit", "62500")]


@pytest.mark.parametrize(("kind", "stop", "price"), LEVELS)
async def test_a_vanished_stop_whose_level_is_passed_closes_the_position_as_it_would_have(
    desk: Desk, kind: StopKind, stop: str, price: str
) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        desk.exchange.account.cancel_stop(desk.exchange.account.find_stop(stop))
        desk.exchange.account.set_price("BTC-PERP", price)
        await account.report()
        assert (desk.size, desk.waiting, desk.kept) == (0, {}, {})
        names = [settlement.operation_id for settlement in account.findings.settlements]
        assert names[-1] == f"o1-{kind}-passed"
        await explained(account, desk.exchange)
    async with desk.process() as account:
        assert [(recalled.entry_id, recalled.closed_by) for recalled in account.recalled] == [("o1", kind)]
        assert desk.said() == []


@pytest.mark.parametrize(("kind", "stop", "price"), LEVELS)
async def test_a_level_that_was_passed_while_nobody_was_there_is_recalled_for_what_closed_the_position(
    desk: Desk, kind: StopKind, stop: str, price: str
) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
    desk.exchange.account.cancel_stop(desk.exchange.account.find_stop(stop))
    desk.exchange.account.set_price("BTC-PERP", price)
    for _ in range(2):
        async with desk.process() as account:
            assert (desk.size, desk.waiting, desk.kept) == (0, {}, {})
            assert [(recalled.entry_id, recalled.closed_by) for recalled in account.recalled] == [("o1", kind)]
            await explained(account, desk.exchange)
    assert desk.sent_once


def lose_the_stop(desk: Desk) -> None:
    """Somebody cancels the stop-loss, and the market passes its level."""
    desk.exchange.account.cancel_stop(desk.exchange.account.find_stop("loss"))
    desk.exchange.account.set_price("BTC-PERP", "58500")


async def test_a_close_that_is_filled_in_parts_goes_on_until_nothing_is_left(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        lose_the_stop(desk)
        desk.exchange.account.fill_only("0.1", "0.05")
        await account.report()
        assert (desk.size, desk.waiting, desk.kept, account.unprotected) == (0, {}, {}, None)
        assert [said.rpartition("; ")[2] for said in desk.said()] == ["it is placed again", "the position is closed"]
        names = dict.fromkeys(settlement.operation_id for settlement in account.findings.settlements)
        assert list(names)[1:] == [f"o1-stop_loss-passed{number}" for number in ("", "-2", "-3")]
        await explained(account, desk.exchange)
    assert desk.sent_once


async def test_what_the_most_closes_leave_is_known_to_have_no_stop_and_closed_at_the_next_look(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        lose_the_stop(desk)
        desk.exchange.account.fill_only(*["0.05"] * MOST_TRADES)
        await account.report()
        assert (desk.size, len(desk.exchange.journal.of(ORDER))) == (Decimal("0.25"), 1 + MOST_TRADES)
        rest = "0.25 of 0.5 has no stop and could not be closed either"
        assert account.unprotected == f"BTC-PERP of o1: {rest}"
        assert desk.said()[-1].endswith(f"; {rest}; both are tried again at the next tick")
        assert await without_stops(desk.journal) == {"binance:PerpPosition:BTC-PERP": (StopKind.STOP_LOSS,)}
        await account.report()
        assert (desk.size, desk.waiting, desk.kept, account.unprotected) == (0, {}, {}, None)
        assert await without_stops(desk.journal) == {}
        await explained(account, desk.exchange)
    assert desk.sent_once


async def test_a_process_that_ends_begins_no_close_and_leaves_it_to_the_next(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        lose_the_stop(desk)
        account.begin_nothing()
        await account.report()
        assert (desk.size, len(desk.exchange.journal.of(ORDER))) == (Decimal("0.5"), 1)
        assert desk.said()[-1].endswith(
            "; 0.5 has no stop, and is not closed as the process ends; the next one begins with that"
        )
        assert await without_stops(desk.journal) == {"binance:PerpPosition:BTC-PERP": (StopKind.STOP_LOSS,)}
    async with desk.process():
        assert (desk.size, desk.waiting, desk.kept) == (0, {}, {})


async def test_a_process_that_ends_knows_of_a_close_that_is_on_its_way(desk: Desk) -> None:
    async with desk.process() as account, anyio.create_task_group() as tasks:
        await confirmed(account, entry())
        lose_the_stop(desk)
        faults = desk.exchange.faults
        faults.hang(ORDER, carried_out=True)
        tasks.start_soon(account.report)
        await faults.hanging.wait()
        assert account.has_own_order
        account.begin_nothing()
        faults.released.set()
    assert (desk.size, account.has_own_order) == (0, False)
    assert desk.said()[-1].endswith("; the position is closed"), "what has begun comes to its end"


async def test_a_rest_that_gets_its_stop_again_is_protected(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        lose_the_stop(desk)
        desk.exchange.faults.answer(ORDER, 400, {"code": -4108, "msg": "This contract is closed."})
        await account.report()
        assert account.unprotected is not None
        assert account.unprotected.startswith("BTC-PERP of o1: 0.5 of 0.5 has no stop and could not be closed either: ")
        desk.exchange.account.set_price("BTC-PERP", "60000")
        await account.report()
        assert (desk.size, desk.waiting, account.unprotected) == (Decimal("0.5"), BOTH, None)
        assert await without_stops(desk.journal) == {}


async def test_a_rest_that_is_less_than_a_lot_is_closed(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        lose_the_stop(desk)
        desk.exchange.account.fill_only("0.4995")
        await account.report()
        assert desk.size == Decimal("0.0005")
        assert (desk.waiting, desk.kept, account.unprotected) == ({}, {}, None)
        assert desk.said()[-1].endswith("; the position is closed")
    async with desk.process() as account:
        assert [recalled.closed_by for recalled in account.recalled] == [StopKind.STOP_LOSS]
    assert desk.sent_once


async def test_a_close_at_a_start_that_is_filled_in_parts_goes_on_as_well(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
    lose_the_stop(desk)
    desk.exchange.account.fill_only("0.1", "0.05")
    async with desk.process() as account:
        assert (desk.size, desk.waiting, desk.kept, account.unprotected) == (0, {}, {}, None)
        assert desk.said()[-1].endswith("; the position is closed")
        await explained(account, desk.exchange)
    assert desk.sent_once


async def test_what_is_closed_without_its_level_being_passed_is_recalled_as_nothing(desk: Desk) -> None:
    async with desk.process() as account:
        desk.exchange.faults.answer(POST, 400, {"code": -4130, "msg": "is existing"})
        assert (await account.execute(entry())).status is ExecutionStatus.FAILED
        assert desk.size == 0
    async with desk.process() as account:
        assert account.recalled == ()


async def test_a_close_that_is_under_way_is_asked_for_whatever_the_next_one_would_be_for(desk: Desk) -> None:
    """It is sent as a stop is refused, and nobody knows what became of it when the level is passed as well."""
    async with desk.process() as account:
        faults, exchange = desk.exchange.faults, desk.exchange
        faults.answer(POST, 400, {"code": -4130, "msg": "is existing"})
        faults.happen_before(ORDER, lambda: None)
        faults.arrive_late(ORDER)
        faults.answer(FIND, 503, "")
        await account.execute(entry("o1", stop_loss=59_000.0))
        assert desk.size == Decimal("0.5")
        exchange.account.set_price("BTC-PERP", "58500")
        faults.happen_before(FIND, exchange.deliver)
        await account.report()
        assert desk.size == 0
        assert len(exchange.journal.of(ORDER)) == 2, "the entry and one close"
    assert desk.sent_once


async def test_a_stop_that_fired_a_moment_ago_is_not_placed_again(desk: Desk) -> None:
    """Before the account is read again, what is booked still shows the position that the stop has closed."""
    async with desk.process() as account:
        await confirmed(account, entry())
        desk.exchange.account.set_price("BTC-PERP", "58900")
        desk.exchange.account.set_price("BTC-PERP", "60000")
        desk.exchange.faults.answer(ORDER, 400, {"code": -2019, "msg": "Margin is insufficient."})
        with pytest.raises(Rejected):
            await account.execute(entry("o2"))
        assert (desk.size, desk.waiting, desk.kept) == (0, {}, {})
        assert len(desk.exchange.journal.of(POST)) == 2
        await explained(account, desk.exchange)


async def test_a_stop_that_closes_only_part_leaves_the_rest_closed_as_well(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        desk.exchange.account.fill_only("0.2")
        desk.exchange.account.set_price("BTC-PERP", "58900")
        assert desk.size == Decimal("0.3")
        await account.report()
        assert (desk.size, desk.waiting, desk.kept) == (0, {}, {})
        await explained(account, desk.exchange)


async def test_a_position_that_somebody_else_closes_takes_its_stops_with_it(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        desk.exchange.account.liquidate("BTC-PERP")
        await account.report()
        assert (desk.waiting, desk.kept) == ({}, {})


async def test_levels_that_change_replace_the_old_and_are_never_doubled(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        await confirmed(account, trade("o2", "BTC-PERP", Side.LONG, 0.1, stop_loss=59_500.0, take_profit=61_000.0))
        assert desk.waiting == {"stop_loss": Decimal(59_500), "take_profit": Decimal(61_000)}
        assert set(desk.kept) == {"o2-stop_loss", "o2-take_profit"}
        refused = {"code": -2019, "msg": "Margin is insufficient."}
        desk.exchange.faults.answer(ORDER, 400, refused)
        with pytest.raises(Rejected):
            await account.execute(trade("o3", "BTC-PERP", Side.LONG, 0.1, stop_loss=59_700.0))
        assert set(desk.kept) == {"o2-stop_loss", "o2-take_profit"}, "an order that was refused changes nothing"
        assert desk.waiting == {"stop_loss": Decimal(59_500), "take_profit": Decimal(61_000)}


async def test_a_position_that_is_turned_around_gets_the_stops_of_its_new_side(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        await confirmed(account, closing())
        await confirmed(account, entry("o3", Side.SHORT, stop_loss=61_500.0, take_profit=58_000.0))
        assert desk.waiting == {"stop_loss": Decimal(61_500), "take_profit": Decimal(58_000)}
        desk.exchange.account.set_price("BTC-PERP", "61600")
        await account.report()
        assert desk.size == 0


async def test_stops_of_others_are_named_once_and_never_touched(desk: Desk) -> None:
    market = desk.exchange.account.market("BTC-PERP")
    desk.exchange.account.place_stop(market, "web_1", buys=True, trigger=Decimal(65_000), takes_profit=False)
    async with desk.process() as account:
        (said,) = desk.said()
        assert said.startswith("VEN-007 binance has an open stop ")
        assert "in BTC-PERP (web_1), which is not ours; it is left alone" in said
        await confirmed(account, entry())
        await account.report()
        await account.report()
        await confirmed(account, closing())
        assert desk.said() == []
        assert [stop.client_id for stop in desk.exchange.account.stops if stop.waits] == ["web_1"]


async def test_a_stop_of_ours_that_turns_up_when_nobody_wants_it_is_cancelled(desk: Desk) -> None:
    async with desk.process() as account:
        desk.exchange.faults.answer(POST, 504, "")
        handshake = await account.execute(entry())
        assert (handshake.error_code, desk.size, desk.waiting) == ("VEN-010", 0, {})
    async with desk.process():
        assert desk.kept == {}
    (sent,) = desk.exchange.journal.of(POST)
    market, name = desk.exchange.account.market("BTC-PERP"), sent.params["clientAlgoId"]
    desk.exchange.account.place_stop(market, name, buys=False, trigger=Decimal(59_000), takes_profit=False)
    async with desk.process() as account:
        assert any("of ours, which nobody wants any more; it is cancelled" in said for said in desk.said())
        assert desk.waiting == {}


async def test_no_countdown_is_begun_that_might_take_the_stops(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        assert await account.countdown_cancel(120) is False
    async with desk.process():
        pass
    assert desk.exchange.journal.of("POST /fapi/v1/countdownCancelAll") == []


async def test_a_stop_that_is_not_cancelled_at_once_is_cancelled_later(desk: Desk) -> None:
    async with desk.process() as account:
        await confirmed(account, entry())
        desk.exchange.faults.answer(DELETE, 503, {"code": -1008, "msg": "overloaded"}, times=2)
        await confirmed(account, closing())
        assert desk.waiting == BOTH
        assert len(desk.said()) == 2
        await account.report()
        assert (desk.waiting, desk.kept) == ({}, {})


async def test_an_account_that_keeps_no_stops_refuses_an_order_that_brings_some(exchange: LocalBinance) -> None:
    async with account_at(exchange) as account:
        with pytest.raises(Rejected, match="not sent to binance") as refused:
            await account.execute(entry())
    assert refused.value.code == "EXEC-003"
    assert exchange.journal.of(POST) == []
