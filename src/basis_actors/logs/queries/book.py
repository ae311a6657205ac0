"""Answers what the whole book was at a moment: the last event of each kind of snapshot up to then."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from basis_actors.errors import BasisError
from basis_actors.finance.keys import parse_key
from basis_actors.logs.queries.moments import around, first_line, last_line
from basis_actors.logs.queries.source import Found, RunLog
from basis_actors.messages.events import (
    DomainEvent,
    ExposureSnapshot,
    PnLCalculation,
    PositionSnapshot,
    RiskAssessment,
    StrategyDecision,
)

__all__ = ["Book", "Holding", "book_at"]

E = TypeVar("E", bound=DomainEvent)


class Holding(msgspec.Struct, frozen=True):
    """One position, and what it is worth by the marks that were logged with it."""

    position_key: str
    amount: float
    price: float | None
    """USDT; of a perpetual the mark of its venue. None while it is not known."""
    value: float | None
    """Amount x price in USDT, debt below zero. Of a perpetual it is the notional, which is no part of equity."""
    in_equity: bool
    """False for perpetuals: they are in equity by their unrealised PnL, which is logged for all of them together."""


class Book(msgspec.Struct, frozen=True):
    """The book at a moment. What was not logged up to then is None."""

    asked: datetime
    moment: datetime
    """Of the snapshot that was the last one at the time."""
    next_tick: datetime | None
    """The next moment at which there is a snapshot; None when the log ends before it."""
    holdings: list[Holding]
    positions: Found[PositionSnapshot]
    exposure: Found[ExposureSnapshot] | None
    risk: Found[RiskAssessment] | None
    pnl: Found[PnLCalculation] | None
    decision: Found[StrategyDecision] | None

    @property
    def found(self) -> list[Found[Any]]:
        """What there is of the events."""
        parts = (self.positions, self.exposure, self.risk, self.pnl, self.decision)
        return [part for part in parts if part is not None]


def book_at(log: RunLog, moment: datetime) -> Book:
    """The book as it was last seen at `moment` (UTC) or earlier.

    Raises BasisError LOG-006 for a moment before the first snapshot or after the last, naming both.
    """
    _require_within(log, moment)
    near = around(log.folder, PositionSnapshot.FILE, moment)
    assert near.before is not None, "the moment is within the run"
    positions = log.decoded(PositionSnapshot, near.before)
    following = None if near.after is None else log.decoded(PositionSnapshot, near.after).event.timestamp
    pnl = _last(log, PnLCalculation, moment)
    return Book(
        asked=moment,
        moment=positions.event.timestamp,
        next_tick=following,
        holdings=_holdings(positions.event, pnl.event if pnl else None),
        positions=positions,
        exposure=_last(log, ExposureSnapshot, moment),
        risk=_last(log, RiskAssessment, moment),
        pnl=pnl,
        decision=_last(log, StrategyDecision, moment),
    )


def _require_within(log: RunLog, moment: datetime) -> None:
    first, last = first_line(log.folder, PositionSnapshot.FILE), last_line(log.folder, PositionSnapshot.FILE)
    if first is None or last is None:
        raise BasisError("LOG-006", f"{log.run_dir} has no snapshots: there is no book at any time")
    begin = log.decoded(PositionSnapshot, first).event.timestamp
    end = log.decoded(PositionSnapshot, last).event.timestamp
    if not begin <= moment <= end:
        raise BasisError(
            "LOG-006",
            f"{moment:%Y-%m-%dT%H:%M:%SZ} is outside the run; {log.run_dir} has snapshots from"
            f" {begin:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}",
        )


def _last(log: RunLog, kind: type[E], moment: datetime) -> Found[E] | None:
    line = around(log.folder, kind.FILE, moment).before
    return None if line is None else log.decoded(kind, line)


def _holdings(snapshot: PositionSnapshot, pnl: PnLCalculation | None) -> list[Holding]:
    marks = {} if pnl is None else pnl.marks
    return [_holding(key, amount, marks) for key, amount in sorted(snapshot.positions.items())]


def _holding(key: str, amount: float, marks: dict[str, float]) -> Holding:
    info = parse_key(key)
    if info.contract is not None:
        assert info.perp is not None, "a contract is that of a perpetual"
        mark = marks.get(info.perp)
        value = None if mark is None else info.contract.notional(amount, mark)
        return Holding(key, amount, mark, value, in_equity=False)
    price = marks.get(f"S:{info.asset}")
    if info.lst is not None:
        rate = marks.get(f"rate:{info.lst}")
        price = None if price is None or rate is None else price * rate
    value = None if price is None else amount * info.sign * price
    return Holding(key, amount, price, value, in_equity=True)
