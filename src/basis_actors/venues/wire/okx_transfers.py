"""Moves tokens between OKX's purses, withdraws them to listed addresses, and finds out what became of it.

Everything has an id of ours. Withdrawals leave the funding purse: what it lacks is moved there first.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from basis_actors.errors import Rejected, Transient, UnknownOutcome
from basis_actors.messages.exchange import TransferReport, TransferState, TransferTicket, Wallet
from basis_actors.venues.wire.allow_list import AllowList
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.exact import plain_text
from basis_actors.venues.wire.okx_endpoints import (
    CURRENCIES,
    PURSE,
    TRANSFER,
    TRANSFER_STATE,
    WITHDRAW,
    WITHDRAWALS,
)
from basis_actors.venues.wire.okx_rows import CurrencyRow, PurseRow, Transferred, TransferRow, WithdrawalRow, Withdrawn
from basis_actors.venues.wire.rows import number

__all__ = ["OkxTransfers"]

_NS_PER_MS: Final = 1_000_000
_PURSES: Final = {Wallet.UNIFIED: "18", Wallet.FUNDING: "6"}
_ON_CHAIN: Final = "4"
_NO_SUCH_TRANSFER: Final = frozenset({"58129"})
_TRANSFER_STATES: Final = {
    "success": TransferState.DONE,
    "pending": TransferState.PENDING,
    "failed": TransferState.FAILED,
}
_FAILED, _DONE = frozenset({"-2", "-1"}), "2"
_PENDING: Final = frozenset({"-3", "0", "1", "4", "5", "6", "7", "8", "9", "10", "12", "15", "16", "17", "19"})
_ZERO: Final = Decimal(0)


class OkxTransfers:
    """Transfers and withdrawals of the account."""

    def __init__(self, caller: Caller, allowed: AllowList) -> None:
        self._caller = caller
        self._allowed = allowed

    async def move(self, ticket: TransferTicket) -> TransferReport:
        """Send a transfer or a withdrawal, once. Raises Rejected VEN-001 for one that is not allowed or possible."""
        if ticket.target is None:
            return await self._withdraw(ticket)
        if ticket.source == ticket.target or not _PURSES.keys() >= {ticket.source, ticket.target}:
            text = f"okx moves tokens between {Wallet.UNIFIED} and {Wallet.FUNDING} only"
            raise Rejected(
                "VEN-001", f"transfer {ticket.client_id} from {ticket.source} to {ticket.target} was not sent: {text}"
            )
        done = await self._transfer(ticket, ticket.amount, ticket.source, ticket.target, ticket.client_id)
        # That it was taken does not mean that it was done.
        return await self._report(ticket, done, TransferState.PENDING)

    async def moved(self, ticket: TransferTicket, since_ns: int) -> TransferReport | None:  # noqa: ARG002 (by id alone)
        """What became of a transfer or withdrawal; None when none is known."""
        if ticket.target is None:
            return await self._withdrawn(ticket)
        params = {"clientId": ticket.client_id, "type": "0"}
        shape = tuple[TransferRow, ...]
        rows = await self._caller.find(TRANSFER_STATE, params, shape, absent=_NO_SUCH_TRANSFER, urgent=True)
        for row in rows or ():
            if row.client_id == ticket.client_id:
                state = _TRANSFER_STATES.get(row.state)
                if state is None:
                    raise self._caller.unreadable(TRANSFER_STATE, f"transfer {row.trans_id} is {row.state!r}")
                return await self._report(ticket, row.trans_id, state)
        return None

    async def _transfer(
        self, ticket: TransferTicket, amount: Decimal, source: Wallet, target: Wallet, client_id: str
    ) -> str:
        """The exchange's id of a transfer that it has taken."""
        params = {
            "ccy": ticket.token,
            "amt": plain_text(amount),
            "from": _PURSES[source],
            "to": _PURSES[target],
            "type": "0",
            "clientId": client_id,
        }
        rows = await self._caller.ask(TRANSFER, params, tuple[Transferred, ...], urgent=True)
        if len(rows) != 1:
            raise self._caller.unreadable(TRANSFER, f"it has {len(rows)} rows, one was expected")
        return rows[0].trans_id

    async def _report(self, ticket: TransferTicket, name: str, state: TransferState) -> TransferReport:
        """Of a transfer the exchange does not say when it was."""
        return TransferReport(
            client_id=ticket.client_id,
            venue_transfer_id=name,
            state=state,
            fee=_ZERO,
            time_ns=await self._caller.now_ns(),
        )

    async def _withdraw(self, ticket: TransferTicket) -> TransferReport:
        self._allowed.require(ticket)
        if ticket.source not in _PURSES:
            text = f"okx withdraws from {Wallet.UNIFIED} and {Wallet.FUNDING}, not from {ticket.source}"
            raise Rejected("VEN-001", f"withdrawal {ticket.client_id} was not sent: {text}")
        fee = self._allowed.require_fee(ticket, await self._fee(ticket))
        if ticket.source is Wallet.UNIFIED:
            await self._bring(ticket, ticket.amount + fee)
        params = {
            "ccy": ticket.token,
            "chain": str(ticket.network),
            "toAddr": str(ticket.address),
            # What arrives; the fee comes on top.
            "amt": plain_text(ticket.amount),
            "dest": _ON_CHAIN,
            "clientId": ticket.client_id,
        }
        rows = await self._caller.ask(WITHDRAW, params, tuple[Withdrawn, ...])
        if len(rows) != 1:
            raise self._caller.unreadable(WITHDRAW, f"it has {len(rows)} rows, one was expected")
        return TransferReport(
            client_id=ticket.client_id,
            venue_transfer_id=rows[0].wd_id,
            state=TransferState.PENDING,
            fee=fee,
            time_ns=await self._caller.now_ns(),
        )

    async def _bring(self, ticket: TransferTicket, needed: Decimal) -> None:
        """Move to the funding purse what it lacks. Whether that happened or not, nothing has left the account by it."""
        rows = await self._caller.ask(PURSE, {"ccy": ticket.token}, tuple[PurseRow, ...], urgent=True)
        lacking = needed - sum((row.avail_bal for row in rows if row.ccy == ticket.token), _ZERO)
        if lacking <= 0:
            return
        # An id of its own each time: what is lacking may be another amount when somebody tries again.
        name = f"b{await self._caller.now_ns() // _NS_PER_MS}"
        try:
            await self._transfer(ticket, lacking, Wallet.UNIFIED, Wallet.FUNDING, name)
        except UnknownOutcome as error:
            problem = error.message
        else:
            return
        text = f"{lacking} {ticket.token} may or may not have come to the purse that it leaves: {problem}"
        raise Transient("VEN-003", f"withdrawal {ticket.client_id} was not sent: {text}")

    async def _fee(self, ticket: TransferTicket) -> Decimal:
        """What a withdrawal costs now, in its token. Raises Transient VEN-003 while the network takes none."""
        rows = await self._caller.ask(CURRENCIES, {"ccy": ticket.token}, tuple[CurrencyRow, ...], urgent=True)
        for row in rows:
            if (row.ccy, row.chain) == (ticket.token, ticket.network):
                fee, burnt = number(row.fee), number(row.burning_fee_rate) or _ZERO
                if fee is not None and row.can_wd:
                    return fee + ticket.amount * burnt
                text = f"okx sends no {ticket.token} over {ticket.network} at present"
                raise Transient("VEN-003", f"withdrawal {ticket.client_id} was not sent: {text}")
        text = f"okx knows no network {ticket.network!r} for {ticket.token}; mend api.withdrawal_addresses"
        raise Rejected("VEN-001", f"withdrawal {ticket.client_id} was not sent: {text}")

    async def _withdrawn(self, ticket: TransferTicket) -> TransferReport | None:
        params = {"ccy": ticket.token, "clientId": ticket.client_id}
        rows = await self._caller.ask(WITHDRAWALS, params, tuple[WithdrawalRow, ...], urgent=True)
        for row in rows:
            if row.client_id == ticket.client_id:
                return TransferReport(
                    client_id=ticket.client_id,
                    venue_transfer_id=row.wd_id,
                    state=self._state_of(row),
                    fee=(number(row.fee) or _ZERO) if row.fee_ccy in ("", ticket.token) else _ZERO,
                    time_ns=row.ts * _NS_PER_MS,
                )
        return None

    def _state_of(self, row: WithdrawalRow) -> TransferState:
        if row.state == _DONE:
            return TransferState.DONE
        if row.state in _FAILED:
            return TransferState.FAILED
        if row.state in _PENDING:
            return TransferState.PENDING
        raise self._caller.unreadable(WITHDRAWALS, f"withdrawal {row.wd_id} has state {row.state!r}")
