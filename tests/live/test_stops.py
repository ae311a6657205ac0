"""A directional mode as a process: it enters on a signal, gets its stops, and goes on after a kill -9 with both."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.exchange.faults import FOREVER
from tests.live.street import KEYS, Street
from tests.live.test_trading import decisions, errors
from tests.signals.test_endpoint import Server
from typer.testing import CliRunner

from basis_actors.cli.app import app
from basis_actors.logs.reader import EventLog
from basis_actors.logs.replay import replay
from basis_actors.messages.events import ExecutionDeltaEvent

pytestmark = pytest.mark.anyio
MODE = "ml_btc_directional_usdt_margin"


def start(there: Street, *arguments: str, rise: float = 0.9, tick_seconds: int | None = None) -> subprocess.Popen[str]:
    """A process whose file of signals says that the price rises, with this probability."""
    file = there.folder / f"signals-{rise}.csv"
    if not file.exists():
        stamp = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:00Z")
        file.write_text(f"timestamp,signal,confidence,sd\n{stamp},{rise},0.95,0.01\n")
    config: dict[str, Any] = {"signal": {"source": "file", "file": {"path": str(file), "staleness_seconds": 86_400}}}
    return there.start_on_binance(MODE, config, "--state", str(there.state), *arguments, tick_seconds=tick_seconds)


def waiting(there: Street) -> dict[str, Decimal]:
    """Triggers of the stops at the exchange, by what they do."""
    stops = [stop for stop in there.exchanges["binance"].account.stops if stop.waits]
    found = {"take_profit" if stop.takes_profit else "stop_loss": stop.trigger for stop in stops}
    assert len(found) == len(stops), "two of a kind"
    return found


def stops_sent(there: Street) -> dict[str, int]:
    return dict(there.exchanges["binance"].journal.orders_sent("clientAlgoId"))


def move(there: Street, price: str) -> None:
    """The market moves, and the mark with it."""
    account = there.exchanges["binance"].account
    account.set_price("BTC-PERP", price)
    account.set_mark("BTC-PERP", price)


async def decided(there: Street, process: subprocess.Popen[str]) -> None:
    """Its first tick is over."""
    await there.until(process, lambda: bool(list(there.folder.glob(f"logs/*/{process.pid}/events/positions.jsonl"))))
    await there.until(process, lambda: bool(decisions(there, process)))


async def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    await anyio.to_thread.run_sync(process.communicate)


async def test_a_stop_that_fires_while_the_process_is_dead_is_found_and_not_traded_against(there: Street) -> None:
    first = start(there)
    await there.until(first, lambda: len(waiting(there)) == 2)
    size = there.position("binance")
    assert Decimal("0.19") <= size <= Decimal("0.2")
    loss, profit = waiting(there)["stop_loss"], waiting(there)["take_profit"]
    assert 60_000 <= (loss + profit) / 2 <= 60_060, "around the price at which it expects to be filled"
    assert (profit - loss) / (loss + profit) == pytest.approx(Decimal("0.02"), abs=Decimal("1e-5")), "two times 1 %"
    await decided(there, first)
    await killed(first)
    account = there.exchanges["binance"].account
    move(there, "58700")
    assert there.position("binance") == 0
    second = start(there)
    await decided(there, second)
    (decision, *_) = decisions(there, second)
    assert (decision.decision_type, there.position("binance"), waiting(there)) == ("hold", 0, {})
    assert decision.reasoning == "closed by its stop_loss: nothing is opened before the candle has ended"
    said = [event.message for event in errors(there, second, "VEN-010")]
    assert len(said) == 1
    assert "of an earlier process has fired: order " in said[0]
    assert f"sold {size.normalize():f} BTC-PERP at 58700" in said[0]
    code, _, stderr = await there.stopped(second)
    assert code == 0, stderr
    assert replay(there.run_dir(second)).findings == []
    assert (there.orders, there.twice) == (1, {})
    assert set(stops_sent(there).values()) == {1}
    assert account.countdown == {}


BLOCKED = "closed by its stop_loss: nothing is opened before the candle has ended"


@pytest.mark.long
async def test_a_level_that_is_passed_without_its_stop_ends_the_candle_over_restarts(there: Street) -> None:
    first = start(there)
    await there.until(first, lambda: len(waiting(there)) == 2)
    await decided(there, first)
    await killed(first)
    lose_the_stop(there, "58700")
    for _ in range(2):
        process = start(there)
        await decided(there, process)
        assert [decision.reasoning for decision in decisions(there, process)] == [BLOCKED]
        assert (there.position("binance"), there.orders) == (0, 2), "the entry, and what closed it"
        code, _, stderr = await there.stopped(process)
        assert code == 0, stderr
        assert replay(there.run_dir(process)).findings == []


@pytest.mark.long
async def test_a_level_that_is_passed_without_its_stop_while_the_process_runs_ends_the_candle(there: Street) -> None:
    process = start(there, tick_seconds=10)
    await there.until(process, lambda: len(waiting(there)) == 2)
    await decided(there, process)
    lose_the_stop(there, "58700")
    await there.until(process, lambda: there.position("binance") == 0)
    before = len(decisions(there, process))
    await there.until(process, lambda: len(decisions(there, process)) >= before + 2)
    assert {decision.reasoning for decision in decisions(there, process)[-2:]} == {BLOCKED}
    assert (there.position("binance"), there.orders) == (0, 2)
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert replay(there.run_dir(process)).findings == []


@pytest.mark.long
async def test_a_rest_that_could_not_be_closed_is_named_without_its_stop_at_the_end(there: Street) -> None:
    first = start(there)
    await there.until(first, lambda: len(waiting(there)) == 2)
    await decided(there, first)
    await killed(first)
    lose_the_stop(there, "58700")
    faults, left = there.exchanges["binance"].faults, f"{there.position('binance').normalize():f}"
    faults.answer("POST /fapi/v1/order", 400, {"code": -4108, "msg": "This contract is closed."}, times=FOREVER)
    second = start(there)
    await decided(there, second)
    status = CliRunner().invoke(app, ["status", MODE, "--state", str(there.state)])
    assert f"{left} of {left} has no stop and could not be closed either" in " ".join(status.stdout.split())
    code, _, stderr = await there.stopped(second)
    assert code == 0, stderr
    assert f"Still open: binance:PerpPosition:BTC-PERP {left} (without its stop_loss)" in stderr
    faults.clear()
    third = start(there)
    await decided(there, third)
    assert (there.position("binance"), waiting(there), there.twice) == (0, {}, {})
    code, _, stderr = await there.stopped(third)
    assert (code, "Still open" in stderr) == (0, False), stderr


@pytest.mark.long
async def test_what_a_stop_of_the_process_finds_passed_is_closed_and_booked(there: Street) -> None:
    """It is told to stop while the market of a tick is being taken, in which a position is closed."""
    process = start(there, tick_seconds=10)
    await there.until(process, lambda: len(waiting(there)) == 2)
    await decided(there, process)
    account, faults = there.exchanges["binance"].account, there.exchanges["binance"].faults

    def stop() -> None:
        lose_the_stop(there, "58700")
        process.send_signal(signal.SIGTERM)

    faults.happen_before("GET /fapi/v1/fundingRate", stop)
    code, stdout, stderr = await there.ended(process)
    assert (code, "Still open" in stderr) == (0, False), stderr
    assert (there.position("binance"), there.orders, waiting(there)) == (0, 2, {})
    purse = account.purses["linear"]["USDT"] + account.purses["spot"]["USDT"]
    assert json.loads(stdout)["equity_end"] == pytest.approx(float(purse))
    assert {event.error_code for event in errors(there, process, "VEN-010")} == {"VEN-010"}
    assert errors(there, process, "ENGINE-002") == []


def lose_the_stop(there: Street, price: str) -> None:
    """Somebody cancels the stop-loss, and the market passes its level."""
    account = there.exchanges["binance"].account
    account.cancel_stop(account.find_stop("loss"))
    move(there, price)
    assert there.position("binance") > 0


@pytest.mark.long
async def test_a_position_and_its_stops_outlive_a_kill_and_a_closed_book_leaves_none(there: Street) -> None:
    first = start(there)
    await there.until(first, lambda: len(waiting(there)) == 2)
    await decided(there, first)
    await killed(first)
    before = waiting(there)
    second = start(there)
    await decided(there, second)
    (decision, *_) = decisions(there, second)
    assert decision.decision_type == "hold"
    assert decision.reasoning.startswith("the position is held, up with probability 0.900")
    assert (waiting(there), len(stops_sent(there)), there.orders) == (before, 2, 1)
    asked = there.exchanges["binance"].journal.of
    questions = len(asked("GET /fapi/v1/openOrders"))
    killed_only = CliRunner().invoke(app, ["kill", MODE, "--state", str(there.state), "--reason", "a test"])
    assert killed_only.exit_code == 0, killed_only.stderr
    await there.until(second, lambda: len(asked("GET /fapi/v1/openOrders")) > questions)
    assert (waiting(there), there.position("binance") > 0) == (before, True), "a kill cancels orders, not stops"
    result = CliRunner().invoke(app, ["kill", MODE, "--state", str(there.state), "--flatten", "--reason", "a test"])
    assert result.exit_code == 0, result.stderr
    await there.until(second, lambda: there.position("binance") == 0 and not waiting(there))
    code, _, stderr = await there.stopped(second)
    assert code == 0, stderr
    assert (there.orders, there.twice) == (2, {})


@pytest.mark.long
async def test_a_process_that_stops_leaves_the_position_with_its_stops_and_one_that_flattens_neither(
    there: Street,
) -> None:
    first = start(there)
    await there.until(first, lambda: len(waiting(there)) == 2)
    await decided(there, first)
    code, _, stderr = await there.stopped(first)
    assert code == 0, stderr
    assert len(waiting(there)) == 2
    second = start(there, "--flatten")
    await decided(there, second)
    code, _, stderr = await there.stopped(second)
    assert code == 0, stderr
    assert (there.position("binance"), waiting(there)) == (0, {})


@pytest.mark.long
async def test_a_stop_that_fires_while_the_process_runs_is_in_its_log_as_in_a_backtest(there: Street) -> None:
    process = start(there)
    await there.until(process, lambda: len(waiting(there)) == 2)
    await decided(there, process)
    move(there, "61300")
    assert there.position("binance") == 0
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    again = start(there)
    await decided(there, again)
    (decision, *_) = decisions(there, again)
    assert decision.reasoning == "closed by its take_profit: nothing is opened before the candle has ended"
    assert (there.orders, there.position("binance")) == (1, 0)
    deltas = list(EventLog(there.run_dir(again)).events(ExecutionDeltaEvent))
    assert all(delta.source.value != "adjustment" for delta in deltas)


@pytest.mark.long
async def test_an_entry_whose_stop_is_refused_is_closed_again_and_waits(there: Street) -> None:
    there.exchanges["binance"].faults.answer(
        "POST /fapi/v1/algoOrder", 400, {"code": -2021, "msg": "Order would immediately trigger."}
    )
    process = start(there)
    await there.until(process, lambda: there.orders == 2)
    await there.until(process, lambda: bool(errors_or_none(there, process)))
    assert (there.position("binance"), waiting(there)) == (0, {})
    code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert any("cannot have its stop" in event.message for event in errors(there, process, "VEN-010"))
    again = start(there)
    await decided(there, again)
    assert [decision.reasoning for decision in decisions(there, again)] == [BLOCKED], "its level was passed at once"
    code, _, stderr = await there.stopped(again)
    assert code == 0, stderr
    assert replay(there.run_dir(process)).findings == []
    assert there.twice == {}


def errors_or_none(there: Street, process: subprocess.Popen[str]) -> list[Any]:
    """Errors about stops, once there is a log of errors."""
    if not list(there.folder.glob(f"logs/*/{process.pid}/events/*.jsonl")):
        return []
    return errors(there, process, "VEN-010")


@pytest.mark.parametrize(
    ("mode", "venue", "perp"),
    [
        ("ml_btc_directional_btc_margin", "binance", "binance:BTCUSD-PERP"),
        (MODE, "bybit", "bybit:BTC-PERP"),
        (MODE, "okx", "okx:BTC-PERP"),
    ],
)
def test_a_mode_whose_stops_nobody_keeps_is_refused(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, mode: str, venue: str, perp: str
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("r"))
    Path("overlay.yaml").write_text(f"venues: [wallet, {venue}]\nstrategy_config: {{venue: {venue}}}\n")
    result = CliRunner(env=KEYS).invoke(app, ["live", mode, "--config", "overlay.yaml", "--state", "s"])
    assert result.exit_code == 2
    said = f"CONFIG-004: mode {mode} protects its positions in {perp} by stops, which are kept live for USDT-margined"
    assert said in " ".join(result.stderr.split())
    assert not Path("logs").exists()


@pytest.mark.long
async def test_an_endpoint_is_asked_for_signals_while_the_process_trades(there: Street) -> None:
    """It may not have answered yet when the first tick is decided, so what it says is looked for in nothing else."""
    with Server() as server:
        http = {"url": server.url, "poll_seconds": 0.2, "timeout_seconds": 5, "retries": 1, "retry_seconds": 1}
        config = {"signal": {"source": "http", "http": http | {"staleness_seconds": 3600}}}
        process = there.start_on_binance(MODE, config, "--state", str(there.state))
        await there.until(process, lambda: server.asked >= 3)
        await decided(there, process)
        code, _, stderr = await there.stopped(process)
    assert code == 0, stderr
    assert there.orders == 0, "the signal is of 2024"
