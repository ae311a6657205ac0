"""Defines when tokens on their way are late, and that somebody is told again and again until they have arrived."""

from __future__ import annotations

from collections.abc import Iterable

from basis_actors.messages.commands import IncomingTransfer
from basis_actors.times import NS_PER_SECOND, utc_from_ns
from basis_actors.venues.live.findings import Findings
from basis_actors.venues.live.terms import AccountTerms

__all__ = ["Lateness"]


class Lateness:
    """What is on its way to one account, or from it to the wallet, for longer than it should be."""

    def __init__(self, terms: AccountTerms, findings: Findings) -> None:
        self._terms = terms
        self._findings = findings
        self._said_ns: dict[IncomingTransfer, int] = {}
        self.problem: str | None = None
        """Every transfer that is late; None while none is."""

    def look(self, now_ns: int, under_way: Iterable[IncomingTransfer]) -> None:
        """Say of each transfer that is late that it is, once a `late_transfer_seconds`."""
        limit = self._terms.patience.late_transfer_seconds
        late = [each for each in under_way if now_ns - each.arrives_ns > round(limit * NS_PER_SECOND)]
        texts = [_text(each) for each in late]
        self.problem = "; ".join(texts) if texts else None
        said = {each: self._said_ns[each] for each in late if each in self._said_ns}
        for each, text in zip(late, texts, strict=True):
            if each not in said or now_ns - said[each] >= round(limit * NS_PER_SECOND):
                hours = (now_ns - each.arrives_ns) / NS_PER_SECOND / 3600.0
                say = f"{text}: {hours:.1f} h, {limit / 3600.0:g} h is late. Ask both exchanges where it is; until it"
                say = f"{say} is booked it counts as in transit, and the mode waits for it"
                self._findings.error(now_ns, "VEN-002", say, each.operation_id)
                said[each] = now_ns
        self._said_ns = said


def _text(transfer: IncomingTransfer) -> str:
    token = transfer.transit_key.rpartition(":")[2]
    since = utc_from_ns(transfer.arrives_ns)
    return (
        f"{transfer.amount:.12g} {token} for {transfer.position_key} are on their way since {since:%Y-%m-%d %H:%M} UTC"
    )
