"""Defines how the ledger's side of an account is brought in line with what the exchange shows.

Trades and payments explain it; what they do not explain is booked as an adjustment and reported, once it has been seen
several times while nothing of ours is under way, and where it is much only after a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from basis_actors.messages.exchange import AccountState, OrderTicket
from basis_actors.messages.journal import IntentState
from basis_actors.messages.market import MarketState
from basis_actors.ports import OrderJournal
from basis_actors.venues.live.doubt import Belief, Doubt
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.intake import Intake
from basis_actors.venues.live.last_known import LastKnown
from basis_actors.venues.live.mirror import Mirror, shown_by
from basis_actors.venues.live.order_desk import OrderDesk
from basis_actors.venues.live.reader import AccountReader
from basis_actors.venues.live.terms import AccountTerms, LiveClock
from basis_actors.venues.live.transfer_desk import TransferDesk

__all__ = ["Comparison"]

_MOST_READS: Final = 3
"""How many times the steady reads an account may take to come to rest."""


class Comparison:
    """Compares one account with the copy of the ledger."""

    def __init__(
        self,
        terms: AccountTerms,
        reader: AccountReader,
        mirror: Mirror,
        intake: Intake,
        orders: OrderDesk,
        transfers: TransferDesk,
        last_known: LastKnown,
        journal: OrderJournal,
        findings: Findings,
        clock: LiveClock,
    ) -> None:
        self._terms = terms
        self._reader = reader
        self._mirror = mirror
        self._intake = intake
        self._orders = orders
        self._transfers = transfers
        self._last_known = last_known
        self._journal = journal
        self._findings = findings
        self._clock = clock
        self.doubt = Doubt(terms, findings)

    async def run(self, market: MarketState | None) -> dict[str, float]:
        """Read the account until trades and payments explain it, or until it is clear that they do not: it shows the
        same difference again and again while nothing of ours is under way. Returns what it shows.

        What it is worth is counted at the prices of `market`. Raises what the exchange raises.
        """
        patience = self._terms.patience
        steady, last = 0, dict[str, tuple[float, float]]()
        for read in range(_MOST_READS * patience.steady_reads):
            if read:
                await self._clock.sleep(patience.read_pause_seconds)
            await self._transfers.watch()
            await self._intake.read()
            state = await self._reader.state()
            shown = shown_by(self._terms, state)
            found = self._mirror.differences(shown)
            if not found:
                self.doubt.end(self._clock.now())
                break
            steady, last = (steady + 1 if found == last else 1), found
            if steady >= patience.steady_reads:
                if not await self._is_trading():
                    self.take(state, found, market)
                break
        await self._last_known.keep()
        return shown

    def take(self, state: AccountState, found: Mapping[str, tuple[float, float]], market: MarketState | None) -> None:
        """Believe the exchange where it differs, as far as it is believed now, and say so."""
        now, findings = self._clock.now(), self._findings
        moved = self._mirror.moved(state, found)
        if moved is not None:
            what = "; ".join(f"{delta.position_key} {delta.delta_amount:+.12g}" for delta in moved.deltas)
            text = f"{self._terms.venue} was moved between its purses: {what}; it is booked"
            findings.error(now, "VEN-007", text)
            findings.settlements.append(moved)
            found = {key: there for key, there in found.items() if all(key != d.position_key for d in moved.deltas)}
            if not found:
                return
        turned = self._mirror.turned(state, found)
        if turned is not None:
            key = turned.deltas[0].position_key
            text = (
                f"{self._terms.venue} counts trades of {key} in another order than it showed them; its entry is taken"
            )
            findings.error(now, "VEN-007", text)
            findings.settlements.append(turned)
            return
        belief = self.doubt.judge(now, found, self._mirror.positions, market)
        if belief is Belief.NOT_YET:
            return
        findings.disagree(now, self._terms.venue, found, self._terms.patience.tolerance)
        if belief is Belief.AT_LAST:
            findings.settlements += self._mirror.take_over(state, found, market)
        else:
            findings.settlements.append(self._mirror.adjust(state, dict(found)))

    async def _is_trading(self) -> bool:
        """Whether a trade of ours is under way, which may yet explain what the exchange shows; of a stop once it has
        fired."""
        open_entries = await self._journal.unresolved(self._terms.venue)
        return self._orders.awaits_trades or any(
            isinstance(entry.intent.ticket, OrderTicket) or entry.state is IntentState.PARTIALLY_FILLED
            for entry in open_entries
        )
