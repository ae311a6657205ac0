"""Defines the rules of a directional strategy: each looks at the book of one tick and says what it wants, or nothing.

Risk comes first, then the signal as far as it reduces, then the owner, then new risk.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from basis_actors.config import DirectionalConfig, RiskLimits
from basis_actors.messages.signals import Signal
from basis_actors.strategies.candles import Candles, Entry
from basis_actors.strategies.directional_book import DirectionalBook, DirectionalTerms
from basis_actors.strategies.directional_desk import DirectionalDesk
from basis_actors.strategies.found import Found
from basis_actors.strategies.fresh_margin import FreshMargin

__all__ = ["DirectionalMoves", "View", "view_of"]


class View(msgspec.Struct, frozen=True):
    """What the signal of a tick says."""

    direction: int
    """1 up, -1 down, 0 when there is no signal or it is not strong and sure enough."""
    signal: Signal | None
    text: str
    """For the log."""


def view_of(signal: Signal | None, silence: str, config: DirectionalConfig) -> View:
    """A direction needs its probability at the signal threshold and the confidence at its own, or above."""
    if signal is None:
        return View(0, None, f"no signal: {silence}")
    direction = 1 if signal.rise >= 0.5 else -1
    probability = signal.rise if direction > 0 else 1.0 - signal.rise
    word = "up" if direction > 0 else "down"
    text = f"{word} with probability {probability:.3f} and confidence {signal.confidence:.3f}"
    if probability < config.signal_threshold or signal.confidence < config.confidence_threshold:
        needed = f"{config.signal_threshold:g} and {config.confidence_threshold:g}"
        return View(0, signal, f"{text}; {needed} are needed")
    return View(direction, signal, text)


class DirectionalMoves:
    """The rules, on the book of one tick.

    `wanted` is what the owner waits for, `maintenance` maintenance / notional of the venue, `transfer_gas` what the gas
    of a transfer from the wallet adds to what is owed; `carried_out` says whether the orders of the last decision were.
    """

    def __init__(
        self,
        config: DirectionalConfig,
        limits: RiskLimits,
        terms: DirectionalTerms,
        book: DirectionalBook,
        desk: DirectionalDesk,
        candles: Candles,
        fresh: FreshMargin,
        view: View,
        *,
        ns: int,
        wanted: float,
        maintenance: float,
        transfer_gas: Callable[[], float],
        carried_out: bool,
    ) -> None:
        self._config = config
        self._limits = limits
        self._terms = terms
        self._book = book
        self._desk = desk
        self._candles = candles
        self._fresh = fresh
        self._view = view
        self._ns = ns
        self._wanted = wanted
        self._maintenance = maintenance
        self._transfer_gas = transfer_gas
        self._carried_out = carried_out

    # Risk

    def obey_margin_limits(self) -> Found | None:
        """Absolute limits of the margin ratio: emergency exit, exit half, reduce to the size that equity carries."""
        book, limits = self._book, self._limits
        if not limits.enforce or book.ratio is None or not book.tradable:
            return None
        emergency = limits.margin_emergency_multiple * self._maintenance
        if book.ratio <= emergency:
            reason = f"margin ratio {book.ratio:.4f} is at or below {emergency:.4f}, close to maintenance"
            return Found("emergency_exit", "exit_full", reason, (self._desk.close("emergency"),))
        if book.ratio <= limits.margin_ratio_exit_half:
            size = self._desk.reduced_by(0.5 * book.notional)
            reason = f"margin ratio {book.ratio:.4f} is at or below {limits.margin_ratio_exit_half:g}"
            return Found("exit", "exit_partial", reason, (self._desk.reduce(size, "risk_half"),))
        if book.ratio <= limits.margin_ratio_reduce:
            carried = self._config.max_position_size * max(0.0, book.margin)
            size = self._desk.reduced_by(book.notional - carried)
            reason = f"margin ratio {book.ratio:.4f} is at or below {limits.margin_ratio_reduce:g}"
            return Found("rebalance", "exit_partial", reason, (self._desk.reduce(size, "risk_reduce"),))
        return None

    # The signal on a position that is there

    def flip(self) -> Found | None:
        """An opposite signal closes the position and opens the other way.

        Only closes it when the last orders failed, when new risk may not be taken, or for an owner who waits.
        """
        book, view = self._book, self._view
        if book.direction == 0 or view.direction != -book.direction or not book.tradable:
            return None
        after = book.margin - self._terms.cost(book.size, book.price or 0.0)
        size = self._desk.entry_size(after)
        if view.signal is None or not (book.eligible and self._carried_out and size > 0.0) or self._wanted > 0.0:
            return self.close_if_turned()
        orders = self._desk.flip(view.direction, size, view.signal.sd)
        if not orders:
            return self.close_if_turned()
        self._candles.order(Entry(orders[1].operation_id, view.direction, self._ns))
        return Found("rebalance", "entry_full", f"the signal has turned: {view.text}", orders)

    def close_if_turned(self) -> Found | None:
        """An opposite signal closes the position."""
        book, view = self._book, self._view
        if book.direction == 0 or view.direction != -book.direction or not book.tradable:
            return None
        return Found("exit", "exit_full", f"the signal has turned: {view.text}", (self._desk.close("signal"),))

    def leave(self) -> Found | None:
        """At the end of its candle a position is closed, unless the signal still holds; then another begins."""
        book, view = self._book, self._view
        if book.direction == 0 or not self._candles.over(self._ns):
            return None
        if view.direction == book.direction:
            self._candles.renew(self._ns)
            return None
        if not book.tradable:
            return None
        return Found("exit", "exit_full", f"the horizon has ended, {view.text}", (self._desk.close("horizon"),))

    def close(self) -> Found | None:
        """Close whatever the signal says."""
        book = self._book
        if book.direction == 0:
            return None
        if not book.tradable:
            text = f"{self._terms.perp} has no fresh price to close at"
            return Found("hold", "none", text, constraints=("STRAT-006",))
        return Found("exit", "exit_full", "closing the position", (self._desk.close("close_all"),))

    # The owner

    def pay_out(self) -> Found | None:
        """Pay what the owner waits for: from the wallet, else bring it there, the position shrunk to what then remains.

        What cannot be paid does not keep the other rules from their work.
        """
        book, wanted = self._book, self._wanted
        if wanted <= 0.0 or self.unpayable():
            return None
        if book.wallet >= wanted:
            text = f"paying out {wanted:.6f} {self._terms.currency}"
            return Found("rebalance", "exit_partial", text, (self._desk.pay_out(wanted),))
        if book.in_transit:
            return Found("hold", "none", "waiting for a transfer to arrive")
        return self._free(wanted - book.wallet)

    def _free(self, missing: float) -> Found | None:
        """Bring `missing` to the wallet, and take as much off the position as the rest does not carry."""
        book, terms, desk = self._book, self._terms, self._desk
        orders = []
        there, cost = book.cash, 0.0
        if book.direction != 0:
            if not book.tradable:
                return None
            assert book.price is not None
            left = book.margin - missing - terms.withdrawal_fee
            excess = book.notional - self._config.max_position_size * max(0.0, left)
            if excess > 0.0:
                size = desk.reduced_by(excess)
                cost = terms.cost(size, book.price)
                orders.append(desk.reduce(size, "withdrawal"))
                there += size / abs(book.size) * (book.margin - book.cash)
        moved = desk.bring(missing, there - cost)
        if moved is not None:
            orders.append(moved)
            self._fresh.pay(moved.amount)
        if not orders:
            return None
        action = "exit_partial" if len(orders) > 1 or moved is None else "transfer"
        reason = f"freeing {missing:.6f} {terms.currency} for a withdrawal"
        return Found("rebalance", action, reason, desk.in_sequence(orders))

    def unpayable(self) -> tuple[str, ...]:
        """What the owner waits for in vain: more than there is once everything is closed and brought to the wallet.

        Nor can the wallet pay what is owed for gas, that of the payment included.
        """
        if self._wanted <= 0.0:
            return ()
        book, terms = self._book, self._terms
        cost = terms.withdrawal_fee + terms.unit
        if book.direction != 0 and book.price is not None:
            cost += terms.cost(book.size, book.price)
        own = book.equity - self._transfer_gas()
        there = own - cost
        if self._wanted <= max(there, min(own, book.wallet)):
            return ()
        return (f"EXEC-004: a withdrawal of {self._wanted:.6f} is more than there is after an exit, {there:.6f}",)

    def settle_gas(self) -> Found | None:
        """Pay from the wallet what is owed for gas."""
        book, currency = self._book, self._terms.currency
        if book.gas_owed <= 0.0 or book.wallet <= 0.0:
            return None
        text = f"{book.gas_owed:.6f} {currency} of gas is owed and there is no position"
        return Found("rebalance", "transfer", text, (self._desk.settle_gas(),))

    def fund(self) -> Found | None:
        """What lies in the wallet goes to the margin account, after what gas is owed.

        Not when the gas of sending it leaves less than the smallest order takes.
        """
        book, terms = self._book, self._terms
        if book.price is None or self._wanted > 0.0:
            return None
        least = terms.minimum_notional * terms.contract.per_quote(book.price)
        rest = book.wallet - book.gas_owed - least
        if rest <= 0.0 or rest <= self._transfer_gas():
            return None
        text = f"moving {book.wallet:.6f} {terms.currency} to {terms.venue}"
        return Found("entry" if book.direction == 0 else "rebalance", "transfer", text, self._desk.fund())

    # New risk

    def enlarge(self) -> Found | None:
        """A deposit that has arrived adds to the position in proportion; its target, stop and candle stay."""
        book, fresh = self._book, self._fresh
        if book.direction == 0 or fresh.amount <= 0.0 or self._wanted > 0.0 or not book.eligible:
            return None
        size = self._desk.added_by(fresh.amount)
        if size == 0.0:
            return None
        fresh.order()
        reason = f"{fresh.amount:.6f} {self._terms.currency} of margin has arrived beside the position"
        return Found("rebalance", "entry_partial", reason, (self._desk.add(size),))

    def enter(self) -> Found | None:
        """Open in the direction of the signal with what is on the margin account."""
        book, view = self._book, self._view
        if book.direction != 0 or view.direction == 0 or view.signal is None:
            return None
        if self._candles.blocked(self._ns):
            text = f"closed by its {self._candles.closed_by}: nothing is opened before the candle has ended"
            return Found("hold", "none", text)
        if book.in_transit:
            return Found("hold", "none", "waiting for a transfer to arrive")
        if not book.eligible:
            return Found("hold", "none", f"{self._terms.perp} may not take new risk now", constraints=("STRAT-006",))
        size = self._desk.entry_size(min(book.margin, book.equity) - self._wanted)
        if size == 0.0:
            text = f"{book.margin:.6f} {self._terms.currency} of margin is too little to open the smallest position"
            return Found("hold", "none", text)
        order = self._desk.open(view.direction, size, view.signal.sd)
        if order is None:
            return Found("hold", "none", f"the mark of {book.mark} is beyond the target or the stop already")
        self._candles.order(Entry(order.operation_id, view.direction, self._ns))
        return Found("entry", "entry_full", view.text, (order,))
