"""What is kept of published prices and funding, and the market that comes of it at a tick."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.config import load_mode
from basis_actors.data.market_board import Market, MarketBoard, markets_of
from basis_actors.messages.market import FundingStamp, GasQuote, MarketSpec
from basis_actors.messages.quotes import Price, PriceKind
from basis_actors.times import NS_PER_SECOND

CONFIG = load_mode("btc_basis").mode.component_config.market_feed
SPEC = MarketSpec(assets=("USDT", "BTC"), spot=("binance:BTC",), perps=("binance:BTC-PERP", "okx:BTC-PERP"), gas=True)
GAS = GasQuote(5.0, 1.0, fresh=True)
HOUR = 3600 * NS_PER_SECOND
NOW = 1_000_000 * HOUR
FRESH = round(CONFIG.fresh_seconds * NS_PER_SECOND)
CONFIRM = round(CONFIG.confirm_seconds * NS_PER_SECOND)
LAST, MARK = PriceKind.LAST, PriceKind.MARK


def board() -> MarketBoard:
    return MarketBoard(SPEC, CONFIG, "binance", GAS)


def see(
    to: MarketBoard, pair: str, price: float, at: int = NOW, kind: PriceKind = LAST, venue: str = "binance"
) -> str | None:
    return to.see(venue, Price(pair, kind, price, at), at)


def stamp(
    ns: int, rate: float | None = 1e-4, mark: float | None = 100.0, perp: str = "binance:BTC-PERP"
) -> FundingStamp:
    return FundingStamp(ns, perp, rate, mark)


def test_what_has_to_be_known_is_every_market_and_a_spot_market_for_each_reference_price() -> None:
    spec = MarketSpec(
        assets=("USDT", "BTC", "ETH"), spot=("binance:BTC",), perps=("okx:BTC-PERP", "binance:BTCUSD-PERP")
    )
    assert markets_of(spec, ("binance", "okx")) == (
        Market("binance", "BTC/USDT"),
        Market("okx", "BTC-PERP"),
        Market("binance", "BTCUSD-PERP"),
        Market("binance", "ETH/USDT"),
    )


def test_an_empty_board_knows_nothing_and_says_of_what() -> None:
    empty = board()
    state = empty.state(NOW, NOW)
    assert (state.prices, state.spot, state.stale_prices, state.funding, state.funding_missed) == (
        {"USDT": 1.0},
        {},
        (),
        (),
        {},
    )
    assert {quote.last for quote in state.perps.values()} == {None}
    assert empty.unknown() == (
        "binance:BTC (last)",
        "binance:BTC-PERP (last)",
        "binance:BTC-PERP (mark)",
        "okx:BTC-PERP (last)",
        "okx:BTC-PERP (mark)",
    )


def test_prices_are_shown_as_quotes_of_their_markets() -> None:
    full = board()
    assert see(full, "BTC/USDT", 100.0) is None
    see(full, "BTC-PERP", 101.0)
    see(full, "BTC-PERP", 102.0, kind=MARK)
    see(full, "BTC-PERP", 103.0, venue="okx")
    see(full, "BTC-PERP", 104.0, kind=MARK, venue="okx")
    state = full.state(NOW, NOW)
    assert full.unknown() == ()
    assert state.prices == {"USDT": 1.0, "BTC": 100.0}
    assert (state.spot["binance:BTC"].price, state.spot["binance:BTC"].fresh) == (100.0, True)
    ours, theirs = state.perps["binance:BTC-PERP"], state.perps["okx:BTC-PERP"]
    assert (ours.last, ours.mark, theirs.last, theirs.mark) == (101.0, 102.0, 103.0, 104.0)
    assert (state.gas, state.reserves, state.ns) == (GAS, {}, NOW)


def test_a_price_that_was_not_seen_again_grows_stale_and_is_still_shown() -> None:
    known = board()
    see(known, "BTC/USDT", 100.0)
    see(known, "BTC-PERP", 100.0, kind=MARK)
    assert known.state(NOW, NOW + FRESH).stale_prices == ()
    late = known.state(NOW, NOW + FRESH + 1)
    assert (late.stale_prices, late.prices["BTC"]) == (("BTC",), 100.0)
    assert not late.spot["binance:BTC"].fresh
    assert (late.perps["binance:BTC-PERP"].mark, late.perps["binance:BTC-PERP"].mark_fresh) == (100.0, False)


def test_age_counts_from_when_it_was_seen_whatever_the_clock_of_the_exchange() -> None:
    known = board()
    known.see("binance", Price("BTC/USDT", LAST, 100.0, NOW - 60 * FRESH), NOW)
    assert known.state(NOW, NOW + FRESH).spot["binance:BTC"].fresh


def test_an_exchange_that_says_the_same_moment_again_says_nothing_new() -> None:
    known = board()
    known.see("binance", Price("BTC/USDT", LAST, 100.0, 1), NOW)
    known.see("binance", Price("BTC/USDT", LAST, 100.0, 1), NOW + FRESH)
    assert not known.state(NOW, NOW + FRESH + 1).spot["binance:BTC"].fresh


def test_a_price_from_the_future_does_not_keep_out_those_after_it() -> None:
    known = board()
    ahead, later = Price("BTC/USDT", LAST, 100.0, NOW + 1000 * HOUR), NOW + 2 * FRESH
    known.see("binance", ahead, NOW)
    known.see("binance", ahead, later)
    assert not known.state(later, later).spot["binance:BTC"].fresh
    known.see("binance", Price("BTC/USDT", LAST, 101.0, later), later)
    assert known.state(later, later).prices["BTC"] == 101.0
    assert known.state(later, later).spot["binance:BTC"].fresh


@given(st.permutations(range(6)))
def test_prices_in_any_order_come_to_the_newest(order: list[int]) -> None:
    known = board()
    for number in order:
        known.see("binance", Price("BTC/USDT", LAST, 100.0 + number, NOW + number), NOW)
    assert known.state(NOW, NOW).prices["BTC"] == 105.0


@pytest.mark.parametrize("nonsense", [0.0, -1.0, nan, inf])
def test_what_is_no_price_is_said_once_and_the_last_good_one_kept(nonsense: float) -> None:
    known = board()
    see(known, "BTC/USDT", 100.0)
    doubt = see(known, "BTC/USDT", nonsense, NOW + 1)
    assert doubt is not None
    assert f"binance:BTC last price {nonsense} is none" in doubt
    assert see(known, "BTC/USDT", nonsense, NOW + 2) is None
    assert known.state(NOW, NOW + 2).prices["BTC"] == 100.0
    assert see(known, "BTC/USDT", 101.0, NOW + 3) is None
    assert known.state(NOW, NOW + 3).prices["BTC"] == 101.0
    assert see(known, "BTC/USDT", nonsense, NOW + 4) is not None


def test_a_first_price_that_is_none_is_no_price() -> None:
    known = board()
    assert see(known, "BTC/USDT", 0.0) is not None
    assert "BTC" not in known.state(NOW, NOW).prices


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_a_jump_is_believed_once_it_has_held(factor: float) -> None:
    known = board()
    see(known, "BTC/USDT", 100.0)
    doubt = see(known, "BTC/USDT", 100.0 * factor, NOW + 1)
    assert doubt is not None
    assert f"{factor - 1.0:+.1%} from 100 before" in doubt
    assert see(known, "BTC/USDT", 100.1 * factor, NOW + CONFIRM) is None
    assert known.state(NOW, NOW + CONFIRM).prices["BTC"] == 100.0
    see(known, "BTC/USDT", 100.2 * factor, NOW + 1 + CONFIRM)
    assert known.state(NOW, NOW + 1 + CONFIRM).prices["BTC"] == 100.2 * factor


def test_a_jump_that_is_taken_back_is_forgotten() -> None:
    known = board()
    see(known, "BTC/USDT", 100.0)
    see(known, "BTC/USDT", 200.0, NOW + 1)
    see(known, "BTC/USDT", 100.0, NOW + 2)
    assert see(known, "BTC/USDT", 200.0, NOW + CONFIRM + 3) is not None
    assert known.state(NOW, NOW + CONFIRM + 3).prices["BTC"] == 100.0


def test_a_price_that_jumps_about_is_never_believed() -> None:
    known = board()
    see(known, "BTC/USDT", 100.0)
    for number in range(1, 10):
        assert see(known, "BTC/USDT", 1000.0 * 2**number, NOW + number * CONFIRM) is not None
    assert known.state(NOW, NOW).prices["BTC"] == 100.0


def everywhere(to: MarketBoard, price: float, at: int, *, but: str = "") -> None:
    """Every market of the spec shows a price, those of one exchange excepted."""
    for venue, pair, kind in (
        ("binance", "BTC/USDT", LAST),
        ("binance", "BTC-PERP", LAST),
        ("binance", "BTC-PERP", MARK),
        ("okx", "BTC-PERP", LAST),
        ("okx", "BTC-PERP", MARK),
    ):
        if venue != but:
            see(to, pair, price, at, kind, venue)


@pytest.mark.parametrize("factor", [0.1, 0.94, 1.06, 10.0])
def test_a_price_that_no_other_exchange_is_near_is_never_believed_and_counts_as_stale_at_once(factor: float) -> None:
    known = board()
    everywhere(known, 100.0, NOW)
    said = []
    for number in range(1, 40):
        at = NOW + number * CONFIRM
        everywhere(known, 100.0, at, but="okx")
        said += [see(known, "BTC-PERP", 100.0 * factor, at, kind, "okx") for kind in (LAST, MARK)]
        state = known.state(at, at)
        wrong, right = state.perps["okx:BTC-PERP"], state.perps["binance:BTC-PERP"]
        assert (wrong.last, wrong.last_fresh, wrong.mark, wrong.mark_fresh) == (100.0, False, 100.0, False)
        assert (right.last_fresh, right.mark_fresh, state.spot["binance:BTC"].fresh) == (True, True, True)
        assert state.stale_prices == ()
    last, mark = (text for text in said if text is not None)
    assert f"okx:BTC-PERP last price {100 * factor:g} is {factor - 1.0:+.1%} from 100 at binance" in last
    assert "okx:BTC-PERP mark price" in mark
    see(known, "BTC-PERP", 101.0, NOW + 40 * CONFIRM, venue="okx")
    back = known.state(NOW, NOW + 40 * CONFIRM).perps["okx:BTC-PERP"]
    assert (back.last, back.last_fresh, back.mark_fresh) == (101.0, True, False), "each price for itself"


def test_a_price_that_the_others_follow_is_believed_as_any_jump_is() -> None:
    known = board()
    everywhere(known, 100.0, NOW)
    see(known, "BTC-PERP", 200.0, NOW + 1, venue="okx")
    everywhere(known, 200.0, NOW + 2)
    half = known.state(NOW, NOW + 2).perps
    assert not half["okx:BTC-PERP"].last_fresh or half["okx:BTC-PERP"].last == 100.0
    everywhere(known, 200.0, NOW + 2 + CONFIRM)
    state = known.state(NOW, NOW + 2 + CONFIRM)
    assert {quote.last for quote in state.perps.values()} == {state.prices["BTC"]} == {200.0}
    assert all(quote.last_fresh and quote.mark_fresh for quote in state.perps.values())


def test_a_small_move_of_one_exchange_is_believed_at_once_when_another_makes_it_too() -> None:
    known = board()
    everywhere(known, 100.0, NOW)
    see(known, "BTC-PERP", 93.0, NOW + 1, venue="okx")
    assert not known.state(NOW, NOW + 1).perps["okx:BTC-PERP"].last_fresh
    see(known, "BTC-PERP", 93.0, NOW + 2)
    see(known, "BTC-PERP", 93.0, NOW + 3, venue="okx")
    state = known.state(NOW, NOW + 3)
    assert [quote.last for quote in state.perps.values()] == [93.0, 93.0]


def test_a_price_that_walks_away_step_by_step_is_left_behind() -> None:
    known = board()
    everywhere(known, 100.0, NOW)
    for number in range(1, 100):
        everywhere(known, 100.0, NOW + number, but="okx")
        see(known, "BTC-PERP", 100.0 + number, NOW + number, venue="okx")
    quote = known.state(NOW, NOW + 99).perps["okx:BTC-PERP"]
    assert (quote.last, quote.last_fresh) == (105.0, False)
    assert known.state(NOW, NOW + 99).perps["binance:BTC-PERP"].last_fresh


def test_of_two_exchanges_the_one_that_departed_speaks_not_against_the_other() -> None:
    known = board()
    everywhere(known, 100.0, NOW)
    see(known, "BTC-PERP", 1000.0, NOW + 1, venue="okx")
    assert see(known, "BTC/USDT", 94.0, NOW + 2) is not None, "the mark of okx is still what it was"
    see(known, "BTC-PERP", 1000.0, NOW + 3, MARK, "okx")
    assert see(known, "BTC/USDT", 94.0, NOW + 4) is None
    assert known.state(NOW, NOW + 4).prices["BTC"] == 94.0


def test_what_is_not_fresh_or_of_the_same_exchange_or_in_another_currency_proves_nothing() -> None:
    known = board()
    everywhere(known, 100.0, NOW)
    late = NOW + FRESH + 1
    see(known, "BTC/USDT", 94.0, late)
    assert known.state(NOW, late).prices["BTC"] == 94.0, "okx has fallen silent"
    see(known, "BTC-PERP", 85.0, late + 1)
    assert known.state(NOW, late + 1).perps["binance:BTC-PERP"].last == 100.0
    see(known, "BTC-PERP", 85.0, late + 1 + CONFIRM)
    assert known.state(NOW, late + 1 + CONFIRM).perps["binance:BTC-PERP"].last == 85.0, "nobody else knows better"
    dollars = board()
    see(dollars, "BTCUSD-PERP", 50.0, venue="okx")
    assert see(dollars, "BTC/USDT", 100.0) is None
    assert see(dollars, "ETH/USDT", 2.0) is None


def test_a_first_price_that_departs_is_not_known() -> None:
    known = board()
    everywhere(known, 100.0, NOW, but="okx")
    assert see(known, "BTC-PERP", 1000.0, NOW + 1, venue="okx") is not None
    assert "okx:BTC-PERP (last)" in known.unknown()
    assert known.state(NOW, NOW + 1).perps["okx:BTC-PERP"].last is None


def test_the_range_of_a_mark_that_departs_is_none() -> None:
    known = board()
    everywhere(known, 100.0, NOW)
    known.forget_ranges()
    see(known, "BTC-PERP", 1000.0, NOW + 1, MARK, "okx")
    known.widen(Market("okx", "BTC-PERP"), 90.0, 1000.0)
    quote = known.state(NOW, NOW + 1).perps["okx:BTC-PERP"]
    assert (quote.mark_low, quote.mark_high) == (None, None)


@given(st.lists(st.floats(95.5, 104.5), min_size=1, max_size=20))
def test_the_range_of_marks_is_that_of_all_since_the_last_tick(marks: list[float]) -> None:
    known = board()
    see(known, "BTC-PERP", 100.0, kind=MARK)
    known.forget_ranges()
    for number, mark in enumerate(marks, start=1):
        see(known, "BTC-PERP", mark, NOW + number, kind=MARK)
    quote = known.state(NOW, NOW + len(marks)).perps["binance:BTC-PERP"]
    assert (quote.mark_low, quote.mark_high) == (min(marks), max(marks))
    known.forget_ranges()
    after = known.state(NOW, NOW + len(marks)).perps["binance:BTC-PERP"]
    assert (after.mark_low, after.mark_high) == (None, None)


def test_candles_widen_the_range() -> None:
    known = board()
    see(known, "BTC-PERP", 100.0, kind=MARK)
    known.widen(Market("binance", "BTC-PERP"), 90.0, 95.0)
    quote = known.state(NOW, NOW).perps["binance:BTC-PERP"]
    assert (quote.mark_low, quote.mark_high) == (90.0, 100.0)


def test_funding_falls_to_the_tick_after_it_and_to_no_other() -> None:
    known = board()
    known.settle([stamp(NOW), stamp(NOW - 8 * HOUR), stamp(NOW - 16 * HOUR)])
    assert [one.ns for one in known.state(NOW - HOUR, NOW).funding] == [NOW]
    assert known.state(NOW, NOW + HOUR).funding == ()
    assert [one.ns for one in known.state(NOW - 17 * HOUR, NOW).funding] == [NOW - 16 * HOUR, NOW - 8 * HOUR, NOW]
    assert known.state(NOW, NOW).funding_missed == {"binance:BTC-PERP": 0}


@pytest.mark.parametrize("rate", [0.5, -0.051, nan, inf])
def test_funding_that_cannot_be_is_missed_and_said_once(rate: float) -> None:
    known = board()
    known.settle([stamp(NOW - 16 * HOUR), stamp(NOW - 8 * HOUR)])
    (doubt,) = known.settle([stamp(NOW, rate=rate)])
    assert doubt.startswith("binance:BTC-PERP funding of 20")
    assert f" is {rate:+g} of the notional, at most 0.05 either way is believed; it counts as missing" in doubt
    assert known.settle([stamp(NOW, rate=rate)]) == ()
    assert known.state(NOW, NOW).funding_missed == {"binance:BTC-PERP": 1}
    assert known.settle([stamp(NOW)]) == ()
    assert known.state(NOW, NOW).funding_missed == {"binance:BTC-PERP": 0}


def test_funding_that_was_due_and_is_not_listed_is_missed_until_it_is() -> None:
    known = board()
    known.settle([stamp(NOW - 16 * HOUR), stamp(NOW - 8 * HOUR)])
    assert known.awaits(NOW - HOUR, NOW) == ("binance:BTC-PERP",)
    state = known.state(NOW - HOUR, NOW)
    assert state.funding == (stamp(NOW, None, None),)
    assert known.state(NOW, NOW + 8 * HOUR).funding_missed == {"binance:BTC-PERP": 2}
    known.settle([stamp(NOW), stamp(NOW)])
    assert known.awaits(NOW - HOUR, NOW) == ()
    assert known.state(NOW, NOW + HOUR).funding_missed == {"binance:BTC-PERP": 0}


def test_a_settlement_a_few_milliseconds_late_is_that_of_its_hour() -> None:
    known = board()
    late = 3_000_000
    known.settle([stamp(NOW - 16 * HOUR + late), stamp(NOW - 8 * HOUR), stamp(NOW + late), stamp(NOW + 2 * late)])
    assert [one.ns for one in known.settled("binance:BTC-PERP", 9)] == [NOW - 16 * HOUR, NOW - 8 * HOUR, NOW]
    assert known.awaits(NOW - HOUR, NOW + HOUR) == ()


def test_a_settlement_without_its_mark_gets_the_one_that_was_seen_then() -> None:
    known = board()
    see(known, "BTC-PERP", 99.0, kind=MARK)
    known.settle([stamp(NOW - NS_PER_SECOND, mark=None), stamp(NOW - 8 * HOUR, mark=None)])
    assert [one.mark for one in known.settled("binance:BTC-PERP", 5)] == [None, 99.0]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, [0]), (2, [-8, 0]), (3, [-24, -16, -8, 0]), (9, [-32, -24, -16, -8, 0])],
)
def test_the_past_reaches_as_far_back_as_the_rates_that_are_asked_for(count: int, expected: list[int]) -> None:
    known = board()
    known.settle([stamp(NOW + hours * HOUR) for hours in (-32, -24, -8, 0)])
    found = known.settled("binance:BTC-PERP", count)
    assert [(one.ns - NOW) // HOUR for one in found] == expected
    assert [one.rate for one in found] == [None if hours == -16 else 1e-4 for hours in expected]


def test_only_so_many_settlements_are_remembered() -> None:
    known = board()
    known.settle([stamp(NOW + hours * HOUR) for hours in range(0, 8 * 500, 8)])
    assert len(known.settled("binance:BTC-PERP", 10_000)) == 200
    assert known.newest_stamp("binance:BTC-PERP") == NOW + 8 * 499 * HOUR
