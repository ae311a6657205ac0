"""Defines the parts of Bybit's answers that are used, under its own names, numbers as exact decimals."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Generic, TypeVar

import msgspec

from basis_actors.venues.wire.rows import Milliseconds, MillisecondsText, Number, Row

__all__ = [
    "AccountRow",
    "Acknowledged",
    "Clock",
    "CoinsPage",
    "Confirmation",
    "DepositRow",
    "EntryRow",
    "ExecutionRow",
    "KeyRow",
    "MarketRow",
    "OrderRow",
    "Page",
    "PositionRow",
    "PurseRow",
    "Records",
    "TransferRow",
    "Transferred",
    "WalletsRow",
    "WithdrawalRow",
    "Withdrawn",
]

T = TypeVar("T")


class Page(Row, Generic[T]):
    """A part of a list."""

    list: tuple[T, ...]
    next_page_cursor: str = ""

    @property
    def rows(self) -> tuple[T, ...]:
        """As `Records` calls them."""
        return self.list


class Records(Row, Generic[T]):
    """A part of a list of deposits or withdrawals."""

    rows: tuple[T, ...]
    next_page_cursor: str = ""


class Clock(Row):
    time_nano: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Confirmation(Row):
    """An answer that need not say anything."""


class Acknowledged(Row):
    """That a request about an order was taken; what becomes of it is seen later."""

    order_id: str
    order_link_id: str


class _Lots(Row):
    qty_step: Number = ""
    base_precision: Number = ""
    """What spot calls it."""
    min_order_qty: Number = ""
    max_mkt_order_qty: Number = ""
    max_market_order_qty: Number = ""
    """What spot calls it."""
    min_notional_value: Number = ""
    min_order_amt: Number = ""
    """What spot calls it."""


class _Prices(Row):
    tick_size: Number = ""


class MarketRow(Row):
    symbol: str
    status: str
    lot_size_filter: _Lots
    price_filter: _Prices


class OrderRow(Row):
    not_negative = frozenset({"qty", "cum_exec_qty"})
    symbol: str
    order_id: str
    order_link_id: str
    side: str
    order_status: str
    qty: Decimal
    cum_exec_qty: Decimal
    updated_time: Milliseconds
    cum_exec_value: Number = ""
    avg_price: Number = ""


class ExecutionRow(Row):
    positive = frozenset({"exec_qty", "exec_price"})
    symbol: str
    exec_id: str
    order_id: str
    order_link_id: str
    side: str
    exec_type: str
    exec_qty: Decimal
    exec_price: Decimal
    exec_time: Milliseconds
    exec_fee: Number = ""
    fee_currency: str = ""


class PositionRow(Row):
    symbol: str
    position_idx: int
    side: str
    size: Decimal
    avg_price: Number = ""
    mark_price: Number = ""
    liq_price: Number = ""
    leverage: Number = ""

    @property
    def signed(self) -> Decimal:
        """Size, less than 0 for a short position."""
        return -self.size if self.side == "Sell" else self.size

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size and self.side not in ("Buy", "Sell"):
            raise ValueError(f"{self.symbol} holds {self.size} on side {self.side!r}; Buy or Sell was expected")


class _CoinRow(Row):
    coin: str
    wallet_balance: Decimal
    equity: Decimal
    locked: Number = ""
    total_order_im: Number = msgspec.field(name="totalOrderIM", default="")
    total_position_im: Number = msgspec.field(name="totalPositionIM", default="")


class _WalletRow(Row):
    coin: tuple[_CoinRow, ...]


class WalletsRow(Row):
    list: tuple[_WalletRow, ...]


class _PurseCoinRow(Row):
    coin: str
    wallet_balance: Decimal
    transfer_balance: Number = ""


class PurseRow(Row):
    balance: tuple[_PurseCoinRow, ...]


class EntryRow(Row):
    """One entry of the transaction log."""

    id: str
    symbol: str
    type: str
    currency: str
    change: Decimal
    transaction_time: Milliseconds

    @property
    def name(self) -> str:
        """Unique within the account: an id may stand for the entries of several currencies."""
        return f"{self.type}:{self.currency}:{self.id}"


class _Permissions(Row, rename="pascal"):
    contract_trade: tuple[str, ...] = ()
    derivatives: tuple[str, ...] = ()
    spot: tuple[str, ...] = ()


class KeyRow(Row):
    read_only: int
    permissions: _Permissions
    user_id: int = msgspec.field(name="userID")


class AccountRow(Row):
    unified_margin_status: int
    margin_mode: str


class Transferred(Row):
    transfer_id: str
    status: str


class TransferRow(Row):
    transfer_id: str
    status: str
    timestamp: Milliseconds


class _ChainRow(Row):
    chain: str
    withdraw_fee: Number = ""
    withdraw_percentage_fee: Number = ""
    chain_withdraw: str = "0"


class _CoinInfoRow(Row):
    coin: str
    chains: tuple[_ChainRow, ...]


class CoinsPage(Row):
    rows: tuple[_CoinInfoRow, ...]


class Withdrawn(Row):
    id: str


class WithdrawalRow(Row):
    withdraw_id: str
    coin: str
    chain: str
    amount: Decimal
    """What arrives."""
    withdraw_fee: Number
    status: str
    to_address: str
    create_time: Milliseconds


class DepositRow(Row):
    coin: str
    amount: Decimal
    tx_id: str = msgspec.field(name="txID")
    status: int
    success_at: MillisecondsText = ""
    """Milliseconds."""
    tx_index: str = ""
    id: str = ""
