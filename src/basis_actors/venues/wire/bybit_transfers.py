"""Moves tokens between Bybit's purses, withdraws them to listed addresses, and finds out what became of it.

A transfer has a UUID of ours. A withdrawal has an id of ours too, by which a second one is refused, but no record of
it names that id: it is found again by what it moved, where to and when.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from uuid import UUID, uuid5

from basis_actors.errors import Rejected, Transient
from basis_actors.messages.exchange import TransferReport, TransferState, TransferTicket, Wallet
from basis_actors.venues.wire.allow_list import AllowList
from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.bybit_endpoints import COINS, TRANSFER, TRANSFERS, WITHDRAW, WITHDRAWALS
from basis_actors.venues.wire.bybit_pages import pages
from basis_actors.venues.wire.bybit_rows import (
    CoinsPage,
    Page,
    Records,
    Transferred,
    TransferRow,
    WithdrawalRow,
    Withdrawn,
)
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.exact import plain_text
from basis_actors.venues.wire.rows import number

__all__ = ["BybitTransfers"]

_NS_PER_MS: Final = 1_000_000
_DAY_MS: Final = 86_400_000
_TRANSFER_SPAN_MS: Final = 7 * _DAY_MS
_WITHDRAWAL_SPAN_MS: Final = 30 * _DAY_MS - 1
"""Longest spans of one question."""
_PURSES: Final = {Wallet.UNIFIED: "UNIFIED", Wallet.FUNDING: "FUND"}
_WITHDRAWN_FROM: Final = {Wallet.UNIFIED: "UTA", Wallet.FUNDING: "FUND"}
_IDS: Final = UUID("6f1d5f0e-5a3e-5c0b-9d55-2f0d9b1c7a10")
"""Ours, under which ids of transfers are names."""
_TRANSFER_STATES: Final = {
    "SUCCESS": TransferState.DONE,
    "PENDING": TransferState.PENDING,
    "FAILED": TransferState.FAILED,
}
_WITHDRAWAL_STATES: Final = {
    "SecurityCheck": TransferState.PENDING,
    "Pending": TransferState.PENDING,
    "BlockchainConfirmed": TransferState.PENDING,
    "MoreInformationRequired": TransferState.PENDING,
    "success": TransferState.DONE,
    "CancelByUser": TransferState.FAILED,
    "Reject": TransferState.FAILED,
    "Fail": TransferState.FAILED,
}
_ZERO, _ONE = Decimal(0), Decimal(1)


class BybitTransfers:
    """Transfers and withdrawals of the account."""

    def __init__(self, caller: Caller, allowed: AllowList) -> None:
        self._caller = caller
        self._allowed = allowed

    async def move(self, ticket: TransferTicket) -> TransferReport:
        """Send a transfer or a withdrawal, once. Raises Rejected VEN-001 for one that is not allowed or possible."""
        if ticket.target is None:
            return await self._withdraw(ticket)
        source, target = _PURSES.get(ticket.source), _PURSES.get(ticket.target)
        if source is None or target is None or source == target:
            text = f"bybit moves tokens between {Wallet.UNIFIED} and {Wallet.FUNDING} only"
            raise Rejected(
                "VEN-001", f"transfer {ticket.client_id} from {ticket.source} to {ticket.target} was not sent: {text}"
            )
        params = {
            "transferId": _transfer_id(ticket),
            "coin": ticket.token,
            "amount": plain_text(ticket.amount),
            "fromAccountType": source,
            "toAccountType": target,
        }
        done = await self._caller.ask(TRANSFER, params, Transferred, urgent=True)
        return self._transfer(TRANSFER, ticket, done.status, await self._caller.now_ns())

    async def moved(self, ticket: TransferTicket, since_ns: int) -> TransferReport | None:
        """What became of a transfer or withdrawal that was sent at `since_ns` or later; None when none is known."""
        since_ms = since_ns // _NS_PER_MS
        if ticket.target is None:
            return await self._withdrawn(ticket, since_ms)
        name = _transfer_id(ticket)
        params = {"transferId": name, **await self._span(since_ms, _TRANSFER_SPAN_MS)}
        page = await self._caller.ask(TRANSFERS, params, Page[TransferRow], urgent=True)
        for row in page.list:
            if row.transfer_id == name:
                return self._transfer(TRANSFERS, ticket, row.status, row.timestamp * _NS_PER_MS)
        return None

    def _transfer(self, endpoint: Endpoint, ticket: TransferTicket, status: str, time_ns: int) -> TransferReport:
        state = _TRANSFER_STATES.get(status)
        if state is None:
            raise self._caller.unreadable(endpoint, f"transfer {ticket.client_id} is {status!r}")
        return TransferReport(
            client_id=ticket.client_id,
            venue_transfer_id=_transfer_id(ticket),
            state=state,
            fee=_ZERO,
            time_ns=time_ns,
        )

    async def _span(self, since_ms: int, longest_ms: int) -> dict[str, str]:
        now_ms = await self._caller.now_ns() // _NS_PER_MS
        return {"startTime": str(since_ms), "endTime": str(min(since_ms + longest_ms, max(now_ms, since_ms)))}

    async def _withdraw(self, ticket: TransferTicket) -> TransferReport:
        self._allowed.require(ticket)
        source = _WITHDRAWN_FROM.get(ticket.source)
        if source is None:
            text = f"bybit withdraws from {Wallet.UNIFIED} and {Wallet.FUNDING}, not from {ticket.source}"
            raise Rejected("VEN-001", f"withdrawal {ticket.client_id} was not sent: {text}")
        fee = self._allowed.require_fee(ticket, await self._fee(ticket))
        params: dict[str, str | int | bool] = {
            "coin": ticket.token,
            "chain": str(ticket.network),
            "address": str(ticket.address),
            "amount": plain_text(ticket.amount),
            "timestamp": await self._caller.now_ns() // _NS_PER_MS,
            "accountType": source,
            # On the chain, whoever the address belongs to, and with the fee on top of what arrives.
            "forceChain": 1,
            "feeType": 0,
            "requestId": ticket.client_id,
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
        coins = await self._caller.ask(COINS, {"coin": ticket.token}, CoinsPage, urgent=True)
        for coin in coins.rows:
            for chain in coin.chains:
                if (coin.coin, chain.chain) == (ticket.token, ticket.network):
                    fee, share = number(chain.withdraw_fee), number(chain.withdraw_percentage_fee) or _ZERO
                    if fee is not None and chain.chain_withdraw == "1":
                        return fee + ticket.amount / (_ONE - share) * share
                    text = f"bybit sends no {ticket.token} over {ticket.network} at present"
                    raise Transient("VEN-003", f"withdrawal {ticket.client_id} was not sent: {text}")
        text = f"bybit knows no network {ticket.network!r} for {ticket.token}; mend api.withdrawal_addresses"
        raise Rejected("VEN-001", f"withdrawal {ticket.client_id} was not sent: {text}")

    async def _withdrawn(self, ticket: TransferTicket, since_ms: int) -> TransferReport | None:
        params = {
            "coin": ticket.token,
            "withdrawType": "2",
            "limit": "50",
            **await self._span(since_ms, _WITHDRAWAL_SPAN_MS),
        }
        goal = (ticket.network, ticket.address, ticket.amount)
        rows = [row async for row in pages(self._caller, WITHDRAWALS, params, Records[WithdrawalRow], urgent=True)]
        same = [row for row in rows if (row.chain, row.to_address, row.amount) == goal and row.create_time >= since_ms]
        if not same:
            return None
        first = min(same, key=lambda row: (row.create_time, row.withdraw_id))
        state = _WITHDRAWAL_STATES.get(first.status)
        if state is None:
            raise self._caller.unreadable(WITHDRAWALS, f"withdrawal {first.withdraw_id} has status {first.status!r}")
        return TransferReport(
            client_id=ticket.client_id,
            venue_transfer_id=first.withdraw_id,
            state=state,
            fee=number(first.withdraw_fee) or _ZERO,
            time_ns=first.create_time * _NS_PER_MS,
        )


def _transfer_id(ticket: TransferTicket) -> str:
    return str(uuid5(_IDS, ticket.client_id))
