"""Defines how a change of equity is explained: one formula a component, none of them the remainder.

Between two views of the book the market may move, accounts may accrue and orders may fill. Market components are
computed on the quantities held at the first view; everything else on what was settled since, at the prices of the
second. Whatever equity did beyond the sum of these formulas and the owner's flows is the residual.

What has no known price is worth 0, here as in the balance sheet: a price that becomes known later is a move from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.finance.keys import LedgerKey, parse_key
from basis_actors.finance.ledger import book_settlement
from basis_actors.finance.valuation import token_price
from basis_actors.messages.execution import OWNERS_FLOWS, DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import MarketState
from basis_actors.times import utc_from_ns, utc_text

__all__ = ["BOOKED", "BOOKED_LIVE", "COMPONENTS", "Attribution", "PricedBook", "attribute"]

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
    "adjustment",
)

BOOKED: Final = {
    DeltaSource.FEE: "fees",
    DeltaSource.GAS: "gas",
    DeltaSource.REWARD: "rewards",
}
"""Components that are what was settled; all others have a formula of their own."""
BOOKED_LIVE: Final = {**BOOKED, DeltaSource.FUNDING: "funding"}
"""The same where an exchange pays funding at marks and moments that only it knows."""


class PricedBook(msgspec.Struct, frozen=True):
    """A ledger at one moment with everything that valued it."""

    positions: Mapping[str, float]
    entries: Mapping[str, float]
    market: MarketState
    prices: Mapping[str, float]
    """Of the assets, in the share class."""


class Attribution(msgspec.Struct):
    """A change of equity taken apart: by component, by venue and by asset; amounts in the share class."""

    components: dict[str, float] = {}
    """By component; one that is not in it is zero."""
    by_venue: dict[str, float] = {}
    by_asset: dict[str, float] = {}
    flows: float = 0.0
    """Deposits minus withdrawals; no component."""

    def add(self, component: str, key: LedgerKey, amount: float, price: float = 0.0) -> None:
        """Book `amount` to a component and `price` to that of prices, and both to the venue and asset of `key`."""
        if amount == 0.0 and price == 0.0:
            return
        components, by_venue, by_asset = self.components, self.by_venue, self.by_asset
        if price != 0.0:
            components["price"] = components.get("price", 0.0) + price
        if amount != 0.0:
            components[component] = components.get(component, 0.0) + amount
        by_venue[key.venue] = by_venue.get(key.venue, 0.0) + price + amount
        by_asset[key.asset] = by_asset.get(key.asset, 0.0) + price + amount

    def explained(self) -> float:
        """Sum of all components."""
        return sum(self.components.values())


def attribute(
    before: PricedBook,
    after: PricedBook,
    settlements: Sequence[Settlement],
    booked: Mapping[DeltaSource, str] = BOOKED,
) -> Attribution:
    """Explain the change of equity from `before` to `after`, given everything that was settled between them.

    `booked` names the component of each source that counts as it was settled.
    Raises BasisError PNL-004 for a fill that does not say against which token it was made.
    """
    result = Attribution()
    if after.market is not before.market:
        _market_moves(result, before, after)
        if after.market.funding and DeltaSource.FUNDING not in booked:
            _funding(result, before, after, settlements)
    for place, settlement in enumerate(settlements):
        source = settlement.source
        component = booked.get(source)
        if component is not None:
            _as_booked(result, component, settlement, after)
        elif source in _PASSIVE:
            continue
        elif source is DeltaSource.EXECUTION:
            _fills(result, settlement, after)
        elif source is DeltaSource.LIQUIDATION:
            _liquidation(result, settlement, before, settlements[:place], after)
        elif source is DeltaSource.ADJUSTMENT:
            for info, amount in _worth_changed(settlement, before, settlements[:place], after):
                result.add("adjustment", info, amount)
        elif source is DeltaSource.OPENING:
            result.flows += sum(amount for _, amount in _worth_changed(settlement, before, settlements[:place], after))
        elif source in OWNERS_FLOWS:
            for delta in settlement.deltas:
                result.flows += worth_of(parse_key(delta.position_key), delta.delta_amount, after)
    return result


_PASSIVE: Final = (DeltaSource.ACCRUAL, DeltaSource.FUNDING)
"""What the market did to the book held before, which its own formulas explain. Nearly all that is settled is of it."""


def worth_of(info: LedgerKey, amount: float, book: PricedBook) -> float:
    """Value of `amount` of a token key at the prices of `book`; 0 while the price is not known."""
    price = token_price(info, book.market, book.prices)
    return 0.0 if price is None else amount * info.sign * price


def _market_moves(result: Attribution, before: PricedBook, after: PricedBook) -> None:
    """Price, basis, staking and interest on what was held at `before`.

    Of a linear perp price is on the reference and basis on the rest of the mark's move; all that an inverse one gains
    is price, and so is what the currency that a perp pays in makes of the profit there was before.
    """
    prices_0, prices_1 = before.prices, after.prices
    market_0, market_1 = before.market, after.market
    perps_0, perps_1 = market_0.perps, market_1.perps
    # Positions in one asset stand together, by and large: what was looked up for one holds for the next.
    asset, price_0, price_1 = "", 0.0, 0.0
    base, kind, spot_move, unit_0, unit_1 = "", None, 0.0, 0.0, 0.0
    for key, amount in before.positions.items():
        info = parse_key(key)
        contract = info.contract
        if contract is None:
            if info.asset is not asset:
                asset = info.asset
                price_0, price_1 = prices_0.get(asset, 0.0), prices_1.get(asset, 0.0)
            if info.lst is not None or info.reserve is not None:
                _accruing_moves(result, info, amount, market_0, market_1, price_0, price_1)
            elif price_0 != price_1:
                result.add("price", info, amount * info.sign * (price_1 - price_0))
            continue
        assert info.perp is not None
        quote_0, quote_1 = perps_0.get(info.perp), perps_1.get(info.perp)
        if quote_0 is None or quote_1 is None:
            continue
        mark_0, mark_1 = quote_0.mark, quote_1.mark
        if mark_0 is None or mark_1 is None:
            continue
        if info.asset is not base or contract is not kind:
            base, kind = info.asset, contract
            spot_0, spot_1 = market_0.prices.get(base), market_1.prices.get(base)
            # Without a reference price at both ends there is nothing to tell price from basis by.
            spot_move = 0.0 if spot_0 is None or spot_1 is None else spot_1 - spot_0
            unit_0, unit_1 = prices_0.get(info.paid_in, 0.0), prices_1.get(info.paid_in, 0.0)
        if info.inverse:
            result.add("price", info, contract.upnl(amount, mark_0, mark_1) * unit_1)
        else:
            basis = amount * (mark_1 - mark_0 - spot_move) * unit_1
            result.add("basis", info, basis, amount * spot_move * unit_1)
        if unit_1 != unit_0:
            profit = contract.upnl(amount, before.entries[key], mark_0)
            result.add("price", info, profit * (unit_1 - unit_0))


def _accruing_moves(
    result: Attribution,
    info: LedgerKey,
    amount: float,
    market_0: MarketState,
    market_1: MarketState,
    price_0: float,
    price_1: float,
) -> None:
    """Price, staking and interest of a staked, lent or borrowed token; the prices are those of its asset."""
    quantity = amount * info.sign
    if info.lst is not None:
        quote_0, quote_1 = market_0.staking.get(info.lst), market_1.staking.get(info.lst)
        if quote_1 is None:
            return
        rate_1 = quote_1.eth_per_lst
        if quote_0 is None:
            rate_0, price_0 = rate_1, 0.0
        else:
            rate_0 = quote_0.eth_per_lst
        if rate_1 != rate_0:
            result.add("staking", info, quantity * (rate_1 - rate_0) * price_1)
        price = quantity * rate_0 * (price_1 - price_0)
        quantity *= rate_1
    else:
        price = quantity * (price_1 - price_0)
    if info.reserve is None:
        result.add("price", info, price)
        return
    reserve_0, reserve_1 = market_0.reserves[info.reserve], market_1.reserves[info.reserve]
    if info.kind == "aToken":
        interest = quantity * (reserve_1.supply_index / reserve_0.supply_index - 1) * price_1
        result.add("lending", info, interest, price)
    else:
        interest = quantity * (reserve_1.borrow_index / reserve_0.borrow_index - 1) * price_1
        result.add("borrow", info, interest, price)


def _mark(info: LedgerKey, book: PricedBook) -> float | None:
    assert info.perp is not None
    quote = book.market.perps.get(info.perp)
    return None if quote is None else quote.mark


def _funding(result: Attribution, before: PricedBook, after: PricedBook, settlements: Sequence[Settlement]) -> None:
    """Payment of each stamp on the size held at that moment.

    That is the size at `before` and what was filled since: stops and liquidations of the bar that has just closed.
    """
    keys = {info.perp: info for info in map(parse_key, before.positions) if info.perp is not None}
    fills = [(settlement.timestamp, *fill) for settlement in settlements for fill in _perp_fills(settlement)]
    keys.update((info.perp, info) for _, info, _ in fills if info.perp is not None)
    for stamp in after.market.funding:
        info = keys.get(stamp.perp)
        if info is None or stamp.rate is None or stamp.mark is None:
            continue
        assert info.contract is not None
        size = before.positions.get(info.key, 0.0)
        if fills:
            moment = utc_from_ns(stamp.ns)
            size += sum(delta.delta_amount for at, filled, delta in fills if filled is info and at <= moment)
        payment = info.contract.funding(size, stamp.mark, stamp.rate)
        result.add("funding", info, payment * after.prices.get(info.paid_in, 0.0))


def _perp_fills(settlement: Settlement) -> Iterator[tuple[LedgerKey, PositionDelta]]:
    for delta in settlement.deltas:
        info = parse_key(delta.position_key)
        if info.contract is not None:
            yield info, delta


def _as_booked(result: Attribution, component: str, settlement: Settlement, after: PricedBook) -> None:
    for delta in settlement.deltas:
        info = parse_key(delta.position_key)
        result.add(component, info, worth_of(info, delta.delta_amount, after))


def _fills(result: Attribution, settlement: Settlement, after: PricedBook) -> None:
    """Slippage of what was traded: of a perp against its mark, of a token against the reference price.

    A perp fill with an index was triggered: price takes it from the trigger to the mark of now, slippage is the rest.
    What changes form without a price (stake, supply, borrow, transfer) does so at the reference exactly.
    """
    for delta in settlement.deltas:
        fill = delta.price
        if fill is None:
            continue
        info = parse_key(delta.position_key)
        if info.contract is None:
            result.add("slippage", info, _token_slippage(settlement, info, delta.delta_amount, fill, after))
            continue
        quantity, upnl = delta.delta_amount, info.contract.upnl
        mark, unit = _mark_of_fill(settlement, info, after), after.prices.get(info.paid_in, 0.0)
        trigger = delta.index
        if trigger is None:
            result.add("slippage", info, upnl(quantity, fill, mark) * unit)
        else:
            result.add("slippage", info, upnl(quantity, fill, trigger) * unit)
            result.add("price", info, upnl(quantity, trigger, mark) * unit)


def _token_slippage(settlement: Settlement, info: LedgerKey, quantity: float, fill: float, after: PricedBook) -> float:
    """-signed quantity x (fill x P(counter) - P(token)); the counter is the token delta that has no price."""
    for delta in settlement.deltas:
        counter = parse_key(delta.position_key)
        if delta.price is None and counter.contract is None:
            return -quantity * (fill * worth_of(counter, 1.0, after) - worth_of(info, 1.0, after))
    raise BasisError(
        "PNL-004",
        f"{settlement.source} settlement {settlement.domain}#{settlement.sequence} of {settlement.operation_id} prices"
        f" {info.key} at {fill:.12g} and changes no other token; the token that was paid with was expected",
    )


def _mark_of_fill(settlement: Settlement, info: LedgerKey, after: PricedBook) -> float:
    mark = _mark(info, after)
    if mark is None:
        raise BasisError(
            "PNL-003",
            f"{settlement.source} settlement {settlement.domain}#{settlement.sequence} fills {info.key}, whose mark is"
            f" not known at {utc_text(after.market.timestamp)}; a venue fills nothing without a mark",
        )
    return mark


def _liquidation(
    result: Attribution,
    settlement: Settlement,
    before: PricedBook,
    earlier: Sequence[Settlement],
    after: PricedBook,
) -> None:
    """Of perps: closing away from the mark, and the fee, which is the cash booked beyond the realised PnL.

    Of a lending position: collateral seized against debt repaid at reference prices, which is the liquidator's bonus.
    """
    closes = tuple(_perp_fills(settlement))
    entries = _entries_after(before, earlier) if closes else before.entries
    for info, delta in closes:
        assert info.contract is not None
        assert delta.price is not None
        quantity, upnl = delta.delta_amount, info.contract.upnl
        unit = after.prices.get(info.paid_in, 0.0)
        result.add("liquidation", info, upnl(quantity, delta.price, _mark_of_fill(settlement, info, after)) * unit)
        result.add("liquidation", info, -upnl(-quantity, entries[info.key], delta.price) * unit)
    for delta in settlement.deltas:
        info = parse_key(delta.position_key)
        if info.contract is None:
            result.add("liquidation", info, worth_of(info, delta.delta_amount, after))


def _entries_after(before: PricedBook, settlements: Sequence[Settlement]) -> Mapping[str, float]:
    """Average entries once `settlements` are booked."""
    return _booked(before, settlements)[1]


def _booked(before: PricedBook, settlements: Sequence[Settlement]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Positions and average entries once `settlements` are booked."""
    positions, entries = before.positions, before.entries
    for settlement in settlements:
        positions, entries = book_settlement(settlement, positions, entries)
    return positions, entries


def _worth_changed(
    settlement: Settlement, before: PricedBook, earlier: Sequence[Settlement], after: PricedBook
) -> Iterator[tuple[LedgerKey, float]]:
    """By how much a settlement without a price of its own changes equity, key by key: perps by what is unrealised.

    A perp without a mark counts as nothing, as in the valuation: it is the owner's, in a market that nobody follows.
    """
    sizes, entries = _booked(before, earlier)
    sizes_after, entries_after = book_settlement(settlement, sizes, entries)
    for delta in settlement.deltas:
        info = parse_key(delta.position_key)
        if info.contract is None:
            yield info, worth_of(info, delta.delta_amount, after)
            continue
        mark, upnl = _mark(info, after), info.contract.upnl
        if mark is None:
            continue
        there, now = sizes.get(info.key, 0.0), sizes_after.get(info.key, 0.0)
        profit = (upnl(now, entries_after[info.key], mark) if now else 0.0) - (
            upnl(there, entries[info.key], mark) if there else 0.0
        )
        yield info, profit * after.prices.get(info.paid_in, 0.0)
