"""Reads of the configuration a run was started with what its report draws: limits, targets, the share class."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from basis_actors.errors import UNREADABLE, BasisError
from basis_actors.results.run_files import CONFIG_FILE

__all__ = ["Effective", "Limits", "Loop", "read_effective"]

_EARLIER: Final = "config.json"
"""Of runs of versions that wrote JSON."""


class Limits(msgspec.Struct, frozen=True):
    """Of `mode.risk_limits`; None for a limit that the mode has not."""

    max_delta_drift: float | None = None
    max_drawdown: float | None = None
    margin_ratio_reduce: float | None = None
    margin_ratio_exit_half: float | None = None
    health_factor_reduce: float | None = None
    health_factor_emergency: float | None = None
    max_peg_deviation: float | None = None


class Loop(msgspec.Struct, frozen=True):
    """Of `mode.strategy_config.loop`."""

    target_ltv: float | None = None
    max_ltv: float | None = None


class _Strategy(msgspec.Struct, frozen=True):
    dust_delta: float | None = None
    loop: Loop | None = None


class _Mode(msgspec.Struct, frozen=True):
    description: str = ""
    risk_limits: Limits = Limits()
    strategy_config: _Strategy = _Strategy()


class _ShareClass(msgspec.Struct, frozen=True):
    name: str
    currency: str
    decimals: int


class Effective(msgspec.Struct, frozen=True):
    """What a report needs of the effective configuration."""

    mode: _Mode
    share_class: _ShareClass


def read_effective(run_dir: Path) -> Effective | None:
    """From `config.yaml` or `config.json` of a run directory; None where there is neither, as after a kill.

    Raises BasisError LOG-004 for a file that is not such a configuration, CONFIG-003 for one that nests without end.
    """
    from basis_actors.config.documents import require_shallow

    for name, decode in ((CONFIG_FILE, msgspec.yaml.decode), (_EARLIER, msgspec.json.decode)):
        path = run_dir / name
        try:
            text = path.read_bytes()
            require_shallow(text, str(path))
            return decode(text, type=Effective, strict=False)
        except FileNotFoundError:
            continue
        except (OSError, *UNREADABLE) as error:
            raise BasisError(
                "LOG-004", f"{path} cannot be read: {error}; expected the effective configuration of a run"
            ) from error
    return None
