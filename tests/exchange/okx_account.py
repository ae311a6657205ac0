"""Shows the local exchange's trading account as OKX does: modes, leverage, purses, positions, bills."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tests.exchange.account import Account
from tests.exchange.market import ZERO, Kind, Market
from tests.exchange.okx_orders import DAY_MS, OkxDesk
from tests.exchange.okx_words import Refusal, contracts, kind_of, page, parameter, text

MODES = {False: "net_mode", True: "long_short_mode"}
KINDS = {"FUNDING_FEE": "8", "INTEREST": "7", "INSURANCE_CLEAR": "5"}


class OkxHouse:
    """Everything that is about the account rather than about orders."""

    def __init__(self, account: Account, desk: OkxDesk) -> None:
        self.account = account
        self.desk = desk
        self.level = "2"
        """Account mode; 2 is that of futures."""
        self.rights = "read_only,trade,withdraw"

    def config(self, _params: dict[str, Any]) -> list[Any]:
        """GET account/config."""
        mode = MODES[self.account.two_way[Kind.LINEAR]]
        return [{"uid": "1", "acctLv": self.level, "posMode": mode, "perm": self.rights, "autoLoan": False, "ip": ""}]

    def set_position_mode(self, params: dict[str, Any]) -> list[Any]:
        """POST account/set-position-mode."""
        wanted = params["posMode"]
        if wanted not in MODES.values():
            raise parameter("posMode")
        if self.account.open_orders() or any(position.size for position in self.account.positions.values()):
            raise Refusal(
                59000, "Setting failed. Cancel any open orders, close positions, and stop trading bots first."
            )
        self.account.two_way[Kind.LINEAR] = wanted == MODES[True]
        return [{"posMode": wanted}]

    def leverage(self, params: dict[str, Any]) -> list[Any]:
        """GET account/leverage-info."""
        return [self._leverage(self.desk.market(params), params)]

    def set_leverage(self, params: dict[str, Any]) -> list[Any]:
        """POST account/set-leverage."""
        market, times = self.desk.market(params), params["lever"]
        if params["mgnMode"] != "cross":
            raise parameter("mgnMode")
        if not 1 <= int(times) <= market.most_leverage:
            raise Refusal(59102, "Leverage exceeds the maximum limit. Please lower the leverage.")
        market.leverage = int(times)
        return [self._leverage(market, params)]

    def balance(self, _params: dict[str, Any]) -> list[Any]:
        """GET account/balance."""
        account, details = self.account, []
        for token, total in sorted(account.purses["unified"].items()):
            held = [(m, account.positions[m.pair]) for m in account.markets.values() if m.margin == token]
            profit = sum((position.unrealised(market) for market, position in held if position.size), ZERO)
            bound = account.initial_margin("unified", token)
            free = account.free("unified", token)
            details.append(
                {
                    "ccy": token,
                    "cashBal": text(total),
                    "eq": text(total + profit),
                    "upl": text(profit),
                    "availEq": text(free + profit),
                    "availBal": text(free),
                    "frozenBal": text(total - free),
                    "ordFrozen": text(total - free - bound),
                    "imr": text(bound) if bound else "",
                    "uTime": str(account.clock.ms),
                }
            )
        return [{"details": details, "totalEq": "0", "adjEq": "", "uTime": str(account.clock.ms)}]

    def positions(self, params: dict[str, Any]) -> list[Any]:
        """GET account/positions: what is held."""
        rows = [self._position(market) for market in self._held()]
        return [row for row in rows if params.get("instType", row["instType"]) == row["instType"]]

    def risk(self, _params: dict[str, Any]) -> list[Any]:
        """GET account/account-position-risk: the account and what is held, at one moment."""
        names = ("instType", "instId", "mgnMode", "posSide", "pos", "ccy")
        rows = [{name: self._position(market)[name] for name in names} for market in self._held()]
        return [{"adjEq": "", "balData": [], "posData": rows, "ts": str(self.account.clock.ms)}]

    def bills(self, params: dict[str, Any]) -> list[Any]:
        """GET account/bills: the last seven days."""
        return self._bills(params, 7)

    def bills_of_months(self, params: dict[str, Any]) -> list[Any]:
        """GET account/bills-archive: three months."""
        return self._bills(params, 90)

    def countdown(self, params: dict[str, Any]) -> list[Any]:
        """POST trade/cancel-all-after."""
        seconds = int(params["timeOut"])
        if seconds and not 10 <= seconds <= 120:
            raise parameter("timeOut")
        until = self.account.clock.ms + seconds * 1000
        self.account.countdown = {market.pair: until for market in self.account.markets.values()} if seconds else {}
        return [{"triggerTime": str(until) if seconds else "0", "tag": "", "ts": str(self.account.clock.ms)}]

    def _held(self) -> list[Market]:
        return [market for market in self.account.markets.values() if self.account.positions[market.pair].size]

    def _leverage(self, market: Market, params: dict[str, Any]) -> dict[str, Any]:
        return {"instId": market.symbol, "lever": f"{market.leverage}", "mgnMode": params["mgnMode"], "posSide": "net"}

    def _position(self, market: Market) -> dict[str, Any]:
        position, two_way = self.account.positions[market.pair], self.account.two_way[market.kind]
        side = "long" if position.size > 0 else "short"
        bound = market.paid(abs(position.size), market.price)
        return {
            "instType": kind_of(market),
            "instId": market.symbol,
            "mgnMode": "cross" if market.cross else "isolated",
            "posSide": side if two_way else "net",
            "pos": contracts(market, abs(position.size) if two_way else position.size),
            "ccy": market.margin,
            "avgPx": text(position.entry),
            "markPx": text(market.price),
            "liqPx": text(market.price * (2 if position.size < 0 else Decimal("0.5"))),
            "lever": f"{market.leverage}",
            "upl": text(position.unrealised(market)),
            "imr": text(bound / market.leverage),
            "notionalUsd": text(bound),
            "cTime": str(self.account.clock.ms),
            "uTime": str(self.account.clock.ms),
        }

    def _bills(self, params: dict[str, Any], days: int) -> list[Any]:
        begin = max(int(params.get("begin", 0)), self.account.clock.ms - days * DAY_MS)
        rows = sorted(self._entries(), key=lambda row: int(row["billId"]), reverse=True)
        rows = [row for row in rows if int(row["ts"]) > begin and params.get("type", row["type"]) == row["type"]]
        return page(rows, params, lambda row: int(row["billId"]))

    def _entries(self) -> Iterator[dict[str, Any]]:
        """Trades, transfers, and everything else."""
        for trade in self.account.trades:
            name, market = trade.order.client_id, trade.order.market
            kind = "9" if name.startswith("adl") else "5" if name.startswith("autoclose") else "2"
            yield self._bill(trade.trade_id, kind, market.margin, trade.realised - trade.fee, trade.time_ms, market) | {
                "ordId": str(trade.order.order_id)
            }
        for moved in self.account.transfers:
            change = moved.amount if moved.route == "6>18" else -moved.amount
            yield self._bill(moved.number, "1", moved.asset, change, moved.time_ms)
        for row in self.account.income:
            if row.kind in KINDS:
                market_of = self.account.markets.get((row.wallet, row.symbol))
                yield self._bill(row.number, KINDS[row.kind], row.asset, row.amount, row.time_ms, market_of)

    def _bill(
        self, number: int, kind: str, token: str, change: Decimal, time_ms: int, market: Market | None = None
    ) -> dict[str, Any]:
        return {
            "billId": str(number),
            "type": kind,
            "subType": "",
            "ccy": token,
            "balChg": f"{change}",
            "bal": "0",
            "instType": kind_of(market) if market else "",
            "instId": market.symbol if market else "",
            "ordId": "",
            "ts": str(time_ms),
        }
