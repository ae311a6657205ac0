"""Where a loop may borrow and where its flash loan may be from: what the venue allows for the pair decides."""

from typing import Any

import pytest

from basis_actors.config import LeveragedConfig, MarketNeutralConfig, load_mode
from basis_actors.errors import ConfigError

LOOP = "strategy_config.loop"


def loop(**settings: Any) -> dict[str, object]:
    return {f"{LOOP}.{name}": value for name, value in settings.items()}


@pytest.mark.parametrize("mode", ["eth_leveraged", "usdt_market_neutral"])
def test_a_loop_may_borrow_at_morpho_and_take_its_flash_loan_from_aave(mode: str) -> None:
    run = load_mode(mode, loop(lending_venue="morpho", flash_venue="aave_v3", target_ltv=0.9))
    config = run.mode.strategy_config
    assert isinstance(config, LeveragedConfig | MarketNeutralConfig)
    assert config.loop is not None
    assert config.loop.lending_venue == "morpho"


def test_the_health_limit_is_compared_with_the_threshold_of_the_market() -> None:
    with pytest.raises(ConfigError, match=r"0\.945 / 0\.919 = 1\.028, and a limit below that was expected"):
        load_mode("eth_leveraged", loop(lending_venue="morpho"))


def test_max_ltv_is_at_most_the_liquidation_loan_to_value_of_the_market() -> None:
    with pytest.raises(ConfigError, match=r"is 0\.95; at most 0\.945, the market LTV of morpho, was expected"):
        load_mode("eth_leveraged", loop(lending_venue="morpho", max_ltv=0.95))
    load_mode("eth_leveraged", loop(lending_venue="morpho", max_ltv=0.945, target_ltv=0.9))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (loop(lending_venue="uniswap"), "kind dex; kind lending or flash was expected"),
        (loop(flash_venue="uniswap"), "kind dex; kind lending or flash was expected"),
        (
            {"venue_configs.aave_v3.emode.eth_correlated.collateral": ["wstETH"]},
            "is 'aave_v3', which has no e-mode with collateral weETH and debt WETH",
        ),
        ({"venue_configs.morpho.tokens": ["USDC"]}, "is 'morpho', which lends USDC; a lender of WETH was expected"),
        ({"venue_configs.morpho.markets": {"weETH": {"lltv": 0.9}}}, "collateral/loan, was expected"),
        ({"venue_configs.morpho.markets": {"weETH/WETH": {"lltv": 1.0}}}, "lltv"),
        ({"venue_configs.etherfi.reward_tokens": ["ARB"]}, "reward_tokens"),
    ],
)
def test_what_cannot_carry_a_loop_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_mode("eth_leveraged", settings)
    assert words in str(error.value)


def test_only_a_pool_takes_what_is_lent_without_a_loop() -> None:
    with pytest.raises(ConfigError, match="kind flash; kind lending was expected"):
        load_mode("pure_lending_eth", {"venues": ["wallet", "morpho"], "strategy_config.lending_venue": "morpho"})
