"""Which modes that need stops may trade on accounts, and what exchanges are told for them."""

from __future__ import annotations

import pytest

pytest.importorskip("ccxt", reason="accounts at exchanges need the extra live")

from basis_actors.config import load_mode
from basis_actors.errors import ConfigError
from basis_actors.services.accounts import _leverage_of
from basis_actors.services.live_setup import _require_stops, prepare_live
from basis_actors.services.preparation import BacktestRequest

USDT, BTC = "ml_btc_directional_usdt_margin", "ml_btc_directional_btc_margin"


def test_a_mode_at_usdt_margined_perpetuals_of_binance_has_its_stops_kept() -> None:
    prepared = prepare_live(BacktestRequest(mode=USDT))
    assert prepared.strategy.brings_stops
    _require_stops(prepared)


@pytest.mark.parametrize(
    ("mode", "settings", "perp"),
    [
        (BTC, (), "binance:BTCUSD-PERP"),
        (USDT, ("venues=[wallet, bybit]", "strategy_config.venue=bybit"), "bybit:BTC-PERP"),
        (USDT, ("venues=[wallet, okx]", "strategy_config.venue=okx"), "okx:BTC-PERP"),
    ],
)
def test_a_mode_whose_stops_nobody_keeps_is_refused(mode: str, settings: tuple[str, ...], perp: str) -> None:
    prepared = prepare_live(BacktestRequest(mode=mode, settings=settings))
    with pytest.raises(ConfigError, match=f"mode {mode} protects its positions in {perp} by stops") as refused:
        _require_stops(prepared)
    assert refused.value.code == "CONFIG-004"
    assert "use --paper" in refused.value.message


@pytest.mark.parametrize(("size", "told"), [("1.0", 2), ("0.5", 1), ("1.5", 2), ("2", 3)])
def test_an_exchange_is_told_more_leverage_than_a_directional_position_takes(size: str, told: int) -> None:
    """All of the margin is put to work: at just that leverage nothing would be left for the fee."""
    assert _leverage_of(load_mode(USDT, settings=(f"strategy_config.max_position_size={size}",))) == told
