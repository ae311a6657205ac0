"""Defines the actor that books what an execution did and compares three accounts of it: expected, booked, venue's."""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.actors.reporting import say_mismatches
from basis_actors.bus import Actor, AskFailed, AskTimeout, on
from basis_actors.errors import BasisError
from basis_actors.finance.keys import parse_key, perp_key
from basis_actors.messages.book import PositionsView, Trigger, VenueReport
from basis_actors.messages.commands import ApplySettlements, CheckLedger, Reconcile, Reconciled, RouteReport
from basis_actors.messages.events import Mismatch, ReconciliationEvent
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus
from basis_actors.messages.orders import OperationType, Order
from basis_actors.messages.safety import LedgerCompared

__all__ = ["PositionUpdateHandler"]

_TRADES = (OperationType.SPOT_TRADE, OperationType.PERP_TRADE)


class PositionUpdateHandler(Actor):
    """Reconciles each operation.

    `tolerance` is the relative difference allowed between ledger and venue, `tolerances` that of domains that round
    more coarsely; `domains` gives the domain of each venue name that appears in position keys.
    """

    def __init__(self, tolerance: float, domains: Mapping[str, str], tolerances: Mapping[str, float]) -> None:
        super().__init__("position_update_handler")
        self._tolerance = tolerance
        self._tolerances = dict(tolerances)
        self._domains = dict(domains)

    @on(Reconcile)
    async def reconcile(self, request: Reconcile) -> Reconciled:
        """Apply the settlements of a handshake, then compare."""
        order, handshake = request.order, request.handshake
        view = await self.ask("position_monitor", ApplySettlements(handshake.settlements))
        surprises = _against_expectation(order, handshake)
        try:
            report = await self.ask("venue_interface_manager", RouteReport(order.venue))
        except (AskTimeout, AskFailed):
            report = None
        if report is None:
            return Reconciled(compared=False, mismatches=(), surprises=surprises)
        if report.settlements:
            view = await self.ask("position_monitor", ApplySettlements(report.settlements))
        mismatches = self._against_venue(view, report)
        self.log(
            ReconciliationEvent(
                timestamp=view.tick.market.timestamp,
                reconciliation_type="tight_loop",
                success=not mismatches,
                expected=_expected(order),
                actual=handshake.actual_deltas,
                venue_reported=report.balances,
                mismatches=mismatches + surprises,
                trigger_source=Trigger.EXECUTION,
                operation_id=order.operation_id,
            )
        )
        if not mismatches:
            self.publish(LedgerCompared(order.venue, None))
        return Reconciled(compared=True, mismatches=mismatches, surprises=surprises)

    @on(CheckLedger)
    def check_ledger(self, check: CheckLedger) -> None:
        """Compare everything, tokens in transit included, with what all domains showed together."""
        view = check.view
        shown: dict[str, float] = {}
        for report in check.reports:
            for key, amount in report.balances.items():
                shown[key] = shown.get(key, 0.0) + amount
        mismatches = self._compare(view.positions, shown)
        self.log(
            ReconciliationEvent(
                timestamp=view.tick.market.timestamp,
                reconciliation_type="periodic",
                success=not mismatches,
                expected=view.positions,
                actual=view.positions,
                venue_reported=shown,
                mismatches=mismatches,
                trigger_source=Trigger.TICK,
            )
        )
        differences = say_mismatches(mismatches) if mismatches else None
        self.publish(LedgerCompared("venues", differences))
        if differences is not None:
            raise BasisError("POS-005", f"the ledger and the venues disagree: {differences}")

    def _against_venue(self, view: PositionsView, report: VenueReport) -> tuple[Mismatch, ...]:
        """Every position of one domain. Tokens in transit are two domains' business."""
        booked = {
            key: amount
            for key, amount in view.positions.items()
            if self._domains.get(parse_key(key).venue) == report.domain
        }
        shown = {key: amount for key, amount in report.balances.items() if parse_key(key).venue != "transit"}
        return self._compare(booked, shown)

    def _compare(self, booked: Mapping[str, float], shown: Mapping[str, float]) -> tuple[Mismatch, ...]:
        """Positions on which ledger and venue differ by more than the tolerance."""
        found = []
        for key in {**booked, **shown}:
            have, there = booked.get(key, 0.0), shown.get(key, 0.0)
            if have == there:
                continue
            domain = self._domains.get(parse_key(key).venue, "")
            allowed = self._tolerances.get(domain, self._tolerance) * max(abs(have), abs(there), 1.0)
            if abs(have - there) > allowed:
                found.append(Mismatch(key, have, there, there - have, allowed))
        return tuple(found)


def _expected(order: Order) -> dict[str, float]:
    expected: dict[str, float] = {}
    for delta in order.expected_deltas:
        expected[delta.position_key] = expected.get(delta.position_key, 0.0) + delta.delta_amount
    return expected


def _against_expectation(order: Order, handshake: ExecutionHandshake) -> tuple[Mismatch, ...]:
    """What the strategy expected against what the venue says it did; an operation that failed is not compared."""
    if handshake.status is not ExecutionStatus.CONFIRMED:
        return ()
    expected, actual = _expected(order), handshake.actual_deltas
    found = []
    for key in {**expected, **actual}:
        wanted, got = expected.get(key, 0.0), actual.get(key, 0.0)
        allowed = _allowed(order, key, wanted)
        if abs(wanted - got) > allowed:
            found.append(Mismatch(key, wanted, got, got - wanted, allowed))
    return tuple(found)


def _allowed(order: Order, key: str, wanted: float) -> float:
    """Legs whose size depends on a price may differ by the slippage tolerance, all others by rounding only.

    Of a trade that is what it pays or realises in cash, a coin-margined one in coins; of a swap what comes out of it.
    Stakes, loans, supplies and transfers are at rates that are known.
    """
    exact = 1e-9 * max(1.0, abs(wanted))
    if order.operation is OperationType.SWAP:
        return max(exact, order.slippage_tolerance * wanted)
    info = parse_key(key)
    if order.operation not in _TRADES or info.kind not in ("BaseToken", "Margin") or info.symbol == _base(order):
        return exact
    return max(exact, order.slippage_tolerance * max(abs(wanted), _worth(order)))


def _base(order: Order) -> str | None:
    """What a spot order trades by amount; None for a perp, which pays only cash."""
    return order.pair.split("/")[0] if order.operation is OperationType.SPOT_TRADE and order.pair else None


def _worth(order: Order) -> float:
    """Value of a trade at the price it assumes, in the currency it pays; 0 where it assumes none."""
    if order.price is None or order.pair is None:
        return 0.0
    if order.operation is OperationType.SPOT_TRADE:
        return order.amount * order.price
    contract = parse_key(perp_key(order.venue, order.pair)).contract
    assert contract is not None, "a perp has a contract"
    return contract.notional(order.amount, order.price) * contract.per_quote(order.price)
