"""Defines the account logic at a local exchange, what it is told to do, and what the exchange shows afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.exchange.hand_clock import HandClock
from tests.exchange.server import LocalExchange
from tests.exchange.worlds import HOMES, PAIRS_OF, connected, venue_of

from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.orders import ExpectedDelta, OperationType, Order, Side
from basis_actors.venues.journal.memory import MemoryJournal
from basis_actors.venues.live.account import ExchangeAccount
from basis_actors.venues.live.terms import AccountTerms


class Time:
    """The hand clock as an account sees time; waiting moves it."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock

    def now(self) -> int:
        return self._clock.ns

    async def sleep(self, seconds: float) -> None:
        self._clock.advance(seconds)


def order(name: str, operation: OperationType, amount: float, *, venue: str = "binance", **rest: Any) -> Order:
    """An order to an exchange."""
    fields = {"source_venue": venue, "target_venue": venue, "source_token": "USDT", "target_token": "USDT"}
    expected = (ExpectedDelta(f"{venue}:BaseToken:USDT", 1.0, "USDT", venue, operation),)
    return Order(
        operation_id=name, venue=venue, operation=operation, amount=amount, expected_deltas=expected, **(fields | rest)
    )


def trade(name: str, pair: str, side: Side, amount: float, **rest: Any) -> Order:
    """A trade in a market."""
    operation = OperationType.PERP_TRADE if pair.endswith("-PERP") else OperationType.SPOT_TRADE
    return order(name, operation, amount, pair=pair, side=side, **rest)


def transfer(name: str, target_key: str, amount: float, target: str, *, venue: str = "binance") -> Order:
    """USDT that leave the cash of an exchange."""
    keys = {"source_key": f"{venue}:BaseToken:USDT", "target_key": target_key}
    return order(name, OperationType.TRANSFER, amount, venue=venue, target_venue=target, operation_details=keys)


@asynccontextmanager
async def account_at(
    exchange: LocalExchange, journal: MemoryJournal | None = None, *, keeps_stops: bool = False
) -> AsyncIterator[ExchangeAccount]:
    """The account, ready to trade, of a process that finds `journal`."""
    venue, home = venue_of(exchange), HOMES[exchange.venue]
    pairs = PAIRS_OF[exchange.venue]
    async with connected(exchange) as api:
        terms = AccountTerms(
            venue=venue.venue,
            split=venue.account == "split",
            pairs=pairs,
            tokens=frozenset({"USDT", "BTC", "ETH"}),
            patience=venue.account_terms,
            addresses={("wallet", "USDT"): (home.address, home.network)},
            keeps_stops=keeps_stops,
        )
        leverage = {pair: 5 for pair in pairs if pair.endswith("-PERP")}
        ready = ExchangeAccount(terms, api, journal or MemoryJournal("test"), leverage, Time(exchange.clock))
        await ready.prepare()
        await ready.conclude_earlier()
        await ready.open()
        yield ready


def shown(exchange: LocalExchange) -> dict[str, float]:
    """What the exchange has, by position key."""
    venue, kinds = exchange.venue, {"linear": "Margin", "inverse": "Margin", "funding": "Funding"}
    found: dict[str, float] = {}
    for purse, tokens in exchange.account.purses.items():
        for token, amount in tokens.items():
            key = f"{venue}:{kinds.get(purse, 'BaseToken')}:{token}"
            if amount:
                found[key] = found.get(key, 0.0) + float(amount)
    for pair, position in exchange.account.positions.items():
        if position.size:
            inverse = pair.endswith("USD-PERP")
            unit = exchange.account.market(pair).contract if inverse else 1
            found[f"{venue}:{'InversePerp' if inverse else 'PerpPosition'}:{pair}"] = float(position.size * unit)
    return found


async def explained(account: ExchangeAccount, exchange: LocalExchange) -> set[DeltaSource]:
    """Sources of what was booked; the exchange's own account agrees, and nothing had to be adjusted."""
    assert await account.report() == pytest.approx(shown(exchange), rel=1e-8)
    sources = {settlement.source for settlement in account.findings.settlements}
    assert DeltaSource.ADJUSTMENT not in sources
    return sources
