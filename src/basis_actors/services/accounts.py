"""Connects a mode to its accounts at exchanges. Importing this needs the extra `live`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import ceil, floor

from basis_actors.config import ChainVenue, DirectionalConfig, ExchangeVenue, RunConfig
from basis_actors.config.secrets import Secrets, variables_of
from basis_actors.errors import ConfigError
from basis_actors.finance.keys import STABLE
from basis_actors.ports import OrderJournal, VenueClient
from basis_actors.services.state import StateDirectory, fingerprint_of
from basis_actors.venues.live.account import ExchangeAccount
from basis_actors.venues.live.build import build_account, pairs_of
from basis_actors.venues.live.outside import OutsideWallet
from basis_actors.venues.live.terms import LiveClock
from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.build import ExchangeConnection, build_exchange
from basis_actors.venues.wire.pauses import Pauses

__all__ = ["LiveAccounts", "require_keys", "routes_of"]


def require_keys(run: RunConfig, secrets: Secrets) -> None:
    """Raise ConfigError CONFIG-003 for exchanges of the mode that nobody has given keys for."""
    names = [name for name in run.mode.venues if isinstance(run.venues[name], ExchangeVenue)]
    missing = [name for name in names if getattr(secrets, name, None) is None]
    if missing:
        variables = ", ".join(variable for name in missing for variable in variables_of(name))
        raise ConfigError(
            "CONFIG-003",
            f"mode {run.mode.mode} trades at {', '.join(missing)}, and there are no keys for that; set {variables}, or"
            " use --paper",
        )


class LiveAccounts:
    """The accounts of a mode and the connections behind them. `record` is told of every request, `pauses` is what
    every connection of the process knows."""

    def __init__(
        self,
        run: RunConfig,
        journal: OrderJournal,
        secrets: Secrets,
        record: Callable[[ApiCall], None],
        pauses: Pauses,
        *,
        keeps_stops: bool = False,
    ) -> None:
        """Makes the connections; nothing is asked yet.

        Raises ConfigError CONFIG-004 for a venue that is not traded live, CONFIG-003 for a strategy without leverage.
        """
        self._journal = journal
        self._keeps_stops = keeps_stops
        self._leverage = _leverage_of(run)
        self._connections: dict[str, ExchangeConnection] = {}
        self._keys: dict[str, str] = {}
        self._state: StateDirectory | None = None
        self._accounts: dict[str, ExchangeAccount] = {}
        """Of the process that runs."""
        self._identified: dict[str, str] = {}
        """What each exchange calls our account."""
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._keys_there: dict[str, str] = {}
        """The same with where the exchange is reached: one that is reached elsewhere, as in tests, is another one."""
        for name in run.mode.venues:
            venue = run.venues[name]
            if isinstance(venue, ExchangeVenue):
                keys = getattr(secrets, name, None)
                if keys is not None:
                    key = keys.api_key.get_secret_value()
                    self._keys[name] = fingerprint_of(name, key)
                    self._keys_there[name] = fingerprint_of(name, key, *venue.urls.values())
                self._addresses[name] = tuple(venue.urls.values())
                identified = partial(self._identify, name)
                self._connections[name] = build_exchange(
                    venue, pairs_of(venue), keys, record=record, pauses=pauses, identified=identified
                )
            elif not isinstance(venue, ChainVenue):
                raise ConfigError(
                    "CONFIG-004",
                    f"mode {run.mode.mode}: venue {name} is of kind {venue.kind}, which is not traded live",
                )

    def _identify(self, name: str, account: str) -> None:
        """Take an account once more by what the exchange calls it, which is the same for each of its keys.

        Raises BasisError ENGINE-001, which names the holder, when another process has it.
        """
        if self._state is None or self._identified.get(name) == account:
            return
        self._state.lock_account(name, fingerprint_of(name, "account", account))
        there = fingerprint_of(name, "account", account, *self._addresses[name])
        self._state.lock_on_machine(name, there)
        if name in self._accounts:
            self._accounts[name].identify(there)
        self._identified[name] = account

    def lock(self, state: StateDirectory) -> None:
        """Take every account for this process, before anything is asked of it.

        An account is known by its API key until the exchange has said what it calls it, which it is asked before
        anything is changed there; from then on another key of the same account is refused as well. One without keys is
        not taken; nothing is traded there. Raises BasisError ENGINE-001, which names the holder, when another process
        under the same root, or of this machine, has one of them.
        """
        self._state = state
        for name, fingerprint in self._keys.items():
            state.lock_account(name, fingerprint)
            state.lock_on_machine(name, self._keys_there[name])

    def connection(self, name: str) -> ExchangeConnection:
        """That to one venue of the mode."""
        return self._connections[name]

    def make(self, run: RunConfig, clock: LiveClock) -> Sequence[VenueClient]:
        """The venues of the mode, for one process."""
        venues: list[VenueClient] = []
        for name in run.mode.venues:
            venue = run.venues[name]
            if not isinstance(venue, ExchangeVenue):
                venues.append(OutsideWallet(venue.domain, (name,)))
                continue
            leverage = dict.fromkeys((pair for pair in pairs_of(venue) if pair.endswith("-PERP")), self._leverage)
            allowed = () if venue.api is None else venue.api.withdrawal_addresses
            addresses = {(place.venue, place.token): (place.address, place.network) for place in allowed}
            api = self.connection(name)
            account = build_account(
                venue,
                api,
                self._journal,
                clock,
                leverage=leverage,
                addresses=addresses,
                keeps_stops=self._keeps_stops,
            )
            self._accounts[name] = account
            venues.append(account)
        return venues

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            await connection.close()


def routes_of(run: RunConfig) -> frozenset[tuple[str, str]]:
    """From which account domain to which other USDT can be sent: where a withdrawal address leads."""
    routes = set()
    for venue in run.venues.values():
        if isinstance(venue, ExchangeVenue) and venue.api is not None:
            for place in venue.api.withdrawal_addresses:
                if place.token == STABLE and place.venue in run.venues:
                    routes.add((venue.domain, run.venues[place.venue].domain))
    return frozenset(routes)


def _leverage_of(run: RunConfig) -> int:
    """What exchanges are told: the leverage of the strategy, in whole steps.

    A directional position is sized by all of its margin, so the next step above it leaves room for its fee.
    """
    if isinstance(run.mode.strategy_config, DirectionalConfig):
        return floor(run.mode.strategy_config.max_position_size) + 1
    leverage = getattr(run.mode.strategy_config, "leverage", None)
    if not isinstance(leverage, int | float) or leverage <= 0.0:
        raise ConfigError(
            "CONFIG-003",
            f"mode {run.mode.mode}: strategy_config.leverage is {leverage!r}; exchanges are told a leverage above 0",
        )
    return max(1, ceil(leverage))
