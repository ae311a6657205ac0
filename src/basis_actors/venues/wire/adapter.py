"""Defines what the adapters of all exchanges share: how one is connected, and which of its parts answers what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from basis_actors.config import ExchangeVenue
from basis_actors.config.exchange_api import ApiConfig
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
from basis_actors.venues.no_stops import KeepsNoStops
from basis_actors.venues.wire.answers import ApiCall, Dialect
from basis_actors.venues.wire.caller import Caller
from basis_actors.venues.wire.ccxt_client import CcxtClient, Deadline
from basis_actors.venues.wire.exchange_clock import ExchangeClock
from basis_actors.venues.wire.pauses import Pauses
from basis_actors.venues.wire.request_budget import RequestBudget

__all__ = ["MS_PER_SECOND", "Adapter", "Surroundings", "api_of", "connect"]

MS_PER_SECOND: Final = 1000
_NS_PER_MS: Final = 1_000_000


class Surroundings(NamedTuple):
    """What an adapter gets from the process that it lives in."""

    record: Callable[[ApiCall], None]
    """Told of every request."""
    monotonic_ns: Callable[[], int]
    """A clock that never goes back, from anywhere."""
    sleep: Callable[[float], Awaitable[None]]
    """Waits, seconds."""
    pauses: Pauses
    """Until when exchanges want to be left alone, as all connections of the process know."""
    identified: Callable[[str], object] = lambda _: None
    """Told what the exchange calls the account of the key, once that is known and before anything is changed there."""


class _Setup(Protocol):
    async def prepare(self, leverage: dict[str, int]) -> None: ...


class _Markets(Protocol):
    async def refresh(self) -> dict[str, MarketFilters]: ...


class _Orders(Protocol):
    def require_room(self, tickets: Sequence[OrderTicket]) -> None: ...

    async def place(self, ticket: OrderTicket) -> OrderReport: ...

    async def cancel(self, pair: str, client_id: str) -> None: ...

    async def order(self, pair: str, client_id: str) -> OrderReport | None: ...

    async def order_by_number(self, pair: str, venue_order_id: str) -> OrderReport | None: ...

    async def open_orders(self) -> tuple[OrderReport, ...]: ...

    async def fills(self, pair: str, since_ns: int) -> tuple[VenueFill, ...]: ...


class _Account(Protocol):
    async def state(self) -> AccountState: ...

    async def payments(self, since_ns: int) -> tuple[Payment, ...]: ...


class _Transfers(Protocol):
    async def move(self, ticket: TransferTicket) -> TransferReport: ...

    async def moved(self, ticket: TransferTicket, since_ns: int) -> TransferReport | None: ...


class Adapter(KeepsNoStops):
    """One account at an exchange, as `ports.ExchangeApi` asks for it, from its parts. Close it when it is done with."""

    def __init__(
        self,
        venue: str,
        caller: Caller,
        *,
        setup: _Setup,
        markets: _Markets,
        orders: _Orders,
        account: _Account,
        transfers: _Transfers,
    ) -> None:
        self._venue = venue
        self._caller = caller
        self._setup = setup
        self._markets = markets
        self._orders = orders
        self._account = account
        self._transfers = transfers

    @property
    def venue(self) -> str:
        """Name of the exchange."""
        return self._venue

    async def prepare(self, leverage: dict[str, int]) -> int:
        """Take the exchange's time, check key and account, set one-way positions, cross margin and leverage. Returns
        its time then, nanoseconds since the epoch."""
        await self._setup.prepare(leverage)
        return await self._caller.now_ns()

    async def filters(self) -> dict[str, MarketFilters]:
        """What each configured market requires of an order, asked anew."""
        return await self._markets.refresh()

    async def require_room(self, tickets: Sequence[OrderTicket]) -> None:
        """Whether orders like these would be sent now, by what is known here."""
        self._orders.require_room(tickets)

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

    async def countdown_cancel(self, seconds: int) -> bool:  # noqa: ARG002 (part of the port)
        """False: the exchange has no such thing for requests like ours."""
        return False

    async def close(self) -> None:
        """Close the connections."""
        await self._caller.close()


def api_of(config: ExchangeVenue) -> ApiConfig:
    """How the exchange is asked. Raises ConfigError CONFIG-004 for a venue that is not configured for live trading."""
    if config.api is None:
        raise ConfigError("CONFIG-004", f"{config.venue}: missing section api; it says how the exchange is asked")
    return config.api


def connect(
    config: ExchangeVenue,
    keys: ExchangeKeys | None,
    around: Surroundings,
    dialect: Dialect,
    options: Mapping[str, Any],
    *,
    deadline: Deadline | None = None,
) -> Caller:
    """The connection to an exchange; `options` are ccxt's own. Raises ConfigError as `api_of`."""
    api, clock = api_of(config), ExchangeClock(around.monotonic_ns)
    client = CcxtClient(
        config.venue,
        keys,
        config.urls,
        timeout_seconds=api.timeout_seconds,
        options=options,
        now_ms=lambda: clock.now_ns() // _NS_PER_MS,
        deadline=deadline,
    )
    return Caller(
        config.venue,
        client,
        dialect,
        clock,
        RequestBudget(config.venue, api.reserved_share, around.pauses),
        clock_refresh_seconds=api.clock_refresh_seconds,
        longest_pause_seconds=api.longest_pause_seconds,
        record=around.record,
        sleep=around.sleep,
    )
