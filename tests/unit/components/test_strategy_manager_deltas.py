"""What each operation is expected to change: computed by the functions that strategies write orders with.

Every number is checked by hand or against an identity; what a venue then really does is compared with the same
functions in `tests/integration/test_execution_flow.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.strategies.situations import market, run_of, situation

from basis_actors.finance.keys import parse_key
from basis_actors.finance.perps import apply_fill
from basis_actors.messages.market import MarketState, PerpQuote, SpotQuote
from basis_actors.messages.orders import ExpectedDelta, OperationType, Order, Side
from basis_actors.strategies.expected import (
    borrow_deltas,
    flash_borrow_deltas,
    flash_repay_deltas,
    inverse_trade_deltas,
    perp_trade_deltas,
    repay_deltas,
    spot_trade_deltas,
    stake_deltas,
    supply_deltas,
    swap_deltas,
    transfer_deltas,
    unstake_deltas,
    withdraw_deltas,
)
from basis_actors.strategies.order_writer import OrderWriter

amounts = st.floats(1e-6, 1e9)
prices = st.floats(1e-3, 1e6)


def amounts_of(deltas: Iterable[ExpectedDelta]) -> dict[str, float]:
    return {delta.position_key: delta.delta_amount for delta in deltas}


def added(one: Iterable[ExpectedDelta], other: Iterable[ExpectedDelta]) -> dict[str, float]:
    """Sum of two sets of deltas, what cancels left out."""
    total = amounts_of(one)
    for key, amount in amounts_of(other).items():
        total[key] = total.get(key, 0.0) + amount
    return {key: amount for key, amount in total.items() if amount}


class TestExpectedDeltasCalculation:
    def test_spot_trade_deltas(self) -> None:
        bought = spot_trade_deltas("binance", "BTC", "USDT", Side.BUY, 0.5, 40_000.0)
        assert amounts_of(bought) == {"binance:BaseToken:BTC": 0.5, "binance:BaseToken:USDT": -20_000.0}
        sold = spot_trade_deltas("binance", "BTC", "USDT", Side.SELL, 0.5, 40_000.0)
        assert amounts_of(sold) == {"binance:BaseToken:BTC": -0.5, "binance:BaseToken:USDT": 20_000.0}
        assert {delta.operation_type for delta in bought} == {OperationType.SPOT_TRADE}

    @given(amount=amounts, price=prices)
    def test_a_spot_trade_exchanges_equal_values(self, amount: float, price: float) -> None:
        deltas = amounts_of(spot_trade_deltas("binance", "ETH", "USDT", Side.BUY, amount, price))
        assert deltas["binance:BaseToken:ETH"] * price + deltas["binance:BaseToken:USDT"] == 0.0

    def test_supply_deltas_aave(self) -> None:
        """aTokens are in underlying units: the amount supplied, whatever the index; interest comes later."""
        assert amounts_of(supply_deltas("USDT", 10_000.0)) == {
            "aave:aToken:aUSDT": 10_000.0,
            "wallet:BaseToken:USDT": -10_000.0,
        }

    def test_supplied_eth_is_weth_on_aave_and_eth_in_the_wallet(self) -> None:
        assert amounts_of(supply_deltas("WETH", 3.0)) == {"aave:aToken:aWETH": 3.0, "wallet:BaseToken:ETH": -3.0}

    @pytest.mark.parametrize("token", ["USDT", "WETH"])
    def test_withdraw_takes_back_what_supply_gave(self, token: str) -> None:
        assert added(supply_deltas(token, 7.5), withdraw_deltas(token, 7.5)) == {}

    def test_borrow_deltas(self) -> None:
        assert amounts_of(borrow_deltas("WETH", 2.0)) == {
            "aave:debtToken:debtWETH": 2.0,
            "wallet:BaseToken:ETH": 2.0,
        }

    @pytest.mark.parametrize("token", ["USDT", "WETH"])
    def test_repay_takes_back_what_borrow_gave(self, token: str) -> None:
        assert added(borrow_deltas(token, 4.25), repay_deltas(token, 4.25)) == {}

    @pytest.mark.parametrize("token", ["USDT", "WETH"])
    def test_borrowing_adds_no_value(self, token: str) -> None:
        worth = sum(d.delta_amount * parse_key(d.position_key).sign for d in borrow_deltas(token, 5.0))
        assert worth == 0.0

    def test_stake_deltas_eth(self) -> None:
        """The conversion rate is LST per ETH, the inverse of eth_per_lst."""
        eth_per_lst = 1.05
        deltas = amounts_of(stake_deltas("etherfi", "weETH", 10.5, 1.0 / eth_per_lst))
        assert deltas["wallet:BaseToken:ETH"] == -10.5
        assert deltas["etherfi:LST:weETH"] == pytest.approx(10.0, rel=1e-15)

    def test_unstake_deltas_make_a_claim_in_eth(self) -> None:
        deltas = amounts_of(unstake_deltas("lido", "wstETH", 10.0, 1.0 / 1.2))
        assert deltas["lido:LST:wstETH"] == -10.0
        assert deltas["lido:UnstakeClaim:ETH"] == pytest.approx(12.0, rel=1e-15)

    @given(eth=amounts, rate=st.floats(0.5, 1.0))
    def test_staking_and_unstaking_at_one_rate_gives_the_ether_back(self, eth: float, rate: float) -> None:
        staked = amounts_of(stake_deltas("etherfi", "weETH", eth, rate))["etherfi:LST:weETH"]
        claim = amounts_of(unstake_deltas("etherfi", "weETH", staked, rate))["etherfi:UnstakeClaim:ETH"]
        assert claim == pytest.approx(eth, rel=1e-12)

    def test_perp_trade_deltas_of_an_opening_short(self) -> None:
        """No cash moves: the notional is no part of equity."""
        deltas = perp_trade_deltas(
            "bybit", "BTC-PERP", Side.SHORT, 0.7, 40_000.0, size=0.0, entry=None, cash_key="bybit:BaseToken:USDT"
        )
        assert amounts_of(deltas) == {"bybit:PerpPosition:BTC-PERP": -0.7}

    def test_perp_trade_deltas_of_a_reducing_order_hold_its_profit(self) -> None:
        deltas = perp_trade_deltas(
            "binance",
            "BTC-PERP",
            Side.LONG,
            0.5,
            38_000.0,
            size=-2.0,
            entry=40_000.0,
            cash_key="binance:Margin:USDT",
        )
        assert amounts_of(deltas) == {"binance:PerpPosition:BTC-PERP": 0.5, "binance:Margin:USDT": 1_000.0}

    def test_a_perp_order_through_zero_realises_the_old_position_only(self) -> None:
        deltas = amounts_of(
            perp_trade_deltas(
                "binance",
                "BTC-PERP",
                Side.LONG,
                3.0,
                41_000.0,
                size=-2.0,
                entry=40_000.0,
                cash_key="binance:Margin:USDT",
            )
        )
        assert deltas == {"binance:PerpPosition:BTC-PERP": 3.0, "binance:Margin:USDT": -2_000.0}

    @given(
        size=st.floats(-100.0, 100.0).filter(lambda size: abs(size) > 1e-3),
        entry=prices,
        amount=st.floats(1e-3, 200.0),
        price=prices,
        side=st.sampled_from([Side.LONG, Side.SHORT]),
    )
    def test_expected_profit_is_what_the_books_of_a_perp_realise(
        self, size: float, entry: float, amount: float, price: float, side: Side
    ) -> None:
        deltas = amounts_of(
            perp_trade_deltas("binance", "X-PERP", side, amount, price, size=size, entry=entry, cash_key="cash:k:USDT")
        )
        change = amount if side is Side.LONG else -amount
        realised = apply_fill(size, entry, change, price).realised
        assert deltas.get("cash:k:USDT", 0.0) == pytest.approx(realised, rel=1e-12, abs=1e-12)

    def test_swap_deltas(self) -> None:
        deltas = swap_deltas("uniswap", "etherfi:LST:weETH", "wallet:BaseToken:ETH", 10.0, 1.04)
        assert amounts_of(deltas) == {"etherfi:LST:weETH": -10.0, "wallet:BaseToken:ETH": 10.4}

    def test_transfer_deltas_within_one_account_domain(self) -> None:
        deltas = transfer_deltas("binance:BaseToken:USDT", "binance:Margin:USDT", 250.0, same_domain=True)
        assert amounts_of(deltas) == {"binance:BaseToken:USDT": -250.0, "binance:Margin:USDT": 250.0}

    def test_transfer_deltas_between_domains_stay_in_transit_until_they_arrive(self) -> None:
        deltas = transfer_deltas("wallet:BaseToken:USDT", "bybit:BaseToken:USDT", 250.0, same_domain=False)
        assert amounts_of(deltas) == {"wallet:BaseToken:USDT": -250.0, "transit:BaseToken:USDT": 250.0}

    @given(amount=amounts)
    def test_a_transfer_moves_and_makes_nothing(self, amount: float) -> None:
        deltas = transfer_deltas("okx:BaseToken:ETH", "wallet:BaseToken:ETH", amount, same_domain=False)
        assert sum(delta.delta_amount for delta in deltas) == 0.0

    def test_borrowing_and_repaying_at_another_pool_stand_under_its_name(self) -> None:
        borrowed = borrow_deltas("WETH", 2.0, venue="morpho", ledger="morpho")
        assert amounts_of(borrowed) == {"morpho:debtToken:debtWETH": 2.0, "wallet:BaseToken:ETH": 2.0}
        supplied = supply_deltas("weETH", 3.0, venue="morpho", ledger="morpho")
        assert amounts_of(supplied) == {"morpho:aToken:aweETH": 3.0, "etherfi:LST:weETH": -3.0}

    def test_a_flash_loan_is_owed_until_it_is_repaid(self) -> None:
        borrowed = flash_borrow_deltas("morpho", "morpho", "WETH", 360.0)
        assert amounts_of(borrowed) == {"morpho:flashDebt:WETH": 360.0, "wallet:BaseToken:ETH": 360.0}
        assert added(borrowed, flash_repay_deltas("morpho", "morpho", "WETH", 360.0)) == {}
        assert amounts_of(flash_repay_deltas("aave_v3", "aave", "WETH", 1.0))["aave:flashDebt:WETH"] == -1.0

    def test_inverse_trade_deltas_are_usd_notional_and_profit_in_the_base(self) -> None:
        """Closing half of a short of 80,000 USD opened at 40,000: 40,000 x (1 / 32,000 - 1 / 40,000) = 0.25 BTC."""
        deltas = inverse_trade_deltas(
            "binance",
            "BTCUSD-PERP",
            Side.LONG,
            40_000.0,
            32_000.0,
            size=-80_000.0,
            entry=40_000.0,
            cash_key="binance:Margin:BTC",
        )
        assert amounts_of(deltas) == {
            "binance:InversePerp:BTCUSD-PERP": 40_000.0,
            "binance:Margin:BTC": pytest.approx(0.25, rel=1e-12),
        }
        assert deltas[1].token == "BTC"

    @given(
        size=st.floats(-1e6, 1e6).filter(lambda size: abs(size) > 1.0),
        entry=prices,
        notional=st.floats(1.0, 2e6),
        price=prices,
        side=st.sampled_from([Side.LONG, Side.SHORT]),
    )
    def test_expected_profit_of_an_inverse_perp_is_what_its_books_realise(
        self, size: float, entry: float, notional: float, price: float, side: Side
    ) -> None:
        deltas = amounts_of(
            inverse_trade_deltas(
                "binance", "XUSD-PERP", side, notional, price, size=size, entry=entry, cash_key="binance:Margin:X"
            )
        )
        change = notional if side is Side.LONG else -notional
        realised = apply_fill(size, entry, change, price, inverse=True).realised
        scale = notional * max(1.0 / entry, 1.0 / price)
        assert deltas.get("binance:Margin:X", 0.0) == pytest.approx(realised, rel=1e-12, abs=1e-12 * scale)

    def test_every_delta_names_a_position_its_token_and_its_operation(self) -> None:
        everything = [
            *spot_trade_deltas("binance", "BTC", "USDT", Side.BUY, 1.0, 2.0),
            *perp_trade_deltas(
                "okx", "BTC-PERP", Side.LONG, 1.0, 2.0, size=-2.0, entry=3.0, cash_key="okx:Margin:USDT"
            ),
            *supply_deltas("USDT", 1.0),
            *withdraw_deltas("WETH", 1.0),
            *borrow_deltas("WETH", 1.0),
            *repay_deltas("WETH", 1.0),
            *stake_deltas("etherfi", "weETH", 1.0, 0.9),
            *unstake_deltas("etherfi", "weETH", 1.0, 0.9),
            *swap_deltas("uniswap", "etherfi:LST:weETH", "wallet:BaseToken:ETH", 1.0, 1.04),
            *transfer_deltas("wallet:BaseToken:USDT", "okx:BaseToken:USDT", 1.0, same_domain=False),
            *flash_borrow_deltas("morpho", "morpho", "WETH", 1.0),
            *flash_repay_deltas("morpho", "morpho", "WETH", 1.0),
        ]
        for delta in everything:
            parse_key(delta.position_key)
            assert delta.token
        assert {delta.operation_type for delta in everything} == set(OperationType)


HELD = {
    "wallet:BaseToken:ETH": 40.0,
    "wallet:BaseToken:USDT": 1_000.0,
    "etherfi:LST:weETH": 10.0,
    "binance:PerpPosition:ETH-PERP": -2.0,
}
WRITTEN: dict[str, Callable[[OrderWriter], Order]] = {
    "spot_trade": lambda write: write.spot("binance", "ETH", Side.BUY, 1.0, "test"),
    "perp_trade": lambda write: write.perp("binance", "ETH", Side.LONG, 1.0, "test", reduce_only=True),
    "supply": lambda write: write.supply("weETH", 2.0),
    "withdraw": lambda write: write.withdraw("weETH", 2.0),
    "borrow": lambda write: write.borrow("WETH", 2.0),
    "repay": lambda write: write.repay("WETH", 2.0),
    "stake": lambda write: write.stake("etherfi", "weETH", 10.0),
    "unstake": lambda write: write.unstake("etherfi", "weETH", 10.0),
    "swap": lambda write: write.swap("uniswap", "weETH", "ETH", 10.0, "test"),
    "transfer": lambda write: write.transfer("wallet:BaseToken:USDT", "binance:BaseToken:USDT", 5.0, "test"),
    "flash_borrow": lambda write: write.flash_borrow("morpho", "WETH", 3.0),
    "flash_repay": lambda write: write.flash_repay("morpho", "WETH", 3.0),
}


def market_at(scale: float) -> MarketState:
    """A market whose prices, rates and indices are all `scale` times those of another."""
    state = market(rate=1.05 * scale, market_rate=1.04 * scale, prices={"ETH": 2_000.0 * scale})
    reserve = state.reserves["WETH"]
    scaled = replace(reserve, supply_index=1.02 * scale, borrow_index=1.03 * scale)
    return replace(
        state,
        spot={"binance:ETH": SpotQuote(2_000.0 * scale, True)},
        perps={"binance:ETH-PERP": PerpQuote(2_000.0 * scale, True, 2_000.0 * scale, True, None, None)},
        reserves={"WETH": scaled, "weETH": scaled},
    )


def written(name: str, scale: float) -> Order:
    """One order, written in a market of that scale with a short entered at 2,500."""
    run = run_of("usdt_market_neutral")
    view = situation({key: held for key, held in HELD.items() if "Perp" not in key}, market_at(scale))
    book = view.book.risk.exposure.book
    book = replace(book, positions=dict(HELD), entries={"binance:PerpPosition:ETH-PERP": 2_500.0})
    risk = replace(view.book.risk, exposure=replace(view.book.risk.exposure, book=book))
    return WRITTEN[name](OrderWriter(run, replace(view, book=replace(view.book, risk=risk)), 0.0))


class TestOrdersFollowTheMarket:
    """What an order expects comes from the market of its tick: in another market it is something else."""

    def test_every_operation_can_be_written(self) -> None:
        assert set(WRITTEN) == {operation.value for operation in OperationType}
        for name in WRITTEN:
            order = written(name, 1.0)
            assert order.operation == name
            assert {delta.operation_type for delta in order.expected_deltas} == {order.operation}

    @pytest.mark.parametrize(
        ("name", "key", "factor"),
        [
            ("spot_trade", "binance:BaseToken:USDT", 2.0),
            ("stake", "etherfi:LST:weETH", 0.5),
            ("unstake", "etherfi:UnstakeClaim:ETH", 2.0),
        ],
    )
    def test_a_price_twice_as_high_shows_in_the_deltas(self, name: str, key: str, factor: float) -> None:
        one, two = (amounts_of(written(name, scale).expected_deltas)[key] for scale in (1.0, 2.0))
        assert two == pytest.approx(factor * one, rel=1e-3), "impact may be of another size class"

    def test_a_swap_expects_the_market_rate_less_impact(self) -> None:
        """20,800 USD are the second size class, 24 bps; twice the price and the rate are 83,200, the same class."""
        for scale in (1.0, 2.0):
            deltas = amounts_of(written("swap", scale).expected_deltas)
            assert deltas["wallet:BaseToken:ETH"] == pytest.approx(10.0 * 1.04 * scale * (1.0 - 24e-4), rel=1e-12)

    def test_a_swap_says_the_least_it_accepts(self) -> None:
        order = written("swap", 1.0)
        net = 10.0 * 1.04 * (1.0 - 24e-4) * (1.0 - 5e-4)
        assert order.operation_details["min_out"] == pytest.approx(net * (1.0 - 50e-4), rel=1e-12)

    def test_a_closing_perp_expects_the_profit_of_its_price(self) -> None:
        """A short from 2,500: bought back at 2,000 and 3 bps it gains, at 4,000 it loses."""
        for scale in (1.0, 2.0):
            deltas = amounts_of(written("perp_trade", scale).expected_deltas)
            fill = 2_000.0 * scale * (1.0 + 3e-4)
            assert deltas["binance:Margin:USDT"] == pytest.approx(2_500.0 - fill, rel=1e-12)

    @pytest.mark.parametrize("name", ["supply", "withdraw"])
    def test_lending_notes_the_supply_index_of_the_moment(self, name: str) -> None:
        assert [written(name, scale).operation_details["supply_index"] for scale in (1.0, 2.0)] == [1.02, 2.04]

    @pytest.mark.parametrize("name", ["borrow", "repay"])
    def test_debt_notes_the_borrow_index_of_the_moment(self, name: str) -> None:
        assert [written(name, scale).operation_details["borrow_index"] for scale in (1.0, 2.0)] == [1.03, 2.06]
