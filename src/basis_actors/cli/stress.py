"""Defines the command `stress`: a mode under named scenarios, as one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_actors.cli.terminal import DONE, FAILED, INTERRUPTED, complain, results

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table
    from rich.text import Text

    from basis_actors.services.backtest import Progress
    from basis_actors.services.stress import StressReport, StressRequest, StressRow

__all__ = ["stress"]

_MARKET = "Market and money"
_CONFIGURATION = "Configuration"
_OUTPUT = "Output"


def _list_scenarios(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    """Print the scenarios of the library and end."""
    if not wanted:
        return
    from rich.padding import Padding
    from rich.text import Text

    from basis_actors.config.library import scenario_names
    from basis_actors.config.scenarios import load_scenario

    console = results()
    for name in scenario_names():
        console.print(Text(name, style="bold cyan"))
        console.print(Padding(load_scenario(name).config.description, (0, 0, 0, 2), expand=False))
    raise typer.Exit(DONE)


def stress(
    mode: Annotated[
        str, typer.Argument(metavar="MODE", help="Name of a mode (see `basis-actors modes`), or a mode file.")
    ],
    *,
    scenarios: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario",
            metavar="NAME|FILE",
            help="Scenario of `configs/scenarios`, or a YAML file; all of `configs/scenarios` without it. Repeatable.",
            rich_help_panel=_MARKET,
        ),
    ] = None,
    _list: Annotated[
        bool,
        typer.Option(
            "--list",
            help="List the scenarios of `configs/scenarios` and exit.",
            is_eager=True,
            callback=_list_scenarios,
            rich_help_panel=_MARKET,
        ),
    ] = False,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Of the synthetic market.", rich_help_panel=_MARKET)
    ] = None,
    days: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Length of each run, 90 unless given.", rich_help_panel=_MARKET)
    ] = None,
    capital: Annotated[
        float | None,
        typer.Option(metavar="AMOUNT", help="In tokens of the share class.", rich_help_panel=_MARKET),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="YAML laid over the mode. Repeatable.", rich_help_panel=_CONFIGURATION),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One key, on top of that: strategy_config.leverage=1.0. Repeatable.",
            rich_help_panel=_CONFIGURATION,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where run directories are made.", rich_help_panel=_OUTPUT)
    ] = Path("logs"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table as one line of JSON.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Run a mode through named scenarios on the synthetic market, and print what each would have done to it.

    The first row is the same market without any shock. A scenario file is YAML:

        scenario: my_crash
        description: BTC loses a third in two hours while Binance is away.
        shocks:
          - {kind: price, start_hours: 480, assets: [BTC], change: -0.33, over_hours: 2}
          - {kind: outage, start_hours: 480, hours: 12, venue: binance}

    Times are hours after the first tick (after the warm-up of a mode that trains), changes and rates are fractions.

    - price: assets, change, over_hours
    - funding: hours, perps, set or add
    - lst: lst, change, over_hours, hours, recovery_hours
    - reserve: hours, token, utilization, borrow_apr, supply_apr
    - outage: hours, venue
    - stale: hours, series
    - gas: hours, gwei

    The drawdown is intraday: the deepest fall from a peak at any calculation.

    Exit codes: 0 all ran, 1 a run failed, 2 bad input, 130 interrupted.
    """
    from basis_actors.services.preparation import DEFAULT_SEED, DEMO_DAYS
    from basis_actors.services.stress import StressRequest

    request = StressRequest(
        mode=mode,
        scenarios=scenarios or [],
        seed=DEFAULT_SEED if seed is None else seed,
        days=DEMO_DAYS if days is None else days,
        capital=capital,
        overlays=config or [],
        settings=settings or [],
        out=out,
    )
    raise typer.Exit(_run(request, as_json=as_json))


def _run(request: StressRequest, *, as_json: bool) -> int:
    from basis_actors.cli.interruption import Interruption
    from basis_actors.cli.progress import progress_display
    from basis_actors.services.stress import StressTest

    with Interruption() as interruption:
        try:
            with progress_display(str(request.mode), wanted=True) as display:
                display.loading()
                test = StressTest(request)
                interruption.hold()
                interruption.cancels(test.cancel)
                report = test.run(_over_all(test.names, display.update))
        except KeyboardInterrupt:
            complain("nothing was run", "Interrupted")
            return INTERRUPTED
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(report))
    else:
        _show(report)
    if report.interrupted:
        complain(f"ended after {len(report.rows)} of {len(test.names)} runs", "Interrupted")
        return INTERRUPTED
    for row in report.rows:
        if row.failure is not None:
            complain(f"{row.scenario}: {row.failure}; the log is in {row.run_dir}", "Failed")
    return FAILED if report.failed else DONE


def _over_all(names: tuple[str, ...], show: Callable[[Progress], None]) -> Callable[[str, Progress], None]:
    """Progress of one run as progress of all, which are equally long."""
    from basis_actors.services.backtest import Progress

    before: dict[str, float] = {}

    def update(name: str, done: Progress) -> None:
        number = names.index(name)
        before[name] = done.seconds
        seconds = sum(before.values())
        total = done.total or 0
        show(Progress(number * total + done.ticks, len(names) * total, seconds))

    return update


def _show(report: StressReport) -> None:
    from rich.text import Text

    console = results()
    market = f"synthetic, seed {report.seed}: generated prices, not history"
    length = f"{report.days} days a run"
    if report.warm_up_days:
        length += f" after {report.warm_up_days} of warm-up"
    console.print(
        Text.assemble((report.mode, "bold cyan"), f"  {report.share_class}, {length}  ", (market, "dim")),
        soft_wrap=True,
    )
    console.print(_table(report))
    for row in report.rows:
        said = _news(row, report.rows[0])
        if row.stopped is not None:
            said.append(f"trading was stopped: {row.stopped}")
        for text in said:
            console.print(Text.assemble((f"{row.scenario}: ", "bold"), text), soft_wrap=True)


def _table(report: StressReport) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0, header_style="dim")
    table.add_column("\nscenario", no_wrap=True)
    for title in ("\nreturn", "\ndrawdown", "lowest\nhealth", "lowest\nmargin", "\nliquidated", "\nunhedged"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("\nstate", no_wrap=True)
    for row in report.rows:
        liquidations = (
            Text(f"{row.liquidations:,}", style="bold red") if row.liquidations else Text("none", style="dim")
        )
        table.add_row(
            Text(row.scenario),
            _return(row),
            f"{row.max_drawdown:.2%}",
            _ratio(row.lowest_health_factor),
            _ratio(row.lowest_margin_ratio),
            liquidations,
            Text("–", style="dim") if row.unhedged_hours is None else f"{row.unhedged_hours:,.0f} h",
            _state(row, report.rows[0]),
        )
    return table


def _return(row: StressRow) -> Text:
    from rich.text import Text

    if row.total_return is None:
        return Text("–", style="dim")
    return Text(f"{row.total_return:+.2%}", style="red" if row.total_return < 0.0 else "green")


def _ratio(value: float | None) -> Text:
    from rich.text import Text

    return Text("–", style="dim") if value is None else Text(f"{value:.3f}")


def _state(row: StressRow, baseline: StressRow) -> Text:
    """Whether it failed or was stopped, or that the mode has nothing to do with what happened."""
    from rich.text import Text

    if row.failure is not None:
        return Text("failed", style="bold red")
    if row.stopped is not None:
        return Text("stopped", style="yellow")
    if _news(row, baseline):
        return Text("warned", style="yellow")
    untouched = row is not baseline and _outcome(row) == _outcome(baseline)
    return Text("no effect" if untouched else "", style="dim")


def _news(row: StressRow, baseline: StressRow) -> list[str]:
    """What a run warned of and the baseline did not."""
    from basis_actors.results.recurring import kind_of

    usual = set(map(kind_of, baseline.warnings))
    return [text for text in row.warnings if kind_of(text) not in usual]


def _outcome(row: StressRow) -> tuple[float | None, ...]:
    return (row.total_return, row.max_drawdown, row.lowest_health_factor, row.lowest_margin_ratio, row.unhedged_hours)
