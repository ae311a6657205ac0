"""Defines signals that are received from outside while trading: how an answer is read, and what counts of it.

An answer is one JSON object `{"timestamp": "2024-01-01T00:00:00Z", "signal": 0.7, "confidence": 0.9, "sd": 0.02}` with
the meaning that the columns of a file have.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

import msgspec

from basis_actors.data.stamps import iso
from basis_actors.errors import UNREADABLE, DataError
from basis_actors.messages.market import MarketState
from basis_actors.messages.signals import Signal, SignalReceived
from basis_actors.signals.source import SignalSource
from basis_actors.times import NS_PER_SECOND, ns_from_utc

__all__ = ["ReceivedSignals", "read_answer"]


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    timestamp: datetime
    signal: float
    confidence: float
    sd: float


def read_answer(body: bytes, now_ns: int) -> Signal:
    """The signal in an answer that came at `now_ns`.

    Raises DataError DATA-002 for one that is not JSON, lacks a field or has a further one, holds a number outside its
    range, or is stamped later than now or at a moment for which UTC has no date.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        ns = ns_from_utc(answer.timestamp)
        stamp = iso(ns)
        signal = Signal(ns, answer.signal, answer.confidence, answer.sd)
    except (*UNREADABLE, ValueError, OverflowError) as problem:
        raise DataError("DATA-002", f"not a usable signal ({problem}): {_shown(body)}") from problem
    if ns > now_ns:
        text = f"stamped {stamp}, and it is {iso(now_ns)}; a signal that is known already was expected"
        raise DataError("DATA-002", f"not a usable signal: {text}")
    return signal


def _shown(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    return repr(text if len(text) <= 200 else f"{text[:200]}…")


class ReceivedSignals(SignalSource):
    """The newest answer of an endpoint. An answer that was refused, or none at all, is no signal."""

    def __init__(self, staleness_seconds: float) -> None:
        self._staleness_ns = round(staleness_seconds * NS_PER_SECOND)
        self._received: deque[Signal] = deque()
        self.silence = "the endpoint has not answered yet"

    def take(self, received: SignalReceived) -> None:
        """Remember what came; a refusal makes what came before it forgotten."""
        if received.signal is None:
            self._received.clear()
            self.silence = received.refusal or "the endpoint has no signal"
        elif not self._received or received.signal.ns > self._received[-1].ns:
            self._received.append(received.signal)
        else:
            self._received[-1] = received.signal

    def at(self, market: MarketState) -> Signal | None:
        """The newest signal stamped at or before the tick, unless it is older than the staleness limit."""
        received = self._received
        while len(received) > 1 and received[1].ns <= market.ns:
            received.popleft()
        if not received:
            return None
        newest = received[0]
        if newest.ns > market.ns:
            self.silence = f"the first signal, {iso(newest.ns)}, is of a moment after this tick"
            return None
        if market.ns - newest.ns > self._staleness_ns:
            limit = self._staleness_ns / NS_PER_SECOND
            self.silence = f"the newest signal, {iso(newest.ns)}, is older than {limit:g} s"
            return None
        self.silence = ""
        return newest
