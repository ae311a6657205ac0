"""Puts the actors of one engine on a bus. Which bus, which feed and which venues is for the caller to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import convert

from basis_actors.actors.countdown import Countdown
from basis_actors.actors.engine import Engine
from basis_actors.actors.event_logger import EventLogger
from basis_actors.actors.exchange_adapter import ExchangeAdapter
from basis_actors.actors.execution_manager import ExecutionManager
from basis_actors.actors.exposure_monitor import ExposureMonitor
from basis_actors.actors.health_monitor import HealthMonitor
from basis_actors.actors.kill_switch import KillSwitch
from basis_actors.actors.order_canceller import OrderCanceller
from basis_actors.actors.pnl_monitor import PnLMonitor
from basis_actors.actors.position_monitor import PositionMonitor
from basis_actors.actors.position_update_handler import PositionUpdateHandler
from basis_actors.actors.recovery_manager import RecoveryManager
from basis_actors.actors.risk_gate import GateRules, MarketRules, RiskGate
from basis_actors.actors.risk_measures import CollateralTerms, EmodeTerms, Limits, LoanTerms, PerpTerms
from basis_actors.actors.risk_monitor import RiskBounds, RiskMonitor
from basis_actors.actors.strategy_manager import StrategyManager
from basis_actors.actors.timing import Stopwatch
from basis_actors.actors.venue_adapter import VenueAdapter
from basis_actors.actors.venue_interface_manager import VenueInterfaceManager
from basis_actors.bus import Actor, Bus, Restart
from basis_actors.config import (
    ChainVenue,
    CustomVenue,
    ExchangeVenue,
    FlashVenue,
    LendingVenue,
    PerpMarket,
    RunConfig,
    StakingVenue,
    pair_limits,
)
from basis_actors.finance.attribution import BOOKED, BOOKED_LIVE
from basis_actors.finance.margin import bracket_table
from basis_actors.messages.book import Flow
from basis_actors.messages.orders import Order
from basis_actors.ports import MarketFeed, OrderJournal, StateStore, VenueClient
from basis_actors.strategies.base import Strategy
from basis_actors.strategies.order_writer import margin_key, spot_cash_key
from basis_actors.times import NS_PER_SECOND
from basis_actors.venues.live.account import ExchangeAccount

__all__ = ["EVENT_LOGGER", "FREELY", "STOP_ORDER", "add_engine", "risk_bounds"]

EVENT_LOGGER = "event_logger"
STOP_ORDER = ("engine", "strategy_manager", "execution_manager", "position_update_handler", "risk_gate")
"""Who stops first; the rest follows in reverse order of joining, the event logger last."""
FREELY = Restart(max_restarts=1000, within_seconds=3600.0)
"""Supervision row of what watches a live process: it restarts as often as it likes, but not in an endless loop, which a
handler that fails on the report of its own failure would be."""


def add_engine(
    bus: Bus,
    *,
    run: RunConfig,
    strategy: Strategy,
    feed: MarketFeed,
    venues: Sequence[VenueClient],
    flows: Sequence[Flow],
    event_logger: EventLogger,
    stopwatch: Stopwatch,
    simulated: bool,
    journal: OrderJournal | None = None,
    real_time: bool = False,
    state: StateStore | None = None,
    health: Actor | None = None,
) -> Engine:
    """Add every actor of an engine to `bus`, and return the one that gives the beat.

    The first of `flows` is the capital. The bus has to have `EVENT_LOGGER` as its log sink. Accounts at exchanges among
    the `venues` need the `journal` that they write their orders down in. In `real_time` the market does not wait for a
    tick that takes long. `health` takes the place of the health monitor of a backtest. With a `state` there is a kill
    switch, whose latch is kept there, and losses and failures on real venues are counted across restarts. Raises
    BasisError ENGINE-001 for a state that cannot be read.
    """
    accounts = [client for client in venues if isinstance(client, ExchangeAccount)]
    components = run.mode.component_config
    currency = run.share_class.currency
    routes = {venue: client.domain for client in venues for venue in client.venues}
    tolerance = components.position_update_handler.reconciliation_tolerance
    manager = VenueInterfaceManager(
        [client.domain for client in venues], routes, _transfer_delays(run), simulated=simulated
    )
    domains = _ledger_domains(run)
    switch = [] if state is None else [_kill_switch(run, state, domains)]
    switch_name = switch[0].name if switch else None
    recovery = [] if journal is None else [RecoveryManager(accounts, journal, switch_name)]
    throttle = components.strategy_manager.time_throttle_interval if real_time else None
    closing = None if state is None else components.kill_switch
    engine = Engine(feed, flows, recovery[0].name if recovery else None, throttle, closing)
    rules = GateRules(_market_rules(run), routes, run.mode.order_limits, currency, _minimum_stakes(run))
    kept = None if simulated else state
    actors: list[Actor] = [
        *switch,
        PnLMonitor(components.pnl_monitor.residual_tolerance, BOOKED_LIVE if accounts else BOOKED),
        RiskMonitor(risk_bounds(run, hedged=strategy.hedged), kept),
        ExposureMonitor(currency),
        PositionMonitor(currency, simulated=simulated),
        *recovery,
        *(_adapter(client, manager.name, simulated=simulated) for client in venues),
        *(_countdowns(run, accounts) if switch else ()),
        *(OrderCanceller(account) for account in accounts if switch),
        manager,
        RiskGate(rules, switch_name, kept),
        PositionUpdateHandler(tolerance, domains, {account.domain: account.tolerance for account in accounts}),
        ExecutionManager(
            components.execution_manager,
            stopwatch,
            simulated=simulated,
            journal=journal,
            kill_switch=switch_name,
            accounts=frozenset(venue for account in accounts for venue in account.venues),
        ),
        StrategyManager(
            strategy, components.strategy_manager, run.mode.risk_limits, switch_name, _ways_from(accounts), kept
        ),
        engine,
    ]
    for actor in (event_logger, *actors):
        bus.add(actor)
    if health is None:
        bus.add(HealthMonitor(components.health_monitor, [actor.name for actor in actors], bus.stats))
    else:
        bus.add(health, FREELY)
    return engine


def _kill_switch(run: RunConfig, state: StateStore, domains: Mapping[str, str]) -> KillSwitch:
    config, limits = run.mode.component_config.kill_switch, run.mode.risk_limits
    return KillSwitch(config, state, domains, run.share_class.currency, enforce=limits.enforce)


def _ways_from(accounts: Sequence[ExchangeAccount]) -> Callable[[Order], bool]:
    """Whether a transfer can be sent: from a real account only to an address that is configured."""
    by_venue = {account.domain: account for account in accounts}
    return lambda order: order.venue not in by_venue or by_venue[order.venue].can_send(order)


def _countdowns(run: RunConfig, accounts: Sequence[ExchangeAccount]) -> list[Countdown]:
    seconds = run.mode.component_config.kill_switch.countdown_seconds
    return [] if seconds is None else [Countdown(account, seconds) for account in accounts]


def _adapter(client: VenueClient, manager: str, *, simulated: bool) -> VenueAdapter:
    if not isinstance(client, ExchangeAccount):
        return VenueAdapter(client, manager, simulated=simulated)
    return ExchangeAdapter(client, manager, client.patience.receive_window_seconds)


def risk_bounds(run: RunConfig, *, hedged: bool) -> RiskBounds:
    """The limits of a mode, and the terms of every perp and pool that its venues offer."""
    perps: dict[str, PerpTerms] = {}
    pools: dict[str, LoanTerms] = {}
    for name, venue in run.venues.items():
        if isinstance(venue, ExchangeVenue):
            for pair, _, market in _perp_markets(venue):
                perps[f"{name}:{pair}"] = PerpTerms(_margin_of(run, name, pair), bracket_table(market.brackets))
        elif isinstance(venue, LendingVenue):
            pools[venue.ledger_name] = _loan_terms(venue)
        elif isinstance(venue, FlashVenue) and venue.markets:
            pools[name] = _market_terms(venue)
    return RiskBounds(
        limits=convert(run.mode.risk_limits, Limits, from_attributes=True),
        currency=run.share_class.currency,
        perps=perps,
        pools=pools,
        delta_is_limited=hedged,
    )


def _perp_markets(venue: ExchangeVenue) -> Iterator[tuple[str, float, PerpMarket]]:
    """Pair, taker fee and terms of each perp of an exchange, linear ones first."""
    if venue.perp is not None:
        for asset, market in venue.perp.markets.items():
            yield f"{asset}-PERP", venue.perp.taker_fee, market
    if venue.inverse_perp is not None:
        for asset, market in venue.inverse_perp.markets.items():
            yield f"{asset}USD-PERP", venue.inverse_perp.taker_fee, market


def _margin_of(run: RunConfig, venue: str, pair: str) -> str:
    """Key of the cash that margins a perp: coins for an inverse one, else USDT."""
    if pair.endswith("USD-PERP"):
        return f"{venue}:Margin:{pair.removesuffix('USD-PERP')}"
    return margin_key(run, venue)


def _loan_terms(pool: LendingVenue) -> LoanTerms:
    return LoanTerms(
        {
            token: CollateralTerms(reserve.ltv, reserve.liquidation_threshold)
            for token, reserve in pool.reserves.items()
            if reserve.collateral
        },
        tuple(
            EmodeTerms(
                CollateralTerms(row.ltv, row.liquidation_threshold), frozenset(row.collateral), frozenset(row.debt)
            )
            for row in pool.emode.values()
        ),
    )


def _market_terms(lender: FlashVenue) -> LoanTerms:
    """Isolated markets: collateral counts against the debt of its own market and against no other."""
    categories = []
    for collateral, loan in lender.pairs:
        limits = pair_limits(lender, collateral, loan)
        assert limits is not None
        terms = CollateralTerms(limits.ltv, limits.liquidation_threshold)
        categories.append(EmodeTerms(terms, frozenset({collateral}), frozenset({loan})))
    return LoanTerms({collateral: CollateralTerms(0.0, 0.0) for collateral, _ in lender.pairs}, tuple(categories))


def _market_rules(run: RunConfig) -> dict[tuple[str, str], MarketRules]:
    """What each exchange requires of an order, by (venue, pair)."""
    rules: dict[tuple[str, str], MarketRules] = {}
    for name, venue in run.venues.items():
        if not isinstance(venue, ExchangeVenue):
            continue
        least = venue.minimum_notional
        if venue.spot is not None:
            fee, cash = venue.spot.taker_fee, spot_cash_key(name)
            for asset, spot in venue.spot.markets.items():
                rules[name, f"{asset}/USDT"] = MarketRules(spot.lot, spot.min_amount, least, fee, cash)
        for pair, fee, perp in _perp_markets(venue):
            table, cash = bracket_table(perp.brackets), _margin_of(run, name, pair)
            rules[name, pair] = MarketRules(perp.lot, perp.min_amount, least, fee, cash, table)
    return rules


def _minimum_stakes(run: RunConfig) -> dict[str, float]:
    """Least stake of each staking protocol, ETH."""
    return {name: venue.min_stake for name, venue in run.venues.items() if isinstance(venue, StakingVenue)}


def _transfer_delays(run: RunConfig) -> dict[str, int]:
    """Nanoseconds between sending and arrival, by domain; the slower end decides."""
    delays: dict[str, int] = {}
    for venue in run.venues.values():
        if isinstance(venue, ExchangeVenue | ChainVenue | CustomVenue):
            delays[venue.domain] = round(venue.transfer_delay_seconds * NS_PER_SECOND)
    return delays


def _ledger_domains(run: RunConfig) -> dict[str, str]:
    """Domain by the venue name that position keys begin with."""
    domains = {name: venue.domain for name, venue in run.venues.items()}
    for venue in run.venues.values():
        if isinstance(venue, LendingVenue):
            domains[venue.ledger_name] = venue.domain
        if isinstance(venue, ChainVenue):
            domains["gas"] = venue.domain
    return domains
