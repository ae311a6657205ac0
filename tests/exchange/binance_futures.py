"""Shows the local exchange's perpetual account as Binance does: positions, margin, income, modes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.exchange.binance_orders import OrderDesk, text
from tests.exchange.binance_words import Refusal
from tests.exchange.market import ZERO, Kind, Market


class FuturesDesk(OrderDesk):
    """USD-M or COIN-M."""

    @property
    def _markets(self) -> list[Market]:
        return [market for (kind, _), market in self.account.markets.items() if kind is self.kind]

    def account_info(self, _params: dict[str, str]) -> Any:
        """GET account. USD-M names only what has a position, COIN-M everything."""
        account, kind = self.account, self.kind
        assets = []
        for token, total in sorted(account.purses[kind].items()):
            held = [(m, account.positions[m.pair]) for m in self._markets if m.margin == token]
            profit = sum((position.unrealised(market) for market, position in held if position.size), ZERO)
            bound = account.initial_margin(kind, token)
            assets.append(
                {
                    "asset": token,
                    "walletBalance": text(total),
                    "unrealizedProfit": text(profit),
                    "marginBalance": text(total + profit),
                    "initialMargin": text(bound),
                    "positionInitialMargin": text(bound),
                    "availableBalance": text(max(total + profit - bound, ZERO)),
                    "maxWithdrawAmount": text(max(min(total, total + profit) - bound, ZERO)),
                }
            )
        rows = [
            {"symbol": market.symbol, "positionSide": "BOTH", "positionAmt": plain(position)}
            for market in self._markets
            if (position := account.positions[market.pair].size) or kind is Kind.INVERSE
        ]
        return {"canTrade": account.may_trade, "assets": assets, "positions": rows}

    def positions(self, params: dict[str, str]) -> Any:
        """GET positionRisk. USD-M names only what has a position, COIN-M everything."""
        rows = []
        for market in self._markets:
            position = self.account.positions[market.pair]
            if params.get("symbol", market.symbol) != market.symbol:
                continue
            if not position.size and self.kind is Kind.LINEAR:
                continue
            bound = market.paid(abs(position.size), market.price) / market.leverage
            row = {
                "symbol": market.symbol,
                "positionSide": "BOTH",
                "positionAmt": plain(position.size),
                "entryPrice": text(position.entry),
                "markPrice": text(market.price),
                "unRealizedProfit": text(position.unrealised(market) if position.size else ZERO),
                "liquidationPrice": text(self._liquidation(market)),
                "notional": text(market.paid(position.size, market.price)),
                "initialMargin": text(bound),
                "updateTime": self.account.clock.ms,
            }
            if self.kind is Kind.INVERSE:
                row |= {"marginType": "cross" if market.cross else "isolated", "leverage": str(market.leverage)}
            rows.append(row)
        return rows

    def income(self, params: dict[str, str]) -> Any:
        """GET income."""
        begin, end = int(params["startTime"]), int(params.get("endTime", self.account.clock.ms))
        limit = int(params.get("limit", "100"))
        found = [row for row in self.account.income if row.wallet is self.kind and begin <= row.time_ms <= end]
        if "incomeType" in params:
            found = [row for row in found if row.kind == params["incomeType"]]
        return [
            {
                "symbol": row.symbol,
                "incomeType": row.kind,
                "income": text(row.amount),
                "asset": row.asset,
                "info": row.kind,
                "time": row.time_ms,
                "tranId": row.number,
                "tradeId": "",
            }
            for row in found[:limit]
        ]

    def position_mode(self, _params: dict[str, str]) -> Any:
        """GET positionSide/dual."""
        return {"dualSidePosition": self.account.two_way[self.kind]}

    def set_position_mode(self, params: dict[str, str]) -> Any:
        """POST positionSide/dual."""
        wanted = params["dualSidePosition"] == "true"
        if wanted == self.account.two_way[self.kind]:
            raise Refusal(-4059, "No need to change position side.")
        if any(self.account.positions[market.pair].size for market in self._markets):
            raise Refusal(-4068, "Position side cannot be changed if there exists position.")
        self.account.two_way[self.kind] = wanted
        return {"code": 200, "msg": "success"}

    def set_margin_mode(self, params: dict[str, str]) -> Any:
        """POST marginType."""
        market, cross = self.market(params), params["marginType"] == "CROSSED"
        if cross == market.cross:
            raise Refusal(-4046, "No need to change margin type.")
        if self.account.positions[market.pair].size:
            raise Refusal(-4048, "Margin type cannot be changed if there exists position.")
        market.cross = cross
        return {"code": 200, "msg": "success"}

    def set_leverage(self, params: dict[str, str]) -> Any:
        """POST leverage."""
        market, leverage = self.market(params), int(params["leverage"])
        if not 1 <= leverage <= market.most_leverage:
            raise Refusal(-4028, f"Leverage {leverage} is not valid")
        market.leverage = leverage
        return {"symbol": market.symbol, "leverage": leverage, "maxNotionalValue": "1000000"}

    def countdown(self, params: dict[str, str]) -> Any:
        """POST countdownCancelAll."""
        market, wait = self.market(params), int(params["countdownTime"])
        if wait:
            self.account.countdown[market.pair] = self.account.clock.ms + wait
        else:
            self.account.countdown.pop(market.pair, None)
        return {"symbol": market.symbol, "countdownTime": str(wait)}

    def config(self, _params: dict[str, str]) -> Any:
        """GET accountConfig."""
        account = self.account
        return {
            "canTrade": account.may_trade,
            "dualSidePosition": account.two_way[self.kind],
            "multiAssetsMargin": account.multi_assets,
        }

    def market_config(self, params: dict[str, str]) -> Any:
        """GET symbolConfig."""
        wanted = [self.market(params)] if "symbol" in params else self._markets
        return [
            {
                "symbol": market.symbol,
                "marginType": "CROSSED" if market.cross else "ISOLATED",
                "isAutoAddMargin": "false",
                "leverage": market.leverage,
                "maxNotionalValue": "1000000",
            }
            for market in wanted
        ]

    def brackets(self, _params: dict[str, str]) -> Any:
        """GET leverageBracket, one bracket a market."""
        row = {"bracket": 1, "initialLeverage": 50, "notionalCap": 10**9, "notionalFloor": 0, "maintMarginRatio": 0.004}
        return [{"symbol": market.symbol, "brackets": [row | {"cum": 0.0}]} for market in self._markets]

    def _liquidation(self, market: Market) -> Decimal:
        size = self.account.positions[market.pair].size
        return market.price * (Decimal(2) if size < 0 else Decimal("0.5")) if size else ZERO


def plain(value: Decimal) -> str:
    """As Binance writes sizes: no zeros beyond the lot."""
    return f"{value:f}"
