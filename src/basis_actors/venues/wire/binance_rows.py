"""Defines the parts of Binance's answers that are used, under its own names, numbers as exact decimals."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from basis_actors.times import ns_from_utc
from basis_actors.venues.wire.rows import Milliseconds, Row

__all__ = [
    "AccountConfigRow",
    "Clock",
    "CoinRow",
    "Confirmation",
    "DepositRow",
    "FilterRow",
    "FuturesAccountRow",
    "IncomeRow",
    "KeyRightsRow",
    "LimitRow",
    "MarketConfigRow",
    "MarketRow",
    "OrderRow",
    "PositionModeRow",
    "PositionRow",
    "RulesRow",
    "SpotAccountRow",
    "StopRow",
    "TradeRow",
    "TransferPage",
    "TransferRow",
    "Transferred",
    "WithdrawalRow",
    "Withdrawn",
]

_LARGEST: Final = 1_000_000_000
"""Of what a limit on requests counts."""


class Clock(Row):
    server_time: Milliseconds


class Confirmation(Row):
    """An answer that need not say anything."""


class LimitRow(Row):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int

    @property
    def is_one(self) -> bool:
        """Whether it can be meant, and lets anything be asked."""
        return 0 < self.interval_num <= _LARGEST and 0 < self.limit <= _LARGEST


class FilterRow(Row):
    filter_type: str
    step_size: Decimal | None = None
    min_qty: Decimal | None = None
    max_qty: Decimal | None = None
    tick_size: Decimal | None = None
    min_notional: Decimal | None = None
    notional: Decimal | None = None


class MarketRow(Row):
    symbol: str
    filters: tuple[FilterRow, ...]
    status: str | None = None
    """COIN-M calls it contractStatus."""
    contract_status: str | None = None
    contract_size: Decimal = Decimal(1)
    """USD a contract; only COIN-M has contracts."""


class RulesRow(Row):
    rate_limits: tuple[LimitRow, ...]
    symbols: tuple[MarketRow, ...]


class OrderRow(Row):
    not_negative = frozenset({"orig_qty", "executed_qty"})
    symbol: str
    order_id: int | str
    client_order_id: str
    side: str
    status: str
    orig_qty: Decimal
    executed_qty: Decimal
    cummulative_quote_qty: Decimal | None = None
    """Spot."""
    cum_quote: Decimal | None = None
    """USD-M."""
    avg_price: Decimal | None = None
    """Perpetuals."""
    update_time: Milliseconds | None = None
    transact_time: Milliseconds | None = None
    """Of an answer to a spot order."""


class StopRow(Row):
    algo_id: int | str
    client_algo_id: str
    side: str
    algo_status: str
    trigger_price: Decimal
    actual_order_id: str = ""
    """Of the order that it has become; empty before."""


class TradeRow(Row):
    positive = frozenset({"price", "qty"})
    id: int
    order_id: int | str
    symbol: str
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: Milliseconds
    is_buyer: bool | None = None
    """Spot."""
    buyer: bool | None = None
    """Perpetuals."""


class _SpotBalance(Row):
    asset: str
    free: Decimal
    locked: Decimal


class SpotAccountRow(Row):
    uid: int
    can_trade: bool
    balances: tuple[_SpotBalance, ...]


class _MarginBalance(Row):
    asset: str
    wallet_balance: Decimal
    max_withdraw_amount: Decimal
    position_initial_margin: Decimal


class _AccountPosition(Row):
    symbol: str
    position_amt: Decimal = Decimal(0)


class FuturesAccountRow(Row):
    assets: tuple[_MarginBalance, ...]
    positions: tuple[_AccountPosition, ...]
    can_trade: bool | None = None
    """COIN-M; USD-M says it elsewhere."""


class PositionRow(Row):
    symbol: str
    position_amt: Decimal
    entry_price: Decimal
    mark_price: Decimal
    liquidation_price: Decimal
    position_side: str
    margin_type: str | None = None
    """COIN-M, as the next."""
    leverage: int | None = None


class IncomeRow(Row):
    symbol: str
    income_type: str
    income: Decimal
    asset: str
    time: Milliseconds
    tran_id: int | str

    @property
    def name(self) -> str:
        """Unique within the account: numbers are so only within one kind of income."""
        return f"{self.income_type}:{self.asset}:{self.symbol}:{self.tran_id}"


class PositionModeRow(Row):
    dual_side_position: bool


class AccountConfigRow(Row):
    can_trade: bool
    multi_assets_margin: bool


class MarketConfigRow(Row):
    symbol: str
    margin_type: str
    leverage: int


class KeyRightsRow(Row):
    enable_reading: bool
    enable_spot_and_margin_trading: bool
    enable_futures: bool


class _NetworkRow(Row):
    network: str
    withdraw_enable: bool
    withdraw_fee: Decimal


class CoinRow(Row):
    coin: str
    network_list: tuple[_NetworkRow, ...]


class Transferred(Row):
    tran_id: int | str


class TransferRow(Row):
    asset: str
    amount: Decimal
    status: str
    tran_id: int | str
    timestamp: Milliseconds


class TransferPage(Row):
    total: int = 0
    rows: tuple[TransferRow, ...] = ()


class Withdrawn(Row):
    id: str


class WithdrawalRow(Row):
    id: str
    amount: Decimal
    transaction_fee: Decimal
    coin: str
    status: int
    apply_time: str
    withdraw_order_id: str | None = None

    @property
    def applied_ms(self) -> int:
        """From `2019-10-12 11:12:02`, which is UTC."""
        return ns_from_utc(datetime.fromisoformat(self.apply_time).replace(tzinfo=UTC)) // 1_000_000

    def __post_init__(self) -> None:
        super().__post_init__()
        datetime.fromisoformat(self.apply_time)


class DepositRow(Row):
    amount: Decimal
    coin: str
    status: int
    insert_time: Milliseconds
    tx_id: str
    id: str | None = None
