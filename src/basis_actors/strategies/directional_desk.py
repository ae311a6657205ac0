"""Defines how a directional strategy turns intentions into orders: entries with their brackets, closes, transfers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import ceil

from msgspec.structs import replace

from basis_actors.config import DirectionalConfig
from basis_actors.finance.costs import from_lots, lots_in, round_down_to_lot
from basis_actors.messages.orders import ExecutionMode, Order, Side
from basis_actors.strategies.directional_book import DirectionalBook, DirectionalTerms
from basis_actors.strategies.order_writer import EXTERNAL, OrderWriter

__all__ = ["DirectionalDesk"]

_ABOVE_MINIMUM = 1.01
"""An order a little above the smallest is still one after its impact."""


class DirectionalDesk:
    """Sizes and orders on the book of one tick; trades need a `price` in it."""

    def __init__(
        self,
        terms: DirectionalTerms,
        config: DirectionalConfig,
        book: DirectionalBook,
        make_writer: Callable[[], OrderWriter],
    ) -> None:
        self._terms = terms
        self._config = config
        self._book = book
        self._make_writer = make_writer

    @cached_property
    def _write(self) -> OrderWriter:
        """Most ticks need none."""
        return self._make_writer()

    @property
    def _price(self) -> float:
        assert self._book.price is not None, "nothing is traded without a price"
        return self._book.price

    def entry_size(self, margin: float) -> float:
        """Whole lots of the notional that `margin` carries; 0 when that is below the smallest order."""
        return self._whole_lots(self._terms.amount(self._config.max_position_size * max(0.0, margin), self._price))

    def added_by(self, fresh: float) -> float:
        """Size that `fresh` of the margin adds to the position that the rest of it carries, in proportion.

        Whole lots; no more than all of the margin carries, and 0 when that is below the smallest order.
        """
        book, terms = self._book, self._terms
        before = book.margin - fresh
        if before <= 0.0:
            return 0.0
        room = self._config.max_position_size * book.margin - terms.value(book.size, self._price)
        wanted = min(abs(book.size) * (fresh / before), terms.amount(max(0.0, room), self._price))
        return self._whole_lots(wanted)

    def _whole_lots(self, amount: float) -> float:
        """Rounded down; 0 when that is below the smallest order."""
        size = round_down_to_lot(amount, self._terms.lot)
        enough = self._terms.contract.notional(size, self._price) >= self._terms.minimum_notional
        return size if enough else 0.0

    def clipped_sd(self, sd: float) -> float:
        """The standard deviation between floor and cap, as a fraction."""
        return min(max(sd, self._config.sd_floor_bps / 1e4), self._config.sd_cap_bps / 1e4)

    def open(self, direction: int, size: float, sd: float) -> Order | None:
        """Open `size` from flat, target and stop at their multiples of `sd` from the expected fill.

        None where the mark, which triggers them, has passed one of them already.
        """
        order = self._trade(direction, size, "entry", reduce_only=False)
        assert order.price is not None
        sd = direction * self.clipped_sd(sd)
        target = order.price * (1.0 + sd * self._config.take_profit_sd)
        stop = order.price * (1.0 - sd * self._config.stop_loss_sd)
        if self._book.mark is None or not min(stop, target) < self._book.mark < max(stop, target):
            return None
        return replace(
            order,
            take_profit=target,
            stop_loss=stop,
            # Whatever is held now is closed before, so that nothing is realised here.
            expected_deltas=order.expected_deltas[:1],
        )

    def add(self, size: float) -> Order:
        """Enlarge the position by `size`. The venue keeps the target and stop of the entry, and for all of it."""
        return self._trade(self._book.direction, size, "deposit", reduce_only=False)

    def close(self, intent: str) -> Order:
        """Close everything."""
        return self._trade(-self._book.direction, abs(self._book.size), intent, reduce_only=True)

    def flip(self, direction: int, size: float, sd: float) -> tuple[Order, ...]:
        """Close everything, and if that was done open the other way; nothing where `open` gives nothing."""
        closing = self.close("flip")
        opening = self.open(direction, size, sd)
        return () if opening is None else self._write.group((closing, opening), ExecutionMode.SEQUENTIAL)

    def reduced_by(self, value: float) -> float:
        """Size that takes at least `value` (currency) off the position: whole lots, everything when little is left."""
        terms, held = self._terms, abs(self._book.size)
        least = terms.amount(
            _ABOVE_MINIMUM * terms.minimum_notional * terms.contract.per_quote(self._price), self._price
        )
        wanted = terms.amount(max(0.0, value), self._price)
        size = _lots_up(max(wanted, least), terms.lot)
        return held if size + _lots_up(least, terms.lot) > held else size

    def reduce(self, size: float, intent: str) -> Order:
        """Take `size` off the position."""
        return self._trade(-self._book.direction, size, intent, reduce_only=True)

    def fund(self) -> tuple[Order, ...]:
        """What gas is owed from the wallet, and the rest of the wallet to the margin account."""
        orders = []
        owed = min(self._book.gas_owed, self._book.wallet)
        if owed > 0.0:
            orders.append(self._write.settle_gas(owed))
        rest = self._book.wallet - max(0.0, owed)
        if rest > 0.0:
            orders.append(self._write.transfer(self._terms.wallet_key, self._terms.margin_key, rest, "margin"))
        return tuple(orders)

    def settle_gas(self) -> Order:
        """Pay from the wallet what is owed for gas, as far as it goes."""
        return self._write.settle_gas(min(self._book.gas_owed, self._book.wallet))

    def bring(self, amount: float, there: float) -> Order | None:
        """At least `amount` from the margin account to the wallet, if `there` covers it; None for nothing to move."""
        unit, fee = self._terms.unit, self._terms.withdrawal_fee
        moved = min(from_lots(ceil(amount / unit), unit), round_down_to_lot(max(0.0, there - fee), unit))
        if moved <= 0.0:
            return None
        return self._write.transfer(self._terms.margin_key, self._terms.wallet_key, moved, "pay_out")

    def pay_out(self, amount: float) -> Order:
        """From the wallet to the owner."""
        target = f"{EXTERNAL}:BaseToken:{self._terms.currency}"
        return self._write.transfer(self._terms.wallet_key, target, amount, "pay_out")

    def in_sequence(self, orders: list[Order]) -> tuple[Order, ...]:
        """Orders of which each needs the one before it."""
        return self._write.group(orders, ExecutionMode.SEQUENTIAL) if len(orders) > 1 else tuple(orders)

    def _trade(self, direction: int, size: float, intent: str, *, reduce_only: bool) -> Order:
        side = Side.LONG if direction > 0 else Side.SHORT
        write = self._write.inverse if self._terms.inverse else self._write.perp
        return write(self._terms.venue, self._terms.asset, side, size, intent, reduce_only=reduce_only)


def _lots_up(amount: float, lot: float) -> float:
    """The smallest multiple of `lot` that is not less than `amount`."""
    whole = lots_in(amount, lot)
    return from_lots(whole + (amount - from_lots(whole, lot) > lot * 1e-6), lot)
