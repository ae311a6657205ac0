"""`kill`, `resume` and `status` against a live process on paper: real commands, a real process, a real socket."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from basis_actors.cli.app import app
from basis_actors.data import SyntheticGenerator, write_dataset
from basis_actors.data.stamps import DAY
from basis_actors.errors import BasisError
from basis_actors.messages.safety import SwitchStatus, TradingState
from basis_actors.services.control.client import ask
from basis_actors.services.control.protocol import AskStatus

ON_PAPER = "nothing is open in the world, and the next paper process begins with its own capital"
MAIN = "from basis_actors.cli import main; main()"


@pytest.fixture(scope="module")
def market_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred days of a synthetic market as files: at 36,000 times real time, eight minutes."""
    folder = tmp_path_factory.mktemp("market")
    generator = SyntheticGenerator(3, 3600)
    write_dataset(generator.generate(generator.epoch_ns, generator.epoch_ns + 200 * DAY), folder)
    return folder


class House:
    """A folder in which one mode is run."""

    def __init__(self, folder: Path, market: Path) -> None:
        self.folder, self.market = folder, market
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "live", "btc_basis", "--paper", "--always-in", "--replay-feed", self.market,
             "--speed", "36000", "--state", "state", "--quiet", "--set",
             "component_config.strategy_manager.time_throttle_interval=0"],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def end(self) -> None:
        """Without any warning."""
        self.processes[-1].kill()
        self.processes[-1].communicate()

    def say(self, *command: str) -> Result:
        return CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1"}).invoke(app, [*command])

    def until(self, what: Callable[[SwitchStatus], bool]) -> SwitchStatus:
        """The status once it is as expected; the last process has to live for it."""
        while True:
            assert self.processes[-1].poll() is None, self.processes[-1].communicate()
            try:
                status = ask(self.folder / "state" / "btc_basis", AskStatus()).status
            except BasisError:
                # It is starting, and has more use for the processor.
                time.sleep(0.05)
                continue
            if what(status):
                return status


@pytest.fixture
def house(tmp_path: Path, market_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.chdir(tmp_path)
    found = House(tmp_path, market_folder)
    yield found
    for process in found.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def invested(status: SwitchStatus) -> bool:
    return any("Perp" in key for key in status.positions)


def test_a_process_is_killed_flattened_and_resumed_from_outside(house: House) -> None:
    process = house.start()
    house.until(invested)
    shown = house.say("status")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert f"process {process.pid} on " in shown.stdout
    assert "state    running, since 2024-" in shown.stdout
    assert "binance:PerpPosition:BTC-PERP" in shown.stdout
    (run_dir,) = house.folder.glob(f"logs/*/{process.pid}")
    assert json.loads(house.say("status", "--json").stdout)["run_dir"] == str(run_dir)
    assert f"log{run_dir}asof" in "".join(shown.stdout.split())
    assert max(map(len, shown.stdout.splitlines())) <= 80

    killed = house.say("kill", "--reason", "looks odd")
    assert (killed.exit_code, killed.stderr) == (0, "")
    assert "state    killed, since 2024-" in killed.stdout
    assert "reason   looks odd" in killed.stdout
    again = house.say("kill", "--reason", "looks worse")
    assert (again.exit_code, "reason   looks odd" in again.stdout) == (0, True)
    assert again.stderr == "Killed already: the reason of that stays\n"
    assert house.say("status").exit_code == 1
    assert invested(house.until(lambda status: status.latch.state is TradingState.KILLED)), (
        "it leaves the book as it is"
    )

    closing = house.say("kill", "--flatten")
    assert closing.exit_code == 0
    assert "book     is being closed" in closing.stdout
    assert "reason   looks odd" in closing.stdout, "no other was given"
    assert not invested(house.until(lambda status: status.book_closed))

    resumed = house.say("resume", "btc_basis")
    assert (resumed.exit_code, resumed.stderr) == (0, "")
    assert "state    running" in resumed.stdout
    assert re.search(r"decided +nothing yet; the next tick is waited for", resumed.stdout)
    house.until(invested)

    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    told = [line for line in stderr.splitlines() if "RISK-008" in line]
    assert [line.partition(" (")[0].partition(" by ")[0] for line in told] == [
        "HIGH RISK-008: trading is killed: looks odd",
        "HIGH RISK-008: trading is killed, and the book is to be closed: looks odd",
        "MEDIUM RISK-008: the book is closed",
        "MEDIUM RISK-008: trading is resumed",
    ]
    shown = house.say("status")
    assert (shown.exit_code, "ended    completed, 20" in shown.stdout) == (3, True)
    assert json.loads(house.say("status", "--json").stdout)["last_seen"]["ending"]["how"] == "completed"


def test_a_kill_is_there_after_a_restart_also_when_nobody_ran_to_hear_it(house: House) -> None:
    house.start()
    house.until(lambda status: status.ticks > 0)
    assert house.say("kill", "--reason", "over night").exit_code == 0
    house.end()
    gone = house.say("status")
    assert (gone.exit_code, gone.stderr) == (3, "")
    assert "no process runs on state/btc_basis; the last one was process" in " ".join(gone.stdout.split())
    assert "state    killed" in gone.stdout
    refused = house.say("resume")
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "No process: no process runs on state/btc_basis" in refused.stderr
    assert "; the next one begins killed: over night; start it, and resume it then" in refused.stderr

    house.start()
    status = house.until(lambda status: status.ticks > 3)
    assert (status.latch.state, status.latch.reason) == ("killed", "over night")
    assert not invested(status)
    house.end()

    killed = house.say("kill", "--flatten", "--reason", "it restarts and restarts")
    assert (killed.exit_code, killed.stdout) == (3, "")
    assert f"the next one begins killed: it restarts and restarts; {ON_PAPER}" in killed.stderr
    shown = house.say("status").stdout
    assert "book     there is none to close" in shown
    assert f"paper {ON_PAPER}" in " ".join(shown.split())
    as_json = house.say("status", "--json")
    assert json.loads(as_json.stdout)["only_on_paper"] is True
    assert (as_json.exit_code, json.loads(as_json.stdout)["process"]) == (3, None)
    assert json.loads(as_json.stdout)["next_latch"]["flatten"] is True
    house.start()
    assert house.until(lambda status: status.ticks > 3).book_closed
    shown = house.say("status", "--json")
    assert (shown.exit_code, json.loads(shown.stdout)["status"]["latch"]["flatten"]) == (1, True)


def test_a_process_that_is_gone_does_not_run_and_what_it_held_is_told(house: House) -> None:
    house.start()
    assert house.say("status").exit_code in (1, 2), "it starts"
    house.until(invested)
    house.until(lambda status: status.ticks > 50)
    house.end()
    shown = house.say("status")
    assert (shown.exit_code, shown.stderr) == (3, "")
    assert "running" not in shown.stdout
    assert "ended    killed: nothing said how it ended" in shown.stdout
    assert "next     begins free to trade" in shown.stdout
    held = json.loads(house.say("status", "--json").stdout)["last_seen"]
    # A long path is broken where the line ends.
    assert f"held{held['at']},onpaper,by{house.folder}/logs/" in "".join(shown.stdout.split())
    assert f"paper {ON_PAPER}" in " ".join(shown.stdout.split())
    short = held["positions"]["binance:PerpPosition:BTC-PERP"]
    assert short < 0.0
    assert f"  binance:PerpPosition:BTC-PERP  {short:,.6g}" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    shutil.rmtree(house.folder / "logs")
    assert "heldnotknown," in "".join(house.say("status").stdout.split())
    (house.folder / "state" / "btc_basis" / "failures.json").write_bytes(b'{"failures":-1}')
    shown = house.say("status")
    assert "does not start on accounts: ENGINE-001: failures.json is damaged" in " ".join(shown.stdout.split())
    assert "free to trade" not in shown.stdout
    assert json.loads(house.say("status", "--json").stdout)["refused"].startswith("ENGINE-001")
    (house.folder / "state" / "btc_basis" / "losses.json").write_bytes(b'{"currency":')
    shown = " ".join(house.say("status").stdout.split())
    assert "does not start on accounts: ENGINE-001: losses.json is damaged (" in shown
    assert "remove it to begin anew; ENGINE-001: failures.json is damaged (" in shown
    (house.folder / "state" / "btc_basis" / "traded.json").write_bytes(b"{}")
    killed = house.say("kill", "--flatten")
    assert (killed.exit_code, "paper" in killed.stderr) == (3, False), "an earlier process has traded on accounts"
    shown = house.say("status")
    assert "does not start on accounts: ENGINE-001: traded.json of the state directory cannot be read: " in " ".join(
        shown.stdout.split()
    )
    assert ("book     is to be closed by the next process" in shown.stdout, "paper" in shown.stdout) == (True, False)


def test_signals_in_the_last_moments_of_a_process_change_no_exit_code(house: House) -> None:
    last = "import atexit, os; atexit.register(lambda: [os.kill(os.getpid(), number) for number in (2, 15)]); "
    command = (
        "live", "btc_basis", "--paper", "--replay-feed", str(house.market), "--speed", "max", "--end", "2024-01-03",
        "--json",
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", last + MAIN, *command], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert json.loads(done.stdout)["failure"] is None


def test_a_second_process_of_a_mode_is_refused_and_leaves_no_trace(house: House) -> None:
    first = house.start()
    house.until(lambda status: status.ticks > 0)
    second = house.start()
    _, stderr = second.communicate()
    assert second.returncode == 2
    assert f"ENGINE-001: state directory state/btc_basis is taken by process {first.pid} on " in stderr
    assert len(list((house.folder / "logs").iterdir())) == 1
    house.processes.pop()
    house.until(lambda status: status.ticks > 1)


def test_a_process_that_has_lost_its_state_is_not_said_to_be_none(house: House) -> None:
    first = house.start()
    house.until(lambda status: status.ticks > 0)
    shutil.rmtree(house.folder / "state")
    said = house.say("kill", "btc_basis")
    assert (said.exit_code, f"process {first.pid} of this machine runs, and has lost " in said.stderr) == (2, True)
    second = house.start()
    _, stderr = second.communicate()
    assert second.returncode == 2
    assert f"ENGINE-001: state directory state/btc_basis is taken by process {first.pid} of this machine" in stderr
    house.processes.pop()
    said = house.say("kill", "--flatten")
    assert said.exit_code == 3
    assert f"No process: process {first.pid} of this machine runs, and has lost " in said.stderr
    assert (
        "it hears nothing from there; SIGTERM ends it; the next one begins killed: the operator said so" in said.stderr
    )
    assert "no process runs" not in said.stderr
    assert str(second.pid) not in said.stderr
    assert f"process{first.pid}ofthismachineruns," in "".join(house.say("status").stdout.split())


@pytest.mark.parametrize("command", ["kill", "resume", "status"])
def test_without_a_state_there_is_nobody_to_talk_to(command: str, house: House) -> None:
    said = house.say(command, "--state", "nowhere")
    assert (said.exit_code, said.stdout) == (2, "")
    assert "CONFIG-003: there is no state in " in said.stderr
    assert "; --state names the folder that `live` was given" in said.stderr
    (house.folder / "state" / "eth_basis").mkdir(parents=True)
    (house.folder / "state" / "eth_basis" / "state.lock").touch(mode=0o600)
    said = house.say(command, "eth_bais")
    assert (said.exit_code, "no 'eth_bais' in " in said.stderr) == (2, True)


def test_a_process_that_waits_for_each_tick_takes_no_state(house: House) -> None:
    said = house.say(
        "live", "btc_basis", "--paper", "--replay-feed", str(house.market), "--speed", "max", "--state", "s"
    )
    assert said.exit_code == 2
    assert "CONFIG-003: --state needs a market that goes on in time, but --speed is max" in said.stderr
    assert list(house.folder.iterdir()) == []
