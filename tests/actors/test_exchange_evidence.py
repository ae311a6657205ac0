"""What a live account tells of itself beside what it is asked: whether it answers, whether the ledger agrees, and that
its own dead man's switch is set. A real account and a simulated exchange, on both runtimes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.actors.desk import START, market

from basis_actors.actors.countdown import Countdown
from basis_actors.actors.exchange_adapter import ExchangeAdapter
from basis_actors.actors.recovery_manager import RecoveryManager
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import ExchangeVenue, load_mode
from basis_actors.errors import AuthFailed, LeftAlone, Transient
from basis_actors.messages.book import TickStarted
from basis_actors.messages.events import SystemErrorEvent
from basis_actors.messages.exchange import AccountState, Wallet, WalletBalance
from basis_actors.messages.safety import LedgerCompared, RefreshCountdown, VenueSeen
from basis_actors.venues.journal.memory import MemoryJournal
from basis_actors.venues.live.build import build_account
from basis_actors.venues.simulated.build import exchange_terms
from basis_actors.venues.simulated.exchange_api import SimulatedExchangeApi

pytestmark = pytest.mark.anyio


class MoodyApi:
    """The API of an exchange that fails, and holds what nobody has put there, when told to."""

    def __init__(self, exchange: SimulatedExchangeApi) -> None:
        self._exchange = exchange
        self.error: Exception | None = None
        self.found = Decimal(0)
        self.has_countdown = True
        self.countdowns: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    async def account(self) -> AccountState:
        if self.error is not None:
            raise self.error
        state = await self._exchange.account()
        found = WalletBalance(Wallet.UNIFIED, "USDT", self.found, self.found)
        return replace(state, balances=(*state.balances, found)) if self.found else state

    async def countdown_cancel(self, seconds: int) -> bool:
        self.countdowns.append(seconds)
        if self.error is not None:
            raise self.error
        return self.has_countdown


class House:
    """A live account at Bybit among probes."""

    def __init__(self, runtime: Runtimes) -> None:
        venue = load_mode("btc_basis").venues["bybit"]
        assert isinstance(venue, ExchangeVenue)
        self.bus = runtime.bus(START, log_sink="event_logger")
        self.api = MoodyApi(SimulatedExchangeApi(exchange_terms(venue), self.bus.clock, lambda _ticket: None))
        self.journal = MemoryJournal("test")
        account = build_account(venue, self.api, self.journal, self.bus.clock, leverage={}, addresses={})  # type: ignore[arg-type]
        self.log, self.ears = Probe("event_logger"), Probe("ears", VenueSeen, LedgerCompared)
        for actor in (
            self.log,
            self.ears,
            Probe("venue_interface_manager"),
            RecoveryManager([account], self.journal),
            ExchangeAdapter(account, "venue_interface_manager", 1.0),
            Countdown(account, 120),
        ):
            self.bus.add(actor)
        self._tick = 0

    async def tick(self) -> list[object]:
        """What is told at a tick."""
        before = len(self.ears.received)
        ns = START + self._tick * 3600 * 10**9
        self._tick += 1
        self.bus.publish(TickStarted(self._tick, replace(market(), ns=ns)))
        await self.bus.settled()
        return self.ears.received[before:]

    async def refresh(self, times: int = 1) -> None:
        for _ in range(times):
            self.bus.publish(RefreshCountdown())
        await self.bus.settled()


async def test_an_account_that_answers_and_agrees_says_so(runtime: Runtimes) -> None:
    house = House(runtime)
    async with house.bus:
        assert await house.tick() == [LedgerCompared("bybit", None), VenueSeen("bybit", None)]


async def test_an_account_that_cannot_be_looked_at_says_since_when(runtime: Runtimes) -> None:
    house = House(runtime)
    async with house.bus:
        await house.tick()
        house.api.error = Transient("VEN-003", "maintenance")
        since = house.bus.clock.now()
        assert await house.tick() == [VenueSeen("bybit", since)], "what nobody has seen, nobody can compare"
        await house.bus.advance(100.0)
        assert await house.tick() == [VenueSeen("bybit", since)]
        house.api.error = None
        assert await house.tick() == [LedgerCompared("bybit", None), VenueSeen("bybit", None)]


async def test_an_account_that_wants_to_be_left_alone_says_until_when(runtime: Runtimes) -> None:
    house = House(runtime)
    async with house.bus:
        await house.tick()
        since, until = house.bus.clock.now(), START + 300 * 10**9
        house.api.error = LeftAlone("VEN-006", "bybit wants to be left alone", 300.0, until)
        assert await house.tick() == [VenueSeen("bybit", since, until)]
        house.api.error = Transient("VEN-006", "budget", 10.0)
        assert await house.tick() == [VenueSeen("bybit", since, until)], "its own budget is no other end"
        await house.bus.advance(300.0)
        assert await house.tick() == [VenueSeen("bybit", since)], "it is over, and still nothing is shown"
        house.api.error = LeftAlone("VEN-003", "bybit bans this address", 600.0, until + 1)
        assert await house.tick() == [VenueSeen("bybit", since, until + 1)]
        house.api.error = None
        assert await house.tick() == [LedgerCompared("bybit", None), VenueSeen("bybit", None)]


async def test_what_the_exchange_shows_and_nothing_explains_is_a_disagreement_once(runtime: Runtimes) -> None:
    house = House(runtime)
    async with house.bus:
        await house.tick()
        house.api.found = Decimal(250)
        assert await house.tick() == [VenueSeen("bybit", None)], "what is not believed yet neither agrees nor disagrees"
        await house.bus.advance(900.0)
        compared, seen = await house.tick()
        assert isinstance(compared, LedgerCompared)
        assert compared.place == "bybit"
        assert "bybit:BaseToken:USDT is 250 where 0 was expected (difference 250" in (compared.differences or "")
        assert seen == VenueSeen("bybit", None)
        assert await house.tick() == [LedgerCompared("bybit", None), VenueSeen("bybit", None)], "it is believed"


async def test_the_countdown_is_set_at_each_sign_of_life_and_called_off_at_the_end(runtime: Runtimes) -> None:
    house = House(runtime)
    async with house.bus:
        await house.refresh()
        await house.refresh()
        assert house.api.countdowns == [120, 120]
    assert house.api.countdowns == [120, 120, 0]


async def test_an_exchange_without_a_countdown_is_asked_once(runtime: Runtimes) -> None:
    house = House(runtime)
    house.api.has_countdown = False
    async with house.bus:
        await house.refresh(3)
    assert house.api.countdowns == [120]


async def test_a_countdown_that_cannot_be_set_is_told_once_and_tried_again(runtime: Runtimes) -> None:
    house = House(runtime)
    async with house.bus:
        house.api.error = Transient("VEN-006", "slow down")
        await house.refresh(3)
        (event,) = house.log.of(SystemErrorEvent)
        assert (event.component, event.error_code, event.severity) == ("countdown_bybit", "VEN-006", "MEDIUM")
        assert "the countdown of bybit cannot be set: slow down" in event.message
        house.api.error = None
        await house.refresh()
        house.api.error = AuthFailed("VEN-005", "key revoked")
        await house.refresh()
        assert [event.error_code for event in house.log.of(SystemErrorEvent)] == ["VEN-006", "VEN-005"]
    assert house.api.countdowns == [120] * 5 + [0], "some of it may be set, so it is called off"


async def test_nothing_is_called_off_that_was_never_set(runtime: Runtimes) -> None:
    house = House(runtime)
    async with house.bus:
        await house.tick()
    assert house.api.countdowns == []
