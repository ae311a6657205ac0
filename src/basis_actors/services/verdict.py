"""Defines how a run is judged that failed of nothing: one that came to its last tick by all that was logged, a live
process that was told to stop by what it leaves wrong.
"""

from __future__ import annotations

from typing import Final

from basis_actors.messages.commands import StopTrading
from basis_actors.messages.safety import Latch
from basis_actors.results.accumulator import RunStatistics

__all__ = ["failure_of", "left_wrong", "stop_text"]

_INVALID_ORDER: Final = ("STRAT-002", "EXEC-003", "EXEC-004", "VEN-004")
"""Codes of orders that are wrong in themselves, or go where nobody trades that: nothing but a strategy that is wrong
sends one."""


def failure_of(statistics: RunStatistics, stop: StopTrading | None) -> str | None:
    """What keeps a run from being called done; None when nothing does.

    A broken limit, a liquidation, and trading that risk has stopped are what the market did to the book: the engine
    has then done its part, and so it has when a person has stopped trading. Any other stop and any other critical error
    is a failure, and so is an order that was wrong.
    """
    if stop is not None and stop.error_code is not None and not _is_risk(stop.error_code):
        return f"trading was stopped: {stop.reason}"
    errors, criticals = statistics.errors, statistics.criticals
    critical = [code for code in criticals if not _is_risk(code)]
    if critical:
        total = sum(criticals[code] for code in critical)
        return f"critical errors were logged: {total}, among {', '.join(critical)}; look at system_errors.jsonl"
    invalid = [code for code in _INVALID_ORDER if errors[code]]
    if invalid:
        found = ", ".join(f"{errors[code]} × {code}" for code in invalid)
        return f"orders were refused because they were not valid: {found}; look at operation_executions.jsonl"
    return None


def left_wrong(stop: StopTrading | None, latch: Latch | None) -> str | None:
    """What a process that was told to stop leaves for somebody to see to; None when that is nothing.

    What was refused, lost or found out in months of trading and has been mended is no failure of the end. That trading
    is stopped is, unless risk or a person has stopped it.
    """
    if stop is not None and stop.error_code is not None and not _is_risk(stop.error_code):
        return f"trading was stopped: {stop.reason}"
    if latch is not None and latch.error_code is not None and not _is_risk(latch.error_code):
        return f"trading stays stopped until somebody resumes it: {latch.error_code}: {latch.reason}"
    return None


def stop_text(stop: StopTrading | None) -> str | None:
    """Why trading was stopped, with the code where there is one; None while it went on."""
    if stop is None or stop.error_code is None:
        return None if stop is None else stop.reason
    return f"{stop.error_code}: {stop.reason}"


def _is_risk(code: str | None) -> bool:
    return code is not None and code.startswith("RISK-")
