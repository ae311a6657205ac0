"""Keeps what exchanges publish between ticks, and shows it as the market of a tick.

Prices are absolute, so the newest of each kind is all that is kept, whether it came by a stream or was asked for. How
old one is counts from when it was seen here: clocks of exchanges differ. Who is asked, and when, is for others.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from basis_actors.data.funding import due_rows
from basis_actors.data.other_exchanges import OtherExchanges
from basis_actors.messages.market import FundingStamp, GasQuote, MarketSpec, MarketState, PerpQuote, SpotQuote
from basis_actors.messages.quotes import Price, PriceKind
from basis_actors.times import NS_PER_SECOND, utc_from_ns

if TYPE_CHECKING:
    from basis_actors.config.market_feed import MarketFeedConfig

__all__ = ["Market", "MarketBoard", "markets_of"]

_KNOWN_STAMPS: Final = 200
"""How many settlements of one perpetual are remembered; two tell the interval."""


class Market(NamedTuple):
    """A market of one exchange."""

    venue: str
    pair: str

    @property
    def name(self) -> str:
        """As market specs have it: `binance:BTC`, `bybit:BTC-PERP`."""
        return f"{self.venue}:{self.pair.removesuffix('/USDT')}"


class _Seen(NamedTuple):
    price: float
    time_ns: int
    seen_ns: int


def markets_of(spec: MarketSpec, exchanges: Sequence[str]) -> tuple[Market, ...]:
    """What has to be known for `spec`: its spot markets and perpetuals, and one spot market for each reference price.

    The reference price of an asset is that of its spot market at the first of `exchanges`.
    """
    found = [_named(name, spot=True) for name in spec.spot]
    found += [_named(name, spot=False) for name in spec.perps]
    found += [Market(exchanges[0], f"{asset}/USDT") for asset in spec.assets if asset != "USDT"]
    return tuple(dict.fromkeys(found))


def _named(name: str, *, spot: bool) -> Market:
    venue, _, symbol = name.partition(":")
    return Market(venue, f"{symbol}/USDT" if spot else symbol)


class MarketBoard:
    """The newest of everything that a mode needs to know of its exchanges.

    `reference` is the exchange whose spot markets give the reference prices, `gas` what is assumed of it.
    """

    def __init__(self, spec: MarketSpec, config: MarketFeedConfig, reference: str, gas: GasQuote | None) -> None:
        self._spec = spec
        self._config = config
        self._fresh_ns = round(config.fresh_seconds * NS_PER_SECOND)
        self._gas = gas
        self._assets = {asset: Market(reference, f"{asset}/USDT") for asset in spec.assets if asset != "USDT"}
        self._spot = {name: _named(name, spot=True) for name in spec.spot}
        self._perps = {name: _named(name, spot=False) for name in spec.perps}
        self._seen: dict[tuple[Market, PriceKind], _Seen] = {}
        self._doubted: dict[tuple[Market, PriceKind], _Seen] = {}
        self._others = OtherExchanges(config)
        self._departed: set[tuple[Market, PriceKind]] = set()
        """Whose newest price no other exchange bears out."""
        self._stamps: dict[str, list[FundingStamp]] = {name: [] for name in self._perps}
        self._doubted_stamps: set[tuple[str, int]] = set()
        """Perpetual and time of funding that is not believed."""
        self._ranges: dict[Market, tuple[float, float]] = {}

    def see(self, venue: str, price: Price, now_ns: int) -> str | None:
        """Take a price, unless it is older than what is known. Returns what is wrong with one that is not believed, the
        first time that this market says so; its last good price goes on ageing.

        A jump is believed once it has held, but nothing that departs from what all other exchanges show, however long
        it lasts: until they agree the market counts as stale at once, as whatever is sent there would be filled at it.
        """
        market = Market(venue, price.pair)
        key = (market, price.kind)
        known, doubted = self._seen.get(key), self._doubted.get(key)
        if not isfinite(price.price) or price.price <= 0.0:
            if doubted is None:
                self._doubted[key] = _Seen(price.price, price.time_ns, now_ns)
                return f"{market.name} {price.kind} price {price.price} is none; the last good one is kept"
            return None
        # One price from the future must not keep out all that come before that moment.
        in_future = known is not None and known.time_ns > now_ns + self._fresh_ns
        if known is not None and (price.time_ns == known.time_ns or (price.time_ns < known.time_ns and not in_future)):
            return None
        seen = _Seen(price.price, price.time_ns, now_ns)
        against = self._others.against(venue, price.pair, price.price, now_ns)
        holds = known is None or self._near(price.price, known.price) or self._confirmed(doubted, seen)
        believed = holds and against is None
        self._others.show(venue, price.pair, price.kind, price.price, now_ns, believed=believed)
        had_departed = key in self._departed
        if against is None:
            self._departed.discard(key)
        else:
            self._departed.add(key)
        if believed:
            self._doubted.pop(key, None)
            self._seen[key] = seen
            if price.kind is PriceKind.MARK:
                self.widen(market, price.price, price.price)
            return None
        is_news = doubted is None or not isfinite(doubted.price) or not self._near(price.price, doubted.price)
        if is_news:
            self._doubted[key] = seen
        if against is not None:
            return None if had_departed else _departure(market, price, *against)
        if not is_news or known is None:
            return None
        return (
            f"{market.name} {price.kind} price {price.price:g} is {price.price / known.price - 1.0:+.1%} from"
            f" {known.price:g} before; it is not believed unless it holds for {self._config.confirm_seconds:g} s"
        )

    def _near(self, price: float, other: float) -> bool:
        return abs(price - other) <= self._config.max_jump * other

    def _confirmed(self, doubted: _Seen | None, seen: _Seen) -> bool:
        """Whether a price that was not believed has held."""
        if doubted is None or doubted.price <= 0.0 or not self._near(seen.price, doubted.price):
            return False
        return seen.seen_ns - doubted.seen_ns >= self._config.confirm_seconds * NS_PER_SECOND

    def widen(self, market: Market, low: float, high: float) -> None:
        """Marks have been as low and as high since the last tick, unless they are none to be believed."""
        if (market, PriceKind.MARK) in self._departed:
            return
        before = self._ranges.get(market, (low, high))
        self._ranges[market] = (min(low, before[0]), max(high, before[1]))

    def settle(self, stamps: Iterable[FundingStamp]) -> tuple[str, ...]:
        """Take settled funding, in any order and more than once. Returns what is wrong with that which is not believed,
        the first time that it is listed. Some exchanges are milliseconds late with their hours: stamps are those of
        whole seconds."""
        doubts = []
        for given in stamps:
            stamp = replace(given, ns=round(given.ns / NS_PER_SECOND) * NS_PER_SECOND)
            known = self._stamps[stamp.perp]
            if any(stamp.ns == other.ns for other in known):
                continue
            if stamp.rate is not None and not abs(stamp.rate) <= self._config.max_funding_rate:
                if (stamp.perp, stamp.ns) not in self._doubted_stamps:
                    self._doubted_stamps.add((stamp.perp, stamp.ns))
                    doubts.append(_absurd(stamp, self._config.max_funding_rate))
                continue
            insort(known, self._with_mark(stamp), key=lambda other: other.ns)
            del known[:-_KNOWN_STAMPS]
        return tuple(doubts)

    def _with_mark(self, stamp: FundingStamp) -> FundingStamp:
        """Where the exchange does not say at which mark it settled, the present one, if it was seen near then."""
        if stamp.mark is not None:
            return stamp
        seen = self._seen.get((self._perps[stamp.perp], PriceKind.MARK))
        if seen is None or abs(seen.time_ns - stamp.ns) > self._fresh_ns:
            return stamp
        return replace(stamp, mark=seen.price)

    def newest_stamp(self, perp: str) -> int | None:
        """When a perpetual was settled last, as far as is known."""
        stamps = self._stamps[perp]
        return stamps[-1].ns if stamps else None

    def settled(self, perp: str, count: int) -> tuple[FundingStamp, ...]:
        """Funding of a perpetual up to the newest that is known, oldest first, as far back as the last `count` rates
        reach; absent ones in between have no rate."""
        stamps = self._stamps[perp]
        if not stamps or count < 1:
            return ()
        due = list(self._due(perp, stamps[-1].ns))
        with_rate = [row for row, stamp in enumerate(due) if stamp.rate is not None]
        return tuple(due[with_rate[-count] if len(with_rate) >= count else 0 :])

    def awaits(self, since_ns: int, ns: int) -> tuple[str, ...]:
        """The perpetuals whose funding was due in (since, now] and is not known."""
        return tuple(
            perp
            for perp in self._perps
            if any(stamp.rate is None and since_ns < stamp.ns <= ns for stamp in self._due(perp, ns))
        )

    def unknown(self) -> tuple[str, ...]:
        """Markets of which nothing is known yet, by name."""
        needed = [(market, PriceKind.LAST) for market in (*self._assets.values(), *self._spot.values())]
        needed += [(market, kind) for market in self._perps.values() for kind in PriceKind]
        return tuple(dict.fromkeys(f"{key[0].name} ({key[1]})" for key in needed if key not in self._seen))

    def state(self, since_ns: int, ns: int) -> MarketState:
        """The market at `ns`, with the funding since `since_ns` and the range of marks since it was forgotten."""
        prices, stale = {"USDT": 1.0}, []
        for asset, market in self._assets.items():
            seen = self._seen.get((market, PriceKind.LAST))
            if seen is not None:
                prices[asset] = seen.price
                if not self._is_fresh(market, PriceKind.LAST, ns):
                    stale.append(asset)
        due = {perp: list(self._due(perp, ns)) for perp in self._perps}
        return MarketState(
            timestamp=utc_from_ns(ns),
            ns=ns,
            prices=prices,
            stale_prices=tuple(stale),
            spot=dict(self._spot_quotes(ns)),
            perps={name: self._perp_quote(market, ns) for name, market in self._perps.items()},
            funding=tuple(
                sorted(
                    (stamp for stamps in due.values() for stamp in stamps if since_ns < stamp.ns <= ns),
                    key=lambda stamp: stamp.ns,
                )
            ),
            funding_missed={perp: _missed_at_end(stamps) for perp, stamps in due.items() if stamps},
            reserves={},
            staking={},
            oracle_usd={},
            gas=self._gas,
        )

    def forget_ranges(self) -> None:
        """A tick has taken the range of marks; the next one begins."""
        self._ranges.clear()

    def _spot_quotes(self, ns: int) -> Iterator[tuple[str, SpotQuote]]:
        for name, market in self._spot.items():
            seen = self._seen.get((market, PriceKind.LAST))
            if seen is not None:
                yield name, SpotQuote(seen.price, self._is_fresh(market, PriceKind.LAST, ns))

    def _perp_quote(self, market: Market, ns: int) -> PerpQuote:
        last = self._seen.get((market, PriceKind.LAST))
        mark = self._seen.get((market, PriceKind.MARK))
        low, high = self._ranges.get(market, (None, None))
        return PerpQuote(
            last=None if last is None else last.price,
            last_fresh=self._is_fresh(market, PriceKind.LAST, ns),
            mark=None if mark is None else mark.price,
            mark_fresh=self._is_fresh(market, PriceKind.MARK, ns),
            mark_high=high,
            mark_low=low,
        )

    def _due(self, perp: str, ns: int) -> Iterator[FundingStamp]:
        """Every settlement that is known or was due, up to `ns`."""
        stamps = [stamp for stamp in self._stamps[perp] if stamp.ns <= ns]
        for due_ns, row in zip(*due_rows([stamp.ns for stamp in stamps], ns), strict=True):
            yield FundingStamp(due_ns, perp, None, None) if row < 0 else stamps[row]

    def _is_fresh(self, market: Market, kind: PriceKind, ns: int) -> bool:
        seen = self._seen.get((market, kind))
        if seen is None or (market, kind) in self._departed:
            return False
        return ns - seen.seen_ns <= self._fresh_ns


def _departure(market: Market, price: Price, venue: str, other: float) -> str:
    return (
        f"{market.name} {price.kind} price {price.price:g} is {price.price / other - 1.0:+.1%} from {other:g} at"
        f" {venue}, and no other exchange is near it; it counts as stale, however long it lasts, until one is"
    )


def _absurd(stamp: FundingStamp, most: float) -> str:
    return (
        f"{stamp.perp} funding of {utc_from_ns(stamp.ns):%Y-%m-%d %H:%M} is {stamp.rate:+g} of the notional, at most"
        f" {most:g} either way is believed; it counts as missing"
    )


def _missed_at_end(stamps: Sequence[FundingStamp]) -> int:
    missed = 0
    for stamp in reversed(stamps):
        if stamp.rate is not None:
            break
        missed += 1
    return missed
