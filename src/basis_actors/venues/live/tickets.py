"""Defines what an order of a strategy becomes on the wire: ids, whole lots, whole ticks, purses and addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Final

from basis_actors.errors import BasisError, Rejected
from basis_actors.messages.exchange import MarketFilters, OrderTicket, TimeInForce, TransferTicket, Wallet
from basis_actors.messages.orders import OperationType, Order, OrderType, Side
from basis_actors.venues.live.terms import AccountTerms

__all__ = ["client_id_of", "is_ours", "sketch_of", "ticket_of"]

_LOT_NOISE: Final = Decimal("1e-6")
"""Fraction of a lot that is rounding noise of floats and not an amount."""
_MARK: Final = "ba"


def client_id_of(deployment: str, incarnation: int, operation_id: str, attempt: int, created_ns: int) -> str:
    """The id of one attempt on the wire: 32 letters and digits, the same whenever it is asked for.

    A journal that is restored from a copy counts its incarnations once more, and its process the same operations: only
    the moment at which an attempt is written down does not come back.
    """
    text = f"{deployment}/{incarnation}/{operation_id}/{attempt}/{created_ns}"
    return f"{_prefix(deployment)}{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def is_ours(deployment: str, client_id: str | None) -> bool:
    """Whether an id was made by a process of this deployment."""
    return client_id is not None and client_id.startswith(_prefix(deployment))


def _prefix(deployment: str) -> str:
    return _MARK + hashlib.sha256(deployment.encode()).hexdigest()[:6]


def ticket_of(
    order: Order, client_id: str, terms: AccountTerms, filters: Mapping[str, MarketFilters]
) -> OrderTicket | TransferTicket:
    """The request that carries an order out.

    Raises Rejected before anything is sent: EXEC-003 for an order that lacks something, EXEC-004 for one that the
    exchange would not take, VEN-001 for a withdrawal without an address on the list, VEN-004 for a market that is not
    configured.
    """
    if order.operation is OperationType.TRANSFER:
        return _transfer(order, client_id, terms)
    if order.operation not in (OperationType.SPOT_TRADE, OperationType.PERP_TRADE):
        raise Rejected("VEN-004", f"{_who(order)}: an exchange does spot_trade, perp_trade and transfer")
    rules = filters.get(order.pair or "")
    if rules is None:
        raise Rejected(
            "VEN-004", f"{_who(order)}: {terms.venue} has no market {order.pair!r}; there are {sorted(filters)}"
        )
    if not rules.trading:
        raise Rejected("VEN-003", f"{_who(order)}: {terms.venue} takes no orders in {order.pair} at present")
    brings_stops = order.take_profit is not None or order.stop_loss is not None
    if brings_stops and not (terms.keeps_stops and order.operation is OperationType.PERP_TRADE):
        raise Rejected(
            "EXEC-003", f"{_who(order)}: take_profit and stop_loss are not sent to {terms.venue}; leave them out"
        )
    return _trade(order, client_id, rules)


def sketch_of(order: Order) -> OrderTicket:
    """A trade as it would be sent, unchecked and without a name."""
    return OrderTicket(
        client_id="",
        pair=order.pair or "",
        buys=order.side in (Side.BUY, Side.LONG),
        amount=Decimal(repr(order.amount)),
        reduce_only=order.reduce_only and order.operation is OperationType.PERP_TRADE,
    )


def _trade(order: Order, client_id: str, rules: MarketFilters) -> OrderTicket:
    amount = _whole_lots(order, rules)
    limit = None
    buys = order.side in (Side.BUY, Side.LONG)
    if order.order_type is OrderType.LIMIT:
        assert order.price is not None, "a limit order has a price"
        # Towards the side on which it is filled at the limit or better.
        rounding = ROUND_FLOOR if buys else ROUND_CEILING
        limit = _step(Decimal(repr(order.price)), rules.tick, rounding)
        if limit <= 0:
            raise Rejected("EXEC-004", f"{_who(order)}: price {order.price!r} is less than the tick {rules.tick}")
    _require_minimum(order, amount, rules)
    most = rules.max_market_amount
    if limit is None and most is not None and amount > most:
        raise Rejected(
            "EXEC-004", f"{_who(order)}: amount {amount} is above the largest market order {most} of {order.pair}"
        )
    return OrderTicket(
        client_id=client_id,
        pair=rules.pair,
        buys=buys,
        amount=amount,
        limit=limit,
        reduce_only=_closes(order, rules),
        post_only=bool(order.operation_details.get("post_only", False)),
        time_in_force=_time_in_force(order),
    )


def _time_in_force(order: Order) -> TimeInForce:
    wanted = order.operation_details.get("time_in_force", TimeInForce.GTC)
    if wanted not in list(TimeInForce):
        known = " or ".join(TimeInForce)
        raise Rejected("EXEC-003", f"{_who(order)}: time_in_force is {wanted!r}; {known} was expected")
    return TimeInForce(wanted)


def _require_minimum(order: Order, amount: Decimal, rules: MarketFilters) -> None:
    """Raises Rejected EXEC-009. What closes a position may be worth less than the exchange asks of other orders."""
    if amount < rules.min_amount:
        text = f"amount {amount} is below the minimum {rules.min_amount} of {order.pair}"
        raise Rejected("EXEC-009", f"{_who(order)}: {text}")
    if order.price is None or _closes(order, rules):
        return
    worth = amount if rules.pair.endswith("USD-PERP") else amount * Decimal(repr(order.price))
    if worth < rules.min_notional:
        text = f"{worth:f} USD is below the minimum order of {rules.min_notional} in {order.pair}"
        raise Rejected("EXEC-009", f"{_who(order)}: {text}")


def _closes(order: Order, rules: MarketFilters) -> bool:
    """Whether an order only shrinks a position. Spot has none: no exchange takes a spot order that may only reduce."""
    return order.reduce_only and rules.pair.endswith("-PERP")


def _whole_lots(order: Order, rules: MarketFilters) -> Decimal:
    """The amount in whole lots. An amount that is none is refused: rounding it would be another order."""
    lots = Decimal(repr(order.amount)) / rules.lot
    count = lots.to_integral_value(rounding=ROUND_HALF_EVEN)
    if abs(lots - count) > _LOT_NOISE:
        raise Rejected("EXEC-004", f"{_who(order)}: amount {order.amount!r} is not a multiple of the lot {rules.lot}")
    return _plain(count * rules.lot)


def _step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return _plain((value / step).to_integral_value(rounding=rounding) * step)


def _plain(value: Decimal) -> Decimal:
    """Without zeros at its end, and without an exponent where it is whole."""
    return Decimal(f"{value.normalize():f}")


def _transfer(order: Order, client_id: str, terms: AccountTerms) -> TransferTicket:
    keys = [order.operation_details.get(name) for name in ("source_key", "target_key")]
    source, target = keys
    if not isinstance(source, str) or not isinstance(target, str):
        raise Rejected("EXEC-003", f"{_who(order)}: a transfer names source_key and target_key, got {keys}")
    amount = _plain(Decimal(repr(order.amount)).quantize(Decimal("1e-8"), rounding=ROUND_FLOOR))
    if amount <= 0:
        raise Rejected(
            "EXEC-004", f"{_who(order)}: {order.amount!r} {order.source_token} is less than can be sent, 1e-8"
        )
    purse = _purse(order, source, terms)
    if order.target_venue == terms.venue:
        into = _purse(order, target, terms)
        if into is purse:
            raise Rejected("EXEC-003", f"{_who(order)}: {source} and {target} are the same purse")
        return TransferTicket(client_id=client_id, token=order.source_token, amount=amount, source=purse, target=into)
    address = terms.addresses.get((order.target_venue, order.source_token))
    if address is None:
        known = ", ".join(f"{token} to {venue}" for venue, token in sorted(terms.addresses)) or "none"
        raise Rejected(
            "VEN-001",
            f"{_who(order)}: {terms.venue} may not withdraw {order.source_token} to {order.target_venue}; on the list:"
            f" {known}",
        )
    return TransferTicket(
        client_id=client_id,
        token=order.source_token,
        amount=amount,
        source=purse,
        target=None,
        address=address[0],
        network=address[1],
    )


def _purse(order: Order, key: str, terms: AccountTerms) -> Wallet:
    """The purse of a cash key. Raises Rejected EXEC-003 for a key that holds no tokens of a transfer."""
    if key.rpartition(":")[2] != order.source_token:
        raise Rejected("EXEC-003", f"{_who(order)}: {key} does not hold {order.source_token}, which it moves")
    try:
        return terms.wallet_of(key)
    except BasisError as error:
        raise Rejected("EXEC-003", f"{_who(order)}: {error.message}") from error


def _who(order: Order) -> str:
    return f"{order.operation} {order.operation_id!r}"
