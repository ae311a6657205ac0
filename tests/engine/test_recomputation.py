"""A run's summary, recomputed from what it logged that it did and from the raw files: csv and plain arithmetic only.

Of the log only decisions of a person would be taken: which order of which size was confirmed when. Prices, fees,
funding, gas, interest and equity are worked out here from the files and from the venues' published terms.
"""

from __future__ import annotations

import csv
import gzip
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import exp, fsum, log
from pathlib import Path
from typing import Any

import pytest
from tests.engine.play import ALWAYS_IN, flow, utc

from basis_actors.messages.book import Flow
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SPOT_FEE = 0.001
PERP_FEE = {"binance": 0.0005, "bybit": 0.00055, "okx": 0.0005}
SPOT_IMPACT_BPS = {"BTC": (4, 6, 12), "ETH": (5, 7, 13)}
PERP_IMPACT_BPS = (3, 4, 8)
WITHDRAWAL_FEE = 1.0
GAS_UNITS = {"transfer": 65_000, "supply": 250_000, "withdraw": 220_000}
RELATIVE = 1e-9


class Raw:
    """One file: stamps and columns."""

    def __init__(self, folder: Path, name: str) -> None:
        with gzip.open(folder / f"{name}.csv.gz", "rt") as file:
            rows = list(csv.DictReader(file))
        self.stamps = [datetime.fromisoformat(row["timestamp"]) for row in rows]
        self.rows = rows

    def newest(self, moment: datetime) -> int:
        """Row number of the last stamp at or before a moment."""
        return bisect_right(self.stamps, moment) - 1

    def close(self, moment: datetime) -> float:
        """Close of the last bar that had closed: it opened an hour before, or earlier."""
        return float(self.rows[self.newest(moment - HOUR)]["close"])

    def within(self, after: datetime, until: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        for row in range(bisect_right(self.stamps, after), bisect_right(self.stamps, until)):
            yield self.stamps[row], self.rows[row]


def run_to_disk(folder: Path, mode: str, start: str, end: str, flows: tuple[Flow, ...], **more: Any) -> Path:
    request = BacktestRequest(mode=mode, start=utc(start), end=utc(end), flows=flows, out=folder, **more)
    backtest = Backtest(prepare(request))
    summary = backtest.run()
    assert summary.failure is None
    assert not summary.partial
    return backtest.run_dir


def lines(run_dir: Path, name: str) -> list[dict[str, Any]]:
    with (run_dir / "events" / f"{name}.jsonl").open() as file:
        return [json.loads(line) for line in file]


def by_time(events: list[dict[str, Any]]) -> dict[datetime, list[dict[str, Any]]]:
    found: dict[datetime, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        found[datetime.fromisoformat(event["timestamp"])].append(event)
    return found


def step(notional: float, bps: tuple[int, int, int]) -> float:
    return bps[0 if notional <= 10_000 else 1 if notional <= 100_000 else 2] / 1e4


def gas_usdt(gas: Raw, eth: Raw, units: int, moment: datetime) -> float:
    row = gas.rows[gas.newest(moment)]
    gwei = float(row["base_fee_gwei"]) + min(2.0, float(row["priority_fee_p50_gwei"]))
    return units * gwei * 1e-9 * eth.close(moment)


class BasisBook:
    """The books of a basis run, kept by hand."""

    def __init__(self, folder: Path, asset: str, venues: tuple[str, ...]) -> None:
        self.asset = asset
        self.spot = Raw(folder, f"cex/binance/{asset}USDT_spot_1h")
        self.eth = Raw(folder, "cex/binance/ETHUSDT_spot_1h")
        self.gas = Raw(folder, "gas/ethereum_gas_2h")
        self.last = {venue: Raw(folder, f"cex/{venue}/{asset}USDT_perp_1h") for venue in venues}
        self.mark = {
            venue: self.last[venue] if venue == "bybit" else Raw(folder, f"cex/{venue}/{asset}USDT_mark_1h")
            for venue in venues
        }
        self.funding = {venue: Raw(folder, f"cex/{venue}/{asset}USDT_funding") for venue in venues}
        self.cash = 0.0
        self.coins = 0.0
        self.size = dict.fromkeys(venues, 0.0)
        self.bought = dict.fromkeys(venues, 0.0)
        """Sum of quantity x fill price of a venue's perp."""
        self.parts: dict[str, list[float]] = defaultdict(list)
        self.before: tuple[float, dict[str, float]] | None = None

    def move_to(self, moment: datetime) -> None:
        """Price and basis since the last tick, and the funding that fell due, on what was held."""
        price, marks = self.spot.close(moment), {venue: raw.close(moment) for venue, raw in self.mark.items()}
        if self.before is not None:
            price_0, marks_0 = self.before
            self.parts["price"].append((self.coins + sum(self.size.values())) * (price - price_0))
            for venue, size in self.size.items():
                self.parts["basis"].append(size * (marks[venue] - marks_0[venue] - (price - price_0)))
                for stamp, row in self.funding[venue].within(moment - HOUR, moment):
                    mark = float(row["mark_price"]) if row.get("mark_price") else self.mark[venue].close(stamp)
                    paid = -size * mark * float(row["funding_rate"])
                    self.cash += paid
                    self.parts["funding"].append(paid)
        self.before = (price, marks)

    def carry_out(self, order: dict[str, Any], moment: datetime) -> None:
        assert self.before is not None
        price, marks = self.before
        kind, venue = order["operation_type"], order["venue"]
        if kind == "spot_trade":
            quantity = order["actual_deltas"][f"binance:BaseToken:{self.asset}"]
            sign = 1 if quantity > 0 else -1
            fill = price * (1 + sign * step(abs(quantity) * price, SPOT_IMPACT_BPS[self.asset]))
            self.coins += quantity
            self.pay("fees", abs(quantity) * fill * SPOT_FEE)
            self.cash -= quantity * fill
            self.parts["slippage"].append(-quantity * (fill - price))
        elif kind == "perp_trade":
            quantity = order["actual_deltas"][f"{venue}:PerpPosition:{self.asset}-PERP"]
            sign = 1 if quantity > 0 else -1
            last = self.last[venue].close(moment)
            fill = last * (1 + sign * step(abs(quantity) * last, PERP_IMPACT_BPS))
            self.size[venue] += quantity
            self.bought[venue] += quantity * fill
            self.pay("fees", abs(quantity) * fill * PERP_FEE[venue])
            self.parts["slippage"].append(-quantity * (fill - marks[venue]))
        else:
            assert kind == "transfer"
            if order["source_venue"] == "wallet":
                self.pay("gas", gas_usdt(self.gas, self.eth, GAS_UNITS["transfer"], moment))
            elif order["source_venue"] != order["target_venue"]:
                self.pay("fees", WITHDRAWAL_FEE)
            if order["target_venue"] == "external":
                self.cash += sum(order["actual_deltas"].values())

    def pay(self, component: str, cost: float) -> None:
        self.cash -= cost
        self.parts[component].append(-cost)

    def equity(self) -> float:
        assert self.before is not None
        price, marks = self.before
        perps = sum(self.size[venue] * marks[venue] - self.bought[venue] for venue in self.size)
        return self.cash + self.coins * price + perps


@pytest.mark.parametrize(
    ("asset", "venues", "start", "end"),
    [
        ("BTC", ("binance", "bybit"), "2024-02-01", "2024-03-20"),
        ("ETH", ("binance", "bybit", "okx"), "2024-08-10", "2024-09-10"),
    ],
)
def test_a_basis_run_is_what_its_orders_and_the_raw_files_make_it(
    asset: str, venues: tuple[str, ...], start: str, end: str, history: Path, tmp_path: Path
) -> None:
    first = utc(start)
    flows = (Flow(first + timedelta(days=5, minutes=10), 30_000.0), Flow(first + timedelta(days=9), -20_000.0))
    mode = f"{asset.lower()}_basis"
    run_dir = run_to_disk(tmp_path, mode, start, end, flows, data=history, settings=[ALWAYS_IN])
    orders = by_time(lines(run_dir, "operation_executions"))
    calculations = by_time(lines(run_dir, "pnl_calculations"))

    book = BasisBook(history, asset, venues)
    deposits = [(first, 100_000.0), *((f.timestamp, f.amount) for f in flows if f.amount > 0)]
    for moment in calculations:
        book.move_to(moment)
        book.cash += sum(amount for when, amount in deposits if moment - HOUR < when <= moment)
        at_tick, *after_orders = calculations[moment]
        assert at_tick["equity"] == pytest.approx(book.equity(), rel=RELATIVE), moment
        for order in orders.get(moment, ()):
            if order["status"] == "confirmed":
                book.carry_out(order, moment)
        if after_orders:
            assert after_orders[-1]["equity"] == pytest.approx(book.equity(), rel=RELATIVE), moment
    assert len(orders) > 5
    summary = json.loads((run_dir / "summary.json").read_text())
    told = summary["attribution"]
    mine = {component: fsum(parts) for component, parts in book.parts.items()}
    for component in ("basis", "funding", "slippage", "fees", "gas"):
        assert told[component] == pytest.approx(mine[component], rel=RELATIVE), component
        assert mine[component] != 0.0
    assert told["price"] == pytest.approx(mine["price"], abs=RELATIVE * summary["equity_end"])
    assert all(told[name] == 0.0 for name in told if name not in mine)
    assert summary["equity_end"] == pytest.approx(book.equity(), rel=RELATIVE)
    assert summary["equity_end"] == pytest.approx(110_000.0 + sum(mine.values()), rel=RELATIVE)


def aave_index(rates: Raw, moment: datetime) -> float:
    """Supply index: exact at its stamps, between them the lesser of its last growth and its rate."""
    row = rates.newest(moment)
    here = float(rates.rows[row]["liquidity_index"])
    growth = float(rates.rows[row]["liquidity_rate_apr"]) / 365
    if row:
        days = (rates.stamps[row] - rates.stamps[row - 1]) / DAY
        growth = min(growth, log(here / float(rates.rows[row - 1]["liquidity_index"])) / days)
    return here * exp(growth * ((moment - rates.stamps[row]) / DAY))


@pytest.mark.parametrize(("token", "reserve"), [("USDT", "USDT"), ("ETH", "WETH")])
def test_a_lending_run_is_what_its_orders_and_the_raw_files_make_it(
    token: str, reserve: str, history: Path, tmp_path: Path
) -> None:
    unit = 100_000.0 if token == "USDT" else 40.0
    flows = (flow("2024-03-05T07:15", 0.3 * unit), flow("2024-03-11T05:00", -0.5 * unit))
    mode = f"pure_lending_{token.lower()}"
    run_dir = run_to_disk(tmp_path, mode, "2024-03-01", "2024-04-01", flows, data=history)
    orders = by_time(lines(run_dir, "operation_executions"))
    calculations = by_time(lines(run_dir, "pnl_calculations"))
    rates, gas = Raw(history, f"aave_v3/{reserve}_rates"), Raw(history, "gas/ethereum_gas_2h")
    eth = Raw(history, "cex/binance/ETHUSDT_spot_1h")

    cash = scaled = spent = 0.0
    interest: list[float] = []
    index = None
    deposits = [(utc("2024-03-01"), unit), (flows[0].timestamp, flows[0].amount)]
    for moment in calculations:
        index, last = aave_index(rates, moment), index
        interest.append(scaled * (index - last) if last is not None else 0.0)
        cash += sum(amount for when, amount in deposits if moment - HOUR < when <= moment)
        assert calculations[moment][0]["equity"] == pytest.approx(cash + scaled * index - spent, rel=RELATIVE), moment
        for order in orders.get(moment, ()):
            assert order["status"] == "confirmed"
            kind = order["operation_type"]
            units = 21_000 if kind == "transfer" and token == "ETH" else GAS_UNITS[kind]
            spent += gas_usdt(gas, eth, units, moment) / (eth.close(moment) if token == "ETH" else 1.0)
            moved = order["actual_deltas"][f"wallet:BaseToken:{token}"]
            cash += moved
            scaled -= moved / index if kind in ("supply", "withdraw") else 0.0
    told = json.loads((run_dir / "summary.json").read_text())
    assert index is not None
    assert told["equity_end"] == pytest.approx(cash + scaled * index - spent, rel=RELATIVE)
    assert told["attribution"]["lending"] == pytest.approx(fsum(interest), rel=RELATIVE)
    assert told["attribution"]["gas"] == pytest.approx(-spent, rel=RELATIVE)
    assert [name for name, amount in told["attribution"].items() if amount] == ["lending", "gas"]


def test_the_ledger_on_disk_is_the_sum_of_the_deltas_on_disk(history: Path, tmp_path: Path) -> None:
    run_dir = run_to_disk(tmp_path, "btc_basis", "2024-02-01", "2024-02-20", (), data=history, settings=[ALWAYS_IN])
    events = lines(run_dir, "execution_deltas") + lines(run_dir, "positions")
    held: dict[str, list[float]] = defaultdict(list)
    snapshots = 0
    for event in sorted(events, key=lambda event: event["sequence"]):
        for delta in event.get("deltas", ()):
            held[delta["position_key"]].append(delta["delta_amount"])
        if "positions" in event:
            snapshots += 1
            for key, amount in event["positions"].items():
                assert amount == pytest.approx(fsum(held[key]), abs=1e-9 * max(1.0, *map(abs, held[key]))), key
            untold = [key for key in held if key not in event["positions"] and abs(fsum(held[key])) > 1e-9]
            assert not untold
    assert snapshots > 400
    assert datetime.fromisoformat(events[0]["timestamp"]).tzinfo == UTC
