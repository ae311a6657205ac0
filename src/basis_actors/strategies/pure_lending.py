"""Defines pure lending: everything the wallet holds beyond the gas reserve is supplied to Aave and stays there."""

from __future__ import annotations

from typing import ClassVar

from basis_actors.config import LendingConfig, RunConfig
from basis_actors.config.venues import GasOperation
from basis_actors.messages.market import MarketSpec, MarketState
from basis_actors.messages.orders import ExecutionMode, Order
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.order_writer import EXTERNAL, OrderWriter, gas_cost, gas_payable_key, gas_units

__all__ = ["PureLending"]

_RESERVES = {"USDT": "USDT", "ETH": "WETH"}


class PureLending(Strategy):
    """Supplies one asset. Withdrawals are taken back from Aave and paid out at the same tick."""

    hedged: ClassVar[bool] = False

    def __init__(self, run: RunConfig) -> None:
        super().__init__(run)
        assert isinstance(run.mode.strategy_config, LendingConfig)
        self._config = run.mode.strategy_config
        self._reserve = _RESERVES[self._config.asset]
        self._wallet = f"wallet:BaseToken:{self._config.asset}"
        self._supplied = f"aave:aToken:a{self._reserve}"
        self._kept = self._config.gas_reserve_eth
        self._pays_gas = gas_units(run, "supply") > 0

    @property
    def market_spec(self) -> MarketSpec:
        """The reserve, gas, and the price of ETH, in which gas is paid."""
        token = self._reserve
        return MarketSpec(assets=("ETH",), reserves=(token,), oracle=(token,), gas=True)

    def decide(self, situation: Situation) -> Decision:
        """Pay out what the owner asked for, else supply what lies idle."""
        market = situation.market
        reserve = market.reserves.get(self._reserve)
        idle, supplied = situation.held(self._wallet), situation.held(self._supplied)
        invested = supplied > 0.0
        if reserve is None or not reserve.fresh:
            state = "not known yet" if reserve is None else "older than its staleness limit"
            return Decision.hold(
                f"the Aave reserve {self._reserve} is {state}", invested=invested, constraints=("STRAT-006",)
            )
        conditions = {"supply_apr": reserve.supply_apr, "utilization": reserve.utilization}
        if self._pays_gas and (market.gas is None or "ETH" not in market.prices):
            return Decision.hold("the cost of gas is not known yet", invested=invested, constraints=("STRAT-006",))
        writer = OrderWriter(self.run, situation, 0.0)
        wanted, there = situation.pending_withdrawal, max(0.0, idle - self._kept) + supplied
        if 0.0 < wanted <= there:
            return self._pay_out(wanted, writer, idle, supplied, market, conditions)
        unpayable = (f"EXEC-004: a withdrawal of {wanted:.6f} is more than there is",) if wanted > there else ()
        owed = -situation.held(gas_payable_key(self._config.asset))
        if owed > 0.0 and idle > 0.0 and not invested:
            return Decision(
                decision_type="rebalance",
                action="transfer",
                reasoning=f"{owed:.6f} {self._config.asset} of gas is owed and nothing is supplied",
                invested=False,
                orders=(writer.settle_gas(min(owed, idle)),),
                market_conditions=conditions,
            )
        # A reserve that a rise of the gas price has made too small stays untouched, but it is not enough.
        free = idle - max(self._kept, self._gas(market, "supply"))
        if free > max(0.0, self._config.dust_delta * situation.book.equity):
            return Decision(
                decision_type="entry" if not invested else "rebalance",
                action="entry_full" if not invested else "entry_partial",
                reasoning=f"{free:.6f} {self._config.asset} lies idle at a supply rate of {reserve.supply_apr:.4%}",
                invested=True,
                orders=(writer.supply(self._reserve, free),),
                market_conditions=conditions,
                constraints=unpayable,
            )
        return Decision.hold(
            "everything is supplied", invested=invested, market_conditions=conditions, constraints=unpayable
        )

    def _gas(self, market: MarketState, *operations: GasOperation) -> float:
        """Gas that comes out of the wallet itself: of the ETH mode; in others it is owed."""
        if self._config.asset != "ETH" or market.gas is None:
            return 0.0
        return gas_cost(self.run, market.gas, *operations)

    def _pay_out(
        self,
        wanted: float,
        writer: OrderWriter,
        idle: float,
        supplied: float,
        market: MarketState,
        conditions: dict[str, float],
    ) -> Decision:
        orders: list[Order] = []
        back, out = self._gas(market, "withdraw"), self._gas(market, "transfer_eth")
        missing = 0.0
        if idle < wanted + max(self._kept, out):
            # What is short of the reserve is taken back with the rest.
            missing = min(supplied, wanted + max(self._kept, back + out) - idle)
            if idle < back or idle + missing - back - out < wanted:
                return Decision.hold(
                    f"a withdrawal waits for cheaper gas: {back + out:.6f} ETH is needed, {idle:.6f} is in the wallet",
                    invested=supplied > 0.0,
                    market_conditions=conditions,
                )
            orders.append(writer.withdraw(self._reserve, missing))
        orders.append(writer.transfer(self._wallet, f"{EXTERNAL}:BaseToken:{self._config.asset}", wanted, "pay_out"))
        everything = missing == supplied
        return Decision(
            decision_type="exit" if everything else "rebalance",
            action="exit_full" if everything else "exit_partial",
            reasoning=f"the owner withdraws {wanted:.6f} {self._config.asset}",
            invested=not everything,
            orders=writer.group(orders, ExecutionMode.SEQUENTIAL) if len(orders) > 1 else tuple(orders),
            market_conditions=conditions,
        )
