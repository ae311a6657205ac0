"""Defines what a protocol on a simulated chain offers to the chain, and what the chain offers to it.

A protocol keeps its own account and says what an order changes in it and in the wallet; the chain books the wallet's
side, pays gas and can put every protocol back to where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from basis_actors.messages.execution import PositionDelta
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import Order

__all__ = ["ChainProtocol", "Outcome", "Wallet", "token_key"]

_KEPT_AT: Final = {"weETH": "etherfi:LST:weETH", "wstETH": "lido:LST:wstETH", "WETH": "wallet:BaseToken:ETH"}


def token_key(token: str) -> str:
    """Position key under which the wallet holds `token`; ETH and WETH are one ledger token."""
    return _KEPT_AT.get(token, f"wallet:BaseToken:{token}")


class Outcome(NamedTuple):
    """What an order changed."""

    own: tuple[PositionDelta, ...]
    """In the protocol's account; already done."""
    wallet: tuple[PositionDelta, ...]
    """In the wallet; for the chain to book."""
    details: dict[str, Any]


class Wallet(Protocol):
    """The wallet as a protocol sees it."""

    def spendable(self, key: str) -> float:
        """How much of a token an order may take: the balance without what its gas costs."""
        ...


class ChainProtocol(Protocol):
    """One protocol on the chain."""

    @property
    def venue(self) -> str:
        """Venue name of its orders."""
        ...

    def accrue(self, market: MarketState) -> list[PositionDelta]:
        """What time has changed in the account since the last call, and change it."""
        ...

    def liquidate(self, market: MarketState) -> list[PositionDelta]:
        """What others may take from the account at these prices, and take it."""
        ...

    def carry_out(self, order: Order, market: MarketState, wallet: Wallet) -> Outcome:
        """Do one order. Raises Rejected, and has then changed nothing."""
        ...

    def report(self, market: MarketState) -> Mapping[str, float]:
        """Every position of the account, by position key."""
        ...

    def snapshot(self) -> object:
        """The whole state of the account."""
        ...

    def restore(self, state: object) -> None:
        """Be exactly as at the `snapshot` that gave `state`."""
        ...
