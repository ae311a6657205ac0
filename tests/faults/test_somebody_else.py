"""Fault 17: somebody else trades on the account. The exchange is believed, and the other leg follows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.exchange.account import Account
from tests.faults.house import House
from tests.faults.verdict import assert_whole, held_at, story

ENTERED = LEFT = ["perp confirmed", "spot confirmed", "group confirmed"]


def liquidated(account: Account) -> None:
    account.liquidate("BTC-PERP")


def deleveraged(account: Account) -> None:
    account.deleverage("BTC-PERP", "0.004")


def sold_by_hand(account: Account) -> None:
    account.trade_by_hand("BTC/USDT", "-0.004")


def closed_by_hand(account: Account) -> None:
    account.trade_by_hand("BTC-PERP", "0.01")


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (liquidated, ["VEN-007", "VEN-007", "execution", "spot confirmed"]),
        (deleveraged, ["VEN-007", "execution", "spot confirmed", *LEFT]),
        (sold_by_hand, ["VEN-007", "execution", "perp confirmed", *LEFT]),
        (closed_by_hand, ["VEN-007", "execution", "spot confirmed"]),
    ],
)
async def test_17_what_the_exchange_or_its_owner_trades_is_booked_and_the_other_leg_follows(
    house: House, happens: Callable[[Account], None], told: list[str]
) -> None:
    process = await house.start()
    await process.tick()
    happens(house.exchange.account)
    process.strategy.wanted = False
    await process.tick(2)
    await process.stop()
    assert_whole(house)
    assert held_at(house.exchange).keys() == {"binance:BaseToken:USDT", "binance:Margin:USDT"}
    assert story(process) == ["opening", *ENTERED, *told]
