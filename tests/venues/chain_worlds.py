"""Defines a chain with an account at every protocol, and the orders that these take."""

from __future__ import annotations

from typing import Any

import pytest
from tests.venues.worlds import (
    DAY,
    FREE,
    POOL,
    RESERVES,
    Desk,
    StillClock,
    chain_terms,
)

from basis_actors.errors import Rejected
from basis_actors.messages.orders import OperationType, Order
from basis_actors.venues.simulated.chain import SimulatedChain
from basis_actors.venues.simulated.chain_terms import (
    DexTerms,
    EmodeTerms,
    FlashTerms,
    PoolTerms,
    ReserveTerms,
    RiskParameters,
    StakingTerms,
    SwapPool,
)
from basis_actors.venues.simulated.flash import FlashLender
from basis_actors.venues.simulated.lending_pool import LendingAccount
from basis_actors.venues.simulated.protocol import ChainProtocol
from basis_actors.venues.simulated.rewards import SeasonRewards
from basis_actors.venues.simulated.staking import LiquidStaking
from basis_actors.venues.simulated.uniswap import Uniswap

ISSUERS = {"weETH": "etherfi", "wstETH": "lido"}
_LLTV = RiskParameters(0.945, 0.945, 1.0 / (1.0 - 0.3 * 0.055) - 1.0)
_NOTHING = RiskParameters(0.0, 0.0, 0.0)
MARKETS = PoolTerms(
    venue="morpho",
    ledger_name="morpho",
    reserve_prefix="morpho:",
    reserves={
        "WETH": ReserveTerms(_NOTHING, collateral=False, borrowable=True),
        "weETH": ReserveTerms(_NOTHING, collateral=True, borrowable=False),
        "wstETH": ReserveTerms(_NOTHING, collateral=True, borrowable=False),
    },
    emode=tuple(EmodeTerms(_LLTV, frozenset({lst}), frozenset({"WETH"})) for lst in ("weETH", "wstETH")),
    close_factor=1.0,
    full_liquidation_below=1.0,
    isolated=True,
)
STAKING = {
    "etherfi": StakingTerms("etherfi", "weETH", 0.01, 7 * DAY),
    "lido": StakingTerms("lido", "wstETH", 0.01, 3 * DAY),
}
POOLS = {
    "ETH/weETH": SwapPool(5.0, (20.0, 24.0, 35.0)),
    "ETH/wstETH": SwapPool(1.0, (15.0, 18.0, 27.0)),
    "EIGEN/ETH": SwapPool(30.0, (10.0, 16.0, 35.0)),
}


def protocols(*, free: bool = False) -> list[ChainProtocol]:
    """One of every protocol, in the order in which the chain settles them; `free` takes every cost away."""
    pools = {pair: SwapPool(0.0, FREE) for pair in POOLS} if free else POOLS
    return [
        SeasonRewards("etherfi", "weETH"),
        *(LiquidStaking(terms) for terms in STAKING.values()),
        LendingAccount(POOL),
        FlashLender(FlashTerms("aave_v3", "aave", tuple(RESERVES), 0.0 if free else 5.0)),
        FlashLender(FlashTerms("morpho", "morpho", ("WETH",), 0.0)),
        LendingAccount(MARKETS),
        Uniswap(DexTerms("uniswap", pools)),
    ]


class ChainDesk(Desk):
    """A chain under test, with the orders of all its protocols."""

    def stake(self, amount: float, lst: str = "weETH", **more: Any) -> Order:
        """An order to stake ETH at the issuer of a staking token."""
        return self.order(OperationType.STAKE, amount, "ETH", lst, venue=more.pop("venue", ISSUERS[lst]), **more)

    def unstake(self, amount: float, lst: str = "weETH", **more: Any) -> Order:
        """A request for the ETH of a staking token."""
        return self.order(OperationType.UNSTAKE, amount, lst, "ETH", venue=more.pop("venue", ISSUERS[lst]), **more)

    def swap(self, amount: float, source: str, target: str, min_out: object = 0.0) -> Order:
        """A swap that accepts whatever arrives, unless told; None leaves `min_out` out."""
        details = {} if min_out is None else {"min_out": min_out}
        return self.order(OperationType.SWAP, amount, source, target, venue="uniswap", operation_details=details)

    def flash(self, operation: OperationType, amount: float, venue: str = "morpho", token: str = "WETH") -> Order:
        """Borrow from or repay to a lender of flash loans."""
        return self.order(operation, amount, token, token, venue=venue)


def defi_desk(currency: str = "ETH", *, free: bool = False, capital: float = 100.0) -> ChainDesk:
    """A wallet with capital and an account at every protocol."""
    clock = StillClock()
    desk = ChainDesk(SimulatedChain(chain_terms(currency, free=free), protocols(free=free), clock), clock)
    desk.tick(flows=(capital,) if capital else ())
    return desk


def refused(desk: Desk, order: Order, code: str, *words: str) -> None:
    """Insist that an order is refused for a reason that names `words`, and that nothing has changed."""
    before, told = desk.report(), len(desk.settlements)
    with pytest.raises(Rejected) as error:
        desk.send(order)
    assert error.value.code == code, error.value.message
    for word in words:
        assert word in error.value.message
    assert desk.report() == before
    assert len(desk.settlements) == told
