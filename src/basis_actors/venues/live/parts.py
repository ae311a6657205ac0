"""Defines what one live account is made of: its desks, its copy of the ledger and what compares the two, joined."""

from __future__ import annotations

from basis_actors.errors import Transient
from basis_actors.ports import ExchangeApi, OrderJournal
from basis_actors.venues.live.comparison import Comparison
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.intake import Intake
from basis_actors.venues.live.intents import Intents
from basis_actors.venues.live.last_known import LastKnown
from basis_actors.venues.live.market_rules import MarketRules
from basis_actors.venues.live.mirror import Mirror, shown_by
from basis_actors.venues.live.order_desk import OrderDesk
from basis_actors.venues.live.reader import AccountReader
from basis_actors.venues.live.stop_book import StopBook
from basis_actors.venues.live.stop_desk import StopDesk
from basis_actors.venues.live.terms import AccountTerms, LiveClock
from basis_actors.venues.live.transfer_desk import TransferDesk

__all__ = ["AccountParts"]


class AccountParts:
    """The parts of one account. Each has one copy, and all of them say what they find out in `findings`."""

    def __init__(self, terms: AccountTerms, api: ExchangeApi, journal: OrderJournal, clock: LiveClock) -> None:
        self.terms = terms
        self.api = api
        self.journal = journal
        self.clock = clock
        self.is_open = False
        """Whether the ledger has begun."""
        self.findings = findings = Findings(f"venue_{terms.venue}")
        self.reader = AccountReader(terms, api, clock)
        self.mirror = mirror = Mirror(terms)
        self.intents = intents = Intents(terms, journal, clock)
        self.intake = intake = Intake(terms, api, journal, mirror, findings, clock)
        self.rules = rules = MarketRules(terms, api, findings, clock)
        self.orders = OrderDesk(terms, api, intents, intake, rules, self._held, clock)
        self.transfers = TransferDesk(terms, api, journal, intents, mirror, findings, clock)
        self.last_known = LastKnown(terms, journal, mirror, self.transfers, clock)
        self.comparison = Comparison(
            terms, self.reader, mirror, intake, self.orders, self.transfers, self.last_known, journal, findings, clock
        )
        self.stop_book = StopBook(terms, api, journal, intents, findings, clock)
        self.stops = StopDesk(
            terms, journal, self.stop_book, intents, self.orders, rules, intake, self._held, findings, clock
        )
        intake.explain = self.stops.explain

    async def _held(self, key: str) -> float:
        """How much there is of something: as booked, and before anything is booked as the ledger would begin.

        An account that has just changed may be shown as it was, so that what is booked is the better answer. Raises
        Transient while the account does not come to rest.
        """
        if self.is_open:
            return self.mirror.positions.get(key, 0.0)
        state = await self.reader.steady()
        if state is None:
            raise Transient("VEN-003", f"{self.terms.venue} shows its account differently each time; ask again")
        shown = shown_by(self.terms, state)
        expected = await self.last_known.unless_shown(shown, self.intake.meanwhile)
        return (shown if expected is None else expected.positions).get(key, 0.0)
