"""Defines a simulated chain domain: the wallet, and the protocols that orders are handed to.

Orders run in transactions. A transaction that fails puts every account back bit by bit and still pays its gas when it
was a group; a single order is looked at before it is sent, so its refusal costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from sys import float_info
from typing import TYPE_CHECKING, Any, Final

from basis_actors.errors import Rejected
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, ExecutionStatus, PositionDelta, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.times import ns_from_utc
from basis_actors.venues.simulated.chain_terms import ChainTerms
from basis_actors.venues.simulated.domain import EXTERNAL, Executed, SimulatedDomain, VenueClock
from basis_actors.venues.simulated.flash import FlashLender
from basis_actors.venues.simulated.gas import FLASH_OPERATIONS, NO_GAS, Gas, gas_of, pays_gas_owed, takes_flash_loan
from basis_actors.venues.simulated.protocol import Booking, ChainProtocol, token_key
from basis_actors.venues.simulated.refusals import malformed, refused, take, unconfigured
from basis_actors.venues.simulated.transactions import require_one_group, require_repaid

if TYPE_CHECKING:
    from basis_actors.messages.book import Flow, TickStarted

__all__ = ["SimulatedChain"]

_ROUNDING: Final = 4.0 * float_info.epsilon
"""What a few sums and differences of floats may be off, as a fraction of the largest of them."""


class SimulatedChain(SimulatedDomain):
    """The owner's wallet on one chain, with the protocols it uses.

    Protocols settle in the order given. `latency_seconds` is how long a transaction takes to be included; 0 means that
    nothing here ever suspends.
    """

    def __init__(
        self, terms: ChainTerms, protocols: Sequence[ChainProtocol], clock: VenueClock, latency_seconds: float = 0.0
    ) -> None:
        venues = dict.fromkeys((terms.wallet, *(protocol.venue for protocol in protocols)))
        super().__init__(terms.domain, tuple(venues), clock, latency_seconds)
        self._terms = terms
        self._protocols = tuple(protocols)
        self._doing = {
            (protocol.venue, operation): protocol for protocol in protocols for operation in protocol.operations
        }
        self._settling = tuple(protocol for protocol in protocols if type(protocol).settle is not ChainProtocol.settle)
        self._keeping = tuple(one for one in protocols if type(one).supplied is not ChainProtocol.supplied)
        self._lenders = tuple(protocol for protocol in protocols if isinstance(protocol, FlashLender))
        self._gas_due = 0.0
        self._gas_held = 0.0
        """What the account that gas is paid from held when the transaction began."""

    def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        """Book deposits, arrivals and what the protocols say happened since the last tick, by their stamps.

        Money the owner asks back leaves by transfer.
        """
        market = tick.market
        self._market = market
        bookings = [self._deposit(flow) for flow in tick.flows if flow.amount > 0.0] if tick.flows else []
        for protocol in self._settling:
            bookings += protocol.settle(market, self)
        if len(bookings) > 1:
            bookings.sort(key=_when)
        settled: list[Settlement] = []
        for booking in bookings:
            if self._arrivals:
                self._arrive(ns_from_utc(booking.timestamp), settled)
            settled.append(self._enter(booking))
        if self._arrivals:
            self._arrive(market.ns, settled)
        return tuple(settled)

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        """Carry out orders in one transaction.

        Either all are confirmed, or every account is as it was: the order that failed is `failed`, those before it
        `rolled_back`, those after it `failed` without having run. Flash debt that is left at the end fails the last
        order. Gas is one settlement, in the handshake of the last order or of the one that failed: a transaction that
        fails pays for what it ran, one with a flash loan always for all of it.
        Raises Rejected EXEC-004 for orders that are not one whole atomic group, and for an id that was already used.
        """
        require_one_group(orders)
        for order in orders:
            self._refuse_repeat(order)
        await self._travel(*(order.operation_id for order in orders))
        submitted = self._time()
        before = self._snapshot()
        done: list[Executed] = []
        gas = NO_GAS
        try:
            market = self._known_market(orders[0])
            gas = self._reserve_gas(orders, market)
            for order in orders:
                done.append(self._perform(order, market))  # noqa: PERF401
            require_repaid(orders[-1], self._lenders)
        except Rejected as error:
            self._restore(before)
            failed = min(len(done), len(orders) - 1)
            answers = self._reverted(orders, failed, error, submitted, gas)
        else:
            done[-1] = self._with_gas(done[-1], gas, orders[-1].operation_id)
            answers = [
                self._confirmation(order, executed, submitted) for order, executed in zip(orders, done, strict=True)
            ]
        finally:
            self._gas_due = 0.0
        return tuple(self._remember(answer) for answer in answers)

    async def report(self) -> dict[str, float]:
        """Wallet, gas, tokens on their way, and every protocol's account as it shows it."""
        shown = await super().report()
        if self._market is not None:
            for protocol in self._protocols:
                shown.update(protocol.report(self._market))
        return shown

    def spendable(self, key: str) -> float:
        """How much of a token the running transaction may take: the balance without what its gas costs."""
        return self._spendable(key)

    def held(self, key: str) -> float:
        """Balance under a position key of the wallet."""
        return self._balances.get(key, 0.0)

    def total_of(self, token: str) -> float:
        """How much of a token there is in the wallet and, supplied, at all protocols together.

        A staking token never leaves the chain, so that there is none of it in transit.
        """
        supplied = 0.0
        for protocol in self._keeping:
            supplied += protocol.supplied(token)
        return self._balances.get(token_key(token), 0.0) + supplied

    def _spendable(self, key: str) -> float:
        gas = self._terms.gas
        due = self._gas_due if gas is not None and gas.paid_from == key else 0.0
        return self._balances.get(key, 0.0) - due

    def _carry_out(self, order: Order, market: MarketState) -> Executed:
        if order.operation in FLASH_OPERATIONS:
            raise refused(order, "flash loans exist only inside an atomic group that repays them; send it in one")
        gas = self._reserve_gas((order,), market)
        try:
            executed = self._perform(order, market)
        finally:
            self._gas_due = 0.0
        return self._with_gas(executed, gas, order.operation_id)

    def _perform(self, order: Order, market: MarketState) -> Executed:
        """Do one order of a transaction; its gas is the transaction's. Raises Rejected, and has changed nothing."""
        if order.venue not in self._venues:
            raise unconfigured(order, f"{self._domain} serves {self._venues}")
        if order.venue == self._terms.wallet:
            return self._transfer(order)
        protocol = self._doing.get((order.venue, order.operation))
        if protocol is None:
            does = sorted(operation.value for venue, operation in self._doing if venue == order.venue)
            raise unconfigured(order, f"{order.venue} does {', '.join(does)}, not {order.operation}")
        own, wallet, details, fee = protocol.carry_out(order, market, self)
        booked = Booking(DeltaSource.EXECUTION, self._time(), own, wallet, order.operation_id)
        settlements = (self._enter(booked),)
        if fee is None:
            return Executed(settlements, details)
        charged = self._charge(DeltaSource.FEE, fee.position_key, -fee.delta_amount, order.operation_id)
        return Executed((*settlements, charged), details, -fee.delta_amount, fee.position_key.rsplit(":", 1)[-1])

    def _deposit(self, flow: Flow) -> Booking:
        capital = PositionDelta(f"{self._terms.wallet}:BaseToken:{self._terms.currency}", flow.amount)
        return Booking(DeltaSource.DEPOSIT, flow.timestamp, (), (capital,))

    def _enter(self, booking: Booking) -> Settlement:
        """Book the wallet's side of what a protocol did, and tell both sides."""
        for delta in booking.wallet:
            self._balances[delta.position_key] = self._balances.get(delta.position_key, 0.0) + delta.delta_amount
        return self._tell(booking.source, booking.timestamp, booking.own + booking.wallet, booking.operation_id)

    def _transfer(self, order: Order) -> Executed:
        """Send tokens to another domain or to the owner, or pay gas that is owed."""
        if order.operation is not OperationType.TRANSFER:
            raise unconfigured(order, f"the wallet does transfers only; protocols are {self._venues[1:]}")
        source, target, token = self._route_of(order)
        if source != f"{self._terms.wallet}:BaseToken:{token}":
            raise malformed(order, f"transfers leave from {self._terms.wallet}:BaseToken:<token>, got {source}")
        details: dict[str, Any] = {"source_key": source, "target_key": target}
        if order.target_venue == EXTERNAL:
            amount = take(order, order.amount, self._spendable(source), f"{token} at {source} beside its gas")
            gone = (PositionDelta(source, -amount),)
            return Executed((self._book(DeltaSource.WITHDRAWAL, self._time(), gone, order.operation_id),), details)
        if order.target_venue not in self._venues:
            return Executed((self._send_away(order, source, token, 0.0),), details)
        if not pays_gas_owed(order):
            raise malformed(
                order, f"inside {self._domain} a transfer only pays gas that is owed, got {source} to {target}"
            )
        amount = take(order, order.amount, -self._balances.get(target, 0.0), f"owed at {target}")
        there = self._spendable(source)
        if amount > there:
            raise refused(order, f"needs {amount:.12g} {token} at {source}, {there:.12g} is there")
        deltas = (PositionDelta(source, -amount), PositionDelta(target, amount))
        return Executed((self._book(DeltaSource.TRANSFER, self._time(), deltas, order.operation_id),), details)

    def _reserve_gas(self, orders: Sequence[Order], market: MarketState) -> Gas:
        """What a transaction pays for gas, kept from being spent in it.

        Raises Rejected EXEC-004 when the wallet does not have the ETH, STRAT-006 when a price is not known.
        """
        terms = self._terms.gas
        if terms is None:
            return NO_GAS
        gas = gas_of(orders, terms, market)
        there = self._balances.get(terms.paid_from, 0.0)
        if terms.currency == "ETH" and there < gas.cost:
            text = f"its gas costs {gas.cost:.12g} ETH, {there:.12g} is there at {terms.paid_from}"
            raise refused(orders[0], text)
        self._gas_due, self._gas_held = gas.cost, there
        return gas

    def _with_gas(self, executed: Executed, gas: Gas, operation_id: str) -> Executed:
        """The last order of a transaction, with the gas of all of it. What a protocol charged stays its fee."""
        terms = self._terms.gas
        if terms is None or gas.cost == 0.0:
            return executed
        paid = self._pay_gas(terms.paid_from, gas.cost, operation_id)
        details = executed.details | {"gas_units": gas.units, "gas_eth": gas.eth}
        settlements = (*executed.settlements, paid)
        if executed.fee_currency is not None:
            return executed._replace(settlements=settlements, details=details)
        return Executed(settlements, details, gas.cost, terms.currency)

    def _pay_gas(self, key: str, cost: float, operation_id: str) -> Settlement:
        """Book gas. Who spends all but the gas of a large balance leaves it as that balance rounds."""
        left = self._balances.get(key, 0.0)
        rounded = abs(left - cost) <= _ROUNDING * self._gas_held
        return self._charge(DeltaSource.GAS, key, left if rounded else cost, operation_id)

    def _reverted(
        self, orders: tuple[Order, ...], failed: int, error: Rejected, submitted: datetime, gas: Gas
    ) -> list[ExecutionHandshake]:
        """Answers to a group whose order number `failed` was refused; pays the gas that was burnt, if any was due."""
        terms, market = self._terms.gas, self._market
        burnt: tuple[Settlement, ...] = ()
        if terms is not None and market is not None and gas.cost > 0.0:
            ran = orders if takes_flash_loan(orders) else orders[: failed + 1]
            cost = gas_of(ran, terms, market).cost
            burnt = (self._pay_gas(terms.paid_from, cost, orders[failed].operation_id),)
        answers = []
        for place, order in enumerate(orders):
            if place == failed:
                answers.append(self._failure(order, error, ExecutionStatus.FAILED, submitted, burnt))
            elif place < failed:
                text = f"rolled back with its group: {error.message}"
                answers.append(self._failure(order, Rejected("EXEC-006", text), ExecutionStatus.ROLLED_BACK, submitted))
            else:
                text = f"not run, because its group failed before: {error.message}"
                answers.append(self._failure(order, Rejected("EXEC-006", text), ExecutionStatus.FAILED, submitted))
        return answers

    def _snapshot(self) -> tuple[dict[str, float], int, tuple[object, ...]]:
        accounts = tuple(protocol.snapshot() for protocol in self._protocols)
        return self._balances.copy(), self._sequence, accounts

    def _restore(self, before: tuple[dict[str, float], int, tuple[object, ...]]) -> None:
        balances, self._sequence, accounts = before
        self._balances = balances.copy()
        for protocol, account in zip(self._protocols, accounts, strict=True):
            protocol.restore(account)


def _when(booking: Booking) -> datetime:
    return booking.timestamp
