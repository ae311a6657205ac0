"""A fee that no network asks is none that is paid: nothing leaves with it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.exchange.worlds import EXCHANGES, HOMES, connected

from basis_actors.errors import Transient
from basis_actors.messages.exchange import TransferTicket, Wallet

SOURCES = {"binance": Wallet.SPOT, "bybit": Wallet.UNIFIED, "okx": Wallet.UNIFIED}
SENT = {
    "binance": "POST /sapi/v1/capital/withdraw/apply",
    "bybit": "POST /v5/asset/withdraw/create",
    "okx": "POST /api/v5/asset/withdrawal",
}


@pytest.mark.parametrize("venue", sorted(SENT))
@pytest.mark.parametrize("fee", ["-1", "10.5"], ids=["less than nothing", "more than is sent"])
async def test_nothing_is_sent_at_such_a_fee(venue: str, fee: str) -> None:
    async with EXCHANGES[venue]() as exchange, connected(exchange) as api:
        await api.prepare({})
        exchange.account.withdrawal_fee = Decimal(fee)
        ticket = TransferTicket(
            client_id="out1",
            token=HOMES[venue].token,
            amount=Decimal(10),
            source=SOURCES[venue],
            target=None,
            address=HOMES[venue].address,
            network=HOMES[venue].network,
        )
        with pytest.raises(Transient, match=rf"{venue} asks a fee of {fee}\S* for 10 USDT"):
            await api.move(ticket)
        assert not exchange.journal.of(SENT[venue])
