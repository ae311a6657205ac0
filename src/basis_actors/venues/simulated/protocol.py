"""Defines what a protocol on a simulated chain offers to the chain, and what the chain offers to it.

A protocol keeps its own account and says what an order or time changes in it and in the wallet; the chain books the
wallet's side, pays gas and can put every protocol back to where it was.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol

import msgspec

from basis_actors.finance.keys import token_key
from basis_actors.messages.execution import DeltaSource, PositionDelta
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.venues.simulated.refusals import unconfigured

__all__ = ["Booking", "ChainProtocol", "Outcome", "Wallet", "token_key"]


class Outcome(NamedTuple):
    """What an order changed."""

    own: tuple[PositionDelta, ...]
    """In the protocol's account; already done."""
    wallet: tuple[PositionDelta, ...]
    """In the wallet; for the chain to book."""
    details: dict[str, Any]
    fee: PositionDelta | None = None
    """What the protocol itself takes from the wallet, less than 0; for the chain to book as a fee of the operation."""


class Booking(msgspec.Struct, frozen=True, gc=False):
    """What changed by itself, without an order, up to a tick."""

    source: DeltaSource
    timestamp: datetime
    """When it happened, not when it was noticed; UTC."""
    own: tuple[PositionDelta, ...]
    """In the protocol's account; already done."""
    wallet: tuple[PositionDelta, ...]
    """In the wallet; for the chain to book."""
    operation_id: str | None = None
    """The order that it is the late part of, if there was one."""


class Wallet(Protocol):
    """The wallet as a protocol sees it."""

    def spendable(self, key: str) -> float:
        """How much of a token an order may take: the balance without what its gas costs."""
        ...

    def held(self, key: str) -> float:
        """Balance under a position key of the wallet."""
        ...

    def total_of(self, token: str) -> float:
        """How much of a token there is in the wallet and, supplied, at all protocols together."""
        ...


class ChainProtocol(ABC):
    """One protocol on the chain; base of all of them. As it stands it keeps no account and changes nothing by itself.

    A refused order leaves it as it was.
    """

    operations: ClassVar[frozenset[OperationType]] = frozenset()
    """What it carries out at its venue; another protocol may do other operations at the same venue."""

    @property
    @abstractmethod
    def venue(self) -> str:
        """Venue name of its orders."""

    def carry_out(self, order: Order, market: MarketState, wallet: Wallet) -> Outcome:  # noqa: ARG002 - for overriders
        """Do one order that is among `operations`. Raises Rejected, and has then changed nothing."""
        raise unconfigured(order, f"{self.venue} does {sorted(self.operations)}, not {order.operation}")

    def settle(self, market: MarketState, wallet: Wallet) -> Sequence[Booking]:  # noqa: ARG002 - for overriders
        """What happened in the account since the last call, by time, and have it happen.

        Called once a tick, in the order in which the chain was given its protocols, before the wallet's side of any
        booking of the tick is booked.
        """
        return ()

    def supplied(self, token: str) -> float:  # noqa: ARG002 - for overriders
        """How much of `token` the owner has handed over to this protocol and may take back."""
        return 0.0

    def report(self, market: MarketState) -> Mapping[str, float]:  # noqa: ARG002 - for overriders
        """Every position of the account, by position key."""
        return {}

    def snapshot(self) -> object:
        """The whole state of the account."""
        return None

    def restore(self, state: object) -> None:  # noqa: B027 - nothing to put back
        """Be exactly as at the `snapshot` that gave `state`."""
