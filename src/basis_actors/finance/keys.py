"""Defines how a position key `venue:position_type:symbol` is read: which asset it carries and with what sign."""

from __future__ import annotations

from collections.abc import Callable, Collection
from sys import intern
from typing import Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.finance.contracts import INVERSE, LINEAR, Contract

__all__ = ["LST_TOKENS", "REWARD_TOKENS", "STABLE", "LedgerKey", "is_exposed", "parse_key", "perp_key", "token_key"]

STABLE: Final = "USDT"
"""The currency linear perps settle in and prices are quoted in."""

LST_TOKENS: Final = ("weETH", "wstETH")
REWARD_TOKENS: Final = ("EIGEN", "ETHFI")
"""Tokens that are received, not bought; while they have no price they count as 0."""
_KINDS: Final = (
    "BaseToken",
    "Margin",
    "Funding",
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
_MAIN_POOL: Final = "aave"
"""Ledger name whose reserves the market names by their token alone; those of others carry the ledger name."""
_CONTRACTS: Final = {"PerpPosition": LINEAR, "InversePerp": INVERSE}
_SUFFIX: Final = {"PerpPosition": "-PERP", "InversePerp": "USD-PERP"}


_KEPT_AT: Final = {"WETH": "wallet:BaseToken:ETH", "weETH": "etherfi:LST:weETH", "wstETH": "lido:LST:wstETH"}


def token_key(token: str) -> str:
    """Key under which the wallet holds a token; wrapped ETH is ETH, a staking token stands under its issuer."""
    return _KEPT_AT.get(token, f"wallet:BaseToken:{token}")


def perp_key(venue: str, pair: str) -> str:
    """Position key of a perpetual: coin-margined ones (`BTCUSD-PERP`) are counted in USD."""
    kind = "InversePerp" if pair.endswith("USD-PERP") else "PerpPosition"
    return f"{venue}:{kind}:{pair}"


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
    token: str
    """What it is of: the underlying of an aToken or debtToken, the asset of a perpetual, else the symbol."""
    reserve: str | None
    """Reserve of an aToken or debtToken as the market names it (`WETH`, `morpho:WETH`), else None."""
    inverse: bool
    """Whether it is a perpetual counted in USD notional and margined in its asset."""
    contract: Contract | None
    """What a perpetual pays; None for everything else."""
    paid_in: str
    """Asset in which its value is counted: USDT for a linear perpetual, its own asset for everything else."""
    signed: bool
    """Whether a negative amount is in order: perps are signed, a payable is owed."""


class _KnownKeys(dict[str, LedgerKey]):
    """The position keys that were asked for so far: a run has few of them, and each view asks for all of its own."""

    def __missing__(self, key: str) -> LedgerKey:
        parsed = self[key] = _take_apart(key)
        return parsed


parse_key: Final[Callable[[str], LedgerKey]] = _KnownKeys().__getitem__
"""Take a position key apart. Raises BasisError POS-002 for a key that does not name a position."""


def _take_apart(key: str) -> LedgerKey:
    # Nearly every look-up by asset or venue is with these: a dictionary knows an interned one without reading it.
    parts = [intern(part) for part in key.split(":")]
    if len(parts) != 3 or not all(parts) or parts[1] not in _KINDS:
        raise BasisError("POS-002", f"position key {key!r}: expected venue:position_type:symbol with type in {_KINDS}")
    venue, kind, symbol = parts
    token = symbol
    if kind in ("aToken", "debtToken"):
        prefix = "a" if kind == "aToken" else "debt"
        if not symbol.startswith(prefix) or len(symbol) == len(prefix):
            raise BasisError("POS-002", f"position key {key!r}: the symbol of a {kind} starts with {prefix!r}")
        token = symbol[len(prefix) :]
    elif kind in _SUFFIX:
        suffix = _SUFFIX[kind]
        if not symbol.endswith(suffix) or len(symbol) == len(suffix):
            raise BasisError("POS-002", f"position key {key!r}: the symbol of a {kind} is <asset>{suffix}")
        token = symbol.removesuffix(suffix)
    lst = token if token in LST_TOKENS else None
    asset = "ETH" if lst else intern(_ALIASES.get(token, token))
    contract = _CONTRACTS.get(kind)
    reserve = None
    if kind in ("aToken", "debtToken"):
        reserve = token if venue == _MAIN_POOL else f"{venue}:{token}"
    return LedgerKey(
        key=key,
        venue=venue,
        kind=kind,
        symbol=symbol,
        asset=asset,
        lst=lst,
        sign=-1.0 if kind in ("debtToken", "flashDebt") else 1.0,
        perp=f"{venue}:{symbol}" if contract is not None else None,
        token=token,
        reserve=reserve,
        inverse=contract is INVERSE,
        contract=contract,
        paid_in=STABLE if contract is LINEAR else asset,
        signed=contract is not None or kind == "Payable",
    )


def is_exposed(key: str, cash: Collection[str]) -> bool:
    """Whether a position is more than cash: a perpetual, a debt, or an asset that is none of `cash`. Raises BasisError
    as `parse_key`."""
    info = parse_key(key)
    return info.contract is not None or info.sign < 0.0 or info.asset not in cash
