"""The market and the mode that stories are told of, once for each mode: a setting is only read, all tests share it."""

from __future__ import annotations

from functools import cache

from basis_actors.services.simulation.story import Setting
from basis_actors.services.simulation.telling import setting_of

MODES = ("btc_basis", "eth_basis", "usdt_market_neutral", "usdt_market_neutral_no_leverage")


@cache
def setting(mode: str, hours: int) -> Setting:
    """The setting of a mode."""
    return setting_of(mode, hours)
