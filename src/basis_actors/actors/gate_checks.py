"""Defines what can speak against an order before it is sent. Each check answers with a code and a reason, or None.

A reason names both numbers that were compared. What a check cannot know counts against the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Final, NamedTuple

import msgspec

from basis_actors.finance.costs import trade_fee, whole_lots
from basis_actors.finance.keys import parse_key, perp_key
from basis_actors.finance.margin import Bracket, initial_margin
from basis_actors.messages.book import PositionsView
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import ExecutionMode, OperationType, Order, Side

__all__ = [
    "MarketRules",
    "Refusal",
    "check_expected",
    "check_flash",
    "check_margin",
    "check_overdraft",
    "check_quote",
    "check_size",
    "check_stake",
    "check_venues",
    "fee_of",
]

_OVERDRAFT: Final = 1e-9
_TRADES: Final = (OperationType.SPOT_TRADE, OperationType.PERP_TRADE)


class Refusal(NamedTuple):
    """Why an order may not be sent."""

    code: str
    reason: str


class MarketRules(msgspec.Struct, frozen=True):
    """What a venue requires of an order on one market."""

    lot: float
    """Step of an amount: base units, USD for an inverse perp."""
    minimum_amount: float
    minimum_notional: float
    """USDT; USD for an inverse perp."""
    fee: float
    """Taker fee, a fraction of notional."""
    cash_key: str
    """Position that pays the fee, and margins a perp."""
    brackets: Sequence[Bracket] = ()
    """Margin table of a perp."""


def check_venues(orders: Sequence[Order], domains: Mapping[str, str]) -> Refusal | None:
    """Every venue is configured, and a transaction stays on one chain. `domains` has the account domain by venue."""
    for order in orders:
        if order.venue not in domains:
            return Refusal("VEN-004", f"{order.operation_id} goes to {order.venue!r}, configured are {sorted(domains)}")
    if orders[0].execution_mode is ExecutionMode.ATOMIC:
        spanned = list(dict.fromkeys(domains[order.venue] for order in orders))
        if len(spanned) > 1:
            text = f"spans {len(spanned)} domains, {', '.join(spanned)}; one transaction lives on 1 chain"
            return Refusal("VEN-001", f"atomic group {orders[0].atomic_group_id!r} {text}: use a compensated group")
    return None


def check_flash(orders: Sequence[Order]) -> Refusal | None:
    """What a group borrows by flash loan it repays, lender by lender and token by token."""
    borrowed: dict[tuple[str, str], float] = {}
    repaid: dict[tuple[str, str], float] = {}
    for order in orders:
        if order.operation is OperationType.FLASH_BORROW:
            loan = (order.venue, order.target_token)
            borrowed[loan] = borrowed.get(loan, 0.0) + order.amount
        elif order.operation is OperationType.FLASH_REPAY:
            loan = (order.venue, order.source_token)
            repaid[loan] = repaid.get(loan, 0.0) + order.amount
    for loan in {**borrowed, **repaid}:
        taken, given = borrowed.get(loan, 0.0), repaid.get(loan, 0.0)
        if abs(taken - given) > _OVERDRAFT * max(taken, given):
            venue, token = loan
            text = (
                f"borrows {taken:.12g} {token} from {venue} by flash loan and repays {given:.12g}; both must be equal"
            )
            return Refusal("EXEC-004", f"group {orders[0].atomic_group_id!r} {text}")
    return None


def check_expected(order: Order) -> Refusal | None:
    """An order expects the change that it asks for: whatever is checked of it is checked on what it expects."""
    if order.operation in _TRADES:
        key = _traded_key(order)
        expected = sum(delta.delta_amount for delta in order.expected_deltas if delta.position_key == key)
        wanted = order.amount if order.side in (Side.BUY, Side.LONG) else -order.amount
    else:
        key = "any position"
        wanted = order.amount
        changes = [abs(delta.delta_amount) for delta in order.expected_deltas]
        expected = min(changes, key=lambda change: abs(change - wanted))
    if abs(expected - wanted) <= _OVERDRAFT * order.amount:
        return None
    return Refusal("STRAT-002", f"changes {key} by {wanted:.12g}, but a change of {expected:.12g} is expected")


def check_stake(order: Order, minimum_stakes: Mapping[str, float]) -> Refusal | None:
    """A stake is not below the least that its protocol takes, ETH."""
    least = minimum_stakes.get(order.venue)
    if order.operation is not OperationType.STAKE or least is None or order.amount >= least:
        return None
    return Refusal("EXEC-004", f"{order.amount:.6g} ETH is below the minimum stake of {least:.6g} at {order.venue}")


def check_quote(order: Order, market: MarketState) -> Refusal | None:
    """An order needs a price that is known and not too old; one that only reduces may do with an old mark."""
    where = f"the price of {order.pair} on {order.venue}"
    if price_of(order, market) is None:
        return Refusal("STRAT-006", f"{where} is not known")
    if order.operation is OperationType.SPOT_TRADE:
        fresh = market.spot[_spot_name(order)].fresh
    else:
        quote = market.perps[f"{order.venue}:{order.pair}"]
        fresh = quote.last_fresh and (quote.mark_fresh or order.reduce_only)
    return None if fresh else Refusal("STRAT-006", f"{where} is older than its staleness limit")


def check_size(order: Order, rules: MarketRules, market: MarketState, balances: Mapping[str, float]) -> Refusal | None:
    """Whole lots, and not less than the venue's minimum unless the order closes a position."""
    if whole_lots(order.amount, rules.lot) is None:
        return Refusal("EXEC-004", f"an amount of {order.amount:.12g} is not a multiple of the lot {rules.lot:g}")
    if order.reduce_only:
        held = abs(balances.get(perp_key(order.venue, order.pair or ""), 0.0))
        if order.amount >= held * (1.0 - _OVERDRAFT):
            return None
    notional, _ = _notional(order, price_of(order, market) or 0.0)
    if notional < rules.minimum_notional:
        text = f"notional {notional:.6g} USD is below the minimum of {rules.minimum_notional:.6g}"
        return Refusal("EXEC-004", text)
    if order.amount < rules.minimum_amount:
        return Refusal("EXEC-004", f"amount {order.amount:.6g} is below the minimum of {rules.minimum_amount:.6g}")
    return None


def fee_of(order: Order, rules: MarketRules, market: MarketState) -> float:
    """Taker fee of a trade at the last price, in the currency it is paid in."""
    price = price_of(order, market)
    if price is None:
        return 0.0
    notional, unit = _notional(order, price)
    return trade_fee(notional, rules.fee) * unit


def check_overdraft(order: Order, before: Mapping[str, float], after: Mapping[str, float]) -> Refusal | None:
    """An order may not take more tokens than there are, by what it expects to take."""
    for delta in order.expected_deltas:
        info = parse_key(delta.position_key)
        if delta.delta_amount >= 0.0 or info.signed:
            continue
        held, left = before.get(delta.position_key, 0.0), after[delta.position_key]
        if left < -_OVERDRAFT * max(1.0, abs(held), abs(delta.delta_amount)):
            there = left - delta.delta_amount
            text = f"takes {-delta.delta_amount:.12g} from {delta.position_key}, {there:.12g} is there"
            return Refusal("EXEC-004", f"{text}: {-left:.12g} too much")
    return None


def check_margin(
    order: Order, markets: Mapping[tuple[str, str], MarketRules], view: PositionsView, balances: Mapping[str, float]
) -> Refusal | None:
    """Cash and profit of the account that margins the order against the initial margin of what it would then hold.

    Amounts are in the currency of the margin.
    """
    venue = order.venue
    cash_key = markets[venue, order.pair or ""].cash_key
    currency = parse_key(cash_key).symbol
    margin = cash = balances.get(cash_key, 0.0)
    required = 0.0
    for key, size in balances.items():
        info = parse_key(key)
        if info.contract is None or info.perp is None or info.venue != venue or size == 0.0:
            continue
        rules = markets[venue, info.symbol]
        if rules.cash_key != cash_key:
            continue
        quote = view.tick.market.perps.get(info.perp)
        mark = None if quote is None else quote.mark
        if mark is None:
            return Refusal("RISK-004", f"the mark of {info.perp} is not known, so its margin is not either")
        held = view.positions.get(key, 0.0)
        margin += info.contract.upnl(held, view.entries[key], mark) if held else 0.0
        required += initial_margin(info.contract.notional(size, mark), rules.brackets) * info.contract.per_quote(mark)
    if cash < 0.0:
        return Refusal(
            "RISK-004", f"leaves {cash:.6g} {currency} at {cash_key}; fees are paid in cash, not from profit"
        )
    if required == inf:
        text = f"makes a position on {venue} that is larger than its margin table, whatever the margin; order less"
        return Refusal("RISK-004", text)
    if margin < required:
        text = f"needs {required:.6g} {currency} of initial margin on {venue}, {margin:.6g} would be there"
        return Refusal("RISK-004", text)
    return None


def price_of(order: Order, market: MarketState) -> float | None:
    """Last price of the market that a trade is for; None while it is not known."""
    if order.operation is OperationType.SPOT_TRADE:
        spot = market.spot.get(_spot_name(order))
        return None if spot is None else spot.price
    perp = market.perps.get(f"{order.venue}:{order.pair}")
    return None if perp is None else perp.last


def _traded_key(order: Order) -> str:
    """Position that a trade changes by its amount."""
    if order.operation is OperationType.PERP_TRADE:
        return perp_key(order.venue, order.pair or "")
    return f"{order.venue}:BaseToken:{(order.pair or '').split('/')[0]}"


def _spot_name(order: Order) -> str:
    return f"{order.venue}:{(order.pair or '').split('/')[0]}"


def _notional(order: Order, price: float) -> tuple[float, float]:
    """Notional in the quote currency, and what one unit of that is in the currency the fee is paid in."""
    if order.operation is OperationType.PERP_TRADE:
        contract = parse_key(perp_key(order.venue, order.pair or "")).contract
        assert contract is not None, "a perp has a contract"
        return contract.notional(order.amount, price), contract.per_quote(price)
    return order.amount * price, 1.0
