"""Defines what Bybit can be asked, and how often: it counts per account and endpoint over the last second or minute.

Rates are those of its documentation for a unified account without a VIP level; a host is here what shares a rate.
"""

from __future__ import annotations

from typing import Final

from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.wire.answers import Endpoint
from basis_actors.venues.wire.pauses import EVERYTHING

__all__ = [
    "ACCOUNT",
    "CANCEL",
    "CLOCK",
    "COINS",
    "DEPOSITS",
    "EXECUTIONS",
    "FUNDING_HISTORY",
    "FUNDING_PURSE",
    "HISTORY",
    "KEY",
    "LOG",
    "MARK_CANDLES",
    "PLACE",
    "POSITIONS",
    "RATES",
    "REALTIME",
    "RULES",
    "SET_LEVERAGE",
    "SET_MARGIN_MODE",
    "SET_POSITION_MODE",
    "TICKER",
    "TRANSFER",
    "TRANSFERS",
    "WALLET",
    "WITHDRAW",
    "WITHDRAWALS",
]

_MINUTE: Final = 60 * NS_PER_SECOND
RATES: Final[dict[str, tuple[int, int]]] = {
    # Of one address, whoever asks there.
    EVERYTHING: (600, 5 * NS_PER_SECOND),
    # Spot grants twice as many; the two are counted together here.
    "place": (10, NS_PER_SECOND),
    "cancel": (10, NS_PER_SECOND),
    "orders": (50, NS_PER_SECOND),
    "history": (50, NS_PER_SECOND),
    "executions": (50, NS_PER_SECOND),
    "positions": (50, NS_PER_SECOND),
    "leverage": (10, NS_PER_SECOND),
    "wallet": (50, NS_PER_SECOND),
    "log": (30, NS_PER_SECOND),
    "purse": (5, NS_PER_SECOND),
    "key": (10, NS_PER_SECOND),
    "coins": (5, NS_PER_SECOND),
    "withdraw": (5, NS_PER_SECOND),
    "transfer": (60, _MINUTE),
    "transfers": (60, _MINUTE),
    "deposits": (100, _MINUTE),
    "withdrawals": (300, _MINUTE),
}
"""Requests and nanoseconds, by host. `account` and `market` have no rate of their own."""


def _get(path: str, host: str) -> Endpoint:
    return Endpoint(f"privateGetV5{path}", host, 1)


def _post(path: str, host: str, refused_as: str = "VEN-001") -> Endpoint:
    return Endpoint(f"privatePostV5{path}", host, 1, changes=True, refused_as=refused_as)


CLOCK: Final = Endpoint("publicGetV5MarketTime", "market", 1, signed=False)
RULES: Final = Endpoint("publicGetV5MarketInstrumentsInfo", "market", 1, signed=False)
TICKER: Final = Endpoint("publicGetV5MarketTickers", "market", 1, signed=False, whole=True)
FUNDING_HISTORY: Final = Endpoint("publicGetV5MarketFundingHistory", "market", 1, signed=False)
MARK_CANDLES: Final = Endpoint("publicGetV5MarketMarkPriceKline", "market", 1, signed=False)

KEY: Final = _get("UserQueryApi", "key")
ACCOUNT: Final = _get("AccountInfo", "account")
SET_MARGIN_MODE: Final = _post("AccountSetMarginMode", "account")
SET_POSITION_MODE: Final = _post("PositionSwitchMode", "account")
SET_LEVERAGE: Final = _post("PositionSetLeverage", "leverage")

PLACE: Final = _post("OrderCreate", "place", "EXEC-004")
CANCEL: Final = _post("OrderCancel", "cancel")
REALTIME: Final = _get("OrderRealtime", "orders")
HISTORY: Final = _get("OrderHistory", "history")
EXECUTIONS: Final = _get("ExecutionList", "executions")

WALLET: Final = _get("AccountWalletBalance", "wallet")
FUNDING_PURSE: Final = _get("AssetTransferQueryAccountCoinsBalance", "purse")
POSITIONS: Final = _get("PositionList", "positions")
LOG: Final = _get("AccountTransactionLog", "log")
DEPOSITS: Final = _get("AssetDepositQueryRecord", "deposits")
WITHDRAWALS: Final = _get("AssetWithdrawQueryRecord", "withdrawals")

COINS: Final = _get("AssetCoinQueryInfo", "coins")
TRANSFER: Final = _post("AssetTransferInterTransfer", "transfer")
TRANSFERS: Final = _get("AssetTransferQueryInterTransferList", "transfers")
WITHDRAW: Final = _post("AssetWithdrawCreate", "withdraw")
