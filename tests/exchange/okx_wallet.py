"""Shows the local exchange's funding purse as OKX does: balances, transfers, withdrawals, bills."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tests.exchange.account import Account, Refused, Withdrawal
from tests.exchange.okx_orders import DAY_MS
from tests.exchange.okx_words import Refusal, digits, page, parameter, refusal_of

PURSES = {"6": "funding", "18": "unified"}
STATES: dict[int | str, str] = {4: "0", 6: "2"}
"""Of withdrawals, by the numbers of the account; a test may put in a state of OKX's instead."""
FAILED = ("-1", "-2")


class OkxWallet:
    """Everything that moves tokens."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.burns = Decimal(0)
        """Share of a withdrawal that is taken besides the fee."""

    def purse(self, params: dict[str, Any]) -> list[Any]:
        """GET asset/balances."""
        return [
            {"ccy": token, "bal": f"{total}", "availBal": f"{total}", "frozenBal": "0"}
            for token, total in sorted(self.account.purses["funding"].items())
            if params.get("ccy", token) == token
        ]

    def transfer(self, params: dict[str, Any]) -> list[Any]:
        """POST asset/transfer."""
        source, target, name = params["from"], params["to"], params.get("clientId", "")
        if source == target or not PURSES.keys() >= {source, target} or params.get("type", "0") != "0":
            raise parameter("from, to or type")
        if not (name.isascii() and name.isalnum() and len(name) <= 32) and name:
            raise parameter("clientId")
        amount, token = digits(params, "amt"), params["ccy"]
        try:
            done = self.account.move(PURSES[source], PURSES[target], f"{source}>{target}", token, amount, name)
        except Refused as refused:
            raise refusal_of(refused) from None
        row = {"transId": str(done.number), "ccy": token, "amt": f"{amount}", "from": source, "to": target}
        return [row | {"clientId": name}]

    def transfer_state(self, params: dict[str, Any]) -> list[Any]:
        """GET asset/transfer-state."""
        for row in self.account.transfers:
            if params.get("clientId", "") in (row.name,) or params.get("transId") == str(row.number):
                state = "success" if row.status == "CONFIRMED" else row.status
                found = {"transId": str(row.number), "clientId": row.name, "ccy": row.asset, "amt": f"{row.amount}"}
                return [found | {"type": params.get("type", "0"), "state": state}]
        raise Refusal(58129, "Incorrect transId or clientId")

    def withdraw(self, params: dict[str, Any]) -> list[Any]:
        """POST asset/withdrawal. What is asked for arrives; the fee comes on top."""
        token, network, address, name = (params[key] for key in ("ccy", "chain", "toAddr", "clientId"))
        if params["dest"] != "4":
            raise parameter("dest")
        if not self.account.sends_away:
            raise Refusal(58214, "Withdrawals suspended due to network maintenance")
        amount, account = digits(params, "amt"), self.account
        burnt = amount * self.burns
        try:
            if account.free("funding", token) < amount + account.withdrawal_fee + burnt:
                raise Refused("withdrawal exceeds balance")
            sent = account.withdraw(name, token, network, address, amount + account.withdrawal_fee)
        except Refused as refused:
            raise refusal_of(refused) from None
        account.purses["funding"][token] -= burnt
        sent.fee += burnt
        return [{"wdId": sent.name, "ccy": token, "chain": network, "amt": params["amt"], "clientId": name}]

    def withdrawals(self, params: dict[str, Any]) -> list[Any]:
        """GET asset/withdrawal-history, the newest first."""
        rows = [_withdrawal(row) for row in reversed(self.account.withdrawals)]
        return [row for row in rows if all(params.get(name, row[name]) == row[name] for name in ("ccy", "clientId"))]

    def currencies(self, params: dict[str, Any]) -> list[Any]:
        """GET asset/currencies: one network each."""
        account = self.account
        tokens = sorted({token for purse in account.purses.values() for token in purse})
        return [
            {
                "ccy": token,
                "name": token,
                "chain": f"{token}-ERC20",
                "canDep": True,
                "canWd": account.sends_away,
                "canInternal": True,
                "mainNet": True,
                "fee": f"{account.withdrawal_fee}",
                "burningFeeRate": f"{self.burns}" if self.burns else "",
                "minWd": "0.1",
                "minDep": "0.1",
                "maxWd": "1000000",
                "wdTickSz": "8",
            }
            for token in tokens
            if params.get("ccy", token) == token
        ]

    def bills(self, params: dict[str, Any]) -> list[Any]:
        """GET asset/bills: the last month."""
        return self._bills(params, 30)

    def bills_of_years(self, params: dict[str, Any]) -> list[Any]:
        """GET asset/bills-history."""
        return self._bills(params, 5 * 365)

    def _bills(self, params: dict[str, Any], days: int) -> list[Any]:
        rows = sorted(self._entries(), key=lambda row: (int(row["ts"]), row["billId"]), reverse=True)
        begin = self.account.clock.ms - days * DAY_MS
        return page([row for row in rows if int(row["ts"]) > begin], params, lambda row: int(row["ts"]))

    def _entries(self) -> Iterator[dict[str, Any]]:
        for came in self.account.deposits:
            yield _bill(came.name, "1", came.asset, came.amount, came.time_ms)
        for moved in self.account.transfers:
            kind, change = ("131", -moved.amount) if moved.route == "6>18" else ("130", moved.amount)
            yield _bill(f"{moved.number}", kind, moved.asset, change, moved.time_ms, moved.name)
        for sent in self.account.withdrawals:
            left = sent.amount + sent.fee
            yield _bill(sent.name, "2", sent.asset, -left, sent.time_ms, sent.client_id)
            if sent.status in FAILED:
                yield _bill(f"{sent.name}back", "13", sent.asset, left, sent.time_ms, sent.client_id)


def _bill(name: str, kind: str, token: str, change: Decimal, time_ms: int, client_id: str = "") -> dict[str, Any]:
    row = {"billId": name, "type": kind, "ccy": token, "balChg": f"{change}", "bal": "0"}
    return row | {"clientId": client_id, "ts": str(time_ms), "notes": ""}


def _withdrawal(row: Withdrawal) -> dict[str, Any]:
    return {
        "wdId": row.name,
        "clientId": row.client_id,
        "ccy": row.asset,
        "chain": row.network,
        "amt": f"{row.amount}",
        "fee": f"{row.fee}",
        "feeCcy": row.asset,
        "to": row.address,
        "from": "",
        "txId": "",
        "state": STATES.get(row.status, str(row.status)),
        "ts": str(row.time_ms),
    }
