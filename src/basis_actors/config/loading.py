"""Defines how a mode is completed from its venues and share class, overridden, checked and returned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from basis_actors.config.coherence import mode_problems, run_problems
from basis_actors.config.documents import Document, KeyPath, Origin
from basis_actors.config.explain import explain, raise_problems, refusal
from basis_actors.config.friction import without_impact
from basis_actors.config.layers import apply_settings, branch, document_of, lay_over, put
from basis_actors.config.library import find, read, read_named, share_class_names, venue_names
from basis_actors.config.model import Model, Problem, Problems
from basis_actors.config.models import ModeConfig, ShareClassConfig, config_of
from basis_actors.config.plugins import adapter_class
from basis_actors.config.run import RunConfig
from basis_actors.config.spelling import hint
from basis_actors.config.venues import VENUE_KINDS, VenueConfig

__all__ = ["load_mode", "load_share_class", "load_venue"]

_M = TypeVar("_M", bound=Model)
_LIMIT: KeyPath = ("risk_limits", "max_drawdown")


def load_mode(
    name_or_path: str | Path,
    overrides: Mapping[str, object] | None = None,
    *,
    overlays: Sequence[Path] = (),
    settings: Sequence[str] = (),
) -> RunConfig:
    """Load and check a mode with its venues and share class.

    A venue that the library does not have is read from `venues/<name>.yaml` in the folder of the mode's own file.
    `overlays` are YAML files laid over the mode (`--config`). `overrides` come next: nested mappings are laid over,
    a dotted key `"strategy_config.leverage"` replaces what is there. `settings` are texts `a.b=c` (`--set`), which
    replace too. In all of them `venue_configs.<venue>` reaches into a venue.
    Raises ConfigError: CONFIG-001 for a mode that does not exist, CONFIG-004 for a venue, CONFIG-002 when all that
    is wrong is missing keys, CONFIG-003 otherwise.
    """
    file = find(name_or_path, "modes")
    document = read_named(name_or_path, "modes")
    name = document.values.get("mode")
    for overlay in overlays:
        document = lay_over(document, read(overlay))
    nested, dotted = document_of(overrides or {}, "overrides")
    document = lay_over(document, nested)
    for path, value in dotted:
        document = put(document, path, value, Origin("overrides", None))
    document = apply_settings(document, settings)
    if document.values.get("mode") != name:
        text = f"is {document.values.get('mode')!r}; a mode keeps its name {name!r}: leave this out"
        raise_problems([Problem(("mode",), text)], document, "CONFIG-003")
    return _assemble(document, file.parent / "venues")


def load_venue(name_or_path: str | Path) -> VenueConfig:
    """Load and check one venue. Raises ConfigError CONFIG-004."""
    return _venue(read_named(name_or_path, "venues"))


def load_share_class(name_or_path: str | Path) -> ShareClassConfig:
    """Load and check one share class. Raises ConfigError, CONFIG-002 or CONFIG-003."""
    return _validated(ShareClassConfig, read_named(name_or_path, "share_classes"), "CONFIG-003")


def _assemble(document: Document, own_venues: Path) -> RunConfig:
    per_venue = branch(document, ("venue_configs",))
    given = document.values.get("venue_configs", {})
    values = {key: value for key, value in document.values.items() if key != "venue_configs"}
    document = _with_drawdown_limit(Document(values, document.origins, document.problems))
    mode = _validated(ModeConfig, document, "CONFIG-003")
    raise_problems([*mode_problems(mode), *_venue_config_problems(given, mode)], document, "CONFIG-003")
    venues = {
        name: _listed_venue(name, index, document, per_venue, own_venues) for index, name in enumerate(mode.venues)
    }
    share_class = load_share_class(mode.share_class)
    raise_problems(list(run_problems(mode, venues, share_class)), document, "CONFIG-003")
    if not mode.enable_market_impact:
        venues = {name: without_impact(venue) for name, venue in venues.items()}
    return RunConfig(mode=mode, venues=venues, share_class=share_class)


def _venue_config_problems(given: object, mode: ModeConfig) -> Iterator[Problem]:
    if not isinstance(given, dict):
        yield Problem(("venue_configs",), f"is {given!r}; a mapping from venues to their keys was expected")
        return
    for name, keys in given.items():
        if name not in mode.venues:
            listed = f"{', '.join(mode.venues)}{hint(name, mode.venues)}"
            yield Problem(("venue_configs", name), f"names a venue that the mode does not list; venues: {listed}")
        elif not isinstance(keys, dict):
            yield Problem(("venue_configs", name), f"is {keys!r}; a mapping of keys was expected")
        elif not keys:
            yield Problem(("venue_configs", name), "is empty, which changes nothing; name the keys to change")


def _with_drawdown_limit(document: Document) -> Document:
    """Take `risk_limits.max_drawdown` from the share class where the mode does not set it."""
    name, limits = document.values.get("share_class"), document.values.get("risk_limits")
    names = share_class_names()
    if isinstance(name, str) and name not in names:
        text = f"is {name!r}; one of {', '.join(names)} was expected{hint(name, names)}"
        problems = (*document.problems, Problem(("share_class",), text))
        document = Document(document.values, document.origins, problems)
    if not isinstance(limits, dict) or "max_drawdown" in limits:
        return document
    if name not in names:
        # The document is refused for its share class; a limit that only that could give is not missing as well.
        return put(document, _LIMIT, 1.0, document.origin(("share_class",)))
    origin = Origin(read(find(str(name), "share_classes")).origin(()).source, None)
    return put(document, _LIMIT, load_share_class(str(name)).drawdown_limit, origin)


def _listed_venue(name: str, index: int, mode: Document, per_venue: Document, own_venues: Path) -> VenueConfig:
    """A venue of the library, or one in `venues/` beside the mode's own file."""
    known, file = venue_names(), own_venues / f"{name}.yaml"
    if name in known:
        return _venue(lay_over(read_named(name, "venues"), branch(per_venue, (name,))))
    if not file.is_file():
        text = f"is {name!r}, for which there is no file {file}; venues: {', '.join(known)}{hint(name, known)}"
        raise_problems([Problem(("venues", str(index)), text)], mode, "CONFIG-004")
    return _venue(lay_over(read(file), branch(per_venue, (name,))))


def _venue(document: Document) -> VenueConfig:
    kind = document.values.get("kind")
    if not isinstance(kind, str) or kind not in VENUE_KINDS:
        found = "missing key" if kind is None else f"is {kind!r}"
        text = f"{found}; one of {', '.join(VENUE_KINDS)} was expected{hint(str(kind), VENUE_KINDS)}"
        raise_problems([*document.problems, Problem(("kind",), text)], document, "CONFIG-004")
    return _validated(VENUE_KINDS[str(kind)], _with_brackets(document), "CONFIG-004")


def _with_brackets(document: Document) -> Document:
    """Put the margin table of the venue that `brackets_from` names in its place, so that there is one copy of it."""
    for book in ("perp", "inverse_perp"):
        for base, market in branch(document, (book, "markets")).values.items():
            lender = market.get("brackets_from") if isinstance(market, dict) else None
            if not isinstance(lender, str):
                continue
            path: KeyPath = (book, "markets", base, "brackets")
            if "brackets" in market:
                raise_problems([Problem(path, "give brackets or brackets_from, not both")], document, "CONFIG-004")
            if lender not in venue_names():
                text = f"is {lender!r}; one of {', '.join(venue_names())} was expected{hint(lender, venue_names())}"
                raise_problems([Problem((*path[:-1], "brackets_from"), text)], document, "CONFIG-004")
            own = lender == document.values.get("venue")
            source = document if own else read_named(lender, "venues")
            table = branch(source, ("perp", "markets", base)).values.get("brackets")
            if table is None:
                text = f"is {lender!r}, whose perp market {base} has no brackets of its own"
                raise_problems([Problem((*path[:-1], "brackets_from"), text)], document, "CONFIG-004")
            document = put(document, path, table, source.origin(("perp", "markets", base, "brackets")))
    return document


def _validated(model: type[_M], document: Document, code: str) -> _M:
    try:
        found = model.model_validate(document.values)
    except ValidationError as error:
        problems = [*document.problems, *explain(error, model, _variants(document))]
        raise refusal(problems, document, code) from None
    raise_problems(list(document.problems), document, code)
    return found


def _variants(document: Document) -> dict[str, type[Model]]:
    """The models of the keys whose shape another key decides, as far as that key is right."""
    found: dict[str, type[Model]] = {}
    strategy, adapter = document.values.get("strategy"), document.values.get("adapter")
    with suppress(KeyError, Problems):
        if isinstance(strategy, str):
            found["strategy_config"] = config_of(strategy)
        if isinstance(adapter, str):
            found["settings"] = adapter_class(adapter)[1]
    return found
