"""Defines a simulated chain domain: the wallet, gas, and the protocols that orders are handed to.

Orders run in transactions. A transaction that fails puts every account back bit by bit and still pays its gas when it
was a group; a single order is looked at before it is sent, so its refusal costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_actors.errors import Rejected
from basis_actors.finance.costs import gas_cost_eth
from basis_actors.finance.keys import parse_key
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, ExecutionStatus, PositionDelta, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.times import ns_from_utc
from basis_actors.venues.simulated.domain import EXTERNAL, Executed, SimulatedDomain, VenueClock
from basis_actors.venues.simulated.protocol import ChainProtocol, token_key
from basis_actors.venues.simulated.refusals import malformed, not_known, refused, take, unconfigured
from basis_actors.venues.simulated.terms import ChainTerms

if TYPE_CHECKING:
    from basis_actors.messages.book import TickStarted

__all__ = ["SimulatedChain"]


class _Gas(NamedTuple):
    """What one operation pays."""

    units: float
    eth: float
    cost: float
    """In the currency of the key it is paid from."""


_NO_GAS = _Gas(0.0, 0.0, 0.0)


class SimulatedChain(SimulatedDomain):
    """The owner's wallet on one chain, with the protocols it uses.

    `latency_seconds` is how long a transaction takes to be included; 0 means that nothing here ever suspends.
    """

    def __init__(
        self, terms: ChainTerms, protocols: Sequence[ChainProtocol], clock: VenueClock, latency_seconds: float = 0.0
    ) -> None:
        venues = (terms.wallet, *(protocol.venue for protocol in protocols))
        super().__init__(terms.domain, venues, clock, latency_seconds)
        self._terms = terms
        self._protocols = {protocol.venue: protocol for protocol in protocols}
        self._gas_due = 0.0

    async def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        """Book deposits and arrivals by their stamps, then what accrued up to the tick, then liquidations."""
        market = tick.market
        self._market = market
        settled: list[Settlement] = []
        if tick.flows or self._arrivals:
            self._receive(tick, settled)
        for protocol in self._protocols.values():
            accrued = protocol.accrue(market)
            if accrued:
                settled.append(self._tell(DeltaSource.ACCRUAL, market.timestamp, accrued))
            taken = protocol.liquidate(market)
            if taken:
                settled.append(self._tell(DeltaSource.LIQUIDATION, market.timestamp, taken))
        return tuple(settled)

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        """Carry out orders in one transaction.

        Either all are confirmed, or every account is as it was: the order that failed is `failed`, those before it
        `rolled_back`, those after it `failed` without having run. Gas up to the failing order is paid all the same; it
        is a settlement in the handshake of that order. Raises Rejected for an id that was already used.
        """
        for order in orders:
            self._refuse_repeat(order)
        await self._travel(*(order.operation_id for order in orders))
        submitted = self._time()
        before = self._snapshot()
        done: list[Executed] = []
        for order in orders:
            try:
                done.append(self._carry_out(order, self._known_market(order)))
            except Rejected as error:
                self._restore(before)
                answers = self._reverted(orders, len(done), error, submitted)
                break
        else:
            answers = [
                self._confirmation(order, executed, submitted) for order, executed in zip(orders, done, strict=True)
            ]
        return tuple(self._remember(answer) for answer in answers)

    async def report(self) -> dict[str, float]:
        """Wallet, gas, tokens on their way, and every protocol's account as it shows it."""
        shown = await super().report()
        if self._market is not None:
            for protocol in self._protocols.values():
                shown.update(protocol.report(self._market))
        return shown

    def spendable(self, key: str) -> float:
        """How much of a token the running order may take: the balance without what its gas costs."""
        return self._spendable(key)

    def _spendable(self, key: str) -> float:
        gas = self._terms.gas
        due = self._gas_due if gas is not None and gas.paid_from == key else 0.0
        return self._balances.get(key, 0.0) - due

    def _carry_out(self, order: Order, market: MarketState) -> Executed:
        if order.venue not in self._venues:
            raise unconfigured(order, f"{self._domain} serves {self._venues}")
        gas = self._gas_of(order, market)
        self._gas_due = gas.cost
        try:
            if order.operation is OperationType.TRANSFER:
                booked, details = self._transfer(order)
            else:
                booked, details = self._hand_over(order, market)
        finally:
            self._gas_due = 0.0
        settlements = [booked]
        if gas.cost > 0.0:
            settlements.append(self._pay_gas(gas, order.operation_id))
            details |= {"gas_units": gas.units, "gas_eth": gas.eth}
        currency = self._terms.gas.currency if self._terms.gas is not None and gas.cost > 0.0 else None
        return Executed(tuple(settlements), details, gas.cost, currency)

    def _hand_over(self, order: Order, market: MarketState) -> tuple[Settlement, dict[str, Any]]:
        """Have a protocol do its part, and book the wallet's."""
        protocol = self._protocols.get(order.venue)
        if protocol is None:
            raise unconfigured(order, f"the wallet does transfers only; protocols are {sorted(self._protocols)}")
        outcome = protocol.carry_out(order, market, self)
        for delta in outcome.wallet:
            self._balances[delta.position_key] = self._balances.get(delta.position_key, 0.0) + delta.delta_amount
        deltas = (*outcome.own, *outcome.wallet)
        return self._tell(DeltaSource.EXECUTION, self._time(), deltas, order.operation_id), outcome.details

    def _transfer(self, order: Order) -> tuple[Settlement, dict[str, Any]]:
        """Send tokens to another domain or to the owner, or pay gas that is owed."""
        source, target, token = self._route_of(order)
        if source != f"{self._terms.wallet}:BaseToken:{token}":
            raise malformed(order, f"transfers leave from {self._terms.wallet}:BaseToken:<token>, got {source}")
        details = {"source_key": source, "target_key": target}
        if order.target_venue == EXTERNAL:
            amount = take(order, order.amount, self._spendable(source), f"{token} at {source} beside its gas")
            gone = (PositionDelta(source, -amount),)
            return self._book(DeltaSource.WITHDRAWAL, self._time(), gone, order.operation_id), details
        if order.target_venue not in self._venues:
            return self._send_away(order, source, token, 0.0), details
        if not _pays_gas_owed(order):
            raise malformed(
                order, f"inside {self._domain} a transfer only pays gas that is owed, got {source} to {target}"
            )
        amount = take(order, order.amount, -self._balances.get(target, 0.0), f"owed at {target}")
        there = self._spendable(source)
        if amount > there:
            raise refused(order, f"needs {amount:.12g} {token} at {source}, {there:.12g} is there")
        deltas = (PositionDelta(source, -amount), PositionDelta(target, amount))
        return self._book(DeltaSource.TRANSFER, self._time(), deltas, order.operation_id), details

    def _receive(self, tick: TickStarted, settled: list[Settlement]) -> None:
        """Book deposits of the owner and arrivals, by their stamps. Money the owner asks back leaves by transfer."""
        key = f"{self._terms.wallet}:BaseToken:{self._terms.currency}"
        for flow in sorted(tick.flows, key=lambda flow: flow.timestamp):
            if flow.amount > 0.0:
                self._arrive(ns_from_utc(flow.timestamp), settled)
                settled.append(self._book(DeltaSource.DEPOSIT, flow.timestamp, (PositionDelta(key, flow.amount),)))
        self._arrive(tick.market.ns, settled)

    def _gas_of(self, order: Order, market: MarketState) -> _Gas:
        """What the order pays for gas. Raises Rejected when a price it needs is not known, or nobody can pay it.

        The last known gas price serves however old it is: it is a cost and values nothing.
        """
        terms = self._terms.gas
        if terms is None or _pays_gas_owed(order):
            return _NO_GAS
        native = order.operation is OperationType.TRANSFER and token_key(order.source_token) == token_key("ETH")
        units = terms.units.get("transfer_eth" if native else order.operation.value)
        if units is None:
            raise unconfigured(order, f"gas_units has no {order.operation}; it has {sorted(terms.units)}")
        quote = market.gas
        if quote is None:
            raise not_known(order, f"no gas price is known yet at {market.timestamp.isoformat()}")
        eth = gas_cost_eth(units, quote.base_fee_gwei, quote.priority_fee_gwei, terms.priority_fee_cap_gwei)
        if terms.currency == "ETH":
            there = self._balances.get(terms.paid_from, 0.0)
            if there < eth:
                raise refused(order, f"its gas costs {eth:.12g} ETH, {there:.12g} is there at {terms.paid_from}")
            return _Gas(units, eth, eth)
        return _Gas(units, eth, eth * self._price(order, "ETH", market) / self._price(order, terms.currency, market))

    def _price(self, order: Order, asset: str, market: MarketState) -> float:
        if asset == "USDT":
            return 1.0
        price = market.prices.get(asset)
        if price is None:
            raise not_known(order, f"gas is booked at the price of {asset}, which is not known yet")
        return price

    def _pay_gas(self, gas: _Gas, operation_id: str) -> Settlement:
        terms = self._terms.gas
        assert terms is not None
        return self._charge(DeltaSource.GAS, terms.paid_from, gas.cost, operation_id)

    def _reverted(
        self, orders: tuple[Order, ...], failed: int, error: Rejected, submitted: datetime
    ) -> list[ExecutionHandshake]:
        """Answers to a group whose order number `failed` was refused; pays the gas that was burnt up to it."""
        burnt: tuple[Settlement, ...] = ()
        cost = self._burnt_gas(orders[: failed + 1])
        if cost > 0.0:
            burnt = (self._pay_gas(_Gas(0.0, 0.0, cost), orders[failed].operation_id),)
        reason = f"rolled back with its group: {error.message}"
        answers = []
        for place, order in enumerate(orders):
            if place == failed:
                answers.append(self._failure(order, error, ExecutionStatus.FAILED, submitted, burnt))
                continue
            status = ExecutionStatus.ROLLED_BACK if place < failed else ExecutionStatus.FAILED
            text = reason if place < failed else f"not run, because its group failed before: {error.message}"
            answers.append(self._failure(order, Rejected("EXEC-006", text), status, submitted))
        return answers

    def _burnt_gas(self, orders: tuple[Order, ...]) -> float:
        """Gas of a reverted transaction; none when it was refused for want of a gas price, or of ETH to pay it."""
        terms, market = self._terms.gas, self._market
        if terms is None or market is None:
            return 0.0
        try:
            cost = sum(self._gas_of(order, market).cost for order in orders)
        except Rejected:
            return 0.0
        return cost if terms.currency != "ETH" else min(cost, self._balances.get(terms.paid_from, 0.0))

    def _snapshot(self) -> tuple[dict[str, float], int, dict[str, object]]:
        accounts = {venue: protocol.snapshot() for venue, protocol in self._protocols.items()}
        return self._balances.copy(), self._sequence, accounts

    def _restore(self, before: tuple[dict[str, float], int, dict[str, object]]) -> None:
        balances, self._sequence, accounts = before
        self._balances = balances.copy()
        for venue, account in accounts.items():
            self._protocols[venue].restore(account)


def _pays_gas_owed(order: Order) -> bool:
    target = order.operation_details.get("target_key")
    return order.operation is OperationType.TRANSFER and isinstance(target, str) and parse_key(target).kind == "Payable"
