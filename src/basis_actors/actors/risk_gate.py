"""Defines the actor between execution and venues: it looks at orders together before the first of them is sent.

It fails closed: what it cannot check, it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from basis_actors.bus import Actor, on
from basis_actors.finance.costs import trade_fee, whole_lots
from basis_actors.finance.keys import parse_key
from basis_actors.finance.margin import Bracket, initial_margin
from basis_actors.messages.book import PositionsView, TickStarted
from basis_actors.messages.commands import CheckOrders, GetPositions, Objection
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order

__all__ = ["MarketRules", "RiskGate"]

_OVERDRAFT = 1e-9


class MarketRules(msgspec.Struct, frozen=True):
    """What a venue requires of an order on one market."""

    lot: float
    """Step of an amount, base units."""
    minimum_amount: float
    minimum_notional: float
    """USDT."""
    fee: float
    """Taker fee, a fraction of notional."""
    cash_key: str
    """Position that pays the fee, and margins a perp."""
    brackets: Sequence[Bracket] = ()
    """Margin table of a perp."""


class RiskGate(Actor):
    """Checks freshness of prices, sizes, balances and margin. `markets` has the rules by (venue, pair)."""

    def __init__(self, markets: Mapping[tuple[str, str], MarketRules]) -> None:
        super().__init__("risk_gate")
        self._markets = dict(markets)

    @on(CheckOrders)
    async def check(self, request: CheckOrders) -> Objection | None:
        """The first objection against sending these orders one after the other."""
        view = await self.ask("position_monitor", GetPositions())
        balances = dict(view.positions)
        for order in request.orders:
            objection = self._objection(order, request.tick, view, balances)
            if objection is not None:
                code, reason = objection
                return Objection(code, f"{order.operation} {order.operation_id}: {reason}")
        return None

    def _objection(
        self, order: Order, tick: TickStarted, view: PositionsView, balances: dict[str, float]
    ) -> tuple[str, str] | None:
        """What speaks against one order after those before it; `balances` is brought up to date."""
        traded = order.operation in (OperationType.SPOT_TRADE, OperationType.PERP_TRADE)
        rules = self._markets.get((order.venue, order.pair or "")) if traded else None
        if traded:
            if rules is None:
                return "VEN-004", f"{order.venue} has no market {order.pair} configured"
            objection = _quote_objection(order, tick.market) or _size_objection(order, rules, tick.market, balances)
            if objection is not None:
                return objection
        for delta in order.expected_deltas:
            balances[delta.position_key] = balances.get(delta.position_key, 0.0) + delta.delta_amount
        if rules is not None:
            fee = trade_fee(order.amount * (_price(order, tick.market) or 0.0), rules.fee)
            balances[rules.cash_key] = balances.get(rules.cash_key, 0.0) - fee
        if order.operation is not OperationType.PERP_TRADE:
            return _overdraft(order, view.positions, balances)
        return None if order.reduce_only else self._margin_objection(order.venue, view, balances)

    def _margin_objection(
        self, venue: str, view: PositionsView, balances: Mapping[str, float]
    ) -> tuple[str, str] | None:
        """Cash and profit of the venue's account against the initial margin of the positions it would then have."""
        margin = required = 0.0
        cash_keys: dict[str, None] = {}
        for key, size in balances.items():
            info = parse_key(key)
            if info.perp is None or info.venue != venue or size == 0.0:
                continue
            rules = self._markets[venue, info.symbol]
            mark = view.tick.market.perps[info.perp].mark
            if mark is None:
                return "RISK-004", f"the mark of {info.perp} is not known, so its margin is not either"
            held = view.positions.get(key, 0.0)
            margin += held * (mark - view.entries[key]) if held else 0.0
            required += initial_margin(abs(size) * mark, rules.brackets)
            cash_keys[rules.cash_key] = None
        for key in cash_keys:
            if balances.get(key, 0.0) < 0.0:
                return "RISK-004", f"leaves {balances[key]:.6g} USDT at {key}; fees are paid in cash, not from profit"
        margin += sum(balances.get(key, 0.0) for key in cash_keys)
        if margin < required:
            return "RISK-004", f"needs {required:.6g} USDT of initial margin on {venue}, {margin:.6g} would be there"
        return None


def _price(order: Order, market: MarketState) -> float | None:
    if order.operation is OperationType.SPOT_TRADE:
        spot = market.spot.get(f"{order.venue}:{(order.pair or '').split('/')[0]}")
        return None if spot is None else spot.price
    perp = market.perps.get(f"{order.venue}:{order.pair}")
    return None if perp is None else perp.last


def _quote_objection(order: Order, market: MarketState) -> tuple[str, str] | None:
    """An order needs a price that is known and not too old; one that only reduces may do with an old mark."""
    where = f"the price of {order.pair} on {order.venue}"
    if _price(order, market) is None:
        return "STRAT-006", f"{where} is not known"
    if order.operation is OperationType.SPOT_TRADE:
        fresh = market.spot[f"{order.venue}:{(order.pair or '').split('/')[0]}"].fresh
    else:
        quote = market.perps[f"{order.venue}:{order.pair}"]
        fresh = quote.last_fresh and (quote.mark_fresh or order.reduce_only)
    return None if fresh else ("STRAT-006", f"{where} is older than its staleness limit")


def _size_objection(
    order: Order, rules: MarketRules, market: MarketState, balances: Mapping[str, float]
) -> tuple[str, str] | None:
    """Whole lots, and not less than the venue's minimum unless the order closes a position."""
    if whole_lots(order.amount, rules.lot) is None:
        return "EXEC-004", f"an amount of {order.amount:.12g} is not a multiple of the lot {rules.lot:g}"
    held = abs(balances.get(f"{order.venue}:PerpPosition:{order.pair}", 0.0))
    if order.reduce_only and order.amount >= held * (1.0 - _OVERDRAFT):
        return None
    notional = order.amount * (_price(order, market) or 0.0)
    if notional < rules.minimum_notional:
        return "EXEC-004", f"notional {notional:.6g} USDT is below the minimum of {rules.minimum_notional:.6g}"
    if order.amount < rules.minimum_amount:
        return "EXEC-004", f"amount {order.amount:.6g} is below the minimum of {rules.minimum_amount:.6g}"
    return None


def _overdraft(order: Order, before: Mapping[str, float], after: Mapping[str, float]) -> tuple[str, str] | None:
    """An order may not take more tokens than there are, by what it expects to take."""
    for delta in order.expected_deltas:
        info = parse_key(delta.position_key)
        if delta.delta_amount >= 0.0 or info.signed:
            continue
        held, left = before.get(delta.position_key, 0.0), after[delta.position_key]
        if left < -_OVERDRAFT * max(1.0, abs(held), abs(delta.delta_amount)):
            return "EXEC-004", f"takes {-delta.delta_amount:.12g} from {delta.position_key}, {-left:.12g} too much"
    return None
