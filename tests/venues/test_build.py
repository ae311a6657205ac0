"""Simulated venues as the configuration describes them."""

from functools import cache
from typing import Any

import msgspec
import pytest
from tests.venues.worlds import StillClock

from basis_actors.config import RunConfig, load_mode, without_friction
from basis_actors.config.venues import ChainVenue, ExchangeVenue, LendingVenue
from basis_actors.errors import ConfigError
from basis_actors.finance.contracts import INVERSE, LINEAR
from basis_actors.finance.margin import maintenance_margin
from basis_actors.messages.orders import OperationType
from basis_actors.ports import VenueClient
from basis_actors.venues.simulated.build import build_simulated_venues, exchange_terms
from basis_actors.venues.simulated.build_chain import chain_terms, pool_terms

configured = cache(load_mode)


def built(run: RunConfig, **more: Any) -> tuple[VenueClient, ...]:
    return build_simulated_venues(run, clock=StillClock(), **more)


def test_the_chain_comes_first_and_the_exchanges_follow_in_their_order() -> None:
    basis, lending = configured("btc_basis"), configured("pure_lending_usdt")
    assert [client.domain for client in built(basis)] == ["ethereum", "binance", "bybit", "okx"]
    assert [(client.domain, client.venues) for client in built(lending)] == [("ethereum", ("wallet", "aave_v3"))]


def test_terms_are_those_of_the_files() -> None:
    run = configured("btc_basis")
    binance, bybit = run.venues["binance"], run.venues["bybit"]
    assert isinstance(binance, ExchangeVenue)
    assert isinstance(bybit, ExchangeVenue)
    terms = exchange_terms(binance)
    assert (terms.spot_fee, terms.perp_fee, terms.liquidation_fee) == (0.001, 0.0005, 0.0125)
    assert terms.spot["BTC/USDT"].impact_bps == (4.0, 6.0, 12.0)
    assert terms.perps["BTC-PERP"].impact_bps == (3.0, 4.0, 8.0)
    assert terms.margin_key == "binance:Margin:USDT"
    assert maintenance_margin(500_000.0, terms.perps["BTC-PERP"].brackets) == pytest.approx(2_200.0)
    assert exchange_terms(bybit).margin_key == "bybit:BaseToken:USDT"


def test_an_exchange_has_one_margin_account_for_linear_perps_and_one_for_each_inverse_one() -> None:
    run = configured("ml_btc_directional_btc_margin")
    binance, bybit = run.venues["binance"], configured("btc_basis").venues["bybit"]
    assert isinstance(binance, ExchangeVenue)
    assert isinstance(bybit, ExchangeVenue)
    linear, coin = exchange_terms(binance).margin_accounts()
    assert (linear.margin_key, linear.currency, linear.contract) == ("binance:Margin:USDT", "USDT", LINEAR)
    assert (coin.margin_key, coin.currency, coin.contract) == ("binance:Margin:BTC", "BTC", INVERSE)
    assert (coin.taker_fee, coin.liquidation_fee, coin.minimum_notional) == (0.0005, 0.0125, 10.0)
    line = coin.markets["BTCUSD-PERP"]
    assert (line.lot, line.min_amount, line.impact_bps) == (100.0, 100.0, (3.0, 4.0, 8.0))
    assert line.brackets == linear.markets["BTC-PERP"].brackets, "a named proxy"
    assert [account.margin_key for account in exchange_terms(bybit).margin_accounts()] == ["bybit:BaseToken:USDT"]


def costs(terms: msgspec.Struct) -> list[float]:
    """Every number under a name that says fee or impact, however deep."""
    found: list[float] = []

    def walk(value: Any, *, cost: bool) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(inner, cost=cost or "fee" in str(name) or "impact" in str(name))
        elif isinstance(value, list | tuple):
            for inner in value:
                walk(inner, cost=cost)
        elif cost and isinstance(value, float):
            found.append(value)

    walk(msgspec.to_builtins(terms), cost=False)
    return found


def test_a_frictionless_exchange_is_one_whose_every_cost_is_zero() -> None:
    run = configured("eth_basis")
    free_run = without_friction(run)
    for name, venue in run.venues.items():
        if isinstance(venue, ExchangeVenue):
            free_venue = free_run.venues[name]
            assert isinstance(free_venue, ExchangeVenue)
            free = msgspec.structs.replace(exchange_terms(free_venue), liquidation_fee=0.0)
            assert any(costs(exchange_terms(venue)))
            assert not any(costs(free))
            assert set(free.perps) == set(exchange_terms(venue).perps)


def test_a_mode_without_market_impact_has_none_in_its_fills() -> None:
    run = load_mode("btc_basis", {"enable_market_impact": False})
    binance = run.venues["binance"]
    assert isinstance(binance, ExchangeVenue)
    assert exchange_terms(binance).spot["BTC/USDT"].impact_bps == (0.0, 0.0, 0.0)


def test_gas_is_paid_where_the_share_class_says() -> None:
    wallet = configured("pure_lending_eth").venues["wallet"]
    assert isinstance(wallet, ChainVenue)
    paid_from = {}
    for currency in ("USDT", "ETH", "BTC"):
        gas = chain_terms(wallet, currency).gas
        assert gas is not None
        assert set(gas.units) >= {"supply", "withdraw", "borrow", "repay", "transfer", "transfer_eth"}
        paid_from[currency] = gas.paid_from
    assert paid_from == {"USDT": "gas:Payable:USDT", "ETH": "wallet:BaseToken:ETH", "BTC": "gas:Payable:BTC"}
    free = without_friction(configured("pure_lending_eth")).venues["wallet"]
    assert isinstance(free, ChainVenue)
    assert chain_terms(free, "USDT").gas is None


def test_every_operation_that_is_simulated_on_chain_has_its_gas() -> None:
    wallet = configured("pure_lending_usdt").venues["wallet"]
    assert isinstance(wallet, ChainVenue)
    gas = chain_terms(wallet, "USDT").gas
    assert gas is not None
    names = {OperationType.SUPPLY, OperationType.WITHDRAW, OperationType.BORROW, OperationType.REPAY}
    assert {operation.value for operation in names} <= set(gas.units)


def test_the_pool_has_the_reserves_and_categories_of_its_file() -> None:
    aave = configured("pure_lending_usdt").venues["aave_v3"]
    assert isinstance(aave, LendingVenue)
    terms = pool_terms(aave)
    assert set(terms.reserves) == {"USDT", "WETH", "wstETH", "weETH"}
    assert terms.reserves["WETH"].parameters.liquidation_threshold == 0.83
    (category,) = terms.emode
    assert (category.parameters.ltv, category.parameters.liquidation_threshold) == (0.93, 0.95)
    assert category.debt == {"WETH"}
    assert (terms.close_factor, terms.full_liquidation_below) == (0.5, 0.95)


def test_a_run_without_a_wallet_has_nowhere_for_its_capital() -> None:
    run = configured("btc_basis")
    mode = run.mode.model_copy(update={"venues": ("binance", "bybit", "okx")})
    with pytest.raises(ConfigError, match="wallet"):
        built(run.model_copy(update={"mode": mode}))
