"""Defines the deltas that each operation is expected to make, without fee and gas: pure functions of market state.

Amounts are what the venue would show: aTokens in underlying units, staked tokens in their own, perps in base units.
"""

from __future__ import annotations

from basis_actors.finance.keys import token_key
from basis_actors.messages.orders import ExpectedDelta, OperationType, Side

__all__ = [
    "borrow_deltas",
    "flash_borrow_deltas",
    "flash_repay_deltas",
    "inverse_trade_deltas",
    "perp_trade_deltas",
    "repay_deltas",
    "spot_trade_deltas",
    "stake_deltas",
    "supply_deltas",
    "swap_deltas",
    "transfer_deltas",
    "unstake_deltas",
    "withdraw_deltas",
]


def _pair(
    operation: OperationType, venue: str, token_in: str, key_in: str, gained: float, token_out: str, key_out: str,
    given: float,
) -> tuple[ExpectedDelta, ExpectedDelta]:  # fmt: skip
    return (
        ExpectedDelta(key_in, gained, token_in, venue, operation),
        ExpectedDelta(key_out, -given, token_out, key_out.split(":", 1)[0], operation),
    )


def spot_trade_deltas(
    venue: str, base: str, quote: str, side: Side, amount: float, price: float
) -> tuple[ExpectedDelta, ...]:
    """BUY: + amount of base, - amount x price of quote; SELL the reverse. `price` is the expected fill."""
    sign = 1.0 if side is Side.BUY else -1.0
    operation = OperationType.SPOT_TRADE
    return (
        ExpectedDelta(f"{venue}:BaseToken:{base}", sign * amount, base, venue, operation),
        ExpectedDelta(f"{venue}:BaseToken:{quote}", -sign * amount * price, quote, venue, operation),
    )


def perp_trade_deltas(
    venue: str,
    symbol: str,
    side: Side,
    amount: float,
    price: float,
    *,
    size: float,
    entry: float | None,
    cash_key: str,
) -> tuple[ExpectedDelta, ...]:
    """LONG: + amount of size, SHORT: - amount; what it closes of the held `size` realises closed x (price - entry)."""
    change = amount if side is Side.LONG else -amount
    operation = OperationType.PERP_TRADE
    deltas = [ExpectedDelta(f"{venue}:PerpPosition:{symbol}", change, symbol, venue, operation)]
    if size * change < 0.0:
        assert entry is not None
        closed = min(abs(change), abs(size)) * (1.0 if size > 0.0 else -1.0)
        deltas.append(ExpectedDelta(cash_key, closed * (price - entry), "USDT", venue, operation))
    return tuple(deltas)


def inverse_trade_deltas(
    venue: str,
    symbol: str,
    side: Side,
    notional: float,
    price: float,
    *,
    size: float,
    entry: float | None,
    cash_key: str,
) -> tuple[ExpectedDelta, ...]:
    """LONG: + notional USD, SHORT: - notional; what it closes of the held `size` realises N x (1/entry - 1/price)."""
    change = notional if side is Side.LONG else -notional
    operation = OperationType.PERP_TRADE
    deltas = [ExpectedDelta(f"{venue}:InversePerp:{symbol}", change, symbol, venue, operation)]
    if size * change < 0.0:
        assert entry is not None
        closed = min(abs(change), abs(size)) * (1.0 if size > 0.0 else -1.0)
        token = cash_key.rsplit(":", 1)[1]
        deltas.append(ExpectedDelta(cash_key, closed * (1.0 / entry - 1.0 / price), token, venue, operation))
    return tuple(deltas)


def supply_deltas(
    token: str, amount: float, *, venue: str = "aave_v3", ledger: str = "aave"
) -> tuple[ExpectedDelta, ...]:
    """Supplying to a pool gives the same amount of aTokens at that moment; interest comes later, with the index."""
    operation = OperationType.SUPPLY
    return _pair(operation, venue, f"a{token}", f"{ledger}:aToken:a{token}", amount, token, token_key(token), amount)


def withdraw_deltas(
    token: str, amount: float, *, venue: str = "aave_v3", ledger: str = "aave"
) -> tuple[ExpectedDelta, ...]:
    """The reverse of supply."""
    operation = OperationType.WITHDRAW
    return (
        ExpectedDelta(f"{ledger}:aToken:a{token}", -amount, f"a{token}", venue, operation),
        _intoken_key(token, amount, operation),
    )


def borrow_deltas(
    token: str, amount: float, *, venue: str = "aave_v3", ledger: str = "aave"
) -> tuple[ExpectedDelta, ...]:
    """Debt and wallet both grow by the amount borrowed."""
    operation = OperationType.BORROW
    return (
        ExpectedDelta(f"{ledger}:debtToken:debt{token}", amount, f"debt{token}", venue, operation),
        _intoken_key(token, amount, operation),
    )


def repay_deltas(
    token: str, amount: float, *, venue: str = "aave_v3", ledger: str = "aave"
) -> tuple[ExpectedDelta, ...]:
    """Debt and wallet both shrink by the amount repaid."""
    operation = OperationType.REPAY
    return (
        ExpectedDelta(f"{ledger}:debtToken:debt{token}", -amount, f"debt{token}", venue, operation),
        _intoken_key(token, -amount, operation),
    )


def flash_borrow_deltas(venue: str, ledger: str, token: str, amount: float) -> tuple[ExpectedDelta, ...]:
    """The wallet has the amount until the end of the transaction, and owes it to the lender."""
    operation = OperationType.FLASH_BORROW
    return (
        ExpectedDelta(f"{ledger}:flashDebt:{token}", amount, token, venue, operation),
        _intoken_key(token, amount, operation),
    )


def flash_repay_deltas(venue: str, ledger: str, token: str, amount: float) -> tuple[ExpectedDelta, ...]:
    """The reverse; the lender's fee is a delta of its own."""
    operation = OperationType.FLASH_REPAY
    return (
        ExpectedDelta(f"{ledger}:flashDebt:{token}", -amount, token, venue, operation),
        _intoken_key(token, -amount, operation),
    )


def _intoken_key(token: str, amount: float, operation: OperationType) -> ExpectedDelta:
    key = token_key(token)
    return ExpectedDelta(key, amount, token, key.split(":", 1)[0], operation)


def stake_deltas(venue: str, lst: str, eth: float, conversion_rate: float) -> tuple[ExpectedDelta, ...]:
    """ETH becomes eth x conversion_rate of the staking token; conversion_rate is LST per ETH, 1 / eth_per_lst."""
    operation = OperationType.STAKE
    key = f"{venue}:LST:{lst}"
    return _pair(operation, venue, lst, key, eth * conversion_rate, "ETH", token_key("ETH"), eth)


def unstake_deltas(venue: str, lst: str, amount: float, conversion_rate: float) -> tuple[ExpectedDelta, ...]:
    """A staking token becomes a claim of amount / conversion_rate ETH, fixed at the request."""
    operation = OperationType.UNSTAKE
    return (
        ExpectedDelta(f"{venue}:LST:{lst}", -amount, lst, venue, operation),
        ExpectedDelta(f"{venue}:UnstakeClaim:ETH", amount / conversion_rate, "ETH", venue, operation),
    )


def swap_deltas(venue: str, source_key: str, target_key: str, amount: float, rate: float) -> tuple[ExpectedDelta, ...]:
    """`amount` of the source token becomes amount x rate of the target; rate is target per source, costs included."""
    operation = OperationType.SWAP
    source, target = source_key.rsplit(":", 1)[1], target_key.rsplit(":", 1)[1]
    return _pair(operation, venue, target, target_key, amount * rate, source, source_key, amount)


def transfer_deltas(source_key: str, target_key: str, amount: float, *, same_domain: bool) -> tuple[ExpectedDelta, ...]:
    """Inside a domain both accounts move at once; between domains the amount is in transit until it arrives."""
    operation = OperationType.TRANSFER
    token = source_key.rsplit(":", 1)[1]
    receiver = target_key if same_domain else f"transit:BaseToken:{token}"
    return (
        ExpectedDelta(source_key, -amount, token, source_key.split(":", 1)[0], operation),
        ExpectedDelta(receiver, amount, token, receiver.split(":", 1)[0], operation),
    )
