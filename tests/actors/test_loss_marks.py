"""Losses are measured from 00:00 UTC and from the peak, without the owner's money, and a restart forgets none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from tests.actors.desk import START, market
from tests.actors.store import MemoryStore

from basis_actors.actors.loss_marks import LossMarks, growth_so_far
from basis_actors.errors import BasisError
from basis_actors.finance.valuation import value_book
from basis_actors.messages.book import PositionsView, TickStarted, Trigger, Valuation
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import PerpQuote
from basis_actors.times import utc_from_ns

HOUR = 3_600 * 10**9


def view(
    hour: float, equity: float, *, paid: float = 0.0, unpriced: tuple[str, ...] = (), trigger: Trigger = Trigger.TICK
) -> PositionsView:
    """A view so many hours after 2024-01-01 00:00, before which the owner has paid in `paid`."""
    ns = START + round(hour * HOUR)
    state = replace(market(), ns=ns, timestamp=utc_from_ns(ns))
    settlements = ()
    if paid:
        source = DeltaSource.DEPOSIT if paid > 0.0 else DeltaSource.WITHDRAWAL
        delta = PositionDelta("wallet:BaseToken:USDT", paid)
        settlements = (Settlement(source, datetime(2024, 1, 1, tzinfo=UTC), "ethereum", 0, (delta,)),)
    return PositionsView(
        TickStarted(0, state), trigger, {}, {}, settlements, {"USDT": 1.0}, Valuation({}, {}, equity, 0.0, unpriced)
    )


def after(*views: PositionsView, store: MemoryStore | None = None) -> tuple[float | None, float | None]:
    marks = LossMarks("USDT", store)
    for each in views:
        marks.take(each)
    return marks.daily_loss, marks.drawdown


def test_before_anything_is_known_there_is_no_loss_to_compare() -> None:
    assert after() == (None, None)


@pytest.mark.parametrize(
    ("views", "daily", "drawdown"),
    [
        ([view(0, 100.0, paid=100.0), view(1, 90.0)], 0.10, 0.10),
        ([view(0, 100.0, paid=100.0), view(1, 120.0), view(2, 108.0)], -0.08, 0.10),
        # Money of the owner is no gain: 100 become 90, then 300 come, of which 390 lose a third.
        ([view(0, 100.0, paid=100.0), view(1, 90.0), view(2, 390.0, paid=300.0), view(3, 260.0)], 0.4, 0.4),
        ([view(0, 100.0, paid=100.0), view(1, 40.0, paid=-60.0)], 0.0, 0.0),
        # A day opens with the last equity before its first view, so the loss over midnight is one of the new day.
        ([view(0, 100.0, paid=100.0), view(23, 80.0), view(24, 60.0), view(25, 66.0)], 0.175, 0.34),
        # A view without a price says nothing, and the next one says all.
        ([view(0, 100.0, paid=100.0), view(1, 5.0, unpriced=("x",)), view(2, 95.0)], 0.05, 0.05),
        ([view(0, 100.0, paid=100.0), view(1, 0.0)], 1.0, 1.0),
        ([view(0, 100.0, paid=100.0), view(1, 0.0), view(25, 50.0, paid=50.0)], 1.0, 1.0),
    ],
)
def test_losses_are_fractions_of_what_there_was(views: list[PositionsView], daily: float, drawdown: float) -> None:
    found = after(*views)
    assert found == (pytest.approx(daily, abs=1e-12), pytest.approx(drawdown, abs=1e-12))


def test_while_equity_is_not_known_neither_is_a_loss() -> None:
    assert after(view(0, 100.0, paid=100.0), view(1, 5.0, unpriced=("x",))) == (None, None)


def test_a_restart_forgets_no_loss() -> None:
    store = MemoryStore()
    after(view(0, 100.0, paid=100.0), view(1, 120.0), view(5, 90.0), store=store)
    assert after(view(6, 90.0), store=store) == (pytest.approx(0.1), pytest.approx(0.25))
    # What was lost while no process ran was lost.
    assert after(view(7, 60.0), store=store) == (pytest.approx(0.4), pytest.approx(0.5))
    # The next day opens with what was known last.
    assert after(view(30, 54.0), store=store) == (pytest.approx(0.1), pytest.approx(0.55))


def test_what_the_owner_moves_between_two_ticks_is_no_loss_of_the_next_process() -> None:
    store = MemoryStore()
    after(view(0, 100.0, paid=100.0), view(0, 60.0, paid=-40.0, trigger=Trigger.EXECUTION), store=store)
    assert after(view(1, 60.0), store=store) == (pytest.approx(0.0), pytest.approx(0.0))


def test_what_the_owner_moves_while_equity_is_not_known_is_no_loss_of_the_next_process() -> None:
    store = MemoryStore()
    after(view(0, 100.0, paid=100.0), view(1, 60.0, paid=-40.0, unpriced=("x",)), store=store)
    assert after(view(2, 60.0), store=store) == (pytest.approx(0.0), pytest.approx(0.0))
    assert after(view(3, 45.0), store=store) == (pytest.approx(0.25), pytest.approx(0.25))


def test_marks_are_written_once_a_tick() -> None:
    store = MemoryStore()
    marks = LossMarks("USDT", store)
    marks.take(view(0, 100.0, paid=100.0))
    written = dict(store.files)
    marks.take(view(0, 50.0, trigger=Trigger.EXECUTION))
    assert store.files == written


def broken(content: bytes) -> Mapping[str, bytes]:
    return {"losses.json": content}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"currency":"USDT"}',
        b"\xff\xfe",
        b'{"currency":"\xff"}',
        b"null",
        b'{"currency":"USDT","day":1,"opening":1.0,"equity":5.0,"growth":1.0,"highest":0.0}',
    ],
)
def test_damaged_marks_are_refused_by_name(content: bytes) -> None:
    with pytest.raises(BasisError, match=r"^ENGINE-001: losses.json is damaged .* remove it to begin anew"):
        LossMarks("USDT", MemoryStore(broken(content)))


def test_marks_in_another_currency_are_refused() -> None:
    store = MemoryStore()
    after(view(0, 100.0, paid=100.0), store=store)
    with pytest.raises(BasisError, match="is counted in USDT, ETH was expected"):
        LossMarks("ETH", store)


def hedged(hour: float, spot: float, mark: float, *, fresh: bool = True, lost: float = 0.0) -> PositionsView:
    """1 BTC against a short of 1 BTC from 40,000 elsewhere, and 60,000 USDT of which `lost` are gone."""
    quote = PerpQuote(mark, fresh, mark, fresh, mark, mark)
    state = replace(
        view(hour, 0.0).tick.market,
        prices={"USDT": 1.0, "BTC": spot},
        perps={"bybit:BTC-PERP": quote},
    )
    short = "bybit:PerpPosition:BTC-PERP"
    positions = {"binance:BaseToken:BTC": 1.0, "binance:BaseToken:USDT": 60_000.0 - lost, short: -1.0}
    valuation = value_book(positions, {short: 40_000.0}, state, state.prices)
    return PositionsView(TickStarted(0, state), Trigger.TICK, positions, {short: 40_000.0}, (), state.prices, valuation)


def test_an_exchange_that_is_away_makes_no_peak_to_fall_from() -> None:
    """Spot gains 10,000 while the mark of the short stands still: a tenth of equity that nobody has."""
    away = hedged(1, 50_000.0, 40_000.0, fresh=False)
    assert away.valuation.equity == 110_000.0
    assert after(hedged(0, 40_000.0, 40_000.0), away) == (pytest.approx(0.0), 0.0)
    back = hedged(2, 50_000.0, 50_000.0)
    assert after(hedged(0, 40_000.0, 40_000.0), away, back) == (pytest.approx(0.0), pytest.approx(0.0))


def test_an_exchange_that_is_away_makes_no_loss() -> None:
    away = hedged(1, 30_000.0, 40_000.0, fresh=False)
    assert away.valuation.equity == 90_000.0
    assert after(hedged(0, 40_000.0, 40_000.0), away) == (pytest.approx(0.0), pytest.approx(0.0))


def test_what_is_lost_elsewhere_while_an_exchange_is_away_is_seen() -> None:
    away = hedged(1, 50_000.0, 40_000.0, fresh=False, lost=8_000.0)
    assert after(hedged(0, 40_000.0, 40_000.0), away) == (pytest.approx(0.08), pytest.approx(0.08))


def test_the_peak_goes_on_where_it_was_left() -> None:
    store = MemoryStore()
    after(view(0, 100.0, paid=100.0), view(1, 120.0), view(5, 90.0), store=store)
    growth = growth_so_far(store, "USDT")
    growth.take(view(6, 84.0))
    assert growth.drawdown == pytest.approx(0.3)


def test_what_the_owner_took_while_no_process_ran_is_no_loss() -> None:
    """The ledger opens with 120 as they were, of which 40 were taken; 4 were lost as well."""
    store = MemoryStore()
    after(view(0, 100.0, paid=100.0), view(1, 120.0), store=store)
    seen = view(6, 76.0, paid=-40.0)
    began = Settlement(
        DeltaSource.OPENING, seen.tick.market.timestamp, "binance", 0, (PositionDelta("binance:BaseToken:USDT", 116.0),)
    )
    _daily, drawdown = after(replace(seen, settlements=(began, *seen.settlements)), store=store)
    assert drawdown == pytest.approx(4.0 / 120.0)
