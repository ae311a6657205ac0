"""Defines a simulated exchange account: spot and linear perpetuals, cross margin, funding, liquidation, withdrawals.

One class serves Binance, Bybit and OKX; what differs is in their terms. Trades fill as taker at the price of the last
settled tick. Whole positions are liquidated at once, where an exchange would do it in steps.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from basis_actors.finance.keys import parse_key
from basis_actors.finance.margin import initial_margin, liquidate, liquidation_price
from basis_actors.finance.perps import apply_fill, funding_payment
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order, Side
from basis_actors.times import utc_from_ns
from basis_actors.venues.simulated.domain import EXTERNAL, Executed, SimulatedDomain, VenueClock
from basis_actors.venues.simulated.liquidation import HeldPerp, breach_prices
from basis_actors.venues.simulated.refusals import ALL_OF_IT, malformed, not_known, refused, take, unconfigured
from basis_actors.venues.simulated.terms import ExchangeTerms
from basis_actors.venues.simulated.trading import (
    Fill,
    on_lots,
    perp_reference,
    price_trade,
    require_minimum,
    spot_reference,
)

if TYPE_CHECKING:
    from basis_actors.messages.book import TickStarted

__all__ = ["SimulatedExchange"]


class _Guard(NamedTuple):
    """A mark that the only position of an account must reach before its margin needs a closer look."""

    held: HeldPerp
    cash: float
    price: float


def _guard(held: HeldPerp, cash: float) -> _Guard:
    short = held.size < 0.0
    price = liquidation_price(cash, held.size, held.entry, held.line.brackets)
    if price is None:
        # No such price: a long with more cash than it paid is safe at any; every other case is looked at each tick.
        safe = not short and cash > held.size * held.entry
        return _Guard(held, cash, 0.0 if short or safe else inf)
    return _Guard(held, cash, price * (1.0 - ALL_OF_IT) if short else price * (1.0 + ALL_OF_IT))


class SimulatedExchange(SimulatedDomain):
    """One account on one exchange; its domain has the name of the venue.

    `latency_seconds` is how long an order takes to be carried out; 0 means that nothing here ever suspends.
    """

    def __init__(self, terms: ExchangeTerms, clock: VenueClock, latency_seconds: float = 0.0) -> None:
        super().__init__(terms.venue, (terms.venue,), clock, latency_seconds)
        self._terms = terms
        self._held: dict[str, HeldPerp] = {}
        self._guard: _Guard | None = None

    async def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        """Liquidate on the bar just closed, then book arrivals and funding in the order of their stamps."""
        market = tick.market
        before, self._market = self._market, market
        if not self._held and not self._arrivals:
            return ()
        settled: list[Settlement] = []
        if before is not None and self._held and self._may_breach(before, market):
            self._liquidate(before, market, settled)
        for stamp in market.funding:
            held = self._held.get(stamp.perp)
            if held is not None and stamp.rate is not None and stamp.mark is not None:
                self._arrive(stamp.ns, settled)
                payment = funding_payment(held.size, stamp.mark, stamp.rate)
                delta = PositionDelta(self._terms.margin_key, payment, stamp.rate)
                settled.append(self._book(DeltaSource.FUNDING, utc_from_ns(stamp.ns), (delta,)))
        if self._arrivals:
            self._arrive(market.ns, settled)
        return tuple(settled)

    def _carry_out(self, order: Order, market: MarketState) -> Executed:
        if order.venue not in self._venues:
            raise unconfigured(order, f"{self._domain} serves {self._venues}")
        if order.operation is OperationType.SPOT_TRADE:
            return self._trade_spot(order, market)
        if order.operation is OperationType.PERP_TRADE:
            return self._trade_perp(order, market)
        if order.operation is OperationType.TRANSFER:
            return self._transfer(order)
        raise unconfigured(order, f"an exchange does spot_trade, perp_trade and transfer, not {order.operation}")

    def _trade_spot(self, order: Order, market: MarketState) -> Executed:
        terms = self._terms
        line = terms.spot.get(order.pair or "")
        if line is None:
            raise unconfigured(order, f"no spot market {order.pair!r}; there are {sorted(terms.spot)}")
        fill = price_trade(order, line, spot_reference(order, terms.venue, market, line.asset))
        require_minimum(order, line, fill, terms.minimum_notional)
        base_key = f"{terms.venue}:BaseToken:{line.asset}"
        held = self._balances.get(base_key, 0.0)
        if order.side is Side.BUY:
            needed, there = fill.notional + fill.fee(terms.spot_fee), self._spendable(terms.cash_key)
            if needed > there:
                raise refused(order, f"needs {needed:.12g} USDT with its fee, {there:.12g} is free at {terms.cash_key}")
            bought = on_lots(held + fill.quantity, line.lot) - held
        else:
            bought = on_lots(held - take(order, fill.quantity, held, f"{line.asset} at {base_key}"), line.lot) - held
        filled = Fill(abs(bought), fill.price)
        deltas = (
            PositionDelta(base_key, bought, fill.price),
            PositionDelta(terms.cash_key, -bought * fill.price),
        )
        return self._settle_trade(order, deltas, filled, terms.cash_key, filled.fee(terms.spot_fee))

    def _trade_perp(self, order: Order, market: MarketState) -> Executed:
        terms = self._terms
        line = terms.perps.get(order.pair or "")
        if line is None:
            raise unconfigured(order, f"no perpetual {order.pair!r}; there are {sorted(terms.perps)}")
        name = f"{terms.venue}:{line.pair}"
        fill = price_trade(order, line, perp_reference(order, name, market))
        held = self._held.get(name)
        size, entry = (held.size, held.entry) if held is not None else (0.0, 0.0)
        wanted = size + (fill.quantity if order.side is Side.LONG else -fill.quantity)
        target = on_lots(wanted, line.lot)
        adds_risk = abs(target) > abs(size) or target * size < 0.0
        if order.reduce_only and adds_risk:
            raise refused(order, f"reduce_only {order.side} of {fill.quantity!r} does not fit a position of {size!r}")
        if not (order.reduce_only and target == 0.0):
            require_minimum(order, line, fill, terms.minimum_notional)
        key = f"{terms.venue}:PerpPosition:{line.pair}"
        traded = target - size
        after = apply_fill(size, entry, traded, fill.price)
        filled = Fill(abs(traded), fill.price)
        fee = filled.fee(terms.perp_fee)
        moved = HeldPerp(key, name, after.size, after.entry, line)
        if adds_risk:
            self._require_margin(order, market, moved, after.realised - fee)
        deltas = [PositionDelta(key, traded, fill.price)]
        if after.realised != 0.0:
            deltas.append(PositionDelta(terms.margin_key, after.realised))
        executed = self._settle_trade(order, tuple(deltas), filled, terms.margin_key, fee)
        if self._balances[key] == 0.0:
            del self._held[name]
        else:
            self._held[name] = moved._replace(size=self._balances[key])
        return executed

    def _settle_trade(
        self, order: Order, deltas: tuple[PositionDelta, ...], fill: Fill, fee_key: str, fee: float
    ) -> Executed:
        settlements = [self._book(DeltaSource.EXECUTION, self._time(), deltas, order.operation_id)]
        if fee > 0.0:
            settlements.append(self._charge(DeltaSource.FEE, fee_key, fee, order.operation_id))
        details = {"executed_amount": fill.quantity, "executed_price": fill.price, "liquidity": "taker"}
        return Executed(tuple(settlements), details, fee, "USDT" if fee > 0.0 else None)

    def _require_margin(self, order: Order, market: MarketState, moved: HeldPerp, cash_change: float) -> None:
        """Refuse an order that adds risk on a stale mark or leaves less margin than its positions need at least."""
        if not market.perps[moved.quote].mark_fresh:
            raise not_known(order, f"the mark of {moved.quote} is older than its staleness limit; no new risk on it")
        cash = self._balances.get(self._terms.margin_key, 0.0) + cash_change
        balance, needed = self._margin({**self._held, moved.quote: moved}, cash, market)
        if balance < needed or cash < 0.0:
            raise refused(
                order,
                f"leaves a margin balance of {balance:.12g} USDT (cash {cash:.12g}), {needed:.12g} is the initial"
                f" margin of its positions; transfer margin to {self._terms.margin_key} or reduce the amount",
            )

    def _margin(self, positions: dict[str, HeldPerp], cash: float, market: MarketState) -> tuple[float, float]:
        """Margin balance and initial margin of `positions` at the marks of `market`, USDT."""
        needed = 0.0
        for held in positions.values():
            mark = market.perps[held.quote].mark
            assert mark is not None, f"{held.quote} was opened without a mark"
            cash += held.size * (mark - held.entry)
            needed += initial_margin(abs(held.size) * mark, held.line.brackets)
        return cash, needed

    def _spendable(self, key: str) -> float:
        """The balance, and for margin cash no more than what its positions leave free."""
        amount = self._balances.get(key, 0.0)
        if key == self._terms.margin_key and self._held:
            assert self._market is not None
            balance, needed = self._margin(self._held, amount, self._market)
            return min(amount, balance - needed)
        return amount

    def _transfer(self, order: Order) -> Executed:
        source, target, token = self._route_of(order)
        if order.target_venue == EXTERNAL:
            raise refused(order, f"withdrawals by the owner leave from the wallet; transfer from {source} there first")
        self._require_cash_key(order, source)
        if order.target_venue == self._terms.venue:
            self._require_cash_key(order, target)
            if source == target:
                raise malformed(order, f"source and target are both {source}")
            amount = take(order, order.amount, self._spendable(source), f"{token} at {source}")
            deltas = (PositionDelta(source, -amount), PositionDelta(target, amount))
            booked = self._book(DeltaSource.TRANSFER, self._time(), deltas, order.operation_id)
            return Executed((booked,), {"source_key": source, "target_key": target})
        fee = self._terms.withdrawal_fees.get(token)
        if fee is None:
            raise unconfigured(
                order, f"{token} has no withdrawal fee; there is one for {sorted(self._terms.withdrawal_fees)}"
            )
        settlements = [self._send_away(order, source, token, fee)]
        if fee > 0.0:
            settlements.append(self._charge(DeltaSource.FEE, source, fee, order.operation_id))
        return Executed(
            tuple(settlements), {"source_key": source, "target_key": target}, fee, token if fee > 0.0 else None
        )

    def _require_cash_key(self, order: Order, key: str) -> None:
        info = parse_key(key)
        if info.venue == self._terms.venue and (info.kind == "BaseToken" or key == self._terms.margin_key):
            return
        raise malformed(
            order, f"{key} is no cash of {self._terms.venue}; expected {self._terms.venue}:BaseToken:<token>"
        )

    def _may_breach(self, before: MarketState, market: MarketState) -> bool:
        """Whether a liquidation is possible on this bar; exact for one position, always true for several."""
        if len(self._held) > 1:
            return True
        (held,) = self._held.values()
        cash = self._balances.get(self._terms.margin_key, 0.0)
        guard = self._guard
        if guard is None or guard.held is not held or guard.cash != cash:
            guard = self._guard = _guard(held, cash)
        start, bar = before.perps[held.quote].mark, market.perps[held.quote]
        assert start is not None, f"{held.quote} was opened without a mark"
        if held.size < 0.0:
            return start >= guard.price or (bar.mark_high is not None and bar.mark_high >= guard.price)
        return start <= guard.price or (bar.mark_low is not None and bar.mark_low <= guard.price)

    def _liquidate(self, before: MarketState, market: MarketState, settled: list[Settlement]) -> None:
        """Close every position where margin balance meets maintenance; the account never ends below zero.

        Stamped with the opening of the bar, the earliest moment at which it can have happened.
        """
        positions = tuple(self._held.values())
        margin_key = self._terms.margin_key
        cash = self._balances.get(margin_key, 0.0)
        prices = breach_prices(cash, positions, before, market)
        if prices is None:
            return
        rows = [(held.size, held.entry, price) for held, price in zip(positions, prices, strict=True)]
        outcome = liquidate(cash, rows, self._terms.liquidation_fee)
        deltas = []
        for held, close in zip(positions, outcome.closes, strict=True):
            deltas.append(PositionDelta(held.key, -held.size, close.price))
            deltas.append(PositionDelta(margin_key, close.realised))
            cash += close.realised
        if outcome.fee > 0.0:
            exhausted = abs(cash - outcome.fee) <= ALL_OF_IT * outcome.fee
            deltas.append(PositionDelta(margin_key, -cash if exhausted else -outcome.fee))
        settled.append(self._book(DeltaSource.LIQUIDATION, before.timestamp, deltas))
        self._held.clear()
