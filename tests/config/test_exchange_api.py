"""How an exchange is reached: addresses that exist, sensible waits, and a list of places to which tokens may go."""

import pytest
from tests.config.conftest import EditMode

from basis_actors.config import ExchangeVenue, load_mode
from basis_actors.config.exchange_api import ADDRESSES
from basis_actors.errors import ConfigError

GOOD = "http://127.0.0.1:9000"


def binance(**overrides: object) -> ExchangeVenue:
    changed = {f"venue_configs.binance.{key}": value for key, value in overrides.items()}
    venue = load_mode("btc_basis", changed).venues["binance"]
    assert isinstance(venue, ExchangeVenue)
    return venue


def refusal(**overrides: object) -> str:
    with pytest.raises(ConfigError) as caught:
        binance(**overrides)
    assert caught.value.code == "CONFIG-004"
    return caught.value.message


def test_without_a_word_the_exchanges_own_addresses_hold() -> None:
    assert binance().urls == {}


@pytest.mark.parametrize("name", ADDRESSES["binance"])
def test_every_address_can_be_replaced(name: str) -> None:
    scheme = "wss" if name.endswith(("stream", "session")) else "https"
    for place in ("localhost", "127.0.0.1:9000", "proxy.example/binance/v1"):
        assert binance(urls={name: f"{scheme}://{place}"}).urls == {name: f"{scheme}://{place}"}


def test_an_address_is_set_on_the_command_line() -> None:
    run = load_mode("btc_basis", settings=[f"venue_configs.binance.urls.linear={GOOD}"])
    venue = run.venues["binance"]
    assert isinstance(venue, ExchangeVenue)
    assert venue.urls == {"linear": GOOD}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:9000",
        "ftp://host",
        "ws://host",
        "http://",
        "http://user:word@host",
        "http://host?key=1",
        "http://host/",
        "http://host:port",
        "http://host name",
    ],
)
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    assert "urls.linear: is " in refusal(urls={"linear": url})


def test_a_stream_has_an_address_of_its_own_kind() -> None:
    assert "ws:// or wss:// with a host" in refusal(urls={"spot_stream": GOOD})


def test_an_unknown_address_is_named_with_the_nearest() -> None:
    assert "is no address of binance; spot, wallet" in refusal(urls={"liner": GOOD})
    assert "nearest: linear" in refusal(urls={"liner": GOOD})


def test_another_exchange_has_other_addresses() -> None:
    with pytest.raises(ConfigError, match="is no address of bybit; rest, public_stream, private_stream was expected"):
        load_mode("btc_basis", {"venue_configs.bybit.urls": {"linear": GOOD}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeout_seconds", 0.0),
        ("clock_refresh_seconds", -1.0),
        ("reserved_share", 1.1),
        ("longest_pause_seconds", 0.0),
        ("withdrawal_addresses", ["0xabc"]),
        ("withdrawal_addresses", [{"venue": "wallet", "token": "USDT", "address": "0xabc"}]),
        ("retries", 3),
    ],
)
def test_a_value_that_makes_no_sense_is_named(key: str, value: object) -> None:
    assert f"api.{key}" in refusal(**{f"api.{key}": value})


def test_addresses_to_withdraw_to_are_listed() -> None:
    home = {"venue": "wallet", "token": "USDT", "network": "ETH", "address": "0xabc"}
    api = binance(**{"api.withdrawal_addresses": [home]}).api
    assert api is not None
    assert [row.model_dump() for row in api.withdrawal_addresses] == [home]


def test_nothing_is_withdrawn_anywhere_unless_it_says_so() -> None:
    api = binance().api
    assert api is not None
    assert api.withdrawal_addresses == ()


def test_a_backtest_needs_to_know_nothing_of_it(edited: EditMode) -> None:
    assert binance(api=None).api is None
