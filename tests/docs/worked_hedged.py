"""The worked examples of hedged strategies: both basis trades, market neutral with and without leverage."""

from __future__ import annotations

import math

from tests.docs.worked import Delta, Example, Given, Numbers, cost, deltas_of, down, market, run_of, situation
from tests.docs.worked_chain import loop_market, one_transaction, quote
from tests.strategies.situations import HOUR, START

from basis_actors.config import ExchangeVenue, MarketNeutralConfig, RunConfig
from basis_actors.finance.loops import one_shot_loop
from basis_actors.finance.perps import linear_upnl
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.orders import Order, Side
from basis_actors.strategies.hedge_terms import hedge_terms
from basis_actors.strategies.loop_desk import LoopDesk, loop_terms
from basis_actors.strategies.lst_desk import LstDesk, lst_terms
from basis_actors.strategies.order_writer import OrderWriter
from basis_actors.strategies.registry import build_strategy


def exchange(run: RunConfig, name: str) -> ExchangeVenue:
    venue = run.venues[name]
    assert isinstance(venue, ExchangeVenue)
    return venue


def fees(run: RunConfig, *perps: str) -> Numbers:
    """Taker fees as the pages name them."""
    spot = exchange(run, "binance").spot
    assert spot is not None
    found = {"fee_spot": spot.taker_fee}
    for name in perps:
        section = exchange(run, name).perp
        assert section is not None
        found[f"fee_{name}"] = section.taker_fee
    return found


def fill_of(orders: tuple[Order, ...], venue: str, side: Side) -> float:
    """Expected price of the first trade there."""
    price = next(order.price for order in orders if order.venue == venue and order.side is side)
    assert price is not None
    return price


# 02: a basis trade is opened over the two venues that have the perpetual, and its margin is restored after a rally.


def basis(given: Given) -> tuple[Numbers, list[Delta]]:
    run = run_of("btc_basis", "strategy_config.always_in=true")
    terms = hedge_terms(run, run.mode.strategy_config)
    last = {"binance:BTC-PERP": given["P_binance"], "bybit:BTC-PERP": given["P_bybit"]}
    state = market({"BTC": given["S"], "ETH": 2_300.0}, gwei=20.0, perps=last)
    cash = {
        "binance:BaseToken:USDT": given["cash_spot"],
        "binance:Margin:USDT": given["cash_binance"],
        "bybit:BaseToken:USDT": given["cash_bybit"],
    }
    now = situation(run, state, cash)
    orders = build_strategy(run).decide(now).orders
    equity, weights = now.book.equity, terms.allocation.over(("binance", "bybit")).by_venue
    cost_of_perps = sum(weight * terms.legs[venue].cost(equity) for venue, weight in weights.items())
    fills = {venue: fill_of(orders, venue, Side.SHORT) for venue in weights}
    sizes = {order.venue: order.amount for order in orders if order.side is Side.SHORT}
    held = dict(cash)
    for _, key, amount in deltas_of(orders):
        held[key] = held.get(key, 0.0) + amount
    entries = {f"{venue}:PerpPosition:BTC-PERP": fill for venue, fill in fills.items()}
    rally = market({"BTC": given["P_later"], "ETH": 2_300.0}, gwei=20.0, perps=dict.fromkeys(last, given["P_later"]))
    restored = build_strategy(run).decide(situation(run, rally, held, entries=entries))
    cut = next(order.amount for order in restored.orders if order.venue == "binance" and order.side is Side.LONG)
    margin = given["cash_binance"] + linear_upnl(-sizes["binance"], fills["binance"], given["P_later"])
    numbers = {
        "E": equity,
        "c_spot": terms.spot_cost(equity),
        "c_perp": cost_of_perps,
        "q": equity / (given["S"] * (1.0 + terms.spot_cost(equity) + terms.margin_target + cost_of_perps)),
        "Q_binance": sizes["binance"],
        "Q_bybit": sizes["bybit"],
        "F_spot": fill_of(orders, "binance", Side.BUY),
        "F_binance": fills["binance"],
        "F_bybit": fills["bybit"],
        "M_later": margin,
        "ratio": margin / (sizes["binance"] * given["P_later"]),
        "cut": cut,
    }
    return numbers, deltas_of(orders)


def basis_by_hand(given: Given) -> tuple[Numbers, list[Delta]]:
    equity = given["cash_spot"] + given["cash_binance"] + given["cash_bybit"]
    c_spot = cost(given["fee_spot"], 6)
    c_perp = 4 / 7 * cost(given["fee_binance"], 4) + 3 / 7 * cost(given["fee_bybit"], 4)
    q = equity / (given["S"] * (1 + c_spot + 1 / given["L"] + c_perp))
    one, two = down(4 / 7 * q, 1000), down(3 / 7 * q, 1000)
    f_spot, f_one, f_two = given["S"] * 1.0006, given["P_binance"] * 0.9996, given["P_bybit"] * 0.9996
    later = given["P_later"]
    margin = given["cash_binance"] - one * (later - f_one)
    cut = (one * later / given["L"] - margin) / (later * (1 - c_spot) + later / given["L"])
    numbers = {
        "E": equity,
        "c_spot": c_spot,
        "c_perp": c_perp,
        "q": q,
        "Q_binance": one,
        "Q_bybit": two,
        "F_spot": f_spot,
        "F_binance": f_one,
        "F_bybit": f_two,
        "M_later": margin,
        "ratio": margin / (one * later),
        "cut": math.ceil(cut * 1000) / 1000,
    }
    deltas: list[Delta] = []
    for venue, size in (("binance", one), ("bybit", two)):
        deltas += [
            ("perp_trade", f"{venue}:PerpPosition:BTC-PERP", -size),
            ("spot_trade", "binance:BaseToken:BTC", size),
            ("spot_trade", "binance:BaseToken:USDT", -size * f_spot),
        ]
    return numbers, deltas


def basis_terms() -> Numbers:
    run = run_of("btc_basis")
    return {"L": run.mode.strategy_config.leverage, **fees(run, "binance", "bybit")}


# 03: the same over three venues is closed, with what that realises.


def leave_basis(given: Given) -> tuple[Numbers, list[Delta]]:
    run, venues = run_of("eth_basis"), ("binance", "bybit", "okx")
    last = {f"{venue}:ETH-PERP": given[f"P_{venue}"] for venue in venues}
    state = market({"ETH": given["S"]}, gwei=20.0, perps=last)
    strategy = build_strategy(run)
    strategy.warm_up(
        tuple(FundingStamp(START - 8 * HOUR * n, perp, given["rate"], given["S"]) for n in (3, 2, 1) for perp in last)
    )
    shorts = {f"{venue}:PerpPosition:ETH-PERP": -given[f"Q_{venue}"] for venue in venues}
    entries = {f"{venue}:PerpPosition:ETH-PERP": given[f"entry_{venue}"] for venue in venues}
    cash = {"binance:Margin:USDT": 13e3, "bybit:BaseToken:USDT": 10e3, "okx:BaseToken:USDT": 10e3}
    held = {"binance:BaseToken:ETH": -sum(shorts.values()), **shorts, **cash}
    decision = strategy.decide(situation(run, state, held, entries=entries))
    assert (decision.decision_type, decision.action) == ("exit", "exit_full")
    numbers = {"F_spot": fill_of(decision.orders, "binance", Side.SELL)}
    for venue in venues:
        numbers[f"F_{venue}"] = fill_of(decision.orders, venue, Side.LONG)
        entry, size = given[f"entry_{venue}"], -given[f"Q_{venue}"]
        numbers[f"realised_{venue}"] = linear_upnl(size, entry, numbers[f"F_{venue}"])
    return numbers, deltas_of(decision.orders)


def leave_basis_by_hand(given: Given) -> tuple[Numbers, list[Delta]]:
    numbers = {"F_spot": given["S"] * (1 - 7e-4)}
    deltas: list[Delta] = []
    for venue in ("binance", "bybit", "okx"):
        size, entry, fill = given[f"Q_{venue}"], given[f"entry_{venue}"], given[f"P_{venue}"] * (1 + 4e-4)
        realised = size * (entry - fill)
        numbers |= {f"F_{venue}": fill, f"realised_{venue}": realised}
        account = "binance:Margin:USDT" if venue == "binance" else f"{venue}:BaseToken:USDT"
        deltas += [
            ("perp_trade", f"{venue}:PerpPosition:ETH-PERP", size),
            ("perp_trade", account, realised),
            ("spot_trade", "binance:BaseToken:ETH", -size),
            ("spot_trade", "binance:BaseToken:USDT", size * numbers["F_spot"]),
        ]
    return numbers, deltas


# 06: all legs are opened at once.

VENUES = ("binance", "bybit", "okx")
SHARES = {"binance": 0.4, "bybit": 0.3, "okx": 0.3}
CASH = {"binance": "binance:Margin:USDT", "bybit": "bybit:BaseToken:USDT", "okx": "okx:BaseToken:USDT"}


def neutral(given: Given) -> tuple[Numbers, list[Delta]]:
    run = run_of("usdt_market_neutral_no_leverage")
    config = run.mode.strategy_config
    assert isinstance(config, MarketNeutralConfig)
    terms = hedge_terms(run, config)
    last = {f"{venue}:ETH-PERP": given[f"P_{venue}"] for venue in VENUES}
    prices = {"ETH": given["S"], "EIGEN": 1.6, "ETHFI": 1.2}
    state = market(prices, gwei=10.0, perps=last, staking={"weETH": quote(given)})
    held = {CASH[venue]: given[f"cash_{venue}"] for venue in VENUES} | {"binance:BaseToken:USDT": given["cash_spot"]}
    now = situation(run, state, held)
    orders = build_strategy(run).decide(now).orders
    equity = now.book.equity
    c_perp = sum(share * terms.legs[venue].cost(equity) for venue, share in SHARES.items())
    numbers = {
        "E": equity,
        "M_target": terms.margin_target,
        "c_spot": terms.spot_cost(equity),
        "c_perp": c_perp,
        "q": equity / (given["S"] * (1.0 + terms.spot_cost(equity) + terms.margin_target + c_perp)),
        **{f"Q_{order.venue}": order.amount for order in orders if order.side is Side.SHORT},
        "F_spot": fill_of(orders, "binance", Side.BUY),
    }
    numbers["staked"] = sum(order.amount for order in orders if order.side is Side.BUY)
    return numbers, deltas_of(orders)


def neutral_by_hand(given: Given) -> tuple[Numbers, list[Delta]]:
    equity = given["cash_spot"] + sum(given[f"cash_{venue}"] for venue in VENUES)
    c_spot = cost(given["fee_spot"], 7)
    c_perp = sum(share * cost(given[f"fee_{venue}"], 4) for venue, share in SHARES.items())
    q = equity / (given["S"] * (1 + c_spot + 1 + c_perp))
    sizes = {venue: down(share * q, 1000 if venue == "binance" else 100) for venue, share in SHARES.items()}
    fill = given["S"] * (1 + 7e-4)
    numbers = {
        "E": equity,
        "M_target": (1 - given["stake_share"]) / given["stake_share"],
        "c_spot": c_spot,
        "c_perp": c_perp,
        "q": q,
        **{f"Q_{venue}": size for venue, size in sizes.items()},
        "F_spot": fill,
        "staked": sum(sizes.values()),
    }
    deltas: list[Delta] = [("perp_trade", f"{v}:PerpPosition:ETH-PERP", -size) for v, size in sizes.items()]
    for size in sizes.values():
        deltas += [
            ("spot_trade", "binance:BaseToken:ETH", size),
            ("spot_trade", "binance:BaseToken:USDT", -size * fill),
        ]
    return numbers, deltas


def neutral_terms() -> Numbers:
    run = run_of("usdt_market_neutral_no_leverage")
    return {"stake_share": run.mode.strategy_config.stake_allocation_percentage, **fees(run, *VENUES)}


# 07: the ether is levered, and a part of it is had back.


def levered(given: Given) -> tuple[Numbers, list[Delta]]:
    run = run_of("usdt_market_neutral")
    config = run.mode.strategy_config
    assert isinstance(config, MarketNeutralConfig)
    assert config.loop is not None
    last = dict.fromkeys((f"{venue}:ETH-PERP" for venue in VENUES), given["S"])
    prices = {"ETH": given["S"], "EIGEN": 1.6, "ETHFI": 1.2}
    state = market(prices, gwei=10.0, perps=last, **loop_market(given))
    shorts = {f"{venue}:PerpPosition:ETH-PERP": -share * given["eth"] for venue, share in SHARES.items()}
    held = {"wallet:BaseToken:ETH": given["eth"], **shorts, **dict.fromkeys(CASH.values(), 20_000.0)}
    entries = dict.fromkeys(shorts, given["S"])
    decision = build_strategy(run).decide(situation(run, state, held, entries=entries))
    sizes = one_shot_loop(given["eth"], config.loop.target_ltv)
    looped = {**held, "wallet:BaseToken:ETH": 0.0}
    for _, key, amount in deltas_of(decision.orders):
        looped[key] = looped.get(key, 0.0) + amount
    then = situation(run, state, looped, entries=entries)
    writer = OrderWriter(run, then, config.slippage_tolerance)
    lst = LstDesk(run, lst_terms(run, config), then, writer)
    desk = LoopDesk(run, loop_terms(run, config, config.loop), lst, then, writer)
    out = desk.free(1.0)
    assert out is not None
    unwound = next(order.amount for order in out.orders if order.operation == "withdraw") * given["r"]
    loss = out.cost - desk.gas(entry=False)
    numbers = {
        "flash": sizes.flash,
        "supply": sizes.supply,
        "delta": sizes.supply - sizes.borrow,
        "x": lst.exit_rate(unwound / given["r"]),
        "unwound": unwound,
        "freed": out.freed,
        "loss": loss,
        "loss_usdt": loss * given["S"],
    }
    return numbers, deltas_of(decision.orders)


def levered_by_hand(given: Given) -> tuple[Numbers, list[Delta]]:
    leverage = 1 / (1 - given["l"])
    exit_rate = given["m"] / given["r"] * (1 - 24 / 10_000) * (1 - 5 / 10_000)
    per_equity = leverage * exit_rate - (leverage - 1)
    loss = leverage * (1 - exit_rate) / per_equity
    numbers = {
        "flash": given["eth"] * (leverage - 1),
        "supply": given["eth"] * leverage,
        "delta": given["eth"],
        "x": exit_rate,
        "unwound": leverage / per_equity,
        "freed": 1.0,
        "loss": loss,
        "loss_usdt": loss * given["S"],
    }
    return numbers, one_transaction(given["eth"], given)


def levered_terms() -> Numbers:
    config = run_of("usdt_market_neutral").mode.strategy_config
    assert isinstance(config, MarketNeutralConfig)
    assert config.loop is not None
    return {"l": config.loop.target_ltv}


BTC_BASIS = Example(basis, basis_by_hand, basis_terms)
ETH_BASIS = Example(leave_basis, leave_basis_by_hand, dict)
NEUTRAL = Example(neutral, neutral_by_hand, neutral_terms)
LEVERED = Example(levered, levered_by_hand, levered_terms)
