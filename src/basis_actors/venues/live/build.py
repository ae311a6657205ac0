"""Defines how the configuration of an exchange becomes the account logic that trades on it."""

from __future__ import annotations

from collections.abc import Mapping

from basis_actors.config import ExchangeVenue
from basis_actors.ports import ExchangeApi, OrderJournal
from basis_actors.venues.live.account import ExchangeAccount
from basis_actors.venues.live.terms import AccountTerms, LiveClock

__all__ = ["build_account", "pairs_of"]


def build_account(
    venue: ExchangeVenue,
    api: ExchangeApi,
    journal: OrderJournal,
    clock: LiveClock,
    *,
    leverage: Mapping[str, int],
    addresses: Mapping[tuple[str, str], tuple[str, str]],
    keeps_stops: bool = False,
) -> ExchangeAccount:
    """The account of a mode at `venue`. `leverage` is by perpetual; `addresses` are those of withdrawals, and
    `keeps_stops` is as `AccountTerms` has them."""
    pairs = pairs_of(venue)
    tokens = {"USDT", *(pair.split("/")[0] for pair in pairs if "/" in pair)}
    tokens |= {pair.removesuffix("USD-PERP") for pair in pairs if pair.endswith("USD-PERP")}
    terms = AccountTerms(
        venue=venue.venue,
        split=venue.account == "split",
        pairs=pairs,
        tokens=frozenset(tokens),
        patience=venue.account_terms,
        addresses=dict(addresses),
        keeps_stops=keeps_stops,
    )
    return ExchangeAccount(terms, api, journal, leverage, clock)


def pairs_of(venue: ExchangeVenue) -> tuple[str, ...]:
    """Every market of an exchange: spot, linear perpetuals, inverse ones."""
    spot = venue.spot.markets if venue.spot is not None else ()
    linear = venue.perp.markets if venue.perp is not None else ()
    inverse = venue.inverse_perp.markets if venue.inverse_perp is not None else ()
    return (
        *(f"{asset}/USDT" for asset in spot),
        *(f"{asset}-PERP" for asset in linear),
        *(f"{asset}USD-PERP" for asset in inverse),
    )
