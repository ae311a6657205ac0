"""What venues say of themselves that the rest relies on: account domains, ledger names, the token that is issued."""

from __future__ import annotations

import pytest

from basis_actors.config import load_mode
from basis_actors.errors import ConfigError


@pytest.mark.parametrize(
    ("mode", "setting", "code", "words"),
    [
        ("eth_leveraged", "etherfi.lst=wstETH", "CONFIG-003", ("is 'wstETH'", "lst_type is 'weETH'")),
        ("btc_basis", "binance.domain=x", "CONFIG-003", ("is 'x'", "'binance' was expected")),
        ("btc_basis", "wallet.domain=bybit", "CONFIG-003", ("is 'bybit'", "the wallet", "one of its own was expected")),
        ("pure_lending_usdt", "aave_v3.domain=x", "CONFIG-003", ("is 'x'", "wallet", "'ethereum' was expected here")),
        ("pure_lending_usdt", "wallet.domain=x", "CONFIG-003", ("is 'ethereum'", "or 'ethereum' there")),
        ("pure_lending_usdt", "aave_v3.ledger_name=x", "CONFIG-004", ("ledger_name: is 'x'; 'aave' was expected",)),
    ],
)
def test_a_venue_that_says_what_nothing_else_follows_is_refused(
    mode: str, setting: str, code: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mode(mode, settings=[f"venue_configs.{setting}"])
    assert caught.value.code == code
    assert f"--set venue_configs.{setting.partition('=')[0]}: " in caught.value.message
    for word in words:
        assert word in caught.value.message


def test_a_whole_chain_may_be_called_otherwise() -> None:
    run = load_mode(
        "pure_lending_usdt", {"venue_configs.aave_v3.domain": "anvil", "venue_configs.wallet.domain": "anvil"}
    )
    assert {venue.domain for venue in run.venues.values()} == {"anvil"}
