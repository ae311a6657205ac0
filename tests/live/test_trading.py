"""The command line as a process that trades on three exchanges over real sockets: enters, restarts, is killed, ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from tests.exchange.faults import FOREVER
from tests.exchange.server import KEY, OTHER_KEY
from tests.live.street import KEYS, Street
from typer.testing import CliRunner

from basis_actors.cli.app import app
from basis_actors.logs.reader import EventLog
from basis_actors.logs.replay import replay
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    PositionSnapshot,
    StrategyDecision,
    SystemErrorEvent,
)

pytestmark = pytest.mark.anyio
LEGS = 6
"""Two orders for each exchange that is hedged with: a purchase on spot and a short."""
UNHEDGED = Decimal("0.003")
"""BTC: as much as the mode leaves be, a fee of the purchase that is paid in it included."""
DUST = Decimal("0.00001")
"""BTC: less than a lot."""


def bought(street: Street) -> Decimal:
    return street.exchanges["binance"].account.purses["spot"]["BTC"]


def net(street: Street) -> Decimal:
    return bought(street) + sum((street.position(venue) for venue in street.exchanges), Decimal(0))


def ask(street: Street, command: str, *arguments: str) -> str:
    """What a command about the process prints; `status` ends with 1 where trading is stopped."""
    result = CliRunner().invoke(app, [command, "btc_basis", "--state", str(street.state), *arguments])
    assert result.exit_code in (0, 1), result.stderr
    return result.stdout


async def entered(street: Street, *arguments: str) -> subprocess.Popen[str]:
    """A process that has entered, and whose tick is over."""
    process = street.start("--state", str(street.state), *arguments)
    await street.until(process, lambda: street.orders >= LEGS)
    await street.until(process, lambda: len(decisions(street, process)) >= 1 and street.orders == LEGS)
    return process


def errors(street: Street, process: subprocess.Popen[str], code: str) -> list[SystemErrorEvent]:
    """What was logged under a code."""
    return [event for event in EventLog(street.run_dir(process)).events(SystemErrorEvent) if event.error_code == code]


def decisions(street: Street, process: subprocess.Popen[str]) -> list[StrategyDecision]:
    return list(EventLog(street.run_dir(process)).events(StrategyDecision))


async def test_a_process_enters_hedged_and_its_stop_closes_the_book(there: Street) -> None:
    process = await entered(there, "--flatten")
    assert abs(net(there)) < UNHEDGED
    assert bought(there) > 1
    second = there.start("--state", str(there.state))
    code, _, stderr = await there.ended(second)
    assert code == 2
    assert f"process {process.pid}" in stderr
    code, stdout, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert [there.position(venue) for venue in there.exchanges] == [0, 0, 0]
    assert bought(there) < DUST
    assert (there.orders, there.twice) == (2 * LEGS, {})
    summary, run_dir = json.loads(stdout), there.run_dir(process)
    assert summary["failure"] is None
    tokens = [there.exchanges[venue].account.purses for venue in there.exchanges]
    dollars = sum(purse["USDT"] for purses in tokens for purse in purses.values() if "USDT" in purse)
    assert summary["equity_end"] == pytest.approx(float(dollars + bought(there) * 60_000), rel=1e-12)
    assert replay(run_dir).findings == []
    secrets = set(KEYS.values())
    for file in run_dir.rglob("*"):
        text = file.read_bytes() if file.is_file() else b""
        assert not [secret for secret in secrets if secret.encode() in text], file


@pytest.mark.long
async def test_the_next_process_finds_the_book_and_a_kill_closes_it(there: Street) -> None:
    first = await entered(there)
    code, _, stderr = await there.stopped(first)
    assert code == 0, stderr
    assert f"Still open: binance:PerpPosition:BTC-PERP {float(there.position('binance')):.6g}, bybit:" in stderr
    assert f", binance:BaseToken:BTC {float(bought(there)):.6g}\n" in stderr
    second = there.start("--state", str(there.state))
    await there.until(second, lambda: bool(list(there.folder.glob(f"logs/*/{second.pid}/events/positions.jsonl"))))
    await there.until(second, lambda: bool(decisions(there, second)))
    (*_, seen) = EventLog(there.run_dir(second)).events(PositionSnapshot)
    assert seen.positions["okx:PerpPosition:BTC-PERP"] == float(there.position("okx"))
    assert (decisions(there, second)[0].decision_type, there.orders) == ("hold", LEGS)
    assert "running" in ask(there, "status")
    ask(there, "kill", "--flatten", "--reason", "a test")
    await there.until(second, lambda: all(not there.position(venue) for venue in there.exchanges))
    await there.until(second, lambda: json.loads(ask(there, "status", "--json"))["status"]["book_closed"])
    code, _, stderr = await there.stopped(second)
    assert code == 0, stderr
    third = there.start("--state", str(there.state))
    await there.until(third, lambda: bool(list(there.folder.glob(f"logs/*/{third.pid}/events/positions.jsonl"))))
    await there.until(third, lambda: bool(decisions(there, third)))
    code, _, stderr = await there.stopped(third)
    assert code == 0, stderr
    assert there.orders == 2 * LEGS, "who was killed trades no more before somebody resumes"
    assert there.twice == {}


@pytest.mark.long
async def test_whoever_finds_its_account_taken_ends_with_one_code_by_whichever_key_it_came(there: Street) -> None:
    process = await entered(there)
    others = KEYS | {name: OTHER_KEY for name in KEYS if name.endswith("API_KEY")}
    for number, keys in enumerate((KEYS, others)):
        second = there.start("--state", str(there.folder / f"state{number}"), keys=keys)
        code, _, stderr = await there.ended(second)
        assert (code, f"is taken by process {process.pid}" in stderr) == (2, True), stderr
    written = {file: file.read_text() for file in there.run_dir(second).rglob("*.*l*") if file.is_file()}
    assert any("is taken by process" in text for text in written.values())
    assert [file for file, text in written.items() if "Traceback" in text] == []
    assert there.orders == LEGS


@pytest.mark.long
@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"BASIS_ACTORS_BYBIT__API_SECRET": "another-secret-of-nobody"}, 1, "VEN-005"),
        ({"BASIS_ACTORS_OKX__PASSPHRASE": ""}, 2, "BASIS_ACTORS_OKX__PASSPHRASE"),
        ({"BASIS_ACTORS_BINANCE__API_KEYS": KEY}, 2, "BASIS_ACTORS_BINANCE__API_KEYS"),
    ],
)
async def test_wrong_keys_end_the_process_before_any_order(
    there: Street, changed: dict[str, str], code: int, said: str
) -> None:
    process = there.start("--state", str(there.state), keys=KEYS | changed)
    ended, _, stderr = await there.ended(process)
    assert (ended, said in stderr) == (code, True), stderr
    assert not [value for value in (KEYS | changed).values() if value and value in stderr]
    assert there.orders == 0


@pytest.mark.long
async def test_missing_keys_are_bad_input_and_nothing_is_asked_before(there: Street) -> None:
    there.exchanges["okx"].faults.answer("GET*", 503, {}, times=FOREVER)
    kept = {name: value for name, value in KEYS.items() if "OKX" not in name}
    process = there.start("--state", str(there.state), keys=kept)
    ended, _, stderr = await there.ended(process)
    assert (ended, "BASIS_ACTORS_OKX__API_KEY" in stderr) == (2, True), stderr
    assert [len(exchange.journal.requests) for exchange in there.exchanges.values()] == [0, 0, 0]


@pytest.mark.long
async def test_an_exchange_that_is_gone_from_the_configuration_is_refused(there: Street) -> None:
    first = await entered(there)
    assert (await there.stopped(first))[0] == 0
    shares = "strategy_config.hedge_allocation={binance: 0.5, bybit: 0.5}"
    second = there.start("--state", str(there.state), "--set", shares, without="okx")
    code, _, stderr = await there.ended(second)
    assert (code, "okx BTC-PERP" in stderr) == (2, True), stderr
    assert there.orders == LEGS


@pytest.mark.long
async def test_an_exchange_in_maintenance_is_waited_for(there: Street) -> None:
    there.exchanges["okx"].faults.answer(
        "GET*", 503, {"code": "50001", "msg": "Service temporarily unavailable"}, times=3
    )
    process = await entered(there)
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert "Waiting: okx" in stderr
    assert abs(net(there)) < UNHEDGED


@pytest.mark.long
async def test_an_exchange_that_limits_in_the_middle_of_a_group_costs_no_unwinding(there: Street) -> None:
    limited = {"code": -1003, "msg": "Too many requests."}
    there.exchanges["binance"].faults.answer("POST /api/v3/order", 429, limited, {"Retry-After": "2"})
    process = there.start("--state", str(there.state))
    await there.until(process, lambda: there.orders > LEGS and bool(decisions(there, process)))
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert abs(net(there)) < UNHEDGED
    assert (there.orders, there.twice) == (LEGS + 1, {}), (
        "the leg that was refused was sent once more, and nothing undone"
    )
    groups = list(EventLog(there.run_dir(process)).events(AtomicOperationGroupEvent))
    assert [event.group_status for event in groups] == ["confirmed"] * 3


@pytest.mark.long
async def test_a_limit_of_33_hours_keeps_no_book_open_and_is_no_silence(there: Street) -> None:
    there.api["longest_pause_seconds"] = 8.0
    limited = {"code": -1003, "msg": "Too many requests."}
    process = await entered(there)
    there.exchanges["binance"].faults.answer("GET /fapi/v3/account", 429, limited, {"Retry-After": "120000"})
    ask(there, "kill", "--flatten")
    await there.until(process, lambda: ": it wants to be left alone until 20" in " ".join(ask(there, "status").split()))
    assert "no answer" not in ask(there, "status")
    await there.until(process, lambda: not any(there.position(venue) for venue in there.exchanges))
    await there.until(process, lambda: "book     is closed" in ask(there, "status"))
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert there.twice == {}
    assert abs(bought(there)) < DUST


@pytest.mark.long
async def test_a_stop_ends_a_start_that_waits_for_an_account(there: Street) -> None:
    there.exchanges["bybit"].faults.hang("GET /v5/account/*", times=FOREVER, carried_out=False)
    process = there.start("--state", str(there.state))
    await there.exchanges["bybit"].faults.hanging.wait()
    code, stdout, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert json.loads(stdout)["failure"] is None
    assert there.orders == 0


@pytest.mark.long
@pytest.mark.parametrize("flatten", [False, True])
async def test_a_start_can_be_asked_and_is_killed_before_it_trades(there: Street, flatten: bool) -> None:
    busy = {"code": "50001", "msg": "Service temporarily unavailable"}
    there.exchanges["okx"].faults.answer("GET*", 503, busy, times=FOREVER)
    process = there.start("--state", str(there.state))
    await there.until(process, (there.state / "btc_basis" / "control.sock").exists)
    await there.until(process, lambda: "starting: waiting for the market: okx" in ask(there, "status"))
    killed = " ".join(ask(there, "kill", *(["--flatten"] if flatten else [])).split())
    assert "now starting: waiting for the market: okx" in killed
    assert ("book is to be closed, and nothing is closed anywhere before okx answers" in killed) is flatten
    assert "is being closed" not in killed
    there.exchanges["okx"].faults.clear()
    there.exchanges["bybit"].faults.answer("GET /v5/account/*", 503, {}, times=FOREVER)
    await there.until(process, lambda: "starting: bybit " in ask(there, "status"))
    there.exchanges["bybit"].faults.clear()
    await there.until(process, lambda: bool(list(there.folder.glob(f"logs/*/{process.pid}/events/positions.jsonl"))))
    await there.until(process, lambda: bool(decisions(there, process)))
    shown = ask(there, "status")
    assert "state    killed" in shown
    assert "starting" not in shown
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert there.orders == 0


@pytest.fixture
def small_state(there: Street) -> Iterator[Path]:
    """A state directory on a file system of its own, of a megabyte."""
    there.state.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(there.state)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield there.state
    there.end()
    subprocess.run(["umount", "--lazy", there.state], check=True)


@pytest.mark.long
async def test_a_full_disk_sends_nothing_and_ends_nothing_and_is_got_over(there: Street, small_state: Path) -> None:
    process = await entered(there)
    filler = small_state / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    killed = ask(there, "kill", "--flatten")
    assert "is being closed" in killed
    await there.until(process, lambda: "is not sent:" in ask(there, "status"))
    await there.until(process, lambda: len(errors(there, process, "ENGINE-006")) > 2)
    assert there.orders == LEGS, "nothing is sent"
    assert [event.severity for event in errors(there, process, "ENGINE-006")].count("CRITICAL") <= 2, "once each"
    filler.unlink()
    await there.until(process, lambda: json.loads(ask(there, "status", "--json"))["status"]["book_closed"])
    assert [there.position(venue) for venue in there.exchanges] == [0, 0, 0]
    assert (there.orders, there.twice) == (2 * LEGS, {})
    await there.stopped(process)


@pytest.mark.long
@pytest.mark.parametrize("emptied", [True, False])
async def test_a_journal_that_is_gone_beside_a_used_state_ends_the_start(there: Street, emptied: bool) -> None:
    first = await entered(there)
    assert (await there.stopped(first))[0] == 0
    journal = there.state / "btc_basis" / "orders.sqlite"
    journal.unlink()
    if emptied:
        journal.touch(mode=0o600)
    for _ in range(2):
        code, _, stderr = await there.ended(there.start("--state", str(there.state)))
        assert (code, "ENGINE-004: order journal" in stderr, "another --state" in stderr) == (2, True, True), stderr
    assert there.orders == LEGS


@pytest.mark.long
async def test_a_key_that_is_revoked_halts_one_exchange_and_the_others_go_on(there: Street) -> None:
    process = await entered(there)
    there.exchanges["bybit"].revoked = True
    ask(there, "kill", "--flatten")
    await there.until(process, lambda: not there.position("okx") and not there.position("binance"))
    shown = " ".join(ask(there, "status").split())
    assert "VEN-005: bybit does not take our key" in shown
    await there.until(process, lambda: bool(errors(there, process, "VEN-008")))
    assert there.position("bybit") < 0
    refused = [event for event in errors(there, process, "VEN-005") if event.component == "venue_bybit"]
    assert [event.severity for event in refused] == ["CRITICAL"]
    there.exchanges["bybit"].revoked = False
    await there.until(process, lambda: json.loads(ask(there, "status", "--json"))["status"]["book_closed"])
    assert there.position("bybit") == 0
    assert bought(there) < DUST
    assert there.twice == {}
    await there.stopped(process)


async def test_a_perpetual_that_the_owner_buys_elsewhere_ends_nothing_and_is_left_to_the_owner(there: Street) -> None:
    process = await entered(there)
    account = there.exchanges["bybit"].account
    account.purses["unified"]["USDT"] += 300
    account.trade_by_hand("SOL-PERP", "1")
    ask(there, "kill", "--flatten")
    await there.until(process, lambda: not any(there.position(venue) for venue in there.exchanges))
    await there.until(process, lambda: bought(there) < DUST)
    assert account.positions["SOL-PERP"].size == 1
    await there.until(process, lambda: bool(errors(there, process, "VEN-009")))
    assert "bybit:PerpPosition:SOL-PERP is 1, 0 is booked" in errors(there, process, "VEN-009")[0].message
    assert there.twice == {}
    assert (await there.stopped(process))[0] == 0
