"""Shows the local exchange's unified account as Bybit does: key, modes, purses, positions, transaction log."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.exchange.account import Account
from tests.exchange.bybit_orders import DAY_MS, BybitDesk
from tests.exchange.bybit_words import Refusal, page, span, text
from tests.exchange.market import ZERO, Kind, Market


class BybitHouse:
    """Everything that is about the account rather than about orders."""

    def __init__(self, account: Account, desk: BybitDesk, key: str) -> None:
        self.account = account
        self.desk = desk
        self.key = key
        self.read_only = False
        self.rights = {
            "ContractTrade": ["Order", "Position"],
            "Spot": ["SpotTrade"],
            "Wallet": ["AccountTransfer", "Withdraw"],
            "Derivatives": ["DerivativesTrade"],
        }
        self.status = 6
        """Kind of account; 1 is a classic one."""
        self.margin_mode = "REGULAR_MARGIN"
        self.keeps_margin_mode = False

    def key_info(self, _params: dict[str, Any]) -> Any:
        """GET user/query-api. It says the key itself."""
        info = {"id": "16651472", "userID": 24617703, "apiKey": self.key, "secret": "", "ips": ["*"], "uta": 1}
        return info | {"readOnly": int(self.read_only), "permissions": self.rights}

    def info(self, _params: dict[str, Any]) -> Any:
        """GET account/info."""
        return {"unifiedMarginStatus": self.status, "marginMode": self.margin_mode, "isMasterTrader": False}

    def set_margin_mode(self, params: dict[str, Any]) -> Any:
        """POST account/set-margin-mode."""
        if any(position.size for position in self.account.positions.values()):
            raise Refusal(3400045, "Set margin mode failed")
        if not self.keeps_margin_mode:
            self.margin_mode = params["setMarginMode"]
        return {"reasons": []}

    def set_position_mode(self, params: dict[str, Any]) -> Any:
        """POST position/switch-mode."""
        market, mode = self.desk.market(params), params["mode"]
        if mode not in (0, 3):
            raise Refusal(10001, "params error: mode")
        wanted = mode == 3
        if wanted == self.account.two_way[market.kind]:
            raise Refusal(110025, "Position mode has not been modified.")
        if self.account.positions[market.pair].size:
            raise Refusal(110024, "You have an existing position, so the position mode cannot be switched.")
        self.account.two_way[market.kind] = wanted
        return {}

    def set_leverage(self, params: dict[str, Any]) -> Any:
        """POST position/set-leverage."""
        market = self.desk.market(params)
        if params["buyLeverage"] != params["sellLeverage"] or not isinstance(params["buyLeverage"], str):
            raise Refusal(10001, "buy leverage not equal sell leverage")
        leverage = int(params["buyLeverage"])
        if leverage == market.leverage:
            raise Refusal(110043, "Set leverage has not been modified.")
        if not 1 <= leverage <= market.most_leverage:
            raise Refusal(110013, "Cannot set leverage due to risk limit level.")
        market.leverage = leverage
        return {}

    def wallet(self, params: dict[str, Any]) -> Any:
        """GET account/wallet-balance."""
        if params["accountType"] != "UNIFIED":
            raise Refusal(10001, "accountType only support UNIFIED.")
        account, coins = self.account, []
        for token, total in sorted(account.purses["unified"].items()):
            held = [(m, account.positions[m.pair]) for m in self._perpetuals() if m.margin == token]
            profit = sum((position.unrealised(market) for market, position in held if position.size), ZERO)
            bound = account.initial_margin("unified", token)
            coins.append(
                {
                    "coin": token,
                    "walletBalance": text(total),
                    "equity": text(total + profit),
                    "unrealisedPnl": text(profit),
                    "locked": text(total - bound - account.free("unified", token)),
                    "totalOrderIM": "0",
                    "totalPositionIM": text(bound),
                    "availableToWithdraw": "",
                    "borrowAmount": "0",
                }
            )
        return {"list": [{"accountType": "UNIFIED", "coin": coins, "totalEquity": ""}]}

    def purse(self, params: dict[str, Any]) -> Any:
        """GET asset/transfer/query-account-coins-balance."""
        if params["accountType"] != "FUND":
            raise Refusal(131203, "Request parameter error")
        rows = [
            {"coin": token, "walletBalance": f"{total}", "transferBalance": f"{total}", "bonus": ""}
            for token, total in sorted(self.account.purses["funding"].items())
        ]
        return {"accountType": "FUND", "memberId": "1", "balance": rows}

    def positions(self, params: dict[str, Any]) -> Any:
        """GET position/list: a market by its name, or all that hold something."""
        if params["category"] != "linear":
            raise Refusal(10001, "params error: category")
        if "symbol" in params:
            rows = self._rows(self.desk.market(params))
        elif params.get("settleCoin"):
            held = [market for market in self._perpetuals() if self.account.positions[market.pair].size]
            rows = [row for market in held for row in self._rows(market) if Decimal(row["size"])]
        else:
            raise Refusal(10001, "params error: symbol or settleCoin")
        return {"category": "linear"} | page(rows, params, most=200, default=20)

    def log(self, params: dict[str, Any]) -> Any:
        """GET account/transaction-log, the newest first."""
        begin, end = span(params, self.account.clock.ms, 7 * DAY_MS)
        rows = [*self._trades(), *self._transfers(), *self._incomes()]
        rows = [row for row in rows if begin <= int(row["transactionTime"]) <= end]
        rows.sort(key=lambda row: (int(row["transactionTime"]), row["id"]), reverse=True)
        return page(rows, params, most=50, default=20)

    def _perpetuals(self) -> list[Market]:
        return [market for market in self.account.markets.values() if market.kind is Kind.LINEAR]

    def _rows(self, market: Market) -> list[dict[str, Any]]:
        position = self.account.positions[market.pair]
        size = position.size
        row = {
            "symbol": market.symbol,
            "positionIdx": 0,
            "side": "Buy" if size > 0 else "Sell" if size < 0 else "",
            "size": f"{abs(size)}",
            "avgPrice": text(position.entry),
            "markPrice": text(market.price),
            "liqPrice": text(market.price * (2 if size < 0 else Decimal("0.5"))) if size else "",
            "leverage": f"{market.leverage}",
            "positionValue": text(abs(size) * market.price),
            "unrealisedPnl": text(position.unrealised(market) if size else ZERO),
            "tradeMode": 0,
            "positionStatus": "Normal",
            "updatedTime": str(self.account.clock.ms),
        }
        if not self.account.two_way[market.kind]:
            return [row]
        empty = row | {"side": "", "size": "0", "liqPrice": ""}
        mine = 1 if size >= 0 else 2
        return [row | {"positionIdx": index} if index == mine else empty | {"positionIdx": index} for index in (1, 2)]

    def _trades(self) -> list[dict[str, Any]]:
        """A perpetual's trade is one entry, one on spot is one of each currency, with one id."""
        rows = []
        for trade in self.account.trades:
            market, name = trade.order.market, f"{trade.trade_id}"
            if market.kind is not Kind.SPOT:
                rows.append(
                    self._entry(name, "TRADE", market, market.margin, trade.realised - trade.fee, trade.time_ms)
                )
                continue
            sign = 1 if trade.order.buys else -1
            moved = {market.base: sign * trade.amount, market.quote: -sign * trade.amount * trade.price}
            moved[trade.fee_currency] -= trade.fee
            rows += [
                self._entry(name, "TRADE", market, token, change, trade.time_ms) for token, change in moved.items()
            ]
        return rows

    def _transfers(self) -> list[dict[str, Any]]:
        return [
            self._entry(
                f"{row.number}",
                "TRANSFER_IN" if row.route == "FUND>UNIFIED" else "TRANSFER_OUT",
                None,
                row.asset,
                row.amount if row.route == "FUND>UNIFIED" else -row.amount,
                row.time_ms,
            )
            for row in self.account.transfers
        ]

    def _incomes(self) -> list[dict[str, Any]]:
        kinds = {"FUNDING_FEE": "SETTLEMENT", "INTEREST": "INTEREST"}
        return [
            self._entry(
                f"{row.number}",
                kinds[row.kind],
                self.account.markets.get((row.wallet, row.symbol)),
                row.asset,
                row.amount,
                row.time_ms,
            )
            for row in self.account.income
            if row.kind in kinds
        ]

    def _entry(
        self, name: str, kind: str, market: Market | None, token: str, change: Decimal, time_ms: int
    ) -> dict[str, Any]:
        return {
            "id": f"592324_{name}",
            "symbol": market.symbol if market else "",
            "category": "" if market is None else "spot" if market.kind is Kind.SPOT else "linear",
            "side": "None",
            "type": kind,
            "currency": token,
            "change": f"{change}",
            "funding": f"{change}" if kind == "SETTLEMENT" else "",
            "transactionTime": str(time_ms),
        }
