"""Whatever is wrong with a configuration is told once, with file, line, key, what was expected and the nearest key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from basis_actors.config import config_root, load_mode, load_venue, mode_names
from basis_actors.errors import ConfigError

EditMode = Callable[..., Path]


FAULTS = [
    ("btc_basis", "  leverage: 2.0", "  levrage: 2.0", "levrage: unknown key; nearest valid key: leverage"),
    ("btc_basis", "  leverage: 2.0", "  qqq: 2.0\n  leverage: 2.0", "qqq: unknown key; valid keys here: "),
    ("btc_basis", "  leverage: 2.0", "  # gone", "strategy_config.leverage: missing key; a number was expected"),
    ("btc_basis", "  leverage: 2.0", "  leverage: two", "leverage: is 'two'; a number was expected"),
    ("btc_basis", "  leverage: 2.0", "  leverage: true", "leverage: is true; a number was expected"),
    ("btc_basis", "  leverage: 2.0", '  leverage: "2"', "leverage: is '2'; a number was expected"),
    ("btc_basis", "  leverage: 2.0", "  leverage:", "leverage: is null; a number was expected"),
    ("btc_basis", "  leverage: 2.0", "  leverage: -1", "leverage: is -1; greater than 0 was expected"),
    ("btc_basis", "  leverage: 2.0", "  leverage: 2.0\n  leverage: 3.0", "leverage: stands twice in "),
    ("btc_basis", "  leverage: 2.0", "  leverage: 2.7", "0.8 x 0.3704 = 0.2963, but risk already reduces"),
    ("btc_basis", "okx: 0.3}", "okx: 0.2}", "hedge_allocation: sums to 0.9; the shares must sum to 1"),
    (
        "btc_basis",
        "okx: 0.3}",
        "okex: 0.3}",
        "names venue 'okex', which the mode does not list; venues: wallet, binance, bybit, okx; nearest: okx",
    ),
    ("btc_basis", "bybit, okx]", "bybit, okex]", "names venue 'okx', which the mode does not list"),
    ("btc_basis", "spot_venue: binance", "spot_venue: okx", "spot_venue: is 'okx', which has no spot market BTC/USDT"),
    ("btc_basis", "spot_venue: binance", "spot_venue: wallet", "a venue of kind chain; kind exchange was expected"),
    (
        "btc_basis",
        "  execution_manager:",
        "  venue_manager:",
        "is the old name of this section; use 'execution_manager'",
    ),
    ("btc_basis", "strategy: basis", "strategy: bassis", "strategy: is 'bassis'; one of pure_lending, basis,"),
    (
        "btc_basis",
        "usdt_stable",
        "usd_stable",
        "eth_directional, usdt_stable was expected; nearest: usdt_stable",
    ),
    ("btc_basis", "usdt_stable", "eth_directional", "counted in ETH; this strategy counts in USDT"),
    ("btc_basis", "asset: BTC", "asset: btc", "asset: is 'btc'; 'BTC' or 'ETH' was expected"),
    ("btc_basis", "  funding_window: 21", "  funding_window: 21.5", "funding_window: is 21.5; a whole number"),
    ("btc_basis", "  funding_minimum: 3", "  funding_minimum: 30", "at most funding_window 21 was expected"),
    ("usdt_market_neutral", "  dust_delta: 0.002", "  dust_delta: 0", "a fraction above 0 was expected"),
    (
        "usdt_market_neutral",
        "  delta_drift_threshold: 0.02",
        "  delta_drift_threshold: 0.001",
        "at least dust_delta 0.002 was expected",
    ),
    ("btc_basis", "exit_threshold: 0.0", "exit_threshold: 0.1", "at most funding_threshold 0.0001 was expected"),
    ("btc_basis", "margin_ratio_exit_half: 0.20", "margin_ratio_exit_half: 0.40", "less than margin_ratio_reduce 0.3"),
    ("btc_basis", "tight_loop_timeout: 120", "tight_loop_timeout: 20", "= 40 s was expected"),
    ("btc_basis", "  max_leverage: 2.0 ", "  max_leverage: 0 ", "max_leverage: is 0; greater than 0 was expected"),
    ("btc_basis", "  max_leverage: 2.0 ", "  # gone ", "order_limits.max_leverage: missing key; a number was expected"),
    ("btc_basis", "  max_daily_loss: 0.05 ", "  max_daily_loss: 5 ", "less than or equal to 1 was expected"),
    ("btc_basis", "max_orders_per_minute: 60 ", "max_orders_per_minute: 6.5 ", "a whole number was expected"),
    ("btc_basis", "dead_man_seconds: 900 ", "dead_man_seconds: 59 ", "is 59 s; at least two heartbeats, 60 s, were"),
    ("btc_basis", "countdown_seconds: 120 ", "countdown_seconds: 59 ", "is 59 s; at least two heartbeats, 60 s, were"),
    ("btc_basis", "    mismatches: 3 ", "    mismatches: null ", "mismatches: is null; a whole number was expected"),
    ("btc_basis", "funding_missed_limit: 3", "funding_missed_limit: .nan", "is '.nan'; a whole number was expected"),
    ("btc_basis", "flush_seconds: 5.0", "flush_seconds: 1e999", "is inf; a finite number was expected"),
    ("btc_basis", "bybit, okx]", "bybit, okx, bybit]", "venues: names bybit twice"),
    ("btc_basis", "data:", "data: {}\nrest:", "rest: unknown key"),
    (
        "eth_leveraged",
        "    max_ltv: 0.93 ",
        "    # gone ",
        "strategy_config.loop.max_ltv: missing key; a number was expected",
    ),
    (
        "eth_leveraged",
        "    max_ltv: 0.93 ",
        "    max_ltv: 0.95 ",
        "at most 0.93, the e-mode LTV of aave_v3, was expected",
    ),
    ("eth_leveraged", "target_ltv: 0.909 ", "target_ltv: 0.915 ", "0.93 x (1 - 0.0225) = 0.909075 was expected"),
    ("eth_leveraged", "ltv_band: 0.01", "ltv_band: 0.03", "ltv_band: is 0.03; less than max_ltv - target_ltv = 0.021"),
    (
        "eth_leveraged",
        "health_factor_reduce: 1.03",
        "health_factor_reduce: 1.04",
        "= 1.034, and a limit below that was expected",
    ),
    (
        "eth_leveraged",
        "  health_factor_reduce: 1.03",
        "",
        "health_factor_reduce: missing key; a leveraged strategy needs it",
    ),
    ("eth_staking_only", "lst_type: weETH", "lst_type: wstETH", "is 'etherfi'; wstETH is issued by 'lido'"),
    ("eth_staking_only", "lst_type: weETH", "lst_type: wetETH", "'weETH' or 'wstETH' was expected; nearest: weETH"),
    ("eth_staking_only", "  max_peg_deviation: 0.03", "  # gone", "max_peg_deviation: missing key"),
    (
        "usdt_market_neutral",
        "stake_allocation_percentage: 0.5",
        "stake_allocation_percentage: 0.75",
        "a lower stake_allocation_percentage was expected",
    ),
    ("usdt_market_neutral", "  max_venue_share: 0.9", "  # gone", "max_venue_share: missing key; a strategy that"),
    ("ml_btc_directional_usdt_margin", "  max_asset_exposure: 1.5", "  # gone", "max_asset_exposure: missing key"),
    (
        "btc_basis",
        "escalation_ticks: 3",
        "escalation_ticks: 0",
        "escalation_ticks: is 0; greater than or equal to 1 was",
    ),
    ("btc_basis", "warning_share: 0.2", "warning_share: 1.0", "warning_share: is 1.0; less than 1 was expected"),
    ("usdt_market_neutral", "  loop:", "  loop_:", "loop_: unknown key; nearest valid key: loop"),
    ("ml_btc_directional_usdt_margin", "sd_floor_bps: 10", "sd_floor_bps: 1001", "less than sd_cap_bps 1000"),
    (
        "ml_btc_directional_usdt_margin",
        "contract: linear",
        "contract: inverse",
        "counted in USDT; this strategy counts in BTC",
    ),
    ("pure_lending_usdt", "asset: USDT", "asset: ETH", "counted in USDT; this strategy counts in ETH"),
    ("pure_lending_usdt", "  asset: USDT", "  asset: USDT\n  max_ltv: 0.5", "max_ltv: unknown key"),
]


def refusal(target: str | Path, **changes: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_mode(target, **changes)  # type: ignore[arg-type]
    return caught.value


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def test_unknown_mode_lists_the_ten_and_the_nearest() -> None:
    error = refusal("btc_bassis")
    assert error.code == "CONFIG-001"
    assert "nearest: btc_basis;" in error.message
    assert all(name in error.message for name in mode_names())


def test_mode_file_that_does_not_exist(tmp_path: Path) -> None:
    error = refusal(tmp_path / "none.yaml")
    assert error.code == "CONFIG-001"
    assert "none.yaml" in error.message


@pytest.mark.parametrize(("mode", "old", "new", "told"), FAULTS)
def test_one_fault_gives_one_error(edited: EditMode, mode: str, old: str, new: str, told: str) -> None:
    error = refusal(edited(mode, (old, new)))
    assert told in error.message
    assert error.code == ("CONFIG-002" if "missing key" in told else "CONFIG-003")
    assert "mode.yaml:" in error.message or "venues" in error.message


def test_an_error_names_file_line_and_key_path(edited: EditMode) -> None:
    file = edited("btc_basis", ("  leverage: 2.0", "  levrage: 2.0"))
    assert refusal(file).message == (
        f"{file}:{line_of(file, 'levrage')}: strategy_config.levrage: unknown key; nearest valid key: leverage"
    )


def test_every_problem_of_a_file_is_listed_by_line(edited: EditMode) -> None:
    file = edited(
        "btc_basis",
        ("tick_interval_seconds: 3600", "tick_interval_seconds: 1h"),
        ("  leverage: 2.0", "  levrage: 2.0"),
        ("okx: 0.3}", "okx: 0.2}"),
        ("    batch_events: 100", "    batch_events: 100\n    batch_events: 10"),
        ("  funding_missed_limit: 3\n", ""),
    )
    heading, *lines = refusal(file).message.splitlines()
    assert heading == f"{file}: 5 problems"
    keys = [line.split(": ")[1] for line in lines]
    assert sorted(keys) == [
        "component_config.event_logger.batch_events",
        "data.funding_missed_limit",
        "strategy_config.hedge_allocation",
        "strategy_config.levrage",
        "tick_interval_seconds",
    ]
    numbers = [int(line.split(":")[1]) for line in lines]
    assert numbers == sorted(numbers)


def test_unknown_venue_names_the_files_and_the_nearest(edited: EditMode) -> None:
    error = refusal(edited("btc_basis", ("bybit, okx]", "bybit, okx, binanse]")))
    assert error.code == "CONFIG-004"
    assert "venues.4: is 'binanse', for which there is no file" in error.message
    assert error.message.endswith("nearest: binance")


def test_margin_bands_are_not_looked_at_when_margin_is_not_rebalanced() -> None:
    settings = ["strategy_config.leverage=5", "strategy_config.margin_rebalance=false"]
    assert load_mode("btc_basis", settings=settings).mode.strategy_config.leverage == 5  # type: ignore[union-attr]


@pytest.mark.parametrize("leverage", [2.6, 2.667])
def test_the_highest_leverage_that_is_accepted_tops_up_above_the_reduce_level(leverage: float) -> None:
    if 0.8 / leverage > 0.30:
        load_mode("btc_basis", {"strategy_config.leverage": leverage})
    else:
        assert refusal("btc_basis", overrides={"strategy_config.leverage": leverage}).code == "CONFIG-003"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds nothing; a mapping of keys to values was expected"),
        ("- a\n- b\n", "holds a list"),
        ("just words\n", "holds a single value"),
        ("a: [1, 2\n", ":2: not YAML: "),
        ("a: 1\n\tb: 2\n", ":2: not YAML: "),
        ("a:\n  " + "[" * 50_000, ":2: more than 50 lists or mappings within one another"),
        ("b: 1\na: &a [*a]\n", ":2: more than 50 lists or mappings within one another"),
        ("a: &a {b: *a}\n", ":1: more than 50 lists or mappings within one another"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    error = refusal(file)
    assert error.code == "CONFIG-003"
    assert told in error.message


@pytest.mark.parametrize(
    ("venue", "old", "new", "told"),
    [
        ("binance", "  taker_fee: 0.0005", "  taker_fe: 0.0005", "unknown key; nearest valid key: taker_fee"),
        ("binance", "  taker_fee: 0.0005", "  taker_fee: 0.5", "is 0.5; less than 0.1 was expected"),
        ("binance", "  BTC-PERP: [3, 4, 8]\n", "", "impact_bps.BTC-PERP: missing key"),
        ("binance", "  BTC-PERP: [3, 4, 8]", "  BTC-PERP: [3, 4]", "impact_bps.BTC-PERP.2: missing key"),
        (
            "binance",
            "cap: 300000, rate: 0.004",
            "cap: 200000, rate: 0.004",
            "brackets have no gaps: 200000 was expected",
        ),
        ("binance", "kind: exchange", "kind: exchang", "kind: is 'exchang'; one of exchange, chain,"),
        (
            "bybit",
            "brackets_from: binance",
            "brackets_from: binanc",
            "brackets_from: is 'binanc'; one of aave_v3, binance,",
        ),
        ("bybit", "brackets_from: binance", "brackets_from: okx", "whose perp market BTC has no brackets of its own"),
        (
            "bybit",
            "brackets_from: binance",
            "brackets: [], brackets_from: binance",
            "give brackets or brackets_from, not both",
        ),
        ("wallet", "  stake: 150000", "  stak: 150000", "gas_units.stak: unknown key; nearest valid key: stake"),
        ("wallet", "  stake: 150000\n", "", "gas_units.stake: missing key; a whole number of gas units was expected"),
        (
            "aave_v3",
            "    ltv: 0.93",
            "    ltv: 0.96",
            "emode.eth_correlated.ltv: is 0.96; at most the liquidation_threshold 0.95",
        ),
        ("uniswap", "  ETH/weETH: [20, 24, 35]\n", "", "impact_bps.ETH/weETH: missing key"),
    ],
)
def test_one_fault_in_a_venue_gives_one_error(tmp_path: Path, venue: str, old: str, new: str, told: str) -> None:
    text = (config_root() / "venues" / f"{venue}.yaml").read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / f"{venue}.yaml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_venue(file)
    assert told in caught.value.message
    assert caught.value.code == "CONFIG-004"
