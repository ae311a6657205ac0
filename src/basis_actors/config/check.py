"""Defines what `modes` and `config check` say: one row a mode, one result a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from basis_actors.config.documents import read_document
from basis_actors.config.library import config_root, mode_names, scenario_names, share_class_names, venue_names
from basis_actors.config.loading import load_mode, load_share_class, load_venue
from basis_actors.config.models import ModeConfig
from basis_actors.config.scenarios import load_scenario
from basis_actors.errors import ConfigError

__all__ = ["CheckResult", "ModeRow", "check_targets", "mode_table"]


@dataclass(frozen=True, slots=True)
class ModeRow:
    """One mode as a table shows it."""

    mode: str
    strategy: str
    share_class: str
    venues: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of checking one file or mode."""

    target: str
    """What was asked for; a file of the library by its path from `configs/` on."""
    kind: str
    """`mode`, `venue`, `share class`, `scenario`, or `overlay` for a file to lay over a mode."""
    error: ConfigError | None
    """None when it can be used."""

    @property
    def ok(self) -> bool:
        """Whether it can be used."""
        return self.error is None


def mode_table() -> list[ModeRow]:
    """All modes, sorted by name. Raises ConfigError when one of them is not valid."""
    modes = [load_mode(name).mode for name in mode_names()]
    return [ModeRow(mode.mode, mode.strategy, mode.share_class, mode.venues, mode.description) for mode in modes]


def check_targets(
    targets: Sequence[str] = (), *, overlays: Sequence[Path] = (), settings: Sequence[str] = ()
) -> list[CheckResult]:
    """Check modes by name and files of any kind by path; without targets, everything in `configs`.

    `overlays` and `settings` are laid over each target, as in `load_mode`; all of them have to be modes then. A target
    that cannot be used gives a result with its error. Raises ConfigError CONFIG-003 for something to lay over nothing.
    """
    if targets:
        return [_check(target, target, overlays, settings) for target in targets]
    if overlays or settings:
        raise ConfigError(
            "CONFIG-003", "--config and --set are laid over a mode, and none is given; name it before them"
        )
    folders = (
        ("modes", mode_names()),
        ("venues", venue_names()),
        ("share_classes", share_class_names()),
        ("scenarios", scenario_names()),
    )
    files = [Path(folder) / f"{name}.yaml" for folder, names in folders for name in names]
    return [_check(str(config_root() / file), str("configs" / file)) for file in files]


def _check(target: str, shown: str, overlays: Sequence[Path] = (), settings: Sequence[str] = ()) -> CheckResult:
    kind = "mode"
    try:
        kind = _kind_of(target)
        if kind == "mode":
            load_mode(target, overlays=overlays, settings=settings)
        elif overlays or settings:
            raise ConfigError("CONFIG-003", f"{target} is no mode ({kind}), and nothing can be laid over it")
        elif kind == "venue":
            load_venue(target)
        elif kind == "share class":
            load_share_class(target)
        elif kind == "scenario":
            load_scenario(target)
        else:
            raise ConfigError(
                "CONFIG-002",
                f"{target} has neither a mode nor a strategy, like a file to lay over a mode; check it with the mode:"
                f" basis-actors config check MODE --config {target}",
            )
    except ConfigError as error:
        return CheckResult(shown, kind, error)
    return CheckResult(shown, kind, None)


def _kind_of(target: str) -> str:
    """A venue has a kind, a share class a currency, a scenario shocks; everything else is a mode or part of one."""
    file = Path(target)
    if target in mode_names() or not file.is_file():
        return "mode"
    values = read_document(file, target).values
    if "kind" in values:
        return "venue"
    if "shocks" in values:
        return "scenario"
    if "currency" in values:
        return "share class"
    named = values.keys() & {"mode", "strategy"}
    parts = {*ModeConfig.model_fields, "venue_configs"}
    return "mode" if named or not values or not values.keys() <= parts else "overlay"
