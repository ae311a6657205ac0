"""Defines how a position key `venue:position_type:symbol` is read: which asset it carries and with what sign."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from basis_actors.errors import BasisError

__all__ = ["LST_TOKENS", "REWARD_TOKENS", "LedgerKey", "parse_key"]

LST_TOKENS: Final = ("weETH", "wstETH")
REWARD_TOKENS: Final = ("EIGEN", "ETHFI")
"""Tokens that are received, not bought; while they have no price they count as 0."""
_KINDS: Final = (
    "BaseToken",
    "Margin",
    "PerpPosition",
    "InversePerp",
    "aToken",
    "debtToken",
    "flashDebt",
    "LST",
    "UnstakeClaim",
    "Payable",
)
_ALIASES: Final = {"WETH": "ETH"}


class LedgerKey(msgspec.Struct, frozen=True, gc=False):
    """A position key, taken apart."""

    key: str
    venue: str
    kind: str
    symbol: str
    asset: str
    """The asset whose reference price moves it: BTC, ETH, USDT, EIGEN, ETHFI."""
    lst: str | None
    """The liquid staking token it counts in, else None."""
    sign: float
    """-1 for debt, +1 otherwise."""
    perp: str | None
    """`venue:symbol` of a perpetual, which enters equity only through unrealised PnL; None for everything else."""
    reserve: str | None
    """Underlying of an aToken or debtToken as the market names the reserve (`WETH`), else None."""
    inverse: bool
    """Whether it is a perpetual counted in USD notional and margined in its asset."""
    signed: bool
    """Whether a negative amount is in order: perps are signed, a payable is owed."""


@lru_cache(maxsize=4096)
def parse_key(key: str) -> LedgerKey:
    """Take a position key apart. Raises BasisError POS-002 for a key that does not name a position."""
    parts = key.split(":")
    if len(parts) != 3 or not all(parts) or parts[1] not in _KINDS:
        raise BasisError("POS-002", f"position key {key!r}: expected venue:position_type:symbol with type in {_KINDS}")
    venue, kind, symbol = parts
    token = symbol
    if kind in ("aToken", "debtToken"):
        prefix = "a" if kind == "aToken" else "debt"
        if not symbol.startswith(prefix) or len(symbol) == len(prefix):
            raise BasisError("POS-002", f"position key {key!r}: the symbol of a {kind} starts with {prefix!r}")
        token = symbol[len(prefix) :]
    elif kind == "PerpPosition":
        token = symbol.removesuffix("-PERP")
    elif kind == "InversePerp":
        token = symbol.removesuffix("USD-PERP")
    lst = token if token in LST_TOKENS else None
    asset = "ETH" if lst else _ALIASES.get(token, token)
    is_perp = kind in ("PerpPosition", "InversePerp")
    return LedgerKey(
        key=key,
        venue=venue,
        kind=kind,
        symbol=symbol,
        asset=asset,
        lst=lst,
        sign=-1.0 if kind in ("debtToken", "flashDebt") else 1.0,
        perp=f"{venue}:{symbol}" if is_perp else None,
        reserve=token if kind in ("aToken", "debtToken") else None,
        inverse=kind == "InversePerp",
        signed=is_perp or kind == "Payable",
    )
