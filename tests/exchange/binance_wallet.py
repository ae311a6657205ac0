"""Shows the local exchange's spot purse, transfers, withdrawals and key rights as Binance's /sapi and /api do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.exchange.account import Account, Refused
from tests.exchange.binance_orders import text
from tests.exchange.binance_words import Refusal, digits, refusal_of

PURSES = {"MAIN": "spot", "UMFUTURE": "linear", "CMFUTURE": "inverse", "FUNDING": "funding"}


class Wallet:
    """Everything that is about the account rather than about a market."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.rights = {"enableReading": True, "enableSpotAndMarginTrading": True, "enableFutures": True}

    def key_rights(self, _params: dict[str, str]) -> Any:
        """GET account/apiRestrictions."""
        return {"ipRestrict": True, "createTime": 0, "enableWithdrawals": True, **self.rights}

    def spot_account(self, _params: dict[str, str]) -> Any:
        """GET /api/v3/account."""
        account = self.account
        rows = []
        for token, total in sorted(account.purses["spot"].items()):
            free = account.free("spot", token)
            rows.append({"asset": token, "free": text(free), "locked": text(total - free)})
        return {
            "canTrade": account.may_trade,
            "canWithdraw": True,
            "accountType": "SPOT",
            "uid": 354937868,
            "balances": rows,
        }

    def transfer(self, params: dict[str, str]) -> Any:
        """POST asset/transfer."""
        source, _, target = params["type"].partition("_")
        amount = digits(params["amount"])
        try:
            done = self.account.move(PURSES[source], PURSES[target], params["type"], params["asset"], amount)
        except Refused as refused:
            raise refusal_of(refused, spot=True) from None
        return {"tranId": done.number}

    def transfers(self, params: dict[str, str]) -> Any:
        """GET asset/transfer, the newest first."""
        begin, size, page = int(params.get("startTime", 0)), int(params.get("size", 10)), int(params.get("current", 1))
        found = [
            row for row in reversed(self.account.transfers) if row.route == params["type"] and row.time_ms >= begin
        ]
        rows = [
            {
                "timestamp": row.time_ms,
                "asset": row.asset,
                "amount": f"{row.amount.normalize():f}",
                "type": row.route,
                "status": row.status,
                "tranId": row.number,
            }
            for row in found[(page - 1) * size : page * size]
        ]
        return {"total": len(found), "rows": rows} if rows else {"total": len(found)}

    def withdraw(self, params: dict[str, str]) -> Any:
        """POST capital/withdraw/apply."""
        names = ("withdrawOrderId", "coin", "network", "address")
        client_id, token, network, address = (params.get(name, "") for name in names)
        if not address:
            raise Refusal(-4007, "The withdrawal address is not allowed.")
        try:
            sent = self.account.withdraw(client_id, token, network, address, digits(params["amount"]))
        except Refused as refused:
            raise refusal_of(refused, spot=True) from None
        return {"id": sent.name}

    def withdrawals(self, params: dict[str, str]) -> Any:
        """GET capital/withdraw/history, the newest first."""
        clock = self.account.clock
        by_id = params.get("withdrawOrderId")
        span = (7 if by_id else 90) * 86_400_000
        begin, end = int(params.get("startTime", clock.ms - span)), int(params.get("endTime", clock.ms))
        if end - begin > span:
            raise Refusal(-1127, "Time interval too long.")
        found = [row for row in reversed(self.account.withdrawals) if begin <= row.time_ms <= end]
        found = [row for row in found if by_id in (None, row.client_id)]
        found = [row for row in found if params.get("coin", row.asset) == row.asset]
        offset, limit = int(params.get("offset", 0)), int(params.get("limit", 1000))
        rows = []
        for row in found[offset : offset + limit]:
            shown: dict[str, Any] = {
                "id": row.name,
                "amount": f"{row.amount:f}",
                "transactionFee": f"{row.fee:f}",
                "coin": row.asset,
                "network": row.network,
                "address": row.address,
                "status": row.status,
                "applyTime": datetime.fromtimestamp(row.time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                "walletType": 0,
            }
            if row.client_id:
                shown["withdrawOrderId"] = row.client_id
            rows.append(shown)
        return rows

    def deposits(self, params: dict[str, str]) -> Any:
        """GET capital/deposit/hisrec, the newest first."""
        clock = self.account.clock
        begin = int(params.get("startTime", clock.ms - 90 * 86_400_000))
        end = int(params.get("endTime", clock.ms))
        if end - begin > 90 * 86_400_000:
            raise Refusal(-1127, "Time interval too long.")
        found = [row for row in reversed(self.account.deposits) if begin <= row.time_ms <= end]
        offset, limit = int(params.get("offset", 0)), int(params.get("limit", 1000))
        return [
            {
                "id": row.name,
                "amount": f"{row.amount:f}",
                "coin": row.asset,
                "network": "ETH",
                "status": 1,
                "address": "0xdeposit",
                "txId": f"0x{row.name}",
                "insertTime": row.time_ms,
            }
            for row in found[offset : offset + limit]
        ]

    def coins(self, _params: dict[str, str]) -> Any:
        """GET capital/config/getall."""
        account = self.account
        network = {"network": "ETH", "withdrawEnable": account.sends_away, "depositEnable": True}
        network["withdrawFee"] = f"{account.withdrawal_fee:f}"
        tokens = sorted({token for purse in self.account.purses.values() for token in purse})
        return [{"coin": token, "name": token, "networkList": [network | {"coin": token}]} for token in tokens]

    def time(self, _params: dict[str, str]) -> Any:
        """GET time."""
        return {"serverTime": self.account.clock.ms}
