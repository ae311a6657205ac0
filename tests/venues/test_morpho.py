"""Morpho's isolated markets: one collateral against one debt, no e-mode, no close factor."""

import pytest
from tests.venues.chain_worlds import MARKETS, ChainDesk, defi_desk, refused

from basis_actors.actors.risk_measures import CollateralTerms
from basis_actors.config import FlashVenue, load_mode, load_venue, pair_limits
from basis_actors.messages.execution import DeltaSource
from basis_actors.messages.orders import OperationType, Order
from basis_actors.services.wiring import risk_bounds
from basis_actors.venues.simulated.build_chain import market_terms

SUPPLY, WITHDRAW, BORROW, REPAY = (
    OperationType.SUPPLY,
    OperationType.WITHDRAW,
    OperationType.BORROW,
    OperationType.REPAY,
)
ETH, WEETH = "wallet:BaseToken:ETH", "etherfi:LST:weETH"
AWEETH, DEBT = "morpho:aToken:aweETH", "morpho:debtToken:debtWETH"
INCENTIVE = 1.0 / (1.0 - 0.3 * 0.055)


def lend(desk: ChainDesk, operation: OperationType, amount: float, token: str) -> Order:
    return desk.lend(operation, amount, token, venue="morpho")


def pledged(weeth: float = 100.0) -> ChainDesk:
    desk = defi_desk(free=True, capital=1.0)
    desk.give(WEETH, weeth)
    desk.send(lend(desk, SUPPLY, weeth, "weETH"))
    return desk


def test_the_file_has_the_markets_and_their_incentive() -> None:
    venue = load_venue("morpho")
    assert isinstance(venue, FlashVenue)
    limits = pair_limits(venue, "weETH", "WETH")
    assert limits is not None
    assert (limits.ltv, limits.liquidation_threshold) == (0.945, 0.945)
    assert limits.liquidation_bonus == pytest.approx(0.016776817, abs=1e-9)
    assert pair_limits(venue, "weETH", "USDT") is None
    assert market_terms(venue) == MARKETS


def test_risk_measures_a_loan_there_by_the_same_limits() -> None:
    terms = risk_bounds(load_mode("eth_leveraged"), hedged=False).pools["morpho"]
    assert terms.of("weETH", ["WETH"]) == CollateralTerms(0.945, 0.945)
    assert terms.of("weETH", ["USDT"]) == CollateralTerms(0.0, 0.0)
    assert terms.of("WETH", ["WETH"]) is None


def test_collateral_earns_nothing_and_debt_follows_the_market() -> None:
    desk = pledged()
    desk.send(lend(desk, BORROW, 90.0, "WETH"))
    assert desk.report() == {ETH: 91.0, AWEETH: pytest.approx(100.0), DEBT: pytest.approx(90.0)}
    (grown,) = desk.tick(borrow={"morpho:WETH": 1.05 * 1.01, "WETH": 9.0})
    assert (grown.source, [delta.position_key for delta in grown.deltas]) == (DeltaSource.ACCRUAL, [DEBT])
    assert desk.report()[DEBT] == pytest.approx(90.9)
    desk.send(lend(desk, REPAY, 90.9, "WETH"))
    desk.send(lend(desk, WITHDRAW, 100.0, "weETH"))
    assert desk.report() == {ETH: pytest.approx(0.1), WEETH: pytest.approx(100.0)}


def test_a_loan_goes_up_to_the_liquidation_loan_to_value() -> None:
    desk = pledged()
    refused(desk, lend(desk, BORROW, 105.0 * 0.946, "WETH"), "EXEC-004", "health factor")
    answer = desk.send(lend(desk, BORROW, 105.0 * 0.94, "WETH"))
    assert answer.execution_details["health_factor"] == pytest.approx(0.945 / 0.94, rel=1e-12)
    refused(desk, lend(desk, WITHDRAW, 1.0, "weETH"), "EXEC-004", "health factor")


def test_markets_are_apart() -> None:
    desk = pledged()
    desk.give("lido:LST:wstETH", 10.0)
    refused(desk, lend(desk, SUPPLY, 10.0, "wstETH"), "EXEC-004", "wstETH", "weETH")
    refused(desk, lend(desk, BORROW, 1.0, "weETH"), "VEN-004", "cannot be borrowed")
    refused(desk, lend(desk, SUPPLY, 1.0, "USDT"), "VEN-004", "USDT")


def test_what_is_lent_there_is_no_collateral() -> None:
    desk = defi_desk(free=True)
    desk.send(lend(desk, SUPPLY, 50.0, "WETH"))
    refused(desk, lend(desk, BORROW, 1.0, "WETH"), "EXEC-004", "health factor of 0")
    (interest,) = desk.tick(supply={"morpho:WETH": 1.03 * 1.02})
    assert interest.deltas[0].position_key == "morpho:aToken:aWETH"
    assert desk.report()["morpho:aToken:aWETH"] == pytest.approx(51.0)


def test_accounts_at_morpho_and_aave_do_not_mix() -> None:
    desk = pledged()
    refused(desk, desk.lend(BORROW, 1.0, "WETH"), "EXEC-004", "health factor of 0")
    refused(desk, desk.lend(WITHDRAW, 1.0, "weETH"), "EXEC-004", "0 is there")


def test_all_of_the_debt_is_liquidated_at_once_with_the_incentive() -> None:
    desk = pledged()
    desk.send(lend(desk, BORROW, 98.0, "WETH"))
    (taken,) = desk.tick(oracle={"weETH": 2_000.0 * 1.03})
    assert taken.source is DeltaSource.LIQUIDATION
    assert DEBT not in desk.report()
    assert desk.report()[AWEETH] == pytest.approx(100.0 - 98.0 * INCENTIVE / 1.03)


def test_what_the_collateral_does_not_cover_is_the_lenders_loss() -> None:
    desk = pledged()
    desk.send(lend(desk, BORROW, 98.0, "WETH"))
    (taken,) = desk.tick(oracle={"weETH": 2_000.0 * 0.9})
    assert {delta.position_key: delta.delta_amount for delta in taken.deltas} == {AWEETH: -100.0, DEBT: -98.0}
    assert desk.report() == {ETH: 99.0}
    assert desk.ledger[DEBT] == desk.ledger[AWEETH] == 0.0


def test_markets_without_rates_are_refused() -> None:
    desk = pledged()
    state = desk.venue._market
    assert state is not None
    del state.reserves["morpho:WETH"]
    refused(desk, lend(desk, BORROW, 1.0, "WETH"), "STRAT-006", "morpho", "no indices")
