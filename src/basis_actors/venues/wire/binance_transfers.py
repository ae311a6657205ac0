"""Moves tokens between Binance's purses, withdraws them to listed addresses, and finds out what became of it.

A transfer carries no id of ours: it is found again by what it moved and when.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from basis_actors.config.exchange_api import WithdrawalAddress
from basis_actors.errors import Rejected, Transient
from basis_actors.messages.exchange import TransferReport, TransferState, TransferTicket, Wallet
from basis_actors.venues.wire.allow_list import AllowList
from basis_actors.venues.wire.binance_endpoints import COINS, TRANSFER, TRANSFERS, WITHDRAW, WITHDRAWALS
from basis_actors.venues.wire.binance_rows import (
    CoinRow,
    TransferPage,
    Transferred,
    TransferRow,
    WithdrawalRow,
    Withdrawn,
)
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.exact import plain_text

__all__ = ["BinanceTransfers"]

_NS_PER_MS: Final = 1_000_000
_ROUTES: Final = {
    (Wallet.SPOT, Wallet.LINEAR): "MAIN_UMFUTURE",
    (Wallet.LINEAR, Wallet.SPOT): "UMFUTURE_MAIN",
    (Wallet.SPOT, Wallet.INVERSE): "MAIN_CMFUTURE",
    (Wallet.INVERSE, Wallet.SPOT): "CMFUTURE_MAIN",
    (Wallet.SPOT, Wallet.FUNDING): "MAIN_FUNDING",
    (Wallet.FUNDING, Wallet.SPOT): "FUNDING_MAIN",
}
_WALLET_TYPES: Final = {Wallet.SPOT: "0", Wallet.FUNDING: "1"}
_LONGEST_MS: Final = 7 * 86_400_000
"""Span of one question for a withdrawal by its id."""
_PAGE: Final = 100
"""Most transfers of one answer."""
_TRANSFER_STATES: Final = {
    "CONFIRMED": TransferState.DONE,
    "PENDING": TransferState.PENDING,
    "FAILED": TransferState.FAILED,
}
_WITHDRAWAL_STATES: Final = {
    0: TransferState.PENDING,
    1: TransferState.FAILED,
    2: TransferState.PENDING,
    3: TransferState.FAILED,
    4: TransferState.PENDING,
    5: TransferState.FAILED,
    6: TransferState.DONE,
}


class BinanceTransfers:
    """Transfers and withdrawals of the account."""

    def __init__(self, caller: Caller, allowed: Iterable[WithdrawalAddress]) -> None:
        self._caller = caller
        self._allowed = AllowList("binance", allowed)

    async def move(self, ticket: TransferTicket) -> TransferReport:
        """Send a transfer or a withdrawal, once. Raises Rejected VEN-001 for one that is not allowed or possible."""
        if ticket.target is None:
            return await self._withdraw(ticket)
        params = {
            "type": self._route(ticket),
            "asset": ticket.token,
            "amount": plain_text(ticket.amount),
        }
        done = await self._caller.ask(TRANSFER, params, Transferred, urgent=True)
        return TransferReport(
            client_id=ticket.client_id,
            venue_transfer_id=str(done.tran_id),
            state=TransferState.DONE,
            fee=Decimal(0),
            time_ns=await self._caller.now_ns(),
        )

    async def moved(self, ticket: TransferTicket, since_ns: int) -> TransferReport | None:
        """What became of a transfer or withdrawal that was sent at `since_ns` or later; None when none is known."""
        since_ms = since_ns // _NS_PER_MS
        if ticket.target is None:
            return await self._withdrawn(ticket, since_ms)
        found: list[TransferRow] = []
        params = {"type": self._route(ticket), "startTime": str(since_ms), "size": str(_PAGE)}
        number, full = 1, True
        while full:
            page = await self._caller.ask(TRANSFERS, {**params, "current": str(number)}, TransferPage, urgent=True)
            if page.rows and page.rows == tuple(found[-_PAGE:]):
                raise self._caller.unreadable(TRANSFERS, f"page {number} is the one before it")
            found += page.rows
            number, full = number + 1, len(page.rows) == _PAGE
        same = [row for row in found if (row.asset, row.amount) == (ticket.token, ticket.amount)]
        if not same:
            return None
        first = min(same, key=lambda row: (row.timestamp, str(row.tran_id)))
        state = _TRANSFER_STATES.get(first.status)
        if state is None:
            raise self._caller.unreadable(TRANSFERS, f"transfer {first.tran_id} is {first.status!r}")
        return TransferReport(
            client_id=ticket.client_id,
            venue_transfer_id=str(first.tran_id),
            state=state,
            fee=Decimal(0),
            time_ns=first.timestamp * _NS_PER_MS,
        )

    def _route(self, ticket: TransferTicket) -> str:
        route = _ROUTES.get((ticket.source, ticket.target)) if ticket.target else None
        if route is None:
            text = f"binance moves nothing from {ticket.source} to {ticket.target} at once; go through {Wallet.SPOT}"
            raise Rejected("VEN-001", f"transfer {ticket.client_id} was not sent: {text}")
        return route

    async def _withdraw(self, ticket: TransferTicket) -> TransferReport:
        self._allowed.require(ticket)
        if ticket.source not in _WALLET_TYPES:
            text = f"binance withdraws from {Wallet.SPOT} and {Wallet.FUNDING}, not from {ticket.source}"
            raise Rejected("VEN-001", f"withdrawal {ticket.client_id} was not sent: {text}")
        fee = self._allowed.require_fee(ticket, await self._fee(ticket))
        params = {
            "coin": ticket.token,
            "network": str(ticket.network),
            "address": str(ticket.address),
            # The exchange takes its fee out of what it is told.
            "amount": plain_text(ticket.amount + fee),
            "withdrawOrderId": ticket.client_id,
            "walletType": _WALLET_TYPES[ticket.source],
        }
        done = await self._caller.ask(WITHDRAW, params, Withdrawn)
        return TransferReport(
            client_id=ticket.client_id,
            venue_transfer_id=done.id,
            state=TransferState.PENDING,
            fee=fee,
            time_ns=await self._caller.now_ns(),
        )

    async def _fee(self, ticket: TransferTicket) -> Decimal:
        """What a withdrawal costs now, in its token. Raises Transient VEN-003 while the network takes none."""
        coins = await self._caller.ask(COINS, {}, tuple[CoinRow, ...], urgent=True)
        for coin in coins:
            for network in coin.network_list:
                if (coin.coin, network.network) == (ticket.token, ticket.network):
                    if network.withdraw_enable:
                        return network.withdraw_fee
                    text = f"binance sends no {ticket.token} over {ticket.network} at present"
                    raise Transient("VEN-003", f"withdrawal {ticket.client_id} was not sent: {text}")
        text = f"binance knows no network {ticket.network!r} for {ticket.token}; mend api.withdrawal_addresses"
        raise Rejected("VEN-001", f"withdrawal {ticket.client_id} was not sent: {text}")

    async def _withdrawn(self, ticket: TransferTicket, since_ms: int) -> TransferReport | None:
        params = {
            "coin": ticket.token,
            "withdrawOrderId": ticket.client_id,
            "startTime": str(since_ms),
            "endTime": str(since_ms + _LONGEST_MS),
        }
        rows = await self._caller.ask(WITHDRAWALS, params, tuple[WithdrawalRow, ...], urgent=True)
        for row in rows:
            if row.withdraw_order_id == ticket.client_id:
                return self._withdrawal(row, ticket.client_id)
        return None

    def _withdrawal(self, row: WithdrawalRow, client_id: str) -> TransferReport:
        state = _WITHDRAWAL_STATES.get(row.status)
        if state is None:
            raise self._caller.unreadable(WITHDRAWALS, f"withdrawal {row.id} has status {row.status}")
        return TransferReport(
            client_id=client_id,
            venue_transfer_id=row.id,
            state=state,
            fee=row.transaction_fee,
            time_ns=row.applied_ms * _NS_PER_MS,
        )
