"""Defines the actor that shows what the book is exposed to, asset by asset."""

from __future__ import annotations

from basis_actors.bus import Actor, on
from basis_actors.finance.keys import REWARD_TOKENS, STABLE
from basis_actors.messages.book import ExposureView, PositionsView
from basis_actors.messages.events import AssetExposure, ExposureSnapshot

__all__ = ["ExposureMonitor"]


class ExposureMonitor(Actor):
    """Turns each view of the positions into net exposures. `currency` is that of the share class."""

    def __init__(self, currency: str) -> None:
        super().__init__("exposure_monitor")
        self._currency = currency
        self._riskless = frozenset((currency, STABLE, *REWARD_TOKENS))

    @on(PositionsView)
    def assess(self, book: PositionsView) -> None:
        """Net quantity, value and share of equity of each asset; net delta over the assets that are risks.

        A reward token counts as 0 until it has a price; any other asset without one leaves the net delta unknown.
        """
        market = book.tick.market
        usd_prices = market.prices
        equity = book.valuation.equity
        unit = usd_prices.get(self._currency)
        equity_usd = None if unit is None or book.valuation.unpriced else equity * unit
        exposures: dict[str, AssetExposure] = {}
        net_delta = net_delta_usd = 0.0
        known = True
        for asset, quantity in book.valuation.deltas.items():
            price = usd_prices.get(asset)
            if price is None:
                known = known and (quantity == 0.0 or asset in REWARD_TOKENS)
                continue
            usd_value = quantity * price
            exposures[asset] = AssetExposure(quantity, usd_value, usd_value / equity_usd if equity_usd else 0.0)
            if asset not in self._riskless:
                net_delta += quantity * book.prices[asset]
                net_delta_usd += usd_value
        self.log(
            ExposureSnapshot(
                market.timestamp,
                net_delta_usd if known else None,
                exposures,
                equity_usd,
                equity,
                book.trigger,
            )
        )
        self.publish(ExposureView(book, net_delta if known else None))
