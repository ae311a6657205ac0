"""A year of hourly basis trade in NautilusTrader: spot bought, a perp sold at the first bar, both held. Prints JSON."""

from __future__ import annotations

import csv
import json
import sys
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy


class Basis(Strategy):
    """Hedges once, and looks at its book at every bar."""

    def __init__(self, spot, perp, bars, size) -> None:
        super().__init__()
        self._spot, self._perp, self._bars, self._size = spot, perp, bars, size
        self.ticks = 0
        self._hedged = False

    def on_start(self) -> None:
        for bars in self._bars:
            self.subscribe_bars(bars)

    def on_bar(self, bar) -> None:
        if bar.bar_type != self._bars[1]:
            return
        self.ticks += 1
        if not self._hedged:
            self._hedged = True
            for instrument, side in ((self._spot, OrderSide.BUY), (self._perp, OrderSide.SELL)):
                quantity = instrument.make_qty(self._size)
                self.submit_order(self.order_factory.market(instrument.id, side, quantity))
        self.portfolio.net_position(self._perp.id)


def main(market: str) -> None:
    """Run the year of a file."""
    spot, perp = TestInstrumentProvider.btcusdt_binance(), TestInstrumentProvider.btcusdt_perp_binance()
    types = [BarType.from_str(f"{instrument.id}-1-HOUR-LAST-EXTERNAL") for instrument in (spot, perp)]
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("BINANCE"), OmsType.NETTING, AccountType.MARGIN, [Money(100_000, USDT), Money(0, BTC)],
        default_leverage=Decimal(2),
    )  # fmt: skip
    bars = []
    with Path(market).open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = int(datetime.fromisoformat(row["timestamp"]).timestamp()) * 1_000_000_000
            for instrument, kind, name in ((spot, types[0], "spot"), (perp, types[1], "mark")):
                price, volume = instrument.make_price(float(row[name])), instrument.make_qty(1_000)
                bars.append(Bar(kind, price, price, price, price, volume, at, at))
    for instrument in (spot, perp):
        engine.add_instrument(instrument)
    engine.add_data(bars)
    strategy = Basis(spot, perp, types, 1)
    engine.add_strategy(strategy)
    begin = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - begin
    fills = len(engine.cache.orders_closed())
    print(json.dumps({"ticks": strategy.ticks, "seconds": seconds, "orders": fills}))


if __name__ == "__main__":
    main(sys.argv[1])
