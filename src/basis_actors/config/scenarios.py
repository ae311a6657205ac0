"""Defines what may happen to a market and its venues in a stress test: named scenarios, each a list of shocks.

A scenario file is YAML with the keys of `ScenarioConfig`. Times are hours after the first tick, changes and rates are
fractions: a fall of 30 % is -0.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from basis_actors.config.documents import Document
from basis_actors.config.explain import explain, raise_problems, refusal
from basis_actors.config.library import read_named, venue_names
from basis_actors.config.loading import load_venue
from basis_actors.config.model import Fraction, Hours, HoursOrZero, Model, Problem, Problems, refuse
from basis_actors.config.spelling import hint

__all__ = [
    "BASELINE",
    "SHOCK_KINDS",
    "FundingShock",
    "GasShock",
    "LstShock",
    "OutageShock",
    "PriceShock",
    "ReserveShock",
    "Scenario",
    "ScenarioConfig",
    "Shock",
    "StaleShock",
    "load_scenario",
]

BASELINE: Final = "baseline"
"""Name of the run in which nothing happens; no scenario has it."""

_Change = Annotated[float, Field(gt=-1.0, le=1000.0)]
"""Fraction by which a price changes: -0.3 is a fall of 30 %."""
_Rate = Annotated[float, Field(ge=-10.0, le=10.0)]
"""Fraction of notional per funding interval."""
_Apr = Annotated[float, Field(ge=0.0, le=100.0)]
"""Simple fraction per year; 100 is 10,000 %."""


class ShockBase(Model):
    """What all shocks have."""

    start_hours: HoursOrZero
    """Hours after the first tick, or after the warm-up of a mode that trains; nothing known up to then changes."""


class PriceShock(ShockBase):
    """Every price of some assets moves and stays: on all venues, in spot, perpetuals, marks, pools and oracles."""

    kind: Literal["price"]
    assets: Annotated[tuple[Literal["BTC", "ETH"], ...], Field(min_length=1)]
    change: _Change
    over_hours: Hours
    """How long the move takes; it is even in the logarithm."""


class FundingShock(ShockBase):
    """Settled funding rates of some perpetuals are replaced or moved."""

    kind: Literal["funding"]
    hours: Hours
    perps: str
    """Pattern of names such as `binance:BTC-PERP`; `*` stands for anything."""
    set: _Rate | None = None
    """Rate of every settlement, fraction of notional per interval; longs pay a positive one."""
    add: _Rate | None = None
    """What is added to every rate, fraction of notional per interval."""

    @model_validator(mode="after")
    def _check(self) -> FundingShock:
        refuse(() if (self.set is None) != (self.add is None) else (Problem((), "give set or add, one of them"),))
        return self


class LstShock(ShockBase):
    """The market price of a liquid staking token moves against ETH and comes back; the protocol's rate stays."""

    kind: Literal["lst"]
    lst: Literal["weETH", "wstETH"]
    change: _Change
    over_hours: Hours
    """How long the move takes."""
    hours: HoursOrZero
    """How long it lasts after that."""
    recovery_hours: Hours
    """How long the way back takes."""


class ReserveShock(ShockBase):
    """An Aave reserve is used differently. What is not given follows: the borrow rate from the reserve's curve when
    utilization is given, the supply rate from borrow rate, utilization and reserve factor. Indices grow by the rates.
    """

    kind: Literal["reserve"]
    hours: Hours
    """Rows of a reserve are a day apart: what lasts for less than that shows in the indices only."""
    token: Literal["USDT", "WETH", "weETH", "wstETH"]
    utilization: Fraction | None = None
    borrow_apr: _Apr | None = None
    """Simple fraction per year."""
    supply_apr: _Apr | None = None
    """Simple fraction per year."""

    @model_validator(mode="after")
    def _check(self) -> ReserveShock:
        given = (self.utilization, self.borrow_apr, self.supply_apr)
        text = "changes nothing; utilization, borrow_apr or supply_apr was expected"
        refuse((Problem((), text),) if all(value is None for value in given) else ())
        return self


class OutageShock(ShockBase):
    """An exchange refuses every order and shows nothing, and its bars are missing. Funding is settled as ever."""

    kind: Literal["outage"]
    hours: Hours
    venue: str
    """Name of an exchange."""


class StaleShock(ShockBase):
    """Series have no rows for a while."""

    kind: Literal["stale"]
    hours: Hours
    series: str
    """Pattern of names such as `oracle/WETH_USD`; `*` stands for anything."""


class GasShock(ShockBase):
    """The base fee of the chain stands at one price."""

    kind: Literal["gas"]
    hours: Hours
    gwei: Annotated[float, Field(gt=0.0, le=1e6)]


Shock = PriceShock | FundingShock | LstShock | ReserveShock | OutageShock | StaleShock | GasShock

SHOCK_KINDS: Final[dict[str, type[Shock]]] = {
    "price": PriceShock,
    "funding": FundingShock,
    "lst": LstShock,
    "reserve": ReserveShock,
    "outage": OutageShock,
    "stale": StaleShock,
    "gas": GasShock,
}


class ScenarioConfig(Model):
    """A scenario file."""

    scenario: str
    """Name; that of the file for those in `configs/scenarios`."""
    description: str
    shocks: Annotated[tuple[Shock, ...], Field(min_length=1)]
    """In the order in which they are applied, each to what the ones before left."""

    @field_validator("scenario")
    @classmethod
    def _tells_rows_apart(cls, name: str) -> str:
        if not name.strip() or name == BASELINE:
            what = "a name" if name != BASELINE else "another name, this one is the run in which nothing happens,"
            raise Problems((Problem((), f"is {name!r}; {what} was expected"),))
        return name

    @field_validator("shocks", mode="before")
    @classmethod
    def _each_of_its_kind(cls, value: Any) -> Any:
        if not isinstance(value, tuple):
            return value
        shocks: list[Shock] = []
        problems: list[Problem] = []
        for index, entry in enumerate(value):
            try:
                shocks.append(_shock(entry))
            except Problems as wrong:
                problems += [problem._replace(path=(str(index), *problem.path)) for problem in wrong.found]
        refuse(problems)
        return tuple(shocks)


def _shock(entry: object) -> Shock:
    """One entry of `shocks`. Raises Problems with paths inside the entry."""
    if not isinstance(entry, dict):
        raise Problems((Problem((), f"is {entry!r}; a mapping with the key kind was expected"),))
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in SHOCK_KINDS:
        found = "missing key" if kind is None else f"is {kind!r}"
        text = f"{found}; one of {', '.join(SHOCK_KINDS)} was expected{hint(str(kind), SHOCK_KINDS)}"
        raise Problems((Problem(("kind",), text, missing=kind is None),))
    try:
        return SHOCK_KINDS[kind].model_validate(entry)
    except ValidationError as error:
        raise Problems(tuple(explain(error, SHOCK_KINDS[kind], {}))) from None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that was read, with the lines of its file for whoever finds more that is wrong with it."""

    config: ScenarioConfig
    document: Document

    @property
    def name(self) -> str:
        """Its name."""
        return self.config.scenario

    def refuse(self, problems: Iterable[Problem]) -> None:
        """Raise ConfigError CONFIG-003, naming file, line and key of each of `problems`, when there is any."""
        raise_problems(list(problems), self.document, "CONFIG-003")


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Load and check a scenario of `configs/scenarios`, or one in a file.

    Raises ConfigError CONFIG-003 with every problem, or CONFIG-002 when all that is wrong is missing keys.
    """
    document = read_named(name_or_path, "scenarios")
    try:
        config = ScenarioConfig.model_validate(document.values)
    except ValidationError as error:
        raise refusal([*document.problems, *explain(error, ScenarioConfig, {})], document, "CONFIG-003") from None
    raise_problems(list(document.problems), document, "CONFIG-003")
    scenario = Scenario(config, document)
    scenario.refuse(_without_exchange(config))
    return scenario


def _without_exchange(config: ScenarioConfig) -> Iterator[Problem]:
    exchanges = [name for name in venue_names() if load_venue(name).kind == "exchange"]
    for index, shock in enumerate(config.shocks):
        if isinstance(shock, OutageShock) and shock.venue not in exchanges:
            text = f"is {shock.venue!r}; one of the exchanges {', '.join(exchanges)} was expected"
            yield Problem(("shocks", str(index), "venue"), text + hint(shock.venue, exchanges))
