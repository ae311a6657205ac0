"""What is taken for a secret, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_actors.logs.redaction import HIDDEN, Redactor

KEY = "9f" * 32


@pytest.mark.parametrize(
    "name",
    [
        "secret", "api_key", "apiKey", "API_KEY", "apikey", "binance_api_key", "BINANCE_API_SECRET", "password",
        "passwd", "db_password", "passphrase", "okx_passphrase", "mnemonic", "seed_phrase", "private_key", "privateKey",
        "ETH_PRIVATE_KEY", "authorization", "Authorization", "access_token", "auth_token", "bot_token", "signature",
        "aws_secret_access_key", "credentials",
    ],
)  # fmt: skip
def test_values_under_a_secret_name_are_hidden(name: str) -> None:
    assert Redactor().value({name: "abc", "deep": [{name: {"x": 1}}]}) == {name: HIDDEN, "deep": [{name: HIDDEN}]}


@pytest.mark.parametrize(
    "name",
    [
        "token", "source_token", "target_token", "position_key", "seed", "key", "venue", "sequence", "atomic_group_id",
        "signal", "monkey", "operation_id",
    ],
)  # fmt: skip
def test_the_words_of_the_trade_are_not(name: str) -> None:
    assert Redactor().value({name: "aave:aToken:aUSDT"}) == {name: "aave:aToken:aUSDT"}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"cannot sign with 0x{KEY}", f"cannot sign with {HIDDEN}"),
        (f"key {KEY}, retry", f"key {HIDDEN}, retry"),
        ("Authorization: Bearer abcdef123456789", f"Authorization: {HIDDEN} {HIDDEN}"),
        ("header Bearer abcdef123456789", f"header Bearer {HIDDEN}"),
        ("GET /x?symbol=BTC&signature=a1b2c3&t=1", f"GET /x?symbol=BTC&signature={HIDDEN}&t=1"),
        ("no signal from https://h/?asset=BTC&token=a1b2", f"no signal from https://h/?asset=BTC&token={HIDDEN}"),
        ("https://h/x?key=a1b2&asset=BTC", f"https://h/x?key={HIDDEN}&asset=BTC"),
        ("https://h/x?X-Auth=a1b2#top", f"https://h/x?X-Auth={HIDDEN}#top"),
        ('{"apiKey": "abc def", "symbol": "BTC"}', f'{{"apiKey": {HIDDEN}, "symbol": "BTC"}}'),
        ("api_secret='x y', other=1", f"api_secret={HIDDEN}, other=1"),
        ("postgres://ann:pw@host/db", f"postgres://{HIDDEN}@host/db"),
        ("https://mainnet.infura.io/v3/0123456789abcdef0123456789abcdef", f"https://mainnet.infura.io/v3/{HIDDEN}"),
        ("wss://node.example/ws/AbCdEfGhIjKlMnOpQrStUv?x=1", f"wss://node.example/ws/{HIDDEN}?x=1"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", HIDDEN),
        ("-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----\nnext", f"{HIDDEN}\nnext"),
    ],
)
def test_secret_looking_text_is_hidden(text: str, hidden: str) -> None:
    assert Redactor().text(text) == hidden
    assert Redactor().text(hidden) == hidden, "what goes through two hands is hidden once"


@pytest.mark.parametrize(
    "text",
    [
        "order btc_basis-000123-4 of 0.5 BTC at 65,000.0 refused: balance 12.5 USDT",
        "0x742d35Cc6634C0532925a3b844Bc454e4438f44e",
        "https://api.binance.com/api/v3/order",
        "2024-01-01T00:00:00Z",
        "/work/logs/btc_basis-20240101-000000-ab12cd/12345/events/positions.jsonl",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize("name", ["tx_hash", "config_hash", "sha256", "block_digest"])
def test_a_hash_that_says_so_is_left_alone(name: str) -> None:
    assert Redactor().value({name: f"0x{KEY}"}) == {name: f"0x{KEY}"}


def test_what_is_left_alone_as_a_hash_is_hidden_under_another_name_before_and_after() -> None:
    redactor = Redactor()
    for _ in range(2):
        assert redactor.value({"note": KEY, "deep": (KEY,)}) == {"note": HIDDEN, "deep": (HIDDEN,)}
        assert redactor.value({"tx_hash": KEY, "block_hash": (KEY,)}) == {"tx_hash": KEY, "block_hash": (KEY,)}


def test_a_name_that_was_harmless_under_one_value_stays_watched_beside_a_secret_one() -> None:
    redactor = Redactor()
    assert redactor.value({"venue": "okx"}) == {"venue": "okx"}
    assert redactor.value({"venue": "okx", "secret": 1.5}) == {"venue": "okx", "secret": HIDDEN}
    assert redactor.value({"venue": f"0x{KEY}"}) == {"venue": HIDDEN}


def test_what_has_no_secrets_is_given_back_itself() -> None:
    value = {"a": [1, {"b": ("x", None)}], "tx_hash": (KEY, KEY), "odd": {1, 2}, "other": object()}
    redactor = Redactor()
    assert redactor.value(value) is value
    assert redactor.value(value) is value


def test_a_secret_at_the_bottom_of_many_levels_is_found_and_each_level_looked_at_but_a_few_times() -> None:
    value: Any = {"note": KEY}
    hidden: Any = {"note": HIDDEN}
    for _ in range(60):
        value, hidden = {"in": [value, 1.0]}, {"in": [hidden, 1.0]}
    assert Redactor().value(value) == hidden


def test_more_texts_than_are_remembered_are_all_looked_at() -> None:
    redactor = Redactor(["hunter2"])
    for number in range(10_000):
        assert redactor.text(f"tick {number}") == f"tick {number}"
    assert redactor.text("tick hunter2") == f"tick {HIDDEN}"


def test_known_secrets_are_hidden_inside_text_the_longest_first() -> None:
    redactor = Redactor(["abc", "abcdef", ""])
    assert redactor.text("x abcdef abc y") == f"x {HIDDEN} {HIDDEN} y"
    assert redactor.value({"note": (b"abc", {"abcdef"})}) == {"note": (HIDDEN, [HIDDEN])}


def test_numbers_and_nothing_pass() -> None:
    assert Redactor(["1"]).value({"a": 1, "b": None, "c": 1.5, "d": True}) == {"a": 1, "b": None, "c": 1.5, "d": True}


@given(st.text("ABCD", min_size=2), st.text(), st.text())
def test_a_known_secret_never_survives(secret: str, before: str, after: str) -> None:
    assert secret not in Redactor([secret]).text(before + secret + after)
