"""Defines somebody else who trades on the account now and then, as people do by hand."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from basis_actors.messages.exchange import OrderTicket
from basis_actors.services.simulation.fate import Fate
from basis_actors.venues.simulated.exchange_api import SimulatedExchangeApi

__all__ = ["MARK", "Stranger"]

MARK = "hand"
"""What the ids of such orders begin with."""


class Stranger:
    """Enlarges or reduces something that the account holds, by up to a tenth."""

    def __init__(self, exchange: SimulatedExchangeApi, fate: Fate) -> None:
        self._exchange = exchange
        self._fate = fate

    async def trade(self) -> None:
        """One trade, if there is anything to trade. Raises Rejected when the exchange does not take it."""
        random, filters = self._fate.random, await self._exchange.filters()
        state = await self._exchange.account()
        held = {f"{balance.token}/USDT": balance.total for balance in state.balances}
        held |= {holding.pair: abs(holding.size) for holding in state.holdings}
        pairs = [pair for pair in held if pair in filters]
        if not pairs:
            return
        pair = random.choice(pairs)
        lot = filters[pair].lot
        part = held[pair] * Decimal(repr(round(random.uniform(0.01, 0.1), 4)))
        amount = (part / lot).to_integral_value(rounding=ROUND_FLOOR) * lot
        if amount <= 0:
            return
        name, buys = f"{MARK}{random.randrange(10**12)}", random.random() < 0.5
        await self._exchange.place(OrderTicket(client_id=name, pair=pair, buys=buys, amount=amount))
