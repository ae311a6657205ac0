"""Defines how a change of equity is explained: one formula a component, none of them the remainder.

Between two views of the book the market may move, accounts may accrue and orders may fill. Market components are
computed on the quantities held at the first view; everything else on what was settled since, at the prices of the
second. Whatever equity did beyond the sum of these formulas and the owner's flows is the residual.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from basis_actors.finance.keys import LedgerKey, parse_key
from basis_actors.finance.valuation import STABLE
from basis_actors.messages.execution import DeltaSource, Settlement
from basis_actors.messages.market import MarketState

__all__ = ["COMPONENTS", "Attribution", "PricedBook", "attribute"]

COMPONENTS: Final = (
    "price",
    "basis",
    "funding",
    "staking",
    "lending",
    "borrow",
    "rewards",
    "slippage",
    "fees",
    "gas",
    "liquidation",
)


class PricedBook(msgspec.Struct, frozen=True):
    """A ledger at one moment with everything that valued it."""

    positions: Mapping[str, float]
    entries: Mapping[str, float]
    market: MarketState
    prices: Mapping[str, float]
    """Of the assets, in the share class."""


class Attribution:
    """A change of equity taken apart: by component, by venue and by asset; amounts in the share class."""

    __slots__ = ("by_asset", "by_venue", "components", "flows")

    def __init__(self) -> None:
        self.components: dict[str, float] = {}
        """By component; one that is not in it is zero."""
        self.by_venue: dict[str, float] = {}
        self.by_asset: dict[str, float] = {}
        self.flows = 0.0
        """Deposits minus withdrawals; no component."""

    def add(self, component: str, key: LedgerKey, amount: float) -> None:
        """Book `amount` to a component, and to the venue and asset of `key`."""
        if amount == 0.0:
            return
        components = self.components
        components[component] = components.get(component, 0.0) + amount
        self.by_venue[key.venue] = self.by_venue.get(key.venue, 0.0) + amount
        self.by_asset[key.asset] = self.by_asset.get(key.asset, 0.0) + amount

    def explained(self) -> float:
        """Sum of all components."""
        return sum(self.components.values())


def attribute(before: PricedBook, after: PricedBook, settlements: Iterable[Settlement]) -> Attribution:
    """Explain the change of equity from `before` to `after`, given everything that was settled between them."""
    result = Attribution()
    settlements = tuple(settlements)
    if after.market is not before.market:
        _market_moves(result, before, after)
        _funding(result, before, after, settlements)
    for settlement in settlements:
        _settled(result, settlement, before, after)
    return result


def _market_moves(result: Attribution, before: PricedBook, after: PricedBook) -> None:
    """Price, basis, staking and interest on what was held at `before`."""
    prices_0, prices_1 = before.prices, after.prices
    for key, amount in before.positions.items():
        if amount == 0.0:
            continue
        info = parse_key(key)
        if info.perp is not None:
            _perp_moves(result, info, amount, before, after)
            continue
        price_0, price_1 = prices_0.get(info.asset), prices_1.get(info.asset)
        if price_0 is None or price_1 is None:
            continue
        quantity = amount * info.sign
        if info.lst is not None:
            rate_0, rate_1 = before.market.staking[info.lst].eth_per_lst, after.market.staking[info.lst].eth_per_lst
            result.add("staking", info, quantity * (rate_1 - rate_0) * price_1)
            result.add("price", info, quantity * rate_0 * (price_1 - price_0))
            quantity *= rate_1
        else:
            result.add("price", info, quantity * (price_1 - price_0))
        if info.reserve is not None:
            reserve_0, reserve_1 = before.market.reserves[info.reserve], after.market.reserves[info.reserve]
            if info.kind == "aToken":
                result.add("lending", info, quantity * (reserve_1.supply_index / reserve_0.supply_index - 1) * price_1)
            else:
                result.add("borrow", info, quantity * (reserve_1.borrow_index / reserve_0.borrow_index - 1) * price_1)


def _perp_moves(result: Attribution, info: LedgerKey, size: float, before: PricedBook, after: PricedBook) -> None:
    """Price on the reference, basis on the rest of the mark's move."""
    assert info.perp is not None
    quote_0, quote_1 = before.market.perps.get(info.perp), after.market.perps.get(info.perp)
    mark_0 = quote_0.mark if quote_0 is not None else None
    mark_1 = quote_1.mark if quote_1 is not None else None
    if mark_0 is None or mark_1 is None:
        return
    entry = before.entries[info.key]
    unit_0, unit_1 = before.prices[STABLE], after.prices[STABLE]
    spot_move = after.market.prices[info.asset] - before.market.prices[info.asset]
    result.add("price", info, size * spot_move * unit_1)
    result.add("basis", info, size * (mark_1 - mark_0 - spot_move) * unit_1)
    if unit_1 != unit_0:
        result.add("price", info, size * (mark_0 - entry) * (unit_1 - unit_0))


def _funding(result: Attribution, before: PricedBook, after: PricedBook, settlements: tuple[Settlement, ...]) -> None:
    """-size x mark x rate at each stamp, on the size that was left after liquidations (they come first in a tick)."""
    stamps = after.market.funding
    if not stamps:
        return
    sizes: dict[str, tuple[LedgerKey, float]] = {}
    for key, amount in before.positions.items():
        info = parse_key(key)
        if info.perp is not None:
            sizes[info.perp] = (info, amount)
    for settlement in settlements:
        if settlement.source is DeltaSource.LIQUIDATION:
            for delta in settlement.deltas:
                info = parse_key(delta.position_key)
                if info.perp is not None:
                    sizes[info.perp] = (info, sizes[info.perp][1] + delta.delta_amount)
    for stamp in stamps:
        held = sizes.get(stamp.perp)
        if held is None or stamp.rate is None or stamp.mark is None:
            continue
        info, size = held
        result.add("funding", info, -size * stamp.mark * stamp.rate * after.prices[STABLE])


_BOOKED: Final = {
    DeltaSource.FEE: "fees",
    DeltaSource.GAS: "gas",
    DeltaSource.REWARD: "rewards",
}


def _settled(result: Attribution, settlement: Settlement, before: PricedBook, after: PricedBook) -> None:
    """What one settlement adds: fees, gas and rewards as booked, slippage of fills, liquidations, flows."""
    source = settlement.source
    component = _BOOKED.get(source)
    if component is not None:
        for delta in settlement.deltas:
            info = parse_key(delta.position_key)
            result.add(component, info, worth_of(info, delta.delta_amount, after))
    elif source is DeltaSource.EXECUTION:
        _slippage(result, settlement, after)
    elif source is DeltaSource.LIQUIDATION:
        _liquidation(result, settlement, before, after)
    elif source in (DeltaSource.DEPOSIT, DeltaSource.WITHDRAWAL):
        for delta in settlement.deltas:
            result.flows += worth_of(parse_key(delta.position_key), delta.delta_amount, after)


def worth_of(info: LedgerKey, amount: float, book: PricedBook) -> float:
    """Value of `amount` of a token key at the prices of `book`; 0 while the price is not known."""
    price = book.prices.get(info.asset)
    if price is None:
        return 0.0
    if info.lst is not None:
        price *= book.market.staking[info.lst].eth_per_lst
    return amount * info.sign * price


def _slippage(result: Attribution, settlement: Settlement, after: PricedBook) -> None:
    """-signed quantity x (fill - S) for tokens, x (fill - mark) for perps."""
    for delta in settlement.deltas:
        fill = delta.price
        if fill is None:
            continue
        info = parse_key(delta.position_key)
        if info.perp is None:
            if info.asset != STABLE:
                gap = fill - after.market.prices[info.asset]
                result.add("slippage", info, -delta.delta_amount * gap * after.prices[STABLE])
            continue
        result.add("slippage", info, perp_fill_cost(info, delta.delta_amount, fill, after))


def perp_fill_cost(info: LedgerKey, amount: float, fill: float, book: PricedBook) -> float:
    """What a perp fill away from the mark gains or loses at once."""
    assert info.perp is not None
    mark = book.market.perps[info.perp].mark
    assert mark is not None
    return -amount * (fill - mark) * book.prices[STABLE]


def _liquidation(result: Attribution, settlement: Settlement, before: PricedBook, after: PricedBook) -> None:
    """Closing away from the mark, and the liquidation fee: the cash booked beyond the realised PnL of the close."""
    cash = 0.0
    realised = 0.0
    owner: LedgerKey | None = None
    for delta in settlement.deltas:
        info = parse_key(delta.position_key)
        if info.perp is None:
            cash += worth_of(info, delta.delta_amount, after)
            owner = info
            continue
        assert delta.price is not None
        entry = before.entries[delta.position_key]
        realised -= delta.delta_amount * (delta.price - entry) * after.prices[STABLE]
        result.add("liquidation", info, perp_fill_cost(info, delta.delta_amount, delta.price, after))
    if owner is not None:
        result.add("liquidation", owner, cash - realised)
