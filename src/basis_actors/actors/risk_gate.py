"""Defines the actor between execution and venues: it looks at orders together before the first of them is sent.

It fails closed: what it cannot check, it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from basis_actors.actors.gate_checks import (
    MarketRules,
    Refusal,
    check_flash,
    check_margin,
    check_overdraft,
    check_quote,
    check_size,
    check_stake,
    check_venues,
    fee_of,
)
from basis_actors.bus import Actor, on
from basis_actors.messages.book import PositionsView
from basis_actors.messages.commands import CheckOrders, GetPositions, Objection
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order

__all__ = ["GateRules", "MarketRules", "RiskGate"]

_TRADES = (OperationType.SPOT_TRADE, OperationType.PERP_TRADE)


class GateRules(msgspec.Struct, frozen=True):
    """What the gate knows of the venues."""

    markets: Mapping[tuple[str, str], MarketRules]
    """By (venue, pair)."""
    domains: Mapping[str, str]
    """Account domain of each venue that orders may go to."""
    minimum_stakes: Mapping[str, float] = {}
    """Least stake of each staking protocol, ETH."""


class RiskGate(Actor):
    """Checks how orders go together, freshness of prices, sizes, balances and margin."""

    def __init__(self, rules: GateRules) -> None:
        super().__init__("risk_gate")
        self._rules = rules

    @on(CheckOrders)
    async def check(self, request: CheckOrders) -> Objection | None:
        """The first objection against sending these orders one after the other.

        Each order is checked against the balances that those before it are expected to leave.
        """
        together = check_venues(request.orders, self._rules.domains) or check_flash(request.orders)
        if together is not None:
            return Objection(*together)
        view = await self.ask("position_monitor", GetPositions())
        balances = dict(view.positions)
        for order in request.orders:
            refusal = self._refusal(order, request.tick.market, view, balances)
            if refusal is not None:
                return Objection(refusal.code, f"{order.operation} {order.operation_id}: {refusal.reason}")
        return None

    def _refusal(
        self, order: Order, market: MarketState, view: PositionsView, balances: dict[str, float]
    ) -> Refusal | None:
        """What speaks against one order after those before it; `balances` is brought up to date."""
        rules = None
        if order.operation in _TRADES:
            rules = self._rules.markets.get((order.venue, order.pair or ""))
            if rules is None:
                return Refusal("VEN-004", f"{order.venue} has no market {order.pair} configured")
            refusal = check_quote(order, market) or check_size(order, rules, market, balances)
        else:
            refusal = check_stake(order, self._rules.minimum_stakes)
        if refusal is not None:
            return refusal
        for delta in order.expected_deltas:
            balances[delta.position_key] = balances.get(delta.position_key, 0.0) + delta.delta_amount
        if rules is not None:
            balances[rules.cash_key] = balances.get(rules.cash_key, 0.0) - fee_of(order, rules, market)
        if order.operation is not OperationType.PERP_TRADE:
            return check_overdraft(order, view.positions, balances)
        return None if order.reduce_only else check_margin(order, self._rules.markets, view, balances)
