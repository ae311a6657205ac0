"""A venue that is cut off refuses and shows nothing while its account goes on; otherwise it is the same venue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.venues.worlds import START, Desk, at_once, exchange_desk

from basis_actors.config import load_scenario
from basis_actors.errors import Transient
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.orders import Side
from basis_actors.venues.simulated.outage import VenueOutage, with_outages

HOUR = 3600 * 10**9
MARGIN = "binance:Margin:USDT"
PERP = "binance:PerpPosition:BTC-PERP"


@pytest.fixture
def desk() -> Desk:
    """An account that is short 1 BTC and cut off after hour 3 and up to hour 5."""
    desk = exchange_desk(free=True)
    desk.send(desk.perp(Side.SHORT, 1.0))
    return desk


def cut_off(desk: Desk) -> VenueOutage:
    return VenueOutage(desk.venue, desk.clock, [(START + 3 * HOUR, START + 5 * HOUR)])


def reachable(outage: VenueOutage) -> bool:
    try:
        at_once(outage.report())
    except Transient:
        return False
    return True


def test_it_is_cut_off_after_the_begin_and_up_to_the_end(desk: Desk) -> None:
    outage, found = cut_off(desk), []
    for hour in range(1, 8):
        desk.clock.ns = START + hour * HOUR
        found.append(reachable(outage))
    assert found == [True, True, True, False, False, True, True]
    assert (outage.domain, outage.venues) == ("binance", ("binance",))


def test_nothing_is_done_meanwhile_and_the_same_order_may_be_sent_again(desk: Desk) -> None:
    outage, before = cut_off(desk), desk.report()
    order = desk.perp(Side.LONG, 1.0, reduce_only=True)
    desk.clock.ns = START + 4 * HOUR
    for work in (outage.execute(order), outage.resolve(order), outage.execute_group((order,))):
        with pytest.raises(Transient, match="VEN-003: binance cannot be reached"):
            at_once(work)
    assert desk.report() == before
    desk.tick(hours=5)
    assert at_once(outage.execute(order)).was_successful()
    assert PERP not in desk.report()


def test_funding_is_settled_and_tokens_arrive_all_the_same(desk: Desk) -> None:
    desk.venue = outage = cut_off(desk)  # type: ignore[assignment]
    before = desk.ledger[MARGIN]
    at_once(outage.expect(IncomingTransfer("op", MARGIN, "transit:BaseToken:USDT", 70.0, START + 4 * HOUR)))
    desk.ledger["transit:BaseToken:USDT"] = 70.0
    desk.tick(hours=3, funding=(FundingStamp(START + 4 * HOUR, "binance:BTC-PERP", 0.001, 50_000.0),))
    assert not reachable(outage)
    assert desk.ledger[MARGIN] == pytest.approx(before + 70.0 + 50.0, rel=1e-12)


def test_only_the_venues_that_a_scenario_names_are_cut_off(desk: Desk, tmp_path: Path) -> None:
    other = exchange_desk(unified=True)
    spans = [{"kind": "outage", "venue": "binance", "start_hours": at, "hours": 2.0} for at in (10.0, 20.0)]
    file = tmp_path / "away.yaml"
    file.write_text(json.dumps({"scenario": "away", "description": "twice", "shocks": spans}))
    first, second = with_outages((desk.venue, other.venue), desk.clock, load_scenario(file), START + 100 * HOUR)
    assert second is other.venue
    assert isinstance(first, VenueOutage)
    away = []
    for hour in range(105, 125):
        desk.clock.ns = START + hour * HOUR
        if not reachable(first):
            away.append(hour)
    assert away == [111, 112, 121, 122]
