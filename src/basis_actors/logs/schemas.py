"""Says what the lines of the event log look like: a JSON schema for each of the twelve event types."""

from __future__ import annotations

from typing import Any

import msgspec

from basis_actors.messages.events import EVENT_SCHEMA_VERSION, EVENT_TYPES

__all__ = ["event_schemas"]


def event_schemas() -> dict[str, Any]:
    """One JSON schema (2020-12) with a definition for each event type and for what they contain.

    `x-files` names the file of each type under `events/`, `x-version` is the schema version of `metadata.json`.
    """
    _, definitions = msgspec.json.schema_components(EVENT_TYPES, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "x-version": EVENT_SCHEMA_VERSION,
        "x-files": {kind.__name__: f"{kind.FILE}.jsonl" for kind in EVENT_TYPES},
        "$defs": definitions,
    }
