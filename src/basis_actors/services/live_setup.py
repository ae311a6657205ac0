"""Puts together what a live process needs that trades at the market which exchanges publish, on paper or for real."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from basis_actors.actors.journal_watch import JournalWatch
from basis_actors.bus import Bus, WallClock
from basis_actors.config import ExchangeVenue, RunConfig
from basis_actors.config.secrets import Secrets, load_secrets
from basis_actors.data import Dataset
from basis_actors.data.market_board import MarketBoard, markets_of
from basis_actors.errors import ConfigError
from basis_actors.messages.book import Flow
from basis_actors.messages.market import GasQuote, MarketSpec
from basis_actors.messages.safety import JournalReport
from basis_actors.services.continuity import has_traded, require_continuity
from basis_actors.services.extras import require_monitoring
from basis_actors.services.live import LiveRun
from basis_actors.services.live_market import LiveMarket
from basis_actors.services.preparation import (
    BacktestRequest,
    Prepared,
    capital_of,
    configured,
    identity_of,
)
from basis_actors.services.state import StateDirectory
from basis_actors.services.surroundings import Requests, Surroundings, simulated_venues
from basis_actors.services.wiring import FREELY
from basis_actors.strategies.registry import build_strategy
from basis_actors.times import NS_PER_SECOND, ns_from_utc
from basis_actors.venues.live.build import pairs_of
from basis_actors.venues.simulated.build import try_own_venues
from basis_actors.venues.wire.pauses import Pauses

if TYPE_CHECKING:
    from basis_actors.ports import MarketData
    from basis_actors.venues.journal.sqlite import SqliteJournal

__all__ = ["keys_of", "live_market", "live_on_accounts", "live_on_paper", "prepare_live"]

JOURNAL_FILE: Final = "orders.sqlite"
ORIGIN: Final = "exchanges, as they trade"
_CHAIN_PARTS: Final = ("reserves", "staking", "oracle", "rewards")
_PLAY_BACK: Final = "play a recorded market back with --replay-feed DIR --paper"


def prepare_live(request: BacktestRequest) -> Prepared:
    """What a live process starts from, without a recorded market.

    Raises ConfigError for whatever is wrong with the configuration, CONFIG-004 for a mode that needs to know more than
    exchanges publish.
    """
    require_monitoring()
    run = configured(request)
    strategy = build_strategy(run)
    try_own_venues(run)
    _refuse_chains(run, strategy.market_spec)
    begins = datetime.now(UTC)
    capital = capital_of(request, run)
    config_hash, effective = identity_of(request, run)
    return Prepared(
        request=request,
        run=run,
        effective=effective,
        config_hash=config_hash,
        dataset=Dataset({}, ORIGIN),
        history=None,
        strategy=strategy,
        capital=capital,
        flows=(Flow(begins, capital),),
        begins_ns=ns_from_utc(begins),
        scenario_ns=ns_from_utc(begins),
    )


def _refuse_chains(run: RunConfig, spec: MarketSpec) -> None:
    if not any(isinstance(run.venues[name], ExchangeVenue) for name in run.mode.venues):
        raise ConfigError(
            "CONFIG-004", f"mode {run.mode.mode} trades on no exchange: nobody publishes its market live; {_PLAY_BACK}"
        )
    needed = [f"{part} ({', '.join(getattr(spec, part))})" for part in _CHAIN_PARTS if getattr(spec, part)]
    if needed:
        raise ConfigError(
            "CONFIG-004",
            f"mode {run.mode.mode} needs to know {', '.join(needed)}, which no exchange publishes; chains are not read"
            f" live: {_PLAY_BACK}",
        )


def live_market(
    run: RunConfig,
    spec: MarketSpec,
    make: Callable[[ExchangeVenue, tuple[str, ...]], MarketData],
    clock: WallClock,
    chance: Random,
) -> LiveMarket:
    """The market of a mode; `make` makes what shows some markets of an exchange.

    Raises ConfigError CONFIG-004 for a strategy that asks for a market at what is no exchange of the mode.
    """
    config = run.mode.component_config.market_feed
    exchanges = tuple(name for name in run.mode.venues if isinstance(run.venues[name], ExchangeVenue))
    spec = _with_everything(run, spec, exchanges)
    needed = markets_of(spec, exchanges)
    gas = GasQuote(config.assumed_gas.base_fee_gwei, config.assumed_gas.priority_fee_gwei, fresh=True)
    shown = {
        name: make(_exchange(run, name), tuple(market.pair for market in needed if market.venue == name))
        for name in dict.fromkeys(market.venue for market in needed)
    }
    return LiveMarket(
        spec,
        MarketBoard(spec, config, exchanges[0], gas if spec.gas else None),
        shown,
        config,
        step_ns=run.mode.tick_interval_seconds * NS_PER_SECOND,
        now=clock.now,
        chance=chance,
    )


def _with_everything(run: RunConfig, spec: MarketSpec, exchanges: tuple[str, ...]) -> MarketSpec:
    """What a strategy wants to see, and every other market of its exchanges: an account may hold something there."""
    assets, spot, perps = dict.fromkeys(spec.assets), dict.fromkeys(spec.spot), dict.fromkeys(spec.perps)
    for name in exchanges:
        for pair in pairs_of(_exchange(run, name)):
            if pair.endswith("/USDT"):
                spot.setdefault(f"{name}:{pair.removesuffix('/USDT')}")
                if name == exchanges[0]:
                    assets.setdefault(pair.removesuffix("/USDT"))
            else:
                perps.setdefault(f"{name}:{pair}")
    return replace(spec, assets=tuple(assets), spot=tuple(spot), perps=tuple(perps))


def live_on_paper(prepared: Prepared, state: StateDirectory | None, *, flattens: bool) -> LiveRun:
    """A process with simulated venues. Raises ConfigError as `live_market`."""
    clock, requests = WallClock(), Requests()
    market = _published(prepared, clock, requests, Pauses())
    return LiveRun(
        prepared,
        Surroundings(
            clock,
            market,
            simulated_venues,
            prepared.flows,
            requests=requests,
            closing=(market.close,),
            state=state,
        ),
        flattens=flattens,
    )


def keys_of(prepared: Prepared) -> Secrets:
    """The keys that a process on accounts needs, looked at before it leaves anything anywhere.

    Raises ConfigError CONFIG-003 for keys that are missing or wrong, CONFIG-004 for stops that an exchange does not
    keep.
    """
    from basis_actors.services.accounts import require_keys

    if prepared.strategy.brings_stops:
        _require_stops(prepared)
    secrets = load_secrets()
    require_keys(prepared.run, secrets)
    return secrets


def live_on_accounts(
    prepared: Prepared, secrets: Secrets, state: StateDirectory, held: ExitStack, *, flattens: bool
) -> LiveRun:
    """A process that trades on its accounts, with what has to survive it in `state`; `held` closes the journal.

    Raises ConfigError CONFIG-003 for a key that is wrong, CONFIG-004 for a venue that is not traded live, BasisError
    ENGINE-001 for an account that another process has, ENGINE-004 for a journal that cannot be read, or is not there
    although an earlier process has traded.
    """
    from basis_actors.services.accounts import LiveAccounts, routes_of
    from basis_actors.venues.journal.sqlite import SqliteJournal

    run, clock, requests, pauses = prepared.run, WallClock(), Requests(), Pauses()
    journal = SqliteJournal(state.path / JOURNAL_FILE, used=has_traded(state))
    held.callback(journal.close)
    for file in journal.files:
        state.keep(file)
    accounts = LiveAccounts(run, journal, secrets, requests.note, pauses, keeps_stops=prepared.strategy.brings_stops)
    accounts.lock(state)
    changed = require_continuity(state, run, prepared.strategy.market_spec, prepared.config_hash)
    prepared.strategy.restrict_transfers(routes_of(run))
    market = _published(prepared, clock, requests, pauses)
    live = LiveRun(
        prepared,
        Surroundings(
            clock,
            market,
            accounts.make,
            (),
            journal,
            requests=requests,
            closing=(market.close, accounts.close),
            watched=partial(_watch, journal, run.mode.component_config.kill_switch.heartbeat_seconds),
            state=state,
        ),
        flattens=flattens,
    )
    if changed is not None:
        live.record.components.announce(changed)
    return live


def _require_stops(prepared: Prepared) -> None:
    """Raise ConfigError CONFIG-004 for a strategy whose stops an exchange does not keep for us."""
    from basis_actors.venues.wire.build import KEEP_STOPS

    for perp in prepared.strategy.market_spec.perps:
        venue, _, pair = perp.partition(":")
        if (venue, pair.endswith("USD-PERP")) not in KEEP_STOPS:
            raise ConfigError(
                "CONFIG-004",
                f"mode {prepared.run.mode.mode} protects its positions in {perp} by stops, which are kept live for"
                " USDT-margined perpetuals of binance alone; trade one of these, or use --paper",
            )


def _watch(journal: SqliteJournal, seconds: float, bus: Bus) -> None:
    """Have an actor say when the journal cannot be written."""
    watch = JournalWatch(journal.try_again, seconds)
    bus.add(watch, FREELY)
    journal.tell = lambda problem: bus.post(watch.name, JournalReport(problem))


def _published(prepared: Prepared, clock: WallClock, requests: Requests, pauses: Pauses) -> LiveMarket:
    from basis_actors.venues.wire.build import build_market_data

    chance = Random(f"{prepared.config_hash}/{os.getpid()}")  # noqa: S311 - spreads new connections, keeps no secret
    make = partial(build_market_data, record=requests.note, pauses=pauses)
    return live_market(prepared.run, prepared.strategy.market_spec, make, clock, chance)


def _exchange(run: RunConfig, name: str) -> ExchangeVenue:
    venue = run.venues.get(name)
    if not isinstance(venue, ExchangeVenue):
        raise ConfigError("CONFIG-004", f"mode {run.mode.mode}: {name} is no exchange of it; correct the strategy")
    return venue
