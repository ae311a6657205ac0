"""Defines how a strategy writes orders: ids, expected fills and expected deltas, for one decision at one tick."""

from __future__ import annotations

from basis_actors.config import ExchangeVenue, RunConfig, SpotMarket
from basis_actors.errors import BasisError
from basis_actors.finance.costs import fill_price, impact_bps
from basis_actors.messages.orders import OperationType, Order, Side
from basis_actors.strategies.chain_terms import (
    configured,
    gas_cost,
    gas_payable_key,
    gas_units,
    ledger_name,
    swap_quote,
    token_key,
)
from basis_actors.strategies.chain_writer import ChainWriter
from basis_actors.strategies.expected import (
    inverse_trade_deltas,
    perp_trade_deltas,
    spot_trade_deltas,
    transfer_deltas,
)
from basis_actors.times import utc_text

__all__ = [
    "EXTERNAL",
    "OrderWriter",
    "exchange",
    "gas_cost",
    "gas_payable_key",
    "gas_units",
    "ledger_name",
    "margin_key",
    "spot_cash_key",
    "spot_market",
    "swap_quote",
    "token_key",
]

EXTERNAL = "external"
"""The venue name of the owner's own account outside, where withdrawals go."""


def spot_cash_key(venue: str) -> str:
    """Key of the USDT that pays for spot on an exchange."""
    return f"{venue}:BaseToken:USDT"


def margin_key(run: RunConfig, venue: str) -> str:
    """Key of the USDT that margins perps on an exchange: the futures wallet where that is an account of its own."""
    return f"{venue}:Margin:USDT" if exchange(run, venue).account == "split" else spot_cash_key(venue)


def exchange(run: RunConfig, venue: str) -> ExchangeVenue:
    """The configuration of an exchange. Raises BasisError STRAT-003 when the venue is something else, or not there."""
    config = configured(run, venue)
    if not isinstance(config, ExchangeVenue):
        raise BasisError("STRAT-003", f"{venue} is a {config.kind}; this strategy trades there and needs an exchange")
    return config


def spot_market(run: RunConfig, venue: str, asset: str) -> SpotMarket:
    """The spot market of an asset against USDT. Raises BasisError STRAT-003 when the venue has none configured."""
    section = exchange(run, venue).spot
    if section is None or asset not in section.markets:
        raise BasisError("STRAT-003", f"{venue} has no spot market {asset}/USDT configured, which the strategy trades")
    return section.markets[asset]


class OrderWriter(ChainWriter):
    """Writes the orders of one decision: trades and transfers here, operations on the chain in `ChainWriter`."""

    def spot(self, venue: str, base: str, side: Side, amount: float, intent: str) -> Order:
        """A market order against USDT at the venue's last spot price. Raises BasisError STRAT-006 where it has none."""
        pair = f"{base}/USDT"
        quote = self._situation.market.spot.get(f"{venue}:{base}")
        if quote is None:
            raise self._unseen(venue, base, "spot")
        price = self._expected_fill(venue, pair, quote.price, amount, buying=side is Side.BUY)
        tokens = ("USDT", base) if side is Side.BUY else (base, "USDT")
        return self._order(
            venue,
            OperationType.SPOT_TRADE,
            amount,
            tokens,
            spot_trade_deltas(venue, base, "USDT", side, amount, price),
            intent,
            pair=pair,
            side=side,
            price=price,
        )

    def perp(self, venue: str, base: str, side: Side, amount: float, intent: str, *, reduce_only: bool) -> Order:
        """A market order at the perpetual's last price. Raises BasisError STRAT-006 where it has none."""
        symbol = f"{base}-PERP"
        last = self._last_price(venue, symbol)
        price = self._expected_fill(venue, symbol, last, amount, buying=side is Side.LONG)
        key = f"{venue}:PerpPosition:{symbol}"
        deltas = perp_trade_deltas(
            venue,
            symbol,
            side,
            amount,
            price,
            size=self._situation.held(key),
            entry=self._situation.entries.get(key),
            cash_key=margin_key(self._run, venue),
        )
        return self._order(
            venue,
            OperationType.PERP_TRADE,
            amount,
            ("USDT", symbol),
            deltas,
            intent,
            pair=symbol,
            side=side,
            price=price,
            reduce_only=reduce_only,
        )

    def transfer(self, source_key: str, target_key: str, amount: float, intent: str) -> Order:
        """Move tokens from one account to another; `external:…` as target pays out to the owner."""
        source, target = source_key.split(":", 1)[0], target_key.split(":", 1)[0]
        token = source_key.rsplit(":", 1)[1]
        leaves = target == EXTERNAL
        domain = configured(self._run, source).domain
        same_domain = not leaves and domain == configured(self._run, target).domain
        deltas = transfer_deltas(source_key, target_key, amount, same_domain=same_domain)
        return self._order(
            source,
            OperationType.TRANSFER,
            amount,
            (token, token),
            deltas[:1] if leaves else deltas,
            intent,
            target_venue=target,
            details={"source_key": source_key, "target_key": target_key},
        )

    def settle_gas(self, amount: float) -> Order:
        """Pay gas that was booked as owed from the wallet; it costs no gas itself."""
        token = self._run.share_class.currency
        source, target = f"wallet:BaseToken:{token}", gas_payable_key(token)
        return self._order(
            "wallet",
            OperationType.TRANSFER,
            amount,
            (token, token),
            transfer_deltas(source, target, amount, same_domain=True),
            "settle_gas",
            details={"source_key": source, "target_key": target},
        )

    def inverse(self, venue: str, base: str, side: Side, notional: float, intent: str, *, reduce_only: bool) -> Order:
        """A market order of `notional` USD at the coin-margined perpetual's last price."""
        symbol = f"{base}USD-PERP"
        bps = impact_bps(notional, exchange(self._run, venue).impact_bps[symbol])
        price = fill_price(self._last_price(venue, symbol), bps, buying=side is Side.LONG)
        key = f"{venue}:InversePerp:{symbol}"
        deltas = inverse_trade_deltas(
            venue,
            symbol,
            side,
            notional,
            price,
            size=self._situation.held(key),
            entry=self._situation.entries.get(key),
            cash_key=f"{venue}:Margin:{base}",
        )
        return self._order(
            venue,
            OperationType.PERP_TRADE,
            notional,
            (base, symbol),
            deltas,
            intent,
            pair=symbol,
            side=side,
            price=price,
            reduce_only=reduce_only,
        )

    def _last_price(self, venue: str, symbol: str) -> float:
        """Of a perpetual. Raises BasisError STRAT-006 where it has none."""
        quote = self._situation.market.perps.get(f"{venue}:{symbol}")
        if quote is None or quote.last is None:
            raise self._unseen(venue, symbol, "perps")
        return quote.last

    def _unseen(self, venue: str, name: str, part: str) -> BasisError:
        configured(self._run, venue)
        at = utc_text(self._situation.market.timestamp)
        text = f"{venue}:{name} has no price at {at}; name it in market_spec.{part}, and wait for its first price"
        return BasisError("STRAT-006", f"an order for it cannot be written: {text}")

    def _expected_fill(self, venue: str, market: str, reference: float, amount: float, *, buying: bool) -> float:
        steps = exchange(self._run, venue).impact_bps[market]
        return fill_price(reference, impact_bps(amount * reference, steps), buying=buying)
