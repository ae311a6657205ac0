"""Defines what the desks of hedged strategies share: sizes of the legs, trades that shrink both, moving money."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from basis_actors.finance.costs import from_lots, lots_in, round_down_to_lot
from basis_actors.messages.orders import ExecutionMode, Order, Side
from basis_actors.strategies.hedge_book import WALLET, HedgeBook
from basis_actors.strategies.hedge_terms import HedgeTerms
from basis_actors.strategies.order_writer import OrderWriter

__all__ = ["TRANSFER_COST_LIMIT", "HedgeDesk", "lots_up"]

TRANSFER_COST_LIMIT = 0.005
"""Share of an amount that moving it may cost."""
_CENT = 0.01
_ABOVE_MINIMUM = 1.01
"""An order a little above the smallest is still one after its impact."""


class HedgeDesk(ABC):
    """Sizes and orders on the book of one tick."""

    def __init__(self, terms: HedgeTerms, book: HedgeBook, writer: OrderWriter) -> None:
        self._terms = terms
        self._book = book
        self._write = writer
        self._margin_target = terms.margin_target

    # Sizes

    @property
    def spot_cost(self) -> float:
        """What spot costs at most, as a fraction: the class of the largest order that equity allows."""
        return self._terms.spot_cost(self._book.equity)

    def spot_unit(self, shorts: Mapping[str, float]) -> float:
        """USDT at the spot exchange for each unit of shorts that are split like `shorts`: spot at its cost, and the
        margin of the short there where one account pays for both."""
        unit = self._book.price * (1.0 + self.spot_cost)
        shared = self._terms.shared_margin
        if shared is None or not shorts.get(shared):
            return unit
        return unit + shorts[shared] / sum(shorts.values()) * self._margin_per_unit(shared)

    def target(self, equity: float) -> dict[str, float]:
        """Short by venue that `equity` carries, over the venues that may take risk.

        Spot at its cost and margin of the target ratio: q x P x (1 + spot cost + target + perp cost) = equity.
        """
        book = self._book
        perp_cost = sum(share * self._perp_cost(venue) for venue, share in book.weights.items())
        quantity = max(0.0, equity) / (book.price * (1.0 + self.spot_cost + self._margin_target + perp_cost))
        return self.lots({venue: share * quantity for venue, share in book.weights.items()})

    def lots(self, sizes: Mapping[str, float]) -> dict[str, float]:
        """Whole lots by venue; what is below a venue's minimum order is left out."""
        rounded = {}
        for venue, size in sizes.items():
            terms = self._terms.legs[venue]
            lots = round_down_to_lot(size, terms.lot)
            if lots * self._book.price >= terms.minimum_notional:
                rounded[venue] = lots
        return rounded

    def headroom(self) -> dict[str, float]:
        """How much more each eligible venue could be short with the margin it has.

        Profit that is not realised is margin, but fees are paid in cash.
        """
        room = {}
        for venue in self._book.weights:
            leg = self._book.legs[venue]
            by_margin = (leg.margin - leg.notional * self._margin_target) / self._margin_per_unit(venue)
            fee = self._book.price * leg.terms.fee
            room[venue] = max(0.0, min(by_margin, leg.cash / fee if fee > 0.0 else by_margin))
        return room

    def affordable(self, target: Mapping[str, float], dust: float) -> tuple[dict[str, float], tuple[Order, ...]]:
        """What of `target` the cash on the exchanges pays for, and the transfers inside the spot exchange it takes."""
        book, terms = self._book, self._terms
        unit = book.price * (1.0 + self.spot_cost)
        margins = {venue: leg.margin for venue, leg in book.legs.items()}
        spot_cash = book.spot_cash
        shifts: tuple[Order, ...] = ()
        home = terms.legs.get(terms.spot_venue)
        if home is not None and home.venue in target and home.margin_key != terms.spot_cash_key:
            lacking = target[home.venue] * self._margin_per_unit(home.venue) - margins[home.venue]
            shift = min(lacking, spot_cash) if lacking > 0.0 else 0.0
            if lacking < 0.0 and sum(target.values()) * unit - spot_cash > dust:
                shift = -min(-lacking, sum(target.values()) * unit - spot_cash)
            if shift > 0.0:
                shifts = self.move(terms.spot_cash_key, home.margin_key, shift)
            elif shift < 0.0:
                shifts = self.move(home.margin_key, terms.spot_cash_key, -shift)
            margins[home.venue] += shift
            spot_cash -= shift
        sizes = {v: min(size, max(0.0, margins[v]) / self._margin_per_unit(v)) for v, size in target.items()}
        total, limit = sum(sizes.values()), spot_cash / self.spot_unit(sizes)
        if total > limit:
            sizes = {venue: size * limit / total for venue, size in sizes.items()}
        return self.lots(sizes), shifts

    def carried(self, target: Mapping[str, float]) -> dict[str, float]:
        """What of `target` the exchanges carry where none of them can be sent anything: each short with the margin that
        is there, and the spot that hedges them with what is left at its exchange."""
        book, terms = self._book, self._terms
        home = terms.legs.get(terms.spot_venue)
        budget = book.spot_cash
        if home is not None and home.margin_key != terms.spot_cash_key:
            budget += book.legs[home.venue].margin
        sizes = {
            venue: size
            if home is not None and venue == home.venue
            else min(size, max(0.0, book.legs[venue].margin) / self._margin_per_unit(venue))
            for venue, size in target.items()
        }
        cost = sum(sizes.values()) * book.price * (1.0 + self.spot_cost)
        if home is not None and home.venue in sizes:
            cost += sizes[home.venue] * self._margin_per_unit(home.venue)
        share = min(1.0, budget / cost) if cost > 0.0 else 0.0
        return {venue: size * share for venue, size in sizes.items()}

    def needs(self, sizes: Mapping[str, float]) -> dict[str, float]:
        """Cash by account that new legs of these sizes take."""
        needed = {self._terms.spot_cash_key: sum(sizes.values()) * self._book.price * (1.0 + self.spot_cost)}
        for venue, size in sizes.items():
            key = self._terms.legs[venue].margin_key
            needed[key] = needed.get(key, 0.0) + size * self._margin_per_unit(venue)
        return needed

    def idle_cash(self) -> dict[str, float]:
        """Cash that no leg uses, by account; on margin accounts only while there is no position at all."""
        book, terms = self._book, self._terms
        idle = {WALLET: book.wallet_cash, terms.spot_cash_key: book.spot_cash}
        if book.flat:
            for leg in book.legs.values():
                idle[leg.terms.margin_key] = leg.cash
        return {key: amount for key, amount in idle.items() if amount > 0.0}

    def payable_cash(self) -> dict[str, float]:
        """Cash that can leave each account while its leg keeps the target margin ratio, beside what leaving costs."""
        cash = {self._terms.spot_cash_key: self._book.spot_cash}
        for leg in self._book.legs.values():
            free = min(leg.cash, leg.margin - leg.notional * self._margin_target)
            key = leg.terms.margin_key
            cash[key] = min(cash[key], free) if key in cash else free
        return {
            key: whole
            for key, amount in cash.items()
            if (whole := round_down_to_lot(max(0.0, amount - self._leaving_cost(key)), _CENT)) > 0.0
        }

    def exit_cost(self) -> float:
        """What closing everything and bringing the money to the wallet costs, USDT."""
        trading = sum(
            abs(leg.short) * (self.spot_cost + self._perp_cost(venue)) for venue, leg in self._book.legs.items()
        )
        return trading * self._book.price + sum(self._terms.withdrawal_fees.values())

    def entry_cost(self, target: Mapping[str, float], sending_gas: float) -> float:
        """What opening shorts of `target` with their spot costs, the way of the cash to them included, USDT.

        `sending_gas` is the gas of one transfer out of the wallet, USDT.
        """
        trading = sum(size * (self.spot_cost + self._perp_cost(venue)) for venue, size in target.items())
        terms = self._terms
        moving = sum(
            self._leaving_cost(source) + (sending_gas if source == WALLET else 0.0)
            for source, to, _ in self._shifts(self.idle_cash(), self.needs(target))
            if terms.may_move(source, to) and terms.domain_of(source) != terms.domain_of(to)
        )
        return trading * self._book.price + moving

    def too_large(self, added: Mapping[str, float]) -> str | None:
        """Why a venue does not open a short with these added to it, naming both numbers; None when all of them do."""
        for venue, size in added.items():
            leg = self._book.legs[venue]
            notional, largest = (leg.short + size) * self._book.price, leg.terms.largest
            if notional > largest:
                return (
                    f"a short of {notional:,.0f} USDT at {venue} is more than its margin table takes with a margin of"
                    f" {self._margin_target:.0%}, {largest:,.0f} at most"
                )
        return None

    def spot_lots(self, amount: float) -> float:
        """Whole lots of spot."""
        return round_down_to_lot(amount, self._terms.spot_lot)

    def _perp_cost(self, venue: str) -> float:
        return self._terms.legs[venue].cost(self._book.equity)

    def _margin_per_unit(self, venue: str) -> float:
        return self._book.price * (self._margin_target + self._perp_cost(venue))

    # Trades

    @abstractmethod
    def open(self, sizes: Mapping[str, float], intent: str) -> tuple[Order, ...]:
        """Both legs of these sizes by venue, in compensated groups."""

    def shrink(self, sizes: Mapping[str, float], intent: str) -> tuple[Order, ...]:
        """Buy back shorts and sell as much spot: one compensated group a venue, none of less than a smallest order.

        Against spot that open orders bind the short stays: it cannot be sold, and without its short it is not hedged.
        """
        price, bound = self._book.price, self._book.spot_bound > 0.0
        left = self._book.spot_free
        orders: list[Order] = []
        for venue, wanted in sizes.items():
            leg = self._book.legs[venue]
            if wanted <= 0.0:
                continue
            least = lots_up(_ABOVE_MINIMUM * leg.terms.minimum_notional / price, leg.terms.lot)
            size = min(max(wanted, least), leg.short)
            if bound:
                size = min(size, round_down_to_lot(left, leg.terms.lot))
            spot = self.spot_lots(min(size, left))
            if spot * price < self._terms.minimum_notional:
                continue
            left -= spot
            pair = (self.buy_back(venue, size, intent), self.sell_spot(spot, intent))
            orders += self._write.group(pair, ExecutionMode.COMPENSATED)
        return tuple(orders)

    def buy_back(self, venue: str, amount: float, intent: str) -> Order:
        """Reduce a short."""
        return self._write.perp(venue, self._terms.asset, Side.LONG, amount, intent, reduce_only=True)

    def sell_long(self, venue: str, amount: float, intent: str) -> Order:
        """An order that only reduces a long perpetual."""
        return self._write.perp(venue, self._terms.asset, Side.SHORT, amount, intent, reduce_only=True)

    def sell_spot(self, amount: float, intent: str) -> Order:
        """Reduce the spot leg."""
        return self._write.spot(self._terms.spot_venue, self._terms.asset, Side.SELL, amount, intent)

    # Money

    def collect(self, available: Mapping[str, float], wanted: Mapping[str, float]) -> tuple[Order, ...]:
        """Move cash from accounts with more than they need to accounts with less, near ones first."""
        orders: list[Order] = []
        for source, target, amount in self._shifts(available, wanted):
            if self._terms.may_move(source, target):
                orders += self.move(source, target, amount)
        return tuple(orders)

    def by_hand(self, available: Mapping[str, float], wanted: Mapping[str, float]) -> tuple[str, ...]:
        """What only the owner can move to where it is wanted, in words; nothing where every way is open."""
        if self._terms.routes is None:
            return ()
        told = [
            f"{amount:,.2f} USDT from {self._terms.domain_of(source)} to {self._terms.domain_of(target)}"
            for source, target, amount in self._shifts(available, wanted)
            if not self._terms.may_move(source, target)
        ]
        if not told:
            return ()
        return (f"EXEC-004: {', '.join(told)} would have to be moved by hand: no withdrawal address leads there",)

    def _shifts(self, available: Mapping[str, float], wanted: Mapping[str, float]) -> Iterator[tuple[str, str, float]]:
        """Source, target and amount of each move worth making; those that can be made come first for each target."""
        surplus = {key: amount - wanted.get(key, 0.0) for key, amount in available.items()}
        terms = self._terms
        for target, need in wanted.items():
            missing = need - available.get(target, 0.0)
            domain = terms.domain_of(target)
            ways = [(not terms.may_move(key, target), terms.domain_of(key) != domain) for key in surplus]
            for _, source in sorted(zip(ways, surplus, strict=True), key=lambda way: way[0]):
                amount = min(missing, surplus[source])
                if source == target or not self.worth_moving(source, amount):
                    continue
                surplus[source] -= amount
                missing -= amount
                yield source, target, amount

    def bring(self, amount: float, available: Mapping[str, float]) -> tuple[Order, ...]:
        """Transfers that bring at least `amount` to the wallet, from the fullest accounts first, whatever they cost."""
        orders: list[Order] = []
        for source in sorted(available, key=lambda key: -available[key]):
            if amount <= 0.0:
                break
            sent = min(available[source], max(_CENT, lots_up(amount, _CENT)))
            amount -= sent
            orders.append(self._write.transfer(source, WALLET, sent, "pay_out"))
        return tuple(orders)

    def gather(self) -> tuple[Order, ...]:
        """Bring the cash of every account to the wallet, but for what is too little to make an order of.

        Also from where nothing can be sent: whoever has the book closed leaves that out and says what stays where.
        """
        orders: list[Order] = []
        for source, amount in self.idle_cash().items():
            cents = round_down_to_lot(max(0.0, amount - self._leaving_cost(source)), _CENT)
            if source != WALLET and cents >= self._terms.minimum_notional:
                orders.append(self._write.transfer(source, WALLET, cents, "gather"))
        return tuple(orders)

    def spread_margin(self, target: Mapping[str, float], kept: float) -> tuple[Order, ...]:
        """Move margin that venues will not need for their share of `target` to venues that lack it.

        `kept` is the cash that stays on an account, as a fraction of its notional.
        """
        surplus: dict[str, float] = {}
        lacking: dict[str, float] = {}
        for venue, leg in self._book.legs.items():
            # A short that cannot be traded now stays, and so does its margin.
            kept_short = 0.0 if leg.tradable else leg.short
            needed = max(target.get(venue, 0.0), kept_short) * self._margin_per_unit(venue)
            if leg.margin < needed:
                lacking[leg.terms.margin_key] = needed - leg.margin
            else:
                surplus[leg.terms.margin_key] = min(leg.margin - needed, leg.cash - kept * leg.notional)
        return self.collect(surplus, lacking)

    def move(self, source: str, target: str, amount: float) -> tuple[Order, ...]:
        """A transfer of whole cents, less what leaving the source costs; nothing when no cent is left, or no way."""
        if source == target or not self._terms.may_move(source, target):
            return ()
        if self._terms.domain_of(source) != self._terms.domain_of(target):
            amount -= self._leaving_cost(source)
        cents = round_down_to_lot(max(0.0, amount), _CENT)
        return (self._write.transfer(source, target, cents, "margin"),) if cents > 0.0 else ()

    def worth_moving(self, source: str, amount: float) -> bool:
        """Whether a transfer is not eaten up by its cost; what no order can be made of is left where it is."""
        enough = amount >= self._terms.minimum_notional
        return enough and self._leaving_cost(source) <= TRANSFER_COST_LIMIT * amount

    def _leaving_cost(self, source: str) -> float:
        return self._terms.withdrawal_fees.get(self._terms.domain_of(source), 0.0)


def lots_up(amount: float, lot: float) -> float:
    """The smallest multiple of `lot` that is not less than `amount`."""
    whole = lots_in(amount, lot)
    return from_lots(whole + (amount - from_lots(whole, lot) > lot * 1e-6), lot)
