"""Defines the actor between execution and venues: it looks at orders together before the first of them is sent.

It fails closed: what it cannot check, it refuses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

from basis_actors.actors.gate_checks import (
    MarketRules,
    Refusal,
    check_expected,
    check_flash,
    check_margin,
    check_overdraft,
    check_quote,
    check_size,
    check_stake,
    check_venues,
    fee_of,
)
from basis_actors.actors.loss_marks import LossMarks
from basis_actors.actors.order_limits import RATE_SECONDS, Standing, check_limits
from basis_actors.actors.reporting import DOUBT_CODE, HALTED_CODE, ORDER_JOURNAL, STATE_CODE, error_event
from basis_actors.actors.risk_reduction import all_reduce, which_reduce
from basis_actors.actors.under_way import UnderWay
from basis_actors.bus import Actor, on
from basis_actors.config import OrderLimits
from basis_actors.errors import BasisError
from basis_actors.messages.book import PositionsView
from basis_actors.messages.commands import CheckOrders, GetLatch, GetPositions, Objection
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.messages.safety import AccountDoubted, KeyRefused, OrdersUndecided, StateUnwritable, TradingState
from basis_actors.ports import StateStore
from basis_actors.times import NS_PER_SECOND, utc_from_ns

__all__ = ["GateRules", "MarketRules", "RiskGate"]

_LOSSES: Final = "losses"
_TRADES = (OperationType.SPOT_TRADE, OperationType.PERP_TRADE)


class GateRules(msgspec.Struct, frozen=True):
    """What the gate knows of the venues, and what it may let through."""

    markets: Mapping[tuple[str, str], MarketRules]
    """By (venue, pair)."""
    domains: Mapping[str, str]
    """Account domain of each venue that orders may go to."""
    limits: OrderLimits
    currency: str
    """Of the share class."""
    minimum_stakes: Mapping[str, float] = {}
    """Least stake of each staking protocol, ETH."""


class RiskGate(Actor):
    """Checks how orders go together, freshness of prices, sizes, balances, margin, and limits.

    `kill_switch` names the actor that says what may be sent at all; None where there is none, in a backtest. In a
    `store` losses survive a restart. While that cannot be written, is not where it was, or somebody else says that
    something is not on disk which has to be, only what reduces passes.
    """

    def __init__(self, rules: GateRules, kill_switch: str | None = None, store: StateStore | None = None) -> None:
        """Raises BasisError ENGINE-001 for losses of an earlier process that cannot be read."""
        super().__init__("risk_gate")
        self._rules = rules
        self._kill_switch = kill_switch
        self._store = store
        self._losses = LossMarks(rules.currency, store)
        self._refused: dict[str, str] = {}
        """Why each domain does not take our key."""
        self._undecided: dict[str, str] = {}
        """Why each domain has to say something before anything is sent there."""
        self._unwritten: dict[str, str] = {}
        """Why something is not on disk that has to be, by what it is."""
        self._doubted: dict[str, str] = {}
        """What each domain shows of its account and is not believed."""
        self._under_way = UnderWay()
        self._sent: deque[int] = deque()
        """When orders were let through, oldest first; what is older than the rate looks at is left out."""

    @on(PositionsView)
    def follow(self, view: PositionsView) -> None:
        """Keep up with losses, and with what has arrived."""
        self._under_way.take(view)
        try:
            self._losses.take(view)
        except BasisError as error:
            self._note_losses(error.message)
        else:
            if self._unwritten:
                self._note_losses(None)

    @on(KeyRefused)
    def note_key(self, seen: KeyRefused) -> None:
        """Let nothing through to a venue that would refuse it: the other legs would be sent in vain."""
        if seen.problem is None:
            self._refused.pop(seen.domain, None)
        else:
            self._refused[seen.domain] = seen.problem

    @on(StateUnwritable)
    def note_unwritable(self, state: StateUnwritable) -> None:
        """Let nothing through that adds risk while something cannot be written that has to be."""
        if self.envelope.sender == self.name or state.what == ORDER_JOURNAL:
            return
        if state.problem is None:
            self._unwritten.pop(state.what, None)
        else:
            self._unwritten[state.what] = state.problem

    @on(OrdersUndecided)
    def note_undecided(self, left: OrdersUndecided) -> None:
        """Let nothing through to a venue that has not said what became of what was sent there."""
        if left.problem is None:
            self._undecided.pop(left.domain, None)
        else:
            self._undecided[left.domain] = left.problem

    @on(AccountDoubted)
    def note_doubt(self, seen: AccountDoubted) -> None:
        """Let only what reduces through to an account of which nobody knows what it holds."""
        if seen.problem is None:
            self._doubted.pop(seen.domain, None)
        else:
            self._doubted[seen.domain] = seen.problem

    @on(CheckOrders)
    async def check(self, request: CheckOrders) -> Objection | None:
        """The first objection against sending these orders one after the other.

        Each order is checked against the balances that those before it are expected to leave.
        """
        orders = request.orders
        together = check_venues(orders, self._rules.domains) or check_flash(orders)
        if together is not None:
            return Objection(*together)
        halted = self._check_halts(orders)
        if halted is not None:
            return halted
        view = await self.ask("position_monitor", GetPositions())
        latched = (
            await self._check_latch(request, view)
            or self._check_disk(request, view)
            or self._check_doubts(orders, view)
        )
        if latched is not None:
            return latched
        balances = dict(view.positions)
        for order in orders:
            refusal = self._refusal(order, request.tick.market, view, balances)
            if refusal is not None:
                return _objection(order, refusal)
        broken = check_limits(self._rules.limits, orders, view, self._standing())
        if broken is not None:
            return _objection(*broken)
        self._under_way.expect(orders)
        self._sent.extend([self.now] * len(orders))
        return None

    def _check_halts(self, orders: tuple[Order, ...]) -> Objection | None:
        for order in orders:
            for venue in (order.venue, order.source_venue, order.target_venue):
                domain = self._rules.domains.get(venue, venue)
                problem = self._refused.get(domain) or self._undecided.get(domain)
                if problem is not None:
                    text = f"{venue} is halted, {order.operation_id} is not sent: {problem}"
                    return Objection(HALTED_CODE, text)
        return None

    async def _check_latch(self, request: CheckOrders, view: PositionsView) -> Objection | None:
        """While trading is stopped only what reduces may be sent."""
        if self._kill_switch is None:
            return None
        latch = await self.ask(self._kill_switch, GetLatch())
        if latch.state is TradingState.RUNNING or all_reduce(request.orders, view.positions):
            return None
        text = f"trading is {latch.state} ({latch.reason}); {request.orders[0].operation_id} does not only reduce"
        return Objection("RISK-008", text)

    def _check_disk(self, request: CheckOrders, view: PositionsView) -> Objection | None:
        """What a next process would not know of is no basis for new risk."""
        problem = next(iter(self._unwritten.values()), None)
        if problem is None and self._store is not None:
            problem = self._store.lost()
        if problem is None or all_reduce(request.orders, view.positions):
            return None
        return Objection(STATE_CODE, f"only what reduces is sent: {problem}")

    def _check_doubts(self, orders: tuple[Order, ...], view: PositionsView) -> Objection | None:
        """What adds risk, or brings money, to an account that is not believed."""
        if not self._doubted:
            return None
        for order, lowers in zip(orders, which_reduce(orders, view.positions), strict=True):
            arrives = order.operation is OperationType.TRANSFER
            if lowers and not arrives:
                continue
            venue = order.target_venue if arrives else order.venue
            problem = self._doubted.get(self._rules.domains.get(venue, venue))
            if problem is not None:
                return Objection(DOUBT_CODE, f"{venue} is not believed, {order.operation_id} is not sent: {problem}")
        return None

    def _note_losses(self, problem: str | None) -> None:
        """Say once that losses cannot be written down, and once that they can."""
        before = self._unwritten.pop(_LOSSES, None)
        if problem is not None:
            self._unwritten[_LOSSES] = problem
        if (before is None) == (problem is None):
            return
        self.publish(StateUnwritable(_LOSSES, problem))
        text = "losses can be written down again" if problem is None else f"nothing that adds risk is sent: {problem}"
        self.log(error_event(utc_from_ns(self.now), self.name, STATE_CODE, text, passes=problem is None))

    def _standing(self) -> Standing:
        sent, since = self._sent, self.now - round(RATE_SECONDS * NS_PER_SECOND)
        while sent and sent[0] <= since:
            sent.popleft()
        losses = self._losses
        return Standing(self._rules.currency, losses.daily_loss, losses.drawdown, len(sent), self._under_way.by_venue())

    def _refusal(
        self, order: Order, market: MarketState, view: PositionsView, balances: dict[str, float]
    ) -> Refusal | None:
        """What speaks against one order after those before it; `balances` is brought up to date."""
        rules = None
        if order.operation in _TRADES:
            rules = self._rules.markets.get((order.venue, order.pair or ""))
            if rules is None:
                return Refusal("VEN-004", f"{order.venue} has no market {order.pair} configured")
            refusal = check_expected(order) or check_quote(order, market) or check_size(order, rules, market, balances)
        else:
            refusal = check_expected(order) or check_stake(order, self._rules.minimum_stakes)
        if refusal is not None:
            return refusal
        for delta in order.expected_deltas:
            balances[delta.position_key] = balances.get(delta.position_key, 0.0) + delta.delta_amount
        if rules is not None:
            balances[rules.cash_key] = balances.get(rules.cash_key, 0.0) - fee_of(order, rules, market)
        if order.operation is not OperationType.PERP_TRADE:
            return check_overdraft(order, view.positions, balances)
        return None if order.reduce_only else check_margin(order, self._rules.markets, view, balances)


def _objection(order: Order, refusal: Refusal) -> Objection:
    return Objection(refusal.code, f"{order.operation} {order.operation_id}: {refusal.reason}")
