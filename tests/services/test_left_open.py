"""What a process leaves open is named: perpetuals, loans and tokens that can be sold, and no cash and no dust."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.actors.desk import PRICE, market

from basis_actors.config import load_mode
from basis_actors.messages.events import PositionSnapshot
from basis_actors.messages.market import MarketSpec
from basis_actors.messages.stops import StopKind
from basis_actors.results.accumulator import RunStatistics
from basis_actors.services.left_open import left_open, listed
from basis_actors.times import utc_from_ns

RUN = load_mode("btc_basis")
SPEC = MarketSpec(assets=("BTC", "ETH"), spot=("binance:BTC", "binance:ETH"))
LEAST = 10.0
"""USDT: `minimum_notional` of Binance."""
CASH = {"wallet:BaseToken:USDT": 5.0, "binance:BaseToken:USDT": 900.0, "binance:Margin:USDT": 100.0}


def statistics(positions: dict[str, float]) -> RunStatistics:
    found = RunStatistics()
    found.observe(PositionSnapshot(utc_from_ns(0), positions, None, "real", "tick"))
    return found


def test_spot_is_named_beside_what_hedges_it() -> None:
    held = {"binance:BaseToken:BTC": 0.5, "okx:PerpPosition:BTC-PERP": -0.25}
    found = left_open(RUN, SPEC, statistics(held | CASH), market())
    assert found == held
    assert listed(found) == "okx:PerpPosition:BTC-PERP -0.25, binance:BaseToken:BTC 0.5"


def test_spot_that_stands_alone_is_named() -> None:
    held = {"binance:BaseToken:ETH": 2.0}
    assert left_open(RUN, SPEC, statistics(held | CASH), market()) == held


@pytest.mark.parametrize(("worth", "named"), [(LEAST, True), (0.999 * LEAST, False)])
def test_what_is_too_small_for_an_order_is_not(worth: float, named: bool) -> None:
    held = {"binance:BaseToken:BTC": worth / PRICE}
    assert left_open(RUN, SPEC, statistics(held | CASH), market()) == (held if named else {})


def test_what_has_no_price_is() -> None:
    held = {"binance:BaseToken:BTC": 1e-6}
    assert left_open(RUN, SPEC, statistics(held), None) == held
    assert left_open(RUN, SPEC, statistics(held), replace(market(), prices={"USDT": 1.0})) == held


def test_tokens_of_the_share_class_are_cash() -> None:
    here = load_mode("eth_staking_only")
    assert here.share_class.currency == "ETH"
    held = {"binance:BaseToken:BTC": 1.0}
    assert left_open(here, SPEC, statistics(held | {"binance:BaseToken:ETH": 3.0}), market()) == held


def test_what_has_lost_its_stops_is_named_so() -> None:
    key = "binance:PerpPosition:BTC-PERP"
    missing = {key: (StopKind.STOP_LOSS, StopKind.TAKE_PROFIT), "okx:PerpPosition:BTC-PERP": (StopKind.STOP_LOSS,)}
    assert listed({key: 0.15}, missing) == f"{key} 0.15 (without its stop_loss and take_profit)"
