"""What a ledger is worth in each share class, and what has no price yet."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace
from tests.finance.stories import Market

from basis_actors.errors import BasisError
from basis_actors.finance.attribution import Attribution, PricedBook, attribute
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.book import Valuation
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import FundingStamp, MarketState, PerpQuote

COIN_PERP, COINS = "binance:InversePerp:BTCUSD-PERP", "binance:Margin:BTC"
EIGEN = "wallet:BaseToken:EIGEN"


def market(*, btc: float = 40_000.0, mark: float = 40_000.0, **more: object) -> MarketState:
    known = Market(Random(1)).known
    perps = {"binance:BTCUSD-PERP": PerpQuote(mark, True, mark, True, mark, mark)}
    return replace(known, prices={"USDT": 1.0, "BTC": btc, "ETH": 2_000.0}, perps=perps, **more)


def valued(positions: dict[str, float], at: MarketState, currency: str, entry: float = 40_000.0) -> Valuation:
    entries = dict.fromkeys(positions, entry)
    return value_book(positions, entries, at, share_class_prices(at, currency))


def priced(positions: dict[str, float], at: MarketState, currency: str = "USDT") -> PricedBook:
    return PricedBook(positions, dict.fromkeys(positions, 40_000.0), at, share_class_prices(at, currency))


def explained(before: PricedBook, after: PricedBook, *settled: Settlement) -> Attribution:
    """The step, which must explain the whole change of equity."""
    step = attribute(before, after, settled)
    change = [value_book(book.positions, book.entries, book.market, book.prices).equity for book in (after, before)]
    assert step.explained() + step.flows == pytest.approx(change[0] - change[1], abs=1e-9)
    return step


@pytest.mark.parametrize(("currency", "unit"), [("USDT", 44_000.0), ("BTC", 1.0), ("ETH", 22.0)])
def test_an_inverse_perp_is_worth_its_coins_of_profit(currency: str, unit: float) -> None:
    """40,000 USD from 40,000 to a mark of 50,000: 0.2 coins, at the reference price of 44,000."""
    value = valued({COIN_PERP: 40_000.0, COINS: 1.0}, market(btc=44_000.0, mark=50_000.0), currency)
    assert value.equity == pytest.approx(1.2 * unit)
    assert value.unrealized == pytest.approx(0.2 * unit)
    assert value.deltas == {"BTC": pytest.approx(1.0 + 0.8)}


def test_flash_debt_and_claims_count_at_face_value() -> None:
    held = {"morpho:flashDebt:WETH": 3.0, "wallet:BaseToken:ETH": 3.0, "lido:UnstakeClaim:ETH": 2.0}
    value = valued(held, market(), "ETH")
    assert value.equity == 2.0
    assert value.deltas == {"ETH": 2.0}
    assert value.values["morpho:flashDebt:WETH"] == -3.0


def test_a_reward_token_without_a_price_is_no_missing_price() -> None:
    value = valued({EIGEN: 5.0, "wallet:BaseToken:DOGE": 1.0}, market(), "USDT")
    assert value.equity == 0.0
    assert (value.unpriced, value.unpriced_rewards) == (("wallet:BaseToken:DOGE",), (EIGEN,))


@pytest.mark.parametrize("key", [EIGEN, "wallet:BaseToken:DOGE"])
def test_a_price_that_becomes_known_is_a_move_from_nothing(key: str) -> None:
    token = key.rsplit(":", 1)[1]
    unknown, known = market(), market()
    known = replace(known, prices={**known.prices, token: 3.0})
    step = explained(priced({key: 5.0}, unknown), priced({key: 5.0}, known))
    assert step.components == {"price": 15.0}


def test_a_staking_rate_that_becomes_known_is_a_move_from_nothing() -> None:
    known = market()
    step = explained(
        priced({"etherfi:LST:weETH": 2.0}, replace(known, staking={})), priced({"etherfi:LST:weETH": 2.0}, known)
    )
    assert step.components == {"price": pytest.approx(2.0 * 1.05 * 2_000.0)}


def test_rewards_are_booked_at_the_price_of_their_receipt_and_at_nothing_while_there_is_none() -> None:
    before, after = market(), market()
    with_price = replace(after, prices={**after.prices, "EIGEN": 3.0})
    paid = Settlement(DeltaSource.REWARD, after.timestamp, "chain", 0, (PositionDelta(EIGEN, 4.0),))
    assert explained(priced({}, before), priced({EIGEN: 4.0}, with_price), paid).components == {"rewards": 12.0}
    assert explained(priced({}, before), priced({EIGEN: 4.0}, after), paid).components == {}


def test_an_inverse_move_is_price_in_coins_and_its_old_profit_is_revalued_with_the_coin() -> None:
    """N (1/40,000 - 1/50,000) = 0.2 coins at 50,000; in BTC that is all, basis there is none."""
    held = {COIN_PERP: 40_000.0}
    first, second = market(mark=40_000.0), market(btc=50_000.0, mark=50_000.0)
    assert explained(priced(held, first, "BTC"), priced(held, second, "BTC")).components == {
        "price": pytest.approx(0.2)
    }
    assert explained(priced(held, first), priced(held, second)).components == {"price": pytest.approx(10_000.0)}
    third = market(btc=60_000.0, mark=50_000.0)
    assert explained(priced(held, second), priced(held, third)).components == {"price": pytest.approx(2_000.0)}


def test_a_stop_is_price_up_to_its_trigger_and_slippage_from_there() -> None:
    """A long of 40,000 USD: trigger 32,000 (-0.25 coins), fill 31,250 (-0.03 coins); the mark ends at 50,000."""
    first, second = market(mark=40_000.0), market(mark=50_000.0)
    loss = 40_000.0 * (1.0 / 40_000.0 - 1.0 / 31_250.0)
    legs = (PositionDelta(COIN_PERP, -40_000.0, 31_250.0, 32_000.0), PositionDelta(COINS, loss))
    fill = Settlement(DeltaSource.EXECUTION, first.timestamp, "binance", 0, legs, "entry-stop_loss")
    before, after = priced({COIN_PERP: 40_000.0, COINS: 1.0}, first, "BTC"), priced({COINS: 1.0 + loss}, second, "BTC")
    step = explained(before, after, fill)
    assert step.components == {"price": pytest.approx(-0.25), "slippage": pytest.approx(-0.03)}


def test_funding_is_due_on_what_a_stop_or_liquidation_of_the_bar_left() -> None:
    first = market()
    stamp = FundingStamp(first.ns + 1_000_000, "binance:BTCUSD-PERP", 0.01, 40_000.0)
    second = market(funding=(stamp,))
    legs = (PositionDelta(COIN_PERP, -40_000.0, 40_000.0, 40_000.0), PositionDelta(COINS, 0.0))
    closed = Settlement(DeltaSource.EXECUTION, first.timestamp, "binance", 0, legs, "entry-stop_loss")
    assert explained(priced({COIN_PERP: 40_000.0}, first), priced({}, second), closed).components == {}
    paid = Settlement(DeltaSource.FUNDING, second.timestamp, "binance", 0, (PositionDelta(COINS, -0.01, 0.01),))
    held = {COIN_PERP: 40_000.0, COINS: 1.0}
    step = explained(priced(held, first, "BTC"), priced({**held, COINS: 0.99}, second, "BTC"), paid)
    assert step.components == {"funding": pytest.approx(-0.01)}


def test_a_loan_that_is_liquidated_costs_the_bonus_at_reference_prices() -> None:
    """1 ETH of debt against 1.01 ETH of weETH."""
    at = market()
    lst, debt = "aave:aToken:aweETH", "aave:debtToken:debtWETH"
    seized = 1.01 / 1.05
    taken = Settlement(
        DeltaSource.LIQUIDATION, at.timestamp, "chain", 0, (PositionDelta(lst, -seized), PositionDelta(debt, -1.0))
    )
    before, after = priced({lst: 10.0, debt: 9.0}, at, "ETH"), priced({lst: 10.0 - seized, debt: 8.0}, at, "ETH")
    assert explained(before, after, taken).components == {"liquidation": pytest.approx(-0.01)}


def test_a_swap_slips_by_what_it_gives_against_reference_value() -> None:
    """10 weETH are worth 10.5 ETH at the protocol and bring 10.4; the fee of the pool is a fee."""
    at = market()
    lst, eth = "etherfi:LST:weETH", "wallet:BaseToken:ETH"
    legs = (PositionDelta(lst, -10.0, 1.04), PositionDelta(eth, 10.4))
    swap = Settlement(DeltaSource.EXECUTION, at.timestamp, "chain", 0, legs, "swap")
    fee = Settlement(DeltaSource.FEE, at.timestamp, "chain", 1, (PositionDelta(eth, -0.0052),), "swap")
    step = explained(priced({lst: 10.0}, at, "ETH"), priced({eth: 10.3948}, at, "ETH"), swap, fee)
    assert step.components == {"slippage": pytest.approx(-0.1), "fees": pytest.approx(-0.0052)}


def test_a_fill_against_nothing_is_an_error_that_names_it() -> None:
    at = market()
    alone = Settlement(
        DeltaSource.EXECUTION, at.timestamp, "chain", 7, (PositionDelta("wallet:BaseToken:ETH", 1.0, 2_000.0),), "odd"
    )
    with pytest.raises(BasisError, match=r"PNL-004: .* chain#7 of odd prices wallet:BaseToken:ETH at 2000"):
        attribute(priced({}, at), priced({"wallet:BaseToken:ETH": 1.0}, at), (alone,))


def test_what_comes_or_goes_unexplained_is_a_flow_and_no_component() -> None:
    at = market(btc=44_000.0)
    before, after = {COINS: 1.0, "okx:BaseToken:USDT": 9_000.0}, {COINS: 1.5, "okx:BaseToken:USDT": 1_000.0}
    deltas = (PositionDelta(COINS, 0.5), PositionDelta("okx:BaseToken:USDT", -8_000.0))
    gone = Settlement(DeltaSource.UNEXPLAINED, at.timestamp, "okx", 0, deltas)
    step = explained(priced(before, at), priced(after, at), gone)
    assert step.flows == pytest.approx(0.5 * 44_000.0 - 8_000.0)
    assert step.components == {}
