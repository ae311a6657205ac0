"""A year of hourly basis trade in fractal-defi: spot against a perp, rebalanced by leverage. Prints JSON."""

from __future__ import annotations

import csv
import json
import sys
import time
from datetime import datetime
from pathlib import Path

from fractal.core.base import Observation
from fractal.core.entities.protocols.hyperliquid import HyperliquidGlobalState
from fractal.core.entities.protocols.uniswap_v3_spot import UniswapV3SpotGlobalState
from fractal.strategies.hyperliquid_basis import HyperliquidBasis, HyperliquidBasisParams


def main(market: str) -> None:
    """Run the strategy that the library brings over the market of a file."""
    with Path(market).open(encoding="utf-8") as file:
        rows = [
            (datetime.fromisoformat(row["timestamp"]), float(row["spot"]), float(row["mark"]), float(row["funding"]))
            for row in csv.DictReader(file)
        ]
    observations = [
        Observation(at, {"HEDGE": HyperliquidGlobalState(mark, funding), "SPOT": UniswapV3SpotGlobalState(spot)})
        for at, spot, mark, funding in rows
    ]
    parameters = HyperliquidBasisParams(
        MIN_LEVERAGE=1.0, TARGET_LEVERAGE=2.0, MAX_LEVERAGE=4.0, INITIAL_BALANCE=100_000.0, EXECUTION_COST=0.002
    )
    strategy = HyperliquidBasis(params=parameters)
    begin = time.perf_counter()
    result = strategy.run(observations)
    seconds = time.perf_counter() - begin
    print(json.dumps({"ticks": len(rows), "seconds": seconds, "equity": sum(result.balances[-1].values())}))


if __name__ == "__main__":
    main(sys.argv[1])
