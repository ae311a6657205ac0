"""Defines small markets, orders and accounts for the tests of simulated venues."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from basis_actors.finance.margin import Bracket
from basis_actors.messages.book import Flow, TickStarted
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.execution import ExecutionHandshake, Settlement
from basis_actors.messages.market import (
    FundingStamp,
    GasQuote,
    MarketState,
    PerpQuote,
    ReserveState,
    RewardStamp,
    SpotQuote,
    StakingQuote,
)
from basis_actors.messages.orders import ExecutionMode, ExpectedDelta, OperationType, Order, Side
from basis_actors.times import utc_from_ns
from basis_actors.venues.simulated.chain import SimulatedChain
from basis_actors.venues.simulated.chain_terms import (
    ChainTerms,
    EmodeTerms,
    GasTerms,
    PoolTerms,
    ReserveTerms,
    RiskParameters,
)
from basis_actors.venues.simulated.domain import SimulatedDomain
from basis_actors.venues.simulated.exchange import SimulatedExchange
from basis_actors.venues.simulated.lending_pool import LendingAccount
from basis_actors.venues.simulated.terms import (
    ExchangeTerms,
    PerpMarket,
    SpotMarket,
)

T = TypeVar("T")
HOUR = 3600 * 1_000_000_000
START = 1_704_067_200 * 1_000_000_000
"""2024-01-01 00:00 UTC."""

BRACKETS = (
    Bracket(0.0, 300_000.0, 0.004, 0.0, 150.0),
    Bracket(300_000.0, 800_000.0, 0.005, 300.0, 100.0),
    Bracket(800_000.0, 3_000_000.0, 0.0065, 1_500.0, 75.0),
)
IMPACT = (4.0, 6.0, 12.0)
FREE = (0.0, 0.0, 0.0)
RESERVES = {
    "USDT": ReserveTerms(RiskParameters(0.75, 0.78, 0.045), collateral=True, borrowable=True),
    "WETH": ReserveTerms(RiskParameters(0.805, 0.83, 0.05), collateral=True, borrowable=True),
    "weETH": ReserveTerms(RiskParameters(0.775, 0.80, 0.07), collateral=True, borrowable=False),
    "wstETH": ReserveTerms(RiskParameters(0.785, 0.81, 0.06), collateral=True, borrowable=False),
}
EMODE = EmodeTerms(RiskParameters(0.93, 0.95, 0.01), frozenset({"weETH", "wstETH"}), frozenset({"WETH"}))
QUIET = GasQuote(20.0, 0.5, True)
GAS_UNITS = {
    "supply": 250e3,
    "withdraw": 220e3,
    "borrow": 300e3,
    "repay": 280e3,
    "transfer": 65e3,
    "transfer_eth": 21e3,
    "stake": 150e3,
    "unstake": 200e3,
    "swap": 180e3,
    "atomic_entry": 1_250e3,
    "atomic_unwind": 850e3,
}
DAY = 24 * HOUR
RATES = {"weETH": 1.05, "wstETH": 1.2}
"""ETH per staking token."""


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Result of a coroutine that never suspends; fails when it does."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise AssertionError("the venue suspended")


class StillClock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.ns = START
        self.slept: list[float] = []

    def now(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def market(
    hour: int,
    *,
    btc: float = 40_000.0,
    eth: float = 2_000.0,
    marks: Mapping[str, float] = {},
    highs: Mapping[str, float] = {},
    lows: Mapping[str, float] = {},
    opens: Mapping[str, float] = {},
    funding: Iterable[FundingStamp] = (),
    supply: Mapping[str, float] = {},
    borrow: Mapping[str, float] = {},
    oracle: Mapping[str, float] = {},
    fresh: bool = True,
    mark_fresh: bool = True,
    gas: GasQuote | None = QUIET,
    rates: Mapping[str, float] = {},
    traded: Mapping[str, float | None] = {},
    rates_fresh: bool = True,
    tokens: Mapping[str, float] = {},
    rewards: Iterable[RewardStamp] = (),
    available: Mapping[str, float] = {},
    unpriced: tuple[str, ...] = (),
) -> MarketState:
    """The market `hour` hours after the start; marks by asset, indices and oracle prices by reserve.

    Staking tokens have a protocol rate (`rates`) and, `traded` at the same unless told, a market rate. `tokens` are
    prices of further tokens in USDT. `available` has the reserves whose pools have a size,
    `unpriced` assets whose reference price is not known yet.
    """
    ns = START + hour * HOUR
    prices = {"USDT": 1.0, "BTC": btc, "ETH": eth, **tokens}
    issued = {**RATES, **rates}
    perps = {}
    for venue in ("binance", "bybit"):
        for asset in ("BTC", "ETH"):
            mark = marks.get(asset, prices[asset])
            perps[f"{venue}:{asset}-PERP"] = PerpQuote(
                prices[asset],
                fresh,
                mark,
                mark_fresh,
                highs.get(asset, mark),
                lows.get(asset, mark),
                opens.get(asset),
            )
    perps["binance:BTCUSD-PERP"] = perps["binance:BTC-PERP"]
    reserves = {
        token: ReserveState(
            supply.get(token, 1.03), borrow.get(token, 1.05), 0.04, 0.05, 0.9, fresh, available.get(token)
        )
        for token in (*RESERVES, "morpho:WETH", "morpho:weETH", "morpho:wstETH")
    }
    return MarketState(
        timestamp=utc_from_ns(ns),
        ns=ns,
        prices={asset: price for asset, price in prices.items() if asset not in unpriced},
        stale_prices=() if fresh else ("BTC", "ETH"),
        spot={f"binance:{asset}": SpotQuote(prices[asset], fresh) for asset in ("BTC", "ETH")},
        perps=perps,
        funding=tuple(funding),
        funding_missed={},
        reserves=reserves,
        staking={
            lst: StakingQuote(rate, traded.get(lst, rate), rates_fresh, rates_fresh) for lst, rate in issued.items()
        },
        oracle_usd={
            "USDT": 1.0,
            "WETH": eth,
            **{lst: eth * rate for lst, rate in issued.items()},
            **oracle,
        },
        gas=gas,
        rewards=tuple(rewards),
    )


def exchange_terms(venue: str = "binance", *, unified: bool = False, free: bool = False) -> ExchangeTerms:
    """An exchange with BTC and ETH markets; `free` takes every cost away."""
    impact = FREE if free else IMPACT
    cost = 0.0 if free else 1.0
    return ExchangeTerms(
        venue=venue,
        margin_key=f"{venue}:BaseToken:USDT" if unified else f"{venue}:Margin:USDT",
        spot={
            f"{asset}/USDT": SpotMarket(f"{asset}/USDT", asset, 0.00001, 0.00001, impact) for asset in ("BTC", "ETH")
        },
        perps={
            f"{asset}-PERP": PerpMarket(f"{asset}-PERP", 0.001, 0.001, impact, BRACKETS) for asset in ("BTC", "ETH")
        },
        inverse_perps={} if unified else {"BTC": PerpMarket("BTCUSD-PERP", 100.0, 100.0, impact, BRACKETS)},
        spot_fee=0.001 * cost,
        perp_fee=0.0005 * cost,
        inverse_fee=0.0004 * cost,
        minimum_notional=10.0,
        liquidation_fee=0.0125 * cost,
        withdrawal_fees={"USDT": 1.0 * cost, "BTC": 0.00002 * cost, "ETH": 0.0002 * cost},
    )


def chain_terms(currency: str = "USDT", *, free: bool = False) -> ChainTerms:
    """A wallet in a share class; `free` takes gas away."""
    paid_from = "wallet:BaseToken:ETH" if currency == "ETH" else f"gas:Payable:{currency}"
    gas = None if free else GasTerms(GAS_UNITS, 2.0, paid_from, currency)
    return ChainTerms(domain="ethereum", wallet="wallet", currency=currency, gas=gas)


POOL = PoolTerms(
    venue="aave_v3",
    ledger_name="aave",
    reserve_prefix="",
    reserves=RESERVES,
    emode=(EMODE,),
    close_factor=0.5,
    full_liquidation_below=0.95,
    isolated=False,
)


class Desk:
    """One venue under test, with a ledger that does nothing but add up what the venue settled."""

    def __init__(self, venue: SimulatedDomain, clock: StillClock) -> None:
        self.venue = venue
        self.clock = clock
        self.ledger: dict[str, float] = {}
        self.settlements: list[Settlement] = []
        self.hour = -1
        self.market = market(0)
        self._orders = 0

    def note(self, settlements: Iterable[Settlement]) -> None:
        """Add settlements to the ledger, which insists on their order."""
        for settlement in settlements:
            assert settlement.sequence == len(self.settlements), "sequence has a gap"
            if self.settlements:
                assert settlement.timestamp >= self.settlements[-1].timestamp, "time runs back"
            self.settlements.append(settlement)
            for delta in settlement.deltas:
                self.ledger[delta.position_key] = self.ledger.get(delta.position_key, 0.0) + delta.delta_amount

    def tick(self, *, flows: tuple[float, ...] = (), hours: int = 1, **at: Any) -> tuple[Settlement, ...]:
        """Go `hours` on to a market made of `at`, and settle."""
        self.hour += hours
        state = market(self.hour, **at)
        self.clock.ns = state.ns
        self.market = state
        started = TickStarted(self.hour, state, tuple(Flow(state.timestamp, amount) for amount in flows))
        settled = self.venue.settle(started)
        self.note(settled)
        return settled

    def give(self, key: str, amount: float) -> None:
        """Have tokens arrive now."""
        token = key.rsplit(":", 1)[-1]
        transfer = IncomingTransfer(
            f"gift {len(self.settlements)}", key, f"transit:BaseToken:{token}", amount, self.clock.ns
        )
        at_once(self.venue.expect(transfer))
        self.ledger[transfer.transit_key] = self.ledger.get(transfer.transit_key, 0.0) + amount
        self.tick(hours=1)

    def send(self, order: Order) -> ExecutionHandshake:
        """Have one order carried out."""
        handshake = at_once(self.venue.execute(order))
        self.note(handshake.settlements)
        return handshake

    def group(self, *orders: Order) -> tuple[ExecutionHandshake, ...]:
        """Have orders carried out in one transaction."""
        handshakes = at_once(self.venue.execute_group(orders))
        for handshake in handshakes:
            self.note(handshake.settlements)
        return handshakes

    def report(self) -> dict[str, float]:
        """What the venue shows."""
        return at_once(self.venue.report())

    def order(self, operation: OperationType, amount: float, source: str, target: str, **more: Any) -> Order:
        """An order of the right form with a fresh id."""
        self._orders += 1
        venue = more.pop("venue", self.venue.venues[0])
        return Order(
            operation_id=more.pop("operation_id", f"order-{self._orders}"),
            venue=venue,
            operation=operation,
            amount=amount,
            source_venue=more.pop("source_venue", venue),
            target_venue=more.pop("target_venue", venue),
            source_token=source,
            target_token=target,
            expected_deltas=(ExpectedDelta("wallet:BaseToken:USDT", 0.0, "USDT", venue, operation),),
            **more,
        )

    def spot(self, side: Side, amount: float, asset: str = "BTC", **more: Any) -> Order:
        """A spot order."""
        return self.order(OperationType.SPOT_TRADE, amount, "USDT", asset, pair=f"{asset}/USDT", side=side, **more)

    def perp(self, side: Side, amount: float, asset: str = "BTC", **more: Any) -> Order:
        """A perp order."""
        return self.order(OperationType.PERP_TRADE, amount, "USDT", asset, pair=f"{asset}-PERP", side=side, **more)

    def inverse(self, side: Side, notional: float, **more: Any) -> Order:
        """An order of the coin-margined BTC perp, in USD."""
        return self.order(
            OperationType.PERP_TRADE, notional, "BTC", "BTCUSD-PERP", pair="BTCUSD-PERP", side=side, **more
        )

    def transfer(self, amount: float, source: str, target: str, target_venue: str, **more: Any) -> Order:
        """A transfer between two position keys."""
        token = source.rsplit(":", 1)[-1]
        details = {"source_key": source, "target_key": target}
        return self.order(
            OperationType.TRANSFER, amount, token, token, target_venue=target_venue, operation_details=details, **more
        )

    def lend(self, operation: OperationType, amount: float, token: str, **more: Any) -> Order:
        """An order to a pool, Aave unless told, for `amount` of an underlying token."""
        return self.order(operation, amount, token, token, venue=more.pop("venue", "aave_v3"), **more)


def in_group(orders: Iterable[Order]) -> tuple[Order, ...]:
    """The same orders as members of one atomic group."""
    return tuple(
        replace(order, atomic_group_id="group-1", sequence_in_group=place, execution_mode=ExecutionMode.ATOMIC)
        for place, order in enumerate(orders)
    )


def exchange_desk(*, unified: bool = False, free: bool = False, usdt: float = 100_000.0) -> Desk:
    """An exchange account with cash where perps are margined, one tick after the start."""
    clock = StillClock()
    terms = exchange_terms("bybit" if unified else "binance", unified=unified, free=free)
    desk = Desk(SimulatedExchange(terms, clock), clock)
    desk.tick()
    if usdt:
        desk.give(terms.margin_key, usdt)
    return desk


def chain_desk(currency: str = "USDT", *, free: bool = False, capital: float = 100_000.0) -> Desk:
    """A wallet with capital and an Aave account."""
    clock = StillClock()
    desk = Desk(SimulatedChain(chain_terms(currency, free=free), [LendingAccount(POOL)], clock), clock)
    desk.tick(flows=(capital,) if capital else ())
    return desk
