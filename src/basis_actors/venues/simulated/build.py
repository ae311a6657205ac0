"""Defines how a configuration becomes simulated venues: one chain, then the exchanges in their configured order."""

from __future__ import annotations

from basis_actors.config import RunConfig
from basis_actors.config.plugins import PORT, adapter_class, outside_code
from basis_actors.config.venues import ChainVenue, CustomVenue, ExchangeVenue
from basis_actors.errors import ConfigError
from basis_actors.finance.margin import bracket_table
from basis_actors.ports import VenueClient
from basis_actors.venues.simulated.build_chain import ChainKind, chain_protocols, chain_terms
from basis_actors.venues.simulated.chain import SimulatedChain
from basis_actors.venues.simulated.domain import VenueClock
from basis_actors.venues.simulated.exchange import SimulatedExchange
from basis_actors.venues.simulated.terms import ExchangeTerms, PerpMarket, SpotMarket

__all__ = ["build_simulated_venues", "exchange_terms", "try_own_venues"]


def build_simulated_venues(
    run: RunConfig, *, clock: VenueClock, latency_seconds: float = 0.0
) -> tuple[VenueClient, ...]:
    """One client for each account domain of the mode; the chain comes first.

    `latency_seconds` is how long each domain takes to carry out an order.
    Raises ConfigError CONFIG-004 for a venue of a kind that is not simulated, and for a mode without a wallet.
    """
    exchanges: list[VenueClient] = []
    wallet: ChainVenue | None = None
    on_chain: list[ChainKind] = []
    for venue in (run.venues[name] for name in run.mode.venues):
        if isinstance(venue, ExchangeVenue):
            exchanges.append(SimulatedExchange(exchange_terms(venue), clock, latency_seconds))
        elif isinstance(venue, ChainVenue):
            wallet = venue
        elif isinstance(venue, CustomVenue):
            exchanges.append(_own(venue, clock))
        elif isinstance(venue, ChainKind):
            on_chain.append(venue)
        else:
            raise ConfigError(
                "CONFIG-004",
                f"mode {run.mode.mode}: venue {venue.venue} is of kind {venue.kind}, which is not simulated; chain,"
                " exchange, staking, lending, dex, flash and custom are",
            )
    if wallet is None:
        raise ConfigError(
            "CONFIG-004",
            f"mode {run.mode.mode}: no venue is of kind chain, so capital has nowhere to arrive; add wallet",
        )
    terms = chain_terms(wallet, run.share_class.currency)
    return (SimulatedChain(terms, chain_protocols(on_chain), clock, latency_seconds), *exchanges)


class _NoTime:
    """A clock for clients that are made only to see whether they can be."""

    def now(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def try_own_venues(run: RunConfig) -> None:
    """Make the clients from outside the package once and let go of them, so that nothing has begun when one fails.

    Raises ConfigError CONFIG-003 or CONFIG-004.
    """
    for venue in run.venues.values():
        if isinstance(venue, CustomVenue):
            _own(venue, _NoTime())


def _own(venue: CustomVenue, clock: VenueClock) -> VenueClient:
    """A client of a class outside the package.

    Raises ConfigError CONFIG-003 when making it raises, CONFIG-004 when it is no client or serves something else.
    """
    who = f"venue {venue.venue}: {venue.adapter}"
    make, _ = adapter_class(venue.adapter)
    with outside_code(f"{who}: from_config(config, clock)"):
        client = make(venue, clock)
    with outside_code(f"{who}: reading what from_config(config, clock) made"):
        lacking = [name for name in PORT if not hasattr(client, name)]
        served = None if lacking else (client.domain, client.venues)
    if served is None:
        raise ConfigError(
            "CONFIG-004",
            f"{who}: from_config(config, clock) made {client!r}, which has no {', '.join(lacking)}; the methods of"
            " basis_actors.ports.VenueClient were expected",
        )
    if served != (venue.domain, (venue.venue,)):
        raise ConfigError(
            "CONFIG-004",
            f"{who} serves domain {served[0]!r} and venues {served[1]!r};"
            f" {venue.domain!r} and {(venue.venue,)!r} were expected",
        )
    return client


def exchange_terms(venue: ExchangeVenue) -> ExchangeTerms:
    """Terms of an exchange account; a mode without market impact has none in its venue configuration."""
    spot, perp, name, impact = venue.spot, venue.perp, venue.venue, venue.impact_bps
    spot_lines = {
        f"{asset}/USDT": SpotMarket(f"{asset}/USDT", asset, row.lot, row.min_amount, impact[f"{asset}/USDT"])
        for asset, row in (spot.markets if spot is not None else {}).items()
    }
    perp_lines = {
        f"{asset}-PERP": PerpMarket(
            f"{asset}-PERP", row.lot, row.min_amount, impact[f"{asset}-PERP"], bracket_table(row.brackets)
        )
        for asset, row in (perp.markets if perp is not None else {}).items()
    }
    inverse = venue.inverse_perp
    inverse_lines = {
        asset: PerpMarket(
            f"{asset}USD-PERP", row.lot, row.min_amount, impact[f"{asset}USD-PERP"], bracket_table(row.brackets)
        )
        for asset, row in (inverse.markets if inverse is not None else {}).items()
    }
    return ExchangeTerms(
        venue=name,
        margin_key=f"{name}:Margin:USDT" if venue.account == "split" else f"{name}:BaseToken:USDT",
        spot=spot_lines,
        perps=perp_lines,
        inverse_perps=inverse_lines,
        spot_fee=spot.taker_fee if spot is not None else 0.0,
        perp_fee=perp.taker_fee if perp is not None else 0.0,
        inverse_fee=inverse.taker_fee if inverse is not None else 0.0,
        minimum_notional=venue.minimum_notional,
        liquidation_fee=venue.liquidation_fee,
        withdrawal_fees=dict(venue.withdrawal_fees),
    )
