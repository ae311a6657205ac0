"""Defines what is decided by chance in a story: how often each thing goes wrong, and whether it does so now."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

__all__ = ["Fate", "Rates"]


class Rates(NamedTuple):
    """How often each thing happens, as a share of the requests it can happen to unless it says otherwise; spans are in
    seconds."""

    lost_request: float = 0.04
    """An order does not reach the exchange, and nobody says so."""
    lost_reply: float = 0.06
    """An order is carried out, and its answer is lost."""
    late_request: float = 0.03
    """The connection breaks, and the order arrives all the same, within the receive window."""
    slow_reply: float = 0.03
    """An answer takes longer than anybody waits, up to `slow_seconds`."""
    slow_seconds: float = 45.0
    busy: float = 0.05
    """The exchange did nothing and says that it may be tried again."""
    limited: float = 0.02
    """An exchange does nothing and wants to be left alone, for as long as it says, up to `limited_seconds`: by then it
    answers nothing else either."""
    limited_seconds: float = 90.0
    hangs: float = 0.01
    """An exchange takes an order, carries it out or not, and answers nothing, and nothing else for up to
    `hangs_seconds`."""
    hangs_seconds: float = 900.0
    patience_seconds: float = 10.0
    """After which whoever asks an exchange that hangs gives up."""
    refused: float = 0.03
    partly: float = 0.08
    """An order is filled in part, and the rest is cancelled."""
    pending: float = 0.3
    """A withdrawal is accepted, and carried out within `pending_seconds`."""
    given_up: float = 0.4
    """Of those: it is not carried out, and its tokens come back."""
    pending_seconds: float = 7_200.0
    unread: float = 0.04
    """A question is not answered."""
    lag: float = 0.25
    """A question is answered from a copy that is up to `lag_seconds` old."""
    lag_seconds: float = 1.5
    old_account: float = 0.3
    """An account that has just changed is shown as it was, for up to `old_account_seconds`."""
    old_account_seconds: float = 2.0
    blank: float = 0.1
    """Of processes that follow one which knew the account: it is shown empty, for up to `blank_seconds`."""
    blank_seconds: float = 600.0
    late_trade: float = 0.05
    """Of trades of ours: it is shown only after up to `late_trade_seconds`, long after what it changed."""
    late_trade_seconds: float = 10.0
    repeated: float = 0.1
    """A list holds something twice, in any order."""
    outage: float = 0.01
    """Per hour: the exchange cannot be reached for up to `outage_seconds`."""
    outage_seconds: float = 5_400.0
    by_hand: float = 0.004
    """Per hour: somebody else trades on the account."""
    revoked: float = 0.001
    """Per hour: the exchange does not take the keys of this process any more, for up to `revoked_seconds`."""
    revoked_seconds: float = 43_200.0
    killed_by_hand: float = 0.01
    """Per hour: somebody stops trading, with or without closing the book, and lets it go on after hours."""
    killed_at_work: float = 0.04
    """The same, of orders and groups that were carried out: within seconds, when the next one may be on its way."""
    left_stopped: float = 0.3
    """Of those: nobody lets it go on."""
    clock_difference: float = 2.0
    """Seconds by which the clock of an exchange is before or behind ours, at most."""
    killed_writing: float = 0.002
    """Of writes to the journal: the process is killed right before it took effect; as often right after."""
    killed_early: float = 0.25
    """Of processes that follow another: killed while it recovers."""
    longest_delay: float = 0.08
    """Of a request that goes well, each way; seconds."""

    @classmethod
    def calm(cls) -> Rates:
        """Nothing ever fails; what goes well takes its time."""
        spans = {name: span for name, span in cls._field_defaults.items() if name.endswith(("_seconds", "_delay"))}
        return cls(**(dict.fromkeys(cls._fields, 0.0) | spans))


class Fate:
    """What is decided by chance in one story, and when the faults end."""

    def __init__(self, random: Random, rates: Rates, until_ns: int) -> None:
        self.random = random
        self.rates = rates
        self.until_ns = until_ns
        self.told: dict[str, int] = {}
        """How often each fault struck."""

    def strikes(self, fault: str, share: float, now_ns: int) -> bool:
        """Whether a fault strikes now."""
        if now_ns >= self.until_ns or self.random.random() >= share:
            return False
        self.told[fault] = self.told.get(fault, 0) + 1
        return True
