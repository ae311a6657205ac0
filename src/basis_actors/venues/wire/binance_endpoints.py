"""Defines what Binance can be asked, and the three families of markets that it serves from APIs of their own.

Weights are those of its documentation for the parameters that are sent. `/sapi` has limits of its own, far from what
is asked here: its weights count as nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from basis_actors.messages.exchange import Wallet
from basis_actors.venues.wire.answers import Endpoint

__all__ = [
    "COINS",
    "DEPOSITS",
    "FUTURES",
    "INVERSE",
    "KEY_RIGHTS",
    "LINEAR",
    "LINEAR_CONFIG",
    "LINEAR_MARKETS_CONFIG",
    "SPOT",
    "SPOT_ACCOUNT",
    "SPOT_TIME",
    "TRANSFER",
    "TRANSFERS",
    "WITHDRAW",
    "WITHDRAWALS",
    "Family",
    "Futures",
    "Stops",
]

FUTURES: Final = frozenset({"fapi", "dapi"})
"""Hosts of perpetuals."""
_ORDER: Final = "EXEC-004"
_DAY_MS: Final = 86_400_000


class Stops(msgspec.Struct, frozen=True, kw_only=True):
    """Conditional orders, which are kept apart from orders."""

    place: Endpoint
    cancel: Endpoint
    find: Endpoint
    open: Endpoint


class Futures(msgspec.Struct, frozen=True, kw_only=True):
    """What only perpetuals have."""

    account: Endpoint
    positions: Endpoint
    income: Endpoint
    position_mode: Endpoint
    set_position_mode: Endpoint
    set_margin_mode: Endpoint
    set_leverage: Endpoint
    countdown: Endpoint
    stops: Stops | None
    """Conditional orders; None where the documentation knows none."""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Markets that are served alike."""

    wallet: Wallet
    host: str
    rules: Endpoint
    place: Endpoint
    cancel: Endpoint
    find: Endpoint
    open_orders: Endpoint
    trades: Endpoint
    trades_window_ms: int
    """Longest span of one question for trades."""
    answer: str
    """Kind of answer to an order that says what was filled."""
    futures: Futures | None


SPOT_TIME: Final = Endpoint("publicGetTime", "api", 1, signed=False)
SPOT_ACCOUNT: Final = Endpoint("privateGetAccount", "api", 20)
KEY_RIGHTS: Final = Endpoint("sapiGetAccountApiRestrictions", "api", 0)
COINS: Final = Endpoint("sapiGetCapitalConfigGetall", "api", 0)
TRANSFER: Final = Endpoint("sapiPostAssetTransfer", "api", 0, changes=True)
TRANSFERS: Final = Endpoint("sapiGetAssetTransfer", "api", 0)
WITHDRAW: Final = Endpoint("sapiPostCapitalWithdrawApply", "api", 0, changes=True)
WITHDRAWALS: Final = Endpoint("sapiGetCapitalWithdrawHistory", "api", 0)
DEPOSITS: Final = Endpoint("sapiGetCapitalDepositHisrec", "api", 0)
LINEAR_CONFIG: Final = Endpoint("fapiPrivateGetAccountConfig", "fapi", 5)
LINEAR_MARKETS_CONFIG: Final = Endpoint("fapiPrivateGetSymbolConfig", "fapi", 5)

SPOT: Final = Family(
    wallet=Wallet.SPOT,
    host="api",
    rules=Endpoint("publicGetExchangeInfo", "api", 20, signed=False),
    place=Endpoint("privatePostOrder", "api", 1, changes=True, refused_as=_ORDER),
    cancel=Endpoint("privateDeleteOrder", "api", 1, changes=True),
    find=Endpoint("privateGetOrder", "api", 4),
    open_orders=Endpoint("privateGetOpenOrders", "api", 6),
    trades=Endpoint("privateGetMyTrades", "api", 20),
    trades_window_ms=_DAY_MS,
    answer="FULL",
    futures=None,
)


def _perpetuals(
    prefix: str,
    wallet: Wallet,
    *,
    account: str,
    positions: Endpoint,
    trades: int,
    income: int,
    stops: Stops | None = None,
) -> Family:
    def endpoint(name: str, weight: int, *, changes: bool = False, refused_as: str = "VEN-001") -> Endpoint:
        return Endpoint(f"{prefix}Private{name}", prefix, weight, changes=changes, refused_as=refused_as)

    return Family(
        wallet=wallet,
        host=prefix,
        rules=Endpoint(f"{prefix}PublicGetExchangeInfo", prefix, 1, signed=False),
        place=endpoint("PostOrder", 1, changes=True, refused_as=_ORDER),
        cancel=endpoint("DeleteOrder", 1, changes=True),
        find=endpoint("GetOrder", 1),
        open_orders=endpoint("GetOpenOrders", 1),
        trades=endpoint("GetUserTrades", trades),
        trades_window_ms=7 * _DAY_MS,
        answer="RESULT",
        futures=Futures(
            account=endpoint(account, 5),
            positions=positions,
            income=endpoint("GetIncome", income),
            position_mode=endpoint("GetPositionSideDual", 30),
            set_position_mode=endpoint("PostPositionSideDual", 1, changes=True),
            set_margin_mode=endpoint("PostMarginType", 1, changes=True),
            set_leverage=endpoint("PostLeverage", 1, changes=True),
            countdown=endpoint("PostCountdownCancelAll", 10, changes=True),
            stops=stops,
        ),
    )


LINEAR: Final = _perpetuals(
    "fapi",
    Wallet.LINEAR,
    account="V3GetAccount",
    positions=Endpoint("fapiPrivateV3GetPositionRisk", "fapi", 5),
    trades=5,
    income=30,
    stops=Stops(
        place=Endpoint("fapiPrivatePostAlgoOrder", "fapi", 1, changes=True, refused_as=_ORDER),
        cancel=Endpoint("fapiPrivateDeleteAlgoOrder", "fapi", 1, changes=True),
        find=Endpoint("fapiPrivateGetAlgoOrder", "fapi", 1),
        open=Endpoint("fapiPrivateGetOpenAlgoOrders", "fapi", 1),
    ),
)
INVERSE: Final = _perpetuals(
    "dapi",
    Wallet.INVERSE,
    account="GetAccount",
    positions=Endpoint("dapiPrivateGetPositionRisk", "dapi", 1),
    trades=20,
    income=20,
)
