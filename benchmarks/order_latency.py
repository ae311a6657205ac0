"""How long an order takes from the market that it follows from to the exchange, beside ccxt's own call for it.

The whole live process with its real Binance adapter sends one order a tick over real sockets to a local exchange, which
is a process of its own. Before each tick the same order is sent by a bare `create_order` of ccxt on the same event
loop, to a second account there. Measured is the time at which each request arrives, on the clock that both processes
share, from two beginnings: the tick, which first reads the account over the same sockets, and the decision on what that
showed, which then has to pass the risk gate and be written to the order journal before it is sent.

Run it as `python benchmarks/order_latency.py [--quick] [--json]`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from ccxt import async_support
from msgspec.structs import replace
from tests.crash.churn import Churn
from tests.crash.process import configured
from tests.exchange.binance import KEY, SECRET, LocalBinance
from tests.exchange.hand_clock import HandClock
from tests.exchange.worlds import markets

from basis_actors.bus import WallClock
from basis_actors.config.secrets import ExchangeKeys, Secrets
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import Order, Side
from basis_actors.services.accounts import LiveAccounts
from basis_actors.services.live import LiveRun
from basis_actors.services.preparation import BacktestRequest, prepare
from basis_actors.services.surroundings import Surroundings
from basis_actors.strategies.base import Decision, Situation
from basis_actors.strategies.order_writer import OrderWriter
from basis_actors.times import utc_from_ns
from basis_actors.venues.journal.sqlite import SqliteJournal
from basis_actors.venues.wire.addresses import replaced
from basis_actors.venues.wire.pauses import Pauses
from measuring import Options, Row, quiet_start, report

SERVE = "--serve"
ORDERS, WARM_UP = 400, 20
QUICK_ORDERS, QUICK_WARM_UP = 4, 1
START = datetime(2024, 1, 10, tzinfo=UTC)
MODE = Path(__file__).parents[1] / "tests" / "crash" / "churn.yaml"
PERP, SIZE, PRICE = "binance:PerpPosition:BTC-PERP", 0.01, Decimal(40770)
SETTINGS = ("component_config.strategy_manager.time_throttle_interval=0", "component_config.monitoring.port=0")
PATIENCE = {"overlap_seconds": 0.1}
"""Trades are read again from so long before: of ticks that are hours apart few, of these all that there ever were."""
MS = 1e6


class PresentClock(HandClock):
    """The exchange's time is the machine's."""

    @property
    def ns(self) -> int:
        return time.time_ns()

    @property
    def ms(self) -> int:
        return time.time_ns() // 1_000_000


class Stamping(LocalBinance):
    """Notes when each order arrives, before anything is made of it."""

    def __init__(self, arrived: dict[str, int]) -> None:
        super().__init__(markets(), PresentClock())
        self._arrived = arrived
        # Ticks follow each other without a pause, each with a look at the account.
        self.limits.update(dict.fromkeys(self.limits, 1_000_000_000))
        for market in self.account.markets.values():
            if market.base == "BTC":
                market.price = PRICE
        self.account.fund("linear", "USDT", "50000")

    async def read(self, http: Any) -> tuple[str, dict[str, Any]]:
        """What is signed of a request, and its parameters."""
        moment = time.monotonic_ns()
        signed, params = await super().read(http)
        if http.method == "POST" and "newClientOrderId" in params:
            self._arrived[params["newClientOrderId"]] = moment
        return signed, params


async def serve() -> None:
    """Two exchanges, until standard input ends; then say what arrived when."""
    arrived: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        exchanges = [await stack.enter_async_context(Stamping(arrived)) for _ in range(2)]
        print(json.dumps([exchange.urls for exchange in exchanges]), flush=True)
        await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(arrived), flush=True)


class Bare:
    """ccxt as its documentation shows it, with nothing around it."""

    def __init__(self, urls: dict[str, str]) -> None:
        options = {"defaultType": "swap", "fetchMarkets": {"types": ["linear"]}, "fetchCurrencies": False}
        self._exchange = async_support.binance(
            {"apiKey": KEY, "secret": SECRET, "enableRateLimit": False, "options": options}
        )
        self._exchange.urls["api"] = replaced("binance", self._exchange.urls["api"], urls)
        self.called: dict[str, int] = {}
        """When each order was asked for, by its id."""

    async def load(self) -> None:
        """What has to be known before orders can be sent."""
        await self._exchange.load_markets()

    async def order(self, number: int) -> None:
        """One order, and then its opposite."""
        name, side = f"bare{number:08d}", "buy" if number % 2 else "sell"
        self.called[name] = time.monotonic_ns()
        await self._exchange.create_order("BTC/USDT:USDT", "market", side, SIZE, None, {"newClientOrderId": name})

    async def close(self) -> None:
        """Close its connections."""
        await self._exchange.close()


class OneAfterAnother:
    """A market whose next tick begins when the last one is over, with a bare order in between."""

    def __init__(self, state: MarketState, clock: WallClock, bare: Bare, ticks: int) -> None:
        self._state, self._clock, self._bare, self._left = state, clock, bare, ticks
        self.published: list[int] = []
        """When each tick was handed to the engine, which then publishes it."""

    def next_tick(self, after_ns: int | None) -> int | None:
        """A moment later, as long as any are left."""
        return max(after_ns or 0, self._clock.now()) + 1_000_000 if self._left else None

    async def take(self, ns: int) -> MarketState:
        """The same market as ever."""
        self._left -= 1
        await self._bare.order(len(self.published))
        self.published.append(time.monotonic_ns())
        return await self.between(ns)

    async def between(self, ns: int) -> MarketState:
        """The same market."""
        return replace(self._state, ns=ns, timestamp=utc_from_ns(ns), funding=())


class OneOrder(Churn):
    """A short at one tick, none at the next."""

    hedged = False

    def __init__(self, run: Any) -> None:
        super().__init__(run)
        self.asked: list[int] = []
        """When each decision was asked for."""

    def decide(self, situation: Situation) -> Decision:
        self.asked.append(time.monotonic_ns())
        return super().decide(situation)

    def legs(self, situation: Situation, *, leaves: bool) -> tuple[Order, ...]:
        writer, side = OrderWriter(self.run, situation, 0.05), Side.LONG if leaves else Side.SHORT
        size = -situation.held(PERP) if leaves else SIZE
        return (writer.perp("binance", "BTC", side, size, "churn", reduce_only=leaves),)


class Delays(NamedTuple):
    """Nanoseconds until each order arrived."""

    from_tick: list[int]
    from_decision: list[int]
    bare: list[int]


@contextmanager
def exchanges() -> Iterator[tuple[subprocess.Popen[str], list[dict[str, str]]]]:
    """The other process, and where it listens."""
    process = subprocess.Popen(
        [sys.executable, __file__, SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


async def trade(urls: Sequence[dict[str, str]], folder: Path, ticks: int) -> tuple[Bare, OneAfterAnother, OneOrder]:
    """Send orders both ways."""
    prepared = prepare(
        BacktestRequest(
            mode=MODE, start=START, end=START + timedelta(hours=1), out=folder, settings=SETTINGS, runtime="live"
        )
    )
    run = configured(prepared.run, {"urls": urls[0], "patience": PATIENCE, "timeout_seconds": 10.0})
    strategy = OneOrder(run)
    state = [prepared.feed.take(ns) for ns in prepared.feed.ticks][-1]
    prepared = dataclasses.replace(prepared, run=run, strategy=strategy)
    clock, bare = WallClock(), Bare(urls[1])
    journal = SqliteJournal(folder / "journal.sqlite")
    secrets = Secrets(binance=ExchangeKeys.model_validate({"api_key": KEY, "api_secret": SECRET}))
    accounts = LiveAccounts(run, journal, secrets, lambda _call: None, Pauses())
    feed = OneAfterAnother(state, clock, bare, ticks)
    try:
        await bare.load()
        summary = await LiveRun(prepared, Surroundings(clock, feed, accounts.make, (), journal)).run_async()
    finally:
        await accounts.close()
        await bare.close()
        journal.close()
    if summary.failure is not None or summary.stopped is not None:
        raise RuntimeError(f"the run ended of {summary.failure or summary.stopped}; its log is in {summary.run_dir}")
    return bare, feed, strategy


def delays(orders: int, warm_up: int) -> Delays:
    """Measure so many orders of each kind, after some that do not count."""
    with quiet_start() as folder, exchanges() as (process, urls):
        bare, feed, strategy = asyncio.run(trade(urls, folder, warm_up + orders))
        journal = SqliteJournal(folder / "journal.sqlite")
        intents = [entry.intent for entry in journal.entries]
        journal.close()
        arrived: dict[str, int] = json.loads(process.communicate("")[0])
    ours = [arrived[intent.client_id] for intent in intents]
    if not len(ours) == len(feed.published) == len(strategy.asked) == len(bare.called):
        raise RuntimeError(f"{len(feed.published)} ticks led to {len(ours)} orders; one each was expected")
    return Delays(
        [there - begun for there, begun in zip(ours, feed.published, strict=True)][warm_up:],
        [there - asked for there, asked in zip(ours, strategy.asked, strict=True)][warm_up:],
        [arrived[name] - called for name, called in bare.called.items()][warm_up:],
    )


def at_share(sample: Sequence[int], share: float) -> float:
    """The value below which that share of a sample lies, milliseconds."""
    return sorted(sample)[min(int(share * len(sample)), len(sample) - 1)] / MS


def measure(options: Options) -> Sequence[Row]:
    """Median and 99th percentile from both beginnings."""
    orders, warm_up = (QUICK_ORDERS, QUICK_WARM_UP) if options.quick else (ORDERS, WARM_UP)
    found = delays(orders, warm_up)
    rows = []
    for beginning, sample in (("tick", found.from_tick), ("decision", found.from_decision)):
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            value, baseline = at_share(sample, share), at_share(found.bare, share)
            rows.append(
                Row(
                    measure=f"{beginning} to order, {name} of {orders}",
                    value=value,
                    unit="ms",
                    baseline=baseline,
                    ratio=value / baseline,
                    compared_with="ccxt's create_order alone, in turn with it",
                )
            )
    return rows


if __name__ == "__main__":
    if sys.argv[1:] == [SERVE]:
        asyncio.run(serve())
    else:
        report("From a tick to an order at the exchange.", measure)
