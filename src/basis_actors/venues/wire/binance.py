"""The Binance account behind the port: spot, USD-M and COIN-M. Importing this needs the extra `live`."""

from __future__ import annotations

from collections.abc import Iterable

from basis_actors.config import ExchangeVenue
from basis_actors.config.secrets import ExchangeKeys
from basis_actors.messages.stops import StopReport, StopTicket
from basis_actors.venues.wire.adapter import MS_PER_SECOND, Adapter, Surroundings, api_of, connect
from basis_actors.venues.wire.binance_account import BinanceAccount
from basis_actors.venues.wire.binance_dialect import BinanceDialect
from basis_actors.venues.wire.binance_markets import Markets
from basis_actors.venues.wire.binance_orders import BinanceOrders
from basis_actors.venues.wire.binance_rows import Confirmation
from basis_actors.venues.wire.binance_setup import BinanceSetup
from basis_actors.venues.wire.binance_stops import BinanceStops
from basis_actors.venues.wire.binance_transfers import BinanceTransfers

__all__ = ["BinanceApi"]


class BinanceApi(Adapter):
    """One account at Binance."""

    def __init__(
        self, config: ExchangeVenue, pairs: Iterable[str], keys: ExchangeKeys | None, around: Surroundings
    ) -> None:
        """Made by `build.build_exchange`, which says what is what.

        Raises ConfigError CONFIG-004 for a venue that is not configured for live trading, or for a name of no market.
        """
        window = int(config.account_terms.receive_window_seconds * MS_PER_SECOND)
        caller = connect(config, keys, around, BinanceDialect(), {"recvWindow": window})
        markets = Markets(caller, pairs)
        super().__init__(
            config.venue,
            caller,
            setup=BinanceSetup(caller, markets, around.identified),
            markets=markets,
            orders=BinanceOrders(caller, markets),
            account=BinanceAccount(caller, markets),
            transfers=BinanceTransfers(caller, api_of(config).withdrawal_addresses),
        )
        self._listings = markets
        self._stops = BinanceStops(caller, markets)

    async def place_stop(self, ticket: StopTicket) -> StopReport:
        """Have a stop kept, once. A cancellation while the answer is awaited leaves its outcome unknown."""
        return await self._stops.place(ticket)

    async def cancel_stop(self, pair: str, client_id: str) -> None:
        """Ask for the end of a stop."""
        await self._stops.cancel(pair, client_id)

    async def stop(self, pair: str, client_id: str) -> StopReport | None:
        """What the exchange says of a stop."""
        return await self._stops.stop(pair, client_id)

    async def open_stops(self) -> tuple[StopReport, ...]:
        """Everything that waits for a price in the configured perpetuals."""
        return await self._stops.open()

    async def countdown_cancel(self, seconds: int) -> bool:
        """Have open orders on perpetuals cancelled unless this is called again within `seconds`; 0 calls it off.

        Spot has no such thing: its orders stay.
        """
        armed = False
        for family in self._listings.families:
            if family.futures is None:
                continue
            for listing in self._listings.of(family):
                params = {"symbol": listing.symbol, "countdownTime": str(seconds * MS_PER_SECOND)}
                await self._caller.ask(family.futures.countdown, params, Confirmation, urgent=True)
                armed = True
        return armed
