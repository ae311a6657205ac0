"""Runs a finished run again, from the market and the configuration that it recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from pydantic import ValidationError

from basis_actors.config import RunConfig
from basis_actors.config.effective import effective_values
from basis_actors.errors import BasisError, ConfigError, DataError
from basis_actors.logs.directory import METADATA_FILE, LogDirectoryManager, RunMetadata, RunStatus
from basis_actors.logs.queries.difference import FileDifference, difference
from basis_actors.logs.queries.source import RunLog
from basis_actors.logs.redaction import HIDDEN
from basis_actors.messages.book import Flow
from basis_actors.results.run_files import CONFIG_FILE, read_config
from basis_actors.services.backtest import Backtest, Progress
from basis_actors.services.preparation import DEFAULT_SEED, BacktestRequest, Prepared, Runtime, prepare

__all__ = ["prepare_again", "rerun"]

_SHOWN: Final = 3


class _Asked(msgspec.Struct, frozen=True):
    """What `metadata.json` says of how the run was asked for."""

    start: datetime
    end: datetime
    data: str | None
    runtime: Runtime
    frictionless: bool
    seed: int | None
    flows: Annotated[list[tuple[datetime, float]], msgspec.Meta(min_length=1)]
    """The first is the capital."""
    scenario: str | None


def rerun(
    run_dir: Path, out: Path, *, data: Path | None = None, progress: Callable[[Progress], None] = lambda _: None
) -> list[FileDifference]:
    """Run it again below `out`, and compare: an entry an event file, without a line where the two are the same.

    Where the first run was cut off, or was ended before its window, only what it has is compared. Raises as
    `prepare_again`.
    """
    again = Backtest(prepare_again(run_dir, out, data=data))
    again.run(progress)
    found = list(difference(RunLog(run_dir), RunLog(again.run_dir)))
    if LogDirectoryManager.read_metadata(run_dir).status is RunStatus.COMPLETED:
        return found
    return [msgspec.structs.replace(entry, line=None, b=None) if entry.a is None else entry for entry in found]


def prepare_again(run_dir: Path, out: Path, *, data: Path | None = None) -> Prepared:
    """The same run once more, to be written below `out` under the same name.

    Same configuration, window, capital and flows; the same market: its seed, or the files of its folder, which may have
    moved to `data`. Raises BasisError LOG-003 for what is no run directory or does not say enough, LOG-006 for a
    process whose market did not wait, CONFIG-003 for a configuration with secrets, of another version or edited since,
    DATA-002 for a market that is not the one recorded, and STRAT-003 for a run under a scenario.
    """
    metadata = LogDirectoryManager.read_metadata(run_dir)
    if metadata.options.get("real_time"):
        raise BasisError(
            "LOG-006",
            f"{run_dir} is of a process whose market did not wait for it, so that no second run can be the same;"
            " `basis-actors logs diff` holds it against a backtest of the same hours",
        )
    asked = _asked(run_dir, metadata)
    if asked.scenario is not None:
        raise BasisError(
            "STRAT-003",
            f"{run_dir} was run under the scenario {asked.scenario!r}, which its log does not hold; run it again with"
            f" `basis-actors stress {metadata.mode} --scenario {asked.scenario}`",
        )
    folder = None if asked.data is None else (data or Path(asked.data))
    if folder is None and data is not None:
        raise ConfigError(
            "CONFIG-003", f"{run_dir} was run on a synthetic market, and --data {data} is given; leave it out"
        )
    values = read_config(run_dir)
    request = BacktestRequest(
        mode=_configuration(values, run_dir / CONFIG_FILE),
        data=folder,
        start=asked.start,
        end=asked.end,
        capital=asked.flows[0][1],
        flows=[Flow(moment, amount) for moment, amount in asked.flows[1:]],
        out=out,
        correlation_id=metadata.correlation_id,
        runtime=asked.runtime,
        seed=DEFAULT_SEED if asked.seed is None else asked.seed,
    )
    prepared = prepare(request)
    if metadata.config_hash is not None and prepared.config_hash != metadata.config_hash:
        raise ConfigError(
            "CONFIG-003",
            f"{run_dir / CONFIG_FILE} is not the configuration that the run had: its sha256 is"
            f" {prepared.config_hash[:12]}, and {METADATA_FILE} has {metadata.config_hash[:12]}; it was edited, or"
            " written by another version: run the mode anew",
        )
    _require_same(metadata.data_hashes, prepared.dataset.hashes | prepared.strategy.input_hashes, folder)
    # The log seals the file, so that its keys have to be in the same order too.
    return replace(prepared, effective=effective_values(prepared.run, values))


def _asked(run_dir: Path, metadata: RunMetadata) -> _Asked:
    try:
        return msgspec.convert(metadata.options, _Asked)
    except msgspec.ValidationError as error:
        raise BasisError(
            "LOG-003", f"{run_dir} does not say how it was asked for: {error}; run the mode anew"
        ) from error


def _configuration(values: Mapping[str, Any], path: Path) -> RunConfig:
    if hidden := _hidden(values):
        raise ConfigError("CONFIG-003", f"{path}: {hidden} is a secret that was not written down; run the mode anew")
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            "CONFIG-003",
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; expected a configuration as"
            " this version writes it: run the mode anew",
        ) from None


def _hidden(value: Any, path: str = "") -> str:
    """Where the first secret was taken out; empty where there is none."""
    if isinstance(value, str):
        return path if HIDDEN in value else ""
    inner: Any = ()
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, (list, tuple)):
        inner = enumerate(value)
    return next((found for key, part in inner if (found := _hidden(part, f"{path}.{key}".lstrip(".")))), "")


def _require_same(recorded: Mapping[str, str], now: Mapping[str, str], folder: Path | None) -> None:
    changed = sorted(name for name in recorded if now.get(name) != recorded[name])
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise DataError(
            "DATA-002",
            f"{', '.join(changed[:_SHOWN])}{more} in {folder} are not what the run read: their sha256 differs;"
            " name the folder that it read with --data",
        )
