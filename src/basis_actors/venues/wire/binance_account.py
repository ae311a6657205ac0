"""Reads what a Binance account holds, and what changed it other than trades and transfers of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container, Iterator
from decimal import Decimal
from typing import Final, TypeVar

from basis_actors.messages.exchange import AccountState, Payment, PaymentKind, PerpHolding, Wallet, WalletBalance
from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.binance_endpoints import DEPOSITS, SPOT_ACCOUNT, WITHDRAWALS, Family, Futures
from basis_actors.venues.wire.binance_markets import Markets
from basis_actors.venues.wire.binance_rows import (
    DepositRow,
    FuturesAccountRow,
    IncomeRow,
    PositionRow,
    SpotAccountRow,
    WithdrawalRow,
)
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.everything import Everything

__all__ = ["BinanceAccount"]

_NS_PER_MS: Final = 1_000_000
_R = TypeVar("_R")
_ONE_WAY: Final = "BOTH"
_PAGE: Final = 1000
"""Most rows of one answer."""
_LONGEST_MS: Final = 90 * 86_400_000
"""Span of one question for deposits or withdrawals."""
_CREDITED: Final = 1
_NEVER_SENT: Final = frozenset({1, 3, 5})
"""Withdrawals that were cancelled, rejected, failed."""
_OURS: Final = frozenset({"REALIZED_PNL", "COMMISSION", "TRANSFER"})
"""Income of trades, which the trades tell of, and of transfers between the account's own purses."""
_KINDS: Final = {"FUNDING_FEE": PaymentKind.FUNDING, "INSURANCE_CLEAR": PaymentKind.LIQUIDATION_FEE}


class BinanceAccount:
    """Balances, positions and payments in the purses of the configured markets."""

    def __init__(self, caller: Caller, markets: Markets) -> None:
        self._caller = caller
        self._markets = markets

    async def state(self) -> AccountState:
        """Balances and positions. A perpetual counts as known only where two answers say the same of it."""
        asked_ns = await self._caller.now_ns()
        balances: list[WalletBalance] = []
        holdings: list[PerpHolding] = []
        known: set[str] = set()
        for family in self._markets.families:
            if family.futures is None:
                balances += await self._spot()
                continue
            account = await self._caller.ask(family.futures.account, {}, FuturesAccountRow, urgent=True)
            rows = await self._caller.ask(family.futures.positions, {}, tuple[PositionRow, ...], urgent=True)
            balances += [
                WalletBalance(family.wallet, row.asset, row.wallet_balance, max(row.max_withdraw_amount, Decimal(0)))
                for row in account.assets
                if row.wallet_balance
            ]
            doubtful = _doubtful(account, rows)
            holdings += [
                await self._holding(family, row) for row in rows if row.position_amt and row.symbol not in doubtful
            ]
            known |= {listing.pair for listing in self._markets.of(family) if listing.symbol not in doubtful}
        return AccountState(tuple(balances), tuple(holdings), frozenset(known), asked_ns)

    async def payments(self, since_ns: int) -> tuple[Payment, ...]:
        """Funding, fees of liquidations, deposits, withdrawals that are not ours, from `since_ns` on, oldest first."""
        now_ms = await self._caller.now_ns() // _NS_PER_MS
        since_ms = -(-since_ns // _NS_PER_MS)
        found: list[Payment] = []
        for family in self._markets.families:
            if family.futures is not None:
                found += [payment async for payment in self._income(family, family.futures, since_ms, now_ms)]
        found += [payment async for payment in self._deposits(since_ms, now_ms)]
        found += [payment async for payment in self._withdrawals(since_ms, now_ms)]
        return tuple(sorted(found, key=lambda payment: (payment.time_ns, payment.payment_id)))

    async def _spot(self) -> list[WalletBalance]:
        account = await self._caller.ask(SPOT_ACCOUNT, {"omitZeroBalances": "true"}, SpotAccountRow, urgent=True)
        return [
            WalletBalance(Wallet.SPOT, row.asset, row.free + row.locked, row.free)
            for row in account.balances
            if row.free + row.locked
        ]

    async def _holding(self, family: Family, row: PositionRow) -> PerpHolding:
        if row.position_side != _ONE_WAY:
            assert family.futures is not None
            text = f"{row.symbol} is held {row.position_side}; the account must hold one-way positions"
            raise self._caller.unreadable(family.futures.positions, text)
        if row.entry_price <= 0 or row.mark_price <= 0:
            assert family.futures is not None
            text = f"{row.symbol} was entered at {row.entry_price} and is marked at {row.mark_price}"
            raise self._caller.unreadable(family.futures.positions, text)
        return PerpHolding(
            pair=self._markets.pair_of(family, row.symbol),
            size=row.position_amt * await self._markets.contract(family, row.symbol),
            entry=row.entry_price,
            mark=row.mark_price,
            liquidation=row.liquidation_price or None,
        )

    async def _income(self, family: Family, futures: Futures, since_ms: int, until_ms: int) -> AsyncIterator[Payment]:
        async for row in self._pages(futures.income, since_ms, until_ms):
            if row.income_type in _OURS:
                continue
            yield Payment(
                payment_id=f"{family.wallet}:{row.name}",
                kind=_KINDS.get(row.income_type, PaymentKind.OTHER),
                wallet=family.wallet,
                token=row.asset,
                amount=row.income,
                pair=self._markets.pair_of(family, row.symbol) if row.symbol else None,
                time_ns=row.time * _NS_PER_MS,
            )

    async def _pages(self, endpoint: Endpoint, since_ms: int, until_ms: int) -> AsyncIterator[IncomeRow]:
        """Go on from the time of the last row; rows of that very time come again and are told once."""
        told: set[str] = set()
        begin, full = since_ms, True
        while full:
            params = {"startTime": str(begin), "endTime": str(until_ms), "limit": str(_PAGE)}
            # Without it no order is known to be booked right, one that reduces risk included.
            rows = await self._caller.ask(endpoint, params, tuple[IncomeRow, ...], urgent=True)
            for row in rows:
                if row.name not in told:
                    yield row
            full = len(rows) == _PAGE
            if full and rows[-1].time <= begin and told.issuperset(row.name for row in rows):
                raise self._caller.unreadable(
                    endpoint, f"more than {_PAGE} entries at {begin} ms cannot be paged through"
                )
            told.update(row.name for row in rows)
            begin = max((row.time for row in rows), default=begin)

    async def _deposits(self, since_ms: int, until_ms: int) -> AsyncIterator[Payment]:
        for params in _spans(since_ms, until_ms):
            async for row in self._offsets(DEPOSITS, params, DepositRow):
                if row.status == _CREDITED:
                    yield _moved(PaymentKind.DEPOSIT, row.id or row.tx_id, row.coin, row.amount, row.insert_time)

    async def _withdrawals(self, since_ms: int, until_ms: int) -> AsyncIterator[Payment]:
        for params in _spans(since_ms, until_ms):
            async for row in self._offsets(WITHDRAWALS, params, WithdrawalRow):
                # One with an id of its sender's choice was sent by a program, and `moved` tells of ours.
                if row.withdraw_order_id:
                    continue
                amount = row.amount + row.transaction_fee
                yield _moved(PaymentKind.WITHDRAWAL, row.id, row.coin, -amount, row.applied_ms)
                if row.status in _NEVER_SENT:
                    # It may have been told before it came back; when that was is not said.
                    yield _moved(PaymentKind.WITHDRAWAL, f"{row.id}:returned", row.coin, amount, row.applied_ms)

    async def _offsets(self, endpoint: Endpoint, span: dict[str, str], shape: type[_R]) -> AsyncIterator[_R]:
        offset, last = 0, None
        while last is None or len(last) == _PAGE:
            params = {**span, "offset": str(offset), "limit": str(_PAGE)}
            rows: tuple[_R, ...] = await self._caller.ask(endpoint, params, tuple[shape, ...])  # type: ignore[valid-type]
            if rows and rows == last:
                raise self._caller.unreadable(endpoint, f"the page at {offset} is the one before it")
            for row in rows:
                yield row
            offset, last = offset + _PAGE, rows


def _doubtful(account: FuturesAccountRow, rows: tuple[PositionRow, ...]) -> Container[str]:
    """Symbols on which the account and the list of positions differ; all when margin is held for none that is named.

    A position that is missing is a flat one by the exchange's documentation, and also what a failing one looks like.
    """
    by_account = {row.symbol: row.position_amt for row in account.positions if row.position_amt}
    by_list = {row.symbol: row.position_amt for row in rows if row.position_amt}
    if not by_account and not by_list and any(row.position_initial_margin for row in account.assets):
        return Everything()
    return frozenset(symbol for symbol, _amount in by_account.items() ^ by_list.items())


def _spans(since_ms: int, until_ms: int) -> Iterator[dict[str, str]]:
    for begin in range(since_ms, until_ms + 1, _LONGEST_MS):
        yield {"startTime": str(begin), "endTime": str(min(begin + _LONGEST_MS - 1, until_ms))}


def _moved(kind: PaymentKind, name: str, token: str, amount: Decimal, time_ms: int) -> Payment:
    return Payment(
        payment_id=f"{kind}:{name}",
        kind=kind,
        wallet=Wallet.SPOT,
        token=token,
        amount=amount,
        pair=None,
        time_ns=time_ms * _NS_PER_MS,
    )
