"""Reads what a Bybit account holds, and what changed it other than trades and transfers of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from typing import Final

from basis_actors.messages.exchange import AccountState, Payment, PaymentKind, PerpHolding, Wallet, WalletBalance
from basis_actors.venues.wire.allow_list import AllowList
from basis_actors.venues.wire.bybit_endpoints import DEPOSITS, FUNDING_PURSE, LOG, POSITIONS, WALLET, WITHDRAWALS
from basis_actors.venues.wire.bybit_markets import QUOTE, Category, Markets, pair_of
from basis_actors.venues.wire.bybit_pages import pages, spans
from basis_actors.venues.wire.bybit_rows import (
    DepositRow,
    EntryRow,
    Page,
    PositionRow,
    PurseRow,
    Records,
    WalletsRow,
    WithdrawalRow,
)
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.rows import number

__all__ = ["BybitAccount"]

_NS_PER_MS: Final = 1_000_000
_DAY_MS: Final = 86_400_000
_LOG_SPAN_MS: Final = 7 * _DAY_MS
_RECORDS_SPAN_MS: Final = 30 * _DAY_MS - 1
"""Longest spans of one question."""
_SLOWEST_MS: Final = _DAY_MS
"""How long a deposit may take: it is listed by when it was seen, and counts from when it was credited."""
_PAGE: Final = "50"
_POSITIONS: Final = "200"
"""Most rows of one answer."""
_OURS: Final = frozenset({"TRADE", "LIQUIDATION", "ADL", "DELIVERY", "TRANSFER_IN", "TRANSFER_OUT"})
"""Entries of trades, which the trades tell of, and of transfers between the account's own purses."""
_KINDS: Final = {"SETTLEMENT": PaymentKind.FUNDING}
_CREDITED: Final = frozenset({3, 10012})
_NEVER_SENT: Final = frozenset({"CancelByUser", "Reject", "Fail"})
_ZERO: Final = Decimal(0)


class BybitAccount:
    """Balances, positions and payments of a unified account and its funding purse."""

    def __init__(self, caller: Caller, markets: Markets, allowed: AllowList) -> None:
        self._caller = caller
        self._markets = markets
        self._allowed = allowed

    async def state(self) -> AccountState:
        """Balances and positions. A perpetual counts as known only where two answers say the same of it."""
        asked_ns = await self._caller.now_ns()
        balances = await self._balances()
        listings = self._markets.of(Category.LINEAR)
        if not listings:
            return AccountState(tuple(balances), (), frozenset(), asked_ns)
        listed = await self._listed()
        holdings: list[PerpHolding] = []
        known: set[str] = set()
        for listing in listings:
            # Asked for by its name, a market is in the answer even when nothing is held there.
            params = {"category": listing.category.value, "symbol": listing.symbol}
            page = await self._caller.ask(POSITIONS, params, Page[PositionRow], urgent=True)
            rows = [row for row in page.list if row.symbol == listing.symbol]
            held, shown = self._net(rows), self._net(listed.pop(listing.symbol, ()))
            if not rows or (held is not None) != (shown is not None):
                continue
            if held is not None and shown is not None and held.signed != shown.signed:
                continue
            known.add(listing.pair)
            if held is not None:
                holdings.append(self._holding(held))
        strangers = (self._net(rows) for rows in listed.values())
        holdings += [self._holding(row) for row in strangers if row is not None]
        return AccountState(tuple(balances), tuple(holdings), frozenset(known), asked_ns)

    async def payments(self, since_ns: int) -> tuple[Payment, ...]:
        """Funding, interest and the like, deposits, withdrawals that are not ours, from `since_ns` on, oldest first."""
        now_ms = await self._caller.now_ns() // _NS_PER_MS
        since_ms = -(-since_ns // _NS_PER_MS)
        found = [payment async for payment in self._entries(since_ms, now_ms)]
        found += [payment async for payment in self._deposits(since_ms, now_ms)]
        found += [payment async for payment in self._withdrawals(since_ms, now_ms)]
        return tuple(sorted(found, key=lambda payment: (payment.time_ns, payment.payment_id)))

    async def _balances(self) -> list[WalletBalance]:
        params = {"accountType": "UNIFIED"}
        wallets = await self._caller.ask(WALLET, params, WalletsRow, urgent=True)
        found = []
        for row in (coin for wallet in wallets.list for coin in wallet.coin):
            bound = (number(part) or _ZERO for part in (row.locked, row.total_order_im, row.total_position_im))
            free = max(min(row.wallet_balance, row.equity) - sum(bound, _ZERO), _ZERO)
            found.append(WalletBalance(Wallet.UNIFIED, row.coin, row.wallet_balance, free))
        purse = await self._caller.ask(FUNDING_PURSE, {"accountType": "FUND"}, PurseRow, urgent=True)
        for coin in purse.balance:
            free = max(number(coin.transfer_balance) or _ZERO, _ZERO)
            found.append(WalletBalance(Wallet.FUNDING, coin.coin, coin.wallet_balance, free))
        return [balance for balance in found if balance.total]

    async def _listed(self) -> dict[str, tuple[PositionRow, ...]]:
        """Every position that there is, by symbol."""
        found: dict[str, tuple[PositionRow, ...]] = {}
        params = {"category": Category.LINEAR.value, "settleCoin": QUOTE, "limit": _POSITIONS}
        async for row in pages(self._caller, POSITIONS, params, Page[PositionRow], urgent=True):
            found[row.symbol] = (*found.get(row.symbol, ()), row)
        return found

    def _net(self, rows: Iterable[PositionRow]) -> PositionRow | None:
        """The position among the rows of one market; None where it is flat."""
        held = [row for row in rows if row.size]
        for row in held:
            if row.position_idx:
                text = f"{row.symbol} is held {row.side} in two-way mode; the account must hold one-way positions"
                raise self._caller.unreadable(POSITIONS, text)
        if len(held) > 1:
            raise self._caller.unreadable(POSITIONS, f"{held[0].symbol} is there {len(held)} times")
        return held[0] if held else None

    def _holding(self, row: PositionRow) -> PerpHolding:
        entry, mark = number(row.avg_price), number(row.mark_price)
        if entry is None or mark is None or entry <= 0 or mark <= 0:
            text = f"{row.symbol} was entered at {row.avg_price or 'no price'} and is marked at"
            raise self._caller.unreadable(POSITIONS, f"{text} {row.mark_price or 'none'}")
        return PerpHolding(
            pair=pair_of(Category.LINEAR, row.symbol),
            size=row.signed,
            entry=entry,
            mark=mark,
            liquidation=number(row.liq_price) or None,
        )

    async def _entries(self, since_ms: int, until_ms: int) -> AsyncIterator[Payment]:
        for span in spans(since_ms, until_ms, _LOG_SPAN_MS):
            params = {"accountType": "UNIFIED", **span, "limit": _PAGE}
            async for row in pages(self._caller, LOG, params, Page[EntryRow]):
                if row.type in _OURS or not row.change:
                    continue
                yield Payment(
                    payment_id=f"log:{row.name}",
                    kind=_KINDS.get(row.type, PaymentKind.OTHER),
                    wallet=Wallet.UNIFIED,
                    token=row.currency,
                    amount=row.change,
                    pair=pair_of(Category.LINEAR, row.symbol) if row.type in _KINDS else None,
                    time_ns=row.transaction_time * _NS_PER_MS,
                )

    async def _deposits(self, since_ms: int, until_ms: int) -> AsyncIterator[Payment]:
        for span in spans(since_ms - _SLOWEST_MS, until_ms, _RECORDS_SPAN_MS):
            params = {**span, "limit": _PAGE}
            async for row in pages(self._caller, DEPOSITS, params, Records[DepositRow]):
                credited_ms = int(row.success_at or 0)
                if row.status in _CREDITED and credited_ms >= since_ms:
                    name = row.id or f"{row.tx_id}:{row.tx_index}"
                    yield _moved(PaymentKind.DEPOSIT, f"deposit:{name}", row.coin, row.amount, credited_ms)

    async def _withdrawals(self, since_ms: int, until_ms: int) -> AsyncIterator[Payment]:
        for span in spans(since_ms, until_ms, _RECORDS_SPAN_MS):
            params = {**span, "withdrawType": "2", "limit": _PAGE}
            async for row in pages(self._caller, WITHDRAWALS, params, Records[WithdrawalRow]):
                # A record does not name the id that its sender chose. What goes to a listed address counts as sent by
                # a program, and `moved` tells of it.
                if self._allowed.has(row.coin, row.chain, row.to_address):
                    continue
                amount = row.amount + (number(row.withdraw_fee) or _ZERO)
                yield _moved(PaymentKind.WITHDRAWAL, row.withdraw_id, row.coin, -amount, row.create_time)
                if row.status in _NEVER_SENT:
                    # It may have been told before it came back; when that was is not said.
                    name = f"{row.withdraw_id}:returned"
                    yield _moved(PaymentKind.WITHDRAWAL, name, row.coin, amount, row.create_time)


def _moved(kind: PaymentKind, name: str, token: str, amount: Decimal, time_ms: int) -> Payment:
    return Payment(
        payment_id=name,
        kind=kind,
        wallet=Wallet.FUNDING,
        token=token,
        amount=amount,
        pair=None,
        time_ns=time_ms * _NS_PER_MS,
    )
