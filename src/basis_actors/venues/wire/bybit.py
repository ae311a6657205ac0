"""The Bybit account behind the port: a unified account that trades spot and USDT perpetuals, and its funding purse.

Importing this needs the extra `live`.
"""

from __future__ import annotations

from collections.abc import Iterable

from basis_actors.config import ExchangeVenue
from basis_actors.config.secrets import ExchangeKeys
from basis_actors.venues.wire.adapter import MS_PER_SECOND, Adapter, Surroundings, api_of, connect
from basis_actors.venues.wire.allow_list import AllowList
from basis_actors.venues.wire.bybit_account import BybitAccount
from basis_actors.venues.wire.bybit_dialect import BybitDialect
from basis_actors.venues.wire.bybit_endpoints import RATES
from basis_actors.venues.wire.bybit_markets import Markets
from basis_actors.venues.wire.bybit_orders import BybitOrders
from basis_actors.venues.wire.bybit_setup import BybitSetup
from basis_actors.venues.wire.bybit_transfers import BybitTransfers

__all__ = ["BybitApi"]


class BybitApi(Adapter):
    """One account at Bybit. It cancels orders by itself only for those who listen to its streams: no countdown."""

    def __init__(
        self, config: ExchangeVenue, pairs: Iterable[str], keys: ExchangeKeys | None, around: Surroundings
    ) -> None:
        """Made by `build.build_exchange`, which says what is what.

        Raises ConfigError CONFIG-004 for a venue that is not configured for live trading, or for a name of no market.
        """
        window = int(config.account_terms.receive_window_seconds * MS_PER_SECOND)
        caller = connect(config, keys, around, BybitDialect(), {"recvWindow": window})
        for host, (requests, length_ns) in RATES.items():
            caller.budget.set_rate(host, requests, length_ns)
        markets = Markets(caller, pairs)
        allowed = AllowList(config.venue, api_of(config).withdrawal_addresses)
        super().__init__(
            config.venue,
            caller,
            setup=BybitSetup(caller, markets, around.identified),
            markets=markets,
            orders=BybitOrders(caller, markets),
            account=BybitAccount(caller, markets, allowed),
            transfers=BybitTransfers(caller, allowed),
        )
