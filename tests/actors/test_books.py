"""Ledger and venue are two accounts: what differs is named and ends the run; what comes twice counts once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.actors.desk import START, buy, desk, fill, skewed, supply, transfer

from basis_actors.bus import BusFailed
from basis_actors.bus.testkit import Runtimes
from basis_actors.messages.book import TickSettled
from basis_actors.messages.commands import ApplySettlements, GetPositions
from basis_actors.messages.events import ExecutionDeltaEvent, PositionSnapshot, ReconciliationEvent, SystemErrorEvent
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio
CASH = "binance:BaseToken:USDT"


def settlement(source: DeltaSource, key: str, amount: float, sequence: int, price: float | None = None) -> Settlement:
    return Settlement(source, utc_from_ns(START), "binance", sequence, (PositionDelta(key, amount, price),))


async def test_a_venue_that_shows_something_else_is_a_mismatch_and_ends_the_run(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [skewed(CASH, -1.0)]
        d.send(buy("a", 0.1), buy("b", 0.1))
        with pytest.raises(BusFailed, match=r"EXEC-007.*binance disagree"):
            await d.bus.settled()
        assert d.binance.sent == ["a"]
        codes = [error.error_code for error in d.logged(SystemErrorEvent)]
        assert "POS-005" in codes
        (event,) = [e for e in d.logged(ReconciliationEvent) if not e.success][:1]
        (wrong,) = event.mismatches
        assert (wrong.position_key, wrong.difference) == (CASH, pytest.approx(-1.0))


async def test_a_report_that_lags_behind_is_asked_for_again(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        true_report = d.binance.report
        lagging = [dict(d.binance.balances)] * 2

        async def report() -> dict[str, float]:
            return lagging.pop() if lagging and d.binance.sent else await true_report()

        d.binance.report = report  # type: ignore[method-assign]
        done = await d.execute(buy("a", 0.1))
        assert done.results[0].succeeded
        assert [e.success for e in d.logged(ReconciliationEvent)] == [False, False, True]


async def test_a_difference_within_rounding_is_none(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.binance.script = [skewed(CASH, 1e-6)]
        done = await d.execute(buy("a", 0.1))
        assert done.results[0].succeeded


async def test_a_fill_that_is_not_what_was_expected_is_named_and_work_goes_on(runtime: Runtimes) -> None:
    async def short_fill(venue: object, order: object) -> object:
        half = tuple(replace(d, delta_amount=d.delta_amount / 2) for d in order.expected_deltas)  # type: ignore[attr-defined]
        return venue.fill(replace(order, expected_deltas=half))  # type: ignore[attr-defined]

    async with desk(runtime) as d:
        d.binance.script = [short_fill]  # type: ignore[list-item]
        done = await d.execute(buy("a", 0.1), buy("b", 0.1))
        assert [r.succeeded for r in done.results] == [True, True]
        (error,) = d.logged(SystemErrorEvent)
        assert error.severity == "MEDIUM"
        assert "binance:BaseToken:BTC" in error.message


async def test_who_is_shown_the_ledger_cannot_change_it(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        shown = await d.bus.ask("position_monitor", GetPositions())
        before = dict(shown.positions)
        shown.positions["binance:Margin:USDT"] *= 2.0
        shown.entries["bybit:PerpPosition:BTC-PERP"] = 1.0
        again = await d.bus.ask("position_monitor", GetPositions())
        assert (again.positions, again.entries) == (before, {})
        assert all(event.positions == before for event in d.logged(PositionSnapshot))


async def test_settlements_that_arrive_twice_are_applied_once(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        paid = settlement(DeltaSource.FUNDING, "binance:Margin:USDT", 12.5, 1)
        for _ in range(3):
            await d.bus.ask("position_monitor", ApplySettlements((paid,)))
        d.bus.post("position_monitor", TickSettled(d.tick, (paid,)))
        await d.bus.settled()
        view = await d.bus.ask("position_monitor", GetPositions())
        assert view.positions["binance:Margin:USDT"] == 50_012.5
        events = [e for e in d.logged(ExecutionDeltaEvent) if e.source == "funding"]
        assert [(e.domain, e.domain_sequence) for e in events] == [("binance", 1)]


async def test_settlements_that_overtake_each_other_are_all_applied(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        first, second, third = (
            settlement(DeltaSource.FUNDING, "binance:Margin:USDT", 10.0**n, n + 1) for n in range(3)
        )
        for arriving in (third, first, third, second, first):
            await d.bus.ask("position_monitor", ApplySettlements((arriving,)))
        view = await d.bus.ask("position_monitor", GetPositions())
        assert view.positions["binance:Margin:USDT"] == 50_111.0


async def test_an_order_that_would_make_a_token_negative_is_pos_004(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.bus.post(
            "position_monitor",
            TickSettled(d.tick, (settlement(DeltaSource.EXECUTION, CASH, -100_001.0, 1),)),
        )
        with pytest.raises(BusFailed, match=r"POS-004.*binance:BaseToken:USDT"):
            await d.bus.settled()


async def test_funding_may_overdraw_a_margin_account(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        paid = settlement(DeltaSource.FUNDING, "binance:Margin:USDT", -50_001.0, 1)
        view = await d.bus.ask("position_monitor", ApplySettlements((paid,)))
        assert view.positions["binance:Margin:USDT"] == -1.0


async def test_a_perp_fill_without_a_price_is_refused(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        broken = settlement(DeltaSource.EXECUTION, "binance:PerpPosition:BTC-PERP", -1.0, 1)
        d.bus.post("position_monitor", TickSettled(d.tick, (broken,)))
        with pytest.raises(BusFailed, match="POS-001"):
            await d.bus.settled()


async def test_a_key_that_names_no_position_is_refused(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.bus.post("position_monitor", TickSettled(d.tick, (settlement(DeltaSource.REWARD, "binance:BTC", 1.0, 1),)))
        with pytest.raises(BusFailed, match="POS-002"):
            await d.bus.settled()


async def test_a_transfer_is_announced_to_whoever_receives_it(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        done = await d.execute(transfer("t", 1_000.0))
        assert done.results[0].succeeded
        await d.bus.settled()
        (coming,) = d.bybit.expected
        assert (coming.position_key, coming.amount, coming.operation_id) == ("bybit:BaseToken:USDT", 1_000.0, "t")
        view = await d.bus.ask("position_monitor", GetPositions())
        assert view.positions["transit:BaseToken:USDT"] == 1_000.0


async def test_entries_average_over_fills_and_end_with_the_position(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        key = "binance:PerpPosition:BTC-PERP"
        for number, (amount, price) in enumerate([(-1.0, 40_000.0), (-3.0, 44_000.0), (2.0, 50_000.0)], start=1):
            view = await d.bus.ask(
                "position_monitor",
                ApplySettlements((settlement(DeltaSource.EXECUTION, key, amount, number, price),)),
            )
        assert (view.positions[key], view.entries[key]) == (-2.0, 43_000.0)
        view = await d.bus.ask(
            "position_monitor", ApplySettlements((settlement(DeltaSource.EXECUTION, key, 2.0, 4, 1.0),))
        )
        assert key not in view.positions
        assert key not in view.entries


async def test_each_operation_is_compared_with_the_whole_account(runtime: Runtimes) -> None:
    async with desk(runtime) as d:
        d.chain.script = [fill]
        await d.execute(supply("s"))
        (event,) = d.logged(ReconciliationEvent)
        assert event.expected == {"aave:aToken:aUSDT": 1_000.0, "wallet:BaseToken:USDT": -1_000.0}
        assert event.actual == event.expected
        assert event.venue_reported == {"aave:aToken:aUSDT": 1_000.0, "wallet:BaseToken:USDT": 9_000.0}
