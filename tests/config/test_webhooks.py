"""Where alerts go comes from the environment, complete and safe or not at all, and is never shown."""

from __future__ import annotations

import pytest

from basis_actors.config import load_mode
from basis_actors.config.environment import secret_values
from basis_actors.config.secrets import load_secrets
from basis_actors.config.webhooks import load_webhooks
from basis_actors.errors import ConfigError

SECRET = "correct-horse-battery"
URL = f"https://hooks.example.com/services/{SECRET}"
VARIABLE = "BASIS_ACTORS_ALERTS__ONCALL"
ROUTE = {"format": "slack", "min_severity": "HIGH"}


def test_each_route_has_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, URL)
    monkeypatch.setenv("BASIS_ACTORS_ALERTS__DAY_DESK", "http://127.0.0.1:9/x")
    found = load_webhooks(["oncall", "day_desk"])
    assert found["oncall"].get_secret_value() == URL
    assert SECRET not in repr(found)
    assert URL in secret_values(), "so every log hides it"
    assert load_secrets().binance is None, "it is no key of an exchange"


def test_without_routes_nothing_is_needed() -> None:
    assert load_webhooks([]) == {}


@pytest.mark.parametrize(
    ("name", "value", "code", "told"),
    [
        (None, "", "CONFIG-002", f"{VARIABLE} missing or empty; set it to the webhook address of route 'oncall'"),
        (VARIABLE, "", "CONFIG-002", f"{VARIABLE} missing or empty"),
        (VARIABLE, f"ftp://host/{SECRET}", "CONFIG-003", f"{VARIABLE} is no webhook address; https://host/path"),
        (VARIABLE, f"http://host/{SECRET}", "CONFIG-003", "http to this machine only"),
        (VARIABLE, f"https:///{SECRET}", "CONFIG-003", "is no webhook address"),
        (VARIABLE, f"https://host:port/{SECRET}", "CONFIG-003", "is no webhook address"),
        (VARIABLE, f"https://[::1/{SECRET}", "CONFIG-003", "is no webhook address"),
        (VARIABLE, f"https://hooks..example.com/{SECRET}", "CONFIG-003", "is no webhook address"),
        (VARIABLE, f"https://{'h' * 64}.com/{SECRET}", "CONFIG-003", "is no webhook address"),
        (VARIABLE, f"https://host/{SECRET}\n", "CONFIG-003", "is no webhook address"),
        (VARIABLE, SECRET, "CONFIG-003", "is no webhook address"),
        (
            "BASIS_ACTORS_ALERTS__ONCAL",
            URL,
            "CONFIG-003",
            f"BASIS_ACTORS_ALERTS__ONCAL belongs to no alert route; expected: {VARIABLE}; nearest: {VARIABLE}",
        ),
    ],
)
def test_what_is_wrong_is_named_and_its_value_is_not(
    monkeypatch: pytest.MonkeyPatch, name: str | None, value: str, code: str, told: str
) -> None:
    if name is not None:
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_webhooks(["oncall"])
    assert caught.value.code == code
    assert told in caught.value.message
    assert SECRET not in repr(caught.value)
    assert caught.value.__context__ is None


def test_an_address_without_any_route_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, URL)
    with pytest.raises(ConfigError, match=r"expected: none, as component_config\.alerts\.routes is empty"):
        load_webhooks([])


def test_a_route_is_one_entry_of_the_mode() -> None:
    run = load_mode("btc_basis", {"component_config.alerts.routes.oncall": ROUTE})
    route = run.mode.component_config.alerts.routes["oncall"]
    assert (route.format, route.min_severity) == ("slack", "HIGH")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("alerts.routes.OnCall", ROUTE, "is no name of a route; a lower-case letter"),
        ("alerts.routes.on-call", ROUTE, "is no name of a route"),
        ("alerts.routes.oncall", {**ROUTE, "format": "slak"}, "'json' or 'slack' was expected; nearest: slack"),
        ("alerts.routes.oncall", {**ROUTE, "min_severity": "SEVERE"}, "'LOW', 'MEDIUM', 'HIGH' or 'CRITICAL'"),
        ("alerts.routes.oncall", {"format": "json"}, "routes.oncall.min_severity: missing key"),
        ("alerts.routes.oncall", {**ROUTE, "url": "x"}, "oncall.url: unknown key"),
        ("alerts.burst", 0, "greater than or equal to 1"),
        ("alerts.reserved_for_critical", 10, "is 10; less than burst 10 was expected"),
        ("alerts.per_minute", 0.0, "greater than 0"),
        ("alerts.stop_seconds", 2.5, "less than or equal to 2"),
        ("alerts.retry_jitter", 1.5, "less than or equal to 1"),
        ("monitoring.port", 70_000, "less than or equal to 65535"),
        ("monitoring.port", "9464", "is '9464'"),
        ("health_monitor.unhealthy_inbox_depth", 10, "is 10; more than degraded_inbox_depth 1000 was expected"),
        ("health_monitor.unhealthy_loop_lag_ms", 250.0, "is 250; more than degraded_loop_lag_ms 250 was expected"),
        ("health_monitor.unhealthy_tick_seconds", 60.0, "more than degraded_tick_seconds 5400 was expected"),
        ("health_monitor.unhealthy_reconciliation_seconds", 60.0, "more than degraded_reconciliation_seconds 90000"),
    ],
)
def test_a_wrong_number_or_name_is_refused_with_its_key(key: str, value: object, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mode("btc_basis", {f"component_config.{key}": value})
    assert told in caught.value.message
    assert key.split(".")[0] in caught.value.message
