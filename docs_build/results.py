"""What the documents say of results on real history: `python -m docs_build.results --data DIR` runs every mode once.

It writes the numbers to docs/assets/results.json and a chart a mode beside it; the documents are made of those, because
the history is not part of the project.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

import basis_actors
from basis_actors.config import mode_names
from basis_actors.logs.reader import EventLog
from basis_actors.results.equity import EQUITY_FILE, write_equity
from docs_build.charts import chart

__all__ = ["CONFIGURATIONS", "all_modes", "measured", "recorded", "table"]

_ASSETS: Final = Path(__file__).parents[1] / "docs" / "assets"
_FROM_PAGES: Final = "../../assets"
"""The assets as the strategy specs reach them."""
_NUMBERS: Final = (
    "start", "end", "ticks", "currency", "equity_start", "equity_end", "total_return", "annualised_return",
    "volatility", "sharpe", "max_drawdown", "max_drawdown_intraday", "time_invested", "lowest_margin_ratio",
    "lowest_health_factor", "unhedged_hours", "attribution", "residual", "orders", "groups", "rejections",
    "liquidations", "stopped",
)  # fmt: skip
_SHOWN: Final = 5e-6
"""Share of the capital from which a component of PnL has a row."""
_LARGEST: Final = 3
"""Components that a row of all modes names."""
_DIGITS: Final = 10
"""Significant digits that are kept."""
CONFIGURATIONS: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    **{mode: (mode, {}) for mode in mode_names()},
    "ml_usdt_directional": ("ml_btc_directional_usdt_margin", {"strategy_config.signal_threshold": 0.70}),
}
"""Mode and overrides by the name of what is shown."""


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, everything unless named, and write what came of it."""
    parser = argparse.ArgumentParser(description="Run the modes on real history and note the results.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CONFIGURATIONS)}")
    parser.add_argument("--data", type=Path, required=True, help="folder of market history")
    given = parser.parse_args(arguments)
    numbers = dict(recorded()) if given.names else {}
    for name in given.names or CONFIGURATIONS:
        sys.stderr.write(f"running {name}\n")
        with tempfile.TemporaryDirectory(prefix="basis-results-") as folder:
            numbers[name], picture = measured(name, given.data, Path(folder))
        (_ASSETS / f"result_{name}.svg").write_text(picture, encoding="utf-8")
        ordered = {one: numbers[one] for one in CONFIGURATIONS if one in numbers}
        (_ASSETS / "results.json").write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    return 0


def measured(name: str, data: Path, out: Path) -> tuple[dict[str, Any], str]:
    """Numbers and chart of one run over the widest window of the data; its log goes to `out`."""
    mode, overrides = CONFIGURATIONS[name]
    result = basis_actors.backtest(mode, data=data, overrides=overrides, out=out)
    found = msgspec.to_builtins(result.summary)
    write_equity(EventLog(result.run_dir), out / EQUITY_FILE)
    with (out / EQUITY_FILE).open(encoding="utf-8", newline="") as rows:
        daily = [row for row in csv.DictReader(rows) if row["daily_index"]]
    days = [datetime.fromisoformat(row["timestamp"]) for row in daily]
    picture = chart(name, days, [float(row["daily_index"]) for row in daily])
    return {key: _rounded(found[key]) for key in _NUMBERS}, picture


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


@cache
def recorded() -> Mapping[str, Mapping[str, Any]]:
    """The numbers of docs/assets/results.json by name."""
    found: Mapping[str, Mapping[str, Any]] = json.loads((_ASSETS / "results.json").read_text(encoding="utf-8"))
    return found


def table(*names: str) -> str:
    """Commands, numbers and charts of some results, a column each, for a page in docs/specs/strategies."""
    runs = [recorded()[name] for name in names]
    commands = [f"$ {_command(name)}" for name in names]
    rows = [("", *(f"`{name}`" for name in names)), ("---", *("---:" for _ in names)), *_rows(runs)]
    charts = [f"![Return and drawdown of {name} by day]({_FROM_PAGES}/result_{name}.svg)" for name in names]
    parts = [
        "\n".join(["```console", *commands, "```"]),
        "\n".join(f"| {' | '.join(cells)} |" for cells in rows),
        *charts,
    ]
    return "\n\n".join(parts) + "\n"


def all_modes() -> str:
    """A row a mode: window, returns, drawdown, Sharpe ratio, what it came from, orders, liquidations."""
    head = (
        "mode", "window", "in", "return", "a year", "drawdown", "Sharpe", "largest components", "orders", "liquidations"
    )  # fmt: skip
    rows = [
        (
            f"`{mode}`", f"{run['start'][:10]} – {run['end'][:10]}", run["currency"], f"{run['total_return']:+.2%}",
            f"{run['annualised_return']:+.2%}", f"{run['max_drawdown']:.2%}", f"{run['sharpe']:.2f}", _largest(run),
            f"{run['orders']:,}", f"{run['liquidations']:,}",
        )
        for mode, run in recorded().items()
        if mode in mode_names()
    ]  # fmt: skip
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _largest(run: Mapping[str, Any]) -> str:
    shares = {name: amount / run["equity_start"] for name, amount in run["attribution"].items()}
    named = sorted(shares, key=lambda name: -abs(shares[name]))[:_LARGEST]
    return ", ".join(f"{name} {shares[name]:+.2%}" for name in named if abs(shares[name]) >= _SHOWN)


def _rows(runs: list[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    yield "window", *(f"{run['start'][:10]} – {run['end'][:10]}" for run in runs)
    yield "capital", *(_amount(run["equity_start"], run) for run in runs)
    yield "equity at the end", *(_amount(run["equity_end"], run) for run in runs)
    yield "return", *(f"{run['total_return']:+.2%}" for run in runs)
    yield "a year", *(f"{run['annualised_return']:+.2%}" for run in runs)
    yield "volatility", *(f"{run['volatility']:.2%}" for run in runs)
    yield "Sharpe ratio", *(f"{run['sharpe']:.2f}" for run in runs)
    yield "drawdown, daily", *(f"{run['max_drawdown']:.2%}" for run in runs)
    yield "drawdown, intraday", *(f"{run['max_drawdown_intraday']:.2%}" for run in runs)
    yield "time invested", *(f"{run['time_invested']:.1%}" for run in runs)
    for key in ("lowest_margin_ratio", "lowest_health_factor"):
        if any(run[key] is not None for run in runs):
            yield key.replace("_", " "), *("–" if run[key] is None else f"{run[key]:.4f}" for run in runs)
    if any(run["unhedged_hours"] is not None for run in runs):
        yield "hours unhedged", *(f"{run['unhedged_hours']:g}" for run in runs)
    yield "orders", *(f"{run['orders']:,}" for run in runs)
    yield "of them failed", *(f"{run['rejections']:,}" for run in runs)
    yield "liquidations", *(f"{run['liquidations']:,}" for run in runs)
    shares = {
        name: [run["attribution"].get(name, 0.0) / run["equity_start"] for run in runs]
        for name in dict.fromkeys(name for run in runs for name in run["attribution"])
    }
    for name in sorted(shares, key=lambda name: -max(map(abs, shares[name]))):
        if max(map(abs, shares[name])) >= _SHOWN:
            yield f"PnL of {name}", *(f"{share:+.3%}" for share in shares[name])


def _amount(value: float, run: Mapping[str, Any]) -> str:
    return f"{value:,.2f} USDT" if run["currency"] == "USDT" else f"{value:,.4f} {run['currency']}"


def _command(name: str) -> str:
    mode, overrides = CONFIGURATIONS[name]
    settings = (f" --set {key}={value}" for key, value in overrides.items())
    return f"basis-actors backtest {mode} --data ../shared/data{''.join(settings)}"


if __name__ == "__main__":
    sys.exit(main())
