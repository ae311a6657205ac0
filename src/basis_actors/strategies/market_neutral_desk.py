"""Defines how a market-neutral strategy turns intentions into orders: all legs at once, and ether there and back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import inf

import msgspec

from basis_actors.finance.costs import round_down_to_lot
from basis_actors.messages.orders import ExecutionMode, Order, Side
from basis_actors.strategies.chain_terms import token_key
from basis_actors.strategies.hedge_book import WALLET, Leg
from basis_actors.strategies.hedge_desk import TRANSFER_COST_LIMIT, HedgeDesk, lots_up
from basis_actors.strategies.market_neutral_book import NeutralBook, NeutralTerms
from basis_actors.strategies.market_neutral_loop import LoopStake
from basis_actors.strategies.market_neutral_stake import Released, StakedLeg
from basis_actors.strategies.order_writer import OrderWriter

__all__ = ["LEVEL_AT", "Fetched", "NeutralDesk"]

LEVEL_AT = 0.5
"""Share of the dust limit from which delta is levelled, so that it does not leave the limit before the next tick."""

_WALLET_ETH = token_key("ETH")
_ROOM = 0.9
"""Share of the allowed net delta that a release may use on purpose; the rest is for lots and for the next prices."""
_SLICE = 1.6
"""Loss that one release may bring, in such rooms: a part of it is hedged before, so delta is on both sides of zero."""
_FINE = 0.25
"""Share of the allowed net delta that a lot may be worth for delta to be levelled with it."""


class Fetched(msgspec.Struct, frozen=True):
    """Ether on its way to the exchange, where it is sold."""

    orders: tuple[Order, ...] = ()
    released: Released | None = None
    """What was taken out of the staked leg for it."""


class NeutralDesk(HedgeDesk):
    """Sizes and orders on the book of one tick; amounts are ETH."""

    def __init__(
        self,
        terms: NeutralTerms,
        book: NeutralBook,
        writer: OrderWriter,
        stake: StakedLeg,
        dust: float,
        sending_cost: float,
    ) -> None:
        super().__init__(terms.hedge, book.hedge, writer)
        self._neutral = book
        self._leaving_fee_eth = terms.leaving_fee
        self._exchange_eth = terms.hedge.spot_key
        self.dust = dust
        """Net delta that is no more than rounding, ETH."""
        self.stake = stake
        self._sending_cost = sending_cost
        """Gas of sending USDT from the wallet, USDT."""

    # Trades

    def open(self, sizes: Mapping[str, float], intent: str) -> tuple[Order, ...]:
        """One compensated group: all shorts, then the spot that each of them hedges."""
        asset, home = self._terms.asset, self._terms.spot_venue
        spot = {venue: self.spot_lots(size) for venue, size in sizes.items()}
        able = [venue for venue, amount in spot.items() if amount * self._book.price >= self._terms.minimum_notional]
        if not able:
            return ()
        shorts = [self._write.perp(v, asset, Side.SHORT, sizes[v], intent, reduce_only=False) for v in able]
        bought = [self._write.spot(home, asset, Side.BUY, spot[v], intent) for v in able]
        return self._write.group((*shorts, *bought), ExecutionMode.COMPENSATED)

    def split(self, amount: float, weights: Mapping[str, float]) -> dict[str, float]:
        """By venue, how much of its short to buy back so that `amount` of the ether on the exchange can be sold.

        Shares follow `weights`; the venue with the finest lot takes what rounding leaves.
        """
        legs = [leg for leg in self._book.legs.values() if leg.tradable and leg.short > 0.0 and weights.get(leg.venue)]
        if not legs or not self._book.spot_tradable:
            return {}
        finest = min(legs, key=lambda leg: (leg.terms.lot, -weights[leg.venue]))
        total = sum(weights[leg.venue] for leg in legs)
        sizes: dict[str, float] = {}
        left = amount
        for leg in legs:
            if leg is finest:
                continue
            size = round_down_to_lot(min(amount * weights[leg.venue] / total, leg.short), leg.terms.lot)
            if self._makes_an_order(leg, size):
                sizes[leg.venue] = size
                left -= size
        size = round_down_to_lot(min(max(left, 0.0), finest.short), finest.terms.lot)
        if self._makes_an_order(finest, size):
            sizes[finest.venue] = size
        return sizes

    def shift(self, source: str, target: str, amount: float) -> tuple[Order, ...]:
        """Move a short from one venue to another, in one compensated group."""
        opened = self._write.perp(target, self._terms.asset, Side.SHORT, amount, "shift", reduce_only=False)
        return self._write.group((opened, self.buy_back(source, amount, "shift")), ExecutionMode.COMPENSATED)

    def common_lots(self, one: str, other: str, amount: float) -> float:
        """The most of `amount` that is whole lots of two venues; one lot is a multiple of the other."""
        return round_down_to_lot(max(amount, 0.0), max(self._terms.legs[v].lot for v in (one, other)))

    def add_short(self, gap: float, floor: float) -> tuple[Order, ...]:
        """Short more where margin allows it most, without bringing a margin ratio below `floor`."""
        price, room = self._book.price, {}
        for leg in self._fine(self._book.legs[venue] for venue in self._book.weights):
            free = (leg.margin - leg.notional * floor) / (price * (floor + leg.terms.cost(self._book.equity)))
            fee = price * leg.terms.fee
            room[leg.venue] = min(free, leg.cash / fee if fee > 0.0 else free)
        if not room:
            return ()
        best = max(room, key=lambda venue: room[venue])
        amount = self._nearest(self._book.legs[best], gap, max(0.0, room[best]))
        if amount == 0.0:
            return ()
        return (self._write.perp(best, self._terms.asset, Side.SHORT, amount, "level_delta", reduce_only=False),)

    def cut_short(self, gap: float, intent: str, *, at_least: bool = False) -> tuple[Order, ...]:
        """Buy back `gap` of the short whose margin ratio is lowest: lots from below, or from above with `at_least`."""
        legs = self._fine(leg for leg in self._book.legs.values() if leg.tradable and leg.short > 0.0)
        if not legs:
            return ()
        weakest = min(legs, key=lambda leg: inf if leg.ratio is None else leg.ratio)
        lots = lots_up(gap, weakest.terms.lot) if at_least else gap
        amount = self._nearest(weakest, lots, weakest.short)
        return (self.buy_back(weakest.venue, amount, intent),) if amount > 0.0 else ()

    def _fine(self, legs: Iterable[Leg]) -> list[Leg]:
        """Legs whose lots are small enough to level delta with; those with the smallest where none has such lots."""
        able = list(legs)
        limit = max(_FINE * self.dust, min((leg.terms.lot for leg in able), default=0.0))
        return [leg for leg in able if leg.terms.lot <= limit]

    def _nearest(self, leg: Leg, gap: float, room: float) -> float:
        """Lots nearest to `gap` from below, or the smallest order where that brings delta closer to zero."""
        amount = round_down_to_lot(min(gap, room), leg.terms.lot)
        if self._makes_an_order(leg, amount):
            return amount
        least = lots_up(1.01 * leg.terms.minimum_notional / self._book.price, leg.terms.lot)
        return least if least < 2.0 * gap and least <= room else 0.0

    def _makes_an_order(self, leg: Leg, amount: float) -> bool:
        return amount > 0.0 and (amount * self._book.price >= leg.terms.minimum_notional or amount >= leg.short)

    # Ether

    def to_wallet(self) -> tuple[Order, ...]:
        """All ether of the exchange to the wallet, less what leaving costs."""
        amount = self._book.spot - self._leaving_fee_eth
        if amount <= 0.0 or self._leaving_fee_eth > TRANSFER_COST_LIMIT * amount:
            return ()
        return (self._write.transfer(self._exchange_eth, _WALLET_ETH, amount, "stage"),)

    def fetch(self, eth: float, allowance: float, *, queue: bool) -> Fetched:
        """Send ether to the exchange: what lies in the wallet first, then what is taken out of the staked leg.

        `allowance` is the net delta that is allowed meanwhile. A release loses delta, so where it loses more than that
        some of the short is bought back before it.
        """
        idle = min(eth, self._neutral.in_wallet)
        wanted = eth - idle
        if wanted * self._book.price < self._terms.minimum_notional or self._neutral.placed <= 0.0:
            return Fetched(self._send(idle))
        if queue:
            return Fetched((*self._send(idle), *self.stake.ask_back(wanted)))
        released = self.stake.release(wanted, _SLICE * _ROOM * allowance)
        if released is None:
            return Fetched(self._send(idle))
        orders = (*released.orders, *self._send(idle + released.eth))
        return Fetched(self._hedged(orders, released.loss, allowance), released)

    def deleverage(self, stake: LoopStake, allowance: float) -> tuple[tuple[Order, ...], Released | None]:
        """Repay debt with collateral, as far as net delta stays within `allowance`."""
        released = stake.deleverage(_SLICE * _ROOM * allowance)
        return ((), None) if released is None else (self._hedged(released.orders, released.loss, allowance), released)

    def place(self, eth: float) -> tuple[Order, ...]:
        """Stake ether of the wallet."""
        return self._hedged(self.stake.place(eth), self.stake.placing_loss(eth), self.dust)

    def convert_rewards(self, orders: tuple[Order, ...]) -> tuple[Order, ...]:
        """Swaps of rewards for ether, after as much of a short as keeps what they bring within dust."""
        gained = sum(d.delta_amount for order in orders for d in order.expected_deltas if d.position_key == _WALLET_ETH)
        ahead = self._neutral.gap + gained - _ROOM * self.dust
        return (*(self.add_short(ahead, 0.0) if ahead > 0.0 else ()), *orders)

    def _hedged(self, orders: tuple[Order, ...], loss: float, allowance: float) -> tuple[Order, ...]:
        """Orders that lose delta, with the short that hedged what is lost bought back: before them what would leave
        the allowance after them, the rest when they are done.
        """
        lost = loss - self._neutral.gap
        ahead = max(0.0, lost - _ROOM * allowance)
        before = self.cut_short(ahead, "unwind", at_least=True) if ahead > 0.0 else ()
        rest = lost - sum(order.amount for order in before)
        after = self.cut_short(rest, "unwind") if rest > LEVEL_AT * self.dust else ()
        return (*before, *orders, *after)

    def _send(self, eth: float) -> tuple[Order, ...]:
        if eth * self._book.price < self._terms.minimum_notional:
            return ()
        return (self._write.transfer(_WALLET_ETH, self._exchange_eth, eth, "unwind"),)

    # Margin

    def worth_moving(self, source: str, amount: float) -> bool:
        """As for every hedge, and from the wallet gas counts too; but the first legs need their margin at any cost."""
        gas = self._sending_cost if source == WALLET and not self._book.flat else 0.0
        return super().worth_moving(source, amount) and gas <= TRANSFER_COST_LIMIT * amount

    def missing(self, target: Mapping[str, float], growth: float) -> dict[str, float]:
        """Cash by account that shorts of `target` lack in margin, and that `growth` of ether would be bought with."""
        cash = {self._terms.spot_cash_key: max(0.0, growth) * self._book.price * (1.0 + self.spot_cost)}
        for venue, size in target.items():
            leg = self._book.legs[venue]
            lacking = size * self._margin_per_unit(venue) - leg.margin
            if lacking > 0.0:
                cash[leg.terms.margin_key] = cash.get(leg.terms.margin_key, 0.0) + lacking
        return cash

    def spare(self, beside: Iterable[Leg]) -> dict[str, float]:
        """Cash by account that could margin other venues: idle cash, and what legs not in `beside` have too much."""
        cash = {WALLET: self._book.wallet_cash, self._terms.spot_cash_key: self._book.spot_cash}
        weak = {leg.venue for leg in beside}
        for venue, leg in self._book.legs.items():
            if venue in weak:
                continue
            free = min(leg.cash, leg.margin - leg.notional * self._margin_target)
            key = leg.terms.margin_key
            cash[key] = min(cash[key], free) if key in cash else free
        return {key: amount for key, amount in cash.items() if amount > 0.0}

    def to_be_sold(self, low: Collection[Leg], lacking: Mapping[str, float]) -> dict[str, float]:
        """By venue, ether to sell and to buy back there, so that what is lacking is there: proceeds, and freed margin.

        q x P x (1 - spot cost) + q x mark x target = lacking, because the short shrinks by q as well. Where a venue
        cannot be traded others shrink for it, and give the margin of that at the ratio they have.
        """
        proceeds = self._book.price * (1.0 - self.spot_cost)
        helpers = self._helpers(low)
        shorts = sum(leg.short for leg in helpers)
        freed = sum(leg.short * self._freed_per_unit(leg) for leg in helpers) / shorts if shorts else 0.0
        sizes: dict[str, float] = {}
        for leg in low:
            missing = lacking[leg.terms.margin_key]
            if missing <= 0.0 or leg.mark is None:
                continue
            if leg.tradable or not helpers:
                unit = proceeds + (self._margin_target * leg.mark if leg.tradable else 0.0)
                sizes[leg.venue] = sizes.get(leg.venue, 0.0) + missing / unit
                continue
            for helper in helpers:
                part = missing / (proceeds + freed) * helper.short / shorts
                sizes[helper.venue] = sizes.get(helper.venue, 0.0) + part
        return sizes

    def _helpers(self, low: Collection[Leg]) -> list[Leg]:
        """Legs that can be shrunk for others: those with margin enough, else any."""
        able = [leg for leg in self._book.legs.values() if leg.tradable and leg.short > 0.0]
        weak = {leg.venue for leg in low}
        return [leg for leg in able if leg.venue not in weak] or able

    def _freed_per_unit(self, leg: Leg) -> float:
        """Margin that buying back one unit frees, USDT, while the ratio of the leg stays at most at its target."""
        return (leg.mark or 0.0) * min(self._margin_target, leg.ratio or 0.0)

    def proceeds(self, sold: Mapping[str, float], lacking: Mapping[str, float]) -> tuple[Order, ...]:
        """Send what the sale of `sold` brings to the venues that lack it, the weakest first, and then what legs that
        lack nothing were shrunk for.
        """
        legs = self._book.legs
        missing = {
            venue: lacking[leg.terms.margin_key] - sold.get(venue, 0.0) * self._margin_target * (leg.mark or 0.0)
            for venue, leg in sorted(legs.items(), key=lambda item: inf if item[1].ratio is None else item[1].ratio)
            if leg.terms.margin_key in lacking
        }
        sources = {self._terms.spot_cash_key: sum(sold.values()) * self._book.price * (1.0 - self.spot_cost)}
        for venue, size in sold.items():
            if venue not in missing:
                freed = size * self._freed_per_unit(legs[venue])
                key = legs[venue].terms.margin_key
                sources[key] = sources.get(key, 0.0) + min(freed, legs[venue].cash)
        orders: list[Order] = []
        for venue in missing:
            for source in sources:
                sent = min(sources[source], missing[venue])
                if sent > 0.0 and self.worth_moving(source, sent):
                    sources[source] -= sent
                    missing[venue] -= sent
                    orders += self.move(source, legs[venue].terms.margin_key, sent)
        return tuple(orders)

    def entry_cost(self, target: Mapping[str, float], sending_gas: float) -> float:
        """As for every hedge, and ether is brought to the wallet and placed."""
        ether = self._leaving_fee_eth + self.stake.placing_loss(sum(target.values())) + self.stake.placing_gas()
        return super().entry_cost(target, sending_gas) + ether * self._book.price

    def exit_cost(self) -> float:
        """What closing everything and bringing the money to the wallet costs, USDT."""
        placed = self._neutral.placed
        released = self.stake.release(placed, inf) if placed > 0.0 else None
        loss = 0.0 if released is None else released.loss + self.stake.releasing_gas()
        return super().exit_cost() + loss * self._book.price
