"""Defines the parts of OKX's answers that are used, under its own names, numbers as exact decimals.

An answer is a list, also where there is only one thing to say.
"""

from __future__ import annotations

from decimal import Decimal

from basis_actors.venues.wire.rows import Milliseconds, MillisecondsText, Number, Row

__all__ = [
    "Acknowledged",
    "BalanceRow",
    "BillRow",
    "Clock",
    "CoinRow",
    "ConfigRow",
    "Confirmation",
    "CurrencyRow",
    "FillRow",
    "LeverageRow",
    "MarketRow",
    "OrderRow",
    "PositionRow",
    "PurseBillRow",
    "PurseRow",
    "RiskRow",
    "TransferRow",
    "Transferred",
    "WithdrawalRow",
    "Withdrawn",
]


class Clock(Row):
    ts: Milliseconds


class Confirmation(Row):
    """An answer that need not say anything."""


class Acknowledged(Row):
    """That a request about an order was taken; what becomes of it is seen later."""

    ord_id: str
    cl_ord_id: str


class MarketRow(Row):
    inst_id: str
    state: str
    ct_type: str
    settle_ccy: str
    ct_val: Decimal
    """Base units a contract, of a linear perpetual."""
    ct_mult: Decimal
    lot_sz: Decimal
    min_sz: Decimal
    tick_sz: Decimal
    max_mkt_sz: Number = ""
    """Sizes are contracts."""


class OrderRow(Row):
    not_negative = frozenset({"sz", "acc_fill_sz"})
    inst_id: str
    ord_id: str
    cl_ord_id: str
    side: str
    state: str
    sz: Decimal
    acc_fill_sz: Decimal
    u_time: Milliseconds
    avg_px: Number = ""


class FillRow(Row):
    positive = frozenset({"fill_sz", "fill_px"})
    inst_id: str
    trade_id: str
    ord_id: str
    cl_ord_id: str
    bill_id: str
    side: str
    fill_sz: Decimal
    fill_px: Decimal
    fee: Decimal
    """Less than 0 is paid."""
    fee_ccy: str
    ts: Milliseconds
    fill_time: MillisecondsText = ""

    @property
    def traded_ms(self) -> int:
        """When it was traded; where that is not said, when it was written down."""
        return int(self.fill_time or self.ts)


class PositionRow(Row):
    inst_type: str
    inst_id: str
    pos: Decimal
    """Signed, contracts."""
    pos_side: str
    mgn_mode: str
    avg_px: Number = ""
    mark_px: Number = ""
    liq_px: Number = ""


class _RiskPositionRow(Row):
    inst_id: str
    pos: Decimal


class RiskRow(Row):
    """Account and positions of one moment."""

    pos_data: tuple[_RiskPositionRow, ...]


class CoinRow(Row):
    ccy: str
    cash_bal: Decimal
    avail_bal: Number = ""
    avail_eq: Number = ""
    imr: Number = ""


class BalanceRow(Row):
    details: tuple[CoinRow, ...]


class PurseRow(Row):
    ccy: str
    bal: Decimal
    avail_bal: Decimal


class BillRow(Row):
    """One entry of the trading account's statement."""

    bill_id: str
    type: str
    ccy: str
    bal_chg: Decimal
    ts: Milliseconds
    inst_id: str = ""
    ord_id: str = ""


class PurseBillRow(Row):
    """One entry of the funding purse's statement."""

    bill_id: str
    type: str
    ccy: str
    bal_chg: Decimal
    ts: Milliseconds
    client_id: str = ""


class ConfigRow(Row):
    uid: str
    acct_lv: str
    pos_mode: str
    perm: str


class LeverageRow(Row):
    inst_id: str
    mgn_mode: str
    lever: Decimal


class Transferred(Row):
    trans_id: str


class TransferRow(Row):
    trans_id: str
    client_id: str
    state: str


class CurrencyRow(Row):
    ccy: str
    chain: str
    can_wd: bool
    fee: Number = ""
    burning_fee_rate: Number = ""


class Withdrawn(Row):
    wd_id: str


class WithdrawalRow(Row):
    wd_id: str
    client_id: str
    state: str
    ts: Milliseconds
    fee: Number = ""
    fee_ccy: str = ""
