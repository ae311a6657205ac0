"""One suite of invariants for every simulated venue: whatever is asked of it, in any order, at any market.

Actions are drawn without regard to whether the account can afford them, so that refusals are as common as fills.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.venues.worlds import HOUR, START, Desk, chain_desk, exchange_desk, in_group

from basis_actors.errors import Rejected
from basis_actors.finance.attribution import PricedBook, attribute
from basis_actors.finance.keys import LedgerKey, parse_key
from basis_actors.finance.ledger import book_settlement
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, PositionDelta, Settlement
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.orders import OperationType, Order, OrderType, Side

Action = tuple[str, dict[str, Any]]
COIN_PERP = "binance:InversePerp:BTCUSD-PERP"

assets = st.sampled_from(["BTC", "BTC", "ETH"])
shares = st.one_of(st.floats(0.05, 1.1), st.sampled_from([1.0, 1.0, 1.0 + 1e-10, 1e9]))
seldom = st.sampled_from([False] * 7 + [True])
ticks = st.fixed_dictionaries(
    {
        "btc": st.floats(25_000.0, 90_000.0),
        "eth": st.floats(1_000.0, 4_000.0),
        "swing": st.sampled_from([0.0, 0.02, 0.1, 0.4]),
        "rates": st.lists(st.one_of(st.none(), st.floats(-0.02, 0.02)), max_size=4),
        "grown": st.floats(-1e-4, 0.01),
        "stale": seldom,
        "flow": st.sampled_from([0.0, 0.0, 500.0, -500.0]),
        "hours": st.integers(1, 48),
    }
)
trades = st.fixed_dictionaries(
    {
        "share": shares,
        "asset": assets,
        "up": st.booleans(),
        "closing": st.booleans(),
        "ragged": seldom,
        "limit": st.sampled_from([None] * 5 + [30_000.0, 60_000.0]),
        "stop": st.sampled_from([None] * 4 + [0.99, 0.9, 1.01, 1.1]),
    }
)
moves = st.fixed_dictionaries({"share": shares, "route": st.integers(0, 12)})
loans = st.fixed_dictionaries(
    {
        "operation": st.sampled_from(
            [
                OperationType.SUPPLY,
                OperationType.SUPPLY,
                OperationType.BORROW,
                OperationType.WITHDRAW,
                OperationType.REPAY,
            ]
        ),
        "token": st.sampled_from(["USDT"] * 5 + ["ETH"] * 6 + ["weETH"] * 4 + ["DAI"]),
        "share": shares,
    }
)


def named(kind: str, parameters: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Action]:
    return parameters.map(lambda drawn: (kind, drawn))


on_exchange = st.lists(
    st.one_of(
        named("tick", ticks),
        named("tick", ticks),
        named("spot", trades),
        named("perp", trades),
        named("perp", trades),
        named("coin", trades),
        named("move", moves),
    ),
    min_size=5,
    max_size=25,
)
on_chain = st.lists(
    st.one_of(
        named("tick", ticks),
        named("loan", loans),
        named("loan", loans),
        named("move", moves),
        named("group", st.fixed_dictionaries({"loans": st.lists(loans, min_size=1, max_size=4)})),
    ),
    min_size=5,
    max_size=25,
)


def rich_chain(currency: str, *, free: bool) -> Desk:
    desk = chain_desk(currency, free=free, capital=10_000.0)
    desk.give("wallet:BaseToken:USDT", 50_000.0)
    desk.give("etherfi:LST:weETH", 40.0)
    return desk


def with_coins(*, free: bool) -> Desk:
    desk = exchange_desk(free=free)
    desk.give("binance:Margin:BTC", 1.5)
    return desk


EXCHANGES: dict[str, Callable[[], Desk]] = {
    "split": lambda: with_coins(free=False),
    "unified": lambda: exchange_desk(unified=True),
    "frictionless": lambda: with_coins(free=True),
}
CHAINS: dict[str, Callable[[], Desk]] = {
    "chain, usdt class": lambda: rich_chain("USDT", free=False),
    "chain, eth class": lambda: rich_chain("ETH", free=False),
    "chain, frictionless": lambda: rich_chain("USDT", free=True),
}


class Fills:
    """Perp fills of one margin currency in exact fractions; it knows what they cost, not what they realise.

    A linear contract of q at p costs q x p of USDT, an inverse one of q USD at p costs -q / p coins.
    """

    def __init__(self) -> None:
        self.booked = 0.0
        self.cost: dict[str, Fraction] = {}
        self.size: dict[str, Fraction] = {}
        self.entry: dict[str, Fraction] = {}
        self.turnover = 1.0

    def add(self, key: str, amount: float, price: float) -> None:
        worth = -1 / Fraction(price) if parse_key(key).inverse else Fraction(price)
        quantity, paid = Fraction(amount), Fraction(amount) * worth
        held = self.size.get(key, Fraction(0))
        after = held + quantity
        if held == 0 or (abs(after) > abs(held) and held * after > 0):
            self.entry[key] = (held * self.entry.get(key, Fraction(0)) + paid) / after
        elif held * after < 0:
            self.entry[key] = worth
        if abs(after) < Fraction(1, 10**9):
            after = Fraction(0)
        self.size[key] = after
        self.cost[key] = self.cost.get(key, Fraction(0)) + paid
        self.turnover += abs(float(paid))

    def realised(self) -> float:
        """What closing has brought: cost of what is held at its average entry, minus what all fills cost."""
        return float(sum(self.size[key] * self.entry.get(key, Fraction(0)) - self.cost[key] for key in self.cost))


def base_units(delta: PositionDelta) -> float:
    contract = parse_key(delta.position_key).contract
    if contract is None or delta.price is None:
        return abs(delta.delta_amount)
    return abs(contract.exposure(delta.delta_amount, delta.price))


class Auditor:
    """Follows a desk and checks each settlement against what its source is allowed to do."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.fills = {"USDT": Fills(), "BTC": Fills()}
        self.seen = len(desk.settlements)
        self.books = {currency: self._priced(currency, dict(desk.ledger), {}) for currency in ("USDT", "ETH", "BTC")}

    def check(self) -> None:
        news = self.desk.settlements[self.seen :]
        for settlement in news:
            self._check_settlement(settlement)
        self._check_explained(news)
        self.seen = len(self.desk.settlements)
        report, ledger = self.desk.report(), self.desk.ledger
        for key in {*report, *ledger}:
            if not key.startswith("transit:"):
                shown, summed = report.get(key, 0.0), ledger.get(key, 0.0)
                assert shown == pytest.approx(summed, rel=1e-12, abs=1e-9), key
        for key, amount in report.items():
            margin = ("binance:Margin:USDT", "binance:Margin:BTC", "bybit:BaseToken:USDT")
            signed = parse_key(key).signed or key in margin
            assert amount > 0.0 or signed, f"{key} is {amount}"
        for fills in self.fills.values():
            for key, size in fills.size.items():
                assert float(size) == pytest.approx(report.get(key, 0.0), abs=1e-9)
            assert fills.booked == pytest.approx(fills.realised(), abs=1e-10 * fills.turnover)

    def _priced(self, currency: str, positions: dict[str, float], entries: dict[str, float]) -> PricedBook:
        market = self.desk.market
        return PricedBook(positions, entries, market, share_class_prices(market, currency))

    def _check_explained(self, news: list[Settlement]) -> None:
        """Attribution explains what the venue settled, in any share class, up to the rounding of what moved."""
        prices = self.desk.market.prices
        moved = sum(
            base_units(delta) * prices.get(parse_key(delta.position_key).asset, 0.0)
            for settlement in news
            for delta in settlement.deltas
        )
        for currency, before in self.books.items():
            positions, entries = dict(before.positions), dict(before.entries)
            for settlement in news:
                positions, entries = book_settlement(settlement, positions, entries)
            after = self.books[currency] = self._priced(currency, positions, entries)
            worth = [value_book(book.positions, book.entries, book.market, book.prices) for book in (before, after)]
            step = attribute(before, after, news)
            held = sum(abs(value) for valued in worth for value in valued.values.values())
            residual = worth[1].equity - worth[0].equity - step.flows - step.explained()
            assert abs(residual) <= 1e-11 * (held + moved * after.prices["USDT"]), (currency, residual, step.components)

    def _check_settlement(self, settlement: Settlement) -> None:
        deltas = [(parse_key(delta.position_key), delta) for delta in settlement.deltas]
        perps = [(info, delta) for info, delta in deltas if info.perp is not None]
        source = settlement.source
        for info, delta in perps:
            assert delta.price is not None, "every perp delta carries its price"
            self.fills[info.paid_in].add(info.key, delta.delta_amount, delta.price)
        if source in (DeltaSource.FEE, DeltaSource.GAS):
            assert len(deltas) == 1
            assert deltas[0][1].delta_amount < 0.0
        elif source is DeltaSource.TRANSFER or (source is DeltaSource.EXECUTION and not perps):
            self._check_conserved(deltas)
        elif source is DeltaSource.EXECUTION:
            self._realised([(info, delta) for info, delta in deltas if info.perp is None])
        elif source is DeltaSource.LIQUIDATION and perps:
            self._realised(deltas[1 : 2 * len(perps) : 2])
            assert len(deltas) in (2 * len(perps), 2 * len(perps) + 1)
            if len(deltas) > 2 * len(perps):
                assert deltas[-1][1].delta_amount < 0.0, "what follows the closes is the fee"
        elif source is DeltaSource.ACCRUAL:
            assert all(info.reserve is not None for info, _ in deltas)

    def _realised(self, deltas: Iterable[tuple[LedgerKey, PositionDelta]]) -> None:
        for info, delta in deltas:
            self.fills[info.asset].booked += delta.delta_amount

    def _check_conserved(self, deltas: Iterable[tuple[Any, Any]]) -> None:
        """Value in equals value out: a token moves, or is traded at the price that the settlement names."""
        worth: dict[str, Fraction] = {}
        scale = 0.0
        for info, delta in deltas:
            traded = delta.price is not None
            unit = "USDT" if traded else f"{info.asset}{info.lst or ''}"
            amount = Fraction(delta.delta_amount) * int(info.sign) * (Fraction(delta.price) if traded else 1)
            worth[unit] = worth.get(unit, Fraction(0)) + amount
            scale = max(scale, float(abs(amount)))
        for unit, rest in worth.items():
            assert abs(float(rest)) <= 1e-12 * scale, f"{unit}: {float(rest)} appeared from nothing"


def agree(answer: ExecutionHandshake) -> None:
    """Handshake and settlements tell the same story."""
    summed: dict[str, float] = {}
    costs = 0.0
    for settlement in answer.settlements:
        assert settlement.operation_id == answer.operation_id
        for delta in settlement.deltas:
            if settlement.source in (DeltaSource.FEE, DeltaSource.GAS):
                costs -= delta.delta_amount
            else:
                summed[delta.position_key] = summed.get(delta.position_key, 0.0) + delta.delta_amount
    assert summed == answer.actual_deltas
    assert costs == pytest.approx(answer.fee_amount, rel=1e-9)


def go_on(desk: Desk, drawn: dict[str, Any], index: list[float]) -> None:
    hour = desk.hour + drawn["hours"]
    index[0] *= 1.0 + drawn["grown"]
    venue = desk.venue.domain
    funding = [
        FundingStamp(
            START + (hour - 1) * HOUR + (place + 1) * HOUR // 4, f"{venue}:{asset}-PERP", rate, drawn["btc"] / 20
        )
        for place, (rate, asset) in enumerate(zip(drawn["rates"], ("BTC", "ETH", "BTC", "BTCUSD"), strict=False))
    ]
    desk.tick(
        hours=drawn["hours"],
        btc=drawn["btc"],
        eth=drawn["eth"],
        highs={"BTC": drawn["btc"] * (1 + drawn["swing"]), "ETH": drawn["eth"] * (1 + drawn["swing"])},
        lows={"BTC": drawn["btc"] * (1 - drawn["swing"]), "ETH": drawn["eth"] * (1 - drawn["swing"])},
        funding=funding,
        supply=dict.fromkeys(("USDT", "WETH", "weETH"), index[0]),
        borrow=dict.fromkeys(("USDT", "WETH", "weETH"), index[0] ** 1.5),
        fresh=not drawn["stale"],
        flows=(drawn["flow"],) if drawn["flow"] else (),
    )


def order_of(desk: Desk, kind: str, drawn: dict[str, Any]) -> Order:
    held = desk.report()
    if kind == "loan":
        return loan_of(desk, held, drawn)
    if kind == "move":
        return move_of(desk, held, drawn)
    home, asset = desk.venue.domain, drawn["asset"]
    price = 40_000.0 if asset == "BTC" else 2_000.0
    cash = held.get(f"{home}:BaseToken:USDT", 0.0) + held.get(f"{home}:Margin:USDT", 0.0)
    coins = held.get(f"{home}:BaseToken:{asset}", 0.0)
    size = held.get(f"{home}:PerpPosition:{asset}-PERP", 0.0)
    more: dict[str, Any] = {} if drawn["limit"] is None else {"price": drawn["limit"], "order_type": OrderType.LIMIT}
    closing = drawn["closing"]
    if kind == "spot":
        amount = drawn["share"] * (coins if closing else 0.9 * cash / price)
        return desk.spot(Side.SELL if closing else Side.BUY, on_the_lot(amount, 1e-5, drawn), asset, **more)
    if kind == "coin":
        price, cash, size = 1.0 / 40_000.0, held.get("binance:Margin:BTC", 0.0), held.get(COIN_PERP, 0.0)
    amount = drawn["share"] * (abs(size) if closing else 8.0 * max(cash, 0.0) / price)
    up = size < 0.0 if closing else drawn["up"]
    side = Side.LONG if up else Side.SHORT
    if drawn["stop"] is not None and drawn["limit"] is None:
        level = drawn["stop"] * (2_000.0 if asset == "ETH" and kind == "perp" else 40_000.0)
        more["stop_loss" if up == (drawn["stop"] < 1.0) else "take_profit"] = level
    more["reduce_only"] = closing and drawn["up"]
    if kind == "coin":
        return desk.inverse(side, on_the_lot(amount, 100.0, drawn), **more)
    return desk.perp(side, on_the_lot(amount, 0.001, drawn), asset, **more)


def on_the_lot(amount: float, lot: float, drawn: dict[str, Any]) -> float:
    """Lots counted in plain floats, noise included, as a careless caller would."""
    return max(amount, lot) if drawn["ragged"] else max(round(amount / lot), 1) * lot


def loan_of(desk: Desk, held: dict[str, float], drawn: dict[str, Any]) -> Order:
    token, operation = drawn["token"], drawn["operation"]
    reserve = "WETH" if token == "ETH" else token
    keys = {
        OperationType.SUPPLY: "etherfi:LST:weETH" if token == "weETH" else f"wallet:BaseToken:{token}",
        OperationType.WITHDRAW: f"aave:aToken:a{reserve}",
        OperationType.REPAY: f"aave:debtToken:debt{reserve}",
    }
    base = held.get(keys[operation], 1e-3) if operation in keys else 30_000.0 if token == "USDT" else 15.0
    return desk.lend(operation, base * drawn["share"], token)


def move_of(desk: Desk, held: dict[str, float], drawn: dict[str, Any]) -> Order:
    home = desk.venue.venues[0]
    usdt, margin, owed = f"{home}:BaseToken:USDT", f"{home}:Margin:USDT", "gas:Payable:USDT"
    routes = [
        (usdt, margin, home),
        (margin, usdt, home),
        (margin, usdt, home),
        (usdt, "elsewhere:BaseToken:USDT", "elsewhere"),
        (f"{home}:BaseToken:BTC", "elsewhere:BaseToken:BTC", "elsewhere"),
        (f"{home}:BaseToken:ETH", "elsewhere:BaseToken:ETH", "elsewhere"),
        (usdt, owed, home),
        (usdt, "external:BaseToken:USDT", "external"),
        (owed, usdt, home),
        (usdt, f"{home}:BaseToken:BTC", home),
        (f"{home}:BaseToken:BTC", f"{home}:Margin:BTC", home),
        (f"{home}:Margin:BTC", f"{home}:BaseToken:BTC", home),
        (f"{home}:Margin:BTC", "elsewhere:BaseToken:BTC", "elsewhere"),
    ]
    source, target, venue = routes[drawn["route"]]
    amount = max(abs(held.get(owed if target == owed else source, 0.0)), 1e-3) * drawn["share"]
    return desk.transfer(amount, source, target, venue)


def refusal_of(desk: Desk, order: Order) -> Rejected | None:
    """Send an order; what the venue said when it refused."""
    try:
        agree(desk.send(order))
    except Rejected as refusal:
        return refusal
    return None


def play(desk: Desk, actions: list[Action]) -> None:
    auditor, index = Auditor(desk), [1.03]
    auditor.check()
    for kind, drawn in actions:
        before, told = desk.report(), len(desk.settlements)
        if kind == "tick":
            go_on(desk, drawn, index)
        elif kind == "group":
            answers = desk.group(*in_group([order_of(desk, "loan", one) for one in drawn["loans"]]))
            done = [answer.was_successful() for answer in answers]
            assert all(done) or not any(done)
            if not any(done):
                gas = ("gas:Payable:USDT", "wallet:BaseToken:ETH")
                same = [
                    {key: amount for key, amount in shown.items() if key not in gas}
                    for shown in (before, desk.report())
                ]
                assert same[0] == same[1]
            for answer in answers:
                if answer.was_successful():
                    agree(answer)
        else:
            refusal = refusal_of(desk, order_of(desk, kind, drawn))
            if refusal is not None:
                assert refusal.code in ("EXEC-003", "EXEC-004", "STRAT-006", "VEN-004")
                assert desk.report() == before
                assert len(desk.settlements) == told
        auditor.check()


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("world", EXCHANGES)
@examples(60)
@given(actions=on_exchange)
def test_exchange_accounts_keep_every_invariant(world: str, actions: list[Action]) -> None:
    play(EXCHANGES[world](), actions)


@pytest.mark.parametrize("world", CHAINS)
@examples(60)
@given(actions=on_chain)
def test_chain_accounts_keep_every_invariant(world: str, actions: list[Action]) -> None:
    play(CHAINS[world](), actions)


@pytest.mark.long
@pytest.mark.parametrize("world", [*EXCHANGES, *CHAINS])
def test_accounts_keep_every_invariant_for_long(world: str, form: str) -> None:
    """The short form draws 200 stories a world instead of 2,000."""
    drawn = on_exchange if world in EXCHANGES else on_chain

    @examples(2000 if form == "full" else 200)
    @given(actions=drawn)
    def story(actions: list[Action]) -> None:
        play({**EXCHANGES, **CHAINS}[world](), actions)

    story()
