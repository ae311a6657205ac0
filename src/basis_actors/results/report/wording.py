"""Says amounts, shares and moments the way the whole report says them."""

from __future__ import annotations

from datetime import datetime
from math import floor, log10
from typing import Final

import msgspec

from basis_actors.finance.keys import parse_key

__all__ = ["Money", "change", "counts", "day", "key_label", "moment", "percent", "plural"]

_KINDS: Final = {
    "BaseToken": "{symbol}",
    "Margin": "{symbol} margin",
    "Funding": "{symbol} in the funding purse",
    "LST": "{symbol}",
    "aToken": "lent {token}",
    "debtToken": "debt {token}",
    "flashDebt": "flash debt {symbol}",
    "UnstakeClaim": "claim {symbol}",
    "Payable": "owed {symbol}",
    "PerpPosition": "{symbol}",
    "InversePerp": "{symbol}",
}
_SPACE: Final = "\u00a0"
"""Between a number and its unit, which stay on one line."""
_DIGITS: Final = 6
"""Of the size of the book that an amount shows."""


class Money(msgspec.Struct, frozen=True):
    """Amounts of one currency, all with the same decimals: as many as tell a millionth of the book apart."""

    currency: str
    decimals: int

    @classmethod
    def of(cls, currency: str, decimals: int, scale: float | None) -> Money:
        """For a book of size `scale`; at least two decimals, and no more than the currency has."""
        size = floor(log10(max(abs(scale or 1.0), 1.0)))
        return cls(currency, max(2, min(decimals, _DIGITS - size)))

    def text(self, amount: float | None, *, sign: bool = False, unit: bool = True) -> str:
        """`12,345.67 USDT`."""
        if amount is None:
            return "n/a"
        text = f"{amount:,.{self.decimals}f}"
        if float(text.replace(",", "")) == 0.0:
            text = text.removeprefix("-")
        elif sign and amount > 0.0:
            text = f"+{text}"
        return f"{_minus(text)}{_SPACE}{self.currency}" if unit else _minus(text)

    @property
    def d3(self) -> str:
        """The same as a number format of plotly."""
        return f",.{self.decimals}f"


def percent(share: float | None, *, sign: bool = False, decimals: int = 2) -> str:
    """`+1.25 %` of a fraction; `n/a` where there is none."""
    if share is None:
        return "n/a"
    value = round(share * 100, decimals) or 0.0
    return _minus(f"{value:{'+' if sign and value else ''},.{decimals}f}{_SPACE}%")


def change(amount: float, key: str) -> str:
    """What happened to a position: `+0.5 binance ETH`."""
    return f"{_minus(f'{amount:+,.6g}')} {key_label(key)}"


def moment(when: datetime | None) -> str:
    """`2024-01-31 08:00`."""
    return "no tick" if when is None else when.strftime("%Y-%m-%d %H:%M")


def day(when: datetime) -> str:
    """`2024-01-31`."""
    return when.strftime("%Y-%m-%d")


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 order`, `1,234 orders`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def counts(found: dict[str, int]) -> str:
    """`101 rebalance, 4 entry`, the most frequent first."""
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in ordered) or "none"


def key_label(key: str) -> str:
    """A position key as people say it: `aave debt WETH` for `aave:debtToken:debtWETH`."""
    info = parse_key(key)
    token = info.symbol
    for prefix in ("debt", "a"):
        if info.kind == f"{prefix}Token":
            token = token.removeprefix(prefix)
    if info.kind == "Payable":
        return f"{info.venue} owed"
    return f"{info.venue} {_KINDS[info.kind].format(symbol=info.symbol, token=token)}"


def _minus(text: str) -> str:
    return text.replace("-", "−")
