"""A log is rebuilt from its deltas; whatever was changed in it since is found and named."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_actors.bus import complete
from basis_actors.errors import BasisError
from basis_actors.logs.directory import LogDirectoryManager
from basis_actors.logs.domain_event_logger import DomainEventLogger
from basis_actors.logs.locate import find_run
from basis_actors.logs.queries.runs import runs_in
from basis_actors.logs.replay import Replay, replay
from basis_actors.logs.run_lock import RunLock
from basis_actors.messages.book import Flow
from basis_actors.messages.events import ExecutionDeltaEvent, PnLCalculation
from basis_actors.messages.execution import DeltaSource, PositionDelta
from basis_actors.results.verification import verify
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

DAYS = 12
FLIPS = 60


def _run(out: Path, mode: str) -> Path:
    request = BacktestRequest(
        mode=mode,
        start=datetime(2024, 1, 1, tzinfo=UTC),
        end=datetime(2024, 1, 1 + DAYS, tzinfo=UTC),
        flows=(
            Flow(datetime(2024, 1, 4, tzinfo=UTC), 0.25 if "btc" in mode and "margin" in mode else 20_000.0),
            Flow(datetime(2024, 1, 8, tzinfo=UTC), -0.1 if "btc" in mode and "margin" in mode else -5_000.0),
        ),
        out=out,
        correlation_id=mode,
        always_in=mode == "btc_basis",
        fixed_clock=True,
    )
    backtest = Backtest(prepare(request))
    assert backtest.run().failure is None
    return backtest.run_dir


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with deposits, withdrawals, perps, and every file of events but groups and errors well filled."""
    return _run(tmp_path_factory.mktemp("original"), "btc_basis")


@pytest.fixture
def run_dir(original: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    return Path(shutil.copytree(original, tmp_path / "run"))


def _checks(found: Replay) -> set[str]:
    return {finding.check for finding in found.findings}


def _with_metadata(run_dir: Path, **fields: object) -> None:
    path = run_dir / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _lines(run_dir: Path, stem: str) -> tuple[Path, list[bytes]]:
    path = run_dir / "events" / f"{stem}.jsonl"
    return path, path.read_bytes().splitlines(keepends=True)


def test_a_log_that_nobody_touched_is_verified(original: Path) -> None:
    found = replay(original)
    assert found.findings == []
    assert found.notes == []
    assert found.events == sum(
        len(path.read_bytes().splitlines()) for path in (original / "events").glob("*.jsonl") if path.stem != "seals"
    )
    last = json.loads(_lines(original, "positions")[1][-1])
    assert found.positions == last["positions"]
    assert found.equity == json.loads((original / "summary.json").read_text())["equity_end"]
    assert found.snapshots > DAYS * 24


def test_the_ledger_is_the_sum_of_the_deltas_added_by_hand(original: Path) -> None:
    total: dict[str, float] = {}
    for line in _lines(original, "execution_deltas")[1]:
        for delta in json.loads(line)["deltas"]:
            total[delta["position_key"]] = total.get(delta["position_key"], 0.0) + delta["delta_amount"]
    for key, amount in replay(original).positions.items():
        assert total[key] == pytest.approx(amount, rel=1e-9)


@pytest.mark.parametrize("mode", ["usdt_market_neutral", "ml_btc_directional_btc_margin"])
def test_loans_staking_and_inverse_perps_are_rebuilt_as_well(tmp_path: Path, mode: str) -> None:
    assert replay(_run(tmp_path, mode)).findings == []


def test_every_flipped_byte_is_found_and_its_file_named(run_dir: Path) -> None:
    chances = random.Random(11)
    paths = [path for path in sorted((run_dir / "events").glob("*.jsonl")) if path.stat().st_size]
    for _ in range(FLIPS):
        path = chances.choice(paths)
        text = path.read_bytes()
        place = chances.randrange(len(text))
        changed = bytes([text[place] ^ (1 << chances.randrange(8))])
        path.write_bytes(text[:place] + changed + text[place + 1 :])
        found = replay(run_dir)
        assert found.findings or found.notes, f"{path.name} byte {place}"
        assert any(path.name in finding.where for finding in found.findings) or path.name == "seals.jsonl"
        path.write_bytes(text)
    assert replay(run_dir).findings == []


def test_a_digit_that_changes_no_other_number_is_found_by_its_seal(run_dir: Path) -> None:
    path, lines = _lines(run_dir, "strategy_decisions")
    lines[100] = lines[100].replace(b'"reasoning":"', b'"reasoning":"not ')
    path.write_bytes(b"".join(lines))
    (finding,) = replay(run_dir).findings
    assert finding.check == "seal"
    first, last = (int(word) for word in finding.where.replace(",", "").split() if word.isdigit())
    assert first <= 101 <= last


def test_a_missing_line_is_named_by_its_number(run_dir: Path) -> None:
    path, lines = _lines(run_dir, "risk_assessments")
    number = json.loads(lines[50])["sequence"]
    path.write_bytes(b"".join(lines[:50] + lines[51:]))
    found = replay(run_dir)
    assert f"event {number}" in {finding.where for finding in found.findings if finding.check == "number"}


def test_lines_cut_off_at_the_end_are_missed(run_dir: Path) -> None:
    path, lines = _lines(run_dir, "health_status")
    path.write_bytes(b"".join(lines[:-3]))
    found = replay(run_dir)
    assert any(finding.check == "seal" and "health_status" in finding.where for finding in found.findings)


def test_two_lines_that_changed_places_are_named(run_dir: Path) -> None:
    path, lines = _lines(run_dir, "execution_deltas")
    lines[20], lines[21] = lines[21], lines[20]
    path.write_bytes(b"".join(lines))
    assert "execution_deltas.jsonl, line 22" in {finding.where for finding in replay(run_dir).findings}


def test_a_line_that_is_there_twice_is_named(run_dir: Path) -> None:
    path, lines = _lines(run_dir, "positions")
    path.write_bytes(b"".join([*lines[:9], lines[8], *lines[9:]]))
    assert "positions.jsonl, line 10" in {finding.where for finding in replay(run_dir).findings}


def _seal(run_dir: Path) -> None:
    """Write seals anew, as somebody does who knows what they are."""
    files, events = {}, 0
    for path in sorted((run_dir / "events").glob("*.jsonl")):
        text = path.read_bytes()
        if text and path.stem != "seals":
            files[path.stem] = [text.count(b"\n"), len(text), hashlib.sha256(text).hexdigest()]
            events += text.count(b"\n")
    (run_dir / "events" / "seals.jsonl").write_text(json.dumps({"sequence": events, "files": files}) + "\n")


def _lose(run_dir: Path, first: int, last: int, *, named: bool) -> None:
    """Leave events out, as a disk does that took nothing for a while; if they are `named`, by a seal that says so."""
    for path in (run_dir / "events").glob("*.jsonl"):
        if path.stem != "seals":
            kept = [
                line
                for line in path.read_bytes().splitlines(keepends=True)
                if not first <= json.loads(line)["sequence"] <= last
            ]
            path.write_bytes(b"".join(kept))
    _seal(run_dir)
    seals = run_dir / "events" / "seals.jsonl"
    seal = json.loads(seals.read_text())
    seal["sequence"] += last - first + 1
    seals.write_text(json.dumps(seal | ({"lost": [[first, last]]} if named else {})) + "\n")


@pytest.mark.parametrize("first", range(200, 260, 7))
def test_events_that_the_log_says_are_lost_are_a_gap_and_nothing_else(run_dir: Path, first: int) -> None:
    whole = replay(run_dir)
    _lose(run_dir, first, first + 99, named=True)
    found = verify(run_dir)
    assert found.findings == []
    assert (found.events, found.lost, found.equity) == (whole.events - 100, 100, whole.equity)
    assert found.positions == pytest.approx(whole.positions, rel=1e-9)
    assert found.notes[0].startswith(f"events {first} to {first + 99} are lost: the disk took nothing.")
    assert 0 < found.calculations < whole.calculations


def test_events_that_are_missing_without_a_word_are_a_finding(run_dir: Path) -> None:
    _lose(run_dir, 203, 302, named=False)
    where = {finding.where for finding in replay(run_dir).findings if finding.check == "number"}
    assert where == {"events 203 to 302"}


def test_what_is_wrong_after_a_gap_is_found(run_dir: Path) -> None:
    _lose(run_dir, 203, 302, named=True)
    path, lines = _lines(run_dir, "execution_deltas")
    event = json.loads(lines[-1])
    event["deltas"][0]["delta_amount"] += 1.0
    lines[-1] = json.dumps(event, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(b"".join(lines))
    assert _checks(replay(run_dir)) == {"seal", "ledger"}


def _forge(run_dir: Path, stem: str, row: int, change: Callable[[dict[str, object]], None]) -> int:
    """Change an event without a trace in numbers, order or seals; the number of the event."""
    path, lines = _lines(run_dir, stem)
    event = json.loads(lines[row])
    change(event)
    lines[row] = json.dumps(event, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(b"".join(lines))
    _seal(run_dir)
    return int(event["sequence"])


def test_a_forged_delta_contradicts_the_next_snapshot_and_only_that(run_dir: Path) -> None:
    def more(event: dict[str, object]) -> None:
        event["deltas"][0]["delta_amount"] += 1.0  # type: ignore[index]

    _, rows = _lines(run_dir, "execution_deltas")
    row = next(row for row, line in enumerate(rows) if json.loads(line)["source"] == "funding")
    number = _forge(run_dir, "execution_deltas", row, more)
    found = replay(run_dir)
    assert _checks(found) == {"ledger"}
    (finding,) = found.findings
    assert int(finding.where.split()[1]) > number


def test_the_ledger_that_is_shown_is_the_sum_of_the_deltas_after_a_contradiction_too(
    run_dir: Path, original: Path
) -> None:
    def more(event: dict[str, object]) -> None:
        delta = event["deltas"][0]  # type: ignore[index]
        delta["delta_amount"] += 1.0
        changed.append(delta["position_key"])

    changed: list[str] = []
    _, rows = _lines(run_dir, "execution_deltas")
    _forge(run_dir, "execution_deltas", next(n for n, line in enumerate(rows) if b'"funding"' in line), more)
    before, found = replay(original).positions, replay(run_dir).positions
    (key,) = changed
    assert found.pop(key) == pytest.approx(before.pop(key) + 1.0, rel=1e-12)
    assert found == pytest.approx(before, rel=1e-12)


def test_a_killed_run_is_called_that_wherever_runs_are_named(run_dir: Path) -> None:
    _with_metadata(run_dir, status="running", finished_at=None)

    def listed() -> str:
        return next(run.status for run in runs_in(run_dir.parent.parent) if run.run_dir == str(run_dir))

    assert listed() == replay(run_dir).status == "killed"
    lock = RunLock(run_dir)
    assert listed() == replay(run_dir).status == "running"
    lock.release()


@pytest.mark.parametrize(
    "field", ["equity", "total_pnl", "realized_pnl", "external_flows", "residual", "residual_total"]
)
def test_a_forged_calculation_contradicts_the_log(run_dir: Path, field: str) -> None:
    def more(event: dict[str, object]) -> None:
        event[field] += 0.01  # type: ignore[operator]

    number = _forge(run_dir, "pnl_calculations", 100, more)
    found = replay(run_dir)
    assert _checks(found) == {"pnl"}
    assert f"event {number}" in {finding.where for finding in found.findings}


def test_a_forged_component_contradicts_its_sum(run_dir: Path) -> None:
    def more(event: dict[str, object]) -> None:
        event["attribution"]["funding"] = 3.0  # type: ignore[index]

    number = _forge(run_dir, "pnl_calculations", 50, more)
    assert f"event {number}" in {finding.where for finding in replay(run_dir).findings}


def _without_seals(run_dir: Path) -> None:
    (run_dir / "events" / "seals.jsonl").unlink()


def _with_empty_seals(run_dir: Path) -> None:
    (run_dir / "events" / "seals.jsonl").write_bytes(b"")


def _without_the_last_seal(run_dir: Path) -> None:
    path, rows = _lines(run_dir, "seals")
    path.write_bytes(b"".join(rows[:-1]))


def _with_half_a_seal(run_dir: Path) -> None:
    path, rows = _lines(run_dir, "seals")
    path.write_bytes(b"".join(rows) + rows[0][:20])


def _without_events(run_dir: Path) -> None:
    shutil.rmtree(run_dir / "events")


def _without_summary(run_dir: Path) -> None:
    (run_dir / "summary.json").unlink()


def _with_junk_at_the_end(run_dir: Path) -> None:
    path, rows = _lines(run_dir, "positions")
    path.write_bytes(b"".join(rows) + b"junk")


def _with_a_line_more(run_dir: Path) -> None:
    path, rows = _lines(run_dir, "health_status")
    number = sum(len(_lines(run_dir, path.stem)[1]) for path in (run_dir / "events").glob("*.jsonl"))
    number -= len(_lines(run_dir, "seals")[1])
    path.write_bytes(b"".join(rows) + json.dumps(json.loads(rows[-1]) | {"sequence": number}).encode() + b"\n")


def _without_a_segment(run_dir: Path) -> None:
    path, _ = _lines(run_dir, "exposures")
    path.rename(path.with_name("exposures.000002.jsonl"))


def _with_an_unpackable_segment(run_dir: Path) -> None:
    path, rows = _lines(run_dir, "exposures")
    packed = bytearray(gzip.compress(b"".join(rows)))
    packed[len(packed) // 2] ^= 1
    path.with_name("exposures.000001.jsonl.gz").write_bytes(packed)
    path.write_bytes(b"")


def _with_endless_brackets(run_dir: Path) -> None:
    path, rows = _lines(run_dir, "exposures")
    path.write_bytes(b"".join(rows[:-1]) + b'{"sequence":' + b"[" * 100_000 + b"\n")


@pytest.mark.parametrize(
    ("harm", "checks"),
    [
        (_without_seals, {"seal"}),
        (_with_empty_seals, {"seal"}),
        (_without_the_last_seal, {"seal"}),
        (_with_half_a_seal, {"seal"}),
        (_without_events, {"seal"}),
        (_without_summary, {"summary"}),
        (_with_junk_at_the_end, {"line"}),
        (_with_a_line_more, {"seal"}),
        (_without_a_segment, {"line", "number", "seal"}),
        (_with_an_unpackable_segment, {"line", "number", "seal"}),
        (_with_endless_brackets, {"line", "number", "seal"}),
    ],
)
def test_a_run_that_came_to_its_end_has_it_whole_under_a_seal(
    run_dir: Path, harm: Callable[[Path], None], checks: set[str]
) -> None:
    harm(run_dir)
    found = replay(run_dir)
    assert _checks(found) == checks
    assert found.notes == []


@pytest.mark.parametrize("status", ["running", "failed"])
def test_of_a_run_that_was_cut_off_no_log_is_missed(run_dir: Path, status: str) -> None:
    _without_events(run_dir)
    _with_metadata(run_dir, status=status)
    with pytest.raises(BasisError, match=r"LOG-003: .*events has no event files: the run ended before it wrote one"):
        replay(run_dir)


@pytest.mark.parametrize("status", ["running", "completed", "partial", "failed"])
def test_a_run_that_kept_no_log_has_lost_none(run_dir: Path, status: str) -> None:
    _without_events(run_dir)
    _with_metadata(run_dir, keeps_events=False, status=status)
    with pytest.raises(BasisError, match=r"LOG-003: .*events has no event files: the run kept no log"):
        replay(run_dir)


def test_events_of_a_version_to_come_are_not_read(run_dir: Path) -> None:
    _with_metadata(run_dir, event_schema_version=99)
    with pytest.raises(BasisError, match=r"LOG-004: .*event_schema_version is 99"):
        replay(run_dir)


def test_a_run_that_was_cut_off_is_no_forgery(run_dir: Path) -> None:
    (run_dir / "summary.json").unlink()
    _with_metadata(run_dir, status="running")
    for path in (run_dir / "events").glob("*.jsonl"):
        rows = path.read_bytes().splitlines(keepends=True)
        kept = [row for row in rows if json.loads(row)["sequence"] <= 700]
        path.write_bytes(b"".join(kept) + (rows[len(kept)][:10] if path.stem == "positions" else b""))
    found = replay(run_dir)
    assert found.findings == []
    assert any(note.startswith("positions.jsonl ends within a line: 10 bytes") for note in found.notes)
    assert any("goes on after its last seal" in note for note in found.notes)
    assert any("summary.json" in note for note in found.notes)


def test_findings_of_one_kind_are_counted_beyond_the_first(run_dir: Path) -> None:
    path, lines = _lines(run_dir, "pnl_calculations")
    path.write_bytes(b"".join(line.replace(b'"equity":1', b'"equity":2') for line in lines))
    found = replay(run_dir)
    assert sum(finding.check == "pnl" for finding in found.findings) == 20
    assert found.more["pnl"] > 100


def test_a_run_is_replayed_by_its_name(original: Path) -> None:
    assert replay(find_run("btc_basis", (original.parent.parent,))).findings == []


def test_what_the_owner_brings_is_worth_what_the_next_calculation_says(tmp_path: Path) -> None:
    """Tokens of another kind than the share class are no amount of it."""
    run_dir = LogDirectoryManager.create_run_logs("this", 1, "btc_basis", "basis", 1.0, tmp_path, currency="USDT")
    then = datetime(2024, 1, 1, tzinfo=UTC)

    def brought(number: int, key: str, amount: float) -> ExecutionDeltaEvent:
        deltas = (PositionDelta(key, amount),)
        return ExecutionDeltaEvent(then, DeltaSource.DEPOSIT, deltas, "wallet", number, None)

    def worth(equity: float, flows: float, eth: float) -> PnLCalculation:
        return PnLCalculation(
            timestamp=then, equity=equity, total_pnl=0.0, realized_pnl=0.0, unrealized_pnl=0.0, attribution={},
            attribution_total={}, residual=0.0, residual_total=0.0, external_flows=flows, fees_paid=0.0,
            funding_received=0.0, pnl_by_venue={}, pnl_by_asset={}, marks={"S:USDT": 1.0, "S:ETH": eth},
            trigger_source="tick",
        )  # fmt: skip

    logger = DomainEventLogger(run_dir, "this", 1)
    for event in (
        brought(0, "wallet:BaseToken:USDT", 1_000.0),
        worth(1_000.0, 0.0, 2_000.0),
        brought(1, "wallet:BaseToken:ETH", 0.5),
        worth(2_000.0, 1_000.0, 2_000.0),
    ):
        logger.log(event)
    complete(logger.close())
    assert [finding for finding in replay(run_dir).findings if finding.check == "pnl"] == []
    assert replay(run_dir).calculations == 2
