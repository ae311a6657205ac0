"""Whatever an exchange writes into a header: what cannot be meant says nothing, and harms nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.exchange.binance import LocalBinance
from tests.exchange.worlds import connected, funded_bybit
from tests.venues.wire.tickets import buy

from basis_actors.errors import Transient
from basis_actors.venues.wire.answers import Answer, Fate, Pause, Refusal
from basis_actors.venues.wire.binance import BinanceApi
from basis_actors.venues.wire.binance_dialect import BinanceDialect
from basis_actors.venues.wire.headers import LONGEST_SECONDS, number_in, pause_asked

ACCOUNT = "GET /fapi/v3/account"
TOO_MANY = {"code": -1003, "msg": "Too many requests."}
NOON = "Wed, 21 Oct 2026 12:00:00 GMT"
UNREADABLE = (
    "9" * 400,
    "9" * 5000,
    "-5",
    "NaN",
    "inf",
    "1e3",
    "17.5",
    "soon",
    "",
    "\u0663",
    "Wed, 21 Oct 2026 12:05:00",
    f"Wed, 21 Oct {'9' * 30} 12:05:00 GMT",
    str(LONGEST_SECONDS + 1),
)


def saying(**headers: str) -> Answer:
    return Answer(429, {name.replace("_", "-"): value for name, value in headers.items()}, "")


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_time_to_wait_counts_as_none_and_is_told(text: str) -> None:
    pause = pause_asked(saying(retry_after=text, date=NOON), 60.0)
    assert pause.seconds == 60.0
    assert pause.remark.startswith(f"its Retry-After {text[:40]!r}"[:-1])
    assert len(pause.remark) < 120


def test_seconds_and_dates_are_taken_and_nothing_is_told_of_them() -> None:
    assert pause_asked(saying(), 60.0) == Pause(60.0)
    assert pause_asked(saying(retry_after="0"), 60.0) == Pause(0.0)
    assert pause_asked(saying(retry_after=" 17 "), 60.0) == Pause(17.0)
    assert pause_asked(saying(retry_after=str(LONGEST_SECONDS)), 60.0) == Pause(259_200.0)
    assert pause_asked(saying(retry_after="Wed, 21 Oct 2026 12:05:00 GMT", date=NOON), 60.0) == Pause(300.0)


def test_a_date_that_is_over_or_of_which_nobody_knows_how_far_it_is_counts_as_none() -> None:
    past = pause_asked(saying(retry_after="Wed, 21 Oct 2026 11:59:00 GMT", date=NOON), 60.0)
    alone = pause_asked(saying(retry_after="Wed, 21 Oct 2026 12:05:00 GMT"), 60.0)
    assert past.seconds == alone.seconds == 60.0
    assert past.remark
    assert alone.remark


@given(st.text(), st.text())
def test_no_text_is_too_odd(text: str, date: str) -> None:
    answer = saying(retry_after=text, date=date, x_mbx_used_weight_1m=text)
    for fate in (Fate.LIMITED, Fate.BANNED):
        assert 0.0 <= BinanceDialect().pause(Refusal(fate, "-1003", ""), answer).seconds <= LONGEST_SECONDS
    number = number_in(answer, "x-mbx-used-weight-1m")
    assert number is None or number >= 0


@pytest.mark.parametrize("status", [429, 418])
@pytest.mark.parametrize("said", ["9" * 400, "-5", "NaN", "soon"])
async def test_a_host_that_says_no_time_is_left_alone_for_as_long_as_one_that_says_nothing(
    exchange: LocalBinance, api: BinanceApi, status: int, said: str
) -> None:
    seconds = {429: 60, 418: 120}[status]
    exchange.faults.answer(ACCOUNT, status, TOO_MANY, {"Retry-After": said, "X-MBX-USED-WEIGHT-1M": said})
    with pytest.raises(Transient, match=f"no time to wait, so {seconds} s are waited") as caught:
        await api.account()
    assert caught.value.wait_seconds == seconds
    exchange.clock.advance(seconds - 1)
    with pytest.raises(Transient) as repeated:
        await api.account()
    assert "Retry-After" not in str(repeated.value), "it is said once"
    assert len(exchange.journal.of(ACCOUNT)) == 1
    exchange.clock.advance(1)
    assert (await api.account()).pairs


@pytest.mark.parametrize("said", ["9" * 400, "9" * 18, "-5", "soon"])
async def test_bybit_names_an_end_that_nobody_can_mean(said: str) -> None:
    async with funded_bybit() as exchange, connected(exchange) as api:
        await api.prepare({})
        limited = {"retCode": 10006, "retMsg": "Too many visits!", "time": exchange.clock.ms}
        exchange.faults.answer("POST /v5/order/create", 200, limited, {"X-Bapi-Limit-Reset-Timestamp": said})
        with pytest.raises(Transient, match="10006") as caught:
            await api.place(buy("BTC-PERP", "0.1"))
        assert caught.value.wait_seconds == 1.0
        exchange.clock.advance(1)
        assert (await api.place(buy("BTC-PERP", "0.1"))).has_ended
