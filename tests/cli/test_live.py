"""The exit code of a live process says whether it is of use to start it again."""

from __future__ import annotations

import pytest

from basis_actors.cli.live import exit_code_of


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("ENGINE-001: the account at binance is taken by process 1 of this machine", 2),
        ("VEN-005: bybit: API key is invalid", 1),
        ("LOG-001: logs/a is gone; ENGINE-001: the account at binance is taken", 1),
        ("critical errors were logged: 1, among ENGINE-001", 1),
    ],
)
def test_only_a_process_that_may_not_trade_ends_as_one_with_bad_input(failure: str, code: int) -> None:
    assert exit_code_of(failure) == code
