"""Secrets come from the environment, complete or not at all, and no text of the program ever shows one."""

import subprocess
import sys

import pytest

from basis_actors.config.secrets import load_secrets
from basis_actors.errors import ConfigError

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


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BASIS_ACTORS_BYBIT__API_KEY", HUSH, "BASIS_ACTORS_BYBIT__API_SECRET missing or empty"),
        ("BASIS_ACTORS_OKX__API_KEY", HUSH, "BASIS_ACTORS_OKX__PASSPHRASE missing or empty"),
        ("BASIS_ACTORS_BINANCE__API_KEY", "", "BASIS_ACTORS_BINANCE missing or empty"),
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
