"""Defines small local exchanges, and how they are reached."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import TypeVar

from pydantic import SecretStr
from tests.exchange.binance import LocalBinance
from tests.exchange.bybit import LocalBybit
from tests.exchange.market import Kind, Market
from tests.exchange.okx import LocalOkx
from tests.exchange.server import KEY, PASSPHRASE, SECRET, LocalExchange

from basis_actors.config import ExchangeVenue, load_venue
from basis_actors.config.exchange_api import WithdrawalAddress
from basis_actors.config.secrets import ExchangeKeys, PassphraseKeys
from basis_actors.venues.wire.adapter import Adapter
from basis_actors.venues.wire.answers import ApiCall
from basis_actors.venues.wire.build import build_exchange, build_market_data
from basis_actors.venues.wire.market_data import ExchangeMarketData
from basis_actors.venues.wire.pauses import Pauses

KEYS = ExchangeKeys(api_key=SecretStr(KEY), api_secret=SecretStr(SECRET))
KEYS_OF = {
    "binance": KEYS,
    "bybit": KEYS,
    "okx": PassphraseKeys(api_key=SecretStr(KEY), api_secret=SecretStr(SECRET), passphrase=SecretStr(PASSPHRASE)),
}
PAIRS = ("BTC/USDT", "ETH/USDT", "BTC-PERP", "ETH-PERP", "BTCUSD-PERP")
PAIRS_OF = {
    "binance": PAIRS,
    "bybit": ("BTC/USDT", "ETH/USDT", "BTC-PERP", "ETH-PERP"),
    "okx": ("BTC-PERP", "ETH-PERP"),
}
HOME = WithdrawalAddress(venue="wallet", token="USDT", network="ETH", address=f"0x{0xAA:040x}")
HOMES = {"binance": HOME, "bybit": HOME, "okx": HOME.model_copy(update={"network": "USDT-ERC20"})}
CONTRACTS = {"BTC": Decimal("0.01"), "ETH": Decimal("0.1"), "SOL": Decimal(1)}
"""What a contract of OKX is, base units."""
LOTS = {"BTC": Decimal("0.01"), "ETH": Decimal("0.1"), "SOL": Decimal(1)}
"""What of one is traded there."""
_Unified = TypeVar("_Unified", bound=LocalExchange)
PATIENCE_SECONDS = 30.0
"""Real time: longer than any answer takes on a busy machine."""
IMPATIENCE_SECONDS = 0.6
"""Real time: how long an answer is waited for that a test lets hang."""


def markets() -> tuple[Market, ...]:
    """BTC at 60,000 and ETH at 3,000, spot and perpetual."""

    def market(pair: str, symbol: str, kind: Kind, base: str, lot: str, tick: str, price: str) -> Market:
        quote = "USD" if kind is Kind.INVERSE else "USDT"
        contract = Decimal({"BTC": 100, "ETH": 10}[base] if kind is Kind.INVERSE else 1)
        fee = Decimal("0.001") if kind is Kind.SPOT else Decimal("0.0005")
        return Market(
            pair,
            symbol,
            kind,
            base,
            quote,
            Decimal(lot),
            Decimal(tick),
            Decimal(price),
            contract=contract,
            taker=fee,
            max_market=Decimal(10_000 if kind is Kind.INVERSE else 120),
        )

    return (
        market("BTC/USDT", "BTCUSDT", Kind.SPOT, "BTC", "0.00001", "0.01", "60000"),
        market("ETH/USDT", "ETHUSDT", Kind.SPOT, "ETH", "0.0001", "0.01", "3000"),
        market("BTC-PERP", "BTCUSDT", Kind.LINEAR, "BTC", "0.001", "0.1", "60000"),
        market("ETH-PERP", "ETHUSDT", Kind.LINEAR, "ETH", "0.001", "0.01", "3000"),
        market("SOL-PERP", "SOLUSDT", Kind.LINEAR, "SOL", "1", "0.01", "150"),
        market("BTC-FUTURE", "BTCUSDT_241227", Kind.LINEAR, "BTC", "0.001", "0.1", "60000"),
        market("BTCUSD-PERP", "BTCUSD_PERP", Kind.INVERSE, "BTC", "1", "0.1", "60000"),
        market("ETHUSD-PERP", "ETHUSD_PERP", Kind.INVERSE, "ETH", "1", "0.01", "3000"),
    )


def funded() -> LocalBinance:
    """A local Binance with 100,000 USDT in spot and in USD-M, and 2 BTC in spot and in COIN-M."""
    exchange = LocalBinance(markets())
    for purse, token, amount in (
        ("spot", "USDT", "100000"),
        ("spot", "BTC", "2"),
        ("linear", "USDT", "100000"),
        ("inverse", "BTC", "2"),
    ):
        exchange.account.fund(purse, token, amount)
    return exchange


def funded_bybit() -> LocalBybit:
    """A local Bybit with 200,000 USDT and 2 BTC in the unified purse, and 1,000 USDT in the funding purse."""
    kept = [market for market in markets() if market.kind is not Kind.INVERSE]
    for market in kept:
        market.symbol = market.symbol.replace("_241227", "-27DEC24")
    return _unified(LocalBybit(kept))


def funded_okx() -> LocalOkx:
    """A local OKX with 200,000 USDT and 2 BTC in the trading account, and 1,000 USDT in the funding purse."""
    kept = [market for market in markets() if market.kind is Kind.LINEAR]
    for market in kept:
        dated = market.symbol.partition("_")[2]
        market.symbol = f"{market.base}-{market.quote}-{dated or 'SWAP'}"
        market.contract = CONTRACTS[market.base]
        market.lot, market.min_notional = market.contract * LOTS[market.base], Decimal(0)
    return _unified(LocalOkx(kept))


EXCHANGES = {"binance": funded, "bybit": funded_bybit, "okx": funded_okx}
"""How each is opened."""


def _unified(exchange: _Unified) -> _Unified:
    for purse, token, amount in (("unified", "USDT", "200000"), ("unified", "BTC", "2"), ("funding", "USDT", "1000")):
        exchange.account.fund(purse, token, amount)
    return exchange


def venue_of(exchange: LocalExchange) -> ExchangeVenue:
    """The venue as it is configured, at the local exchange's address."""
    venue = load_venue(exchange.venue)
    assert isinstance(venue, ExchangeVenue)
    assert venue.api is not None
    home = HOMES[exchange.venue]
    api = venue.api.model_copy(update={"timeout_seconds": PATIENCE_SECONDS, "withdrawal_addresses": (home,)})
    return venue.model_copy(update={"urls": exchange.urls, "api": api})


@asynccontextmanager
async def connected(
    exchange: LocalExchange,
    *,
    pairs: Iterable[str] | None = None,
    signs: bool = True,
    record: Callable[[ApiCall], None] = lambda _call: None,
    identified: Callable[[str], object] = lambda _account: None,
    pauses: Pauses | None = None,
) -> AsyncIterator[Adapter]:
    """The real adapter, talking to it, with its keys if it `signs`. Where it waits, the clock moves."""

    async def sleep(seconds: float) -> None:
        exchange.clock.advance(seconds)

    venue = venue_of(exchange)
    wanted = PAIRS_OF[exchange.venue] if pairs is None else pairs
    keys = KEYS_OF[exchange.venue] if signs else None
    monotonic_ns = exchange.clock.monotonic_ns
    api = build_exchange(
        venue,
        wanted,
        keys,
        record=record,
        pauses=Pauses(lambda: exchange.clock.ns) if pauses is None else pauses,
        monotonic_ns=monotonic_ns,
        sleep=sleep,
        identified=identified,
    )
    assert isinstance(api, Adapter)
    try:
        yield api
    finally:
        await api.close()


@asynccontextmanager
async def listening(
    exchange: LocalExchange,
    *,
    pairs: Iterable[str] | None = None,
    urls: dict[str, str] | None = None,
    record: Callable[[ApiCall], None] = lambda _call: None,
    pauses: Pauses | None = None,
) -> AsyncIterator[ExchangeMarketData]:
    """The real market data of it. Where requests wait, the clock moves."""

    async def sleep(seconds: float) -> None:
        exchange.clock.advance(seconds)

    venue = venue_of(exchange)
    venue = venue.model_copy(update={"urls": venue.urls | (urls or {})})
    wanted = PAIRS_OF[exchange.venue] if pairs is None else pairs
    market = build_market_data(
        venue,
        wanted,
        record=record,
        pauses=Pauses(lambda: exchange.clock.ns) if pauses is None else pauses,
        monotonic_ns=exchange.clock.monotonic_ns,
        sleep=sleep,
    )
    try:
        yield market
    finally:
        await market.close()


@contextmanager
def impatient(api: Adapter) -> Iterator[None]:
    """Within it the adapter gives up soon. What else a test asks takes as long as the machine needs."""
    client = api._caller._client._exchange
    before, client.timeout = client.timeout, IMPATIENCE_SECONDS * 1000
    try:
        yield
    finally:
        client.timeout = before
