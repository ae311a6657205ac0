"""Defines a live account at one exchange, as the engine sees any venue domain: orders in, settlements out.

What the exchange shows is believed. Trades and payments explain it; what they do not explain is booked as an adjustment
and reported, once it has been seen several times while nothing of ours is under way.
"""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.config import AccountConfig
from basis_actors.errors import AuthFailed, Rejected, Transient
from basis_actors.messages.book import TickStarted, Trigger
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.events import Mismatch, ReconciliationEvent
from basis_actors.messages.exchange import AccountState, OrderTicket
from basis_actors.messages.execution import ExecutionHandshake, ExecutionStatus, Settlement
from basis_actors.messages.journal import JournalEntry
from basis_actors.messages.orders import OperationType, Order
from basis_actors.ports import ExchangeApi, OrderJournal
from basis_actors.times import utc_from_ns
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.intake import Intake
from basis_actors.venues.live.intents import Intents
from basis_actors.venues.live.mirror import Mirror, shown_by
from basis_actors.venues.live.order_desk import OrderDesk
from basis_actors.venues.live.terms import AccountTerms, LiveClock
from basis_actors.venues.live.tickets import is_ours
from basis_actors.venues.live.transfer_desk import TransferDesk

__all__ = ["ExchangeAccount"]


class ExchangeAccount:
    """One account. Before anything else, in this order: `prepare`, `conclude_earlier`, `open`.

    `findings` collects what the account finds out beside what it was asked; whoever owns the account logs and books it.
    """

    def __init__(
        self,
        terms: AccountTerms,
        api: ExchangeApi,
        journal: OrderJournal,
        leverage: Mapping[str, int],
        clock: LiveClock,
    ) -> None:
        self._terms = terms
        self._api = api
        self._journal = journal
        self._leverage = dict(leverage)
        self._clock = clock
        self.findings = Findings(f"venue_{terms.venue}")
        self._mirror = Mirror(terms)
        self._intents = Intents(terms, journal, clock)
        self._intake = Intake(terms, api, journal, self._mirror, self.findings)
        self._orders = OrderDesk(terms, api, self._intents, self._intake, clock)
        self._transfers = TransferDesk(
            terms, api, journal, self._intents, self._intake, self._mirror, self.findings, clock
        )
        self._opened: tuple[Settlement, ...] = ()
        self._lost_since: int | None = None

    @property
    def domain(self) -> str:
        """Name of the exchange."""
        return self._terms.venue

    @property
    def venues(self) -> tuple[str, ...]:
        """Itself."""
        return (self._terms.venue,)

    @property
    def patience(self) -> AccountConfig:
        """How long it waits for its exchange."""
        return self._terms.patience

    @property
    def tolerance(self) -> float:
        """Relative difference between ledger and exchange that is rounding."""
        return self._terms.patience.tolerance

    # Before trading

    async def prepare(self) -> None:
        """Bring the exchange into the state that trading needs. Raises a VenueError when that is not possible."""
        await self._api.prepare(self._leverage)
        self._orders.filters = await self._api.filters()
        missing = sorted(set(self._terms.pairs) - self._orders.filters.keys())
        if missing:
            raise Rejected(
                "VEN-004", f"{self.domain} has no market {', '.join(missing)}; correct the venue's configuration"
            )
        await self._intake.skip_until(self._clock.now())

    async def conclude_earlier(self) -> tuple[JournalEntry, ...]:
        """Find out what became of everything that earlier processes sent. Returns each with its end, but for transfers
        that are still under way."""
        ended = []
        for entry in await self._journal.unresolved(self.domain):
            desk = self._orders if isinstance(entry.intent.ticket, OrderTicket) else self._transfers
            ended.append(await desk.conclude(entry))
        for order in await self._api.open_orders():
            if not is_ours(self._journal.deployment, order.client_id):
                self.findings.error(
                    self._clock.now(),
                    "VEN-007",
                    f"{self.domain} has an open order {order.venue_order_id} in {order.pair} ({order.client_id}), which"
                    " is not ours; it is left alone",
                )
        return tuple(ended)

    async def open(self) -> None:
        """Begin the ledger with what the account holds. Raises Transient when it does not come to rest."""
        for _ in range(self._terms.patience.steady_reads + 1):
            before = await self._intake.skip_until(self._clock.now())
            state = await self._account()
            if await self._intake.skip_until(self._clock.now()) == before:
                # What was booked before, while an unfinished group was unwound, is in what was read now.
                self.findings.settlements = []
                self._opened = self._mirror.open(state, await self._under_way())
                return
            await self._clock.sleep(self._terms.patience.read_pause_seconds)
        raise Transient("VEN-003", f"{self.domain} goes on trading while its account is read; somebody else uses it")

    # The port of a venue domain

    async def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:  # noqa: ARG002 (the exchange knows the time)
        """What happened on the account since it was last looked at; less when it cannot be looked at now."""
        opened, self._opened = self._opened, ()
        try:
            await self._catch_up()
        except (Transient, AuthFailed) as error:
            if self._lost_since is None:
                self._lost_since = self._clock.now()
                passes = isinstance(error, Transient)
                text = f"{self.domain} cannot be looked at: {error.message}"
                self.findings.error(self._clock.now(), error.code, text, passes=passes)
        found, self.findings.settlements = tuple(self.findings.settlements), []
        return opened + found

    async def execute(self, order: Order) -> ExecutionHandshake:
        """Carry out one order. Raises a VenueError whose class says whether it may be sent again."""
        return await self._desk(order).send(order)

    async def execute_group(self, orders: tuple[Order, ...]) -> tuple[ExecutionHandshake, ...]:
        """Refused: only a chain has transactions. Raises Rejected EXEC-004."""
        raise Rejected(
            "EXEC-004",
            f"{self.domain} has no transactions, so the {len(orders)} orders of group {orders[0].atomic_group_id!r}"
            " cannot be atomic; use execution mode compensated",
        )

    async def resolve(self, order: Order) -> ExecutionHandshake:
        """What became of an order that was sent."""
        attempts = await self._intents.attempts(order)
        if attempts:
            return await self._desk(order).ask(attempts[-1])
        return ExecutionHandshake(
            operation_id=order.operation_id,
            status=ExecutionStatus.FAILED,
            error_code="EXEC-001",
            error_message=f"{order.operation} {order.operation_id!r} never reached the journal; it was not sent",
            submitted_at=utc_from_ns(self._clock.now()),
            simulated=False,
        )

    async def report(self) -> dict[str, float]:
        """Every position as the exchange shows it and what is on its way to it, with the ledger's side up to date."""
        return {**await self._catch_up(), **await self._under_way()}

    async def expect(self, transfer: IncomingTransfer) -> None:
        """Take note of tokens that are on their way, unless their sender has."""
        known = await self._journal.expected(self.domain)
        if all(transfer.operation_id != other.operation_id for other in known):
            await self._journal.expect(self.domain, transfer)

    # Looking at the exchange

    async def _catch_up(self) -> dict[str, float]:
        """Read the account until trades and payments explain it, or until it is clear that they do not."""
        patience = self._terms.patience
        for read in range(patience.steady_reads):
            if read:
                await self._clock.sleep(patience.read_pause_seconds)
            await self._transfers.watch()
            await self._intake.read()
            state = await self._account()
            shown = shown_by(self._terms, state)
            found = self._mirror.differences(shown)
            if not found:
                break
        else:
            if not await self._is_trading():
                self._adjust(state, found)
        self._lost_since = None
        return shown

    async def _under_way(self) -> dict[str, float]:
        """Tokens on their way here, by transit key."""
        under_way: dict[str, float] = {}
        for transfer in await self._journal.expected(self.domain):
            under_way[transfer.transit_key] = under_way.get(transfer.transit_key, 0.0) + transfer.amount
        return under_way

    async def _is_trading(self) -> bool:
        """Whether a trade of ours is under way, which may yet explain what the exchange shows."""
        return any(
            isinstance(entry.intent.ticket, OrderTicket) for entry in await self._journal.unresolved(self.domain)
        )

    def _adjust(self, state: AccountState, found: Mapping[str, tuple[float, float]]) -> None:
        """Believe the exchange, and say so."""
        moment, tolerance = utc_from_ns(self._clock.now()), self.tolerance
        mismatches = tuple(
            Mismatch(key, booked, shown, shown - booked, tolerance * max(abs(booked), abs(shown), 1.0))
            for key, (booked, shown) in found.items()
        )
        self.findings.note(
            ReconciliationEvent(
                timestamp=moment,
                reconciliation_type="venue_wins",
                success=False,
                expected={key: booked for key, (booked, _) in found.items()},
                actual={key: booked for key, (booked, _) in found.items()},
                venue_reported={key: shown for key, (_, shown) in found.items()},
                mismatches=mismatches,
                trigger_source=Trigger.TICK,
            )
        )
        what = "; ".join(f"{key} is {shown:.12g}, {booked:.12g} is booked" for key, (booked, shown) in found.items())
        text = f"{self.domain} shows what no trade and no payment explains: {what}; the exchange is believed"
        self.findings.error(self._clock.now(), "VEN-007", text)
        self.findings.settlements.append(self._mirror.adjust(state, dict(found)))

    async def _account(self) -> AccountState:
        """Balances and positions. Raises Transient VEN-003 for an answer that leaves out a position: that a perpetual
        is not mentioned is not yet that it is flat."""
        state = await self._api.account()
        missing = sorted(self._terms.perps - state.pairs)
        if missing:
            raise Transient("VEN-003", f"{self.domain} does not say what it holds of {', '.join(missing)}; ask again")
        return state

    def _desk(self, order: Order) -> OrderDesk | TransferDesk:
        return self._transfers if order.operation is OperationType.TRANSFER else self._orders
