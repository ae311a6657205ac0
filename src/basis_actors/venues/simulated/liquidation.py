"""Defines what the mark bar that has just closed does to open positions: stop-losses, liquidation, take-profits.

Nobody knows how the marks moved inside a bar, so every position goes from the mark of the last tick, or from where the
bar opened when a gap made that worse, straight to its own adverse extreme, all together. On that way stop-losses fill
where their level is met, and the account is closed where its margin balance meets maintenance, whichever comes first.
Only what survives that can meet its take-profit.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Final, NamedTuple

import msgspec

from basis_actors.finance.contracts import INVERSE, Contract
from basis_actors.finance.costs import fill_price, impact_bps
from basis_actors.finance.margin import PathLeg, first_breach, inverse_liquidation_price, liquidate, liquidation_price
from basis_actors.messages.market import MarketState
from basis_actors.venues.simulated.refusals import ALL_OF_IT
from basis_actors.venues.simulated.stops import Stops
from basis_actors.venues.simulated.terms import MarginTerms, PerpMarket

__all__ = ["Closed", "Guard", "HeldPerp", "adverse_mark", "close_on_bar", "guard", "opening_mark"]

_NEVER: Final = 2.0
"""Further along the way than any bar goes."""


class HeldPerp(msgspec.Struct, frozen=True, gc=False):
    """An open position of an exchange account."""

    key: str
    quote: str
    """Name of its quotes: `binance:BTC-PERP`."""
    size: float
    entry: float
    line: PerpMarket


class Guard(msgspec.Struct, frozen=True, gc=False):
    """A mark that the only position of an account must reach before its margin needs a closer look."""

    held: HeldPerp
    cash: float
    price: float


class Closed(NamedTuple):
    """A position that the bar closed whole; amounts in the margin currency."""

    held: HeldPerp
    price: float
    realised: float
    fee: float
    trigger: float | None
    """Mark at which a stop-loss or take-profit was triggered; None for a liquidation."""
    operation_id: str | None
    """Of a stop-loss or take-profit; None for a liquidation."""


def guard(held: HeldPerp, cash: float, contract: Contract) -> Guard:
    """The mark at which an account with one position is liquidated, a hair earlier.

    Without such a price an account whose cash covers what the position cost is safe at any mark; every other case is
    looked at each tick.
    """
    find = inverse_liquidation_price if contract is INVERSE else liquidation_price
    short = held.size < 0.0
    price = find(cash, held.size, held.entry, held.line.brackets)
    if price is None:
        safe = cash > contract.notional(held.size, held.entry) * contract.per_quote(held.entry)
        return Guard(held, cash, inf if short == safe else 0.0)
    return Guard(held, cash, price * (1.0 - ALL_OF_IT) if short else price * (1.0 + ALL_OF_IT))


def adverse_mark(held: HeldPerp, start: float, market: MarketState) -> float:
    """The worst mark of the bar for this position: the highest for a short, the lowest for a long.

    `start`, the mark of the last tick, where no bar has closed since.
    """
    quote = market.perps[held.quote]
    extreme = quote.mark_high if held.size < 0.0 else quote.mark_low
    if extreme is None:
        return start
    return max(start, extreme) if held.size < 0.0 else min(start, extreme)


def opening_mark(held: HeldPerp, start: float, market: MarketState) -> float:
    """Where a position starts into the bar: `start`, the mark of the last tick, or its first mark if that is worse."""
    opened = market.perps[held.quote].mark_open
    if opened is None:
        return start
    return max(start, opened) if held.size < 0.0 else min(start, opened)


def close_on_bar(
    terms: MarginTerms,
    cash: float,
    positions: Mapping[str, HeldPerp],
    stops: Mapping[str, Stops],
    before: MarketState,
    now: MarketState,
) -> list[Closed]:
    """Every position that is closed between two ticks, in the order in which it happens; both maps are by quote."""
    closed: list[Closed] = []
    legs = {}
    for name, held in positions.items():
        start = before.perps[name].mark
        assert start is not None, f"{name} was opened without a mark"
        start = opening_mark(held, start, now)
        end = adverse_mark(held, start, now)
        legs[name] = PathLeg(held.size, held.entry, start, end, held.line.brackets, terms.contract)
    while legs:
        breach = first_breach(cash, tuple(legs.values()))
        way, name = _first_stop(legs, stops)
        if way < (_NEVER if breach is None else breach):
            leg, level = legs.pop(name), stops[name].stop_loss
            assert level is not None
            trigger = min(leg.start, level) if leg.size > 0.0 else max(leg.start, level)
            closed.append(_triggered(terms, positions[name], trigger, stops[name].stop_id()))
            cash += closed[-1].realised - closed[-1].fee
            legs = {
                other: leg._replace(start=terms.contract.between(leg.start, leg.end, way))
                for other, leg in legs.items()
            }
        elif breach is not None:
            prices = {name: terms.contract.between(leg.start, leg.end, breach) for name, leg in legs.items()}
            return closed + _liquidated(terms, cash, [positions[name] for name in legs], prices)
        else:
            break
    closed += [_triggered(terms, positions[name], *target) for name, target in _targets(legs, stops, now)]
    return closed


def _first_stop(legs: Mapping[str, PathLeg], stops: Mapping[str, Stops]) -> tuple[float, str]:
    """How far along the way the first stop-loss is met, and whose it is."""
    first, whose = _NEVER, ""
    for name, leg in legs.items():
        level = stops[name].stop_loss if name in stops else None
        if level is None:
            continue
        if leg.start <= level if leg.size > 0.0 else leg.start >= level:
            way = 0.0
        elif leg.end <= level if leg.size > 0.0 else leg.end >= level:
            way = leg.contract.way_to(level, leg.start, leg.end)
        else:
            continue
        if way < first:
            first, whose = way, name
    return first, whose


def _targets(
    legs: Mapping[str, PathLeg], stops: Mapping[str, Stops], now: MarketState
) -> list[tuple[str, tuple[float, str]]]:
    """The take-profits that the favourable extreme of the bar reached, each with its level and operation id."""
    reached = []
    for name, leg in legs.items():
        level = stops[name].take_profit if name in stops else None
        extreme = now.perps[name].mark_high if leg.size > 0.0 else now.perps[name].mark_low
        if level is None or extreme is None:
            continue
        if extreme >= level if leg.size > 0.0 else extreme <= level:
            reached.append((name, (level, stops[name].target_id())))
    return reached


def _triggered(terms: MarginTerms, held: HeldPerp, trigger: float, operation_id: str) -> Closed:
    """A market order that closes the position at the trigger, with impact and taker fee."""
    contract, size = terms.contract, held.size
    bps = impact_bps(contract.notional(size, trigger), held.line.impact_bps)
    price = fill_price(trigger, bps, buying=size < 0.0)
    fee = contract.notional(size, price) * contract.per_quote(price) * terms.taker_fee
    return Closed(held, price, contract.upnl(size, held.entry, price), fee, trigger, operation_id)


def _liquidated(
    terms: MarginTerms, cash: float, positions: list[HeldPerp], prices: Mapping[str, float]
) -> list[Closed]:
    """Everything closed at once; the fee stands with the last of them."""
    rows = [(held.size, held.entry, prices[held.quote]) for held in positions]
    outcome = liquidate(cash, rows, terms.liquidation_fee, terms.contract)
    fees = [0.0] * (len(positions) - 1) + [outcome.fee]
    return [
        Closed(held, close.price, close.realised, fee, None, None)
        for held, close, fee in zip(positions, outcome.closes, fees, strict=True)
    ]
