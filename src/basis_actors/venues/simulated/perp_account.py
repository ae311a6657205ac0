"""Defines the perpetuals of a simulated exchange that share one margin balance: positions, margin, stops, funding.

Linear and inverse contracts are told apart by their terms alone. An account says what is to be booked and keeps the
positions that result; the balances are the exchange's.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from basis_actors.finance.margin import initial_margin
from basis_actors.messages.execution import PositionDelta
from basis_actors.messages.market import FundingStamp, MarketState
from basis_actors.messages.orders import Order, Side
from basis_actors.venues.simulated.liquidation import Closed, Guard, HeldPerp, close_on_bar, guard
from basis_actors.venues.simulated.refusals import not_known, refused
from basis_actors.venues.simulated.stops import Stops, stops_of
from basis_actors.venues.simulated.terms import MarginTerms
from basis_actors.venues.simulated.trading import Fill, on_lots, perp_reference, price_trade, require_minimum

__all__ = ["PerpAccount", "PerpTrade"]


class PerpTrade(NamedTuple):
    """A trade that the account accepts: what to book, and what the position then is."""

    moved: HeldPerp
    stops: Stops | None
    deltas: tuple[PositionDelta, ...]
    fill: Fill
    fee: float
    """In the margin currency."""


class PerpAccount:
    """Positions that share the cash at `terms.margin_key`, by the name of their quotes."""

    def __init__(self, terms: MarginTerms) -> None:
        self.terms = terms
        self.margin_key = terms.margin_key
        self.quotes = {pair: f"{terms.venue}:{pair}" for pair in terms.markets}
        self.held: dict[str, HeldPerp] = {}
        self._stops: dict[str, Stops] = {}
        self._guard: Guard | None = None

    def trade(self, order: Order, market: MarketState, cash: float) -> PerpTrade:
        """What a market order for one of the account's pairs does. Raises Rejected, and has changed nothing either way.

        EXEC-003 for stops that protect nothing; EXEC-004 for an amount off the lot or below the minimum, a limit or a
        stop that the price has passed, a reduce_only order that would not reduce, and for want of margin; STRAT-006
        for a price that is stale or not known.
        """
        terms, pair = self.terms, order.pair or ""
        line, name = terms.markets[pair], self.quotes[pair]
        fill = price_trade(order, line, perp_reference(order, name, market), terms.contract)
        held = self.held.get(name)
        size, entry = (held.size, held.entry) if held is not None else (0.0, 0.0)
        target = on_lots(size + (fill.quantity if order.side is Side.LONG else -fill.quantity), line.lot)
        adds_risk = abs(target) > abs(size) or target * size < 0.0
        if order.reduce_only and adds_risk:
            raise refused(order, f"reduce_only {order.side} of {fill.quantity!r} does not fit a position of {size!r}")
        if not (order.reduce_only and target == 0.0):
            require_minimum(order, line, fill, terms.minimum_notional)
        key = f"{terms.venue}:{terms.kind}:{pair}"
        traded = target - size
        after = terms.contract.fill(size, entry, traded, fill.price)
        filled = fill._replace(quantity=abs(traded))
        fee = filled.fee(terms.taker_fee)
        moved = HeldPerp(key, name, after.size, after.entry, line)
        mark = market.perps[name].mark
        assert mark is not None
        brought = stops_of(order, target, mark, adds_risk=adds_risk)
        if adds_risk:
            self._require_margin(order, market, moved, cash + after.realised - fee)
        kept = self._stops.get(name) if target * size > 0.0 else None
        deltas = [PositionDelta(key, traded, fill.price)]
        if after.realised != 0.0:
            deltas.append(PositionDelta(terms.margin_key, after.realised))
        return PerpTrade(moved, brought or kept, tuple(deltas), filled, fee)

    def keep(self, trade: PerpTrade, size: float) -> None:
        """Take over a trade that was booked; `size` is the balance that the booking gave."""
        name = trade.moved.quote
        if size == 0.0:
            self._drop(name)
            return
        self.held[name] = replace(trade.moved, size=size)
        if trade.stops is None:
            self._stops.pop(name, None)
        else:
            self._stops[name] = trade.stops

    def funding(self, stamp: FundingStamp) -> PositionDelta | None:
        """What a stamp pays on the position held; None where there is none, or no rate or mark."""
        held = self.held.get(stamp.perp)
        if held is None or stamp.rate is None or stamp.mark is None:
            return None
        payment = self.terms.contract.funding(held.size, stamp.mark, stamp.rate)
        return PositionDelta(self.terms.margin_key, payment, stamp.rate)

    def close_on_bar(self, cash: float, before: MarketState, market: MarketState) -> list[Closed]:
        """What the bar just closed does to the positions; those it closes are gone."""
        if not self._stops and len(self.held) == 1 and not self._may_breach(cash, before, market):
            return []
        closed = close_on_bar(self.terms, cash, self.held, self._stops, before, market)
        for close in closed:
            self._drop(close.held.quote)
        return closed

    def spendable(self, cash: float, market: MarketState) -> float:
        """How much of the cash the positions leave free."""
        balance, needed = self._margin(self.held, cash, market)
        return min(cash, balance - needed)

    def _drop(self, name: str) -> None:
        del self.held[name]
        self._stops.pop(name, None)

    def _require_margin(self, order: Order, market: MarketState, moved: HeldPerp, cash: float) -> None:
        """Refuse an order that adds risk on a stale mark or leaves less margin than its positions need at least."""
        if not market.perps[moved.quote].mark_fresh:
            raise not_known(order, f"the mark of {moved.quote} is older than its staleness limit; no new risk on it")
        balance, needed = self._margin({**self.held, moved.quote: moved}, cash, market)
        if balance < needed or cash < 0.0:
            token = self.terms.currency
            raise refused(
                order,
                f"leaves a margin balance of {balance:.12g} {token} (cash {cash:.12g}), {needed:.12g} is the initial"
                f" margin of its positions; transfer margin to {self.terms.margin_key} or reduce the amount",
            )

    def _margin(self, positions: dict[str, HeldPerp], cash: float, market: MarketState) -> tuple[float, float]:
        """Margin balance and initial margin of `positions` at the marks of `market`, margin currency."""
        contract, needed = self.terms.contract, 0.0
        for held in positions.values():
            mark = market.perps[held.quote].mark
            assert mark is not None, f"{held.quote} was opened without a mark"
            cash += contract.upnl(held.size, held.entry, mark)
            notional = contract.notional(held.size, mark)
            needed += initial_margin(notional, held.line.brackets) * contract.per_quote(mark)
        return cash, needed

    def _may_breach(self, cash: float, before: MarketState, market: MarketState) -> bool:
        """Whether a liquidation is possible on this bar, for the only position of the account."""
        (held,) = self.held.values()
        known = self._guard
        if known is None or known.held is not held or known.cash != cash:
            known = self._guard = guard(held, cash, self.terms.contract)
        name, price = held.quote, known.price
        start, bar = before.perps[name].mark, market.perps[name]
        assert start is not None, f"{name} was opened without a mark"
        if held.size < 0.0:
            high = bar.mark_high
            return start >= price or (high is not None and high >= price)
        low = bar.mark_low
        return start <= price or (low is not None and low <= price)
