"""Defines what a directional strategy knows of its one perpetual, and how it sees its book at a tick."""

from __future__ import annotations

import msgspec

from basis_actors.config import DirectionalConfig, RunConfig
from basis_actors.errors import BasisError
from basis_actors.finance.contracts import INVERSE, LINEAR, Contract
from basis_actors.finance.costs import impact_bps
from basis_actors.messages.market import MarketState
from basis_actors.strategies.base import Situation
from basis_actors.strategies.order_writer import exchange, gas_payable_key, margin_key

__all__ = ["DirectionalBook", "DirectionalTerms", "directional_terms", "read_directional_book"]


class DirectionalTerms(msgspec.Struct, frozen=True):
    """One perpetual of one venue, linear or inverse. Money is in the share class, which is its margin currency."""

    venue: str
    asset: str
    inverse: bool
    contract: Contract
    currency: str
    """`USDT`, or the asset of an inverse perpetual."""
    unit: float
    """Smallest amount of the currency that is moved."""
    perp: str
    """Name in the market: `binance:BTC-PERP`."""
    position_key: str
    margin_key: str
    wallet_key: str
    transit_key: str
    gas_key: str
    lot: float
    """Base units, USD for an inverse perpetual."""
    minimum_notional: float
    """Smallest order, USD."""
    fee: float
    """Taker fee, fraction of notional."""
    impact: tuple[float, float, float]
    """bps by size class."""
    withdrawal_fee: float
    """What taking money out of the venue costs, in the currency."""

    def amount(self, value: float, price: float) -> float:
        """Size whose notional is `value` of the currency at `price` (USD): base units, or USD for an inverse one."""
        return value / self.contract.per_quote(price) / self.contract.notional(1.0, price)

    def value(self, amount: float, price: float) -> float:
        """Notional of a size at `price`, in the currency; 0 or more."""
        return self.contract.notional(amount, price) * self.contract.per_quote(price)

    def cost(self, amount: float, price: float) -> float:
        """Fee and impact of a market order, in the currency."""
        size_usd = self.contract.notional(amount, price)
        return self.value(amount, price) * (self.fee + impact_bps(size_usd, self.impact) / 1e4)


def directional_terms(run: RunConfig, config: DirectionalConfig) -> DirectionalTerms:
    """Read the terms off the configuration. Raises BasisError STRAT-003 for a venue without the market."""
    venue, asset = exchange(run, config.venue), config.asset
    inverse = config.contract == "inverse"
    section = venue.inverse_perp if inverse else venue.perp
    if section is None or asset not in section.markets:
        raise BasisError("STRAT-003", f"{config.venue} has no {config.contract} perpetual on {asset} configured")
    symbol = f"{asset}USD-PERP" if inverse else f"{asset}-PERP"
    currency = asset if inverse else "USDT"
    return DirectionalTerms(
        venue=config.venue,
        asset=asset,
        inverse=inverse,
        contract=INVERSE if inverse else LINEAR,
        currency=currency,
        unit=1e-8 if inverse else 0.01,
        perp=f"{config.venue}:{symbol}",
        position_key=f"{config.venue}:{'InversePerp' if inverse else 'PerpPosition'}:{symbol}",
        margin_key=f"{config.venue}:Margin:{asset}" if inverse else margin_key(run, config.venue),
        wallet_key=f"wallet:BaseToken:{currency}",
        transit_key=f"transit:BaseToken:{currency}",
        gas_key=gas_payable_key(currency),
        lot=section.markets[asset].lot,
        minimum_notional=venue.minimum_notional,
        fee=section.taker_fee,
        impact=venue.impact_bps[symbol],
        withdrawal_fee=venue.withdrawal_fees[currency],
    )


class DirectionalBook(msgspec.Struct, frozen=True):
    """Everything the decisions of a directional position need, read off the ledger at one tick.

    Money is in the margin currency, which is that of the share class.
    """

    price: float | None
    """Last price, USD."""
    mark: float | None
    tradable: bool
    """Whether last price and mark are fresh, so that an order can be sent."""
    eligible: bool
    """Whether new risk may be taken: tradable, and funding is not missing."""
    size: float
    """Signed, in the unit of the position key."""
    direction: int
    """1 long, -1 short, 0 flat."""
    cash: float
    """In the margin account."""
    margin: float
    """Cash plus unrealised PnL."""
    notional: float
    """Value of the position at mark."""
    ratio: float | None
    """Margin / notional; None without a position."""
    wallet: float
    in_transit: bool
    gas_owed: float
    """0 or more."""
    equity: float


def read_directional_book(terms: DirectionalTerms, situation: Situation, missed_limit: int) -> DirectionalBook:
    """The book as it is. New risk needs fewer than `missed_limit` due funding rates missing in a row."""
    market: MarketState = situation.market
    quote = market.perps.get(terms.perp)
    size, cash = situation.held(terms.position_key), situation.held(terms.margin_key)
    mark = None if quote is None else quote.mark
    tradable = quote is not None and quote.last is not None and quote.last_fresh and quote.mark_fresh
    missed = market.funding_missed.get(terms.perp)
    margin, notional = cash, 0.0
    if size != 0.0 and mark is not None:
        margin += terms.contract.upnl(size, situation.entries[terms.position_key], mark)
        notional = terms.value(size, mark)
    return DirectionalBook(
        price=None if quote is None else quote.last,
        mark=mark,
        tradable=tradable,
        eligible=tradable and missed is not None and missed < missed_limit,
        size=size,
        direction=(size > 0.0) - (size < 0.0),
        cash=cash,
        margin=margin,
        notional=notional,
        ratio=margin / notional if notional > 0.0 else None,
        wallet=situation.held(terms.wallet_key),
        in_transit=situation.held(terms.transit_key) != 0.0,
        gas_owed=-situation.held(terms.gas_key),
        equity=situation.book.equity,
    )
