"""Amounts, shares and positions as people read them."""

from __future__ import annotations

import pytest

from basis_actors.results.report.wording import Money, counts, key_label, percent, plural

SPACE = "\u00a0"


@pytest.mark.parametrize(
    ("currency", "decimals", "scale", "amount", "text"),
    [
        ("USDT", 6, 100_000.0, 106_682.296346, "106,682.30"),
        ("ETH", 18, 40.0, 44.972154321, "44.97215"),
        ("BTC", 8, 2.0, -0.098060728, "−0.098061"),
        ("USDT", 6, 100_000.0, -1e-9, "0.00"),
        ("USDT", 6, None, None, "n/a"),
    ],
)
def test_amounts_have_the_decimals_that_tell(
    currency: str, decimals: int, scale: float | None, amount: float | None, text: str
) -> None:
    shown = Money.of(currency, decimals, scale).text(amount)
    assert shown == (text if amount is None else f"{text}{SPACE}{currency}")


@pytest.mark.parametrize(
    ("share", "text"), [(0.0763, "+7.63 %"), (-0.0049, "−0.49 %"), (0.0, "0.00 %"), (-1e-9, "0.00 %"), (None, "n/a")]
)
def test_shares_are_percent(share: float | None, text: str) -> None:
    assert percent(share, sign=True).replace(SPACE, " ") == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("aave:debtToken:debtWETH", "aave debt WETH"),
        ("aave:aToken:aUSDT", "aave lent USDT"),
        ("binance:Margin:USDT", "binance USDT margin"),
        ("binance:PerpPosition:ETH-PERP", "binance ETH-PERP"),
        ("gas:Payable:USDT", "gas owed"),
        ("lido:UnstakeClaim:ETH", "lido claim ETH"),
    ],
)
def test_positions_have_names(key: str, text: str) -> None:
    assert key_label(key) == text


def test_counts_and_plurals() -> None:
    assert counts({"hold": 2, "rebalance": 1_000}) == "1,000 rebalance, 2 hold"
    assert counts({}) == "none"
    assert (plural(1, "order"), plural(2_000, "order")) == ("1 order", "2,000 orders")
