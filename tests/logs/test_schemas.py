"""Every line of a real run fits the schema of its file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from basis_actors.logs.schemas import event_schemas
from basis_actors.messages.events import EVENT_TYPES
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

_JSON = {"string": str, "number": (int, float), "integer": int, "boolean": bool, "object": dict, "array": list}


def fits(value: Any, schema: dict[str, Any], defs: dict[str, Any]) -> bool:
    """As much of JSON schema as the event types use."""
    if "$ref" in schema:
        return fits(value, defs[schema["$ref"].removeprefix("#/$defs/")], defs)
    if "anyOf" in schema:
        return any(fits(value, option, defs) for option in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if schema.get("type") == "null":
        return value is None
    if "type" in schema and not isinstance(value, _JSON[schema["type"]]):
        return False
    if schema.get("type") == "object" and "properties" in schema:
        known, required = schema["properties"], set(schema.get("required", ()))
        return required <= set(value) <= set(known) and all(fits(value[name], known[name], defs) for name in value)
    if schema.get("type") == "array" and "items" in schema:
        return all(fits(item, schema["items"], defs) for item in value)
    return True


def test_every_line_of_a_run_fits_the_schema_of_its_file(tmp_path: Path) -> None:
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC)
    run = Backtest(prepare(BacktestRequest(mode="btc_basis", start=start, end=end, always_in=True, out=tmp_path)))
    assert run.run().failure is None
    schemas = event_schemas()
    seen = 0
    for kind in EVENT_TYPES:
        schema = schemas["$defs"][kind.__name__]
        path = run.run_dir / "events" / schemas["x-files"][kind.__name__]
        for line in path.read_text().splitlines():
            assert fits(json.loads(line), schema, schemas["$defs"]), line
            seen += 1
    assert seen > 800


def test_a_line_with_another_field_does_not_fit() -> None:
    schemas = event_schemas()
    schema = schemas["$defs"]["Mismatch"]
    line = {"position_key": "a:b:c", "expected": 1.0, "actual": 2.0, "difference": 1.0, "tolerance": 0.0}
    assert fits(line, schema, schemas["$defs"])
    assert not fits(line | {"extra": 1}, schema, schemas["$defs"])
    assert not fits(line | {"actual": "2"}, schema, schemas["$defs"])
