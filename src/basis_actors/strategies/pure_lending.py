"""Defines pure lending: everything the wallet holds beyond the gas reserve is supplied to Aave and stays there.

What would not earn the gas that it costs within a year stays in the wallet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from basis_actors.config import LendingConfig, RunConfig
from basis_actors.config.venues import GasOperation
from basis_actors.messages.execution import Settlement
from basis_actors.messages.market import MarketSpec, MarketState
from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.order_writer import OrderWriter, gas_cost, gas_payable_key, gas_units
from basis_actors.strategies.pool_limits import PoolLimits
from basis_actors.strategies.wallet_desk import WalletDesk

__all__ = ["PureLending"]

_RESERVES = {"USDT": "USDT", "ETH": "WETH"}


class PureLending(Strategy):
    """Supplies one asset. Withdrawals are taken back from Aave and paid out at the same tick.

    Its only memory is what it has withdrawn of the pool, which may have less than it holds.
    """

    hedged: ClassVar[bool] = False

    def __init__(self, run: RunConfig) -> None:
        super().__init__(run)
        assert isinstance(run.mode.strategy_config, LendingConfig)
        self._config = run.mode.strategy_config
        self._reserve = _RESERVES[self._config.asset]
        self._supplied = f"aave:aToken:a{self._reserve}"
        self._pays_gas = gas_units(run, "supply") > 0
        self._pools = PoolLimits(run)

    @property
    def market_spec(self) -> MarketSpec:
        """The reserve, gas, and the price of ETH, in which gas is paid."""
        token = self._reserve
        return MarketSpec(assets=("ETH",), reserves=(token,), oracle=(token,), gas=True)

    def see(self, settlements: Sequence[Settlement]) -> None:
        """Count what is withdrawn."""
        self._pools.see(settlements)

    def decide(self, situation: Situation) -> Decision:
        """Pay out what the owner asked for, else supply what lies idle; wait for what the pool does not have."""
        return self._as_far_as_available(situation, self._decide(situation))

    def close_all(self, situation: Situation) -> Decision:
        """Take everything back from the pool, once it has that, then pay from the wallet what is owed for gas."""
        return self._as_far_as_available(situation, self._close(situation))

    def _as_far_as_available(self, situation: Situation, wanted: Decision) -> Decision:
        short = self._pools.shortage(situation, wanted.orders)
        if short is None:
            return wanted
        return Decision.hold(
            f"waiting for the pool: {short}",
            invested=True,
            market_conditions=wanted.market_conditions,
            constraints=(*wanted.constraints, f"EXEC-004: {short}"),
        )

    def _decide(self, situation: Situation) -> Decision:
        supplied = situation.held(self._supplied)
        invested = supplied > 0.0
        unknown = self._unknown(situation.market)
        if unknown is not None:
            return Decision.hold(unknown, invested=invested, constraints=("STRAT-006",))
        conditions = self._conditions(situation.market)
        apr = conditions["supply_apr"]
        writer = OrderWriter(self.run, situation, 0.0)
        wallet = self._wallet(situation)
        there = wallet.beside_reserve() + supplied
        if wallet.wanted > 0.0:
            # What is owed for gas is not the owner's.
            there -= wallet.owes("transfer") if wallet.can_pay(wallet.wanted) else wallet.owes("withdraw", "transfer")
        if 0.0 < wallet.wanted <= there:
            return self._pay_out(wallet, writer, supplied, conditions)
        unpayable = wallet.unpayable(there) if wallet.wanted > 0.0 else ()
        if not invested and (settled := self._settle_gas(situation, wallet, writer, conditions, unpayable)) is not None:
            return settled
        # A reserve that a rise of the gas price has made too small stays untouched, but it is not enough.
        free = wallet.idle - max(wallet.kept, wallet.gas("supply"))
        if free > max(0.0, self._config.dust_delta * situation.book.equity):
            gas, earned = self._added_gas(situation.market, invested=invested), free * apr
            if gas > earned:
                what = "gas" if invested else "gas of entry and exit"
                return Decision.hold(
                    f"{free:.6f} {self._config.asset} stays in the wallet: {what} costs {gas:.6f}, and a year at a"
                    f" supply rate of {apr:.4%} brings {earned:.6f}",
                    invested=invested,
                    market_conditions=conditions,
                    constraints=unpayable,
                )
            return Decision(
                decision_type="entry" if not invested else "rebalance",
                action="entry_full" if not invested else "entry_partial",
                reasoning=f"{free:.6f} {self._config.asset} lies idle at a supply rate of {apr:.4%}",
                invested=True,
                orders=(writer.supply(self._reserve, free),),
                market_conditions=conditions,
                constraints=unpayable,
            )
        reasoning = "everything is supplied"
        if not invested:
            kept = max(wallet.kept, wallet.gas("supply"))
            reasoning = f"{wallet.idle:.6f} {self._config.asset} stays in the wallet: {kept:.6f} is kept for gas"
        return Decision.hold(reasoning, invested=invested, market_conditions=conditions, constraints=unpayable)

    def _close(self, situation: Situation) -> Decision:
        supplied = situation.held(self._supplied)
        unknown = self._unknown(situation.market)
        if unknown is not None:
            return Decision.hold(f"an exit waits: {unknown}", invested=supplied > 0.0, constraints=("STRAT-006",))
        conditions = self._conditions(situation.market)
        writer, wallet = OrderWriter(self.run, situation, 0.0), self._wallet(situation)
        if supplied <= 0.0:
            settled = self._settle_gas(situation, wallet, writer, conditions)
            return settled or Decision.hold("nothing is supplied", invested=False, market_conditions=conditions)
        if (gas := wallet.gas("withdraw")) > wallet.idle:
            return self._wait_for_cheaper_gas("an exit", gas, wallet, conditions, invested=True)
        return Decision(
            decision_type="emergency_exit",
            action="exit_full",
            reasoning=f"taking back {supplied:.6f} {self._config.asset}",
            invested=True,
            orders=(writer.withdraw(self._reserve, supplied),),
            market_conditions=conditions,
        )

    def _wallet(self, situation: Situation) -> WalletDesk:
        return WalletDesk(self.run, situation, self._config.asset, self._config.gas_reserve_eth)

    def _unknown(self, market: MarketState) -> str | None:
        """What must be known before anything is done and is not; None when everything is."""
        reserve = market.reserves.get(self._reserve)
        if reserve is None or not reserve.fresh:
            state = "not known yet" if reserve is None else "older than its staleness limit"
            return f"the Aave reserve {self._reserve} is {state}"
        if self._pays_gas and (market.gas is None or "ETH" not in market.prices):
            return "the cost of gas is not known yet"
        return None

    def _added_gas(self, market: MarketState, *, invested: bool) -> float:
        """Gas of supplying, in tokens of the asset, and of the way back unless something comes back anyway."""
        if not self._pays_gas or market.gas is None:
            return 0.0
        operations: tuple[GasOperation, ...] = ("supply",) if invested else ("supply", "withdraw")
        eth = gas_cost(self.run, market.gas, *operations)
        return eth if self._config.asset == "ETH" else eth * market.prices["ETH"]

    def _conditions(self, market: MarketState) -> dict[str, Any]:
        reserve = market.reserves[self._reserve]
        return {"supply_apr": reserve.supply_apr, "utilization": reserve.utilization}

    def _settle_gas(
        self,
        situation: Situation,
        wallet: WalletDesk,
        writer: OrderWriter,
        conditions: dict[str, Any],
        constraints: tuple[str, ...] = (),
    ) -> Decision | None:
        """With nothing supplied, pay from the wallet what is owed for gas."""
        owed = -situation.held(gas_payable_key(self._config.asset))
        if owed <= 0.0 or wallet.idle <= 0.0:
            return None
        return Decision(
            decision_type="rebalance",
            action="transfer",
            reasoning=f"{owed:.6f} {self._config.asset} of gas is owed and nothing is supplied",
            invested=False,
            orders=(writer.settle_gas(min(owed, wallet.idle)),),
            market_conditions=conditions,
            constraints=constraints,
        )

    def _pay_out(
        self, wallet: WalletDesk, writer: OrderWriter, supplied: float, conditions: dict[str, Any]
    ) -> Decision:
        orders: list[Order] = []
        wanted, idle = wallet.wanted, wallet.idle
        back, out = wallet.gas("withdraw"), wallet.gas("transfer_eth")
        missing = 0.0
        if not wallet.can_pay(wanted):
            # What is short of the reserve is taken back with the rest.
            missing = min(supplied, wanted + max(wallet.kept, back + out) - idle)
            if idle < back or idle + missing - back - out < wanted:
                return self._wait_for_cheaper_gas(
                    "a withdrawal", back + out, wallet, conditions, invested=supplied > 0.0
                )
            orders.append(writer.withdraw(self._reserve, missing))
        orders.append(wallet.pay_out(writer, wanted))
        everything = missing == supplied
        return Decision(
            decision_type="exit" if everything else "rebalance",
            action="exit_full" if everything else "exit_partial",
            reasoning=f"the owner withdraws {wanted:.6f} {self._config.asset}",
            invested=not everything,
            orders=writer.group(orders, ExecutionMode.SEQUENTIAL) if len(orders) > 1 else tuple(orders),
            market_conditions=conditions,
        )

    def _wait_for_cheaper_gas(
        self, what: str, gas: float, wallet: WalletDesk, conditions: dict[str, Any], *, invested: bool
    ) -> Decision:
        return Decision.hold(
            f"{what} waits for cheaper gas: {gas:.6f} ETH is needed, {wallet.idle:.6f} is in the wallet",
            invested=invested,
            market_conditions=conditions,
        )
