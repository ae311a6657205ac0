"""The worked examples of the strategies on a chain: lending, staking, and a loop."""

from __future__ import annotations

from typing import Any

from tests.docs.worked import Delta, Example, Given, Numbers, deltas_of, market, run_of, situation

from basis_actors.config import LeveragedConfig
from basis_actors.finance.costs import gas_cost_eth, impact_bps
from basis_actors.finance.lending import scaled_amount, shown_amount
from basis_actors.finance.loops import (
    collateral_to_free,
    held_loop_equity,
    leverage_at,
    liquidation_distance_lending,
    loop_health,
    one_shot_loop,
)
from basis_actors.finance.swaps import swap
from basis_actors.messages.market import ReserveState, StakingQuote
from basis_actors.strategies.chain_terms import gas_terms
from basis_actors.strategies.loop_desk import loop_terms
from basis_actors.strategies.registry import build_strategy

# 01: lending.

LEND_USDT, LEND_ETH = "pure_lending_usdt", "pure_lending_eth"


def lend(given: Given) -> tuple[Numbers, list[Delta]]:
    run = run_of(LEND_USDT)
    index, apr = given["I0"], given["apr"]
    reserves = {token: ReserveState(index, 1.2, apr, 0.07, 0.9, True) for token in ("USDT", "WETH")}
    state = market({"ETH": given["S"]}, gwei=given["gwei"], reserves=reserves)
    dollars = build_strategy(run).decide(situation(run, state, {"wallet:BaseToken:USDT": given["capital_usdt"]}))
    other = run_of(LEND_ETH)
    ether = build_strategy(other).decide(situation(other, state, {"wallet:BaseToken:ETH": given["capital_eth"]}))
    assert state.gas is not None
    gas = gas_terms(run)
    numbers = {
        "gas": gas.cost(state.gas, "supply") * given["S"],
        "round_trip": gas.cost(state.gas, "supply", "withdraw") * given["S"],
        "year": dollars.orders[0].amount * given["apr"],
        "later": shown_amount(scaled_amount(dollars.orders[0].amount, given["I0"]), given["I1"]),
        "free_eth": ether.orders[0].amount,
    }
    return numbers, deltas_of((*dollars.orders, *ether.orders))


def lend_by_hand(given: Given) -> tuple[Numbers, list[Delta]]:
    usdt, eth = given["capital_usdt"], given["capital_eth"] - given["reserve"]
    numbers = {
        "gas": 250_000 * given["gwei"] / 1e9 * given["S"],
        "round_trip": (250_000 + 220_000) * given["gwei"] / 1e9 * given["S"],
        "year": usdt * given["apr"],
        "later": usdt * given["I1"] / given["I0"],
        "free_eth": eth,
    }
    return numbers, [
        ("supply", "aave:aToken:aUSDT", usdt),
        ("supply", "wallet:BaseToken:USDT", -usdt),
        ("supply", "aave:aToken:aWETH", eth),
        ("supply", "wallet:BaseToken:ETH", -eth),
    ]


def lend_terms() -> Numbers:
    config = run_of(LEND_ETH)
    return {"reserve": config.mode.strategy_config.gas_reserve_eth, "capital_eth": config.share_class.default_capital}


# 04: staked, and sold on the DEX.


def quote(given: Given) -> StakingQuote:
    return StakingQuote(given["r"], given["m"], True, True)


def stake(given: Given) -> tuple[Numbers, list[Delta]]:
    run = run_of("eth_staking_only")
    state = market({"ETH": given["S"], "EIGEN": 1.6, "ETHFI": 1.2}, gwei=given["gwei"], staking={"weETH": quote(given)})
    entry = build_strategy(run).decide(situation(run, state, {"wallet:BaseToken:ETH": given["capital"]}))
    held = {"wallet:BaseToken:ETH": 0.05, "etherfi:LST:weETH": given["sold"]}
    leaving = build_strategy(run).close_all(situation(run, state, held))
    size = given["sold"] * given["m"] * given["S"]
    sale = swap(given["sold"], given["m"], impact_bps(size, (20.0, 24.0, 35.0)), 5.0)
    numbers = {
        "gas": gas_cost_eth(150_000, given["gwei"], 0.0, 2.0),
        "staked": entry.orders[0].amount,
        "weETH": entry.orders[0].expected_deltas[0].delta_amount,
        "size": size,
        "gross": sale.gross,
        "net": sale.net,
        "unwind_cost": leaving.market_conditions["unwind_cost"],
    }
    return numbers, deltas_of((*entry.orders, *leaving.orders))


def stake_by_hand(given: Given) -> tuple[Numbers, list[Delta]]:
    gas = 150_000 * given["gwei"] / 1e9
    staked = given["capital"] - given["reserve"] - gas
    gross = given["sold"] * given["m"] * (1 - 24 / 10_000)
    net = gross * (1 - 5 / 10_000)
    numbers = {
        "gas": gas,
        "staked": staked,
        "weETH": staked / given["r"],
        "size": given["sold"] * given["m"] * given["S"],
        "gross": gross,
        "net": net,
        "unwind_cost": given["sold"] * given["r"] - net + 180_000 * given["gwei"] / 1e9,
    }
    return numbers, [
        ("stake", "etherfi:LST:weETH", staked / given["r"]),
        ("stake", "wallet:BaseToken:ETH", -staked),
        ("swap", "wallet:BaseToken:ETH", gross),
        ("swap", "etherfi:LST:weETH", -given["sold"]),
    ]


def stake_terms() -> Numbers:
    run = run_of("eth_staking_only")
    return {"reserve": run.mode.strategy_config.gas_reserve_eth, "capital": run.share_class.default_capital}


# 05 and 07: loops.

RATES = {"WETH": (0.018, 0.025), "weETH": (0.001, 0.02)}


def pool() -> dict[str, ReserveState]:
    return {token: ReserveState(1.05, 1.10, lent, owed, 0.5, True) for token, (lent, owed) in RATES.items()}


def loop_market(given: Given) -> dict[str, Any]:
    """What a market has to have of a loop."""
    return {
        "staking": {"weETH": quote(given)},
        "reserves": pool(),
        "oracle": {"WETH": given["S"], "weETH": given["S"] * given["r"]},
    }


def one_transaction(equity: float, given: Given) -> list[Delta]:
    """What entering a loop with `equity` ETH moves, without a flash fee."""
    flash = equity * given["l"] / (1 - given["l"])
    tokens = (equity + flash) / given["r"]
    return [
        ("flash_borrow", "morpho:flashDebt:WETH", flash),
        ("flash_borrow", "wallet:BaseToken:ETH", flash),
        ("stake", "etherfi:LST:weETH", tokens),
        ("stake", "wallet:BaseToken:ETH", -equity - flash),
        ("supply", "aave:aToken:aweETH", tokens),
        ("supply", "etherfi:LST:weETH", -tokens),
        ("borrow", "aave:debtToken:debtWETH", flash),
        ("borrow", "wallet:BaseToken:ETH", flash),
        ("flash_repay", "morpho:flashDebt:WETH", -flash),
        ("flash_repay", "wallet:BaseToken:ETH", -flash),
    ]


def lever(given: Given) -> tuple[Numbers, list[Delta]]:
    run = run_of("eth_leveraged")
    config = run.mode.strategy_config
    assert isinstance(config, LeveragedConfig)
    prices = {"ETH": given["S"], "EIGEN": 1.6, "ETHFI": 1.2}
    state = market(prices, gwei=given["gwei"], **loop_market(given))
    orders = build_strategy(run).decide(situation(run, state, {"wallet:BaseToken:ETH": given["capital"]})).orders
    assert state.gas is not None
    gas = gas_terms(run).cost(state.gas, "atomic_entry")
    equity = given["capital"] - config.gas_reserve_eth - gas
    sizes = one_shot_loop(equity, config.loop.target_ltv)
    health = loop_health(loop_terms(run, config, config.loop).threshold, config.loop.target_ltv)
    numbers = {
        "gas": gas,
        "E": equity,
        "leverage": leverage_at(config.loop.target_ltv),
        "flash": sizes.flash,
        "supply": sizes.supply,
        "weETH": orders[2].amount,
        "health": health,
        "distance": 100.0 * liquidation_distance_lending(health),
        "held": held_loop_equity(
            equity,
            config.loop.target_ltv,
            rate_growth=given["g_rate"],
            supply_growth=given["g_supply"],
            borrow_growth=given["g_borrow"],
        ),
        "to_free": collateral_to_free(1.0, config.loop.target_ltv),
    }
    return numbers, deltas_of(orders)


def lever_by_hand(given: Given) -> tuple[Numbers, list[Delta]]:
    gas = 1_250_000 * given["gwei"] / 1e9
    equity = given["capital"] - given["reserve"] - gas
    leverage = 1 / (1 - given["l"])
    numbers = {
        "gas": gas,
        "E": equity,
        "leverage": leverage,
        "flash": equity * (leverage - 1),
        "supply": equity * leverage,
        "weETH": equity * leverage / given["r"],
        "health": given["threshold"] / given["l"],
        "distance": 100 * (1 - given["l"] / given["threshold"]),
        "held": equity * (leverage * given["g_rate"] * given["g_supply"] - (leverage - 1) * given["g_borrow"]),
        "to_free": leverage,
    }
    return numbers, one_transaction(equity, given)


def lever_terms() -> Numbers:
    run = run_of("eth_leveraged")
    config = run.mode.strategy_config
    assert isinstance(config, LeveragedConfig)
    return {
        "reserve": config.gas_reserve_eth,
        "capital": run.share_class.default_capital,
        "l": config.loop.target_ltv,
        "threshold": loop_terms(run, config, config.loop).threshold,
    }


LENDING = Example(lend, lend_by_hand, lend_terms)
STAKING = Example(stake, stake_by_hand, stake_terms)
LOOP = Example(lever, lever_by_hand, lever_terms)
