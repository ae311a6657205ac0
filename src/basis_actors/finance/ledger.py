"""Defines how a settlement changes the ledger. The ledger is the sum of all settlements, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from sys import float_info
from typing import Final

from basis_actors.errors import BasisError
from basis_actors.finance.keys import STABLE, LedgerKey, parse_key
from basis_actors.messages.execution import DeltaSource, Settlement

__all__ = ["book_settlement"]

_DUST: Final = 1e-12
"""Relative size below which what is left of a position is rounding, not money."""
_SMALLEST: Final = {STABLE: 1e-6}
_SMALLEST_COIN: Final = 1e-8
"""Smallest amounts that can be sent, in tokens. Several transfers of one token share a transit key, so what is left of
it when all have arrived is the rounding of a sum, which can be more than dust of the last one."""
_ROUNDING: Final = 2.0 * float_info.epsilon
"""What one sum of floats may be off, as a fraction of the larger of them."""
_OVERDRAFT: Final = 1e-9
_ORDERED: Final = frozenset((DeltaSource.EXECUTION, DeltaSource.TRANSFER, DeltaSource.WITHDRAWAL))


def book_settlement(
    settlement: Settlement, positions: Mapping[str, float], entries: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """New positions and new average entries of perps (average cost) after a settlement; the old ones stay as they are.

    A position that is gone is left out.

    Raises BasisError POS-004 when an order takes more than there is from a position that is never negative, POS-001
    for a perp delta without a fill price, POS-002 for a key that names no position.
    """
    booked, prices = dict(positions), dict(entries)
    trades_perps = False
    for delta in settlement.deltas:
        key, amount = delta.position_key, delta.delta_amount
        info = parse_key(key)
        held = booked.get(key, 0.0)
        if info.contract is None:
            total = held + amount
        else:
            trades_perps = True
            if delta.price is None:
                raise BasisError("POS-001", f"{_name(settlement)} changes {key} without a fill price")
            fill = info.contract.fill(held, prices.get(key, 0.0), amount, delta.price)
            total, prices[key] = fill.size, fill.entry
        # What is more than the change is no rounding of it, and nearly every change is an accrual.
        if abs(total) > abs(amount) or abs(total) > _dust(info, max(abs(held), abs(amount))):
            booked[key] = total
        else:
            booked.pop(key, None)
            prices.pop(key, None)
    # A perp's realised loss may overdraw a margin account; an order never takes more tokens than there are.
    if settlement.source in _ORDERED and not trades_perps:
        for delta in settlement.deltas:
            key = delta.position_key
            _refuse_overdraft(key, positions.get(key, 0.0), booked.get(key, 0.0), settlement)
    return booked, prices


def _dust(info: LedgerKey, scale: float) -> float:
    """The most that is left of a position by rounding, `scale` being the larger of what it was and what changed."""
    dust, smallest = _DUST * scale, _SMALLEST.get(info.asset, _SMALLEST_COIN)
    if info.venue == "transit":
        return max(dust, smallest)
    # Of a balance so large a gas fee is less than that, and is still to be paid out of what is left.
    return dust if dust <= smallest else max(smallest, _ROUNDING * scale)


def _name(settlement: Settlement) -> str:
    order = f" of {settlement.operation_id}" if settlement.operation_id else ""
    return f"{settlement.source} settlement {settlement.domain}#{settlement.sequence}{order}"


def _refuse_overdraft(key: str, before: float, after: float, settlement: Settlement) -> None:
    # What adds to a margin account that funding has overdrawn may leave it below zero still.
    if after >= min(before, 0.0) or parse_key(key).signed or after >= -_OVERDRAFT * max(1.0, abs(before)):
        return
    raise BasisError(
        "POS-004",
        f"{_name(settlement)} takes {before - after:.12g} from {key}, which holds {before:.12g}: {after:.12g} is left;"
        " a position like this is never negative",
    )
