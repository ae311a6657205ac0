"""`config check` tells of every target whether it can be used; `--frictionless` changes costs and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from basis_actors.config import (
    ChainVenue,
    DexVenue,
    ExchangeVenue,
    LendingConfig,
    LendingVenue,
    check_targets,
    config_root,
    load_mode,
    mode_names,
    scenario_names,
    share_class_names,
    venue_names,
    without_friction,
)
from basis_actors.errors import ConfigError

EditMode = Callable[..., Path]


def test_without_targets_everything_is_checked_and_everything_holds() -> None:
    results = check_targets()
    assert all(result.ok for result in results)
    assert len(results) == len(mode_names()) + len(venue_names()) + len(share_class_names()) + len(scenario_names())
    assert {result.kind for result in results} == {"mode", "venue", "share class", "scenario"}
    assert "configs/modes/btc_basis.yaml" in [result.target for result in results]


def test_each_target_gets_its_own_result(edited: EditMode) -> None:
    broken = edited("btc_basis", ("  leverage: 2.0", "  levrage: 2.0"))
    venue = config_root() / "venues" / "okx.yaml"
    share_class = config_root() / "share_classes" / "usdt_stable.yaml"
    results = check_targets(["eth_basis", str(broken), str(venue), "nothing", str(share_class)])
    assert [(result.kind, result.ok) for result in results] == [
        ("mode", True),
        ("mode", False),
        ("venue", True),
        ("mode", False),
        ("share class", True),
    ]
    assert results[1].error is not None
    assert "levrage" in results[1].error.message
    assert results[3].error is not None
    assert results[3].error.code == "CONFIG-001"


@pytest.mark.parametrize("name", mode_names())
def test_without_friction_nothing_costs_anything(name: str) -> None:
    run = load_mode(name)
    free = without_friction(run)
    assert free.mode.risk_limits == run.mode.risk_limits
    assert getattr(free.mode.strategy_config, "gas_reserve_eth", 0.0) == 0.0
    for venue in free.venues.values():
        if isinstance(venue, ExchangeVenue):
            books = [book for book in (venue.spot, venue.perp, venue.inverse_perp) if book]
            assert {fee for book in books for fee in (book.maker_fee, book.taker_fee)} == {0.0}
            assert set(venue.withdrawal_fees.values()) == {0.0}
            assert {bps for steps in venue.impact_bps.values() for bps in steps} == {0.0}
        if isinstance(venue, DexVenue):
            assert set(venue.fee_bps.values()) == {0.0}
            assert {bps for steps in venue.impact_bps.values() for bps in steps} == {0.0}
        if isinstance(venue, ChainVenue):
            assert set(venue.gas_units.values()) == {0}
        if isinstance(venue, LendingVenue):
            assert venue.flash_loan_fee_bps == 0.0


def test_the_gas_reserve_of_the_mode_is_kept_with_friction() -> None:
    config = load_mode("pure_lending_eth").mode.strategy_config
    assert isinstance(config, LendingConfig)
    assert config.gas_reserve_eth == 0.05


@pytest.fixture
def overlay(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        file = tmp_path / "careful.yaml"
        file.write_text(text)
        return file

    return write


def test_an_overlay_is_checked_with_its_mode(overlay: Callable[[str], Path]) -> None:
    file = overlay("strategy_config: {leverage: 1.5}\nvenue_configs:\n  bybit: {transfer_delay_seconds: 5}\n")
    (result,) = check_targets(["btc_basis"], overlays=[file], settings=["strategy_config.funding_window=42"])
    assert (result.kind, result.ok) == ("mode", True)


def test_what_is_wrong_in_an_overlay_is_said_with_its_line(overlay: Callable[[str], Path]) -> None:
    file = overlay("strategy_config:\n  levrage: 1.5\n")
    (result,) = check_targets(["btc_basis"], overlays=[file])
    assert result.error is not None
    assert f"{file}:2: strategy_config.levrage: unknown key" in result.error.message


def test_an_overlay_alone_is_told_how_it_is_checked(overlay: Callable[[str], Path]) -> None:
    file = overlay("strategy_config: {leverage: 1.5}\n")
    (result,) = check_targets([str(file)])
    assert (result.kind, result.ok) == ("overlay", False)
    assert result.error is not None
    assert f"basis-actors config check MODE --config {file}" in result.error.message


def test_what_is_neither_mode_nor_overlay_is_told_what_a_mode_lacks(overlay: Callable[[str], Path]) -> None:
    (result,) = check_targets([str(overlay("something: else\n"))])
    assert result.kind == "mode"
    assert result.error is not None
    assert "strategy_config: missing key; a mapping was expected" in result.error.message


@pytest.mark.parametrize("targets", [(), (str(config_root() / "venues" / "okx.yaml"),)])
def test_nothing_is_laid_over_what_is_no_mode(targets: tuple[str, ...], overlay: Callable[[str], Path]) -> None:
    file = overlay("strategy_config: {leverage: 1.5}\n")
    if targets:
        (result,) = check_targets(targets, overlays=[file])
        assert result.error is not None
        assert "is no mode (venue)" in result.error.message
    else:
        with pytest.raises(ConfigError, match="laid over a mode, and none is given"):
            check_targets(targets, overlays=[file])
