"""Defines how a mode is found, completed from its venues and share class, overridden, checked and returned.

`config_root` decides which configuration folder is read; nothing else knows where files are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError, model_validator

from basis_actors.config.coherence import mode_problems, run_problems
from basis_actors.config.documents import Document, KeyPath, Origin, read_document
from basis_actors.config.explain import explain, nearest
from basis_actors.config.layers import apply_settings, branch, document_of, lay_over, put
from basis_actors.config.model import Model, Problem, refuse
from basis_actors.config.models import ModeConfig, ShareClassConfig
from basis_actors.config.strategies import STRATEGY_CONFIGS
from basis_actors.config.venues import VENUE_KINDS, DexVenue, ExchangeVenue, VenueConfig
from basis_actors.errors import ConfigError

__all__ = [
    "RunConfig",
    "config_root",
    "load_mode",
    "load_share_class",
    "load_venue",
    "mode_names",
    "share_class_names",
    "venue_names",
]

M = TypeVar("M", bound=Model)
_NO_IMPACT = (0.0, 0.0, 0.0)


class RunConfig(Model):
    """Everything a run is configured with, checked as a whole."""

    mode: ModeConfig
    venues: dict[str, VenueConfig]
    """By name, in the order of `mode.venues`, as they hold in this run."""
    share_class: ShareClassConfig

    @model_validator(mode="after")
    def _check(self) -> RunConfig:
        refuse(mode_problems(self.mode))
        refuse(run_problems(self.mode, self.venues, self.share_class))
        return self


def config_root() -> Path:
    """The configuration folder: the one inside the installed package, or the checkout's top-level `configs`.

    Raises ConfigError CONFIG-003 when neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "configs", package.parents[1] / "configs"):
        if (folder / "modes").is_dir():
            return folder
    raise ConfigError("CONFIG-003", f"no configuration beside {package}: the package is incomplete; install it again")


def mode_names() -> tuple[str, ...]:
    """Names of all modes, sorted."""
    return _names("modes")


def venue_names() -> tuple[str, ...]:
    """Names of all venues, sorted."""
    return _names("venues")


def share_class_names() -> tuple[str, ...]:
    """Names of all share classes, sorted."""
    return _names("share_classes")


def _names(folder: str) -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in (config_root() / folder).glob("*.yaml")))


def load_mode(
    name_or_path: str | Path,
    overrides: Mapping[str, object] | None = None,
    *,
    overlays: Sequence[Path] = (),
    settings: Sequence[str] = (),
) -> RunConfig:
    """Load and check a mode with its venues and share class.

    `overlays` are YAML files laid over the mode (`--config`), `overrides` nested mappings laid over that or dotted
    keys put on top, `settings` texts `a.b=c` (`--set`). The key `venue_configs.<venue>` reaches into a venue.
    Raises ConfigError: CONFIG-001 for a mode that does not exist, CONFIG-004 for a venue, CONFIG-002 when all that
    is wrong is missing keys, CONFIG-003 otherwise.
    """
    document = _read(_mode_file(name_or_path))
    for file in overlays:
        document = lay_over(document, _read(file))
    nested, dotted = document_of(overrides or {}, "overrides")
    document = lay_over(document, nested)
    for path, value in dotted:
        document = put(document, path, value, Origin("overrides", None))
    return _assemble(apply_settings(document, settings))


def load_venue(name: str) -> VenueConfig:
    """Load and check one venue by name. Raises ConfigError CONFIG-004."""
    return _venue(_read(config_root() / "venues" / f"{_known(name, 'venues')}.yaml"))


def load_share_class(name: str) -> ShareClassConfig:
    """Load and check one share class by name. Raises ConfigError CONFIG-003."""
    document = _read(config_root() / "share_classes" / f"{_known(name, 'share_classes')}.yaml")
    return _validated(ShareClassConfig, document, "CONFIG-003")


def _mode_file(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text:
        file = Path(name_or_path)
        if not file.is_file():
            raise ConfigError("CONFIG-001", f"no mode file {text}; give a file that exists or a mode: {_modes()}")
        return file
    if text not in mode_names():
        near = nearest(text, mode_names())
        hint = f"; nearest: {near}" if near else ""
        raise ConfigError("CONFIG-001", f"unknown mode {text!r}{hint}; modes: {_modes()}")
    return config_root() / "modes" / f"{text}.yaml"


def _modes() -> str:
    return ", ".join(mode_names())


def _known(name: str, folder: str) -> str:
    names = _names(folder)
    if name in names:
        return name
    near = nearest(name, names)
    code = "CONFIG-004" if folder == "venues" else "CONFIG-003"
    what = "venue" if folder == "venues" else "share class"
    hint = f"; nearest: {near}" if near else ""
    raise ConfigError(code, f"unknown {what} {name!r}{hint}; there are: {', '.join(names)}")


def _read(file: Path) -> Document:
    root = config_root().resolve()
    inside = file.resolve().is_relative_to(root)
    return read_document(file, str(file.resolve().relative_to(root.parent)) if inside else str(file))


def _assemble(document: Document) -> RunConfig:
    per_venue = branch(document, ("venue_configs",))
    values = {key: value for key, value in document.values.items() if key != "venue_configs"}
    document = _with_drawdown_limit(Document(values, document.origins, document.problems))
    mode = _validated(ModeConfig, document, "CONFIG-003")
    _raise(list(mode_problems(mode)), document, "CONFIG-003")
    _raise(list(_unlisted(per_venue, mode)), document, "CONFIG-003")
    venues = {name: _venue_of(name, index, document, per_venue) for index, name in enumerate(mode.venues)}
    share_class = load_share_class(mode.share_class)
    _raise(list(run_problems(mode, venues, share_class)), document, "CONFIG-003")
    if not mode.enable_market_impact:
        venues = {name: without_impact(venue) for name, venue in venues.items()}
    return RunConfig(mode=mode, venues=venues, share_class=share_class)


def _unlisted(per_venue: Document, mode: ModeConfig) -> list[Problem]:
    return [
        Problem(("venue_configs", name), f"names a venue that the mode does not list; venues: {', '.join(mode.venues)}")
        for name in per_venue.values
        if name not in mode.venues
    ]


def _with_drawdown_limit(document: Document) -> Document:
    """Take `risk_limits.max_drawdown` from the share class where the mode does not set it."""
    name, limits = document.values.get("share_class"), document.values.get("risk_limits")
    if not isinstance(name, str):
        return document
    if name not in share_class_names():
        near = nearest(name, share_class_names())
        hint = f"; nearest: {near}" if near else ""
        text = f"is {name!r}; one of {', '.join(share_class_names())} was expected{hint}"
        return Document(document.values, document.origins, (*document.problems, Problem(("share_class",), text)))
    if not isinstance(limits, dict) or "max_drawdown" in limits:
        return document
    limit = load_share_class(name).drawdown_limit
    origin = Origin(f"configs/share_classes/{name}.yaml", None)
    return put(document, ("risk_limits", "max_drawdown"), limit, origin)


def _venue_of(name: str, index: int, mode: Document, per_venue: Document) -> VenueConfig:
    if name not in venue_names():
        near = nearest(name, venue_names())
        hint = f"; nearest: {near}" if near else ""
        text = f"is {name!r}, for which there is no file; venues: {', '.join(venue_names())}{hint}"
        _raise([Problem(("venues", str(index)), text)], mode, "CONFIG-004")
    document = _read(config_root() / "venues" / f"{name}.yaml")
    return _venue(lay_over(document, branch(per_venue, (name,))))


def _venue(document: Document) -> VenueConfig:
    kind = document.values.get("kind")
    if not isinstance(kind, str) or kind not in VENUE_KINDS:
        found = "missing key" if kind is None else f"is {kind!r}"
        text = f"{found}; one of {', '.join(VENUE_KINDS)} was expected"
        _raise([*document.problems, Problem(("kind",), text)], document, "CONFIG-004")
    return _validated(VENUE_KINDS[str(kind)], _with_brackets(document), "CONFIG-004")


def _with_brackets(document: Document) -> Document:
    """Put the margin table of the venue that `brackets_from` names in its place, so that there is one copy of it."""
    for book in ("perp", "inverse_perp"):
        for base, market in branch(document, (book, "markets")).values.items():
            lender = market.get("brackets_from") if isinstance(market, dict) else None
            if not isinstance(lender, str):
                continue
            path: KeyPath = (book, "markets", str(base), "brackets")
            if "brackets" in market:
                _raise([Problem(path, "give brackets or brackets_from, not both")], document, "CONFIG-004")
            own = lender == document.values.get("venue")
            source = document if own else _read(config_root() / "venues" / f"{_known(lender, 'venues')}.yaml")
            table = branch(source, ("perp", "markets", str(base))).values.get("brackets")
            if table is None:
                text = f"is {lender!r}, whose perp market {base} has no brackets of its own"
                _raise([Problem((*path[:-1], "brackets_from"), text)], document, "CONFIG-004")
            document = put(document, path, table, source.origin(path))
    return document


def without_impact(venue: VenueConfig) -> VenueConfig:
    """The venue with fills at the reference price."""
    if isinstance(venue, ExchangeVenue | DexVenue):
        return venue.model_copy(update={"impact_bps": dict.fromkeys(venue.impact_bps, _NO_IMPACT)})
    return venue


def _validated(model: type[M], document: Document, code: str) -> M:
    family = document.values.get("strategy")
    config = STRATEGY_CONFIGS.get(family) if isinstance(family, str) else None
    try:
        found = model.model_validate(document.values)
    except ValidationError as error:
        problems = explain(error, model, {"strategy_config": config} if config else {})
        _raise([*document.problems, *problems], document, code)
        raise
    _raise(list(document.problems), document, code)
    return found


def _raise(problems: list[Problem], document: Document, code: str) -> None:
    """Raise one ConfigError that lists `problems` by line, each with file, line and key path; nothing for none."""
    if not problems:
        return
    if code == "CONFIG-003" and all(problem.missing for problem in problems):
        code = "CONFIG-002"
    lines = sorted((_line_of(problem, document) for problem in problems), key=lambda entry: entry[0])
    if len(lines) == 1:
        raise ConfigError(code, lines[0][1])
    listed = "".join(f"\n  {text}" for _, text in lines)
    raise ConfigError(code, f"{document.origin(()).source}: {len(lines)} problems{listed}")


def _line_of(problem: Problem, document: Document) -> tuple[int, str]:
    origin = document.origin(problem.path)
    path = ".".join(problem.path)
    return origin.line or 0, f"{origin}: {path}: {problem.text}" if path else f"{origin}: {problem.text}"
