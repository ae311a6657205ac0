"""Defines where tokens may leave an exchange to, the addresses of its configuration and no other, and at what fee."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from basis_actors.config.exchange_api import WithdrawalAddress
from basis_actors.errors import Rejected, Transient
from basis_actors.messages.exchange import TransferTicket

__all__ = ["AllowList"]


class AllowList:
    """The addresses of one exchange account, compared letter by letter."""

    def __init__(self, venue: str, allowed: Iterable[WithdrawalAddress]) -> None:
        self._venue = venue
        self._goals = frozenset((row.token, row.network, row.address) for row in allowed)

    def require(self, ticket: TransferTicket) -> None:
        """Raise Rejected VEN-001 for a withdrawal to anywhere else; nothing was sent."""
        if not self.has(ticket.token, ticket.network, ticket.address):
            text = f"{ticket.token} to {ticket.address} on {ticket.network} is not among api.withdrawal_addresses"
            raise Rejected("VEN-001", f"withdrawal {ticket.client_id} was not sent: {text} of {self._venue}")

    def require_fee(self, ticket: TransferTicket, fee: Decimal) -> Decimal:
        """The fee, in the token that is sent. Raises Transient VEN-003 for one that would bring the sender something,
        or take more than is sent: it is sent on top, so it would leave with the rest. Nothing was sent."""
        if 0 <= fee <= ticket.amount:
            return fee
        text = f"{self._venue} asks a fee of {fee} for {ticket.amount} {ticket.token} over {ticket.network}"
        raise Transient("VEN-003", f"withdrawal {ticket.client_id} was not sent: {text}; look at what it asks")

    def has(self, token: str, network: str | None, address: str | None) -> bool:
        """Whether a token may go there."""
        return (token, network, address) in self._goals
