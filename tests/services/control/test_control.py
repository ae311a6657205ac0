"""The control socket, real: who may ask, what is answered, and what becomes of those who ask wrongly or not at all."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest
from tests.actors.test_kill_switch import CONFIG, DOMAINS, GOOD
from typer.testing import CliRunner, Result

from basis_actors.actors.kill_switch import KillSwitch
from basis_actors.actors.latch_file import LATCH_FILE, write_latch
from basis_actors.bus import LiveBus, WallClock
from basis_actors.bus.testkit import Probe
from basis_actors.cli.app import app
from basis_actors.errors import BasisError
from basis_actors.messages.commands import StopTrading
from basis_actors.messages.operations import TradingPhase, TradingStatus
from basis_actors.messages.safety import (
    AwaitedVenue,
    CloseBook,
    KeyRefused,
    Latch,
    ResumeTrading,
    StartReport,
    TradingState,
)
from basis_actors.services.control.client import (
    NoProcess,
    ask,
    find_state,
    latch_left_behind,
    latch_without_process,
)
from basis_actors.services.control.left_behind import note_run
from basis_actors.services.control.protocol import Answer, AskStatus, KillRequest, Request, ResumeRequest
from basis_actors.services.control.server import ControlServer, answering
from basis_actors.services.state import Holder, StateDirectory, socket_of

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Process:
    """What of a live process answers commands: a real bus, kill switch and socket, with probes for the rest."""

    def __init__(self, state: StateDirectory) -> None:
        self.state = state
        self.bus = LiveBus(WallClock(), log_sink="event_logger")
        self.traders = [Probe(name) for name in ("execution_manager", "strategy_manager", "engine")]
        switch = KillSwitch(CONFIG, state, DOMAINS, "USDT", enforce=True)
        for actor in (Probe("event_logger"), switch, *self.traders):
            self.bus.add(actor)

    async def ask(self, request: Request) -> Answer:
        return await anyio.to_thread.run_sync(lambda: ask(self.state.path, request))

    async def raw(self, line: bytes) -> dict[str, object]:
        """The answer to a line that no client of ours would send."""

        def exchange() -> bytes:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(20.0)
                connection.connect(str(socket_of(self.state.path)))
                connection.sendall(line)
                connection.shutdown(socket.SHUT_WR)
                with connection.makefile("rb") as answer:
                    return answer.read()

        found = await anyio.to_thread.run_sync(exchange)
        assert found.count(b"\n") == 1
        return dict(json.loads(found))


@asynccontextmanager
async def process(root: Path) -> AsyncIterator[Process]:
    with StateDirectory(root, Holder.this_process("btc_basis", NOW)) as state:
        here = Process(state)
        async with answering(state, here.bus) as control, here.bus:
            control.instead = None
            yield here


@asynccontextmanager
async def starting(root: Path) -> AsyncIterator[tuple[Process, ControlServer]]:
    """A process whose bus does not run yet."""
    with StateDirectory(root, Holder.this_process("btc_basis", NOW)) as state:
        here = Process(state)
        async with answering(state, here.bus) as control:
            yield here, control


async def test_a_kill_arrives_with_who_sent_it_and_is_answered_once_it_is_on_disk(tmp_path: Path) -> None:
    async with process(tmp_path) as here:
        answer = await here.ask(KillRequest(reason="enough"))
        assert (answer.refusal, answer.process) == (None, here.state.holder)
        latch = answer.status.latch
        assert (latch.state, latch.reason, latch.flatten) == (TradingState.KILLED, "enough", False)
        assert f"(uid {os.geteuid()}, pid {os.getpid()})" in latch.who
        assert latch_left_behind(here.state.path, NOW) == latch
        await here.bus.settled()
        assert all(len(probe.of(StopTrading)) == 1 for probe in here.traders)
        answer = await here.ask(KillRequest(reason="", flatten=True))
        assert (answer.status.latch.flatten, answer.status.latch.reason) == (True, "enough")
        await here.bus.settled()
        assert all(len(probe.of(CloseBook)) == 1 for probe in here.traders)
        assert (await here.ask(AskStatus())).status.latch == answer.status.latch


async def test_a_process_that_starts_says_what_it_waits_for(tmp_path: Path) -> None:
    async with starting(tmp_path) as (here, control):
        assert (await here.ask(AskStatus())).status.instead == "starting"
        control.instead = "starting: waiting for the market: okx does not answer"
        status = (await here.ask(AskStatus())).status
        assert status.instead == "starting: waiting for the market: okx does not answer"
        assert (status.latch.state, status.ticks, status.positions) == (TradingState.RUNNING, 0, {})
        async with here.bus:
            control.instead = "starting: bringing the accounts into order"
            assert (await here.ask(AskStatus())).status.instead == control.instead
            here.bus.publish(TradingStatus(TradingPhase.STARTING, "okx: does not show its account"))
            assert (await here.ask(AskStatus())).status.instead == "starting: okx: does not show its account"
            here.bus.publish(TradingStatus(TradingPhase.TRADING))
            control.instead = None
            assert (await here.ask(AskStatus())).status.instead is None


async def test_a_flatten_while_the_start_waits_ends_with_one_line_that_says_so(tmp_path: Path) -> None:
    def kill(*more: str) -> Result:
        return CliRunner().invoke(app, ["kill", "btc_basis", "--state", str(tmp_path), *more])

    async with process(tmp_path) as here:
        here.bus.publish(StartReport(waits_for=(AwaitedVenue("okx", "no answer came", NOW),)))
        await here.bus.settled()
        kept = await anyio.to_thread.run_sync(kill)
        assert (kept.exit_code, kept.stderr) == (0, ""), "without --flatten nothing was to be closed"
        closing = await anyio.to_thread.run_sync(lambda: kill("--flatten"))
        assert (closing.exit_code, closing.stderr.count("\n")) == (1, 1)
        assert closing.stderr.startswith("Killed, but: nothing is closed anywhere before okx answers. By hand, ")
        shown = " ".join(closing.stdout.split())
        assert "state killed" in shown
        assert "book is to be closed, and nothing is closed anywhere before okx answers. By hand, " in shown
        here.bus.publish(StartReport(answered=("okx",)))
        await here.bus.settled()
        closing = await anyio.to_thread.run_sync(lambda: kill("--flatten"))
        assert (closing.exit_code, closing.stderr) == (0, "")
        assert "is to be closed from the first tick on" in closing.stdout


async def test_a_reason_that_is_no_utf8_keeps_nobody_from_killing(tmp_path: Path) -> None:
    typed = os.fsdecode(b"gr\xf6\xdfer als erlaubt")
    arguments = ["kill", "btc_basis", "--state", str(tmp_path), "--reason", typed]
    async with process(tmp_path) as here:
        done = await anyio.to_thread.run_sync(lambda: CliRunner().invoke(app, arguments))
        assert (done.exit_code, done.stderr) == (0, "")
        latch = (await here.ask(AskStatus())).status.latch
        assert (latch.state, latch.reason) == (TradingState.KILLED, "gr\ufffd\ufffder als erlaubt")


@pytest.mark.parametrize("flatten", [False, True])
async def test_a_process_that_starts_can_be_killed_and_never_trades(flatten: bool, tmp_path: Path) -> None:
    async with starting(tmp_path) as (here, control):
        answer = await here.ask(KillRequest(reason="not today", flatten=flatten))
        assert (answer.refusal, answer.status.latch.state) == (None, TradingState.KILLED)
        assert latch_left_behind(here.state.path, NOW) == answer.status.latch
        again = await here.ask(KillRequest(reason="again"))
        assert again.status.latch == answer.status.latch
        async with here.bus:
            control.instead = None
            await here.bus.settled()
            command = CloseBook if flatten else StopTrading
            assert all(len(probe.of(command)) >= 1 for probe in here.traders)
            assert (await here.ask(AskStatus())).status.latch == answer.status.latch


async def test_a_flatten_without_a_reason_keeps_that_of_the_kill_before(tmp_path: Path) -> None:
    async with starting(tmp_path) as (here, _control):
        await here.ask(KillRequest(reason="not today"))
        latch = (await here.ask(KillRequest(reason="", flatten=True))).status.latch
        assert (latch.reason, latch.flatten) == ("not today", True)


async def test_a_kill_of_a_process_that_starts_is_taken_back(tmp_path: Path) -> None:
    async with starting(tmp_path) as (here, control):
        await here.ask(KillRequest(reason="not today", flatten=True))
        answer = await here.ask(ResumeRequest())
        assert (answer.refusal, answer.status.latch.state) == (None, TradingState.RUNNING)
        assert latch_left_behind(here.state.path, NOW) == answer.status.latch
        async with here.bus:
            control.instead = None
            await here.bus.settled()
            assert (await here.ask(AskStatus())).status.latch.state is TradingState.RUNNING
            for probe in here.traders:
                kinds = [type(message) for message in probe.received]
                assert kinds[-1:] == ([ResumeTrading] if CloseBook in kinds else []), kinds


async def test_what_stopped_by_itself_is_not_resumed_while_a_process_starts(tmp_path: Path) -> None:
    cause = Latch(state=TradingState.STOPPED, reason="drawdown", error_code="RISK-001", who="risk_monitor", since=NOW)
    async with starting(tmp_path) as (here, _):
        write_latch(here.state, cause)
        for _ in range(2):
            refused = await here.ask(ResumeRequest())
            assert refused.refusal == (
                "RISK-006: the process is starting, so risk was not assessed; resume it once it trades"
            )
            await here.ask(KillRequest(reason="not today"))


async def test_a_kill_of_a_process_that_starts_holds_also_where_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with starting(tmp_path) as (here, control):

        def full(name: str, _content: bytes) -> None:
            raise BasisError("ENGINE-004", f"{name} cannot be written: no space")

        monkeypatch.setattr(here.state, "write", full)
        answer = await here.ask(KillRequest(reason="not today"))
        assert "the latch is not on disk" in (answer.refusal or "")
        async with here.bus:
            control.instead = None
            await here.bus.settled()
            assert all(len(probe.of(StopTrading)) == 1 for probe in here.traders)
            assert (await here.ask(AskStatus())).status.latch.state is TradingState.KILLED


async def test_a_kill_of_a_process_that_has_stopped_is_for_the_next_one(tmp_path: Path) -> None:
    async with starting(tmp_path) as (here, control):
        async with here.bus:
            await here.bus.settled()
        control.instead = "stopping: SIGTERM"
        answer = await here.ask(KillRequest(reason="and stay away"))
        assert (answer.refusal, answer.status.instead) == (None, "stopping: SIGTERM")
        assert latch_left_behind(here.state.path, NOW) == answer.status.latch
        assert answer.status.latch.state is TradingState.KILLED


async def test_whoever_asks_before_anybody_accepts_is_answered_later(tmp_path: Path) -> None:
    with StateDirectory(tmp_path, Holder.this_process("btc_basis", NOW)) as state:
        state.listen()
        here = Process(state)
        async with anyio.create_task_group() as tasks:
            answers: list[Answer] = []

            async def kill() -> None:
                answers.append(await here.ask(KillRequest(reason="at once")))

            tasks.start_soon(kill)
            await anyio.wait_all_tasks_blocked()
            async with answering(state, here.bus):
                while not answers:
                    await anyio.sleep(0.001)
        assert answers[0].status.latch.state is TradingState.KILLED


def test_a_process_that_ends_before_it_has_answered_is_no_process(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path, Holder.this_process("btc_basis", NOW))
    door = state.listen()
    door.setblocking(True)

    def end() -> None:
        connection, _ = door.accept()
        connection.makefile("rb").readline()
        state.release()
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(NoProcess, match="ended before it answered"):
        ask(state.path, AskStatus())
    thread.join()


async def test_a_resume_that_is_refused_says_why(tmp_path: Path) -> None:
    async with process(tmp_path) as here:
        await here.ask(KillRequest(reason="enough"))
        here.bus.publish(KeyRefused("binance", "revoked"))
        answer = await here.ask(ResumeRequest())
        assert "VEN-005: binance does not take our key" in (answer.refusal or "")
        assert answer.status.latch.state is TradingState.STOPPED


async def test_the_socket_is_for_its_owner_only_and_goes_with_the_process(tmp_path: Path) -> None:
    async with process(tmp_path) as here:
        place = socket_of(here.state.path)
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(place.stat().st_mode)
    assert not place.exists()


async def test_a_socket_that_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "btc_basis").mkdir(mode=0o700)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(socket_of(tmp_path / "btc_basis")))
    left.close()
    async with process(tmp_path) as here:
        assert (await here.ask(AskStatus())).status.latch.state is TradingState.RUNNING


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"kill\n",
        b"{}\n",
        b'{"type":"explode"}\n',
        b'{"type":"kill"}\n',
        b'{"type":"kill","reason":5}\n',
        b'{"type":"kill","reason":"x","flatter":true}\n',
        b'{"type":"resume"} {"type":"kill","reason":"x"}\n',
        b'{"type":"status"',
        b"\xff\xfe\n",
        b'{"type":"kill","reason":"\xff"}\n',
        b'{"without end":' + b"[" * 20_000 + b"\n",
        b"",
    ],
)
async def test_a_request_that_is_none_is_answered_and_does_nothing(line: bytes, tmp_path: Path) -> None:
    async with process(tmp_path) as here:
        answer = await here.raw(line)
        assert answer["type"] == "refused"
        assert "one line of JSON with a known request was expected" in str(answer["message"])
        assert (await here.ask(AskStatus())).status.latch.state is TradingState.RUNNING
        assert not (here.state.path / LATCH_FILE).exists()


async def test_a_request_without_an_end_is_cut_off(tmp_path: Path) -> None:
    async with process(tmp_path) as here:
        with suppress(ConnectionError):
            await here.raw(b"x" * 1_000_000)
        assert (await here.ask(AskStatus())).status.latch.state is TradingState.RUNNING


async def test_somebody_who_connects_and_says_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with process(tmp_path) as here:
        silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
        for connection in silent:
            connection.connect(str(socket_of(here.state.path)))
        assert (await here.ask(KillRequest(reason="enough"))).status.latch.state is TradingState.KILLED
        for connection in silent:
            connection.close()
        assert (await here.ask(AskStatus())).status.latch.state is TradingState.KILLED


async def test_a_process_without_a_free_descriptor_answers_once_there_is_one(tmp_path: Path) -> None:
    async with process(tmp_path) as here:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20.0)
            free = os.dup(0)
            os.close(free)
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
            try:
                connection.connect(str(socket_of(here.state.path)))
                await checkpoints(10)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            connection.sendall(b'{"type":"kill","reason":"enough"}\n')
            answer = await anyio.to_thread.run_sync(lambda: connection.recv(100_000))
            assert json.loads(answer)["status"]["latch"]["state"] == "killed"


async def checkpoints(times: int) -> None:
    """Let everybody run who can."""
    for _ in range(times):
        await anyio.lowlevel.checkpoint()


async def test_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is run by another user than the one who asks, who is told by the kernel."""
    async with process(tmp_path) as here:
        path = here.state.path
        if os.geteuid() == 0:
            path.chmod(0o711)
            tmp_path.chmod(0o711)
            socket_of(path).chmod(0o666)
            answer = await anyio.to_thread.run_sync(lambda: _ask_as(12_345, socket_of(path)))
            assert answer == {"type": "refused", "message": "user 12345 may not command a process of user 0"}
        else:
            monkeypatch.setattr(os, "geteuid", lambda: 12_345)
            answer = await here.raw(b'{"type":"status"}\n')
            assert answer["type"] == "refused"
        monkeypatch.undo()
        assert (await here.ask(AskStatus())).status.latch.state is TradingState.RUNNING


def _ask_as(user: int, place: Path) -> object:
    # The interpreter is where no other user may run it, so it becomes one afterwards.
    code = (
        "import os, socket, sys\n"
        "os.setresuid(*[int(sys.argv[1])] * 3)\n"
        "c = socket.socket(socket.AF_UNIX); c.connect(sys.argv[2])\n"
        'c.sendall(b\'{"type":"kill","reason":"x"}\\n\')\n'
        "sys.stdout.write(c.makefile().readline())\n"
    )
    command = [sys.executable, "-c", code, str(user), place.name]
    done = subprocess.run(command, cwd=place.parent, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


# Nobody there


def test_without_a_process_whoever_asks_is_told_who_ran_last_and_not_who_was_refused(tmp_path: Path) -> None:
    with StateDirectory(tmp_path, Holder.this_process("btc_basis", NOW)) as state:
        path = state.path
    with pytest.raises(NoProcess) as caught:
        ask(path, AskStatus())
    assert caught.value.message == f"no process runs on {path}"
    with StateDirectory(tmp_path, Holder.this_process("btc_basis", NOW)) as state:
        note_run(state, tmp_path / "logs", state.holder)
    with StateDirectory(tmp_path, Holder.this_process("btc_basis", datetime(2026, 2, 2, tzinfo=UTC))):
        pass  # its keys are missing, and it never runs
    with pytest.raises(NoProcess) as caught:
        ask(path, AskStatus())
    last = (
        f"the last one was process {os.getpid()} on {socket.gethostname()}, mode btc_basis, since 2026-01-02T03:04:05Z"
    )
    assert caught.value.message == f"no process runs on {path}; {last}"


def test_a_stale_socket_is_no_process(tmp_path: Path) -> None:
    with StateDirectory(tmp_path, Holder.this_process("btc_basis", NOW)) as state:
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(socket_of(state.path)))
        left.close()
        with pytest.raises(
            BasisError, match=r"does not listen on .*control\.sock \(Connection refused\): it is starting"
        ):
            ask(state.path, AskStatus())
        socket_of(state.path).unlink()
        with pytest.raises(BasisError, match=r"does not listen on .* \(No such file or directory\)"):
            ask(state.path, AskStatus())
    with pytest.raises(NoProcess):
        ask(state.path, AskStatus())


@pytest.mark.parametrize("said", [b"{}\n", b"what?\n"])
def test_an_answer_that_is_none_is_told(said: bytes, tmp_path: Path) -> None:
    with (
        StateDirectory(tmp_path, Holder.this_process("btc_basis", NOW)) as state,
        socket.socket(socket.AF_UNIX) as door,
    ):
        door.bind(str(socket_of(state.path)))
        door.listen()

        def answer() -> None:
            connection, _ = door.accept()
            with connection, connection.makefile("rb") as line:
                line.readline()
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(BasisError, match=r"ENGINE-002: process \d+ on .* gave an answer that cannot be read"):
            ask(state.path, AskStatus())
        thread.join()


def latch(**changes: object) -> Latch:
    given = {"state": TradingState.KILLED, "reason": "enough", "who": "alice", "since": NOW, **changes}
    return Latch(**given)  # type: ignore[arg-type]


def test_where_no_process_runs_the_next_one_is_killed(tmp_path: Path) -> None:
    with StateDirectory(tmp_path, Holder.this_process("btc_basis", NOW)) as state:
        path = state.path
        with pytest.raises(BasisError, match="is taken by process"):
            latch_without_process(path, latch())
    assert latch_without_process(path, latch()) == latch()
    assert latch_left_behind(path, NOW) == latch()
    with_its_reason = latch_without_process(path, latch(flatten=True, reason=""))
    assert with_its_reason == latch(flatten=True)
    path.joinpath(LATCH_FILE).unlink()
    assert latch_without_process(path, latch(reason="")).reason == "the operator said so"
    closing = latch(flatten=True, reason="close")
    assert latch_without_process(path, closing) == closing
    assert latch_without_process(path, latch()) == closing, "a plain kill would leave the book half closed"


def test_a_kill_where_no_process_runs_forgets_no_mismatch(tmp_path: Path) -> None:
    moments = (1_704_067_200_000_000_000, 1_704_067_260_000_000_000)
    running = Latch(state=TradingState.RUNNING, reason="r", who="kill_switch", since=NOW, mismatches=moments)
    with StateDirectory(tmp_path, Holder.this_process("btc_basis", NOW)) as state:
        write_latch(state, running)
        path = state.path
    assert latch_without_process(path, latch()).mismatches == moments
    assert latch_left_behind(path, NOW).mismatches == moments


def test_what_is_damaged_is_killed_by_somebody(tmp_path: Path) -> None:
    with StateDirectory(tmp_path, Holder.this_process("btc_basis", NOW)) as state:
        state.write(LATCH_FILE, GOOD[:-1])
        path = state.path
    assert latch_left_behind(path, NOW).error_code == "ENGINE-004"
    assert latch_without_process(path, latch()) == msgspec.structs.replace(latch(), over="ENGINE-004")


def test_a_process_that_has_lost_its_state_is_told_of_without_its_mode(tmp_path: Path) -> None:
    root = tmp_path / "state"
    with StateDirectory(root, Holder.this_process("btc_basis", NOW)):
        shutil.rmtree(root)
        lost = rf"process {os.getpid()} of this machine runs, and has lost {root}/btc_basis: .*; SIGTERM ends it$"
        with pytest.raises(BasisError, match=f"CONFIG-003: {lost}"):
            find_state(root, None)
        StateDirectory(root, Holder.this_process("eth_basis", NOW)).release()
        with pytest.raises(BasisError, match=f"CONFIG-003: {lost}"):
            find_state(root, None)
        assert find_state(root, "eth_basis") == root / "eth_basis"
    assert find_state(root, None) == root / "eth_basis"


def test_the_only_mode_need_not_be_named(tmp_path: Path) -> None:
    nothing = rf"CONFIG-003: there is no state in {tmp_path}; --state names the folder that `live` was given"
    with pytest.raises(BasisError, match=rf"{nothing}; where that was deleted under a process, name the mode$"):
        find_state(tmp_path, None)
    with pytest.raises(BasisError, match=rf"{nothing}$"):
        find_state(tmp_path, "btc_basis")
    StateDirectory(tmp_path, Holder.this_process("btc_basis", NOW)).release()
    assert find_state(tmp_path, None) == find_state(tmp_path, "btc_basis") == tmp_path / "btc_basis"
    StateDirectory(tmp_path, Holder.this_process("eth_basis", NOW)).release()
    with pytest.raises(BasisError, match=r"name a mode in .*; there are: btc_basis, eth_basis"):
        find_state(tmp_path, None)
    with pytest.raises(BasisError, match=r"no 'btc' in .*; there are: btc_basis, eth_basis; --state names the folder"):
        find_state(tmp_path, "btc")
