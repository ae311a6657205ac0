"""What each operation is expected to change: computed by the functions that strategies write orders with.

Every number is checked by hand or against an identity; what a venue then really does is compared with the same
functions in `tests/integration/test_execution_flow.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.finance.keys import parse_key
from basis_actors.finance.perps import apply_fill
from basis_actors.messages.orders import ExpectedDelta, OperationType, Side
from basis_actors.strategies.expected import (
    borrow_deltas,
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

    def test_every_delta_names_a_position_its_token_and_its_operation(self) -> None:
        everything = [
            *spot_trade_deltas("binance", "BTC", "USDT", Side.BUY, 1.0, 2.0),
            *supply_deltas("USDT", 1.0),
            *withdraw_deltas("WETH", 1.0),
            *borrow_deltas("WETH", 1.0),
            *repay_deltas("WETH", 1.0),
            *stake_deltas("etherfi", "weETH", 1.0, 0.9),
            *unstake_deltas("etherfi", "weETH", 1.0, 0.9),
            *transfer_deltas("wallet:BaseToken:USDT", "okx:BaseToken:USDT", 1.0, same_domain=False),
        ]
        for delta in everything:
            parse_key(delta.position_key)
            assert delta.token
            assert delta.operation_type in OperationType
