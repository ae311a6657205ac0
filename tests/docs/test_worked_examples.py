"""Every number of the worked examples: once from the strategy and the functions it uses, once by plain arithmetic.

Both have to be what the page prints, and the orders of the page have to be those that the strategy decides on.
"""

from __future__ import annotations

import pytest
from tests.docs.worked import SPECS, Example, read_page
from tests.docs.worked_chain import LENDING, LOOP, STAKING
from tests.docs.worked_directional import COIN_MARGINED, USDT_MARGINED
from tests.docs.worked_hedged import BTC_BASIS, ETH_BASIS, LEVERED, NEUTRAL

EXAMPLES = {
    "01_PURE_LENDING_STRATEGY.md": LENDING,
    "02_BTC_BASIS_STRATEGY.md": BTC_BASIS,
    "03_ETH_BASIS_STRATEGY.md": ETH_BASIS,
    "04_ETH_STAKING_ONLY_STRATEGY.md": STAKING,
    "05_ETH_LEVERAGED_STRATEGY.md": LOOP,
    "06_USDT_MARKET_NEUTRAL_NO_LEVERAGE_STRATEGY.md": NEUTRAL,
    "07_USDT_MARKET_NEUTRAL_STRATEGY.md": LEVERED,
    "08_ML_BTC_DIRECTIONAL_STRATEGY.md": COIN_MARGINED,
    "09_ML_USDT_DIRECTIONAL_STRATEGY.md": USDT_MARGINED,
}
HEADINGS = (
    "Idea", "Entry", "Rebalance", "Exit", "Risk", "Expected Deltas Calculation", "Execution Flow", "PnL drivers",
    "Result on real data",
)  # fmt: skip


def test_every_spec_has_an_example_and_the_same_headings() -> None:
    assert sorted(page.name for page in SPECS.glob("*.md")) == sorted(EXAMPLES)
    for name in EXAMPLES:
        lines = (SPECS / name).read_text(encoding="utf-8").splitlines()
        assert tuple(line.removeprefix("## ") for line in lines if line.startswith("## ")) == HEADINGS, name


@pytest.mark.parametrize(("name", "example"), EXAMPLES.items(), ids=lambda value: str(value)[:2])
def test_a_worked_example(name: str, example: Example) -> None:
    page = read_page(name)
    for key, value in example.configured().items():
        assert page.given[key] == value, f"{key} is configured differently"
    for numbers, deltas in (example.by_project(page.given), example.by_hand(page.given)):
        assert list(numbers) == list(page.computed)
        for key, printed in page.computed.items():
            assert printed.shows(numbers[key]), f"{key} is {numbers[key]!r}, the page prints {printed.text}"
        assert [(operation, key) for operation, key, _ in deltas] == [one[:2] for one in page.orders]
        for (operation, key, amount), (*_, printed) in zip(deltas, page.orders, strict=True):
            assert printed.shows(amount), f"{operation} {key} is {amount!r}, the page prints {printed.text}"
