"""The Binance account behind the port: spot, USD-M and COIN-M. Importing this needs the extra `live`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from basis_actors.config import ExchangeVenue
from basis_actors.config.secrets import ExchangeKeys
from basis_actors.errors import ConfigError
from basis_actors.messages.exchange import (
    AccountState,
    MarketFilters,
    OrderReport,
    OrderTicket,
    Payment,
    TransferReport,
    TransferTicket,
    VenueFill,
)
from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.binance_account import BinanceAccount
from basis_actors.venues.wire.binance_dialect import BinanceDialect
from basis_actors.venues.wire.binance_markets import Markets
from basis_actors.venues.wire.binance_orders import BinanceOrders
from basis_actors.venues.wire.binance_rows import Confirmation
from basis_actors.venues.wire.binance_setup import BinanceSetup
from basis_actors.venues.wire.binance_transfers import BinanceTransfers
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.ccxt_client import CcxtClient
from basis_actors.venues.wire.exchange_clock import ExchangeClock
from basis_actors.venues.wire.request_budget import RequestBudget

__all__ = ["BinanceApi"]

_MS_PER_SECOND: Final = 1000
_NS_PER_MS: Final = 1_000_000


class BinanceApi:
    """One account at Binance, as `ports.ExchangeApi` asks for it. Close it when it is done with."""

    def __init__(
        self,
        config: ExchangeVenue,
        pairs: Iterable[str],
        keys: ExchangeKeys | None,
        *,
        record: Callable[[ApiCall], None],
        monotonic_ns: Callable[[], int],
    ) -> None:
        """Made by `build.build_exchange`, which says what is what.

        Raises ConfigError CONFIG-004 for a venue that is not configured for live trading, or for a name of no market.
        """
        if config.api is None:
            raise ConfigError("CONFIG-004", f"{config.venue}: missing section api; it says how the exchange is asked")
        clock = ExchangeClock(monotonic_ns)
        client = CcxtClient(
            config.venue,
            keys,
            config.urls,
            timeout_seconds=config.api.timeout_seconds,
            options={"recvWindow": int(config.account_terms.receive_window_seconds * _MS_PER_SECOND)},
            now_ms=lambda: clock.now_ns() // _NS_PER_MS,
        )
        self._venue = config.venue
        self._caller = Caller(
            config.venue,
            client,
            BinanceDialect(),
            clock,
            RequestBudget(config.venue, config.api.reserved_share),
            clock_refresh_seconds=config.api.clock_refresh_seconds,
            record=record,
        )
        self._markets = Markets(self._caller, pairs)
        self._setup = BinanceSetup(self._caller, self._markets)
        self._orders = BinanceOrders(self._caller, self._markets)
        self._account = BinanceAccount(self._caller, self._markets)
        self._transfers = BinanceTransfers(self._caller, config.api.withdrawal_addresses)

    @property
    def venue(self) -> str:
        """Name of the exchange."""
        return self._venue

    async def prepare(self, leverage: dict[str, int]) -> None:
        """Take the exchange's time, check key and account, set one-way positions, cross margin and leverage."""
        await self._setup.prepare(leverage)

    async def filters(self) -> dict[str, MarketFilters]:
        """What each configured market requires of an order, asked anew."""
        return await self._markets.refresh()

    async def place(self, ticket: OrderTicket) -> OrderReport:
        """Send an order, once. A cancellation while the answer is awaited leaves its outcome unknown."""
        return await self._orders.place(ticket)

    async def cancel(self, pair: str, client_id: str) -> None:
        """Ask for the end of an order."""
        await self._orders.cancel(pair, client_id)

    async def order(self, pair: str, client_id: str) -> OrderReport | None:
        """What the exchange says of an order."""
        return await self._orders.order(pair, client_id)

    async def order_by_number(self, pair: str, venue_order_id: str) -> OrderReport | None:
        """The order that a trade belongs to."""
        return await self._orders.order_by_number(pair, venue_order_id)

    async def open_orders(self) -> tuple[OrderReport, ...]:
        """Every open order in the configured markets."""
        return await self._orders.open_orders()

    async def fills(self, pair: str, since_ns: int) -> tuple[VenueFill, ...]:
        """Every trade of the account in a market from `since_ns` on."""
        return await self._orders.fills(pair, since_ns)

    async def account(self) -> AccountState:
        """Balances and positions."""
        return await self._account.state()

    async def payments(self, since_ns: int) -> tuple[Payment, ...]:
        """Funding and everything else that is no trade or transfer of ours."""
        return await self._account.payments(since_ns)

    async def move(self, ticket: TransferTicket) -> TransferReport:
        """Move tokens between purses, or withdraw them."""
        return await self._transfers.move(ticket)

    async def moved(self, ticket: TransferTicket, since_ns: int) -> TransferReport | None:
        """What became of a transfer or withdrawal."""
        return await self._transfers.moved(ticket, since_ns)

    async def countdown_cancel(self, seconds: int) -> bool:
        """Have open orders on perpetuals cancelled unless this is called again within `seconds`; 0 calls it off.

        Spot has no such thing: its orders stay.
        """
        armed = False
        for family in self._markets.families:
            if family.futures is None:
                continue
            for listing in self._markets.of(family):
                params = {"symbol": listing.symbol, "countdownTime": str(seconds * _MS_PER_SECOND)}
                await self._caller.ask(family.futures.countdown, params, Confirmation, urgent=True)
                armed = True
        return armed

    async def close(self) -> None:
        """Close the connections."""
        await self._caller.close()
