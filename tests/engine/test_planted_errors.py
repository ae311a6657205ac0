"""A wrong number in any component shows as residual, PNL-005, at the tick at which it enters; without it there is none.

There are two ways to be wrong. A formula may be wrong: that is planted in every component, by scaling what the
attribution books to it. Or an account may book something that no formula explains: that is planted in the settlements
of a venue, which reports the same wrong amount, so that reconciliation has nothing to compare.

Fees, gas and the cash of a liquidation are explained *as booked*: an amount of the wrong size under the right name is
explained in full and cannot be seen here. Reconciliation sees it when the venue took something else, and the
recomputation from the venue's terms (`test_recomputation.py`) when venue and ledger agree on the wrong amount.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.engine.play import ALWAYS_IN, Played, Tampered

from basis_actors.finance.attribution import Attribution
from basis_actors.finance.keys import LedgerKey
from basis_actors.messages.events import ExecutionDeltaEvent, PnLCalculation, SystemErrorEvent
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement

UNSAFE = (
    ALWAYS_IN,
    "strategy_config.leverage=5",
    "strategy_config.margin_rebalance=false",
    "risk_limits.enforce=false",
    "risk_limits.margin_ratio_reduce=0.05",
    "risk_limits.margin_ratio_exit_half=0.03",
)
"""A short that nobody tops up; the rally of February 2024 liquidates it."""
ONE_PERCENT = 1.01

Play = Callable[..., Played]


def basis_run(played: Play, history: Path, **options: object) -> Played:
    return played("btc_basis", data=history, start="2024-02-01", end="2024-02-16", settings=UNSAFE, **options)


def lending_run(played: Play, history: Path, **options: object) -> Played:
    return played("pure_lending_usdt", data=history, start="2024-02-01", end="2024-02-04", **options)


def shows(run: Played) -> None:
    """The error is reported by the component that looks, at the tick of its calculation."""
    wrong = [pnl for pnl in run.of(PnLCalculation) if abs(pnl.residual) > 1e-9 * abs(pnl.equity)]
    reported = [error for error in run.of(SystemErrorEvent) if error.error_code == "PNL-005"]
    assert wrong
    assert [error.timestamp for error in reported] == [pnl.timestamp for pnl in wrong]
    assert {error.component for error in reported} == {"pnl_monitor"}


@pytest.mark.parametrize("component", ["price", "basis", "funding", "slippage", "fees", "gas", "liquidation"])
def test_a_formula_one_percent_off_shows_as_that_much_residual_in_a_basis_run(
    component: str, history: Path, played: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = basis_run(played, history)
    assert "PNL-005" not in right.codes
    total = right.of(PnLCalculation)[-1].attribution_total[component]
    assert abs(total) > 1e-6 or component == "price"

    scale_component(monkeypatch, component)
    wrong = basis_run(played, history)
    shows(wrong)
    for before, after in zip(right.of(PnLCalculation), wrong.of(PnLCalculation), strict=True):
        told = before.attribution.get(component, 0.0)
        planted = after.attribution.get(component, 0.0) - told
        assert component == "price" or planted == pytest.approx(0.01 * told, abs=1e-9)
        assert after.residual == pytest.approx(before.residual - planted, abs=1e-9 * max(1.0, before.equity))


@pytest.mark.parametrize("component", ["lending", "gas"])
def test_a_formula_one_percent_off_shows_as_that_much_residual_in_a_lending_run(
    component: str, history: Path, played: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = lending_run(played, history)
    assert "PNL-005" not in right.codes
    total = right.of(PnLCalculation)[-1].attribution_total[component]
    scale_component(monkeypatch, component)
    wrong = lending_run(played, history)
    shows(wrong)
    assert wrong.of(PnLCalculation)[-1].residual_total == pytest.approx(-0.01 * total, rel=1e-6)


def scale_component(monkeypatch: pytest.MonkeyPatch, component: str) -> None:
    """Make one formula give 1 % too much, wherever it is used."""
    add = Attribution.add

    def wrong(self: Attribution, name: str, key: LedgerKey, amount: float, price: float = 0.0) -> None:
        if price:
            wrong(self, "price", key, price)
        # The price of the hedge takes back what the price of the coins gives: an error in both alike is none.
        planted = name == component and (name != "price" or key.perp is None)
        add(self, name, key, amount * ONE_PERCENT if planted else amount)

    monkeypatch.setattr(Attribution, "add", wrong)


def scaled(settlement: Settlement, factor: float, picks: Callable[[PositionDelta], bool]) -> Settlement:
    """The settlement with some of its deltas multiplied."""
    deltas = tuple(
        replace(delta, delta_amount=delta.delta_amount * factor) if picks(delta) else delta
        for delta in settlement.deltas
    )
    return replace(settlement, deltas=deltas)


def plant(
    source: DeltaSource, picks: Callable[[PositionDelta], bool], factor: float = ONE_PERCENT
) -> Callable[[Settlement], Settlement]:
    def change(settlement: Settlement) -> Settlement:
        return scaled(settlement, factor, picks) if settlement.source is source else settlement

    return change


def is_cash(delta: PositionDelta) -> bool:
    return delta.position_key.endswith(":USDT")


BOOKING_ERRORS = {
    "funding is booked one percent too high": plant(DeltaSource.FUNDING, is_cash),
    "funding is booked with the wrong sign": plant(DeltaSource.FUNDING, is_cash, -1.0),
    "funding is booked twice as much": plant(DeltaSource.FUNDING, is_cash, 2.0),
    "spot costs one percent less cash than its fill price says": plant(
        DeltaSource.EXECUTION, lambda delta: delta.position_key == "binance:BaseToken:USDT", 0.99
    ),
    "a spot fill brings one percent more coins than were paid": plant(
        DeltaSource.EXECUTION, lambda delta: delta.position_key == "binance:BaseToken:BTC"
    ),
    "a transfer loses one percent on the way": plant(
        DeltaSource.TRANSFER, lambda delta: delta.position_key.startswith("transit:") and delta.delta_amount > 0, 0.99
    ),
    "an arrival is more than was sent": plant(
        DeltaSource.TRANSFER, lambda delta: not delta.position_key.startswith("transit:") and delta.delta_amount > 0
    ),
}


@pytest.mark.parametrize("name", BOOKING_ERRORS)
def test_a_booking_that_no_formula_explains_is_residual(name: str, history: Path, played: Play) -> None:
    change = BOOKING_ERRORS[name]
    run = basis_run(played, history, wrap_venue=lambda client: Tampered(client, change))
    assert "POS-005" not in run.codes, "the venue reports what was booked, so only the attribution can see it"
    shows(run)


def test_realised_profit_that_differs_from_size_times_price_move_is_residual(history: Path, played: Play) -> None:
    """A reducing fill books profit on the margin account; one percent of it is out of thin air."""

    def change(settlement: Settlement) -> Settlement:
        reduces = settlement.source is DeltaSource.EXECUTION and any(d.price for d in settlement.deltas)
        return scaled(settlement, ONE_PERCENT, lambda delta: delta.price is None and reduces) if reduces else settlement

    run = played(
        "btc_basis",
        data=history,
        start="2024-02-01",
        end="2024-02-16",
        settings=[ALWAYS_IN],
        wrap_venue=lambda client: Tampered(client, lambda s: change(s) if ":Margin:" in str(s) else s),
    )
    shows(run)


def test_interest_by_a_wrong_index_is_residual(history: Path, played: Play) -> None:
    change = plant(DeltaSource.ACCRUAL, lambda delta: True)
    run = lending_run(played, history, wrap_venue=lambda client: Tampered(client, change))
    shows(run)
    interest = sum(
        d.delta_amount for event in run.of(ExecutionDeltaEvent) if event.source == "accrual" for d in event.deltas
    )
    assert run.of(PnLCalculation)[-1].residual_total == pytest.approx(interest * (1.0 - 1.0 / ONE_PERCENT), rel=1e-3)


def test_interest_that_is_not_booked_is_residual(history: Path, played: Play) -> None:
    change = plant(DeltaSource.ACCRUAL, lambda delta: True, 0.0)
    run = lending_run(played, history, wrap_venue=lambda client: Tampered(client, change))
    shows(run)


@pytest.mark.parametrize("source", [DeltaSource.FEE, DeltaSource.GAS, DeltaSource.LIQUIDATION])
def test_a_cost_that_is_booked_under_another_name_is_residual(source: DeltaSource, history: Path, played: Play) -> None:
    """As booked: a fee explains itself only as a fee."""

    def change(settlement: Settlement) -> Settlement:
        return replace(settlement, source=DeltaSource.TRANSFER) if settlement.source is source else settlement

    run = basis_run(played, history, wrap_venue=lambda client: Tampered(client, change))
    shows(run)


@pytest.mark.parametrize("source", [DeltaSource.FEE, DeltaSource.GAS])
def test_a_cost_of_the_wrong_size_under_its_own_name_explains_itself(
    source: DeltaSource, history: Path, played: Play
) -> None:
    """The honest limit of this check; the recomputation from the venue's terms is what sees it."""
    change = plant(source, lambda delta: True)
    run = basis_run(played, history, wrap_venue=lambda client: Tampered(client, change))
    assert "PNL-005" not in run.codes


def test_a_liquidation_is_explained_by_the_cash_that_is_booked_whatever_its_size(history: Path, played: Play) -> None:
    """The same limit: that the cash is right is for the tests of the venue and the recomputation to say."""
    change = plant(DeltaSource.LIQUIDATION, is_cash, 0.99)
    run = basis_run(played, history, wrap_venue=lambda client: Tampered(client, change))
    assert [event for event in run.of(ExecutionDeltaEvent) if event.source == "liquidation"]
    assert "PNL-005" not in run.codes


def test_a_stolen_token_is_residual_and_reconciliation_sees_it_when_the_venue_does_not_report_it(
    history: Path, played: Play
) -> None:
    class Blind(Tampered):
        async def report(self) -> dict[str, float]:
            return await self._client.report()

    change = plant(DeltaSource.FUNDING, is_cash, 0.5)
    run = played(
        "btc_basis",
        data=history,
        start="2024-02-01",
        end="2024-02-10",
        settings=[ALWAYS_IN],
        wrap_venue=lambda client: Blind(client, change),
    )
    assert {"PNL-005", "POS-005"} <= run.codes
    assert run.failure is not None
