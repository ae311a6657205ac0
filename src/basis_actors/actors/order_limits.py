"""Defines the limits on what an order may make of the book. What cannot be computed counts as broken.

A limit on a quantity refuses what raises that quantity above it, so a book that is above a limit can always be brought
back. Orders that only reduce (`risk_reduction`) pass all of them but the one on venues:

- the value of one order, because what is held bounds how much can be reduced;
- exposure, because one leg of a hedge is closed before the other, and an exit must not stop half-way;
- leverage, which they lower;
- daily loss, drawdown and the rate of orders, because these say that new risk has to wait, and an exit must not.

What stands at a venue is limited for every order: money that secures a position there is one more promise of its.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from basis_actors.actors.gate_checks import Refusal
from basis_actors.actors.risk_reduction import which_reduce
from basis_actors.config import OrderLimits
from basis_actors.finance.keys import REWARD_TOKENS, STABLE, LedgerKey, parse_key
from basis_actors.finance.valuation import token_price
from basis_actors.messages.book import PositionsView
from basis_actors.messages.orders import ExecutionMode, OperationType, Order

__all__ = ["RATE_SECONDS", "Standing", "check_limits", "target_of"]

RATE_SECONDS: Final = 60.0
"""Of engine time: what `max_orders_per_minute` is counted in."""
_CODE: Final = "RISK-007"
_OWN_PLACES: Final = ("wallet", "transit", "gas")
_OUTSIDE: Final = "external"
"""Where the owner takes money out to."""
_DEBTS: Final = ("debtToken", "flashDebt")
_ROUNDING: Final = 1e-9
"""Relative."""


class Standing(NamedTuple):
    """What the gate knows beside the ledger."""

    currency: str
    """Of the share class."""
    daily_loss: float | None
    drawdown: float | None
    """Fractions; None while they are not known."""
    recent_orders: int
    """Let through in the last minute."""
    under_way: Mapping[str, Mapping[str, float]]
    """Tokens in transit by the venue that they will arrive at."""


class _Measures(NamedTuple):
    """What limits are compared with, in the share class."""

    exposures: dict[str, float]
    """|net| by asset, beyond what holding the share class itself is; the stable currency is no exposure."""
    credit: float
    """Notional of perps and debt."""
    places: dict[str, float]
    """Value by venue."""


class _Unknown(Exception):
    """Something that a limit needs is not known."""


def check_limits(
    limits: OrderLimits, orders: Sequence[Order], view: PositionsView, standing: Standing
) -> tuple[Order, Refusal] | None:
    """The first order of a unit that breaks a limit, and how.

    Of a group that is undone when a leg fails what counts is the book after all of it, else the book after each order.
    """
    reducing = which_reduce(orders, view.positions)
    adds = not all(reducing)
    if adds:
        refusal = _check_state(limits, len(orders), standing)
        if refusal is not None:
            return orders[reducing.index(False)], refusal
    try:
        for order, reduces in zip(orders, reducing, strict=True):
            if not reduces:
                refusal = _check_value(limits, order, view)
                if refusal is not None:
                    return order, refusal
        return _check_outcome(limits, orders, reducing, view, standing)
    except _Unknown as unknown:
        return orders[0], Refusal(_CODE, f"limits cannot be computed: {unknown}")


def _check_outcome(
    limits: OrderLimits, orders: Sequence[Order], reducing: Sequence[bool], view: PositionsView, standing: Standing
) -> tuple[Order, Refusal] | None:
    """The first order that leaves too much at a venue, or too much of anything."""
    adds = not all(reducing)
    books = adds and (limits.max_asset_exposure is not None or limits.max_leverage is not None)
    places = limits.max_venue_share is not None and (adds or any(map(_fills_a_venue, orders)))
    if not books and not places:
        return None
    equity, before = view.valuation.equity, _measure(view.positions, view, standing)
    whole = orders[0].execution_mode is not ExecutionMode.SEQUENTIAL
    ledger = dict(view.positions)
    for place, order in enumerate(orders, start=1):
        standing = _expect(order, ledger, standing)
        if whole and place < len(orders):
            continue
        after = _measure(ledger, view, standing)
        refusal = _check_places(limits, before, after, equity)
        if refusal is None and (adds if whole else not reducing[place - 1]):
            refusal = _check_book(limits, before, after, equity)
        if refusal is not None:
            return order, refusal
    return None


def target_of(order: Order) -> str | None:
    """The venue that a transfer puts tokens at; None for one into the own wallet or to the owner, and any other order.

    Where the order and the position key that it names differ it is the one that is a venue.
    """
    if order.operation is not OperationType.TRANSFER:
        return None
    key = str(order.operation_details.get("target_key", ""))
    for place in (order.target_venue, key.split(":", 1)[0]):
        if place and place not in _OWN_PLACES:
            return None if place == _OUTSIDE else place
    return None


def _fills_a_venue(order: Order) -> bool:
    """Whether an order that only reduces can still raise what stands at a venue."""
    return target_of(order) is not None or order.operation is OperationType.SUPPLY


def _check_state(limits: OrderLimits, count: int, standing: Standing) -> Refusal | None:
    """Limits that say that new risk has to wait."""
    for name, loss, limit in (
        ("the loss since 00:00 UTC", standing.daily_loss, limits.max_daily_loss),
        ("the drawdown", standing.drawdown, limits.max_drawdown),
    ):
        if limit is None:
            continue
        if loss is None:
            return Refusal(_CODE, f"{name} cannot be computed: equity is not known; its limit is {limit:g}")
        if loss > limit:
            return Refusal(_CODE, f"{name} is {loss:.6g} of equity, the limit for new risk is {limit:g}")
    most = limits.max_orders_per_minute
    if most is not None and standing.recent_orders + count > most:
        total = standing.recent_orders + count
        return Refusal(_CODE, f"{total} orders would be sent within {RATE_SECONDS:g} s, the limit is {most}")
    return None


def _check_value(limits: OrderLimits, order: Order, view: PositionsView) -> Refusal | None:
    """The value of one order: that of the largest change it makes."""
    if limits.max_order_notional is None and limits.max_order_equity is None:
        return None
    value = max(abs(_worth(parse_key(delta.position_key), delta.delta_amount, view)) for delta in order.expected_deltas)
    if limits.max_order_notional is not None and value > limits.max_order_notional:
        return Refusal(_CODE, f"is worth {value:.6g}, the limit for one order is {limits.max_order_notional:g}")
    most = limits.max_order_equity
    equity = view.valuation.equity
    if most is not None and value > most * _known(view):
        return Refusal(_CODE, f"is worth {value / equity:.6g} of equity, the limit for one order is {most:g}")
    return None


def _check_places(limits: OrderLimits, before: _Measures, after: _Measures, equity: float) -> Refusal | None:
    if limits.max_venue_share is None:
        return None
    for venue, value in after.places.items():
        if _rises_above(limits.max_venue_share * equity, before.places.get(venue, 0.0), value):
            text = f"would leave {value / equity:.6g} of equity at {venue}"
            return Refusal(_CODE, f"{text}, the limit for one venue is {limits.max_venue_share:g}")
    return None


def _check_book(limits: OrderLimits, before: _Measures, after: _Measures, equity: float) -> Refusal | None:
    if limits.max_asset_exposure is not None:
        for asset, value in after.exposures.items():
            if _rises_above(limits.max_asset_exposure * equity, before.exposures.get(asset, 0.0), value):
                text = f"would leave an exposure to {asset} of {value / equity:.6g} of equity"
                return Refusal(_CODE, f"{text}, the limit is {limits.max_asset_exposure:g}")
    if limits.max_leverage is not None and _rises_above(limits.max_leverage * equity, before.credit, after.credit):
        text = f"would leave perps and debt of {after.credit / equity:.6g} of equity"
        return Refusal(_CODE, f"{text}, the limit is {limits.max_leverage:g}")
    return None


def _rises_above(limit: float, before: float, after: float) -> bool:
    return after > limit and after > before * (1.0 + _ROUNDING)


def _expect(order: Order, ledger: dict[str, float], standing: Standing) -> Standing:
    """Bring the ledger to what an order is expected to leave; what it puts in transit is under way to its target."""
    under_way = standing.under_way
    for delta in order.expected_deltas:
        ledger[delta.position_key] = ledger.get(delta.position_key, 0.0) + delta.delta_amount
        target = target_of(order)
        if target is not None and delta.position_key.startswith("transit:") and delta.delta_amount > 0.0:
            token = parse_key(delta.position_key).symbol
            tokens = under_way.get(target, {})
            tokens = {**tokens, token: tokens.get(token, 0.0) + delta.delta_amount}
            under_way = {**under_way, target: tokens}
    return standing._replace(under_way=under_way)


def _measure(ledger: Mapping[str, float], view: PositionsView, standing: Standing) -> _Measures:
    """Raises _Unknown while equity or a price is not known."""
    equity, values = _known(view), view.valuation.values
    net: dict[str, float] = {}
    places: dict[str, float] = {}
    credit = 0.0
    transit: dict[str, float] = {}
    for key, amount in ledger.items():
        if not amount:
            continue
        info = parse_key(key)
        worth = _worth(info, amount, view)
        net[info.asset] = net.get(info.asset, 0.0) + worth
        if info.contract is not None or info.kind in _DEBTS:
            credit += abs(worth)
        if info.venue == "transit":
            transit[info.symbol] = transit.get(info.symbol, 0.0) + amount
        elif info.venue not in _OWN_PLACES:
            # A perp stands for its profit, which an order does not change.
            there = worth if info.contract is None else values.get(key, 0.0)
            places[info.venue] = places.get(info.venue, 0.0) + there
    for venue, value in _arriving(transit, view, standing).items():
        places[venue] = places.get(venue, 0.0) + value
    currency = standing.currency
    exposures = {
        asset: abs(worth - equity if asset == currency else worth) for asset, worth in net.items() if asset != STABLE
    }
    return _Measures(exposures, credit, places)


def _arriving(transit: Mapping[str, float], view: PositionsView, standing: Standing) -> dict[str, float]:
    """Value under way by venue. What is in transit and nobody knows where to counts at every venue."""
    arriving: dict[str, float] = {}
    under_way = standing.under_way
    for token, amount in transit.items():
        info = parse_key(f"transit:BaseToken:{token}")
        known = sum(tokens.get(token, 0.0) for tokens in under_way.values())
        lost = max(0.0, amount - known)
        if lost <= _ROUNDING * amount:
            lost = 0.0
        venues = {parse_key(key).venue for key in view.positions} - set(_OWN_PLACES) if lost else set[str]()
        for venue in sorted(venues | under_way.keys()):
            value = _worth(info, under_way.get(venue, {}).get(token, 0.0) + lost, view)
            arriving[venue] = arriving.get(venue, 0.0) + value
    return arriving


def _worth(info: LedgerKey, amount: float, view: PositionsView) -> float:
    """Signed value of an amount of a position in the share class; of a perp its exposure. Raises _Unknown."""
    if info.contract is not None:
        quote = view.tick.market.perps.get(info.perp or "")
        if quote is None or quote.mark is None:
            raise _Unknown(f"the mark of {info.perp} is not known")
        price: float | None = view.prices.get(info.asset)
        amount = info.contract.exposure(amount, quote.mark)
    else:
        price = token_price(info, view.tick.market, view.prices)
        amount *= info.sign
    if price is None:
        if info.asset in REWARD_TOKENS:
            return 0.0
        raise _Unknown(f"the price of {info.symbol} is not known")
    return amount * price


def _known(view: PositionsView) -> float:
    """Equity, share class. Raises _Unknown where there is none, or a part of the book has no price."""
    if view.valuation.unpriced:
        raise _Unknown(f"equity is not known, {', '.join(view.valuation.unpriced)} has no price")
    if view.valuation.equity <= 0.0:
        raise _Unknown(f"equity is {view.valuation.equity:.6g}, more than 0 was expected")
    return view.valuation.equity
