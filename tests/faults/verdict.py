"""What must hold when a story of faults is over, by the exchange's request journal, its account, and the logs."""

from __future__ import annotations

import sqlite3
from collections import Counter

import pytest
from tests.exchange.binance import LocalBinance
from tests.exchange.journal import Request
from tests.faults.house import House, Process
from tests.faults.pair import UNEVEN

from basis_actors.logs.replay import replay
from basis_actors.messages.events import (
    AtomicOperationGroupEvent,
    DomainEvent,
    ExecutionDeltaEvent,
    OperationExecutionEvent,
    PnLCalculation,
    PositionSnapshot,
    ReconciliationEvent,
    SystemErrorEvent,
)
from basis_actors.messages.execution import DeltaSource
from basis_actors.venues.journal.sqlite import SqliteJournal

PERP, SPOT = "POST /fapi/v1/order", "POST /api/v3/order"
PERP_KEY, SPOT_KEY = "binance:PerpPosition:BTC-PERP", "binance:BaseToken:BTC"
_UNEXPLAINED = 1e-9
"""Of equity."""


def assert_whole(house: House, *, adjusted: bool = False, foreign: frozenset[str] = frozenset()) -> None:
    """No order twice, no fill lost, the last ledger is the account, the book is flat or hedged, and the logs hold.

    `adjusted`: the exchange showed what nothing explains. `foreign` are ids of orders that are somebody else's.
    """
    assert_nothing_twice(house, foreign)
    assert_every_trade_kept(house)
    ledger = ledger_of(house.processes[-1])
    held = held_at(house.exchange)
    assert ledger == pytest.approx(held, rel=1e-8)
    assert held.get(SPOT_KEY, 0.0) + held.get(PERP_KEY, 0.0) == pytest.approx(0.0, abs=UNEVEN)
    for process in house.processes:
        assert replay(process.run_dir).findings == []
        for event in process.events():
            if isinstance(event, PnLCalculation):
                assert abs(event.residual) <= _UNEXPLAINED * abs(event.equity), event
            if isinstance(event, ExecutionDeltaEvent) and not adjusted:
                assert event.source is not DeltaSource.ADJUSTMENT, event


def assert_nothing_twice(house: House, foreign: frozenset[str] = frozenset()) -> None:
    """Every id was sent once, every operation of a process was carried out once, and the journal knows how it ended."""
    sent = house.exchange.journal.orders_sent()
    assert set(sent.values()) <= {1}, sent
    kept = SqliteJournal(house.journal_path)
    entries = {entry.intent.client_id: entry for entry in kept.entries}
    kept.close()
    assert sent.keys() <= entries.keys(), "sent without an intent"
    carried_out = Counter[tuple[int, str]]()
    for order in house.exchange.account.orders:
        if order.client_id in foreign or order.client_id.startswith(("web_", "autoclose-", "adl_autoclose-")):
            continue
        entry = entries[order.client_id]
        carried_out[entry.intent.incarnation, entry.intent.order.operation_id] += 1
        assert (entry.filled, entry.state.has_ended) == (order.filled, True), entry
    assert set(carried_out.values()) <= {1}, carried_out


def assert_every_trade_kept(house: House) -> None:
    """The journal has each trade of the account; that it has none twice its key sees to."""
    with sqlite3.connect(house.journal_path) as database:
        kept = set(database.execute("SELECT pair, trade_id FROM fills"))
    database.close()
    since = house.traded_since_ms
    done = {(t.order.market.pair, str(t.trade_id)) for t in house.exchange.account.trades if t.time_ms >= since}
    assert kept == done


def held_at(exchange: LocalBinance) -> dict[str, float]:
    """What the exchange has, by position key."""
    kinds = {"spot": "BaseToken", "linear": "Margin"}
    found = {
        f"binance:{kinds[purse]}:{token}": float(amount)
        for purse, tokens in exchange.account.purses.items()
        for token, amount in tokens.items()
        if amount
    }
    found |= {
        f"binance:PerpPosition:{pair}": float(position.size)
        for pair, position in exchange.account.positions.items()
        if position.size
    }
    return found


def ledger_of(process: Process) -> dict[str, float]:
    """The last ledger of a process, as far as it is about the exchange."""
    snapshots = [event for event in process.events() if isinstance(event, PositionSnapshot)]
    return {key: amount for key, amount in snapshots[-1].positions.items() if key.startswith("binance:")}


def story(process: Process) -> list[str]:
    """What its log tells, in order: how each operation and each group ended, errors, and what was booked besides."""
    return [line for event in process.events() if (line := _line(event))]


def _line(event: DomainEvent) -> str | None:
    if isinstance(event, OperationExecutionEvent):
        name = "transfer" if event.source_token == event.target_token else "perp" if _is_perp(event) else "spot"
        how = f" {event.error_code}" if event.error_code else ""
        undoes = " undone" if "unwind" in event.operation_id or "undone" in event.operation_id else ""
        return f"{name}{undoes} {event.status}{how}"
    if isinstance(event, AtomicOperationGroupEvent):
        return f"group {event.group_status}"
    if isinstance(event, SystemErrorEvent):
        return event.error_code
    if isinstance(event, ReconciliationEvent) and event.reconciliation_type == "venue_wins":
        return "venue wins"
    if isinstance(event, ExecutionDeltaEvent) and event.operation_id is None and event.source is not DeltaSource.FEE:
        return event.source.value
    return None


def _is_perp(event: OperationExecutionEvent) -> bool:
    return "BTC-PERP" in (event.source_token, event.target_token)


def queries(house: House, client_id: str) -> list[Request]:
    """How often the exchange was asked for an order."""
    requests = house.exchange.journal.of("GET /fapi/v1/order") + house.exchange.journal.of("GET /api/v3/order")
    return [request for request in requests if request.params.get("origClientOrderId") == client_id]


def sent_ids(house: House, route: str = PERP) -> list[str]:
    """Ids of the orders that were sent, oldest first."""
    return [request.params["newClientOrderId"] for request in house.exchange.journal.of(route)]
