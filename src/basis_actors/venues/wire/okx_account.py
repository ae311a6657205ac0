"""Reads what an OKX account holds, and what changed it other than trades and transfers of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container
from decimal import Decimal
from typing import Final, TypeVar

from basis_actors.messages.exchange import AccountState, Payment, PaymentKind, PerpHolding, Wallet, WalletBalance
from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.everything import Everything
from basis_actors.venues.wire.okx_endpoints import (
    BALANCE,
    BILLS,
    BILLS_OF_MONTHS,
    POSITIONS,
    PURSE,
    PURSE_BILLS,
    PURSE_BILLS_OF_YEARS,
    RISK,
)
from basis_actors.venues.wire.okx_markets import KIND, Markets, pair_of
from basis_actors.venues.wire.okx_pages import pages
from basis_actors.venues.wire.okx_rows import BalanceRow, BillRow, CoinRow, PositionRow, PurseBillRow, PurseRow, RiskRow
from basis_actors.venues.wire.rows import number

__all__ = ["OkxAccount"]

T = TypeVar("T")
_NS_PER_MS: Final = 1_000_000
_HOUR_MS: Final = 3_600_000
_BILLS_MS: Final = 7 * 24 * _HOUR_MS - _HOUR_MS
_PURSE_BILLS_MS: Final = 28 * 24 * _HOUR_MS
"""How far back recent entries are listed, a week and a month, less a little."""
_CONTRACTS: Final = frozenset({KIND, "FUTURES"})
"""What is held in contracts; options are too, but have another sort of price."""
_ZERO: Final = Decimal(0)
_TRANSFER, _TRADE, _LIQUIDATION, _FUNDING, _DELEVERAGING = "1", "2", "5", "8", "9"
_OURS: Final = frozenset({_TRANSFER, _TRADE})
"""Entries of transfers between the account's own purses, and of trades, which the trades tell of."""
_OF_ORDERS: Final = frozenset({_LIQUIDATION, _DELEVERAGING})
"""Those of an order are trades; the others are what is taken besides."""
_KINDS: Final = {_FUNDING: PaymentKind.FUNDING, _LIQUIDATION: PaymentKind.LIQUIDATION_FEE}
_DEPOSITED, _WITHDRAWN, _WITHDRAWAL_CANCELLED = "1", "2", "13"
_BETWEEN_PURSES: Final = frozenset({"130", "131"})
_PURSE_KINDS: Final = {
    _DEPOSITED: PaymentKind.DEPOSIT,
    _WITHDRAWN: PaymentKind.WITHDRAWAL,
    _WITHDRAWAL_CANCELLED: PaymentKind.WITHDRAWAL,
}


class OkxAccount:
    """Balances, positions and payments of the trading account and the funding purse."""

    def __init__(self, caller: Caller, markets: Markets) -> None:
        self._caller = caller
        self._markets = markets

    async def state(self) -> AccountState:
        """Balances and positions. A perpetual counts as known only where two answers say the same of it."""
        asked_ns = await self._caller.now_ns()
        ask = self._caller.ask
        balance = await self._only(BALANCE, BalanceRow)
        rows = await ask(POSITIONS, {}, tuple[PositionRow, ...], urgent=True)
        risk = await self._only(RISK, RiskRow)
        balances = [
            WalletBalance(Wallet.UNIFIED, row.ccy, row.cash_bal, max(min(row.cash_bal, _available(row)), _ZERO))
            for row in balance.details
            if row.cash_bal
        ]
        balances += [
            WalletBalance(Wallet.FUNDING, row.ccy, row.bal, row.avail_bal)
            for row in await ask(PURSE, {}, tuple[PurseRow, ...], urgent=True)
            if row.bal
        ]
        doubtful = _doubtful(balance, rows, risk)
        holdings = [await self._holding(row) for row in rows if row.pos and row.inst_id not in doubtful]
        known = {listing.pair for listing in self._markets.all if listing.symbol not in doubtful}
        return AccountState(tuple(balances), tuple(holdings), frozenset(known), asked_ns)

    async def payments(self, since_ns: int) -> tuple[Payment, ...]:
        """Funding and the like, deposits, withdrawals that are not ours, from `since_ns` on, oldest first."""
        age_ms = await self._caller.now_ns() // _NS_PER_MS
        since_ms = -(-since_ns // _NS_PER_MS)
        age_ms -= since_ms
        found = [payment async for payment in self._bills(since_ms, BILLS if age_ms < _BILLS_MS else BILLS_OF_MONTHS)]
        purse = PURSE_BILLS if age_ms < _PURSE_BILLS_MS else PURSE_BILLS_OF_YEARS
        found += [payment async for payment in self._purse_bills(since_ms, purse)]
        return tuple(sorted(found, key=lambda payment: (payment.time_ns, payment.payment_id)))

    async def _only(self, endpoint: Endpoint, shape: type[T]) -> T:
        rows = await self._caller.ask(endpoint, {}, tuple[shape, ...], urgent=True)  # type: ignore[valid-type]
        if len(rows) != 1:
            raise self._caller.unreadable(endpoint, f"it has {len(rows)} rows, one was expected")
        found: T = rows[0]
        return found

    async def _holding(self, row: PositionRow) -> PerpHolding:
        if row.inst_type not in _CONTRACTS:
            text = f"{row.inst_id} is held as {row.inst_type}; close it, what it is worth is not reckoned with here"
            raise self._caller.unreadable(POSITIONS, text)
        entry, mark = number(row.avg_px), number(row.mark_px)
        if (row.pos_side, row.mgn_mode) != ("net", "cross"):
            text = f"{row.inst_id} is held {row.pos_side} with {row.mgn_mode} margin; net positions with cross margin"
            raise self._caller.unreadable(POSITIONS, f"{text} were expected")
        if entry is None or mark is None or entry <= 0 or mark <= 0:
            text = f"{row.inst_id} was entered at {row.avg_px or 'no price'} and is marked at"
            raise self._caller.unreadable(POSITIONS, f"{text} {row.mark_px or 'none'}")
        return PerpHolding(
            pair=pair_of(row.inst_id),
            size=row.pos * await self._markets.contract(row.inst_id, row.inst_type),
            entry=entry,
            mark=mark,
            liquidation=number(row.liq_px) or None,
        )

    async def _bills(self, since_ms: int, endpoint: Endpoint) -> AsyncIterator[Payment]:
        rows = pages(
            self._caller,
            endpoint,
            {"begin": str(since_ms - 1)},
            BillRow,
            name=lambda row: row.bill_id,
            after=lambda row: row.bill_id,
        )
        async for row in rows:
            if row.type in _OURS or (row.type in _OF_ORDERS and row.ord_id) or not row.bal_chg or row.ts < since_ms:
                continue
            yield Payment(
                payment_id=f"bill:{row.bill_id}",
                kind=_KINDS.get(row.type, PaymentKind.OTHER),
                wallet=Wallet.UNIFIED,
                token=row.ccy,
                amount=row.bal_chg,
                pair=pair_of(row.inst_id) if row.inst_id else None,
                time_ns=row.ts * _NS_PER_MS,
            )

    async def _purse_bills(self, since_ms: int, endpoint: Endpoint) -> AsyncIterator[Payment]:
        # A page goes on by time here: what happened in the very millisecond of the last row is asked for once more.
        rows = pages(
            self._caller,
            endpoint,
            {},
            PurseBillRow,
            name=lambda row: row.bill_id,
            after=lambda row: str(row.ts + 1),
            enough=lambda row: row.ts < since_ms,
        )
        async for row in rows:
            kind = _PURSE_KINDS.get(row.type, PaymentKind.OTHER)
            # One with an id of its sender's choice was sent by a program, and `moved` tells of ours.
            ours = kind is PaymentKind.WITHDRAWAL and row.client_id
            if row.type in _BETWEEN_PURSES or ours or not row.bal_chg:
                continue
            yield Payment(
                payment_id=f"purse:{row.bill_id}",
                kind=kind,
                wallet=Wallet.FUNDING,
                token=row.ccy,
                amount=row.bal_chg,
                pair=None,
                time_ns=row.ts * _NS_PER_MS,
            )


def _available(row: CoinRow) -> Decimal:
    """What no position or order needs."""
    shown = number(row.avail_eq)
    return (number(row.avail_bal) or _ZERO) if shown is None else shown


def _doubtful(balance: BalanceRow, rows: tuple[PositionRow, ...], risk: RiskRow) -> Container[str]:
    """Symbols on which the list of positions and the picture of the account differ; all when margin is held for none.

    A position that is missing is a flat one by the exchange's documentation, and also what a failing one looks like.
    """
    listed = [(row.inst_id, row.pos) for row in rows if row.pos]
    pictured = [(row.inst_id, row.pos) for row in risk.pos_data if row.pos]
    if not listed and not pictured and any(number(row.imr) for row in balance.details):
        return Everything()
    return frozenset(symbol for symbol, _size in set(listed) ^ set(pictured))
