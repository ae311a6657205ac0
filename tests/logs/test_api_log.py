"""api.log: every request to a venue as one line, without secrets, and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from basis_actors.logs.api_log import ApiLog
from basis_actors.logs.component import ComponentLogs
from basis_actors.logs.wall_clock import fixed_clock
from basis_actors.venues.wire.answers import ApiCall


def noted(folder: Path, *calls: ApiCall, level: str = "info") -> list[dict[str, Any]]:
    components = ComponentLogs(folder, "live-1", 9, clock=fixed_clock, secrets=["hunter2-key"], level=level)
    log = ApiLog(components)
    for call in calls:
        log.note(call)
    components.close()
    return [json.loads(line) for line in (folder / "api.log").read_bytes().splitlines()]


def call(**changes: Any) -> ApiCall:
    given: dict[str, Any] = {
        "venue": "binance",
        "call": "fapiPrivatePostOrder",
        "method": "POST",
        "path": "/fapi/v1/order",
        "weight": 1,
        "host": "fapi",
        "used_weight": 37,
        "params": {"symbol": "BTCUSDT", "newClientOrderId": "a" * 32},
        "status": 200,
        "code": None,
        "text": "",
        "duration_ms": 41.25,
    }
    return ApiCall(**given | changes)


def test_a_line_has_all_of_it(tmp_path: Path) -> None:
    (line,) = noted(tmp_path, call())
    assert line == {
        "timestamp": "1970-01-01T00:00:00Z",
        "level": "info",
        "component": "api",
        "correlation_id": "live-1",
        "pid": 9,
        "event": "POST /fapi/v1/order",
        "error_code": None,
        "severity": None,
        "venue": "binance",
        "status": 200,
        "ms": 41.25,
        "weight": 1,
        "host": "fapi",
        "used_weight": 37,
        "client_order_id": "a" * 32,
        "params": {"symbol": "BTCUSDT", "newClientOrderId": "a" * 32},
    }


@pytest.mark.parametrize(
    ("status", "level", "shown"),
    [
        (200, "info", 200),
        (304, "info", 304),
        (400, "warning", 400),
        (429, "warning", 429),
        (503, "error", 503),
        (None, "error", "none"),
    ],
)
def test_the_level_says_how_it_went(tmp_path: Path, status: int | None, level: str, shown: object) -> None:
    (line,) = noted(tmp_path, call(status=status, code="-1007", text="Timeout waiting for response"))
    assert (line["level"], line["status"]) == (level, shown)
    assert (line["venue_code"], line["error"]) == ("-1007", "Timeout waiting for response")


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"origClientOrderId": "one"}, "one"),
        ({"withdrawOrderId": "two"}, "two"),
        ({"orderLinkId": "three"}, "three"),
        ({"clOrdId": "four"}, "four"),
        ({"symbol": "BTCUSDT"}, None),
    ],
)
def test_our_own_id_is_found_whatever_the_exchange_calls_it(
    tmp_path: Path, params: dict[str, str], found: str | None
) -> None:
    (line,) = noted(tmp_path, call(params=params))
    assert line.get("client_order_id") == found


def test_a_request_that_was_never_made_is_named_by_what_was_wanted(tmp_path: Path) -> None:
    (line,) = noted(tmp_path, call(method="", path="", status=None))
    assert line["event"] == "fapiPrivatePostOrder"


def test_what_was_sent_and_said_is_searched_for_secrets(tmp_path: Path) -> None:
    said = "Invalid API-key hunter2-key, url https://host/x?apiKey=abcdefgh&signature=0123456789"
    (line,) = noted(tmp_path, call(status=401, text=said, params={"listenKey": "hunter2-key", "signature": "0" * 9}))
    text = json.dumps(line)
    assert not any(secret in text for secret in ("hunter2-key", "abcdefgh", "0123456789", "0" * 9))


def test_each_is_counted_whatever_is_written(tmp_path: Path) -> None:
    counted: list[ApiCall] = []
    components = ComponentLogs(tmp_path, "live-1", 9, level="critical")
    ApiLog(components, counted.append).note(call())
    components.close()
    assert counted == [call()]
    assert (tmp_path / "api.log").read_bytes() == b""


def test_the_file_is_private(tmp_path: Path) -> None:
    noted(tmp_path, call())
    assert (tmp_path / "api.log").stat().st_mode & 0o777 == 0o600
