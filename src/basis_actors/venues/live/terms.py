"""Defines what the account logic must know of one exchange account: its purses, markets and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from basis_actors.config import AccountConfig
from basis_actors.errors import BasisError
from basis_actors.finance.keys import perp_key
from basis_actors.messages.exchange import Wallet

__all__ = ["AccountTerms", "LiveClock"]


class LiveClock(Protocol):
    """What an account needs to know of time."""

    def now(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock."""
        ...


class AccountTerms(NamedTuple):
    """One account."""

    venue: str
    split: bool
    """Whether spot and perpetuals have purses of their own."""
    pairs: tuple[str, ...]
    """Every configured market."""
    tokens: frozenset[str]
    """What is booked; other tokens on the account are not the system's business."""
    patience: AccountConfig
    addresses: Mapping[tuple[str, str], tuple[str, str]]
    """(address, network) of withdrawals, by (target venue, token)."""

    keeps_stops: bool = False
    """Whether orders bring stops, which the exchange then keeps. Nothing but stops is meant to rest on such an account,
    so it has no countdown: an exchange may count stops among the open orders that it cancels."""

    @property
    def perps(self) -> frozenset[str]:
        """The perpetuals among the markets."""
        return frozenset(pair for pair in self.pairs if pair.endswith("-PERP"))

    def cash_key(self, wallet: Wallet, token: str) -> str:
        """Key under which the cash of a purse is booked."""
        if wallet is Wallet.FUNDING:
            return f"{self.venue}:Funding:{token}"
        margin = self.split and wallet in (Wallet.LINEAR, Wallet.INVERSE)
        return f"{self.venue}:{'Margin' if margin else 'BaseToken'}:{token}"

    def spot_key(self, token: str) -> str:
        """Key of what spot trades buy and sell."""
        return self.cash_key(Wallet.SPOT if self.split else Wallet.UNIFIED, token)

    def wallet_of(self, key: str) -> Wallet:
        """The purse of a cash key. Raises BasisError POS-002 for a key that is no cash of this account."""
        venue, _, rest = key.partition(":")
        kind, _, token = rest.partition(":")
        if venue != self.venue or kind not in ("BaseToken", "Margin", "Funding"):
            raise BasisError(
                "POS-002", f"{key} is no cash of {self.venue}; {self.venue}:BaseToken:<token> was expected"
            )
        if kind == "Funding":
            return Wallet.FUNDING
        if kind == "Margin":
            return Wallet.LINEAR if token == "USDT" else Wallet.INVERSE  # noqa: S105 (a currency, no password)
        return Wallet.SPOT if self.split else Wallet.UNIFIED

    def margin_key(self, pair: str) -> str:
        """Key of the cash that a perpetual is margined with and pays in."""
        inverse = pair.endswith("USD-PERP")
        wallet = Wallet.INVERSE if inverse else Wallet.LINEAR
        return self.cash_key(wallet, pair.removesuffix("USD-PERP") if inverse else "USDT")

    def position_key(self, pair: str) -> str:
        """Key of a perpetual."""
        return perp_key(self.venue, pair)
