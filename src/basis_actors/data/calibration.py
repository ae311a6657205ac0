"""Reads the calibration of the synthetic market from `configs/synthetic.yaml`."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from basis_actors.config.explain import explain, raise_problems
from basis_actors.config.library import config_root, read
from basis_actors.config.synthetic import Calibration

__all__ = ["load_calibration"]


def load_calibration(file: Path | None = None) -> Calibration:
    """The calibration in `file`, for None the project's own.

    Raises ConfigError CONFIG-002 or CONFIG-003 naming file, line and key of everything that is missing or wrong.
    """
    document = read(config_root() / "synthetic.yaml" if file is None else file)
    raise_problems(list(document.problems), document, "CONFIG-003")
    try:
        return Calibration.model_validate(document.values)
    except ValidationError as error:
        raise_problems(explain(error, Calibration, {}), document, "CONFIG-003")
        raise
