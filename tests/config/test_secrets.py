"""Secrets come from the environment, complete or not at all, and no text of the program ever shows one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from basis_actors.config.environment import secret_values
from basis_actors.config.secrets import load_secrets
from basis_actors.errors import ConfigError
from basis_actors.logs.redaction import Redactor

HUSH = "correct-horse-battery"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("BASIS_ACTORS_BINANCE__API_KEY", HUSH + "-key")
    monkeypatch.setenv("BASIS_ACTORS_BINANCE__API_SECRET", HUSH + "-secret")
    return monkeypatch


def test_without_variables_there_are_no_keys() -> None:
    secrets = load_secrets()
    assert (secrets.binance, secrets.bybit, secrets.okx) == (None, None, None)


def test_keys_are_read_for_the_venue_they_name(keys: pytest.MonkeyPatch) -> None:
    secrets = load_secrets()
    assert secrets.binance is not None
    assert secrets.binance.api_key.get_secret_value() == HUSH + "-key"
    assert secrets.bybit is None


def test_no_way_of_printing_shows_a_secret(keys: pytest.MonkeyPatch) -> None:
    secrets = load_secrets()
    texts = (repr(secrets), str(secrets), str(secrets.model_dump()), secrets.model_dump_json(), f"{secrets.binance}")
    assert not any(HUSH in text for text in texts)


def test_the_folder_of_the_control_commands_is_no_secret(keys: pytest.MonkeyPatch) -> None:
    """Whoever sets it for `status` starts live processes with it too."""
    before = load_secrets()
    keys.setenv("BASIS_ACTORS_STATE", "state")
    assert load_secrets() == before


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BASIS_ACTORS_BYBIT__API_KEY", HUSH, "BASIS_ACTORS_BYBIT__API_SECRET missing or empty"),
        ("BASIS_ACTORS_OKX__API_KEY", HUSH, "BASIS_ACTORS_OKX__PASSPHRASE missing or empty"),
        ("BASIS_ACTORS_BINANCE__API_KEY", "", "BASIS_ACTORS_BINANCE__API_KEY missing or empty"),
        ("BASIS_ACTORS_BINANCE__APIKEY", HUSH, "unknown variable BASIS_ACTORS_BINANCE__APIKEY"),
        ("BASIS_ACTORS_BYBYT__API_KEY", HUSH, "nearest: BASIS_ACTORS_BYBIT__API_KEY"),
        ("BASIS_ACTORS_BINANCE", HUSH, "unknown variable BASIS_ACTORS_BINANCE;"),
    ],
)
def test_wrong_variables_are_named_and_their_values_are_not(
    keys: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    keys.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_secrets()
    assert told in caught.value.message
    chain = [caught.value, caught.value.__cause__]
    assert not any(HUSH in repr(error) for error in chain)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_loading_a_mode_does_not_read_the_environment(keys: pytest.MonkeyPatch) -> None:
    keys.setenv("BASIS_ACTORS_NONSENSE", HUSH)
    script = (
        "import sys\n"
        "from basis_actors.config import load_mode\n"
        "text = repr(load_mode('btc_basis'))\n"
        f"assert {HUSH!r} not in text\n"
        "assert 'pydantic_settings' not in sys.modules\n"
        "assert 'basis_actors.config.secrets' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


LINES = f"BASIS_ACTORS_BINANCE__API_KEY={HUSH}-key\nBASIS_ACTORS_BINANCE__API_SECRET='{HUSH}-$secret'\n"


@pytest.fixture
def secrets_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as it should be, named in the environment."""
    file = tmp_path / "secrets.env"
    file.write_text(LINES, encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("BASIS_ACTORS_SECRETS_FILE", str(file))
    return file


def refused() -> str:
    with pytest.raises(ConfigError) as caught:
        load_secrets()
    assert caught.value.code == "CONFIG-003"
    assert HUSH not in repr(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.message


def test_keys_are_read_from_a_file_of_the_owners(secrets_file: Path) -> None:
    secrets = load_secrets()
    assert secrets.binance is not None
    assert secrets.binance.api_key.get_secret_value() == f"{HUSH}-key"
    assert secrets.binance.api_secret.get_secret_value() == f"{HUSH}-$secret"


def test_what_is_in_the_file_is_hidden_like_what_is_in_the_environment(secrets_file: Path) -> None:
    assert set(secret_values()) == {f"{HUSH}-key", f"{HUSH}-$secret"}


def test_the_environment_goes_before_the_file(secrets_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIS_ACTORS_BINANCE__API_KEY", HUSH + "-other")
    secrets = load_secrets()
    assert secrets.binance is not None
    assert secrets.binance.api_key.get_secret_value() == HUSH + "-other"
    assert secrets.binance.api_secret.get_secret_value() == f"{HUSH}-$secret"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o666])
def test_a_file_that_others_may_read_is_not_read(secrets_file: Path, mode: int) -> None:
    secrets_file.chmod(mode)
    told = refused()
    assert f"has mode {mode:04o}, so that others may read it; run chmod 600 {secrets_file}" in told
    assert Redactor().text(told) == told
    assert secret_values() == ()


def test_a_file_that_is_none_is_refused(secrets_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIS_ACTORS_SECRETS_FILE", str(secrets_file.parent / "missing"))
    missing = secrets_file.parent / "missing"
    told = f"the file {missing} that BASIS_ACTORS_SECRETS_FILE names cannot be read: No such file or directory"
    assert refused() == told == Redactor().text(told), "the path is no secret"
    monkeypatch.setenv("BASIS_ACTORS_SECRETS_FILE", str(secrets_file.parent))
    assert "names cannot be read: Is a directory" in refused()
    pipe = secrets_file.parent / "pipe"
    os.mkfifo(pipe, 0o600)
    monkeypatch.setenv("BASIS_ACTORS_SECRETS_FILE", str(pipe))
    assert "is no plain file" in refused()


def test_a_file_that_is_no_text_is_refused(secrets_file: Path) -> None:
    secrets_file.write_bytes(b"\xff\xfe" + HUSH.encode())
    assert "cannot be read: it is not text" in refused()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (f"BASIS_ACTORS_BINANCE__API_KEY={HUSH}\n", "BASIS_ACTORS_BINANCE__API_SECRET missing or empty"),
        (LINES + f"BASIS_ACTORS_BYBYT__API_KEY={HUSH}\n", "unknown variable BASIS_ACTORS_BYBYT__API_KEY"),
        (LINES + f"PASSWORD={HUSH}\n", "unknown variable PASSWORD"),
        (LINES + "BASIS_ACTORS_OKX__API_KEY=\n", "BASIS_ACTORS_OKX__PASSPHRASE missing or empty"),
        (f"{LINES}\n# of Bybit\nBASIS_ACTORS_BYBIT__API_KEY {HUSH}\n", "line 5 no NAME=value"),
        (f"\n\nBASIS_ACTORS_BYBIT__API_KEY\n{LINES}", "line 3 no NAME=value"),
        (f"{LINES}BASIS_ACTORS_BYBIT__API_KEY='{HUSH}\n", "line 3 no NAME=value"),
    ],
)
def test_wrong_lines_are_named_and_their_values_are_not(
    secrets_file: Path, lines: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    secrets_file.write_text(lines, encoding="utf-8")
    message = refused()
    assert told in message
    assert str(secrets_file) in message
    assert Redactor().text(message) == message, "nothing of it is taken for a secret on its way to the terminal"
    assert caplog.records == [], "dotenv's own warnings have no place"
