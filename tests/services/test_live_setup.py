"""What a live process can start from without a recorded market."""

from __future__ import annotations

import pytest

from basis_actors.config import mode_names
from basis_actors.errors import ConfigError
from basis_actors.services.live_setup import prepare_live
from basis_actors.services.preparation import BacktestRequest

AT_EXCHANGES = {"btc_basis", "eth_basis", "ml_btc_directional_btc_margin", "ml_btc_directional_usdt_margin"}


@pytest.mark.parametrize("mode", mode_names())
def test_only_what_exchanges_publish_is_a_market_of_today_and_the_rest_is_told_of_replay(mode: str) -> None:
    if mode in AT_EXCHANGES:
        assert prepare_live(BacktestRequest(mode=mode)).run.mode.mode == mode
        return
    with pytest.raises(ConfigError, match="CONFIG-004") as refused:
        prepare_live(BacktestRequest(mode=mode))
    assert refused.value.message.endswith("play a recorded market back with --replay-feed DIR --paper")
