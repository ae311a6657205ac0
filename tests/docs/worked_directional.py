"""The worked examples of the directional strategies: one entry each on the inverse and on the linear perpetual."""

from __future__ import annotations

from tests.docs.worked import Delta, Example, Given, Numbers, deltas_of, down, market, run_of, situation
from tests.strategies.situations import START

from basis_actors.config import DirectionalConfig
from basis_actors.finance.perps import inverse_upnl
from basis_actors.messages.orders import Order
from basis_actors.messages.signals import Signal, SignalReceived
from basis_actors.strategies.base import Decision
from basis_actors.strategies.directional_book import directional_terms
from basis_actors.strategies.registry import build_strategy

ENDPOINT = "poll_seconds: 60, timeout_seconds: 5, retries: 0, retry_seconds: 1, staleness_seconds: 3600"
HTTP = (
    "strategy_config.signal.source=http",
    f"strategy_config.signal.http={{url: 'http://localhost/', {ENDPOINT}}}",
)
"""The signal comes from a hand, as it would from an endpoint."""
PERP, KEY = "binance:BTCUSD-PERP", "binance:InversePerp:BTCUSD-PERP"
INVERSE, LINEAR = "ml_btc_directional_btc_margin", "ml_btc_directional_usdt_margin"


def decide(given: Given, mode: str, margin: str, perp: str, *more: str) -> tuple[Decision, Order]:
    run = run_of(mode, *HTTP, *more)
    state = market({"BTC": given["P"], "ETH": 2_300.0}, gwei=20.0, perps={perp: given["P"]})
    strategy = build_strategy(run)
    strategy.receive(SignalReceived(Signal(START, given["rise"], given["confidence"], given["sd"])))
    decision = strategy.decide(situation(run, state, {margin: given["margin"]}))
    (order,) = decision.orders
    return decision, order


def inverse(given: Given) -> tuple[Numbers, list[Delta]]:
    _, order = decide(given, INVERSE, "binance:Margin:BTC", PERP)
    run = run_of(INVERSE, *HTTP)
    config = run.mode.strategy_config
    assert isinstance(config, DirectionalConfig)
    terms = directional_terms(run, config)
    assert order.price is not None
    assert order.take_profit is not None
    assert order.stop_loss is not None
    later = market({"BTC": given["P_exit"], "ETH": 2_300.0}, gwei=20.0, perps={PERP: given["P_exit"]})
    held = {"binance:Margin:BTC": given["margin"], KEY: order.amount}
    (closing,) = build_strategy(run).close_all(situation(run, later, held, entries={KEY: order.price})).orders
    assert closing.price is not None
    numbers = {
        "N": order.amount,
        "F": order.price,
        "target": order.take_profit,
        "stop": order.stop_loss,
        "fee_btc": terms.value(order.amount, order.price) * terms.fee,
        "won": inverse_upnl(order.amount, order.price, order.take_profit),
        "lost": inverse_upnl(order.amount, order.price, order.stop_loss),
        "F_exit": closing.price,
        "realised": inverse_upnl(order.amount, order.price, closing.price),
    }
    return numbers, deltas_of((order, closing))


def inverse_by_hand(given: Given) -> tuple[Numbers, list[Delta]]:
    size = down(given["margin"] * given["P"] / 100, 1) * 100
    fill, left = given["P"] * (1 + 4e-4), given["P_exit"] * (1 - 4e-4)
    target, stop = fill * (1 + 2 * given["sd"]), fill * (1 - 2 * given["sd"])
    numbers = {
        "N": size,
        "F": fill,
        "target": target,
        "stop": stop,
        "fee_btc": size / fill * given["fee"],
        "won": size * (1 / fill - 1 / target),
        "lost": size * (1 / fill - 1 / stop),
        "F_exit": left,
        "realised": size * (1 / fill - 1 / left),
    }
    return numbers, [
        ("perp_trade", KEY, size),
        ("perp_trade", KEY, -size),
        ("perp_trade", "binance:Margin:BTC", numbers["realised"]),
    ]


def linear(given: Given) -> tuple[Numbers, list[Delta]]:
    stricter = f"strategy_config.signal_threshold={given['threshold']:g}"
    decision, order = decide(given, LINEAR, "binance:Margin:USDT", "binance:BTC-PERP", stricter)
    assert decision.market_conditions["signal"] == given["rise"]
    assert order.price is not None
    assert order.take_profit is not None
    assert order.stop_loss is not None
    numbers = {
        "fall": 1.0 - decision.market_conditions["signal"],
        "Q": order.amount,
        "F": order.price,
        "target": order.take_profit,
        "stop": order.stop_loss,
        "won": order.amount * (order.price - order.take_profit),
        "lost": order.amount * (order.price - order.stop_loss),
    }
    return numbers, deltas_of((order,))


def linear_by_hand(given: Given) -> tuple[Numbers, list[Delta]]:
    size = down(given["margin"] / given["P"], 1000)
    fill = given["P"] * (1 - 4e-4)
    target, stop = fill * (1 - 2 * given["sd"]), fill * (1 + 2 * given["sd"])
    numbers = {
        "fall": 1 - given["rise"],
        "Q": size,
        "F": fill,
        "target": target,
        "stop": stop,
        "won": size * fill * 2 * given["sd"],
        "lost": -size * fill * 2 * given["sd"],
    }
    return numbers, [("perp_trade", "binance:PerpPosition:BTC-PERP", -size)]


def inverse_terms() -> Numbers:
    run = run_of(INVERSE)
    config = run.mode.strategy_config
    assert isinstance(config, DirectionalConfig)
    return {"fee": directional_terms(run, config).fee, "margin": run.share_class.default_capital}


COIN_MARGINED = Example(inverse, inverse_by_hand, inverse_terms)
USDT_MARGINED = Example(linear, linear_by_hand, dict)
