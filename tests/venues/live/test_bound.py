"""How much of what could be sold open orders bind, as an account shows it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.venues.live.books import account_terms

from basis_actors.messages.exchange import AccountState, Wallet, WalletBalance
from basis_actors.venues.live.bound import bound_by


def shown(*rows: tuple[Wallet, str, str, str]) -> AccountState:
    balances = tuple(WalletBalance(purse, token, Decimal(total), Decimal(free)) for purse, token, total, free in rows)
    return AccountState(balances, (), frozenset(), 0)


@pytest.mark.parametrize(
    ("split", "row", "bound"),
    [
        (True, (Wallet.SPOT, "BTC", "1.5", "1"), {"binance:BaseToken:BTC": 0.5}),
        (False, (Wallet.UNIFIED, "BTC", "1.5", "0"), {"binance:BaseToken:BTC": 1.5}),
        pytest.param(True, (Wallet.SPOT, "BTC", "1.5", "1.5"), {}, id="wholly free"),
        pytest.param(True, (Wallet.SPOT, "USDT", "100", "40"), {}, id="cash"),
        pytest.param(True, (Wallet.SPOT, "DOGE", "100", "40"), {}, id="not traded here"),
        pytest.param(True, (Wallet.INVERSE, "BTC", "1.5", "1"), {}, id="margin"),
    ],
)
def test_what_is_held_and_not_free_is_bound(
    split: bool, row: tuple[Wallet, str, str, str], bound: dict[str, float]
) -> None:
    assert bound_by(account_terms(split=split), shown(row)) == bound
