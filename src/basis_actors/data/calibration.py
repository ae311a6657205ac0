"""Reads the calibration of the synthetic market from `configs/synthetic.yaml`."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from basis_actors.config.documents import read_document
from basis_actors.config.loading import config_root
from basis_actors.config.synthetic import Calibration
from basis_actors.errors import ConfigError

__all__ = ["load_calibration"]


def load_calibration(file: Path | None = None) -> Calibration:
    """The calibration in `file`, for None the project's own.

    Raises ConfigError CONFIG-003 naming file, line and key of everything that is wrong.
    """
    path = config_root() / "synthetic.yaml" if file is None else file
    document = read_document(path, str(path))
    found = [f"{document.origin(problem.path)}: {problem.text}" for problem in document.problems]
    try:
        calibration = Calibration.model_validate(document.values)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            keys = tuple(str(key) for key in problem["loc"])
            found.append(f"{document.origin(keys)}: {'.'.join(keys)}: {problem['msg']}; mend it there")
        raise ConfigError("CONFIG-003", "; ".join(found)) from error
    if found:
        raise ConfigError("CONFIG-003", "; ".join(found))
    return calibration
