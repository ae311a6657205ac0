"""Three local exchanges in the present, and the command line as a process that trades on them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import yaml
from tests.exchange.binance import LocalBinance
from tests.exchange.hand_clock import HandClock
from tests.exchange.market import Settled
from tests.exchange.server import KEY, PASSPHRASE, SECRET, LocalExchange
from tests.exchange.worlds import funded_bybit, funded_okx, markets

HOLDINGS = {
    "binance": {"spot": "61000", "linear": "12000"},
    "bybit": {"unified": "9000"},
    "okx": {"unified": "9000"},
}
"""USDT by purse: about what a book of 60,000 needs, shared out 0.4, 0.3, 0.3 at twofold leverage."""
MAIN = "from basis_actors.cli import main; main()"
KEYS = {
    f"BASIS_ACTORS_{venue}__{name}": value
    for venue in ("BINANCE", "BYBIT", "OKX")
    for name, value in (("API_KEY", KEY), ("API_SECRET", SECRET))
} | {"BASIS_ACTORS_OKX__PASSPHRASE": PASSPHRASE}
HOUR_MS = 3_600_000


class Present(HandClock):
    """The time of the machine."""

    @property
    def ns(self) -> int:
        """Now."""
        return time.time_ns()

    @property
    def ms(self) -> int:
        """The same in milliseconds."""
        return time.time_ns() // 1_000_000


class Street:
    """The exchanges, and a folder for the processes that trade on them."""

    def __init__(self, exchanges: dict[str, LocalExchange], folder: Path) -> None:
        self.exchanges = exchanges
        self.folder = folder
        self.state = folder / "state"
        self._processes: list[subprocess.Popen[str]] = []
        patience = {
            "absence_seconds": 0.5,
            "receive_window_seconds": 1.0,
            "read_pause_seconds": 0.05,
            "order_seconds": 5.0,
        }
        asking = {"timeout_seconds": 5.0}
        overlay: dict[str, Any] = {
            "venue_configs": {
                name: {"urls": there.urls, "account_terms": patience, "api": asking}
                for name, there in exchanges.items()
            },
            "component_config": {"monitoring": {"port": 0}, "kill_switch": {"flatten_pause_seconds": 0.5}},
        }
        self._overlay = overlay
        self.account_terms: dict[str, float] = patience
        """Of every exchange, for processes that start from now on."""
        self.api: dict[str, float] = asking
        """How every exchange is asked, by the same."""
        self.settings: dict[str, Any] = overlay["component_config"]
        """Of the components, for processes that start from now on."""

    def start(
        self, *arguments: str, keys: dict[str, str] | None = None, without: str | None = None
    ) -> subprocess.Popen[str]:
        """A live process of btc_basis, if need be on all exchanges but one."""
        overlay = deepcopy(self._overlay)
        if without is not None:
            del overlay["venue_configs"][without]
            left = [name for name in self.exchanges if name != without]
            overlay |= {"venues": ["wallet", *left]}
        return self._run(["btc_basis", "--always-in", *arguments], overlay, keys)

    def start_on_binance(
        self, mode: str, strategy_config: dict[str, Any], *arguments: str, tick_seconds: int | None = None
    ) -> subprocess.Popen[str]:
        """A live process of a mode that trades on Binance alone; with ticks as often as `tick_seconds` says."""
        overlay = deepcopy(self._overlay)
        if tick_seconds is not None:
            overlay["tick_interval_seconds"] = tick_seconds
            components = overlay["component_config"]
            components.setdefault("market_feed", {})["tick_delay_seconds"] = 1.0
            components.setdefault("strategy_manager", {})["time_throttle_interval"] = tick_seconds / 2
        overlay["venue_configs"] = {"binance": overlay["venue_configs"]["binance"]}
        return self._run([mode, *arguments], overlay | {"strategy_config": strategy_config}, None)

    def _run(self, arguments: list[str], overlay: dict[str, Any], keys: dict[str, str] | None) -> subprocess.Popen[str]:
        file = self.folder / f"overlay{len(self._processes)}.yaml"
        file.write_text(yaml.safe_dump(overlay))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BASIS_ACTORS_")}
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "live", arguments[0], "--config", str(file), "--json", *arguments[1:]],
            cwd=self.folder,
            env={**kept, **(KEYS if keys is None else keys)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self._processes.append(process)
        return process

    def end(self) -> None:
        """Leave no process behind."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.communicate()

    async def publish(self) -> None:
        """Trade at the same price again and again, as a market does."""
        while True:
            for there in self.exchanges.values():
                for market in there.account.markets.values():
                    there.account.set_price(market.pair, str(market.price))
                    if market.pair.endswith("-PERP"):
                        there.account.set_mark(market.pair, str(market.price))
                await there.streams.flush()
            await anyio.sleep(0.5)

    async def until(self, process: subprocess.Popen[str], holds: Callable[[], bool]) -> None:
        """Wait for something that the process brings about."""
        while not holds():
            assert process.poll() is None, process.communicate()
            await anyio.sleep(0.02)

    async def stopped(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a process that is told to stop."""
        process.send_signal(signal.SIGTERM)
        return await self.ended(process)

    async def ended(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """The same of one that ends by itself."""
        stdout, stderr = await anyio.to_thread.run_sync(process.communicate)
        return process.returncode, stdout, stderr

    def run_dir(self, process: subprocess.Popen[str]) -> Path:
        """Where it logs."""
        return next((self.folder / "logs").glob(f"*/{process.pid}"))

    def position(self, venue: str, pair: str = "BTC-PERP") -> Decimal:
        """What is held of a perpetual."""
        return self.exchanges[venue].account.positions[pair].size

    @property
    def orders(self) -> int:
        """How many orders have arrived, anywhere."""
        return sum(sum(there.journal.orders_sent(name).values()) for there, name in self._ids())

    @property
    def twice(self) -> dict[str, int]:
        """Ids that more than one order had."""
        sent = [there.journal.orders_sent(name) for there, name in self._ids()]
        return {client_id: count for ids in sent for client_id, count in ids.items() if count > 1}

    def _ids(self) -> list[tuple[LocalExchange, str]]:
        names = {"binance": "newClientOrderId", "bybit": "orderLinkId", "okx": "clOrdId"}
        return [(there, names[venue]) for venue, there in self.exchanges.items()]


def whole_binance() -> LocalBinance:
    """With every market of its configuration."""
    (ether,) = [market for market in markets() if market.pair == "ETH/USDT"]
    tokens = [
        replace(ether, pair=f"{base}/USDT", symbol=f"{base}USDT", base=base, price=Decimal(3))
        for base in ("EIGEN", "ETHFI")
    ]
    return LocalBinance((*markets(), *tokens))


@asynccontextmanager
async def street(folder: Path) -> AsyncIterator[Street]:
    """Exchanges that have been open for a week, and pay longs' funding to shorts."""
    exchanges: dict[str, LocalExchange] = {"binance": whole_binance(), "bybit": funded_bybit(), "okx": funded_okx()}
    async with AsyncExitStack() as stack:
        for there in exchanges.values():
            there.clock = there.account.clock = Present()
            for tokens in there.account.purses.values():
                tokens.clear()
            for purse, amount in HOLDINGS[there.venue].items():
                there.account.fund(purse, "USDT", amount)
            for market in there.account.markets.values():
                market.marks = [(there.clock.ms - HOUR_MS, market.price)]
                now = there.clock.ms // (8 * HOUR_MS)
                market.settled = [
                    Settled(stamp * 8 * HOUR_MS, Decimal("0.0003"), market.price) for stamp in range(now - 30, now + 1)
                ]
            await stack.enter_async_context(there)
        there_are = Street(exchanges, folder)
        try:
            yield there_are
        finally:
            there_are.end()
