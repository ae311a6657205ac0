"""Keeps the books of a directional run by hand: raw files, a list of signals and plain arithmetic, nothing of ours.

Every hour: the bar that has closed may hit the stop or the target, then funding is paid, then the signal decides. A
deposit is sent to the exchange, and an hour later adds to what is open in proportion.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import NamedTuple

from tests.engine.test_recomputation import HOUR, Raw, gas_usdt, step

TAKER = 0.0005
IMPACT_BPS = (3, 4, 8)
HORIZON = 24 * HOUR
THRESHOLD, CONFIDENCE = 0.65, 0.8
FLOOR, CAP = 10e-4, 1000e-4


class Said(NamedTuple):
    """One row of a file of signals."""

    rise: float
    confidence: float
    sd: float


class Done(NamedTuple):
    """One fill."""

    moment: datetime
    kind: str
    quantity: float
    price: float


def some_signals(start: datetime, hours: int, seed: int) -> dict[datetime, Said]:
    """Signals that stay for some hours and turn; some are weak, unsure or missing, some too wild or too calm."""
    chance = random.Random(seed)
    said: dict[datetime, Said] = {}
    hour = 0
    while hour < hours:
        rise, sure = chance.choice([0.9, 0.72, 0.65, 0.5, 0.35, 0.2, 0.1]), chance.choice([0.95, 0.8, 0.8, 0.6])
        sd = chance.choice([0.0002, 0.004, 0.008, 0.012, 0.02, 0.3])
        for _ in range(chance.randrange(3, 40)):
            if chance.random() > 0.03:
                said[start + hour * HOUR] = Said(rise, sure, sd)
            hour += 1
    return said


def write_signals(said: dict[datetime, Said], file: Path) -> None:
    rows = [f"{moment:%Y-%m-%dT%H:%M:%SZ},{row.rise!r},{row.confidence!r},{row.sd!r}" for moment, row in said.items()]
    file.write_text("\n".join(["timestamp,signal,confidence,sd", *rows]) + "\n", encoding="utf-8")


def lots(amount: float, lot: str) -> float:
    """Whole lots, rounded down; a hair below one counts as that one."""
    count = (Decimal(repr(amount)) / Decimal(lot) + Decimal("1e-6")).to_integral_value(rounding=ROUND_FLOOR)
    return float(count * Decimal(lot))


@dataclass
class Position:
    """What is open."""

    quantity: float
    entry: float
    target: float
    stop: float
    began: datetime
    """Of its candle."""
    bought: datetime


class DirectionalBooks:
    """`inverse` counts quantities in USD and everything else in BTC."""

    def __init__(self, folder: Path, *, inverse: bool, capital: float) -> None:
        self.inverse = inverse
        self.perp, self.mark = (Raw(folder, f"cex/binance/BTCUSDT_{kind}_1h") for kind in ("perp", "mark"))
        self.funding = Raw(folder, "cex/binance/BTCUSDT_funding")
        self.gas, self.eth = Raw(folder, "gas/ethereum_gas_2h"), Raw(folder, "cex/binance/ETHUSDT_spot_1h")
        self.btc = Raw(folder, "cex/binance/BTCUSDT_spot_1h")
        self.cash = 0.0
        self.wallet = capital
        self.on_its_way = 0.0
        self.fresh = 0.0
        """Of the cash, what came beside the open position and is not at work."""
        self.owed = 0.0
        self.open: Position | None = None
        self.blocked: datetime | None = None
        self.done: list[Done] = []

    def profit(self, quantity: float, entry: float, price: float) -> float:
        return quantity * (1 / entry - 1 / price) if self.inverse else quantity * (price - entry)

    def equity(self, moment: datetime) -> float:
        return self.margin(moment) + self.wallet + self.on_its_way - self.owed

    def margin(self, moment: datetime) -> float:
        open_ = self.open
        profit = 0.0 if open_ is None else self.profit(open_.quantity, open_.entry, self.mark.close(moment))
        return self.cash + profit

    def fund(self, moment: datetime) -> None:
        """What lies in the wallet pays the gas that is owed and goes to the exchange: the gas of that is owed."""
        self.on_its_way, self.wallet = self.wallet - self.owed, 0.0
        self.owed = gas_usdt(self.gas, self.eth, 65_000, moment)
        if self.inverse:
            self.owed /= self.btc.close(moment)

    def arrive(self) -> None:
        self.cash += self.on_its_way
        self.fresh = self.fresh + self.on_its_way if self.open is not None else 0.0
        self.on_its_way = 0.0

    def trade(self, moment: datetime, kind: str, quantity: float, reference: float) -> float:
        """Fill at the reference price and its impact; the taker's fee."""
        size = abs(quantity) if self.inverse else abs(quantity) * reference
        price = reference * (1 + (1 if quantity > 0 else -1) * step(size, IMPACT_BPS))
        self.cash -= TAKER * (abs(quantity) / price if self.inverse else abs(quantity) * price)
        self.done.append(Done(moment, kind, quantity, price))
        return price

    def close(self, moment: datetime, kind: str, reference: float) -> None:
        assert self.open is not None
        self.fresh = 0.0
        price = self.trade(moment, kind, -self.open.quantity, reference)
        self.cash += self.profit(self.open.quantity, self.open.entry, price)
        self.open = None

    def brackets(self, moment: datetime) -> None:
        """The mark bar that has just closed: the stop first, then the target."""
        open_ = self.open
        if open_ is None or open_.bought >= moment:
            return
        bar = self.mark.rows[self.mark.newest(moment - HOUR)]
        assert self.mark.stamps[self.mark.newest(moment - HOUR)] == moment - HOUR, "no bar is missing here"
        before = self.mark.close(moment - HOUR)
        long = open_.quantity > 0
        worst, best = (float(bar["low"]), float(bar["high"])) if long else (float(bar["high"]), float(bar["low"]))
        if worst <= open_.stop if long else worst >= open_.stop:
            self.close(moment, "stop_loss", min(before, open_.stop) if long else max(before, open_.stop))
        elif best >= open_.target if long else best <= open_.target:
            self.close(moment, "take_profit", open_.target)
        else:
            return
        self.blocked = open_.began + HORIZON

    def pay_funding(self, moment: datetime) -> None:
        for stamp, row in self.funding.within(moment - HOUR, moment):
            if self.open is not None and row["funding_rate"]:
                mark = float(row["mark_price"]) if row.get("mark_price") else self.mark.close(stamp)
                size = self.open.quantity / mark if self.inverse else self.open.quantity * mark
                self.cash -= size * float(row["funding_rate"])

    def decide(self, moment: datetime, said: Said | None) -> None:
        direction = 0
        if said is not None and said.confidence >= CONFIDENCE:
            direction = 1 if said.rise >= THRESHOLD else -1 if 1 - said.rise >= THRESHOLD else 0
        last = self.perp.close(moment)
        open_ = self.open
        if open_ is not None:
            held = 1 if open_.quantity > 0 else -1
            over = moment >= open_.began + HORIZON
            if direction == -held:
                # Sized before the close, on margin at mark less what the close costs.
                size = abs(open_.quantity) if self.inverse else abs(open_.quantity) * last
                value = abs(open_.quantity) / last if self.inverse else size
                margin = self.margin(moment) - value * (TAKER + step(size, IMPACT_BPS))
                self.close(moment, "flip", last)
                self.enter(moment, direction, margin, said)
                return
            if over and direction != held:
                self.close(moment, "horizon", last)
                return
            if over:
                open_.began = moment
        if self.wallet > self.owed:
            self.fund(moment)
        elif self.fresh > 0.0:
            self.add(moment, last)
        elif self.open is None and direction and not (self.blocked is not None and moment < self.blocked):
            self.enter(moment, direction, min(self.margin(moment), self.equity(moment)), said)

    def add(self, moment: datetime, last: float) -> None:
        """As much of the position as there is fresh margin beside the rest, and no more than all of it carries."""
        open_, margin = self.open, self.margin(moment)
        assert open_ is not None
        held = abs(open_.quantity)
        room = margin * last - held if self.inverse else margin / last - held
        amount = lots(
            max(0.0, min(held * self.fresh / (margin - self.fresh), room)), "100" if self.inverse else "0.001"
        )
        if amount * (1.0 if self.inverse else last) < 10.0:
            return
        self.fresh = 0.0
        quantity = amount if open_.quantity > 0 else -amount
        price = self.trade(moment, "deposit", quantity, last)
        both = open_.quantity + quantity
        cost = 1 / price if self.inverse else price
        before = 1 / open_.entry if self.inverse else open_.entry
        average = (open_.quantity * before + quantity * cost) / both
        open_.entry = 1 / average if self.inverse else average
        open_.quantity = both

    def enter(self, moment: datetime, direction: int, margin: float, said: Said | None) -> None:
        assert said is not None
        last = self.perp.close(moment)
        amount = lots(margin * last, "100") if self.inverse else lots(margin / last, "0.001")
        price = self.trade(moment, "entry", direction * amount, last)
        sd = direction * min(max(said.sd, FLOOR), CAP)
        self.open = Position(
            direction * amount, price, price * (1 + 2 * sd), price * (1 - 2 * sd), began=moment, bought=moment
        )


def play_by_hand(
    books: DirectionalBooks,
    said: dict[datetime, Said],
    start: datetime,
    end: datetime,
    limit: timedelta,
    deposits: dict[datetime, float],
) -> dict[datetime, float]:
    """Equity at every tick after its bar and funding. Capital is there one tick after the start."""
    equity: dict[datetime, float] = {}
    moment, newest = start, start
    while moment <= end:
        if moment in said:
            newest = moment
        books.brackets(moment)
        books.pay_funding(moment)
        books.arrive()
        books.wallet += deposits.get(moment, 0.0)
        equity[moment] = books.equity(moment)
        books.decide(moment, said.get(newest) if moment - newest <= limit else None)
        moment += HOUR
    return equity
