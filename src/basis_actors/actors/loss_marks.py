"""Defines the marks that losses are measured from: the equity of 00:00 UTC and the highest one, across restarts."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from basis_actors.actors.equity_growth import EquityGrowth
from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.messages.book import PositionsView, Trigger
from basis_actors.messages.execution import OWNERS_FLOWS
from basis_actors.ports import StateStore
from basis_actors.times import NS_PER_SECOND

__all__ = ["LossMarks", "growth_so_far", "marks_problem"]

_FILE: Final = "losses.json"
_REMEDY: Final = f"losses cannot be measured from it; repair {_FILE} in the state directory, or remove it to begin anew"
_DAY_NS: Final = 86_400 * NS_PER_SECOND


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a process leaves to the next one."""

    currency: str
    day: int
    opening: float
    equity: float
    growth: float
    highest: Annotated[float, msgspec.Meta(ge=1.0)]
    """Growth begins at 1."""
    flows: float = 0.0
    """Of the owner since `equity` was known."""


class LossMarks:
    """Follows equity from view to view. Amounts that the owner pays in or takes out are neither gain nor loss.

    A day opens with the last equity that was known before its first view, so every loss belongs to exactly one day.
    With a `store` the marks go on from where the last process left them; what happened in between counts.
    """

    def __init__(self, currency: str, store: StateStore | None) -> None:
        """Raises BasisError ENGINE-001 for marks that cannot be read, or are counted in another currency."""
        self._currency = currency
        self._store = store
        record = _read(store, currency)
        self._growth = _growth(record, currency)
        self._day: int | None = None if record is None else record.day
        self._opening = 1.0 if record is None else record.opening
        self._valued = False

    def take(self, view: PositionsView) -> None:
        """Go on to a view of the ledger. Raises BasisError ENGINE-004 when the marks cannot be written down."""
        day = view.tick.market.ns // _DAY_NS
        if day != self._day:
            self._day, self._opening = day, self._growth.growth
        self._valued = not view.valuation.unpriced
        self._growth.take(view)
        if self._store is None:
            return
        # The journal tells the next process of no money of the owner that was booked, so it is not to be in no mark.
        if view.trigger is Trigger.TICK or any(settlement.source in OWNERS_FLOWS for settlement in view.settlements):
            self._store.write(_FILE, msgspec.json.encode(self._record(day)))

    @property
    def daily_loss(self) -> float | None:
        """Fraction of the equity that the day opened with; None while equity is not known."""
        if not self._valued:
            return None
        # What is all lost stays lost: no day begins with nothing and has no loss.
        return 1.0 if self._opening <= 0.0 else 1.0 - self._growth.growth / self._opening

    @property
    def drawdown(self) -> float | None:
        """Fall from the highest equity, as a fraction of it; None while equity is not known."""
        return self._growth.drawdown if self._valued else None

    def _record(self, day: int) -> _Record:
        growth = self._growth
        return _Record(
            currency=self._currency,
            day=day,
            opening=self._opening,
            equity=growth.equity,
            growth=growth.growth,
            highest=growth.highest,
            flows=growth.flows,
        )


def growth_so_far(store: StateStore | None, currency: str) -> EquityGrowth:
    """Where an earlier process left equity and its peak; the beginning without one.

    Raises BasisError ENGINE-001 as `LossMarks`.
    """
    return _growth(_read(store, currency), currency)


def marks_problem(store: StateStore) -> str | None:
    """What keeps the next process from measuring losses from where the last one left them; None where nothing does. In
    which currency it counts is not known here."""
    try:
        _decoded(store)
    except BasisError as error:
        return str(error)
    return None


def _growth(record: _Record | None, currency: str) -> EquityGrowth:
    if record is None:
        return EquityGrowth(currency)
    return EquityGrowth(currency, record.equity, record.growth, record.highest, record.flows)


def _read(store: StateStore | None, currency: str) -> _Record | None:
    record = None if store is None else _decoded(store)
    if record is not None and record.currency != currency:
        text = f"{_FILE} is counted in {record.currency}, {currency} was expected: {_REMEDY}"
        raise BasisError("ENGINE-001", text)
    return record


def _decoded(store: StateStore) -> _Record | None:
    content = store.read(_FILE)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=_Record)
    except UNREADABLE as error:
        raise BasisError("ENGINE-001", f"{_FILE} is damaged ({error}): {_REMEDY}") from error
