"""Defines a book that lives through random markets and operations of every kind, and knows no attribution.

Each operation is written out as a settlement from the definition of the operation, not from a venue's code.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from basis_actors.finance.attribution import Attribution, PricedBook, attribute
from basis_actors.finance.ledger import book_settlement
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import FundingStamp, MarketState, PerpQuote, ReserveState, StakingQuote
from basis_actors.times import utc_from_ns

START = 1_704_067_200 * 1_000_000_000
HOUR = 3600 * 1_000_000_000
USDT, ETH, BTC, EIGEN = (f"wallet:BaseToken:{token}" for token in ("USDT", "ETH", "BTC", "EIGEN"))
KEPT = {"weETH": "etherfi:LST:weETH", "wstETH": "lido:LST:wstETH"}
CLAIM = {"weETH": "etherfi:UnstakeClaim:ETH", "wstETH": "lido:UnstakeClaim:ETH"}
CASH, COINS = "binance:Margin:USDT", "binance:Margin:BTC"
LINEAR = ("binance:PerpPosition:BTC-PERP", "binance:PerpPosition:ETH-PERP")
COIN_PERP = "binance:InversePerp:BTCUSD-PERP"
POOLED = {
    "aave:aToken:aUSDT": USDT,
    "aave:aToken:aweETH": KEPT["weETH"],
    "aave:debtToken:debtWETH": ETH,
    "morpho:aToken:awstETH": KEPT["wstETH"],
    "morpho:debtToken:debtWETH": ETH,
}


class Market:
    """Prices, marks, rates and indices that wander."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.hour = 0
        self.spot = {"BTC": 40_000.0, "ETH": 2_000.0, "EIGEN": 3.0}
        self.rates = {"weETH": 1.05, "wstETH": 1.17}
        self.index = dict.fromkeys(("USDT", "WETH", "weETH", "morpho:WETH", "morpho:wstETH"), 1.1)
        self.known = self.state(eigen=False, funding=())

    def state(self, *, eigen: bool, funding: tuple[FundingStamp, ...]) -> MarketState:
        prices = {"USDT": 1.0, **{asset: price for asset, price in self.spot.items() if eigen or asset != "EIGEN"}}
        marks = {f"binance:{asset}-PERP": self.near(self.spot[asset]) for asset in ("BTC", "ETH")}
        marks["binance:BTCUSD-PERP"] = self.near(self.spot["BTC"])
        ns = START + self.hour * HOUR
        return MarketState(
            timestamp=utc_from_ns(ns),
            ns=ns,
            prices=prices,
            stale_prices=(),
            spot={},
            perps={name: PerpQuote(mark, True, mark, True, mark, mark) for name, mark in marks.items()},
            funding=funding,
            funding_missed={},
            reserves={
                name: ReserveState(index, index**1.3, 0.03, 0.04, 0.8, True) for name, index in self.index.items()
            },
            staking={lst: StakingQuote(rate, rate * 0.999, True, True) for lst, rate in self.rates.items()},
            oracle_usd={},
            gas=None,
        )

    def near(self, price: float, width: float = 0.01) -> float:
        return price * self.rng.uniform(1.0 - width, 1.0 + width)

    def move(self) -> MarketState:
        """An hour to a day later."""
        before, rng = self.hour, self.rng
        self.hour += rng.choice([1, 8, 24])
        self.spot = {asset: self.near(price, 0.1) for asset, price in self.spot.items()}
        self.rates = {lst: rate * rng.uniform(0.999, 1.002) for lst, rate in self.rates.items()}
        self.index = {name: index * rng.uniform(0.9999, 1.002) for name, index in self.index.items()}
        funding = tuple(
            FundingStamp(START + hour * HOUR, name, rng.uniform(-0.001, 0.001), self.near(mark))
            for hour in range(before + 1, self.hour + 1, 7)
            for name, mark in (("binance:BTC-PERP", self.spot["BTC"]), ("binance:BTCUSD-PERP", self.spot["BTC"]))
        )
        eigen = "EIGEN" in self.known.prices or rng.random() < 0.2
        self.known = self.state(eigen=eigen, funding=funding)
        return self.known


class Story:
    """One book in one share class; `residuals` holds what attribution left, relative to all that moved."""

    def __init__(self, rng: Random, currency: str) -> None:
        self.rng = rng
        self.currency = currency
        self.world = Market(rng)
        self.positions: dict[str, float] = {}
        self.entries: dict[str, float] = {}
        self.news: list[Settlement] = []
        self.count = 0
        self.book = self._now()
        self.steps: list[Attribution] = []
        self.residuals: list[float] = []
        self.turnover = 0.0
        for key, amount in ((USDT, 1e6), (ETH, 400.0), (BTC, 9.0), (CASH, 5e5), (COINS, 6.0)):
            self.settle(DeltaSource.DEPOSIT, PositionDelta(key, amount))
        for lst in KEPT:
            self.stake(lst, 60.0)
        self.look()

    def tell(self, steps: int) -> None:
        """Live through that many ticks, with a few operations at each."""
        for _ in range(steps):
            self.tick()
            self.look()
            for _ in range(self.rng.randrange(4)):
                self.operate()
                self.look()

    def settle(self, source: DeltaSource, *deltas: PositionDelta, at: int | None = None) -> None:
        """Book one settlement, now or at the moment `at`."""
        ns = self.world.known.ns if at is None else at
        told = Settlement(source, utc_from_ns(ns), "story", self.count, deltas, f"op-{self.count}")
        self.count += 1
        self.positions, self.entries = book_settlement(told, self.positions, self.entries)
        self.news.append(told)
        for delta in deltas:
            asset = "BTC" if "BTC" in delta.position_key else delta.position_key.rsplit(":", 1)[-1]
            size = 1.0 if delta.position_key == COIN_PERP else self.world.spot.get(asset, self.world.spot["ETH"])
            self.turnover += abs(delta.delta_amount) * (1.0 if "USDT" in asset else size)

    def look(self) -> None:
        """What a view does: value, attribute, compare."""
        before, after = self.book, self._now()
        step = attribute(before, after, self.news)
        worth = [value_book(book.positions, book.entries, book.market, book.prices) for book in (before, after)]
        unit = after.prices["USDT"]
        gross = sum(abs(value) for book in worth for value in book.values.values()) + self.turnover * unit
        left = worth[1].equity - worth[0].equity - step.flows - step.explained()
        self.residuals.append(left / max(gross, unit))
        self.steps.append(step)
        self.book, self.news, self.turnover = after, [], 0.0

    def _now(self) -> PricedBook:
        market = self.world.known
        return PricedBook(dict(self.positions), dict(self.entries), market, share_class_prices(market, self.currency))

    def tick(self) -> None:
        """Let time pass: stops and liquidations of the bar, then interest, funding, rewards, arrivals."""
        before = self.world.known
        market = self.world.move()
        for key in (*LINEAR, COIN_PERP):
            if self.positions.get(key) and self.rng.random() < 0.2:
                self.close_on_bar(key, min((market.ns, *(stamp.ns for stamp in market.funding))))
        for key in POOLED:
            if amount := self.positions.get(key):
                name = key.rsplit(":", 1)[1].removeprefix("debt").removeprefix("a")
                name = name if key.startswith("aave") else f"morpho:{name}"
                field = "borrow_index" if "debt" in key else "supply_index"
                growth = getattr(market.reserves[name], field) / getattr(before.reserves[name], field)
                self.settle(DeltaSource.ACCRUAL, PositionDelta(key, amount * (growth - 1.0)))
        self.liquidate_loan()
        self.fund(market)
        if self.rng.random() < 0.3:
            self.settle(DeltaSource.REWARD, PositionDelta(EIGEN, self.rng.uniform(1.0, 50.0)))
        for claim in CLAIM.values():
            self.move(claim, ETH, self.positions.get(claim, 0.0))

    def close_on_bar(self, key: str, at_ns: int) -> None:
        """A stop (fill beside its trigger, fee apart) or a liquidation (fee inside), before any funding of the bar."""
        size, entry = self.positions[key], self.entries[key]
        trigger = self.world.near(self.world.spot["ETH" if "ETH" in key else "BTC"], 0.1)
        fill = self.world.near(trigger, 0.002)
        cash = COINS if key == COIN_PERP else CASH
        realised = size * (1.0 / entry - 1.0 / fill) if key == COIN_PERP else size * (fill - entry)
        cost = abs(size) / fill * 0.01 if key == COIN_PERP else abs(size) * fill * 0.01
        if self.rng.random() < 0.5:
            legs = (PositionDelta(key, -size, fill, trigger), PositionDelta(cash, realised))
            self.settle(DeltaSource.EXECUTION, *legs, at=at_ns)
            self.settle(DeltaSource.FEE, PositionDelta(cash, -cost), at=at_ns)
        else:
            legs = (PositionDelta(key, -size, fill), PositionDelta(cash, realised))
            self.settle(DeltaSource.LIQUIDATION, *legs, PositionDelta(cash, -cost), at=at_ns)

    def liquidate_loan(self) -> None:
        """Half the debt is repaid with collateral worth one percent more."""
        debt, lst = self.positions.get("aave:debtToken:debtWETH", 0.0), self.positions.get("aave:aToken:aweETH", 0.0)
        seized = 0.5 * debt * 1.01 / self.world.rates["weETH"]
        if 0.0 < seized < lst and self.rng.random() < 0.3:
            self.settle(
                DeltaSource.LIQUIDATION,
                PositionDelta("aave:aToken:aweETH", -seized),
                PositionDelta("aave:debtToken:debtWETH", -0.5 * debt),
            )

    def fund(self, market: MarketState) -> None:
        for stamp in market.funding:
            assert stamp.rate is not None
            assert stamp.mark is not None
            coin = "USD" in stamp.perp
            size = self.positions.get(COIN_PERP if coin else LINEAR[0], 0.0)
            paid = -size / stamp.mark * stamp.rate if coin else -size * stamp.mark * stamp.rate
            self.settle(DeltaSource.FUNDING, PositionDelta(COINS if coin else CASH, paid, stamp.rate), at=stamp.ns)

    def operate(self) -> None:
        """One operation of a kind that is drawn."""
        kinds = (
            self.trade_spot, self.trade_linear, self.trade_linear, self.trade_coin, self.trade_coin, self.lend,
            self.lend, self.lend, self.swap, self.swap, self.flash_loop, self.pay, self.travel, self.owner,
            self.stake_some, self.unstake, self.be_corrected,
        )  # fmt: skip
        self.rng.choice(kinds)()

    def part_of(self, key: str) -> float:
        return self.positions.get(key, 0.0) * self.rng.choice([0.1, 0.5, 1.0])

    def trade_spot(self) -> None:
        token = self.rng.choice([token for token in self.world.known.prices if token != "USDT"])
        key, price = f"wallet:BaseToken:{token}", self.world.near(self.world.spot[token])
        amount = -self.part_of(key) if self.rng.random() < 0.5 else self.positions.get(USDT, 0.0) * 0.1 / price
        if amount:
            self.settle(DeltaSource.EXECUTION, PositionDelta(key, amount, price), PositionDelta(USDT, -amount * price))
            self.settle(DeltaSource.FEE, PositionDelta(USDT, -abs(amount) * price * 0.0001))

    def trade_linear(self) -> None:
        key = self.rng.choice(LINEAR)
        price = self.world.near(self.world.spot["BTC" if "BTC" in key else "ETH"])
        self.fill(key, self.rng.choice([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0]), price, CASH)

    def trade_coin(self) -> None:
        usd = self.rng.choice([-3, -1, 1, 3]) * 10_000.0
        self.fill(COIN_PERP, usd, self.world.near(self.world.spot["BTC"]), COINS)

    def fill(self, key: str, quantity: float, price: float, cash: str) -> None:
        size = self.positions.get(key, 0.0)
        deltas = [PositionDelta(key, quantity, price)]
        if size * quantity < 0.0:
            closed = min(abs(size), abs(quantity)) * (1.0 if size > 0.0 else -1.0)
            entry = self.entries[key]
            profit = closed * (1.0 / entry - 1.0 / price) if key == COIN_PERP else closed * (price - entry)
            deltas.append(PositionDelta(cash, profit))
        self.settle(DeltaSource.EXECUTION, *deltas)
        fee = abs(quantity) / price if key == COIN_PERP else abs(quantity) * price
        self.settle(DeltaSource.FEE, PositionDelta(cash, -fee * 0.0005))

    def stake_some(self) -> None:
        self.stake(self.rng.choice(list(KEPT)), self.part_of(ETH))

    def stake(self, lst: str, eth: float) -> None:
        rate = self.world.rates[lst]
        if eth:
            got = PositionDelta(KEPT[lst], eth / rate, index=rate)
            self.settle(DeltaSource.EXECUTION, PositionDelta(ETH, -eth), got)
            self.settle(DeltaSource.GAS, PositionDelta("gas:Payable:USDT", -12.5))

    def unstake(self) -> None:
        lst = self.rng.choice(list(KEPT))
        if amount := self.part_of(KEPT[lst]):
            claimed = amount * self.world.rates[lst]
            self.settle(DeltaSource.EXECUTION, PositionDelta(KEPT[lst], -amount), PositionDelta(CLAIM[lst], claimed))

    def lend(self) -> None:
        """Supply, withdraw, borrow or repay; interest aside, what leaves one side arrives on the other."""
        pooled, key = self.rng.choice(list(POOLED.items()))
        if "debt" in pooled:
            owed = self.part_of(pooled)
            change = -owed if self.rng.random() < 0.5 and owed < self.positions.get(ETH, 0.0) else 5.0
            deltas = (PositionDelta(pooled, change), PositionDelta(key, change))
        else:
            change = self.part_of(key) if self.rng.random() < 0.6 else -self.part_of(pooled)
            deltas = (PositionDelta(pooled, change), PositionDelta(key, -change))
        if change:
            self.settle(DeltaSource.EXECUTION, *deltas)

    def swap(self) -> None:
        """On a DEX, LST against ETH either way: impact in the price, the pool's fee out of what comes."""
        lst = self.rng.choice(list(KEPT))
        worth = self.world.rates[lst] * self.rng.uniform(0.95, 1.001)
        source, target, price = self.rng.choice([(KEPT[lst], ETH, worth), (ETH, KEPT[lst], 1.0 / worth)])
        if amount := self.part_of(source):
            gross = amount * price
            self.settle(
                DeltaSource.EXECUTION, PositionDelta(source, -amount, gross / amount), PositionDelta(target, gross)
            )
            self.settle(DeltaSource.FEE, PositionDelta(target, -gross * 0.0005))

    def flash_loop(self) -> None:
        """Borrow 20 ETH, stake, supply, borrow enough for the flash fee and gas, repay."""
        debt, rate = "morpho:flashDebt:WETH", self.world.rates["weETH"]
        got = 20.0 / rate
        for deltas in (
            (PositionDelta(debt, 20.0), PositionDelta(ETH, 20.0)),
            (PositionDelta(ETH, -20.0), PositionDelta(KEPT["weETH"], got, index=rate)),
            (PositionDelta(KEPT["weETH"], -got), PositionDelta("aave:aToken:aweETH", got)),
            (PositionDelta("aave:debtToken:debtWETH", 20.03), PositionDelta(ETH, 20.03)),
            (PositionDelta(debt, -20.0), PositionDelta(ETH, -20.0)),
        ):
            self.settle(DeltaSource.EXECUTION, *deltas)
        self.settle(DeltaSource.FEE, PositionDelta(ETH, -0.01))
        self.settle(DeltaSource.GAS, PositionDelta(ETH, -0.02))

    def pay(self) -> None:
        """A fee in any token that is there."""
        key = self.rng.choice([BTC, EIGEN, *KEPT.values()])
        if held := self.positions.get(key):
            self.settle(DeltaSource.FEE, PositionDelta(key, -held * 0.01))

    def travel(self) -> None:
        """There and back through transit, or half of that."""
        token = self.rng.choice(["USDT", "ETH", "BTC", "EIGEN"])
        home, transit = f"wallet:BaseToken:{token}", f"transit:BaseToken:{token}"
        self.move(home, transit, self.part_of(home) * 0.5)
        if self.rng.random() < 0.5:
            self.move(transit, home, self.positions.get(transit, 0.0))

    def move(self, source: str, target: str, amount: float) -> None:
        if amount:
            self.settle(DeltaSource.TRANSFER, PositionDelta(source, -amount), PositionDelta(target, amount))

    def be_corrected(self) -> None:
        """A venue shows more or less cash and another position than is booked, and is believed."""
        key, price = self.rng.choice([LINEAR[1], COIN_PERP]), self.world.near(self.world.spot["BTC"])
        size = self.rng.choice([-1.5, -0.5, 0.5]) * (10_000.0 if key == COIN_PERP else 1.0)
        cash = PositionDelta(self.rng.choice([CASH, COINS]), self.rng.uniform(-0.5, 0.5))
        self.settle(DeltaSource.ADJUSTMENT, PositionDelta(key, size, price), cash)

    def owner(self) -> None:
        """A deposit or a withdrawal of a tenth, in a token that is drawn."""
        key = self.rng.choice([USDT, ETH, BTC])
        if amount := self.positions.get(key, 0.0) * 0.1:
            source, sign = self.rng.choice([(DeltaSource.DEPOSIT, 1.0), (DeltaSource.WITHDRAWAL, -1.0)])
            self.settle(source, PositionDelta(key, sign * amount))


def parts(steps: list[Attribution]) -> Iterator[tuple[str, float]]:
    """Every component of every step."""
    for step in steps:
        yield from step.components.items()
