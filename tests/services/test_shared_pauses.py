"""A live process has one register of the pauses that exchanges ask for, whichever of its connections was told."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("ccxt", reason="accounts at exchanges need the extra live")

from tests.live.street import KEYS, whole_binance

from basis_actors.errors import LeftAlone
from basis_actors.services.accounts import LiveAccounts
from basis_actors.services.live_setup import keys_of, live_on_accounts, prepare_live
from basis_actors.services.preparation import BacktestRequest
from basis_actors.services.state import Holder, StateDirectory

MODE = "btc_basis"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_a_ban_that_the_market_is_told_of_halts_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    holder = Holder.this_process(MODE, datetime(2026, 1, 2, tzinfo=UTC))
    async with whole_binance() as exchange:
        elsewhere = {name: {"urls": {"rest": exchange.urls["spot"]}} for name in ("bybit", "okx")}
        overrides = {"venue_configs": {"binance": {"urls": exchange.urls}, **elsewhere}}
        prepared = prepare_live(BacktestRequest(mode=MODE, overrides=overrides, out=tmp_path / "logs"))
        with StateDirectory(tmp_path / "state", holder) as state, ExitStack() as held:
            surroundings = live_on_accounts(prepared, keys_of(prepared), state, held, flattens=False)._surroundings
            accounts = surroundings.make_venues.__self__  # type: ignore[attr-defined]
            assert isinstance(accounts, LiveAccounts)
            assert surroundings.market is not None
            exchange.faults.answer("GET /api/v3/exchangeInfo", 418, "<html>")
            with pytest.raises(LeftAlone):
                await surroundings.market._exchanges["binance"].open()
            asked = len(exchange.journal.requests)
            with pytest.raises(LeftAlone, match="binance bans this address"):
                await accounts.connection("binance").account()
            assert len(exchange.journal.requests) == asked
            for close in surroundings.closing:
                await close()
