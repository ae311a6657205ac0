"""Component logs: what a line holds, which lines are written, and that runs do not share anything."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from basis_actors.errors import BasisError, ConfigError
from basis_actors.logs.component import COMPONENTS, ComponentLogs
from basis_actors.logs.wall_clock import fixed_clock
from basis_actors.messages.events import SystemErrorEvent

PRIVATE_KEY = "0x" + "4f" * 32


def logs(run_dir: Path, **options: Any) -> ComponentLogs:
    run_dir.mkdir(exist_ok=True)
    return ComponentLogs(run_dir, "run-1", 99, clock=fixed_clock, **options)


def lines(run_dir: Path, component: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / f"{component}.log").read_bytes().splitlines()]


class TestFiles:
    def test_every_component_has_a_file_from_the_start(self, tmp_path: Path) -> None:
        logs(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {f"{name}.log" for name in COMPONENTS}
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
        seed = ["position", "exposure", "risk", "pnl"]
        assert {*(f"{name}_monitor" for name in seed), "strategy_manager", "execution_manager"} <= set(COMPONENTS)

    def test_others_get_theirs_with_their_first_line(self, tmp_path: Path) -> None:
        made = logs(tmp_path)
        made.logger("venue/../binance").info("connected")
        assert lines(tmp_path, "venue____binance")[0]["component"] == "venue/../binance"

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BasisError, match=r"LOG-003: component log .*position_monitor\.log cannot be made"):
            ComponentLogs(tmp_path / "missing", "r", 1)

    def test_a_disk_that_fails_is_an_error(self, tmp_path: Path, put_behind: Callable[[Path, Path], None]) -> None:
        made = logs(tmp_path)
        put_behind(tmp_path / "engine.log", Path("/dev/full"))
        with pytest.raises(BasisError, match=r"LOG-001: component log .*engine\.log .*No space left"):
            made.logger("engine").info("started")

    def test_closing_twice_changes_nothing(self, tmp_path: Path) -> None:
        made = logs(tmp_path)
        made.close()
        made.close()


class TestLines:
    def test_a_line_is_one_json_object_with_these_fields(self, tmp_path: Path) -> None:
        logs(tmp_path).logger("execution_manager").warning("order refused", error_code="VEN-006", order="o-1", at=None)
        text = (tmp_path / "execution_manager.log").read_text()
        assert text.count("\n") == 1
        assert list(json.loads(text).items()) == [
            ("timestamp", "1970-01-01T00:00:00Z"),
            ("level", "warning"),
            ("component", "execution_manager"),
            ("correlation_id", "run-1"),
            ("pid", 99),
            ("event", "order refused"),
            ("error_code", "VEN-006"),
            ("severity", "MEDIUM"),
            ("order", "o-1"),
        ]

    def test_without_an_error_code_there_is_no_severity(self, tmp_path: Path) -> None:
        logs(tmp_path).logger("engine").info("started")
        (line,) = lines(tmp_path, "engine")
        assert line["error_code"] is line["severity"] is None

    def test_an_exception_comes_with_its_trace_and_its_code(self, tmp_path: Path) -> None:
        engine = logs(tmp_path).logger("engine")
        try:
            raise BasisError("ENGINE-003", "tick 4 ended twice")
        except BasisError:
            engine.exception("cannot go on")
        (line,) = lines(tmp_path, "engine")
        assert (line["error_code"], line["severity"], line["level"]) == ("ENGINE-003", "CRITICAL", "error")
        assert line["stack_trace"].startswith("Traceback")
        assert line["stack_trace"].rstrip().endswith("ENGINE-003: tick 4 ended twice")

    def test_what_json_cannot_say_is_written_as_its_repr(self, tmp_path: Path) -> None:
        logs(tmp_path).logger("engine").info("odd", thing=object)
        assert lines(tmp_path, "engine")[0]["thing"] == "<class 'object'>"

    def test_text_with_line_ends_stays_on_its_line(self, tmp_path: Path) -> None:
        engine = logs(tmp_path).logger("engine")
        engine.info('a\nb"c')
        engine.info("next")
        assert [line["event"] for line in lines(tmp_path, "engine")] == ['a\nb"c', "next"]

    def test_a_domain_error_goes_to_the_log_of_its_component(
        self, tmp_path: Path, error: Callable[..., SystemErrorEvent]
    ) -> None:
        logs(tmp_path).error(error("venue said no", "CRITICAL"))
        (line,) = lines(tmp_path, "execution_manager")
        assert (line["level"], line["event"], line["error_code"]) == ("critical", "venue said no", "EXEC-001")
        assert line["severity"] == "CRITICAL"
        assert line["engine_time"] == "2025-01-15T10:30:00Z"
        assert b'"severity":"CRITICAL"' in (tmp_path / "execution_manager.log").read_bytes()

    def test_an_announcement_reaches_every_component(self, tmp_path: Path) -> None:
        logs(tmp_path).announce("run started", mode="btc_basis")
        for component in COMPONENTS:
            (line,) = lines(tmp_path, component)
            assert (line["component"], line["event"], line["mode"]) == (component, "run started", "btc_basis")


class TestLevel:
    @pytest.mark.parametrize(
        ("level", "written"),
        [
            ("debug", ["debug", "info", "warning", "error", "critical"]),
            ("info", ["info", "warning", "error", "critical"]),
            ("WARNING", ["warning", "error", "critical"]),
            ("error", ["error", "critical"]),
            ("critical", ["critical"]),
        ],
    )
    def test_only_lines_of_the_level_and_above_are_written(
        self, tmp_path: Path, level: str, written: list[str]
    ) -> None:
        engine = logs(tmp_path, level=level).logger("engine")
        for name in ("debug", "info", "warning", "error", "critical"):
            getattr(engine, name)("said")
        assert [line["level"] for line in lines(tmp_path, "engine")] == written

    def test_an_unknown_level_is_refused_and_the_known_ones_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"CONFIG-003: log level 'loud' \(--log-level\): expected one of debug, info"
        ):
            logs(tmp_path, level="loud")


class TestSeveralRunsInOneProcess:
    def test_runs_do_not_share_files_levels_or_secrets(self, tmp_path: Path) -> None:
        one = ComponentLogs(tmp_path_of(tmp_path, "one"), "one", 1, level="debug", secrets=["hunter2"])
        two = ComponentLogs(tmp_path_of(tmp_path, "two"), "two", 2, level="error")
        for made in (one, two, one):
            made.logger("engine").debug("hunter2")
            made.logger("engine").error("hunter2")
        assert [(line["correlation_id"], line["event"]) for line in lines(tmp_path / "one", "engine")] == [
            ("one", "[redacted]")
        ] * 4
        assert [(line["correlation_id"], line["event"]) for line in lines(tmp_path / "two", "engine")] == [
            ("two", "hunter2")
        ]

    def test_structlog_itself_is_left_as_it_was(self, tmp_path: Path) -> None:
        before = structlog.get_config()
        logs(tmp_path).logger("engine").info("started")
        assert not structlog.is_configured()
        assert structlog.get_config() == before


class TestSecrets:
    def test_they_never_reach_the_file(self, tmp_path: Path) -> None:
        secrets = ("s3cr3t-value", "k" * 40, PRIVATE_KEY)
        engine = logs(tmp_path, secrets=["s3cr3t-value"]).logger("engine")
        engine.info("login with s3cr3t-value", api_key="k" * 40, nested={"wallet": [{"private_key": PRIVATE_KEY}]})
        try:
            raise ValueError(f"cannot sign with {PRIVATE_KEY}")
        except ValueError:
            engine.exception("failed")
        text = (tmp_path / "engine.log").read_text()
        assert not any(secret in text for secret in secrets)
        assert text.count("[redacted]") >= 4


def tmp_path_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder
