"""Defines the moves of the basis trade: each looks at the book of one tick and returns orders, or None."""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.config import BasisConfig, RunConfig
from basis_actors.finance.costs import round_down_to_lot
from basis_actors.messages.orders import ExecutionMode, Order, Side
from basis_actors.strategies.hedge_book import HedgeBook, Leg
from basis_actors.strategies.order_writer import (
    EXTERNAL,
    OrderWriter,
    exchange,
    margin_key,
    spot_cash_key,
    trading_cost,
)

__all__ = ["BasisMoves", "Found"]

Found = tuple[str, str, str, tuple[Order, ...]]
_WALLET = "wallet:BaseToken:USDT"
_TRANSFER_COST_LIMIT = 0.005
"""Share of an amount that moving it may cost."""


class BasisMoves:
    """The moves that are open at one tick.

    `funding` is the mean that the entry and exit tests look at, `wanted` what the owner waits for, `drift` the change
    of flow-adjusted equity since the last rebalance as a fraction, `maintenance` maintenance / notional by venue.
    """

    def __init__(
        self,
        run: RunConfig,
        config: BasisConfig,
        book: HedgeBook,
        writer: OrderWriter,
        *,
        frictionless: bool,
        funding: float | None,
        wanted: float,
        maintenance: Mapping[str, float],
        drift: float | None,
    ) -> None:
        self._run = run
        self._config = config
        self._book = book
        self._write = writer
        self._frictionless = frictionless
        self._funding = funding
        self._wanted = wanted
        self._maintenance = maintenance
        self._drift = drift
        self._limits = run.mode.risk_limits
        self._dust = config.dust_delta * book.equity

    # Risk: these act whatever else is going on.

    def level_delta(self) -> Found | None:
        """After a liquidation, or a fill that fell short, the longer side is cut back to the shorter."""
        book = self._book
        gap = book.spot - book.short
        if abs(gap) * book.price <= self._dust or not book.spot_tradable:
            return None
        if gap > 0.0:
            amount = self._spot_lots(gap)
            orders = (self._write.spot(self._config.spot_venue, self._config.asset, Side.SELL, amount, "level_delta"),)
            side = "spot"
        else:
            legs = [leg for leg in book.legs.values() if leg.tradable and leg.short > 0.0]
            if not legs:
                return None
            largest = max(legs, key=lambda leg: leg.short)
            amount = round_down_to_lot(min(-gap, largest.short), largest.lot)
            orders = (self._buy_back(largest.venue, amount, "level_delta"),)
            side = "the short"
        if amount <= 0.0:
            return None
        return "rebalance", "exit_partial", f"{side} is {abs(gap):.6g} too large, so net delta is not zero", orders

    def obey_margin_limits(self) -> Found | None:
        """Absolute limits of the margin ratio: emergency exit, exit half, reduce."""
        limits = self._limits
        if not limits.enforce:
            return None
        worst, emergency, low = None, None, []
        for leg in self._book.legs.values():
            ratio = leg.ratio
            if ratio is None:
                continue
            if ratio <= limits.margin_emergency_multiple * self._maintenance.get(leg.venue, 0.0):
                emergency = leg
            if ratio <= limits.margin_ratio_exit_half:
                worst = leg
            if ratio <= limits.margin_ratio_reduce:
                low.append(leg)
        if emergency is not None and (orders := self._close(1.0, "emergency")):
            reason = f"margin ratio of {emergency.venue} is {emergency.ratio:.4f}, close to maintenance"
            return "emergency_exit", "exit_full", reason, orders
        if worst is not None and (orders := self._close(0.5, "risk_half")):
            reason = f"margin ratio of {worst.venue} is {worst.ratio:.4f}, at or below {limits.margin_ratio_exit_half}"
            return "exit", "exit_partial", reason, orders
        if low and (orders := self._restore(low)):
            names = ", ".join(f"{leg.venue} {leg.ratio:.4f}" for leg in low)
            reason = f"margin ratio at or below {limits.margin_ratio_reduce}: {names}"
            return "rebalance", "exit_partial", reason, orders
        return None

    def wait_for_arrivals(self) -> Found | None:
        """A stage is open while money is on its way."""
        return ("hold", "none", "waiting for a transfer to arrive", ()) if self._book.in_transit else None

    # The owner.

    def pay_out(self) -> Found | None:
        """Pay what the owner waits for; free it first, one for one from every leg."""
        wanted, book = self._wanted, self._book
        if wanted <= 0.0:
            return None
        if book.wallet_cash >= wanted:
            order = self._write.transfer(_WALLET, f"{EXTERNAL}:BaseToken:USDT", wanted, "pay_out")
            return "rebalance", "exit_partial", f"paying out {wanted:.2f} USDT", (order,)
        if wanted > book.equity:
            return "hold", "none", f"a withdrawal of {wanted:.2f} is more than the equity of {book.equity:.2f}", ()
        missing = wanted - book.wallet_cash
        idle = self._idle_cash()
        if sum(idle.values()) >= missing:
            orders = self._collect(idle, {_WALLET: missing})
            return "rebalance", "transfer", f"moving {missing:.2f} USDT to the wallet", orders
        freed = sum(leg.margin for leg in book.legs.values()) + book.spot * book.price
        share = min(1.0, 1.005 * (missing - sum(idle.values())) / freed) if freed > 0.0 else 1.0
        orders = self._close(share, "withdrawal")
        if not orders:
            return "hold", "none", "the position cannot be reduced for a withdrawal now", ()
        return "exit", "exit_partial", f"freeing {missing:.2f} USDT for a withdrawal", orders

    # The position.

    def leave(self) -> Found | None:
        """Close everything when funding no longer pays."""
        book, config = self._book, self._config
        if book.flat or config.always_in or self._funding is None or self._funding >= config.exit_threshold:
            return None
        orders = self._close(1.0, "exit")
        if not orders:
            return None
        reason = f"mean funding {self._funding:.6f} is below {config.exit_threshold:g}"
        return "exit", "exit_full", reason, orders

    def enter(self) -> Found | None:
        """Open the position when funding pays: first the money, then both legs at once."""
        book, config = self._book, self._config
        if not book.flat:
            return None
        if not book.weights or not book.spot_tradable:
            return "hold", "none", "no venue may take new risk now", ()
        if not config.always_in:
            if self._funding is None:
                return "hold", "none", f"fewer than {config.funding_minimum} funding rates are known", ()
            if self._funding <= config.funding_threshold:
                reason = f"mean funding {self._funding:.6f} is not above {config.funding_threshold:g}"
                return "hold", "none", reason, ()
        target = self._target(book.equity)
        feasible, shifts = self._affordable(target)
        if sum(feasible.values()) >= (1.0 - config.position_deviation_threshold) * sum(target.values()) > 0.0:
            orders = shifts + self._open(feasible, "entry")
            if orders:
                reason = "always in" if config.always_in else f"mean funding {self._funding:.6f} pays"
                return "entry", "entry_full", reason, orders
        orders = self._collect(self._idle_cash(), self._needs(target))
        if not orders:
            return "hold", "none", f"equity of {book.equity:.2f} USDT is too little to open the smallest position", ()
        return "entry", "transfer", "moving cash to where the legs will be opened", orders

    def top_up_margin(self) -> Found | None:
        """A venue below its band gets its target ratio back: idle cash first, else both legs shrink a little."""
        if not self._config.margin_rebalance:
            return None
        floor = self._config.margin_band_low * self._config.margin_target
        low = [leg for leg in self._book.legs.values() if leg.ratio is not None and leg.ratio < floor]
        orders = self._restore(low)
        if not orders:
            return None
        names = ", ".join(f"{leg.venue} {leg.ratio:.4f}" for leg in low)
        return "rebalance", "exit_partial", f"margin ratio below {floor:.4f}: {names}", orders

    def release_margin(self) -> Found | None:
        """A venue above its band gives back what its short does not need."""
        config, book = self._config, self._book
        if not config.margin_rebalance or book.flat:
            return None
        ceiling = config.margin_band_high * config.margin_target
        orders: list[Order] = []
        names = []
        for leg in book.legs.values():
            if leg.ratio is None or leg.ratio <= ceiling or leg.mark is None:
                continue
            added = (leg.margin - leg.notional * config.margin_target) / ((1.0 + config.margin_target) * leg.mark)
            surplus = min(added * book.price * (1.0 + self._spot_cost), leg.cash)
            if self._worth_moving(margin_key(self._run, leg.venue), surplus):
                names.append(f"{leg.venue} {leg.ratio:.4f}")
                orders += self._move(margin_key(self._run, leg.venue), self._spot_cash_key, surplus)
        if not orders:
            return None
        return "rebalance", "transfer", f"margin ratio above {ceiling:.4f}: {', '.join(names)}", tuple(orders)

    def resize(self) -> Found | None:
        """Set every leg anew once equity has moved by more than the threshold since the last time."""
        config, book = self._config, self._book
        if book.flat or self._drift is None or abs(self._drift) <= config.position_deviation_threshold:
            return None
        target = self._target(book.equity)
        cuts = {}
        for venue, leg in book.legs.items():
            excess = round_down_to_lot(max(0.0, leg.short - target.get(venue, 0.0)), leg.lot)
            if leg.tradable and excess * book.price > max(self._dust, exchange(self._run, venue).minimum_notional):
                cuts[venue] = excess
        orders = self._shrink(cuts, "resize") if book.spot_tradable else ()
        reason = f"flow-adjusted equity moved by {self._drift:.2%} since the last rebalance"
        return "rebalance", "rebalance_full", reason, orders

    def deploy(self) -> Found | None:
        """Put idle cash to work: open both legs where there is margin for them, else spread the cash first."""
        book, config = self._book, self._config
        if book.flat or not book.weights or not book.spot_tradable or not config.margin_rebalance:
            return None
        idle = self._idle_cash()
        if sum(idle.values()) <= max(self._dust, 2.0 * self._minimum_notional):
            return None
        headroom = {
            venue: max(0.0, book.legs[venue].margin - book.legs[venue].notional * config.margin_target)
            / (book.price * (config.margin_target + self._perp_cost(venue)))
            for venue in book.weights
        }
        room = sum(headroom.values())
        affordable = book.spot_cash / (book.price * (1.0 + self._spot_cost))
        amount = min(room, affordable)
        if amount * book.price > max(self._dust, self._minimum_notional):
            sizes = self._lots({venue: amount * share / room for venue, share in headroom.items()})
            orders = self._open(sizes, "deploy")
            if orders:
                return "rebalance", "entry_partial", f"{book.spot_cash:.2f} USDT lies idle", orders
        pool = sum(idle.values())
        orders = self._collect(idle, self._needs(self._target(pool)))
        return ("rebalance", "transfer", f"{pool:.2f} USDT lies idle", orders) if orders else None

    # Sizes.

    def _target(self, equity: float) -> dict[str, float]:
        """Short by venue that `equity` carries: spot at its cost plus margin 1 / leverage, over the eligible venues."""
        return self._lots({venue: share * self._carried(equity) for venue, share in self._book.weights.items()})

    def _carried(self, equity: float) -> float:
        """Base quantity that cash of `equity` carries: q x P x (1 + spot cost + 1 / L + perp cost) = equity."""
        perp_cost = sum(share * self._perp_cost(venue) for venue, share in self._book.weights.items())
        return equity / (self._book.price * (1.0 + self._spot_cost + self._config.margin_target + perp_cost))

    def _lots(self, sizes: Mapping[str, float]) -> dict[str, float]:
        """Whole lots by venue; what is below a venue's minimum order is left out."""
        rounded = {}
        for venue, size in sizes.items():
            lots = round_down_to_lot(size, self._book.legs[venue].lot)
            if lots * self._book.price >= exchange(self._run, venue).minimum_notional:
                rounded[venue] = lots
        return rounded

    def _affordable(self, target: Mapping[str, float]) -> tuple[dict[str, float], tuple[Order, ...]]:
        """What of `target` the cash on the exchanges pays for, and the transfers inside the spot exchange it takes."""
        book, config = self._book, self._config
        home = config.spot_venue
        spot_need = sum(target.values()) * book.price * (1.0 + self._spot_cost)
        margins = {venue: leg.margin for venue, leg in book.legs.items()}
        spot_cash = book.spot_cash
        shifts: tuple[Order, ...] = ()
        if home in target and margin_key(self._run, home) != self._spot_cash_key:
            need = target[home] * self._margin_per_unit(home)
            shift = min(need - margins[home], spot_cash)
            if shift > 0.0:
                shifts = self._move(self._spot_cash_key, margin_key(self._run, home), shift)
                margins[home], spot_cash = margins[home] + shift, spot_cash - shift
            elif spot_need > spot_cash and (shift := min(-shift, spot_need - spot_cash)) > self._dust:
                shifts = self._move(margin_key(self._run, home), self._spot_cash_key, shift)
                margins[home], spot_cash = margins[home] - shift, spot_cash + shift
        sizes = {v: min(size, margins[v] / self._margin_per_unit(v)) for v, size in target.items()}
        total = sum(sizes.values())
        limit = spot_cash / (book.price * (1.0 + self._spot_cost))
        if total > limit:
            sizes = {venue: size * limit / total for venue, size in sizes.items()}
        return self._lots(sizes), shifts

    def _margin_per_unit(self, venue: str) -> float:
        return self._book.price * (self._config.margin_target + self._perp_cost(venue))

    def _needs(self, sizes: Mapping[str, float]) -> dict[str, float]:
        """Cash by account that legs of these sizes take."""
        needs = {self._spot_cash_key: sum(sizes.values()) * self._book.price * (1.0 + self._spot_cost)}
        for venue, size in sizes.items():
            key = margin_key(self._run, venue)
            needs[key] = needs.get(key, 0.0) + size * self._margin_per_unit(venue)
        return needs

    def _idle_cash(self) -> dict[str, float]:
        """Cash that no leg uses, by account; on margin accounts only while there is no position at all."""
        book = self._book
        idle = {_WALLET: book.wallet_cash, self._spot_cash_key: book.spot_cash}
        if book.flat:
            for venue, leg in book.legs.items():
                idle[margin_key(self._run, venue)] = leg.cash
        return {key: amount for key, amount in idle.items() if amount > 0.0}

    # Orders.

    def _open(self, sizes: Mapping[str, float], intent: str) -> tuple[Order, ...]:
        """Both legs in one compensated group: the shorts, then the spot that hedges them."""
        sizes = {venue: size for venue, size in sizes.items() if size > 0.0}
        total = self._spot_lots(sum(sizes.values()))
        if total * self._book.price < self._minimum_notional:
            return ()
        asset = self._config.asset
        legs = [
            self._write.perp(venue, asset, Side.SHORT, size, intent, reduce_only=False) for venue, size in sizes.items()
        ]
        legs.append(self._write.spot(self._config.spot_venue, asset, Side.BUY, total, intent))
        return self._write.group(legs, ExecutionMode.COMPENSATED)

    def _shrink(self, sizes: Mapping[str, float], intent: str) -> tuple[Order, ...]:
        """Buy back shorts and sell as much spot, in one compensated group."""
        sizes = {venue: size for venue, size in sizes.items() if size > 0.0}
        total = self._spot_lots(min(sum(sizes.values()), self._book.spot))
        if not sizes or total * self._book.price < self._minimum_notional:
            return ()
        legs = [self._buy_back(venue, size, intent) for venue, size in sizes.items()]
        legs.append(self._write.spot(self._config.spot_venue, self._config.asset, Side.SELL, total, intent))
        return self._write.group(legs, ExecutionMode.COMPENSATED)

    def _close(self, share: float, intent: str) -> tuple[Order, ...]:
        """A share of every leg that can be traded now; a leg without a price keeps its spot."""
        book = self._book
        if not book.spot_tradable:
            return ()
        sizes = {}
        for venue, leg in book.legs.items():
            if leg.tradable and leg.short > 0.0:
                sizes[venue] = leg.short if share >= 1.0 else round_down_to_lot(leg.short * share, leg.lot)
        return self._shrink(sizes, intent)

    def _restore(self, low: list[Leg]) -> tuple[Order, ...]:
        """Bring the margin ratio of these venues back to 1 / L.

        With q sold on spot and bought back on the perp and the proceeds moved over, M + qP = (Q - q)P / L, so
        q = (QP / L - M) / ((1 + 1/L) P). A venue that cannot be traded now gets cash that another leg frees.
        """
        book, config = self._book, self._config
        target = config.margin_target
        spare = book.spot_cash
        cuts: dict[str, float] = {}
        transfers: list[tuple[str, float]] = []
        for leg in low:
            if leg.mark is None:
                continue
            key = margin_key(self._run, leg.venue)
            lacking = leg.notional * target - leg.margin
            used = min(spare, lacking) if self._worth_moving(self._spot_cash_key, min(spare, lacking)) else 0.0
            spare -= used
            lacking -= used
            net = book.price * (1.0 - self._spot_cost)
            source = leg if leg.tradable else self._strongest(low)
            cut = 0.0
            if lacking > 0.0 and source is not None and book.spot_tradable:
                unit = net + (target * leg.mark if source is leg else 0.0)
                cut = min(self._lots_up(lacking / unit, source.lot), source.short - cuts.get(source.venue, 0.0))
                cuts[source.venue] = cuts.get(source.venue, 0.0) + cut
            if used + cut * net > 0.0:
                transfers.append((key, used + cut * net))
        trades = self._shrink(cuts, "margin") if cuts else ()
        if cuts and not trades:
            return ()
        moved = [order for key, amount in transfers for order in self._move(self._spot_cash_key, key, amount)]
        return (*trades, *moved)

    def _strongest(self, low: list[Leg]) -> Leg | None:
        """The tradable leg with the highest margin ratio among those that are not low themselves."""
        able = [leg for leg in self._book.legs.values() if leg.tradable and leg.ratio is not None and leg not in low]
        return max(able, key=lambda leg: leg.ratio or 0.0, default=None)

    def _buy_back(self, venue: str, amount: float, intent: str) -> Order:
        return self._write.perp(venue, self._config.asset, Side.LONG, amount, intent, reduce_only=True)

    def _collect(self, available: Mapping[str, float], wanted: Mapping[str, float]) -> tuple[Order, ...]:
        """Move cash from accounts with more than they need to accounts with less, near ones first."""
        surplus = {key: amount - wanted.get(key, 0.0) for key, amount in available.items()}
        orders: list[Order] = []
        for target, need in wanted.items():
            missing = need - available.get(target, 0.0)
            for source in sorted(surplus, key=lambda key: self._domain(key) != self._domain(target)):
                amount = min(missing, surplus[source])
                if source == target or not self._worth_moving(source, amount):
                    continue
                surplus[source] -= amount
                missing -= amount
                orders += self._move(source, target, amount)
        return tuple(orders)

    def _move(self, source: str, target: str, amount: float) -> tuple[Order, ...]:
        """A transfer of whole cents, less what the source charges for it."""
        if self._domain(source) != self._domain(target):
            amount -= self._withdrawal_fee(source)
        cents = round_down_to_lot(max(0.0, amount), 0.01)
        return (self._write.transfer(source, target, cents, "margin"),) if cents > 0.0 else ()

    def _worth_moving(self, source: str, amount: float) -> bool:
        return amount > 0.01 and self._withdrawal_fee(source) <= _TRANSFER_COST_LIMIT * amount

    def _withdrawal_fee(self, key: str) -> float:
        venue = key.split(":", 1)[0]
        if venue == "wallet" or self._frictionless:
            return 0.0
        return exchange(self._run, venue).withdrawal_fees["USDT"]

    def _domain(self, key: str) -> str:
        return self._run.venues[key.split(":", 1)[0]].domain

    def _lots_up(self, amount: float, lot: float) -> float:
        return round_down_to_lot(amount + lot * (1.0 - 1e-6), lot)

    def _spot_lots(self, amount: float) -> float:
        section = exchange(self._run, self._config.spot_venue).spot
        assert section is not None
        return round_down_to_lot(amount, section.markets[self._config.asset].lot)

    @property
    def _spot_cash_key(self) -> str:
        return spot_cash_key(self._config.spot_venue)

    @property
    def _minimum_notional(self) -> float:
        return exchange(self._run, self._config.spot_venue).minimum_notional

    @property
    def _spot_cost(self) -> float:
        """Fee and impact of a spot order of the size that equity allows."""
        pair = f"{self._config.asset}/USDT"
        return self._cost(self._config.spot_venue, pair)

    def _perp_cost(self, venue: str) -> float:
        return self._cost(venue, f"{self._config.asset}-PERP")

    def _cost(self, venue: str, market: str) -> float:
        return trading_cost(self._run, venue, market, self._book.equity, frictionless=self._frictionless)
