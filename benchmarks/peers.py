"""How long a year of an hourly basis trade takes here and in other engines, each as it comes from its registry.

Run it as `python benchmarks/peers.py [--quick] [--json]`. Each peer gets a virtual environment in `build/peers`, made
when it is first needed. All see the same market, spot and perp of the synthetic year, and each does what it does in a
backtest: the rows say what, for it is not the same. Loading and start-up are not counted.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import prepare
from basis_actors.times import utc_from_ns
from measuring import Options, Row, pairs, quiet_start, report

_ENVIRONMENTS = Path("build/peers")
_SCRIPTS = Path(__file__).with_name("peers")
_PERP = "binance:BTC-PERP"


class Peer(NamedTuple):
    """Another engine, and what it does with the year."""

    package: str
    version: str
    script: str
    does: str


PEERS = (
    Peer("fractal-defi", "1.3.1", "run_fractal_defi.py", "its own basis strategy, no orders at venues, no log"),
    Peer("nautilus_trader", "1.221.0", "run_nautilus_trader.py", "a hedge held, order matching in Rust, no log"),
)


def measure(options: Options) -> Sequence[Row]:
    """A row for each peer: ticks a second of ours over ticks a second of theirs, in pairs."""
    with tempfile.TemporaryDirectory() as folder:
        market = Path(folder) / "market.csv"
        _write_market(options, market)
        rows = []
        for peer in PEERS:
            python = _environment(peer)
            ours, theirs, ratio = pairs(
                options.repeats,
                lambda: _ours(options),
                lambda: _theirs(python, peer, market),  # noqa: B023
            )
            rows.append(
                Row(
                    measure="a year of hourly btc_basis, full event log",
                    value=ours,
                    unit="ticks/s",
                    baseline=theirs,
                    ratio=ratio,
                    compared_with=f"{peer.package} {peer.version}: {peer.does}",
                )
            )
        return rows


def _ours(options: Options) -> float:
    with quiet_start() as folder:
        summary = Backtest(prepare(options.request(folder))).run()
        if summary.failure is not None:
            raise RuntimeError(f"the run failed: {summary.failure}")
    return summary.ticks / summary.seconds


def _theirs(python: Path, peer: Peer, market: Path) -> float:
    command = [python, _SCRIPTS / peer.script, market]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{peer.package} ended with {done.returncode}:\n{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    return float(found["ticks"] / found["seconds"])


def _environment(peer: Peer) -> Path:
    """The Python that has the peer."""
    home = _ENVIRONMENTS / f"{peer.package}-{peer.version}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"{peer.package}=={peer.version}"], check=True)
        (home / "ready").touch()
    return python


def _write_market(options: Options, target: Path) -> None:
    with quiet_start() as folder:
        feed = prepare(options.request(folder)).feed
    with target.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("timestamp", "spot", "mark", "funding"))
        for ns in feed.ticks:
            state = feed.take(ns)
            spot, quote = state.prices.get("BTC"), state.perps.get(_PERP)
            if spot is not None and quote is not None and quote.mark is not None:
                paid = sum(stamp.rate for stamp in state.funding if stamp.perp == _PERP and stamp.rate is not None)
                rows.writerow((utc_from_ns(ns).isoformat(), spot, quote.mark, paid))


if __name__ == "__main__":
    report("Ticks per second beside other engines.", measure)
