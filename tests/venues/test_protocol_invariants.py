"""One suite of invariants for every protocol on the chain: whatever is asked of it, alone and in transactions.

Orders are drawn without regard to whether the account can afford them, so that refusals are as common as successes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.venues.chain_worlds import ISSUERS, ChainDesk, defi_desk
from tests.venues.worlds import DAY, START, in_group

from basis_actors.errors import Rejected
from basis_actors.finance.keys import LST_TOKENS, parse_key
from basis_actors.messages.execution import DeltaSource, ExecutionHandshake, Settlement
from basis_actors.messages.market import MarketState, RewardStamp
from basis_actors.messages.orders import OperationType, Order
from basis_actors.venues.simulated.pool_room import PoolRoom

Drawn = dict[str, Any]
Make = Callable[[ChainDesk, Drawn], Order]

GAS_KEYS = ("gas:Payable:USDT", "wallet:BaseToken:ETH")
PRICES = {"EIGEN": 3.0}

draws = st.fixed_dictionaries(
    {
        "share": st.sampled_from([0.1, 0.3, 0.5, 0.5, 0.7, 0.9, 1.0, 1.0 + 1e-10, 1.1, 1e6]),
        "lst": st.sampled_from(LST_TOKENS),
        "up": st.booleans(),
        "lender": st.sampled_from(["morpho", "aave_v3"]),
        "token": st.sampled_from(["WETH"] * 4 + ["weETH"] * 4 + ["USDT", "wstETH", "DAI"]),
        "min_out": st.sampled_from([0.0] * 6 + [1e9, None]),
        "route": st.sampled_from([0, 1, 2, 2, 3, 4]),
    }
)
ticks = st.fixed_dictionaries(
    {
        "hours": st.integers(1, 100),
        "eth": st.floats(1_500.0, 3_000.0),
        "rate": st.floats(0.0, 1e-3),
        "peg": st.floats(0.9, 1.05),
        "known": st.sampled_from([True] * 6 + [False]),
        "fresh": st.sampled_from([True] * 6 + [False]),
        "oracle": st.sampled_from([1.0] * 5 + [0.9, 0.5]),
        "grown": st.floats(-1e-5, 1e-3),
        "reward": st.booleans(),
    }
)


def held(desk: ChainDesk, key: str) -> float:
    """What there is under a key, or a little where there is nothing."""
    return desk.ledger.get(key, 0.0) or 0.1


def wallet_key(token: str) -> str:
    return f"{ISSUERS[token]}:LST:{token}" if token in ISSUERS else "wallet:BaseToken:" + token.replace("WETH", "ETH")


def staking(desk: ChainDesk, drawn: Drawn) -> Order:
    lst = drawn["lst"]
    if drawn["up"]:
        return desk.stake(drawn["share"] * held(desk, "wallet:BaseToken:ETH"), lst)
    return desk.unstake(drawn["share"] * held(desk, wallet_key(lst)), lst)


def swapping(desk: ChainDesk, drawn: Drawn) -> Order:
    other = "EIGEN" if drawn["route"] == 0 else drawn["lst"]
    source, target = ("ETH", other) if drawn["up"] else (other, "ETH")
    return desk.swap(drawn["share"] * held(desk, wallet_key(source)), source, target, drawn["min_out"])


def lending(venue: str, ledger: str) -> Make:
    def make(desk: ChainDesk, drawn: Drawn) -> Order:
        token = drawn["token"]
        operation, key = [
            (OperationType.SUPPLY, wallet_key(token)),
            (OperationType.SUPPLY, wallet_key(token)),
            (OperationType.BORROW, f"{ledger}:aToken:aweETH"),
            (OperationType.WITHDRAW, f"{ledger}:aToken:a{token}"),
            (OperationType.REPAY, f"{ledger}:debtToken:debt{token}"),
        ][drawn["route"]]
        return desk.lend(operation, drawn["share"] * held(desk, key), token, venue=venue)

    return make


def flashing(desk: ChainDesk, drawn: Drawn) -> Order:
    operation = OperationType.FLASH_BORROW if drawn["up"] else OperationType.FLASH_REPAY
    return desk.flash(operation, drawn["share"] * 10.0, drawn["lender"])


def moving(desk: ChainDesk, drawn: Drawn) -> Order:
    token = ["ETH", "USDT", "EIGEN", "ETH", "USDT"][drawn["route"]]
    source, owed = f"wallet:BaseToken:{token}", "gas:Payable:USDT"
    if drawn["route"] == 4:
        return desk.transfer(max(-desk.ledger.get(owed, 0.0), 1e-3) * drawn["share"], source, owed, "wallet")
    target = "external" if drawn["route"] == 3 else "binance"
    return desk.transfer(drawn["share"] * held(desk, source), source, f"{target}:BaseToken:{token}", target)


PROTOCOLS: dict[str, Make] = {
    "staking": staking,
    "aave": lending("aave_v3", "aave"),
    "morpho": lending("morpho", "morpho"),
    "flash": flashing,
    "uniswap": swapping,
    "wallet": moving,
}
everything = st.sampled_from(sorted(PROTOCOLS))


def frozen(value: object) -> object:
    """A copy of an account that can be compared bit by bit."""
    if isinstance(value, PoolRoom):
        return tuple(value._withdrawn.items())
    if isinstance(value, tuple | list):
        return tuple(frozen(one) for one in value)
    return tuple(value.items()) if isinstance(value, dict) else value


def state(desk: ChainDesk) -> tuple[object, dict[str, float]]:
    """Everything that the chain keeps, and what it shows, gas aside."""
    venue = desk.venue
    balances, _, accounts = venue._snapshot()  # type: ignore[attr-defined]
    bare = {key: amount for key, amount in balances.items() if key not in GAS_KEYS and amount}
    shown = {key: amount for key, amount in desk.report().items() if key not in GAS_KEYS}
    return (frozen(bare), frozen(accounts)), shown


def worth(market: MarketState, key: str, amount: float) -> float:
    """Value of a position in USDT at reference prices: staking tokens at their protocol's rate."""
    info = parse_key(key)
    price = market.prices[info.asset]
    return info.sign * amount * price * (market.staking[info.lst].eth_per_lst if info.lst else 1.0)


def check_order(desk: ChainDesk, answer: ExecutionHandshake) -> None:
    """What an order did is worth nothing but its slippage; fee and gas are settlements of their own."""
    market = desk.venue._market
    assert market is not None
    gained, volume = 0.0, 0.0
    for settlement in answer.settlements:
        assert settlement.operation_id == answer.operation_id
        values = [worth(market, delta.position_key, delta.delta_amount) for delta in settlement.deltas]
        if settlement.source in (DeltaSource.FEE, DeltaSource.GAS):
            assert len(values) == 1
            assert values[0] < 0.0
        elif settlement.source is not DeltaSource.WITHDRAWAL:
            gained += sum(values)
            volume += sum(map(abs, values))
    details = answer.execution_details
    slippage = 0.0
    if "market_rate" in details:
        sold, bought = answer.settlements[0].deltas
        fair = details["executed_amount"] * details["market_rate"] * (1.0 - details["impact_bps"] / 1e4)
        slippage = worth(market, sold.position_key, details["executed_amount"]) - worth(
            market, bought.position_key, fair
        )
    assert gained == pytest.approx(-slippage, abs=1e-11 * volume + 1e-12)


def check_settled(settlement: Settlement) -> None:
    """What happens by itself is of a kind that explains it."""
    keys = [parse_key(delta.position_key) for delta in settlement.deltas]
    amounts = [delta.delta_amount for delta in settlement.deltas]
    if settlement.source is DeltaSource.ACCRUAL:
        assert all(info.reserve is not None for info in keys)
    elif settlement.source is DeltaSource.TRANSFER:
        assert [info.kind for info in keys] == ["UnstakeClaim", "BaseToken"]
        assert sum(amounts) == 0.0
    elif settlement.source is DeltaSource.REWARD:
        assert amounts[0] > 0.0
    else:
        assert settlement.source is DeltaSource.LIQUIDATION
        assert [info.kind for info in keys] == ["aToken", "debtToken"]
        assert max(amounts) < 0.0


def check_books(desk: ChainDesk) -> None:
    """The sum of all deltas is what the chain shows; nothing is overdrawn, no flash debt outlives its transaction."""
    report = desk.report()
    for key in {*report, *desk.ledger}:
        if not key.startswith("transit:"):
            assert report.get(key, 0.0) == pytest.approx(desk.ledger.get(key, 0.0), rel=1e-12, abs=1e-9), key
    for key, amount in report.items():
        assert amount > 0.0 or parse_key(key).signed, f"{key} is {amount}"
        assert parse_key(key).kind != "flashDebt"


def rich(currency: str, *, free: bool) -> ChainDesk:
    desk = defi_desk(currency, free=free, capital=1_000.0)
    for key, amount in (("wallet:BaseToken:ETH", 50.0), ("wallet:BaseToken:USDT", 40_000.0)):
        desk.give(key, amount)
    for key in ("etherfi:LST:weETH", "lido:LST:wstETH", "wallet:BaseToken:EIGEN"):
        desk.give(key, 40.0)
    desk.tick(tokens=PRICES)
    return desk


def go_on(desk: ChainDesk, drawn: Drawn, indices: dict[str, float]) -> None:
    names = ("USDT", "WETH", "weETH", "wstETH", "morpho:WETH")
    indices["all"] *= 1.0 + drawn["grown"]
    rates = {"weETH": 1.05 * (1.0 + drawn["rate"]), "wstETH": 1.2 * (1.0 + drawn["rate"])}
    paid = START + (desk.hour + drawn["hours"]) * (DAY // 24)
    day = paid // DAY * DAY
    rewards = [RewardStamp(paid, "weETH", "EIGEN", 0.01, day - 3 * DAY, day)] if drawn["reward"] else []
    settled = desk.tick(
        hours=drawn["hours"],
        eth=drawn["eth"],
        rates=rates,
        traded={lst: rate * drawn["peg"] if drawn["known"] else None for lst, rate in rates.items()},
        fresh=drawn["fresh"],
        rates_fresh=drawn["fresh"],
        supply=dict.fromkeys(names, 1.03 * indices["all"]),
        borrow=dict.fromkeys(names, 1.05 * indices["all"] ** 1.5),
        oracle={lst: drawn["eth"] * rate * drawn["oracle"] for lst, rate in rates.items()},
        tokens=PRICES,
        rewards=rewards,
    )
    for settlement in settled:
        check_settled(settlement)


def refusal_of(desk: ChainDesk, order: Order) -> Rejected | None:
    """Send an order and check what it did; what the chain said when it refused."""
    try:
        answer = desk.send(order)
    except Rejected as refusal:
        return refusal
    check_order(desk, answer)
    return None


def send(desk: ChainDesk, order: Order) -> None:
    before, told = state(desk), len(desk.settlements)
    refusal = refusal_of(desk, order)
    if refusal is not None:
        assert refusal.code in ("EXEC-003", "EXEC-004", "STRAT-006", "VEN-004")
        assert state(desk) == before
        assert len(desk.settlements) == told


def transact(desk: ChainDesk, orders: list[Order]) -> None:
    before = state(desk)
    answers = desk.group(*in_group(orders))
    done = [answer.was_successful() for answer in answers]
    assert all(done) or not any(done)
    gas = [one for answer in answers for one in answer.settlements if one.source is DeltaSource.GAS]
    assert len(gas) <= 1
    if all(done):
        for answer in answers:
            check_order(desk, answer)
        return
    assert state(desk) == before, "bit by bit, gas aside"
    assert [one for answer in answers for one in answer.settlements] == gas


def within_a_loan(desk: ChainDesk, orders: list[Order]) -> list[Order]:
    borrow, repay = (desk.flash(one, 10.0) for one in (OperationType.FLASH_BORROW, OperationType.FLASH_REPAY))
    return [borrow, *orders, repay]


Step = tuple[str, str, Drawn] | tuple[str, Drawn] | tuple[str, list[tuple[str, Drawn]]]


def stories(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[Step]]:
    single = st.tuples(st.just("order"), names, draws)
    group = st.tuples(st.just("group"), st.lists(st.tuples(names, draws), min_size=1, max_size=5))
    loan = st.tuples(st.just("loan"), st.lists(st.tuples(names, draws), min_size=1, max_size=2))
    tick = st.tuples(st.just("tick"), ticks)
    return st.lists(st.one_of(tick, single, single, single, group, loan), min_size=12, max_size=24)


def play(desk: ChainDesk, story: list[Any]) -> None:
    indices = {"all": 1.0}
    check_books(desk)
    for kind, *drawn in story:
        if kind == "tick":
            go_on(desk, drawn[0], indices)
        elif kind == "order":
            send(desk, PROTOCOLS[drawn[0]](desk, drawn[1]))
        else:
            orders = [PROTOCOLS[name](desk, one) for name, one in drawn[0]]
            transact(desk, orders if kind == "group" else within_a_loan(desk, orders))
        check_books(desk)


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("currency", ["USDT", "ETH"])
@examples(10)
@given(data=st.data())
def test_every_protocol_keeps_every_invariant(protocol: str, currency: str, data: st.DataObject) -> None:
    play(rich(currency, free=False), data.draw(stories(st.just(protocol))))


@pytest.mark.long
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_keeps_every_invariant_for_long(protocol: str, form: str) -> None:
    """The short form draws 50 stories a protocol instead of 500."""

    @examples(500 if form == "full" else 50)
    @given(story=stories(st.just(protocol)), currency=st.sampled_from(["USDT", "ETH"]))
    def told(story: list[Step], currency: str) -> None:
        play(rich(currency, free=False), story)

    told()


@pytest.mark.parametrize("free", [False, True])
@examples(40)
@given(story=stories(everything))
def test_all_protocols_together_keep_every_invariant(free: bool, story: list[Step]) -> None:
    play(rich("USDT", free=free), story)


@pytest.mark.long
def test_all_protocols_together_keep_every_invariant_for_long(form: str) -> None:
    """The short form draws 200 stories instead of 2,000."""

    @examples(2000 if form == "full" else 200)
    @given(story=stories(everything), currency=st.sampled_from(["USDT", "ETH"]))
    def told(story: list[Step], currency: str) -> None:
        play(rich(currency, free=False), story)

    told()


GOOD: list[Make] = [
    lambda desk, _: desk.flash(OperationType.FLASH_BORROW, 20.0, "aave_v3"),
    lambda desk, _: desk.stake(15.0),
    lambda desk, _: desk.lend(OperationType.SUPPLY, 30.0, "weETH"),
    lambda desk, _: desk.lend(OperationType.BORROW, 21.0, "WETH"),
    lambda desk, _: desk.swap(4.0, "wstETH", "ETH"),
    lambda desk, _: desk.unstake(2.0, "wstETH"),
    lambda desk, _: desk.lend(OperationType.SUPPLY, 5.0, "wstETH", venue="morpho"),
    lambda desk, _: desk.lend(OperationType.BORROW, 1.0, "WETH", venue="morpho"),
    lambda desk, _: desk.transfer(1.0, "wallet:BaseToken:ETH", "binance:BaseToken:ETH", "binance"),
    lambda desk, _: desk.lend(OperationType.REPAY, 1.0, "WETH"),
    lambda desk, _: desk.lend(OperationType.WITHDRAW, 1.0, "weETH"),
    lambda desk, _: desk.flash(OperationType.FLASH_REPAY, 20.0, "aave_v3"),
]
BAD: list[Make] = [
    lambda desk, _: desk.stake(1e9),
    lambda desk, _: desk.stake(1.0, "wstETH", venue="etherfi"),
    lambda desk, _: desk.swap(1.0, "wstETH", "ETH", 1e9),
    lambda desk, _: desk.lend(OperationType.BORROW, 1e6, "WETH"),
    lambda desk, _: desk.lend(OperationType.SUPPLY, 1.0, "DAI"),
    lambda desk, _: desk.flash(OperationType.FLASH_REPAY, 1e6),
    lambda desk, _: desk.flash(OperationType.FLASH_BORROW, 5.0),
]


def test_the_group_that_is_broken_below_works_when_it_is_whole() -> None:
    desk = rich("USDT", free=False)
    answers = desk.group(*in_group([make(desk, {}) for make in GOOD]))
    assert all(answer.was_successful() for answer in answers), answers
    for answer in answers:
        check_order(desk, answer)
    check_books(desk)


@pytest.mark.parametrize("currency", ["USDT", "ETH"])
@examples(40)
@given(place=st.integers(0, len(GOOD)), bad=st.integers(0, len(BAD) - 1), tick=ticks)
def test_a_failure_at_any_step_leaves_every_account_bit_identical(
    currency: str, place: int, bad: int, tick: Drawn
) -> None:
    desk = rich(currency, free=False)
    send(desk, desk.lend(OperationType.SUPPLY, 7.7, "weETH"))
    send(desk, desk.unstake(3.3))
    go_on(desk, {**tick, "oracle": 1.0}, {"all": 1.0})
    orders = [make(desk, {}) for make in GOOD]
    orders.insert(place, BAD[bad](desk, {}))
    before = state(desk)
    gas = desk.report().get(GAS_KEYS[currency == "ETH"], 0.0)
    answers = desk.group(*in_group(orders))
    assert not any(answer.was_successful() for answer in answers)
    assert state(desk) == before
    assert desk.report().get(GAS_KEYS[currency == "ETH"], 0.0) < gas, "the transaction ran, and is paid for"
    check_books(desk)
    whole = [make(desk, {}) for make in (GOOD[0], GOOD[-1])]
    transact(desk, whole)
