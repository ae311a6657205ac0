"""Defines how a strategy writes orders: ids, expected fills and expected deltas, for one decision at one tick."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from basis_actors.config import ChainVenue, DexVenue, ExchangeVenue, LendingVenue, RunConfig, SpotMarket
from basis_actors.config.venues import GasOperation
from basis_actors.errors import BasisError
from basis_actors.finance.costs import fill_price, gas_cost_eth, impact_bps
from basis_actors.finance.swaps import Swapped, market_rate, pool_pair, swap, swap_size_usd
from basis_actors.messages.market import GasQuote, MarketState
from basis_actors.messages.orders import ExecutionMode, ExpectedDelta, OperationType, Order, Side
from basis_actors.strategies.base import Situation
from basis_actors.strategies.expected import (
    borrow_deltas,
    flash_borrow_deltas,
    flash_repay_deltas,
    inverse_trade_deltas,
    perp_trade_deltas,
    repay_deltas,
    spot_trade_deltas,
    stake_deltas,
    supply_deltas,
    swap_deltas,
    transfer_deltas,
    unstake_deltas,
    withdraw_deltas,
)

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


def gas_payable_key(currency: str) -> str:
    """Key of the gas that is owed where the share class is not paid in ETH; 0 or less."""
    return f"gas:Payable:{currency}"


def margin_key(run: RunConfig, venue: str) -> str:
    """Key of the USDT that margins perps on an exchange: the futures wallet where that is an account of its own."""
    return f"{venue}:Margin:USDT" if exchange(run, venue).account == "split" else spot_cash_key(venue)


def token_key(token: str) -> str:
    """Key under which the wallet holds a token; wrapped ETH is ETH, a staking token stands under its issuer."""
    kept = {"WETH": "wallet:BaseToken:ETH", "weETH": "etherfi:LST:weETH", "wstETH": "lido:LST:wstETH"}
    return kept.get(token, f"wallet:BaseToken:{token}")


def ledger_name(run: RunConfig, venue: str) -> str:
    """First part of the position keys of a pool or a lender: `aave` for `aave_v3`, else the venue's name."""
    config = run.venues[venue]
    return config.ledger_name if isinstance(config, LendingVenue) else venue


def exchange(run: RunConfig, venue: str) -> ExchangeVenue:
    """The configuration of an exchange. Raises BasisError STRAT-003 when the venue is something else."""
    config = run.venues[venue]
    if not isinstance(config, ExchangeVenue):
        raise BasisError("STRAT-003", f"{venue} is a {config.kind}; this strategy trades there and needs an exchange")
    return config


def gas_units(run: RunConfig, operation: GasOperation) -> int:
    """Gas that an operation takes. Raises BasisError STRAT-003 for a mode without a chain."""
    for venue in run.venues.values():
        if isinstance(venue, ChainVenue):
            return venue.gas_units[operation]
    raise BasisError("STRAT-003", f"mode {run.mode.mode} has no wallet on a chain, which the strategy needs")


def gas_cost(run: RunConfig, quote: GasQuote, *operations: GasOperation) -> float:
    """What operations cost at a gas price, ETH. Raises BasisError STRAT-003 for a mode without a chain."""
    for venue in run.venues.values():
        if isinstance(venue, ChainVenue):
            units = sum(venue.gas_units[operation] for operation in operations)
            return gas_cost_eth(units, quote.base_fee_gwei, quote.priority_fee_gwei, venue.priority_fee_cap_gwei)
    raise BasisError("STRAT-003", f"mode {run.mode.mode} has no wallet on a chain, which the strategy needs")


def spot_market(run: RunConfig, venue: str, asset: str) -> SpotMarket:
    """The spot market of an asset against USDT. Raises BasisError STRAT-003 when the venue has none configured."""
    section = exchange(run, venue).spot
    if section is None or asset not in section.markets:
        raise BasisError("STRAT-003", f"{venue} has no spot market {asset}/USDT configured, which the strategy trades")
    return section.markets[asset]


def swap_quote(
    run: RunConfig, market: MarketState, venue: str, source: str, target: str, amount: float
) -> Swapped | None:
    """What `amount` of `source` gives on a decentralised exchange; None while a price is not known.

    Raises BasisError STRAT-003 for a venue that is none, or has no pool of the two.
    """
    config = run.venues[venue]
    pair = pool_pair(source, target, config.fee_bps) if isinstance(config, DexVenue) else None
    if not isinstance(config, DexVenue) or pair is None:
        raise BasisError("STRAT-003", f"{venue} has no pool of {source} and {target} configured, which is needed")
    rate = market_rate(market, source, target)
    if rate is None:
        return None
    return swap(
        amount, rate, impact_bps(swap_size_usd(market, source, amount), config.impact_bps[pair]), config.fee_bps[pair]
    )


class OrderWriter:
    """Writes the orders of one decision. Ids derive from the mode, the tick and a counter, nothing else."""

    def __init__(self, run: RunConfig, situation: Situation, slippage_tolerance: float) -> None:
        self._run = run
        self._situation = situation
        self._tolerance = slippage_tolerance
        self._tick = situation.book.risk.exposure.book.tick.number
        self._count = 0
        self._groups = 0

    def spot(self, venue: str, base: str, side: Side, amount: float, intent: str) -> Order:
        """A market order against USDT at the venue's last spot price."""
        pair = f"{base}/USDT"
        quote = self._situation.market.spot[f"{venue}:{base}"]
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
        """A market order at the perpetual's last price."""
        symbol = f"{base}-PERP"
        quote = self._situation.market.perps[f"{venue}:{symbol}"]
        assert quote.last is not None, "a perp without a price is not tradable, and left out before"
        price = self._expected_fill(venue, symbol, quote.last, amount, buying=side is Side.LONG)
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
        same_domain = not leaves and self._run.venues[source].domain == self._run.venues[target].domain
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
        quote = self._situation.market.perps[f"{venue}:{symbol}"]
        assert quote.last is not None, "a perp without a price is not tradable, and left out before"
        bps = impact_bps(notional, exchange(self._run, venue).impact_bps[symbol])
        price = fill_price(quote.last, bps, buying=side is Side.LONG)
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

    def supply(self, token: str, amount: float, venue: str = "aave_v3") -> Order:
        """Lend to a pool from the wallet. The index of the moment is noted, for whoever checks the interest later."""
        deltas = supply_deltas(token, amount, venue=venue, ledger=ledger_name(self._run, venue))
        tokens = (token, f"a{token}")
        return self._pool(venue, OperationType.SUPPLY, amount, tokens, deltas, token, source_venue="wallet")

    def withdraw(self, token: str, amount: float, venue: str = "aave_v3") -> Order:
        """Take back from a pool to the wallet."""
        deltas = withdraw_deltas(token, amount, venue=venue, ledger=ledger_name(self._run, venue))
        tokens = (f"a{token}", token)
        return self._pool(venue, OperationType.WITHDRAW, amount, tokens, deltas, token, target_venue="wallet")

    def borrow(self, token: str, amount: float, venue: str = "aave_v3") -> Order:
        """Borrow from a pool into the wallet."""
        deltas = borrow_deltas(token, amount, venue=venue, ledger=ledger_name(self._run, venue))
        tokens = (f"debt{token}", token)
        return self._pool(venue, OperationType.BORROW, amount, tokens, deltas, token, target_venue="wallet")

    def repay(self, token: str, amount: float, venue: str = "aave_v3") -> Order:
        """Pay back debt from the wallet."""
        deltas = repay_deltas(token, amount, venue=venue, ledger=ledger_name(self._run, venue))
        tokens = (token, f"debt{token}")
        return self._pool(venue, OperationType.REPAY, amount, tokens, deltas, token, source_venue="wallet")

    def _pool(
        self,
        venue: str,
        operation: OperationType,
        amount: float,
        tokens: tuple[str, str],
        deltas: tuple[ExpectedDelta, ...],
        token: str,
        *,
        source_venue: str | None = None,
        target_venue: str | None = None,
    ) -> Order:
        name = token if venue == "aave_v3" else f"{venue}:{token}"
        reserve = self._situation.market.reserves[name]
        owed = operation in (OperationType.BORROW, OperationType.REPAY)
        index = reserve.borrow_index if owed else reserve.supply_index
        return self._order(
            venue,
            operation,
            amount,
            tokens,
            deltas,
            operation.value,
            source_venue=source_venue,
            target_venue=target_venue,
            details={"borrow_index" if owed else "supply_index": index},
        )

    def stake(self, venue: str, lst: str, eth: float) -> Order:
        """ETH of the wallet into a staking token, at the protocol's rate."""
        per_eth = 1.0 / self._situation.market.staking[lst].eth_per_lst
        deltas = stake_deltas(venue, lst, eth, per_eth)
        return self._order(
            venue,
            OperationType.STAKE,
            eth,
            ("ETH", lst),
            deltas,
            "stake",
            source_venue="wallet",
            details={"conversion_rate": per_eth},
        )

    def unstake(self, venue: str, lst: str, amount: float) -> Order:
        """A staking token into a claim on ETH, which the queue pays out later."""
        per_eth = 1.0 / self._situation.market.staking[lst].eth_per_lst
        deltas = unstake_deltas(venue, lst, amount, per_eth)
        return self._order(
            venue,
            OperationType.UNSTAKE,
            amount,
            (lst, "ETH"),
            deltas,
            "unstake",
            details={"conversion_rate": per_eth},
        )

    def swap(self, venue: str, source: str, target: str, amount: float, intent: str) -> Order:
        """Trade one token of the wallet for another; reverts below `min_out`, the slippage that the venue allows."""
        quote = swap_quote(self._run, self._situation.market, venue, source, target, amount)
        assert quote is not None, "a swap without a rate is not possible, and left out before"
        config = self._run.venues[venue]
        assert isinstance(config, DexVenue)
        deltas = swap_deltas(venue, token_key(source), token_key(target), amount, quote.gross / amount)
        min_out = quote.net * (1.0 - config.max_slippage_bps / 1e4)
        return self._order(
            venue,
            OperationType.SWAP,
            amount,
            (source, target),
            deltas,
            intent,
            source_venue="wallet",
            target_venue="wallet",
            details={"min_out": min_out},
        )

    def flash_borrow(self, venue: str, token: str, amount: float) -> Order:
        """Borrow until the end of the transaction; only in an atomic group that repays."""
        deltas = flash_borrow_deltas(venue, ledger_name(self._run, venue), token, amount)
        operation = OperationType.FLASH_BORROW
        return self._order(venue, operation, amount, (token, token), deltas, operation.value, target_venue="wallet")

    def flash_repay(self, venue: str, token: str, amount: float) -> Order:
        """Pay back what was borrowed in this transaction; the lender's fee comes on top."""
        deltas = flash_repay_deltas(venue, ledger_name(self._run, venue), token, amount)
        operation = OperationType.FLASH_REPAY
        return self._order(venue, operation, amount, (token, token), deltas, operation.value, source_venue="wallet")

    def group(self, orders: Sequence[Order], mode: ExecutionMode) -> tuple[Order, ...]:
        """The same orders as one group, in this order."""
        group_id = f"{self._run.mode.mode}-{self._tick:06d}-g{self._groups}"
        self._groups += 1
        return tuple(
            msgspec.structs.replace(order, execution_mode=mode, atomic_group_id=group_id, sequence_in_group=number)
            for number, order in enumerate(orders)
        )

    def _expected_fill(self, venue: str, market: str, reference: float, amount: float, *, buying: bool) -> float:
        steps = exchange(self._run, venue).impact_bps[market]
        return fill_price(reference, impact_bps(amount * reference, steps), buying=buying)

    def _order(
        self,
        venue: str,
        operation: OperationType,
        amount: float,
        tokens: tuple[str, str],
        deltas: tuple[ExpectedDelta, ...],
        intent: str,
        *,
        source_venue: str | None = None,
        target_venue: str | None = None,
        details: dict[str, object] | None = None,
        pair: str | None = None,
        side: Side | None = None,
        price: float | None = None,
        reduce_only: bool = False,
    ) -> Order:
        mode = self._run.mode.mode
        number, self._count = self._count, self._count + 1
        return Order(
            operation_id=f"{mode}-{self._tick:06d}-{number:02d}",
            venue=venue,
            operation=operation,
            amount=amount,
            source_venue=source_venue or venue,
            target_venue=target_venue or venue,
            source_token=tokens[0],
            target_token=tokens[1],
            expected_deltas=deltas,
            operation_details=details or {},
            pair=pair,
            side=side,
            price=price,
            strategy_intent=intent,
            strategy_id=mode,
            slippage_tolerance=self._tolerance,
            reduce_only=reduce_only,
        )
