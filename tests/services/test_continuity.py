"""Two processes on one state: what may change in their configuration, and what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from basis_actors.config import RunConfig, load_mode
from basis_actors.errors import BasisError, ConfigError
from basis_actors.messages.market import MarketSpec
from basis_actors.services.continuity import require_continuity
from basis_actors.services.state import FileStore

SPEC = MarketSpec(assets=("BTC",), spot=("binance:BTC",), perps=("binance:BTC-PERP", "okx:BTC-PERP"))


def without(run: RunConfig, **changes: Any) -> RunConfig:
    return run.model_copy(update={"mode": run.mode.model_copy(update=changes)})


def test_the_same_configuration_goes_on_without_a_word(tmp_path: Path) -> None:
    store, run = FileStore(tmp_path), load_mode("btc_basis")
    assert [require_continuity(store, run, SPEC, "abc") for _ in range(3)] == [None, None, None]


def test_another_limit_goes_on_and_is_said_once(tmp_path: Path) -> None:
    store, run = FileStore(tmp_path), load_mode("btc_basis")
    require_continuity(store, run, SPEC, "a" * 64)
    assert require_continuity(store, run, SPEC, "b" * 64) == (
        "the configuration has changed since the process before: aaaaaaaaaaaa to bbbbbbbbbbbb"
    )
    assert require_continuity(store, run, SPEC, "b" * 64) is None


def test_an_exchange_that_is_gone_is_refused_and_the_state_stays_as_it_was(tmp_path: Path) -> None:
    store, run = FileStore(tmp_path), load_mode("btc_basis")
    require_continuity(store, run, SPEC, "a")
    fewer = without(run, venues=("wallet", "binance", "bybit"))
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"traded okx BTC-PERP.* and would not any more") as refused:
            require_continuity(store, fewer, SPEC, "b")
        assert refused.value.code == "CONFIG-003"
    assert require_continuity(store, run, SPEC, "a") is None


def test_an_exchange_more_goes_on(tmp_path: Path) -> None:
    store, run = FileStore(tmp_path), load_mode("btc_basis")
    require_continuity(store, without(run, venues=("wallet", "binance")), SPEC, "a")
    assert require_continuity(store, run, SPEC, "a") is None


def test_a_strategy_that_looks_elsewhere_is_refused(tmp_path: Path) -> None:
    store, run = FileStore(tmp_path), load_mode("btc_basis")
    require_continuity(store, run, SPEC, "a")
    narrower = MarketSpec(assets=("BTC",), spot=("binance:BTC",), perps=("binance:BTC-PERP",))
    with pytest.raises(ConfigError, match="traded okx:BTC-PERP and would not any more"):
        require_continuity(store, run, narrower, "b")


def test_another_share_class_is_refused(tmp_path: Path) -> None:
    store, run = FileStore(tmp_path), load_mode("btc_basis")
    require_continuity(store, run, SPEC, "a")
    other = run.model_copy(update={"share_class": load_mode("pure_lending_eth").share_class})
    with pytest.raises(ConfigError, match="counted in usdt_stable and would count in eth_directional"):
        require_continuity(store, other, SPEC, "a")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"x":' + b"[" * 20_000,
        b'{"share_class":"x","markets":[],"followed":[],"config_hash":1}',
    ],
)
def test_a_file_that_says_nothing_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "traded.json").write_bytes(content)
    with pytest.raises(BasisError, match=r"traded\.json") as refused:
        require_continuity(FileStore(tmp_path), load_mode("btc_basis"), SPEC, "a")
    assert refused.value.code == "ENGINE-001"
