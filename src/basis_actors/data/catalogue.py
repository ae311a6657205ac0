"""Defines the data layout: which series there are, their columns and units, and how a file is named after a series.

A file is `<logical name>[_24h_median][_<step>].csv.gz` or `.parquet` below one folder. Its first column `timestamp` is
UTC, ISO-8601 with `Z`, strictly increasing. Bars carry their opening time, funding its settlement time, on-chain
values the time of the block. Gaps stay gaps: no row is the way to say that nothing is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from basis_actors.data.stamps import DAY, HOUR, step_from_text, step_text

__all__ = ["KINDS", "STAMP", "Column", "Form", "Rule", "SeriesKind", "file_stem", "kind_of", "split_stem"]

STAMP: Final = "timestamp"


class Rule(StrEnum):
    """What a number must be."""

    PRICE = "a finite number greater than 0"
    AMOUNT = "a finite number of 0 or more"
    NUMBER = "a finite number"


class Form(StrEnum):
    """How a value is written in CSV."""

    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE = "date"
    """`2024-08-15`; in memory seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a series."""

    name: str
    unit: str
    rule: Rule
    required: bool = True
    """An optional column may be absent, and a value in it may be blank (NaN in memory)."""
    form: Form = Form.DECIMAL


@dataclass(frozen=True, slots=True)
class SeriesKind:
    """What all series of one sort have in common."""

    name: str
    pattern: re.Pattern[str]
    """Matches the logical names."""
    columns: tuple[Column, ...]
    gridded: bool
    """Whether stamps are multiples of a step. Without a grid they are whole minutes."""
    step_in_name: bool = False
    """Whether the file name always ends in the step; otherwise only where the step is not `default_step_ns`."""
    default_step_ns: int | None = None
    suffix: str = ""
    """Comes between the logical name and the step in a file name."""
    known_after_step: bool = False
    """Whether a row is known one step after its stamp (bars, rolling statistics) or at its stamp."""

    def column(self, name: str) -> Column | None:
        """The column called `name`, None when the series has none."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that every file has."""
        return tuple(column.name for column in self.columns if column.required)


def _ohlc(quote: str) -> tuple[Column, ...]:
    return tuple(Column(name, quote, Rule.PRICE) for name in ("open", "high", "low", "close"))


_BLOCK: Final = Column("block_number", "Ethereum block", Rule.AMOUNT, required=False, form=Form.INTEGER)

KINDS: Final[tuple[SeriesKind, ...]] = (
    SeriesKind(
        "bars",
        re.compile(r"cex/[a-z0-9]+/[A-Z0-9]+_(spot|perp)"),
        (*_ohlc("USDT"), Column("volume", "base asset", Rule.AMOUNT, required=False)),
        gridded=True,
        step_in_name=True,
        known_after_step=True,
    ),
    SeriesKind(
        "mark bars",
        re.compile(r"cex/[a-z0-9]+/[A-Z0-9]+_mark"),
        _ohlc("USDT"),
        gridded=True,
        step_in_name=True,
        known_after_step=True,
    ),
    SeriesKind(
        "funding",
        re.compile(r"cex/[a-z0-9]+/[A-Z0-9]+_funding"),
        (
            Column("funding_rate", "fraction of notional per interval, paid by longs to shorts", Rule.NUMBER),
            Column("mark_price", "USDT, mark at the settlement", Rule.PRICE, required=False),
        ),
        gridded=False,
    ),
    SeriesKind(
        "pool bars",
        re.compile(r"dex/[a-z0-9_]+/[A-Za-z0-9]+_spot"),
        (*_ohlc("quote token per base token"), Column("volume", "quote token", Rule.AMOUNT, required=False)),
        gridded=True,
        step_in_name=True,
        known_after_step=True,
    ),
    SeriesKind(
        "lending rates",
        re.compile(r"(aave_v3|morpho)/[A-Za-z0-9]+_rates"),
        (
            Column("liquidity_rate_apr", "fraction per year, simple, at the block", Rule.AMOUNT),
            Column("variable_borrow_rate_apr", "fraction per year, simple, at the block", Rule.AMOUNT),
            Column("liquidity_index", "index, 1 at the start of the reserve", Rule.PRICE),
            Column("variable_borrow_index", "index, 1 at the start of the reserve", Rule.PRICE),
            Column("utilization", "fraction, debt / supplied", Rule.AMOUNT),
            Column("total_supplied", "underlying token", Rule.AMOUNT, required=False),
            Column("total_variable_debt", "underlying token", Rule.AMOUNT, required=False),
            _BLOCK,
        ),
        gridded=True,
        default_step_ns=DAY,
    ),
    SeriesKind(
        "oracle price",
        re.compile(r"oracle/[A-Za-z0-9]+_(USD|ETH)"),
        (Column("price", "USD or ETH per token", Rule.PRICE), _BLOCK),
        gridded=True,
        default_step_ns=DAY,
    ),
    SeriesKind(
        "market rate",
        re.compile(r"staking/[A-Za-z0-9]+_market_rate"),
        (Column("market_rate_median_24h", "ETH per token, rolling 24 h median of pool prices", Rule.PRICE),),
        gridded=True,
        default_step_ns=HOUR,
        suffix="_24h_median",
        known_after_step=True,
    ),
    SeriesKind(
        "yield",
        re.compile(r"staking/[A-Za-z0-9_]+_apy"),
        (
            Column("base_apy_pct", "percent per year", Rule.NUMBER),
            Column("reward_apy_pct", "percent per year", Rule.NUMBER, required=False),
        ),
        gridded=True,
        default_step_ns=DAY,
    ),
    SeriesKind(
        "gas",
        re.compile(r"gas/[a-z0-9_]+_gas"),
        (
            Column("base_fee_gwei", "gwei", Rule.PRICE),
            Column("priority_fee_p25_gwei", "gwei, 25th percentile tip", Rule.AMOUNT, required=False),
            Column("priority_fee_p50_gwei", "gwei, median tip", Rule.AMOUNT),
            Column("priority_fee_p75_gwei", "gwei, 75th percentile tip", Rule.AMOUNT, required=False),
            Column("gas_price_gwei", "gwei, base fee + median tip", Rule.AMOUNT, required=False),
            _BLOCK,
            Column("block_timestamp", "Unix seconds", Rule.AMOUNT, required=False, form=Form.INTEGER),
        ),
        gridded=False,
        step_in_name=True,
    ),
    SeriesKind(
        "weekly rewards",
        re.compile(r"rewards/eigen_weekly"),
        (
            Column("period_start", "date", Rule.NUMBER, form=Form.DATE),
            Column("eigen_per_eeth_weekly", "EIGEN per eETH per week as published", Rule.AMOUNT),
            Column("eigen_earned", "EIGEN", Rule.AMOUNT),
            Column("eth_restaked", "ETH", Rule.AMOUNT),
            Column("eth_not_restaked", "ETH", Rule.AMOUNT),
        ),
        gridded=False,
    ),
    SeriesKind(
        "reward top-ups",
        re.compile(r"rewards/ethfi_topups"),
        (
            Column("period_start", "date", Rule.NUMBER, form=Form.DATE),
            Column("period_end", "date", Rule.NUMBER, form=Form.DATE),
            Column("ethfi_amount", "ETHFI", Rule.AMOUNT),
            Column("ethfi_per_eeth_distributed", "ETHFI per eETH as published", Rule.AMOUNT),
        ),
        gridded=False,
    ),
)


def kind_of(name: str) -> SeriesKind | None:
    """The kind of the series with this logical name; None for a name that the layout does not know."""
    return next((kind for kind in KINDS if kind.pattern.fullmatch(name)), None)


def split_stem(stem: str) -> tuple[str, int | None] | None:
    """Logical name and step in ns of a file path without its ending; None when the layout does not know it.

    A bar file without a step in its name is not known, because its closing times could not be.
    """
    name, step_ns = stem, None
    found = re.fullmatch(r"(.+)_([1-9][0-9]*[mhd])", stem)
    if found is not None:
        name, step_ns = found[1], step_from_text(found[2])
    for kind in KINDS:
        bare = name.removesuffix(kind.suffix)
        if kind.pattern.fullmatch(bare) is None:
            continue
        if step_ns is None:
            return None if kind.step_in_name else (bare, kind.default_step_ns)
        has_step = kind.step_in_name or kind.default_step_ns is not None
        return (bare, step_ns) if has_step else None
    return None


def file_stem(name: str, step_ns: int | None) -> str:
    """The file path of a series inside its folder, without the ending. Raises KeyError for an unknown series."""
    kind = kind_of(name)
    if kind is None:
        raise KeyError(f"series {name!r} is not in the data layout (basis_actors.data.catalogue.KINDS)")
    if step_ns is None or (step_ns == kind.default_step_ns and not kind.step_in_name):
        return f"{name}{kind.suffix}"
    return f"{name}{kind.suffix}_{step_text(step_ns)}"
