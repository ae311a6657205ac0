"""Defines the actor between execution and venues: it looks at orders together before the first of them is sent.

It fails closed: what it cannot check, it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.bus import Actor, on
from basis_actors.finance.keys import parse_key
from basis_actors.messages.book import TickStarted
from basis_actors.messages.commands import CheckOrders, GateVerdict, GetPositions
from basis_actors.messages.orders import OperationType, Order, Side

__all__ = ["RiskGate"]

_OVERDRAFT = 1e-9


class RiskGate(Actor):
    """Checks size, balance and freshness of prices. `minimum_notional` is in USDT, by venue that trades."""

    def __init__(self, minimum_notional: Mapping[str, float]) -> None:
        super().__init__("risk_gate")
        self._minimum_notional = dict(minimum_notional)

    @on(CheckOrders)
    async def check(self, request: CheckOrders) -> GateVerdict:
        """Whether these orders may be sent one after the other; the first objection decides."""
        view = await self.ask("position_monitor", GetPositions())
        balances = dict(view.positions)
        for order in request.orders:
            objection = self._trade_objection(order, request.tick) or _overdraft(order, balances)
            if objection is not None:
                code, reason = objection
                return GateVerdict(False, code, f"{order.operation} {order.operation_id}: {reason}", order.operation_id)
            for delta in order.expected_deltas:
                balances[delta.position_key] = balances.get(delta.position_key, 0.0) + delta.delta_amount
        return GateVerdict(True)

    def _trade_objection(self, order: Order, tick: TickStarted) -> tuple[str, str] | None:
        if order.operation is OperationType.SPOT_TRADE:
            base = (order.pair or "").split("/")[0]
            quote = tick.market.spot.get(f"{order.venue}:{base}")
            price, fresh = (quote.price, quote.fresh) if quote is not None else (None, False)
        elif order.operation is OperationType.PERP_TRADE:
            perp = tick.market.perps.get(f"{order.venue}:{order.pair}")
            price, fresh = (perp.last, perp.last_fresh and perp.mark_fresh) if perp is not None else (None, False)
        else:
            return None
        where = f"{order.pair} on {order.venue}"
        if price is None:
            return "STRAT-006", f"the price of {where} is not known"
        if not fresh:
            return "STRAT-006", f"the price of {where} is older than its staleness limit"
        minimum = self._minimum_notional.get(order.venue)
        if minimum is None:
            return "VEN-004", f"{order.venue} has no minimum order size configured, so it is not known to trade"
        notional = order.amount * price
        if notional < minimum and not order.reduce_only:
            return "EXEC-004", f"notional {notional:.6g} USDT is below the minimum of {minimum:.6g} on {order.venue}"
        return None


def _overdraft(order: Order, balances: Mapping[str, float]) -> tuple[str, str] | None:
    """An order may not take more tokens than there are, by what it expects to take."""
    if order.operation is OperationType.PERP_TRADE:
        # What a perp trade moves on the cash key is realised PnL; margin is the venue's check.
        return None
    for delta in order.expected_deltas:
        info = parse_key(delta.position_key)
        if delta.delta_amount >= 0.0 or info.signed or info.sign < 0.0:
            continue
        held = balances.get(delta.position_key, 0.0)
        if held + delta.delta_amount < -_OVERDRAFT * max(1.0, abs(held)):
            return "EXEC-004", f"takes {-delta.delta_amount:.12g} from {delta.position_key}, which holds {held:.12g}"
    if order.operation is OperationType.SPOT_TRADE and order.side not in (Side.BUY, Side.SELL):
        return "EXEC-003", f"side {order.side} is not one of a spot trade"
    return None
