"""Defines the arithmetic of leverage: sizes of a staking loop, what it becomes when held, how far liquidation is.

Collateral and debt are in ETH: collateral at the protocol's rate (what the oracle shows), debt as owed. Rates, fees
and loan-to-values are fractions.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

__all__ = [
    "LoopSizes",
    "UnwindSizes",
    "collateral_to_free",
    "delever_sizes",
    "held_loop_equity",
    "lever_up",
    "leverage_at",
    "liquidation_distance_inverse",
    "liquidation_distance_lending",
    "liquidation_distance_perp",
    "loop_health",
    "one_shot_loop",
    "unwind_sizes",
]


class LoopSizes(NamedTuple):
    """What a flash-funded entry moves, ETH."""

    supply: float
    """Collateral that is supplied."""
    borrow: float
    """Debt that is taken: the flash loan and its fee."""
    flash: float
    """Principal of the flash loan."""


class UnwindSizes(NamedTuple):
    """What a flash-funded exit moves, ETH; collateral is counted at the protocol's rate."""

    flash: float
    """Principal of the flash loan; as much debt is repaid."""
    withdraw: float
    """Collateral that is taken back."""
    swap: float
    """The part of it that is sold, to repay the flash loan and its fee."""

    @property
    def kept(self) -> float:
        """Collateral that is left when the flash loan is repaid: the equity that becomes free, before it is sold."""
        return self.withdraw - self.swap


def _checked_ltv(ltv: float) -> float:
    if not 0.0 <= ltv < 1.0:
        raise ValueError(f"loan to value is {ltv}; a loop needs one in [0, 1)")
    return ltv


def _checked_rate(rate: float) -> float:
    if not rate > 0.0:
        raise ValueError(f"exit rate is {rate}; collateral sells for more than 0")
    return rate


def leverage_at(ltv: float) -> float:
    """Collateral over equity: 1 / (1 - LTV). Raises ValueError for a loan to value outside [0, 1)."""
    return 1.0 / (1.0 - _checked_ltv(ltv))


def loop_health(threshold: float, ltv: float) -> float:
    """Health factor of a loop: liquidation threshold / LTV; infinite without debt."""
    return threshold / ltv if ltv > 0.0 else inf


def one_shot_loop(equity: float, ltv: float, flash_fee: float = 0.0) -> LoopSizes:
    """Sizes of a loop entered in one transaction with `equity` ETH at `ltv`, with a flash fee (fraction of the loan).

    Supply S = equity + flash, borrow B = flash x (1 + fee) and B = ltv x S give flash = equity x ltv / (1 + fee - ltv).
    Without a fee S = equity / (1 - ltv). Raises ValueError for a loan to value outside [0, 1).
    """
    flash = equity * _checked_ltv(ltv) / (1.0 + flash_fee - ltv)
    return LoopSizes(equity + flash, flash * (1.0 + flash_fee), flash)


def lever_up(collateral: float, debt: float, ltv: float, flash_fee: float = 0.0) -> LoopSizes:
    """What to add to a loop of `collateral` and `debt` so that it stands at `ltv`; nothing when it is there or above.

    (debt + x (1 + fee)) / (collateral + x) = ltv, solved for the flash loan x. Raises ValueError for a loan to value
    outside [0, 1).
    """
    flash = max((_checked_ltv(ltv) * collateral - debt) / (1.0 + flash_fee - ltv), 0.0)
    return LoopSizes(flash, flash * (1.0 + flash_fee), flash)


def unwind_sizes(
    collateral: float, debt: float, share: float, *, exit_rate: float = 1.0, flash_fee: float = 0.0
) -> UnwindSizes:
    """Sizes of an exit from `share` (0 to 1) of a loop, which leaves its loan to value as it is.

    `exit_rate` is what one ETH worth of collateral (protocol's rate) brings when sold, after impact and pool fee. The
    swap repays flash loan and fee: swap x exit_rate = flash x (1 + fee). Raises ValueError for a share outside [0, 1],
    and when the collateral does not bring what is owed.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share is {share}; between nothing (0) and all (1) of a loop can be unwound")
    flash, withdraw = share * debt, share * collateral
    swap = flash * (1.0 + flash_fee) / _checked_rate(exit_rate)
    if swap > withdraw:
        raise ValueError(
            f"{swap:.12g} ETH of collateral must be sold at {exit_rate:.12g} to repay {flash * (1.0 + flash_fee):.12g},"
            f" {withdraw:.12g} can be withdrawn; add equity from outside the loop or wait for a better rate"
        )
    return UnwindSizes(flash, withdraw, swap)


def delever_sizes(
    collateral: float, debt: float, ltv: float, *, exit_rate: float = 1.0, flash_fee: float = 0.0
) -> UnwindSizes:
    """What to unwind so that a loop stands at `ltv` with all the collateral withdrawn sold; zeros when it is below.

    (debt - x) / (collateral - x (1 + fee) / exit_rate) = ltv, solved for the flash loan x. Raises ValueError when the
    target is out of reach, because selling loses more than repaying gains.
    """
    excess = debt - _checked_ltv(ltv) * collateral
    if excess <= 0.0:
        return UnwindSizes(0.0, 0.0, 0.0)
    per_flash = (1.0 + flash_fee) / _checked_rate(exit_rate)
    gain = 1.0 - ltv * per_flash
    flash = excess / gain if gain > 0.0 else inf
    if flash > debt or flash * per_flash > collateral:
        raise ValueError(
            f"a loop of {collateral:.12g} ETH collateral and {debt:.12g} debt cannot be brought to a loan to value of"
            f" {ltv:g} by selling at {exit_rate:.12g}; add equity from outside the loop"
        )
    return UnwindSizes(flash, flash * per_flash, flash * per_flash)


def collateral_to_free(equity: float, ltv: float) -> float:
    """Collateral to unwind so that `equity` becomes free and the loan to value stays: equity / (1 - LTV)."""
    return equity * leverage_at(ltv)


def held_loop_equity(
    equity: float, ltv: float, *, rate_growth: float, supply_growth: float, borrow_growth: float
) -> float:
    """What `equity` in a loop entered at `ltv` has become when held without rebalancing or cost.

    E x [L x (r1 / r0) x (Is1 / Is0) - (L - 1) x (Ib1 / Ib0)] with L = 1 / (1 - LTV). Growths are the three ratios: of
    eth_per_lst, of the staking token's supply index, of WETH's borrow index.
    """
    leverage = leverage_at(ltv)
    return equity * (leverage * rate_growth * supply_growth - (leverage - 1.0) * borrow_growth)


def liquidation_distance_lending(health: float) -> float:
    """By which fraction collateral may fall against debt before health is 1: 1 - 1 / health; 1 without debt.

    Negative for a health factor below 1. Raises ValueError for a health factor that is not greater than 0.
    """
    if not health > 0.0:
        raise ValueError(f"health factor is {health}; one that is greater than 0 was expected")
    return 1.0 - 1.0 / health


def liquidation_distance_perp(size: float, ratio: float, maintenance: float) -> float:
    """By which fraction the mark may move against linear perps before margin balance meets maintenance.

    `ratio` is margin balance / notional, `maintenance` maintenance margin / notional; the sign of `size` says which
    way hurts. Solves ratio - d = maintenance x (1 + d) for a short (d a rise), ratio - d = maintenance x (1 - d) for a
    long (d a fall), with the rate of the bracket as it is. A long that no fall can liquidate gives infinity, no
    position too.
    """
    if size < 0.0:
        return (ratio - maintenance) / (1.0 + maintenance)
    distance = (ratio - maintenance) / (1.0 - maintenance) if size > 0.0 else inf
    return distance if distance < 1.0 else inf


def liquidation_distance_inverse(notional: float, ratio: float, maintenance: float) -> float:
    """The same for inverse perps, whose margin and notional are in the base asset.

    With x = mark / price: ratio + (1 - x) = maintenance x for a long, ratio - (1 - x) = maintenance x for a short. A
    short whose margin covers its whole notional (ratio 1 or more) is never liquidated: infinity.
    """
    if notional == 0.0:
        return inf
    if notional > 0.0:
        return (ratio - maintenance) / (1.0 + ratio)
    return inf if ratio >= 1.0 else (ratio - maintenance) / (1.0 - ratio)
