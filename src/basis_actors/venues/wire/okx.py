"""The OKX account behind the port: a trading account in futures mode with USDT perpetuals, and its funding purse.

Importing this needs the extra `live`.
"""

from __future__ import annotations

from collections.abc import Iterable

from basis_actors.config import ExchangeVenue
from basis_actors.config.secrets import ExchangeKeys
from basis_actors.venues.wire.adapter import MS_PER_SECOND, Adapter, Surroundings, api_of, connect
from basis_actors.venues.wire.allow_list import AllowList
from basis_actors.venues.wire.ccxt_client import Deadline
from basis_actors.venues.wire.okx_account import OkxAccount
from basis_actors.venues.wire.okx_dialect import OkxDialect
from basis_actors.venues.wire.okx_endpoints import COUNTDOWN, RATES
from basis_actors.venues.wire.okx_markets import Markets
from basis_actors.venues.wire.okx_orders import OkxOrders
from basis_actors.venues.wire.okx_rows import Confirmation
from basis_actors.venues.wire.okx_setup import OkxSetup
from basis_actors.venues.wire.okx_transfers import OkxTransfers

__all__ = ["OkxApi"]

_SHORTEST, _LONGEST = 10, 120
"""Seconds that a countdown may take."""


class OkxApi(Adapter):
    """One account at OKX."""

    def __init__(
        self, config: ExchangeVenue, pairs: Iterable[str], keys: ExchangeKeys | None, around: Surroundings
    ) -> None:
        """Made by `build.build_exchange`, which says what is what.

        Raises ConfigError CONFIG-004 for a venue that is not configured for live trading, or for a name of no market.
        """
        # The exchange looks at it at orders; other requests it takes for half a minute.
        window_ms = int(config.account_terms.receive_window_seconds * MS_PER_SECOND)
        caller = connect(config, keys, around, OkxDialect(), {}, deadline=Deadline("expTime", window_ms))
        for host, (requests, length_ns) in RATES.items():
            caller.budget.set_rate(host, requests, length_ns)
        markets = Markets(caller, pairs)
        allowed = AllowList(config.venue, api_of(config).withdrawal_addresses)
        super().__init__(
            config.venue,
            caller,
            setup=OkxSetup(caller, markets, around.identified),
            markets=markets,
            orders=OkxOrders(caller, markets),
            account=OkxAccount(caller, markets),
            transfers=OkxTransfers(caller, allowed),
        )

    async def countdown_cancel(self, seconds: int) -> bool:
        """Have every open order cancelled unless this is called again within `seconds`; 0 calls it off.

        Ten seconds to two minutes; anything else is brought to the nearer of the two.
        """
        wait = min(max(seconds, _SHORTEST), _LONGEST) if seconds else 0
        await self._caller.ask(COUNTDOWN, {"timeOut": str(wait)}, tuple[Confirmation, ...], urgent=True)
        return True
