"""Defines what an exchange is asked and answers: orders, fills, balances, payments, transfers, as on its wire.

Amounts are decimals, because an exchange compares them digit by digit. Pairs are named as in orders (`BTC/USDT`,
`BTC-PERP`, `BTCUSD-PERP`); amounts are base units, of inverse perpetuals USD, never contracts. Times are integer
nanoseconds of the exchange's clock, UTC.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

__all__ = [
    "TERMINAL",
    "AccountState",
    "MarketFilters",
    "OrderReport",
    "OrderState",
    "OrderTicket",
    "Payment",
    "PaymentKind",
    "PerpHolding",
    "TimeInForce",
    "TransferReport",
    "TransferState",
    "TransferTicket",
    "VenueFill",
    "Wallet",
    "WalletBalance",
]


class TimeInForce(StrEnum):
    """How long an order waits for its fill."""

    GTC = "gtc"
    """Until it is cancelled."""
    IOC = "ioc"
    """What is not filled at once is cancelled."""


class OrderTicket(msgspec.Struct, frozen=True, kw_only=True, tag="order"):
    """An order as it goes to an exchange: whole lots, whole ticks."""

    client_id: str
    """Ours, at most 32 letters and digits; by it the order is found again."""
    pair: str
    buys: bool
    """Direction: buy or long, against sell or short."""
    amount: Decimal
    limit: Decimal | None = None
    """Limit price, quote currency per base unit; None for a market order."""
    reduce_only: bool = False
    """Perpetuals only: may shrink the position, never turn or enlarge it."""
    post_only: bool = False
    """Limit orders only: is refused rather than filled as taker."""
    time_in_force: TimeInForce = TimeInForce.GTC


class OrderState(StrEnum):
    """Where an order stands on the exchange."""

    OPEN = "open"
    """Accepted, nothing filled yet."""
    PARTIALLY_FILLED = "partially_filled"
    """Some of it is filled, the rest may be."""
    FILLED = "filled"
    CANCELLED = "cancelled"
    """Ended before it was filled in full: cancelled, expired, the rest of an IOC. What is filled stays filled."""
    REJECTED = "rejected"
    """Never in force."""


TERMINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED})
"""States that an order does not leave."""


class OrderReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange says of one order."""

    client_id: str
    """As the exchange shows it; of an order that is not ours whatever its owner chose."""
    venue_order_id: str
    pair: str
    buys: bool
    state: OrderState
    amount: Decimal
    filled: Decimal
    """Cumulative."""
    average_price: Decimal | None
    """Of what is filled, quote currency per base unit; None while nothing is."""
    updated_ns: int

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be filled."""
        return self.state in TERMINAL


class VenueFill(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of the account. `(pair, trade_id)` is unique at an exchange."""

    trade_id: str
    pair: str
    client_id: str | None
    """Of the order; None where the exchange does not say it with a trade."""
    venue_order_id: str
    buys: bool
    amount: Decimal
    price: Decimal
    fee: Decimal
    """Greater than 0 is paid, less is a rebate."""
    fee_currency: str
    time_ns: int


class Wallet(StrEnum):
    """The purses of an exchange account."""

    SPOT = "spot"
    LINEAR = "linear"
    """Margin of linear perpetuals where it is an account of its own."""
    INVERSE = "inverse"
    """Margin of inverse perpetuals where it is an account of its own."""
    UNIFIED = "unified"
    """One account for everything that is traded."""
    FUNDING = "funding"
    """Where deposits arrive and withdrawals leave, if that is a purse of its own."""


class WalletBalance(msgspec.Struct, frozen=True):
    """Cash of one token in one purse, unrealised profit not included."""

    wallet: Wallet
    token: str
    total: Decimal
    free: Decimal
    """What may leave the purse now."""


class PerpHolding(msgspec.Struct, frozen=True, kw_only=True):
    """One open position."""

    pair: str
    size: Decimal
    """Signed; base units, of an inverse perpetual USD."""
    entry: Decimal
    """Average entry price by the exchange's own account."""
    mark: Decimal
    liquidation: Decimal | None
    """Price at which it is liquidated, as the exchange estimates it; None where it names none."""


class AccountState(msgspec.Struct, frozen=True):
    """Everything an account holds. What is not listed of `pairs` is known to be flat."""

    balances: tuple[WalletBalance, ...]
    holdings: tuple[PerpHolding, ...]
    pairs: frozenset[str]
    """Perpetuals whose positions the exchange was asked for and answered about. A position of any other is not known,
    which is not the same as zero."""
    time_ns: int


class PaymentKind(StrEnum):
    """Why an exchange changed a balance without a trade or a transfer of ours."""

    FUNDING = "funding"
    LIQUIDATION_FEE = "liquidation_fee"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    OTHER = "other"


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One entry in the account's statement. `payment_id` is unique at an exchange."""

    payment_id: str
    kind: PaymentKind
    wallet: Wallet
    token: str
    amount: Decimal
    """Signed; greater than 0 is received."""
    pair: str | None
    """The perpetual that a funding payment is of."""
    time_ns: int


class MarketFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange requires of an order in one market."""

    pair: str
    lot: Decimal
    """Step of an amount."""
    tick: Decimal
    """Step of a price."""
    min_amount: Decimal
    max_market_amount: Decimal | None
    """Largest market order; None where there is no limit."""
    min_notional: Decimal
    """Quote currency, of an inverse perpetual USD."""
    trading: bool
    """Whether orders are taken at present."""


class TransferTicket(msgspec.Struct, frozen=True, kw_only=True, tag="transfer"):
    """Tokens to move between purses of one account, or to withdraw from it."""

    client_id: str
    """Ours, at most 32 letters and digits."""
    token: str
    amount: Decimal
    """What arrives; the fee of a withdrawal comes on top of it."""
    source: Wallet
    target: Wallet | None
    """None for a withdrawal."""
    address: str | None = None
    """Of a withdrawal; must be on the allow-list."""
    network: str | None = None
    """Of a withdrawal, as the exchange names it."""


class TransferState(StrEnum):
    """Where a transfer or withdrawal stands."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class TransferReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange says of one transfer or withdrawal."""

    client_id: str
    venue_transfer_id: str
    state: TransferState
    fee: Decimal
    """In the token, on top of the amount that arrives."""
    time_ns: int
