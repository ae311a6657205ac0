"""A whole process that is watched: real actors, real sockets, numbers against those of the log."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.integration.floor import CAPITAL
from tests.integration.test_execution_flow import fund, hedge, nothing
from tests.logs.test_api_log import call
from tests.services.watched import STEP_SECONDS, watched
from tests.telemetry.receiver import Reply, receiver

from basis_actors.bus import BusFailed
from basis_actors.errors import ConfigError
from basis_actors.messages.commands import StopTrading
from basis_actors.messages.events import (
    ExposureSnapshot,
    HealthStatusEvent,
    PnLCalculation,
    RiskAssessment,
    SystemErrorEvent,
)
from basis_actors.messages.operations import LoopLag, TradingPhase, TradingStatus
from basis_actors.messages.orders import Order, Side
from basis_actors.messages.safety import StateUnwritable
from basis_actors.services import extras
from basis_actors.services.extras import require_monitoring
from basis_actors.services.wiring import EVENT_LOGGER
from basis_actors.strategies.order_writer import OrderWriter

pytestmark = pytest.mark.anyio
VARIABLE = "BASIS_ACTORS_ALERTS__ONCALL"
ONCALL = {"component_config.alerts.routes.oncall": {"format": "json", "min_severity": "HIGH"}}


async def test_it_is_ready_until_trading_ends(tmp_path: Path) -> None:
    async with watched(tmp_path) as process:
        answer = await process.get("/ready")
        assert (answer.status, json.loads(answer.text)["phase"]) == (200, "trading")
        process.bus.control("engine", StopTrading("the ledger is wrong", "POS-005"))
        await process.bus.idle()
        answer = await process.get("/ready")
        assert (answer.status, json.loads(answer.text)["phase"]) == (503, "stopped")
        assert json.loads(answer.text)["reason"] == "the ledger is wrong"
        metrics = await process.metrics()
        assert metrics.labelled("trading_phase") == {
            "starting": 0,
            "trading": 0,
            "reducing": 0,
            "stopped": 1,
            "killed": 0,
        }
        assert metrics("kill_switch") == 0
        process.bus.publish(TradingStatus(TradingPhase.KILLED, "by hand"))
        await process.bus.idle()
        assert (await process.metrics())("kill_switch") == 1
        assert (await process.get("/ready")).status == 503


async def test_it_is_not_ready_while_only_what_reduces_is_sent(tmp_path: Path) -> None:
    async with watched(tmp_path) as process:
        process.bus.publish(StateUnwritable("state directory", "state/btc_basis is gone"))
        await process.bus.idle()
        answer = await process.get("/ready")
        assert (answer.status, json.loads(answer.text)["phase"]) == (503, "reducing")
        assert "state/btc_basis is gone" in json.loads(answer.text)["reason"]
        health = json.loads((await process.get("/health")).text)
        assert (health["status"], "state directory: state/btc_basis is gone" in health["problems"]) == (
            "degraded",
            True,
        )
        metrics = await process.metrics()
        assert (metrics("trading_phase", phase="reducing"), metrics("trading_phase", phase="trading")) == (1, 0)
        process.bus.publish(StateUnwritable("state directory", None))
        await process.bus.idle()
        assert (await process.get("/ready")).status == 200


async def test_metrics_say_what_the_log_says(tmp_path: Path) -> None:
    async with watched(tmp_path, fund, hedge, nothing) as process:
        await process.tick()
        await process.tick()
        metrics, events = await process.metrics(), process.recorder.events
        assert metrics("ticks_total") == metrics("tick_duration_seconds_count") == 3
        assert metrics("orders_total", venue="wallet", status="confirmed") == 2
        assert metrics("orders_total", venue="binance", status="confirmed") == 2
        assert metrics("order_latency_seconds_count", venue="binance") == 2
        assert metrics("order_latency_seconds_sum", venue="binance") >= 2 * STEP_SECONDS
        assert metrics("fills_total", venue="binance") == 2
        assert metrics.labelled("events_logged_total") == Counter(event.FILE for event in events)
        pnl = [event for event in events if isinstance(event, PnLCalculation)][-1]
        assert metrics("equity", currency="USDT") == pnl.equity != CAPITAL
        assert metrics("pnl") == pnl.total_pnl
        assert metrics("fees_paid") == pnl.fees_paid > 0.0
        assert metrics.labelled("pnl_component") == pnl.attribution_total
        assert metrics("pnl_residual") == pnl.residual_total
        risk = [event for event in events if isinstance(event, RiskAssessment)][-1]
        assert metrics.labelled("margin_ratio") == risk.margin_ratio != {}
        assert metrics.labelled("liquidation_distance") == risk.liquidation_distance != {}
        assert metrics.labelled("risk_level")[risk.risk_level] == 1
        assert sum(metrics.labelled("risk_level").values()) == 1
        assert math.isnan(metrics("health_factor"))
        exposure = [event for event in events if isinstance(event, ExposureSnapshot)][-1]
        assert metrics("net_delta_usd") == exposure.net_delta_usd
        assert metrics.labelled("asset_exposure_usd")["BTC"] == exposure.asset_exposures["BTC"].usd_value
        assert metrics("events_unwritten") == 7
        assert metrics("dead_letters_total") == 0
        assert metrics("reconciliation_age_seconds") == 7200.0
        assert metrics("tick_age_seconds") == 0.0
        assert metrics("reconciliations_total", type="tight_loop", result="equal") == 4
        assert set(metrics.labelled("inbox_depth")) == set(process.bus.actors)
        assert metrics("inbox_high_water", actor=EVENT_LOGGER) >= 1
        assert metrics("messages_handled_total", actor="engine") == process.bus.stats("engine").handled


async def test_every_metric_is_explained_and_has_a_name_that_prometheus_expects(tmp_path: Path) -> None:
    async with watched(tmp_path) as process:
        metrics = await process.metrics()
    for name, family in metrics.families.items():
        assert name.startswith("basis_")
        assert family.documentation, name
        assert family.type in ("counter", "gauge", "histogram")
        assert (family.type == "counter") == all(
            s.name.endswith("_total") for s in family.samples
        ) or not family.samples
    assert not any(name.endswith("_created") for name in metrics.families)


async def test_a_position_that_is_gone_leaves_no_ratio_behind(tmp_path: Path) -> None:
    def close(write: OrderWriter) -> Sequence[Order]:
        return (write.perp("binance", "BTC", Side.LONG, 1.0, "exit", reduce_only=True),)

    async with watched(tmp_path, fund, hedge, close) as process:
        await process.tick()
        assert set((await process.metrics()).labelled("margin_ratio")) == {"binance"}
        await process.tick()
        assert (await process.metrics()).labelled("margin_ratio") == {}


async def test_rejections_and_errors_are_counted_by_code(tmp_path: Path) -> None:
    def refused(write: OrderWriter) -> Sequence[Order]:
        return (write.spot("binance", "BTC", Side.BUY, 10.0, "entry"),)

    async with watched(tmp_path, refused) as process:
        metrics = await process.metrics()
        assert metrics("order_rejections_total", venue="binance", code="EXEC-004") == 1
        assert metrics("orders_total", venue="binance", status="failed") == 1
        assert ("basis_order_latency_seconds_count", frozenset({("venue", "binance")})) not in metrics.samples
        assert metrics("errors_by_code_total", component="execution_manager", code="EXEC-004") == 1
        assert metrics.labelled("errors_total") == {"LOW": 0, "MEDIUM": 1, "HIGH": 0, "CRITICAL": 0}


async def test_requests_to_venues_are_logged_and_counted(tmp_path: Path) -> None:
    async with watched(tmp_path) as process:
        for status, used in ((200, 12), (200, 13), (429, None), (None, None)):
            process.monitoring.api_log.note(
                call(method="GET", path="/api/v3/account", status=status, duration_ms=20.0, weight=10, used_weight=used)
            )
        metrics = await process.metrics()
    request = {"venue": "binance", "endpoint": "GET /api/v3/account"}
    assert metrics("venue_requests_total", status="200", **request) == 2
    assert metrics("venue_requests_total", status="429", **request) == 1
    assert metrics("venue_requests_total", status="none", **request) == 1
    assert metrics("venue_request_seconds_count", venue="binance") == 4
    assert metrics("venue_request_seconds_sum", venue="binance") == pytest.approx(0.08)
    assert metrics("venue_request_weight_total", venue="binance", host="fapi") == 40
    assert metrics("rate_limit_used_weight", venue="binance", host="fapi") == 13
    lines = [json.loads(line) for line in (tmp_path / "api.log").read_bytes().splitlines()]
    assert [line["status"] for line in lines] == [200, 200, 429, "none"]


async def test_health_is_logged_by_timer_for_every_actor_and_the_process(tmp_path: Path) -> None:
    async with watched(tmp_path) as process:
        await process.bus.advance(600.0)
        answer = await process.get("/health")
        assert (answer.status, json.loads(answer.text)["status"]) == (200, "healthy")
        assert json.loads(answer.text)["checked_at"] == "2024-01-01T00:10:00Z"
        looked = Counter(e.component for e in process.recorder.events if isinstance(e, HealthStatusEvent))
        assert looked == dict.fromkeys([*process.bus.actors, "process"], 2)
        await process.bus.advance(40 * 60.0)
        metrics = await process.metrics()
        assert metrics("health") == 0
        assert set(metrics.labelled("component_health").values()) == {0}


async def test_ticks_that_stay_out_are_seen(tmp_path: Path) -> None:
    async with watched(tmp_path, ticks=1) as process:
        await process.bus.advance(9000.0)
        answer = await process.get("/health")
        body = json.loads(answer.text)
        assert (answer.status, body["status"]) == (503, "unhealthy")
        assert body["problems"] == ["no tick began for 9,000 s"]
        assert (await process.metrics())("health") == 2


async def test_the_event_loop_is_measured(tmp_path: Path) -> None:
    fast = {"component_config.monitoring.loop_lag_interval_seconds": 0.001}
    async with watched(tmp_path, overrides=fast) as process:
        await process.bus.until(lambda: process.bus.stats("metrics").handled > 60, "measurements")
        assert (await process.metrics())("loop_lag_seconds_count") > 1


async def test_an_alert_reaches_its_receiver_and_the_address_reaches_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver() as there:
        monkeypatch.setenv(VARIABLE, there.url)
        async with watched(tmp_path, overrides=ONCALL) as process:
            process.bus.control("engine", StopTrading(f"somebody pasted {there.url}", "POS-005"))
            await process.bus.until(lambda: process.fates(1), "it to be delivered")
            await process.bus.idle()
            metrics = await process.metrics()
            assert metrics("alerts_total", route="oncall", outcome="delivered") == 1
        told, end = there.received
    assert (told["severity"], told["code"], told["component"]) == ("CRITICAL", "POS-005", "engine")
    assert told["message"] == "trading is stopped: somebody pasted [redacted]"
    assert (told["mode"], told["run"]) == ("btc_basis", "watched-1")
    assert end["message"] == "the process stops as it was told to"
    secret = there.url.rpartition("/")[2]
    assert secret not in json.dumps(there.received)
    assert not any(secret in path.read_text() for path in tmp_path.glob("*.log"))


async def test_a_dead_receiver_is_seen_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as there:
        there.replies = [Reply(500)]
        monkeypatch.setenv(VARIABLE, there.url)
        retries = {"component_config.alerts.retries": 2, "component_config.alerts.retry_seconds": 0.001}
        async with watched(tmp_path, overrides=ONCALL | retries) as process:
            process.bus.control("engine", StopTrading("the ledger is wrong", "POS-005"))
            await process.bus.until(lambda: process.fates(1), "it to be given up")
            assert len(there.received) == 3
            await process.tick()
            metrics = await process.metrics()
            assert metrics("ticks_total") == 2
            assert metrics("alerts_total", route="oncall", outcome="not_delivered") >= 1
            assert metrics("errors_by_code_total", component="alerts_oncall", code="MON-002") == 1


async def fail(folder: Path) -> None:
    async with watched(folder, overrides=ONCALL) as process:
        process.bus.post("engine", StopTrading("ends the run", "no such code"))
        await process.bus.idle()


async def test_a_run_that_fails_tells_its_receiver_before_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver() as there:
        monkeypatch.setenv(VARIABLE, there.url)
        with pytest.raises(BusFailed):
            await fail(tmp_path)
        told = [body["message"] for body in there.received]
    assert any(text.startswith("the run ends: engine failed while handling StopTrading: KeyError") for text in told)


async def test_what_watches_may_fail_and_trading_goes_on(tmp_path: Path) -> None:
    async with watched(tmp_path) as process:
        broken: Any = LoopLag("late")  # type: ignore[arg-type]
        process.bus.publish(broken)
        await process.bus.idle()
        failed = [event.component for event in process.recorder.events if isinstance(event, SystemErrorEvent)]
        assert failed == ["health_monitor", "metrics"]
        await process.tick()
        metrics = await process.metrics()
        assert metrics("ticks_total") == 2
        assert metrics("actor_restarts", actor="metrics") == metrics("actor_restarts", actor="health_monitor") == 1
        assert (await process.get("/ready")).status == 200


def test_what_is_not_installed_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require_monitoring()
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "aiohttp" else object())
    with pytest.raises(ConfigError, match=r"CONFIG-003: live trading needs aiohttp, .*basis-actors\[live\]"):
        require_monitoring()


async def test_a_missing_address_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"CONFIG-002: environment: {VARIABLE} missing"):
        await watched(tmp_path, overrides=ONCALL).__aenter__()
