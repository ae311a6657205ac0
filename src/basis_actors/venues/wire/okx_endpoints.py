"""Defines what OKX can be asked, and how often: it counts per account and endpoint over the last second or two.

Rates are those of its documentation; a host is here what shares a rate. Those of orders hold for each market by itself
and are counted together here.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.answers import Endpoint

__all__ = [
    "BALANCE",
    "BILLS",
    "BILLS_OF_MONTHS",
    "CANCEL",
    "CLOCK",
    "CONFIG",
    "COUNTDOWN",
    "CURRENCIES",
    "FILLS",
    "FILLS_OF_MONTHS",
    "FIND",
    "FUNDING_HISTORY",
    "LEVERAGE",
    "MARK",
    "MARK_CANDLES",
    "OLD_MARK_CANDLES",
    "OPEN_ORDERS",
    "PLACE",
    "POSITIONS",
    "PURSE",
    "PURSE_BILLS",
    "PURSE_BILLS_OF_YEARS",
    "RATES",
    "RISK",
    "RULES",
    "SET_LEVERAGE",
    "SET_POSITION_MODE",
    "TICKER",
    "TRANSFER",
    "TRANSFER_STATE",
    "WITHDRAW",
    "WITHDRAWALS",
]

_SECOND, _TWO = NS_PER_SECOND, 2 * NS_PER_SECOND
RATES: Final[dict[str, tuple[int, int]]] = {
    "market": (20, _TWO),
    "ticker": (20, _TWO),
    "mark": (10, _TWO),
    "funding-history": (10, _TWO),
    "mark-candles": (20, _TWO),
    "old-mark-candles": (10, _TWO),
    "place": (60, _TWO),
    "cancel": (60, _TWO),
    "countdown": (1, _SECOND),
    "order": (60, _TWO),
    "orders": (60, _TWO),
    "fills": (60, _TWO),
    "fills-history": (10, _TWO),
    "config": (5, _TWO),
    "position-mode": (5, _TWO),
    "leverage": (20, _TWO),
    "set-leverage": (20, _TWO),
    "balance": (10, _TWO),
    "positions": (10, _TWO),
    "risk": (10, _TWO),
    "bills": (5, _SECOND),
    "bills-archive": (5, _TWO),
    "purse": (6, _SECOND),
    "purse-bills": (6, _SECOND),
    "purse-history": (1, 5 * _SECOND),
    "currencies": (6, _SECOND),
    "transfer": (2, _SECOND),
    "transfer-state": (10, _SECOND),
    "withdraw": (6, _SECOND),
    "withdrawals": (6, _SECOND),
}
"""Requests and nanoseconds, by host."""


def _get(path: str, host: str) -> Endpoint:
    return Endpoint(f"privateGet{path}", host, 1)


def _post(path: str, host: str, refused_as: str = "VEN-001") -> Endpoint:
    return Endpoint(f"privatePost{path}", host, 1, changes=True, refused_as=refused_as)


CLOCK: Final = Endpoint("publicGetPublicTime", "market", 1, signed=False)
RULES: Final = Endpoint("publicGetPublicInstruments", "market", 1, signed=False)
TICKER: Final = Endpoint("publicGetMarketTicker", "ticker", 1, signed=False)
MARK: Final = Endpoint("publicGetPublicMarkPrice", "mark", 1, signed=False)
FUNDING_HISTORY: Final = Endpoint("publicGetPublicFundingRateHistory", "funding-history", 1, signed=False)
MARK_CANDLES: Final = Endpoint("publicGetMarketMarkPriceCandles", "mark-candles", 1, signed=False)
OLD_MARK_CANDLES: Final = Endpoint("publicGetMarketHistoryMarkPriceCandles", "old-mark-candles", 1, signed=False)

CONFIG: Final = _get("AccountConfig", "config")
SET_POSITION_MODE: Final = _post("AccountSetPositionMode", "position-mode")
LEVERAGE: Final = _get("AccountLeverageInfo", "leverage")
SET_LEVERAGE: Final = _post("AccountSetLeverage", "set-leverage")

PLACE: Final = _post("TradeOrder", "place", "EXEC-004")
CANCEL: Final = _post("TradeCancelOrder", "cancel")
COUNTDOWN: Final = replace(_post("TradeCancelAllAfter", "countdown"), may_wait=True)
"""Begun and called off by several at once, at one request a second: whoever comes second waits, and is not refused."""
FIND: Final = _get("TradeOrder", "order")
OPEN_ORDERS: Final = _get("TradeOrdersPending", "orders")
FILLS: Final = _get("TradeFills", "fills")
FILLS_OF_MONTHS: Final = _get("TradeFillsHistory", "fills-history")

BALANCE: Final = _get("AccountBalance", "balance")
POSITIONS: Final = _get("AccountPositions", "positions")
RISK: Final = _get("AccountAccountPositionRisk", "risk")
BILLS: Final = _get("AccountBills", "bills")
BILLS_OF_MONTHS: Final = _get("AccountBillsArchive", "bills-archive")
PURSE: Final = _get("AssetBalances", "purse")
PURSE_BILLS: Final = _get("AssetBills", "purse-bills")
PURSE_BILLS_OF_YEARS: Final = _get("AssetBillsHistory", "purse-history")

CURRENCIES: Final = _get("AssetCurrencies", "currencies")
TRANSFER: Final = _post("AssetTransfer", "transfer")
TRANSFER_STATE: Final = _get("AssetTransferState", "transfer-state")
WITHDRAW: Final = _post("AssetWithdrawal", "withdraw")
WITHDRAWALS: Final = _get("AssetWithdrawalHistory", "withdrawals")
