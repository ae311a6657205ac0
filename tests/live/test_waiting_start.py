"""A whole process of the command line that is started again while one of its three exchanges answers nothing."""

from __future__ import annotations

import json
import subprocess
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.exchange.faults import FOREVER
from tests.live.street import KEYS, Street
from tests.live.test_trading import ask, bought
from tests.telemetry.receiver import receiver
from typer.testing import CliRunner, Result

from basis_actors.cli.app import app
from basis_actors.logs.reader import EventLog
from basis_actors.logs.replay import replay
from basis_actors.messages.events import PositionSnapshot, SystemErrorEvent

pytestmark = [pytest.mark.anyio, pytest.mark.long]
HELD = "binance:PerpPosition:BTC-PERP"
LOT = Decimal("0.00001")
"""Of spot; a fee is taken of what is bought."""


async def begin_and_kill(there: Street) -> None:
    """A process of which OKX has carried out a leg, and which has not heard that when it is killed."""
    faults = there.exchanges["okx"].faults
    faults.hang("POST /api/v5/trade/order", times=FOREVER, carried_out=True)
    there.settings["event_logger"] = {"flush_seconds": 0.2}
    process = there.start("--state", str(there.state))
    await there.until(process, faults.hanging.is_set)
    await there.until(process, lambda: HELD in held(there, process))
    process.kill()
    await there.ended(process)


def held(there: Street, process: subprocess.Popen[str]) -> dict[str, float]:
    """What its log says that it held last."""
    seen = EventLog(there.run_dir(process)).last(PositionSnapshot)
    return {} if seen is None else seen.positions


async def waiting(there: Street, keys: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A process that waits for OKX."""
    for method in ("GET", "POST", "DELETE"):
        there.exchanges["okx"].faults.hang(f"{method} /*", times=FOREVER, carried_out=False)
    process = there.start("--state", str(there.state), keys=keys)
    await there.until(process, lambda: bool(list(there.folder.glob(f"logs/*/{process.pid}"))))
    await there.until(process, lambda: bool((shown(there)["start"] or {}).get("waits_for")))
    return process


def comes_back(there: Street) -> None:
    there.exchanges["okx"].faults.clear()
    there.exchanges["okx"].faults.released.set()


def shown(there: Street) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(ask(there, "status", "--json"))["status"]
    return status


def told(there: Street, process: subprocess.Popen[str]) -> list[SystemErrorEvent]:
    """What its log says of the start."""
    events = EventLog(there.run_dir(process)).events(SystemErrorEvent)
    return [event for event in events if event.component == "start_watch"]


def kill(there: Street) -> Result:
    return CliRunner().invoke(app, ["kill", "btc_basis", "--state", str(there.state), "--flatten"])


def unclosed_lines(there: Street, process: subprocess.Popen[str]) -> list[str]:
    """What its log says of a book that is to be closed and is not."""
    events = EventLog(there.run_dir(process)).events(SystemErrorEvent)
    return [event.message for event in events if "nothing is closed anywhere" in event.message]


def health_url(there: Street, process: subprocess.Popen[str]) -> str:
    line = (there.run_dir(process) / "metrics.log").read_text().splitlines()[0]
    return str(json.loads(line)["health"])


def sent_to(there: Street, venue: str) -> int:
    """How many orders of ours have arrived at an exchange."""
    names = {"binance": "newClientOrderId", "bybit": "orderLinkId", "okx": "clOrdId"}
    return sum(there.exchanges[venue].journal.orders_sent(names[venue]).values())


async def test_what_is_open_is_told_while_a_start_waits_and_the_book_is_closed_once_all_answer(there: Street) -> None:
    await begin_and_kill(there)
    short = float(there.position("binance"))
    async with receiver() as pager:
        there.settings["alerts"] = {"routes": {"oncall": {"format": "json", "min_severity": "CRITICAL"}}}
        process = await waiting(there, KEYS | {"BASIS_ACTORS_ALERTS__ONCALL": pager.url})
        await there.until(process, lambda: len(pager.received) > 1 and bool(told(there, process)))
        start = shown(there)["start"]
        (venue,) = start["waits_for"]
        assert (venue["domain"], "no answer came" in venue["why"]) == ("okx", True)
        assert sorted(start["answered"]) == ["binance", "bybit"]
        (order,) = start["undecided"]
        assert (order["symbol"], order["side"], order["venue"]) == ("BTC-PERP", "short", "okx")
        assert order["amount"] == -float(there.position("okx"))
        (group,) = start["cut_groups"]
        assert f"short {order['amount']:.12g} BTC-PERP on okx" in group
        assert start["held"][HELD] == short
        (begun,) = told(there, process)
        assert begun.severity == "CRITICAL"
        for part in ("waits for okx", order["client_id"], group, f"{HELD} {short:.12g}"):
            assert part in begun.message
        beginning, *later = pager.received
        assert beginning["message"].startswith(
            "the process begins: btc_basis, live, on its accounts; open: undecided: "
        )
        for part in (order["client_id"], group, f"{HELD} {short:.12g}"):
            assert part in beginning["message"]
        assert [alert["message"] for alert in later] == [begun.message]

        async with ClientSession() as session, session.get(health_url(there, process)) as answer:
            health = await answer.json()
        assert health["start"]["waits_for"][0]["domain"] == "okx"
        assert [one["client_id"] for one in health["undecided"]] == [order["client_id"]]
        assert any("okx has not answered for" in problem for problem in health["problems"])
        assert health["trading"]["reason"].startswith("waiting for the market: okx: ")

        text = ask(there, "status")
        assert max(map(len, text.splitlines())) <= 80
        text = " ".join(text.split())
        assert "nothing is sent anywhere before okx answers" in text
        assert "no answer okx, since " in text
        assert "by an earlier process; not read from the exchanges yet" in text
        assert f"{HELD} {short:.6g}" in text

        sent = there.orders
        killed = kill(there)
        assert killed.exit_code == 1
        (line,) = killed.stderr.splitlines()
        title, _, unclosed = line.partition(": ")
        assert title == "Killed, but"
        assert unclosed.startswith(
            "nothing is closed anywhere before okx answers. By hand, wherever you reach an exchange"
        )
        assert json.loads((there.state / "btc_basis" / "latch.json").read_text())["flatten"] is True
        assert shown(there)["unclosed"] == unclosed
        text = ask(there, "status")
        assert max(map(len, text.splitlines())) <= 80
        assert f"book is to be closed, and {unclosed}" in " ".join(text.split())
        await there.until(
            process, lambda: unclosed_lines(there, process) == [f"the book is to be closed, and {unclosed}"]
        )
        async with ClientSession() as session, session.get(health_url(there, process)) as answer:
            health = await answer.json()
        assert health["trading"]["reason"].endswith(f"; {unclosed}")
        assert there.orders == sent
        comes_back(there)
        await there.until(process, lambda: shown(there)["book_closed"])
        assert shown(there)["start"] is None
        await there.until(process, lambda: len(told(there, process)) == 2)
        assert "no longer waits" in told(there, process)[1].message
        code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert len(unclosed_lines(there, process)) == 1
    assert [there.position(venue) for venue in there.exchanges] == [0, 0, 0]
    assert there.twice == {}
    assert replay(there.run_dir(process)).findings == []


async def test_what_was_closed_by_hand_meanwhile_is_not_closed_again(there: Street) -> None:
    await begin_and_kill(there)
    process = await waiting(there)
    kill(there)
    spot = there.exchanges["binance"].account
    for venue in ("binance", "bybit"):
        short = there.position(venue)
        there.exchanges[venue].account.trade_by_hand("BTC-PERP", f"{-short}")
        spot.trade_by_hand("BTC/USDT", f"{-min(-short, bought(there).quantize(LOT, ROUND_DOWN))}")
    at_bybit = sent_to(there, "bybit")
    undecided = [order["venue"] for order in shown(there)["undecided"]]
    assert undecided == ["okx"], "the leg that the process itself finds out about"
    comes_back(there)
    await there.until(process, lambda: shown(there)["book_closed"])
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert [there.position(venue) for venue in there.exchanges] == [0, 0, 0]
    assert bought(there) < Decimal("0.001"), "none of the spot is left"
    assert (sent_to(there, "bybit"), there.twice) == (at_bybit, {}), "nothing was left there"
    errors = [event.error_code for event in EventLog(there.run_dir(process)).events(SystemErrorEvent)]
    assert "VEN-009" not in errors, "what a person traded is in the history of the exchange"
    assert "EXEC-006" not in errors
    assert replay(there.run_dir(process)).findings == []


async def test_a_stop_ends_it_and_the_next_process_still_knows_what_was_held(there: Street) -> None:
    await begin_and_kill(there)
    second = await waiting(there)
    before = shown(there)["start"]["held"]
    assert HELD in before
    code, stdout, stderr = await there.stopped(second)
    assert (code, json.loads(stdout)["failure"].startswith("VEN-002: 1 order is left undecided: ")) == (1, True), stderr
    assert f"Still open: {HELD} {before[HELD]:.6g}" in stderr
    assert "by an earlier process, and the ledger was not read since" in stderr
    assert "Cut in two: btc_basis-" in stderr
    begun, ended = told(there, second)
    assert "waits for okx" in begun.message
    assert ended.message == "the process ends before it has traded: okx kept it waiting"
    assert replay(there.run_dir(second)).findings == []
    third = await waiting(there)
    assert shown(there)["start"]["held"] == before
    third.kill()
    await there.ended(third)
    assert there.twice == {}


async def test_a_start_with_nothing_open_waits_without_an_alarm(there: Street) -> None:
    process = await waiting(there)
    start = shown(there)["start"]
    assert (start["undecided"], start["cut_groups"], start["held"], start["held_at"]) == ([], [], {}, None)
    code, _, stderr = await there.stopped(process)
    assert (code, told(there, process)) == (0, []), stderr


async def test_a_stop_while_the_start_waits_leaves_in_the_log_what_it_waited_for(there: Street) -> None:
    process = await waiting(there)
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    (logged,) = EventLog(there.run_dir(process)).events(SystemErrorEvent)
    assert (logged.component, logged.error_code, logged.severity) == ("process", "DATA-001", "MEDIUM")
    assert logged.message.startswith("the start waits for okx: ")
