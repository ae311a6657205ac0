"""Defines how a configuration becomes simulated venues: one chain, then the exchanges in their configured order."""

from __future__ import annotations

from basis_actors.config import RunConfig
from basis_actors.config.venues import ChainVenue, ExchangeVenue, LendingVenue
from basis_actors.errors import ConfigError
from basis_actors.finance.margin import bracket_table
from basis_actors.ports import VenueClient
from basis_actors.venues.simulated.aave import AaveAccount
from basis_actors.venues.simulated.chain import SimulatedChain
from basis_actors.venues.simulated.domain import VenueClock
from basis_actors.venues.simulated.exchange import SimulatedExchange
from basis_actors.venues.simulated.protocol import ChainProtocol
from basis_actors.venues.simulated.terms import (
    ChainTerms,
    EmodeTerms,
    ExchangeTerms,
    GasTerms,
    PerpMarket,
    PoolTerms,
    ReserveTerms,
    RiskParameters,
    SpotMarket,
)

__all__ = ["build_simulated_venues", "chain_terms", "exchange_terms", "pool_terms"]


def build_simulated_venues(
    run: RunConfig, *, clock: VenueClock, latency_seconds: float = 0.0
) -> tuple[VenueClient, ...]:
    """One client for each account domain of the mode; the chain comes first.

    `latency_seconds` is how long each domain takes to carry out an order.
    Raises ConfigError CONFIG-004 for a venue of a kind that is not simulated, and for a mode without a wallet.
    """
    venues = [run.venues[name] for name in run.mode.venues]
    pools: list[ChainProtocol] = []
    wallet: ChainVenue | None = None
    exchanges: list[VenueClient] = []
    for venue in venues:
        if isinstance(venue, ExchangeVenue):
            terms = exchange_terms(venue)
            exchanges.append(SimulatedExchange(terms, clock, latency_seconds))
        elif isinstance(venue, ChainVenue):
            wallet = venue
        elif isinstance(venue, LendingVenue):
            pools.append(AaveAccount(pool_terms(venue)))
        else:
            raise ConfigError(
                "CONFIG-004",
                f"mode {run.mode.mode}: venue {venue.venue} is of kind {venue.kind}, which is not simulated; chain,"
                " exchange and lending are",
            )
    if wallet is None:
        raise ConfigError(
            "CONFIG-004",
            f"mode {run.mode.mode}: no venue is of kind chain, so capital has nowhere to arrive; add wallet",
        )
    on_chain = chain_terms(wallet, run.share_class.currency)
    return (SimulatedChain(on_chain, pools, clock, latency_seconds), *exchanges)


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
    return ExchangeTerms(
        venue=name,
        margin_key=f"{name}:Margin:USDT" if venue.account == "split" else f"{name}:BaseToken:USDT",
        spot=spot_lines,
        perps=perp_lines,
        spot_fee=spot.taker_fee if spot is not None else 0.0,
        perp_fee=perp.taker_fee if perp is not None else 0.0,
        minimum_notional=venue.minimum_notional,
        liquidation_fee=venue.liquidation_fee,
        withdrawal_fees=dict(venue.withdrawal_fees),
    )


def chain_terms(wallet: ChainVenue, currency: str) -> ChainTerms:
    """Terms of the wallet for a share class: in the ETH class gas is paid in ETH, in others it is booked as owed.

    Where no operation takes any gas there is none to pay, and so no gas price to know.
    """
    gas = None
    if any(wallet.gas_units.values()):
        paid_from = "wallet:BaseToken:ETH" if currency == "ETH" else f"gas:Payable:{currency}"
        units = {str(name): float(count) for name, count in wallet.gas_units.items()}
        gas = GasTerms(units, wallet.priority_fee_cap_gwei, paid_from, currency)
    return ChainTerms(domain=wallet.domain, wallet=wallet.venue, currency=currency, gas=gas)


def pool_terms(venue: LendingVenue) -> PoolTerms:
    """Terms of a lending pool."""
    return PoolTerms(
        venue=venue.venue,
        ledger_name=venue.ledger_name,
        reserves={
            token: ReserveTerms(
                RiskParameters(row.ltv, row.liquidation_threshold, row.liquidation_bonus),
                row.collateral,
                row.borrowable,
            )
            for token, row in venue.reserves.items()
        },
        emode=tuple(
            EmodeTerms(
                RiskParameters(row.ltv, row.liquidation_threshold, row.liquidation_bonus),
                frozenset(row.collateral),
                frozenset(row.debt),
            )
            for row in venue.emode.values()
        ),
        close_factor=venue.close_factor,
        full_liquidation_below=venue.full_close_health_factor,
    )
