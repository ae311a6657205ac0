"""Defines what the account logic must know of one exchange account: its purses, markets, tokens and patience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from basis_actors.errors import BasisError
from basis_actors.finance.keys import perp_key
from basis_actors.messages.exchange import Wallet

__all__ = ["AccountTerms", "LiveClock", "Patience"]


class LiveClock(Protocol):
    """What an account needs to know of time."""

    def now(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock."""
        ...


class Patience(NamedTuple):
    """How long the account waits for what an exchange has not shown yet. Seconds unless said otherwise."""

    order_seconds: float
    """An order that is open for longer is cancelled; what it has filled stays."""
    receive_window_seconds: float
    """The exchange refuses a request that reaches it later than this."""
    absence_seconds: float
    """Beyond the receive window: before that an order that is not found may still turn up."""
    absence_queries: int
    """Answers in a row that know nothing of an order before it is taken for never arrived; a count."""
    steady_reads: int
    """Reads that show the same difference before the exchange is believed; a count."""
    read_pause_seconds: float
    """Between two reads."""
    overlap_seconds: float
    """How far back trades and payments are read again, because an exchange may show them late."""
    lookback_seconds: float
    """How far back they are read when a process begins."""


class AccountTerms(NamedTuple):
    """One account."""

    venue: str
    split: bool
    """Whether spot and perpetuals have purses of their own."""
    pairs: tuple[str, ...]
    """Every configured market."""
    tokens: frozenset[str]
    """What is booked; other tokens on the account are not the system's business."""
    tolerance: float
    """Relative difference between ledger and exchange that is rounding."""
    patience: Patience
    addresses: Mapping[tuple[str, str], tuple[str, str]]
    """(address, network) of withdrawals, by (target venue, token)."""

    @property
    def perps(self) -> frozenset[str]:
        """The perpetuals among the markets."""
        return frozenset(pair for pair in self.pairs if pair.endswith("-PERP"))

    def cash_key(self, wallet: Wallet, token: str) -> str:
        """Key under which the cash of a purse is booked."""
        margin = self.split and wallet in (Wallet.LINEAR, Wallet.INVERSE)
        return f"{self.venue}:{'Margin' if margin else 'BaseToken'}:{token}"

    def wallet_of(self, key: str) -> Wallet:
        """The purse of a cash key. Raises BasisError POS-002 for a key that is no cash of this account."""
        venue, kind, token = key.split(":")
        if venue != self.venue or kind not in ("BaseToken", "Margin"):
            raise BasisError(
                "POS-002", f"{key} is no cash of {self.venue}; {self.venue}:BaseToken:<token> was expected"
            )
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
