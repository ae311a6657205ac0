"""The budget follows what the exchange says, keeps some for what reduces risk, and never knocks at a closed door."""

from datetime import UTC, datetime

import pytest
from tests.exchange.binance import LocalBinance
from tests.venues.wire.tickets import buy, sell

from basis_actors.errors import LeftAlone, Transient
from basis_actors.times import NS_PER_SECOND, ns_from_utc, utc_from_ns, utc_text
from basis_actors.venues.wire.binance import BinanceApi
from basis_actors.venues.wire.pauses import EVERYTHING, Pauses
from basis_actors.venues.wire.request_budget import RequestBudget

MINUTE = 60 * NS_PER_SECOND
NOON = ns_from_utc(datetime(2026, 1, 2, 12, tzinfo=UTC))
POST = "POST /fapi/v1/order"
TOO_MANY = {"code": -1003, "msg": "Too many requests."}


def take(budget: RequestBudget, weight: int, at_ns: int = 0, *, urgent: bool = False, host: str = "fapi") -> bool:
    try:
        budget.take(host, weight, exchange_ns=at_ns, elapsed_ns=at_ns, urgent=urgent)
    except Transient as error:
        return error.code != "VEN-006"
    return True


def limited(weight: int = 100) -> RequestBudget:
    budget = RequestBudget("binance", 0.25, Pauses(lambda: NOON))
    budget.set_limit("fapi", weight, MINUTE)
    return budget


def test_the_last_quarter_is_for_what_is_urgent() -> None:
    budget = limited()
    assert take(budget, 75)
    assert not take(budget, 1)
    assert take(budget, 25, urgent=True)
    assert not take(budget, 1, urgent=True)


def test_what_weighs_nothing_is_asked_also_when_little_is_left() -> None:
    budget = limited()
    assert take(budget, 76, urgent=True)
    assert take(budget, 0)
    budget.pause("fapi", 0, 1.0)
    assert not take(budget, 0)


def test_a_new_minute_starts_anew_and_hosts_do_not_share() -> None:
    budget = limited()
    assert take(budget, 75, MINUTE - 1)
    assert take(budget, 75, MINUTE)
    assert not take(budget, 75, 2 * MINUTE - 1)
    assert take(budget, 500, 2 * MINUTE - 1, host="api")


def test_what_others_have_used_counts() -> None:
    budget = limited()
    budget.used("fapi", 80, 0)
    assert not take(budget, 1)
    budget.used("fapi", 10, 0)
    assert not take(budget, 1)


def test_the_same_limit_said_again_forgets_nothing() -> None:
    budget = limited()
    assert take(budget, 75)
    budget.set_limit("fapi", 100, MINUTE)
    assert not take(budget, 1)
    budget.set_limit("fapi", 200, MINUTE)
    assert take(budget, 1)


def test_a_ban_outlasts_a_pause_and_holds_for_every_host() -> None:
    budget = limited()
    budget.pause("fapi", 0, 10)
    budget.ban(0, 120)
    budget.ban(0, 5)
    for host in ("fapi", "api"):
        with pytest.raises(
            Transient,
            match="bans this address and wants to be left alone until 2026-01-02T12:02:00Z",
        ) as caught:
            budget.take(host, 1, exchange_ns=None, elapsed_ns=MINUTE, urgent=True)
        assert caught.value.code == "VEN-003"
    assert take(budget, 1, 2 * MINUTE)


def wait_of(budget: RequestBudget, weight: int, at_ns: int, host: str = "fapi") -> float:
    with pytest.raises(Transient) as caught:
        budget.require(host, weight, exchange_ns=at_ns, elapsed_ns=at_ns, urgent=False)
    return caught.value.wait_seconds


def left_alone(budget: RequestBudget, host: str, at_ns: int) -> float | None:
    found = budget.left_alone(host, at_ns)
    return None if found is None else found.wait_seconds


def test_what_is_refused_says_how_long_to_wait_and_room_that_is_only_asked_for_is_not_used() -> None:
    budget = limited()
    for _ in range(3):
        budget.require("fapi", 75, exchange_ns=0, elapsed_ns=0, urgent=False)
    assert take(budget, 75)
    assert wait_of(budget, 1, 20 * NS_PER_SECOND) == 40.0, "the rest of the minute"
    budget.set_rate("place", 4, NS_PER_SECOND)
    assert take(budget, 3, 0, host="place")
    assert wait_of(budget, 1, NS_PER_SECOND // 4, "place") == 0.75
    budget.pause("fapi", 0, 90.0)
    assert wait_of(budget, 1, 30 * NS_PER_SECOND) == 60.0
    assert left_alone(budget, "fapi", 30 * NS_PER_SECOND) == 60.0
    budget.ban(0, 120.0)
    assert wait_of(budget, 1, 30 * NS_PER_SECOND, "api") == 90.0
    assert [left_alone(budget, host, 0) for host in ("fapi", "api")] == [120.0, 120.0]
    assert left_alone(budget, "fapi", 200 * NS_PER_SECOND) is None


def test_a_rate_counts_back_from_any_moment() -> None:
    budget = RequestBudget("bybit", 0.2, Pauses(lambda: NOON))
    budget.set_rate("place", 5, NS_PER_SECOND)
    half = NS_PER_SECOND // 2
    assert [take(budget, 1, 0, host="place") for _ in range(3)] == [True, True, True]
    assert [take(budget, 1, half, host="place") for _ in range(2)] == [True, False]
    assert take(budget, 1, half, urgent=True, host="place")
    assert not take(budget, 1, half, urgent=True, host="place")
    # A whole second after the first three only the two of half a second ago count.
    assert not take(budget, 3, NS_PER_SECOND - 1, host="place")
    assert [take(budget, 1, NS_PER_SECOND, host="place") for _ in range(3)] == [True, True, False]


def test_a_rate_of_one_is_not_reserved_away() -> None:
    budget = RequestBudget("okx", 0.25, Pauses(lambda: NOON))
    budget.set_rate("transfer", 1, NS_PER_SECOND)
    assert take(budget, 1, host="transfer")
    assert not take(budget, 1, host="transfer")


def test_what_holds_for_everything_is_counted_over_all_hosts_and_only_when_it_is_granted() -> None:
    budget = RequestBudget("bybit", 0.0, Pauses(lambda: NOON))
    budget.set_rate(EVERYTHING, 3, NS_PER_SECOND)
    budget.set_rate("place", 1, NS_PER_SECOND)
    assert [take(budget, 1, host=host) for host in ("place", "place", "place", "orders", "market", "log")] == [
        True,
        False,
        False,
        True,
        True,
        False,
    ]


def test_how_long_a_rate_takes_to_make_room() -> None:
    budget = RequestBudget("bybit", 0.25, Pauses(lambda: NOON))
    budget.set_rate("log", 4, NS_PER_SECOND)

    def wait(at_ns: int, weight: int = 1, *, urgent: bool = False) -> int:
        return budget.wait_ns("log", weight, at_ns, urgent=urgent)

    assert wait(0) == 0
    for at_ns in (0, 100, 200):
        assert take(budget, 1, at_ns, host="log")
    assert (wait(300), wait(300, urgent=True)) == (NS_PER_SECOND - 300, 0)
    assert wait(300, 2) == NS_PER_SECOND + 100 - 300
    assert wait(NS_PER_SECOND) == 0
    budget.set_rate(EVERYTHING, 2, 3 * NS_PER_SECOND)
    assert take(budget, 1, NS_PER_SECOND, host="log")
    # The longer of two rates holds, and for hosts that have none of their own as well.
    assert wait(NS_PER_SECOND + 500) == budget.wait_ns("any", 1, NS_PER_SECOND + 500, urgent=False)
    assert wait(NS_PER_SECOND + 500) == 3 * NS_PER_SECOND - 500


async def test_a_used_up_budget_sends_nothing_but_what_reduces_risk(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.prepare({"BTC-PERP": 5})
    await api.place(buy("BTC-PERP", "0.5", client_id="opening"))
    await api.place(buy("BTC-PERP", "0.1", "59000", "waiting"))
    exchange.use_weight("fapi", 1900)
    await api.order("BTC-PERP", "opening")
    sent = len(exchange.journal.requests)
    with pytest.raises(Transient, match=r"budget: 19.. of 1800 in this window are used") as caught:
        await api.place(buy("BTC-PERP", "0.1"))
    assert caught.value.code == "VEN-006"
    assert len(exchange.journal.requests) == sent
    await api.cancel("BTC-PERP", "waiting")
    assert (await api.place(sell("BTC-PERP", "0.5", client_id="closing", reduce_only=True))).has_ended
    assert (await api.account()).holdings == ()
    exchange.clock.advance(60)
    assert (await api.place(buy("BTC-PERP", "0.1"))).has_ended


async def test_selling_from_spot_is_risk_reduction_and_buying_is_not(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.prepare({})
    exchange.use_weight("api", 4500)
    await api.order("BTC/USDT", "nobody")
    with pytest.raises(Transient, match="budget"):
        await api.place(buy("BTC/USDT", "0.1"))
    assert (await api.place(sell("BTC/USDT", "0.1"))).has_ended


async def test_429_silences_its_host_for_as_long_as_it_says_and_no_other(
    exchange: LocalBinance, api: BinanceApi
) -> None:
    await api.prepare({})
    exchange.faults.answer(POST, 429, TOO_MANY, {"Retry-After": "17"})
    with pytest.raises(Transient) as caught:
        await api.place(buy("BTC-PERP", "0.1"))
    assert caught.value.code == "VEN-006"
    sent = len(exchange.journal.requests)
    for ask in (api.place(buy("BTC-PERP", "0.1")), api.cancel("BTC-PERP", "order1")):
        with pytest.raises(LeftAlone, match=r"\(fapi\) wants to be left alone until 2024-05-01T00:00:17Z;") as refused:
            await ask
        assert (refused.value.wait_seconds, refused.value.until_ns) == (17, exchange.clock.ns + 17 * NS_PER_SECOND)
    assert len(exchange.journal.requests) == sent
    assert (await api.place(buy("BTC/USDT", "0.1"))).has_ended
    exchange.clock.advance(17)
    assert (await api.place(buy("BTC-PERP", "0.1"))).has_ended


async def test_a_limit_is_no_ban_however_long_it_asks_for(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.prepare({})
    exchange.faults.answer(POST, 429, TOO_MANY, {"Retry-After": "120000"})
    with pytest.raises(LeftAlone, match="asks for 120000 s, of which longest_pause_seconds allows 300") as caught:
        await api.place(buy("BTC-PERP", "0.1"))
    assert caught.value.wait_seconds == 300.0
    exchange.clock.advance(299)
    with pytest.raises(LeftAlone, match="until 2024-05-01T00:05:00Z"):
        await api.place(buy("BTC-PERP", "0.1"))
    exchange.clock.advance(1)
    assert (await api.place(buy("BTC-PERP", "0.1"))).has_ended


async def test_429_without_a_time_silences_its_host_for_a_window(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.prepare({})
    exchange.faults.answer(POST, 429, "<html>slow down</html>")
    with pytest.raises(Transient):
        await api.place(buy("BTC-PERP", "0.1"))
    exchange.clock.advance(59)
    with pytest.raises(Transient, match="until 2024-05-01T00:01:00Z"):
        await api.place(buy("BTC-PERP", "0.1"))
    exchange.clock.advance(1)
    assert (await api.place(buy("BTC-PERP", "0.1"))).has_ended


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"Retry-After": "300"}, 300), ({"Retry-After": "259200"}, 259_200), ({}, 120)]
)
async def test_418_silences_the_whole_exchange_until_the_ban_is_over(
    exchange: LocalBinance, api: BinanceApi, headers: dict[str, str], seconds: int
) -> None:
    await api.prepare({})
    exchange.faults.answer("GET /fapi/v3/account", 418, TOO_MANY, headers)
    with pytest.raises(Transient, match="it was not carried out, and binance bans this address") as caught:
        await api.account()
    assert caught.value.code == "VEN-003"
    sent = len(exchange.journal.requests)
    until = utc_text(utc_from_ns(exchange.clock.ns + seconds * NS_PER_SECOND))
    exchange.clock.advance(seconds - 1)
    for ask in (api.account(), api.place(buy("BTC/USDT", "0.1")), api.cancel("BTCUSD-PERP", "order1"), api.filters()):
        with pytest.raises(Transient, match=f"bans this address and wants to be left alone until {until}; nothing"):
            await ask
    assert len(exchange.journal.requests) == sent
    exchange.clock.advance(1)
    assert (await api.account()).pairs


async def test_too_many_orders_does_not_keep_from_cancelling(exchange: LocalBinance, api: BinanceApi) -> None:
    await api.place(buy("BTC-PERP", "0.1", "59000"))
    exchange.faults.answer(POST, 429, {"code": -1015, "msg": "Too many new orders."}, {"Retry-After": "9"})
    with pytest.raises(Transient) as caught:
        await api.place(buy("BTC-PERP", "0.1", client_id="order2"))
    assert caught.value.code == "VEN-006"
    await api.cancel("BTC-PERP", "order1")
    assert await api.open_orders() == ()


async def test_the_limits_are_those_that_the_exchange_names(exchange: LocalBinance, api: BinanceApi) -> None:
    exchange.limits["fapi"] = 20
    await api.filters()
    exchange.use_weight("fapi", 15)
    await api.order("BTC-PERP", "nobody")
    with pytest.raises(Transient, match="of 15 in this window"):
        await api.place(buy("BTC-PERP", "0.1"))
