"""Defines a simulated exchange account: spot, linear and inverse perpetuals, transfers and withdrawals.

One class serves Binance, Bybit and OKX; what differs is in their terms. Trades fill as taker at the price of the last
settled tick. Whole positions are liquidated at once, where an exchange would do it in steps.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from basis_actors.finance.keys import parse_key
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order, Side
from basis_actors.times import utc_from_ns
from basis_actors.venues.simulated.domain import EXTERNAL, Executed, SimulatedDomain, VenueClock
from basis_actors.venues.simulated.liquidation import Closed
from basis_actors.venues.simulated.perp_account import PerpAccount
from basis_actors.venues.simulated.refusals import ALL_OF_IT, malformed, refused, take, unconfigured
from basis_actors.venues.simulated.terms import ExchangeTerms
from basis_actors.venues.simulated.trading import Fill, on_lots, price_trade, require_minimum, spot_reference

if TYPE_CHECKING:
    from basis_actors.messages.book import TickStarted

__all__ = ["SimulatedExchange"]


class SimulatedExchange(SimulatedDomain):
    """One account on one exchange; its domain has the name of the venue.

    `latency_seconds` is how long an order takes to be carried out; 0 means that nothing here ever suspends.
    """

    def __init__(self, terms: ExchangeTerms, clock: VenueClock, latency_seconds: float = 0.0) -> None:
        super().__init__(terms.venue, (terms.venue,), clock, latency_seconds)
        self._terms = terms
        accounts = [PerpAccount(margin) for margin in terms.margin_accounts()]
        self._accounts = accounts
        self._by_margin = {account.margin_key: account for account in accounts}
        self._by_pair = {pair: account for account in accounts for pair in account.quotes}
        self._by_quote = {name: account for account in accounts for name in account.quotes.values()}

    @property
    def entries(self) -> dict[str, float]:
        """Average entry price by position key."""
        return {held.key: held.entry for account in self._accounts for held in account.held.values()}

    def settle(self, tick: TickStarted) -> tuple[Settlement, ...]:
        """Stops and liquidations on the bar just closed, then arrivals and funding in the order of their stamps.

        What had arrived when the bar opened is there for it; what arrives within the bar comes too late.
        """
        market = tick.market
        before, self._market = self._market, market
        settled: list[Settlement] = []
        if before is not None:
            if self._arrivals:
                self._arrive(before.ns, settled)
            for account in self._accounts:
                if not account.held:
                    continue
                cash = self._balances.get(account.margin_key, 0.0)
                closed = account.close_on_bar(cash, before, market)
                if closed:
                    self._book_closed(account.margin_key, closed, market, settled)
        for stamp in market.funding:
            owner = self._by_quote.get(stamp.perp)
            delta = None if owner is None else owner.funding(stamp)
            if delta is not None:
                self._arrive(stamp.ns, settled)
                settled.append(self._book(DeltaSource.FUNDING, utc_from_ns(stamp.ns), (delta,)))
        if self._arrivals:
            self._arrive(market.ns, settled)
        return tuple(settled)

    async def give_back(self, operation_id: str) -> None:
        """Undo a withdrawal that was accepted and is not carried out: its amount and its fee are back."""
        for settlement in self._answers[operation_id].settlements:
            back = [PositionDelta(delta.position_key, -delta.delta_amount) for delta in settlement.deltas]
            self._book(settlement.source, self._time(), back, operation_id)

    def _book_closed(
        self, margin_key: str, closed: list[Closed], market: MarketState, settled: list[Settlement]
    ) -> None:
        """Book what the bar closed of one account, ahead of everything else that the tick settles here."""
        moment = self._close_of_bar(market)
        for close in closed:
            if close.operation_id is not None:
                settled.append(self._book(DeltaSource.EXECUTION, moment, _leg(close, margin_key), close.operation_id))
                if close.fee > 0.0:
                    settled.append(self._charge(DeltaSource.FEE, margin_key, close.fee, close.operation_id, moment))
        liquidated = [close for close in closed if close.operation_id is None]
        if liquidated:
            deltas = [delta for close in liquidated for delta in _leg(close, margin_key)]
            cash = self._balances.get(margin_key, 0.0) + sum(close.realised for close in liquidated)
            fee = sum(close.fee for close in liquidated)
            if fee > 0.0:
                exhausted = abs(cash - fee) <= ALL_OF_IT * fee
                deltas.append(PositionDelta(margin_key, -cash if exhausted else -fee))
            settled.append(self._book(DeltaSource.LIQUIDATION, moment, deltas))

    def _close_of_bar(self, market: MarketState) -> datetime:
        """The tick at which the bar is known, or the first arrival or funding within it, which it must not follow."""
        funding = [stamp.ns for stamp in market.funding if stamp.perp in self._by_quote]
        arrivals = [transfer.arrives_ns for transfer in self._arrivals]
        return utc_from_ns(min((market.ns, *funding, *arrivals)))

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
        if order.take_profit is not None or order.stop_loss is not None:
            raise malformed(order, "take_profit and stop_loss protect perpetual positions; a spot trade keeps none")
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
        return self._settle_trade(order, deltas, filled, terms.cash_key, filled.fee(terms.spot_fee), "USDT")

    def _trade_perp(self, order: Order, market: MarketState) -> Executed:
        account = self._by_pair.get(order.pair or "")
        if account is None:
            raise unconfigured(order, f"no perpetual {order.pair!r}; there are {sorted(self._by_pair)}")
        margin_key = account.margin_key
        trade = account.trade(order, market, self._balances.get(margin_key, 0.0))
        executed = self._settle_trade(order, trade.deltas, trade.fill, margin_key, trade.fee, account.terms.currency)
        account.keep(trade, self._balances[trade.moved.key])
        return executed

    def _settle_trade(
        self, order: Order, deltas: tuple[PositionDelta, ...], fill: Fill, fee_key: str, fee: float, currency: str
    ) -> Executed:
        settlements = [self._book(DeltaSource.EXECUTION, self._time(), deltas, order.operation_id)]
        if fee > 0.0:
            settlements.append(self._charge(DeltaSource.FEE, fee_key, fee, order.operation_id))
        details = {
            "executed_amount": fill.quantity,
            "executed_price": fill.price,
            "executed_value": fill.value,
            "liquidity": "taker",
        }
        return Executed(tuple(settlements), details, fee, currency if fee > 0.0 else None)

    def _spendable(self, key: str) -> float:
        """The balance, and for margin cash no more than what its positions leave free."""
        amount = self._balances.get(key, 0.0)
        account = self._by_margin.get(key)
        if account is None or not account.held:
            return amount
        assert self._market is not None
        return account.spendable(amount, self._market)

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
        if info.venue == self._terms.venue and (info.kind == "BaseToken" or key in self._by_margin):
            return
        raise malformed(
            order, f"{key} is no cash of {self._terms.venue}; expected {self._terms.venue}:BaseToken:<token>"
        )


def _leg(close: Closed, margin_key: str) -> tuple[PositionDelta, PositionDelta]:
    """A whole position closed, and what that realised."""
    size = PositionDelta(close.held.key, -close.held.size, close.price, close.trigger)
    return size, PositionDelta(margin_key, close.realised)
