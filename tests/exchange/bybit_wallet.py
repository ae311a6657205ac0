"""Shows the local exchange's transfers, withdrawals and deposits as Bybit does."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.exchange.account import Account, Refused, Withdrawal
from tests.exchange.bybit_orders import DAY_MS
from tests.exchange.bybit_words import Refusal, digits, page, refusal_of, span

PURSES = {"UNIFIED": "unified", "FUND": "funding"}
STATUSES: dict[int | str, str] = {4: "Pending", 6: "success"}
"""Of withdrawals, by the numbers of the account; a test may put in a word of Bybit's instead."""


class BybitWallet:
    """Everything that moves tokens."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.percentage_fee = Decimal(0)

    def transfer(self, params: dict[str, Any]) -> Any:
        """POST asset/transfer/inter-transfer."""
        source, target, name = params["fromAccountType"], params["toAccountType"], params["transferId"]
        if str(UUID(name)) != name or source == target:
            raise Refusal(131203, "Request parameter error")
        amount, route = digits(params["amount"]), f"{source}>{target}"
        try:
            done = self.account.move(PURSES[source], PURSES[target], route, params["coin"], amount, name)
        except Refused as refused:
            raise refusal_of(refused) from None
        return {"transferId": name, "status": _status(done.status)}

    def transfers(self, params: dict[str, Any]) -> Any:
        """GET asset/transfer/query-inter-transfer-list, the newest first."""
        begin, end = span(params, self.account.clock.ms, 7 * DAY_MS)
        rows = [
            {
                "transferId": row.name,
                "coin": row.asset,
                "amount": f"{row.amount}",
                "fromAccountType": row.route.partition(">")[0],
                "toAccountType": row.route.partition(">")[2],
                "timestamp": str(row.time_ms),
                "status": _status(row.status),
            }
            for row in reversed(self.account.transfers)
            # What is asked for is compared by the second.
            if begin // 1000 <= row.time_ms // 1000 <= end // 1000 and params.get("transferId", row.name) == row.name
        ]
        return page(rows, params, most=50, default=20)

    def withdraw(self, params: dict[str, Any]) -> Any:
        """POST asset/withdraw/create. What is left in the unified purse goes through the funding purse."""
        names = ("requestId", "coin", "chain", "address")
        client_id, token, network, address = (params[name] for name in names)
        if not isinstance(params["timestamp"], int) or abs(params["timestamp"] - self.account.clock.ms) > 5000:
            raise Refusal(131002, "Parameter error: timestamp")
        if (params["forceChain"], params["feeType"]) != (1, 0) or params["accountType"] not in ("FUND", "UTA"):
            raise Refusal(131002, "Parameter error")
        amount = digits(params["amount"])
        fee = self.account.withdrawal_fee + amount / (1 - self.percentage_fee) * self.percentage_fee
        account = self.account
        try:
            if params["accountType"] == "UTA":
                if account.free("unified", token) < amount + fee:
                    raise Refused("withdrawal exceeds balance")
                account.purses["unified"][token] -= amount + fee
                account.purses["funding"][token] += amount + fee
            sent = account.withdraw(client_id, token, network, address, amount + account.withdrawal_fee)
        except Refused as refused:
            raise refusal_of(refused) from None
        account.purses["funding"][token] -= fee - sent.fee
        sent.fee = fee
        return {"id": sent.name}

    def withdrawals(self, params: dict[str, Any]) -> Any:
        """GET asset/withdraw/query-record, the newest first. It does not say what its sender called one."""
        begin, end = span(params, self.account.clock.ms, 30 * DAY_MS)
        found = [row for row in reversed(self.account.withdrawals) if begin <= row.time_ms <= end]
        rows = [_withdrawal(row) for row in found if params.get("coin", row.asset) == row.asset]
        return page(rows, params, most=50, default=50, name="rows")

    def deposits(self, params: dict[str, Any]) -> Any:
        """GET asset/deposit/query-record, the newest first, by when they were seen, which is an hour before."""
        begin, end = span(params, self.account.clock.ms, 30 * DAY_MS)
        rows = [
            {
                "id": row.name,
                "coin": row.asset,
                "chain": "ETH",
                "amount": f"{row.amount}",
                "txID": f"0x{row.name}",
                "status": 3,
                "successAt": str(row.time_ms),
                "txIndex": "",
            }
            for row in reversed(self.account.deposits)
            if begin <= row.time_ms - 3_600_000 <= end
        ]
        return page(rows, params, most=50, default=50, name="rows")

    def coins(self, params: dict[str, Any]) -> Any:
        """GET asset/coin/query-info."""
        account = self.account
        chain = {
            "chain": "ETH",
            "chainType": "Ethereum",
            "withdrawFee": f"{account.withdrawal_fee}",
            "withdrawPercentageFee": f"{self.percentage_fee}",
            "chainWithdraw": "1" if account.sends_away else "0",
            "chainDeposit": "1",
            "minAccuracy": "8",
        }
        tokens = sorted({token for purse in account.purses.values() for token in purse})
        wanted = params.get("coin")
        rows = [{"coin": token, "name": token, "chains": [chain]} for token in tokens if wanted in (None, token)]
        return {"rows": rows}


def _withdrawal(row: Withdrawal) -> dict[str, Any]:
    return {
        "withdrawId": row.name,
        "withdrawType": 0,
        "coin": row.asset,
        "chain": row.network,
        "amount": f"{row.amount}",
        "withdrawFee": f"{row.fee}",
        "status": STATUSES.get(row.status, str(row.status)),
        "toAddress": row.address,
        "txID": "",
        "createTime": str(row.time_ms),
        "updateTime": str(row.time_ms),
    }


def _status(status: str) -> str:
    return "SUCCESS" if status == "CONFIRMED" else status
