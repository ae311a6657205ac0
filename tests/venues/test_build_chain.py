"""Protocols of the simulated chain as the configuration describes them."""

from functools import cache

import pytest
from tests.venues.worlds import StillClock, at_once, market

from basis_actors.config import (
    DexVenue,
    FlashVenue,
    LendingVenue,
    RunConfig,
    StakingVenue,
    load_mode,
    mode_names,
    without_friction,
)
from basis_actors.messages.book import Flow, TickStarted
from basis_actors.messages.orders import ExpectedDelta, OperationType, Order
from basis_actors.venues.simulated.build import build_simulated_venues
from basis_actors.venues.simulated.build_chain import (
    ChainKind,
    chain_protocols,
    dex_terms,
    flash_terms,
    staking_terms,
)
from basis_actors.venues.simulated.chain import SimulatedChain
from basis_actors.venues.simulated.rewards import SeasonRewards

configured = cache(load_mode)


def on_chain(run: RunConfig) -> list[ChainKind]:
    return [venue for venue in run.venues.values() if isinstance(venue, ChainKind)]


@pytest.mark.parametrize("mode", mode_names())
def test_every_mode_has_all_its_venues_simulated(mode: str) -> None:
    run = configured(mode)
    clients = build_simulated_venues(run, clock=StillClock())
    assert {name for client in clients for name in client.venues} == set(run.mode.venues)


def test_staking_terms_are_those_of_the_files() -> None:
    venues = configured("eth_leveraged").venues
    for name, lst, days in (("etherfi", "weETH", 7), ("lido", "wstETH", 3)):
        venue = venues[name]
        assert isinstance(venue, StakingVenue)
        terms = staking_terms(venue)
        assert (terms.venue, terms.lst, terms.min_stake) == (name, lst, 0.01)
        assert terms.unstake_delay_ns == days * 86_400 * 10**9


def test_rewards_are_etherfis_and_come_before_what_accrues() -> None:
    protocols = chain_protocols(on_chain(configured("usdt_market_neutral")))
    assert [type(one) is SeasonRewards for one in protocols[:2]] == [True, False]
    assert [one.venue for one in protocols if isinstance(one, SeasonRewards)] == ["etherfi"]


def test_pools_and_lenders_charge_what_their_files_say_and_nothing_without_friction() -> None:
    run = configured("eth_leveraged")
    for friction, each in ((1.0, run), (0.0, without_friction(run))):
        dex, aave, morpho = (each.venues[name] for name in ("uniswap", "aave_v3", "morpho"))
        assert isinstance(dex, DexVenue)
        assert isinstance(aave, LendingVenue)
        assert isinstance(morpho, FlashVenue)
        pools = dex_terms(dex).pools
        assert {pair: pool.fee_bps for pair, pool in pools.items()} == {
            "ETH/weETH": 5.0 * friction,
            "ETH/wstETH": 1.0 * friction,
            "EIGEN/ETH": 30.0 * friction,
            "ETHFI/ETH": 30.0 * friction,
        }
        assert pools["ETH/weETH"].impact_bps == tuple(bps * friction for bps in (20.0, 24.0, 35.0))
        assert (flash_terms(aave).ledger_name, flash_terms(aave).fee_bps) == ("aave", 5.0 * friction)
        assert (flash_terms(morpho).ledger_name, flash_terms(morpho).tokens) == ("morpho", ("WETH",))
        assert flash_terms(morpho).fee_bps == 0.0


def test_a_mode_without_market_impact_has_none_in_its_swaps() -> None:
    dex = load_mode("eth_leveraged", {"enable_market_impact": False}).venues["uniswap"]
    assert isinstance(dex, DexVenue)
    terms = dex_terms(dex)
    assert {pool.impact_bps for pool in terms.pools.values()} == {(0.0, 0.0, 0.0)}
    assert terms.pools["ETH/weETH"].fee_bps == 5.0


def test_a_chain_of_a_mode_stakes_at_the_rate_of_the_market() -> None:
    chain = build_simulated_venues(without_friction(configured("eth_staking_only")), clock=StillClock())[0]
    assert isinstance(chain, SimulatedChain)
    state = market(0)
    chain.settle(TickStarted(0, state, (Flow(state.timestamp, 10.5),)))
    operation = OperationType.STAKE
    order = Order(
        operation_id="stake",
        venue="etherfi",
        operation=operation,
        amount=10.5,
        source_venue="wallet",
        target_venue="etherfi",
        source_token="ETH",
        target_token="weETH",
        expected_deltas=(ExpectedDelta("etherfi:LST:weETH", 10.0, "weETH", "etherfi", operation),),
    )
    assert at_once(chain.execute(order)).actual_deltas["etherfi:LST:weETH"] == pytest.approx(10.0)
    assert at_once(chain.report()) == {"etherfi:LST:weETH": pytest.approx(10.0)}
