"""A process that is killed around its orders comes back to a ledger that is the exchange's, and sends nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from random import Random

import anyio
import pytest
from tests.exchange.binance import KEY, SECRET, LocalBinance
from tests.exchange.faults import Fault
from tests.exchange.hand_clock import HandClock
from tests.exchange.worlds import markets

from basis_actors.logs.reader import EventLog
from basis_actors.logs.replay import replay
from basis_actors.messages.events import ExecutionDeltaEvent, PositionSnapshot
from basis_actors.messages.execution import DeltaSource
from basis_actors.venues.journal.sqlite import SqliteJournal

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
ORDERS = ("POST /api/v3/order", "POST /fapi/v1/order")
PRICE = Decimal("40770")
PATIENCE = {
    "order_seconds": 5.0,
    "receive_window_seconds": 1.0,
    "absence_seconds": 0.5,
    "absence_queries": 2,
    "steady_reads": 3,
    "read_pause_seconds": 0.1,
    "overlap_seconds": 5.0,
    "recovery_seconds": 30.0,
}


class PresentClock(HandClock):
    """The exchange's time is the machine's."""

    @property
    def ns(self) -> int:
        return time.time_ns()

    @property
    def ms(self) -> int:
        return time.time_ns() // 1_000_000


@pytest.fixture
async def exchange() -> AsyncIterator[LocalBinance]:
    """A funded account at a price that does not move."""
    there = LocalBinance(markets(), PresentClock())
    # A process that decides four times a second, and is started anew all the time, asks for more than one that lives.
    there.limits.update(dict.fromkeys(there.limits, 1_000_000))
    for market in there.account.markets.values():
        if market.base == "BTC":
            market.price = PRICE
    there.account.fund("spot", "USDT", "50000")
    there.account.fund("linear", "USDT", "50000")
    async with there:
        yield there


class Fleet:
    """Processes that come one after the other, on one journal."""

    def __init__(self, exchange: LocalBinance, folder: Path) -> None:
        self.exchange = exchange
        self.folder = folder
        self.journal = folder / "journal.sqlite"
        settings = {
            "mode": str(Path(__file__).with_name("churn.yaml")),
            "out": str(folder / "logs"),
            "journal": str(self.journal),
            "urls": exchange.urls,
            "patience": PATIENCE,
            "timeout_seconds": 0.5,
            "step_seconds": 0.25,
        }
        self._settings = folder / "settings.json"
        self._settings.write_text(json.dumps(settings))

    def start(self) -> subprocess.Popen[bytes]:
        """The next process."""
        keys = {"BASIS_ACTORS_BINANCE__API_KEY": KEY, "BASIS_ACTORS_BINANCE__API_SECRET": SECRET}
        with (self.folder / "stderr").open("ab") as stderr:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.crash.process", str(self._settings)],
                cwd=ROOT,
                env={**os.environ, **keys},
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    async def killed_at(self, number: int, *, carried_out: bool) -> None:
        """Start a process and kill it when its order of that number is at the exchange, before or after it is done."""
        process = self.start()
        before = self._orders()
        struck = anyio.Event()

        def kill() -> None:
            process.send_signal(signal.SIGKILL)
            struck.set()

        def arm() -> None:
            for route in ORDERS:
                self.exchange.faults.armed.append(Fault(route, before=kill, carried_out=carried_out))

        while self._orders() < before + number:
            await self._alive(process)
        arm()
        while not struck.is_set():
            await self._alive(process)
        self.exchange.faults.clear()
        await anyio.to_thread.run_sync(process.wait)

    async def killed_after(self, seconds: float) -> None:
        """Start a process and kill it at some moment after its first order."""
        process = self.start()
        before = self._orders()
        while self._orders() == before:
            await self._alive(process)
        await anyio.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(process.wait)

    async def rests(self) -> Path:
        """Start a process, stop it in order once it has traded, and give its run directory."""
        process = self.start()
        before = self._orders()
        while self._orders() < before + 2:
            await self._alive(process)
        process.send_signal(signal.SIGTERM)
        code = await anyio.to_thread.run_sync(process.wait)
        assert code == 0, (self.folder / "stderr").read_text()
        return next((self.folder / "logs").glob(f"*/{process.pid}"))

    def _orders(self) -> int:
        return sum(len(self.exchange.journal.of(route)) for route in ORDERS)

    async def _alive(self, process: subprocess.Popen[bytes]) -> None:
        assert process.poll() is None, (self.folder / "stderr").read_text()
        await anyio.sleep(0.005)


def held_at(exchange: LocalBinance) -> dict[str, float]:
    """What the exchange has, by position key."""
    kinds = {"spot": "BaseToken", "linear": "Margin"}
    found = {
        f"binance:{kinds[purse]}:{token}": float(amount)
        for purse, tokens in exchange.account.purses.items()
        for token, amount in tokens.items()
        if amount
    }
    found |= {
        f"binance:PerpPosition:{pair}": float(position.size)
        for pair, position in exchange.account.positions.items()
        if position.size
    }
    return found


def assert_nothing_twice(exchange: LocalBinance, journal: Path) -> None:
    """Every id was sent once, every operation of a process carried out once, and nothing else was."""
    assert set(exchange.journal.orders_sent().values()) == {1}
    kept = SqliteJournal(journal)
    entries = {entry.intent.client_id: entry for entry in kept.entries}
    kept.close()
    carried_out = Counter[tuple[int, str]]()
    for order in exchange.account.orders:
        intent = entries[order.client_id].intent
        carried_out[intent.incarnation, intent.order.operation_id] += 1
        assert entries[order.client_id].filled == order.filled
    assert set(carried_out.values()) == {1}


def assert_same_book(exchange: LocalBinance, run_dir: Path) -> None:
    """The last ledger is what the exchange has, by trades alone; its log replays; nothing is unhedged."""
    held = held_at(exchange)
    events = list(EventLog(run_dir).all())
    ledger = [event.positions for event in events if isinstance(event, PositionSnapshot)][-1]
    assert {key: amount for key, amount in ledger.items() if key.startswith("binance:")} == pytest.approx(
        held, rel=1e-8
    )
    sources = {event.source for event in events if isinstance(event, ExecutionDeltaEvent)}
    assert DeltaSource.ADJUSTMENT not in sources
    assert replay(run_dir).findings == []
    delta = held.get("binance:BaseToken:BTC", 0.0) + held.get("binance:PerpPosition:BTC-PERP", 0.0)
    assert delta == pytest.approx(0.0, abs=2e-5)  # what fees take out of purchases, less than two lots


@pytest.mark.long
async def test_kills_around_orders_leave_one_order_each_and_a_ledger_that_is_the_exchanges(
    exchange: LocalBinance, tmp_path: Path, form: str
) -> None:
    random, fleet = Random(5), Fleet(exchange, tmp_path)
    for _ in range(100 if form == "full" else 6):
        if random.random() < 0.7:
            await fleet.killed_at(random.randrange(5), carried_out=random.random() < 0.5)
        else:
            await fleet.killed_after(random.uniform(0.0, 0.6))
    run_dir = await fleet.rests()
    assert_nothing_twice(exchange, fleet.journal)
    assert_same_book(exchange, run_dir)
