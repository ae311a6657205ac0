"""Defines what transactions on a simulated chain cost in gas: units by operation, at the last known gas price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from basis_actors.finance.costs import gas_cost_eth
from basis_actors.finance.keys import parse_key
from basis_actors.messages.market import MarketState
from basis_actors.messages.orders import OperationType, Order
from basis_actors.times import utc_text
from basis_actors.venues.simulated.chain_terms import GasTerms
from basis_actors.venues.simulated.protocol import token_key
from basis_actors.venues.simulated.refusals import not_known, unconfigured

__all__ = ["FLASH_OPERATIONS", "NO_GAS", "Gas", "gas_of", "pays_gas_owed", "takes_flash_loan"]

FLASH_OPERATIONS: Final = frozenset({OperationType.FLASH_BORROW, OperationType.FLASH_REPAY})


class Gas(NamedTuple):
    """What one transaction pays."""

    units: float
    eth: float
    cost: float
    """In the currency of the key it is paid from."""


NO_GAS: Final = Gas(0.0, 0.0, 0.0)


def pays_gas_owed(order: Order) -> bool:
    """Whether an order is a transfer to the payable that gas is booked on; it costs no gas itself."""
    target = order.operation_details.get("target_key")
    return order.operation is OperationType.TRANSFER and isinstance(target, str) and parse_key(target).kind == "Payable"


def takes_flash_loan(orders: Sequence[Order]) -> bool:
    """Whether any of the orders borrows within its transaction."""
    return any(order.operation is OperationType.FLASH_BORROW for order in orders)


def gas_of(orders: Sequence[Order], terms: GasTerms, market: MarketState) -> Gas:
    """What one transaction of `orders` pays for gas.

    With a flash loan it is one call of `atomic_entry` units when it stakes and of `atomic_unwind` when it swaps; every
    other transaction takes the sum of its orders. The last known gas price serves however old it is: it is a cost and
    values nothing. Raises Rejected: VEN-004 for an operation without units, STRAT-006 when a price is not known.
    """
    units = _units(orders, terms)
    if units == 0.0:
        return NO_GAS
    quote = market.gas
    if quote is None:
        raise not_known(orders[0], f"no gas price is known yet at {utc_text(market.timestamp)}")
    eth = gas_cost_eth(units, quote.base_fee_gwei, quote.priority_fee_gwei, terms.priority_fee_cap_gwei)
    if terms.currency == "ETH":
        return Gas(units, eth, eth)
    price, unit = (_price(orders[0], asset, market) for asset in ("ETH", terms.currency))
    return Gas(units, eth, eth * price / unit)


def _units(orders: Sequence[Order], terms: GasTerms) -> float:
    if takes_flash_loan(orders):
        done = {order.operation for order in orders}
        for operation, name in ((OperationType.STAKE, "atomic_entry"), (OperationType.SWAP, "atomic_unwind")):
            if operation in done:
                return _units_of(name, orders[0], terms)
    return sum(_units_of(_gas_name(order), order, terms) for order in orders if _is_priced(order))


def _is_priced(order: Order) -> bool:
    return order.operation not in FLASH_OPERATIONS and not pays_gas_owed(order)


def _gas_name(order: Order) -> str:
    native = order.operation is OperationType.TRANSFER and token_key(order.source_token) == token_key("ETH")
    return "transfer_eth" if native else order.operation.value


def _units_of(name: str, order: Order, terms: GasTerms) -> float:
    units = terms.units.get(name)
    if units is None:
        raise unconfigured(order, f"gas_units has no {name}; it has {sorted(terms.units)}")
    return units


def _price(order: Order, asset: str, market: MarketState) -> float:
    if asset == "USDT":
        return 1.0
    price = market.prices.get(asset)
    if price is None:
        raise not_known(order, f"gas is booked at the price of {asset}, which is not known yet")
    return price
