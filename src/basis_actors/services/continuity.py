"""Compares the configuration of a process with that of the process before it on the same state.

Limits and thresholds may change between two processes. What may not is where positions, orders and money can be that
the next process has to know of.
"""

from __future__ import annotations

from typing import Final

import msgspec

from basis_actors.config import ExchangeVenue, RunConfig
from basis_actors.errors import UNREADABLE, BasisError, ConfigError
from basis_actors.messages.market import MarketSpec
from basis_actors.ports import StateStore
from basis_actors.venues.live.build import pairs_of

__all__ = ["has_traded", "require_continuity", "traded_problem"]

_FILE: Final = "traded.json"


class _Traded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the last process traded with."""

    share_class: str
    markets: list[str]
    """`binance BTC/USDT`: every one of its exchanges."""
    followed: list[str]
    """`binance:BTC-PERP`: those that its strategy looked at."""
    config_hash: str


def require_continuity(store: StateStore, run: RunConfig, spec: MarketSpec, config_hash: str) -> str | None:
    """Remember what this process trades with, and say if its configuration is another than that of the last one.

    Raises ConfigError CONFIG-003 for another share class, and for a market that the last process could trade on, or its
    strategy looked at, and this one does not; BasisError ENGINE-001 for a state that cannot be read, ENGINE-004 for one
    that cannot be written.
    """
    now = _Traded(
        run.share_class.name,
        [
            f"{name} {pair}"
            for name, venue in ((name, run.venues[name]) for name in run.mode.venues)
            if isinstance(venue, ExchangeVenue)
            for pair in pairs_of(venue)
        ],
        [*spec.spot, *spec.perps],
        config_hash,
    )
    before = _read(store)
    if before is not None:
        _refuse(run.mode.mode, before, now)
    store.write(_FILE, msgspec.json.encode(now))
    if before is None or before.config_hash == config_hash:
        return None
    return f"the configuration has changed since the process before: {before.config_hash[:12]} to {config_hash[:12]}"


def has_traded(store: StateStore) -> bool:
    """Whether an earlier process has traded with a state. Raises BasisError ENGINE-004."""
    return store.read(_FILE) is not None


def traded_problem(store: StateStore) -> str | None:
    """What keeps the next process from being compared with the last one; None where nothing does. With what it trades
    is not known here."""
    try:
        _read(store)
    except BasisError as error:
        return str(error)
    return None


def _read(store: StateStore) -> _Traded | None:
    content = store.read(_FILE)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=_Traded)
    except (*UNREADABLE, ValueError) as error:
        raise BasisError(
            "ENGINE-001",
            f"{_FILE} of the state directory cannot be read: {error}; make sure that nothing is open at the exchanges,"
            " then remove it",
        ) from error


def _refuse(mode: str, before: _Traded, now: _Traded) -> None:
    gone = [market for market in before.markets if market not in now.markets]
    gone += [market for market in before.followed if market not in now.followed]
    if before.share_class != now.share_class:
        problem = f"counted in {before.share_class} and would count in {now.share_class}"
    elif gone:
        problem = f"traded {', '.join(gone)} and would not any more"
    else:
        return
    raise ConfigError(
        "CONFIG-003",
        f"mode {mode} {problem}: what may be open there would be forgotten. Put that back; or close the book with it"
        " (basis-actors kill --flatten) and begin with another --state directory",
    )
